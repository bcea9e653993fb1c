//! Match or no match: what two listeners heard, and whether to believe it.
//!
//! Pure. A grammar forces whatever is said into one of its sentences, so the question
//! is never what was said but whether it was said at all. An answer to the wrong
//! command costs a caller more than being asked again: in doubt it is no match. The
//! limits were measured; the tables are in `docs/local-speech.md`.

use std::collections::BTreeMap;

/// What a listener made of an utterance.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Heard {
    /// The words.
    pub(super) text: String,
    /// Path score per frame of 10 ms; 0 would be perfect.
    pub(super) score: f32,
    /// Score of the whole path.
    pub(super) path_score: i32,
    /// Frames that belong to words.
    pub(super) word_frames: u32,
    /// Loud frames of the utterance, whatever they belong to.
    pub(super) loud_frames: u32,
}

impl Heard {
    fn words_count(&self) -> usize {
        words(&self.text).count()
    }
}

/// Why an utterance is no match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Too short for a word.
    TooShort,
    /// So much noise that anything may be heard in it.
    Noise,
    /// Nothing in the grammar resembles it.
    Nothing,
    /// The best there is does not resemble it enough.
    Score,
    /// It resembles an everyday word that is no command more.
    OtherWord,
    /// Single sounds in any order resemble it far more.
    OtherSounds,
    /// Much of what was said belongs to none of the words.
    Unexplained,
    /// A word in less time than it takes to say one.
    Hurried,
    /// A few words in far more time than it takes to say them.
    Stretched,
    /// The two listeners heard different things.
    Disagreement,
}

/// Refuses what no listener needs to hear: `ms` of audio whose speech is
/// `signal_to_noise_db` above its noise.
pub(super) fn worth_hearing(ms: u64, signal_to_noise_db: f32) -> Result<(), Doubt> {
    if ms < UTTERANCE_MS_MIN {
        Err(Doubt::TooShort)
    } else if signal_to_noise_db < SIGNAL_TO_NOISE_DB_MIN {
        Err(Doubt::Noise)
    } else {
        Ok(())
    }
}

/// Refuses what cannot be true whatever it scores; `ms` is the audio's length.
pub(super) fn credible(heard: Option<Heard>, ms: u64) -> Result<Heard, Doubt> {
    let heard = heard.ok_or(Doubt::Nothing)?;
    let words = heard.words_count();
    if words == 0 {
        Err(Doubt::Nothing)
    } else if (heard.word_frames as usize) < WORD_FRAMES_BASE + WORD_FRAMES_EACH * words {
        Err(Doubt::Hurried)
    } else if heard.loud_frames > heard.word_frames * UNEXPLAINED_MAX.0 / UNEXPLAINED_MAX.1 {
        Err(Doubt::Unexplained)
    } else if ms > UTTERANCE_MS_BASE + WORD_MS_MAX * words as u64 {
        Err(Doubt::Stretched)
    } else {
        Ok(heard)
    }
}

/// Whether one listener's word is enough, if it leads the decoys by more than
/// [`SURE_LEAD_MIN`]. It mostly is, and then the second one need not be asked.
pub(super) fn is_sure(heard: &Heard, score_min: f32) -> bool {
    heard.score > score_min + SURE_SCORE_MARGIN
}

/// Whether the words resemble what was said although single sounds may be put together
/// freely to resemble it more: `sounds_score` is the best of those for the whole path.
/// Noise and an unusual voice worsen both alike, a wrong word only one.
pub(super) fn is_borne_out(heard: &Heard, sounds_score: i32, score_min: f32) -> bool {
    let lead = heard.path_score.saturating_sub(sounds_score) as f32;
    heard.score + lead / heard.word_frames.max(1) as f32 > score_min - SOUNDS_MARGIN
}

/// 0.5 for what just reaches the limit, 1 for the best there is.
pub(super) fn confidence(heard: &Heard, score_min: f32) -> f32 {
    (0.5 + 0.5 * (heard.score - score_min) / SCORE_RANGE).clamp(0.5, 1.0)
}

/// What is to be believed unless it resembles an everyday word more.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidate {
    /// The words.
    pub(super) text: String,
    /// 0.5 to 1.
    pub(super) confidence: f32,
    /// Whether the first listener may speak for it too.
    pub(super) is_agreed: bool,
    /// One of those who speak for it has to hold it against the decoys: its path score,
    /// less that of the best decoy, has to be more than this.
    pub(super) lead_min: i32,
}

/// Weighs what two credible listeners heard when the first was not sure. The same from
/// both has to be good; from the second alone it has to be very good.
pub(super) fn weigh(
    plain: Result<&Heard, Doubt>,
    quieted: Result<&Heard, Doubt>,
    score_min: f32,
) -> Result<Candidate, Doubt> {
    let quieted = quieted?;
    let agreed = plain.ok().filter(|plain| overlap(&plain.text, &quieted.text) >= OVERLAP_MIN);
    let better = plain.ok().filter(|plain| plain.score > quieted.score);
    if agreed.is_some() {
        let best = better.unwrap_or(quieted);
        let words = i32::try_from(best.words_count()).unwrap_or(i32::MAX);
        let lead_min = words.saturating_mul(AGREED_LEAD_PER_WORD_MIN);
        if best.score <= score_min {
            return Err(Doubt::Score);
        }
        return Ok(Candidate {
            text: best.text.clone(),
            confidence: confidence(best, score_min),
            is_agreed: true,
            lead_min,
        });
    }
    if better.is_some() {
        return Err(Doubt::Disagreement);
    }
    if !is_sure(quieted, score_min) {
        return Err(if plain.is_ok() { Doubt::Disagreement } else { Doubt::Score });
    }
    Ok(Candidate {
        text: quieted.text.clone(),
        confidence: confidence(quieted, score_min),
        is_agreed: false,
        lead_min: SECOND_LEAD_MIN,
    })
}

/// The share of words that two texts have in common, whatever their order.
fn overlap(a: &str, b: &str) -> f32 {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    words(a).for_each(|word| *counts.entry(word).or_default() += 1);
    let common = words(b)
        .filter(|word| match counts.get_mut(word) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        })
        .count();
    2.0 * common as f32 / (words(a).count() + words(b).count()).max(1) as f32
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_ascii_whitespace()
}

/// How much better than the limit one listener has to be to be believed alone.
const SURE_SCORE_MARGIN: f32 = 4.0;
/// By how much the first one, if sure, has to hold it against the decoys.
pub(super) const SURE_LEAD_MIN: i32 = 0;
/// By how much the second one has to, if the first one heard something else.
const SECOND_LEAD_MIN: i32 = 100;
/// A command on which both agree may be a little worse than the best decoy, for each of
/// its words: there are a thousand decoys, and one of them always resembles it.
const AGREED_LEAD_PER_WORD_MIN: i32 = -100;
/// How much worse than the limit the score and the lead over single sounds may be
/// together. Measured: at 11, one in ten of what is in the grammar is asked again, and
/// six in ten of what is not and got this far.
const SOUNDS_MARGIN: f32 = 11.0;
/// Loud frames for each frame of a word. What is loud but no word was said, too.
const UNEXPLAINED_MAX: (u32, u32) = (6, 5);
/// Below it there is no room for a word.
const UTTERANCE_MS_MIN: u64 = 150;
/// Speech in white noise at 20 dB measures 18 to 26, at 10 dB 8 to 15.
const SIGNAL_TO_NOISE_DB_MIN: f32 = 15.0;
/// From the limit to a score as good as they come.
const SCORE_RANGE: f32 = 20.0;
/// Frames of the shortest utterance of a word: a click is shorter.
const WORD_FRAMES_BASE: usize = 10;
const WORD_FRAMES_EACH: usize = 4;
/// Pre-roll, hangover, and a thoughtful pause.
const UTTERANCE_MS_BASE: u64 = 2_500;
const WORD_MS_MAX: u64 = 800;
/// Of one or two words none may differ, of three one.
const OVERLAP_MIN: f32 = 0.6;

#[cfg(test)]
mod tests {
    use super::*;

    const SCORE_MIN: f32 = -34.0;

    fn heard(text: &str, score: f32) -> Heard {
        let word_frames = 30 * u32::try_from(text.split(' ').count()).unwrap();
        let path_score = (score * 100.0) as i32;
        Heard { text: text.to_owned(), score, path_score, word_frames, loud_frames: 20 }
    }

    fn doubt(heard: Heard, ms: u64) -> Option<Doubt> {
        credible(Some(heard), ms).err()
    }

    fn weighed(plain: &Heard, quieted: &Heard) -> Result<(String, bool, i32), Doubt> {
        weigh(Ok(plain), Ok(quieted), SCORE_MIN)
            .map(|found| (found.text, found.is_agreed, found.lead_min))
    }

    #[test]
    fn a_click_and_a_noisy_line_are_not_listened_to() {
        assert_eq!(worth_hearing(100, 60.0), Err(Doubt::TooShort));
        assert_eq!(worth_hearing(1_500, 10.0), Err(Doubt::Noise));
        assert_eq!(worth_hearing(1_500, 20.0), Ok(()));
    }

    #[test]
    fn each_way_of_not_being_credible_has_its_name() {
        assert_eq!(doubt(heard("book a room", -25.0), 2_000), None);
        assert_eq!(credible(None, 2_000), Err(Doubt::Nothing));
        assert_eq!(doubt(heard("yes", -20.0), 5_000), Some(Doubt::Stretched));
        let hurried = Heard { word_frames: 6, ..heard("two", -15.0) };
        assert_eq!(doubt(hurried, 1_500), Some(Doubt::Hurried));
        let ignored = Heard { loud_frames: 140, ..heard("book a room", -20.0) };
        assert_eq!(doubt(ignored, 2_000), Some(Doubt::Unexplained));
    }

    #[test]
    fn a_listener_is_sure_well_above_the_limit() {
        let sure = heard("book a room", -24.0);
        assert!(is_sure(&sure, SCORE_MIN) && !is_sure(&heard("book a room", -31.0), SCORE_MIN));
        assert!((confidence(&sure, SCORE_MIN) - 0.75).abs() < 1e-3);
    }

    #[test]
    fn words_that_sounds_in_any_order_resemble_far_better_are_not_borne_out() {
        let heard = heard("book a room", -30.0);
        assert!(is_borne_out(&heard, heard.path_score + 90 * 10, SCORE_MIN));
        assert!(!is_borne_out(&heard, heard.path_score + 90 * 16, SCORE_MIN));
    }

    #[test]
    fn the_better_of_two_listeners_that_agree_is_believed() {
        let plain = heard("a double room please", -33.0);
        let quieted = heard("the double room please", -31.0);
        let expected = ("the double room please".to_owned(), true, -400);
        assert_eq!(weighed(&plain, &quieted), Ok(expected));
        let unsure = heard("yes please", -35.0);
        assert_eq!(weighed(&unsure, &unsure), Err(Doubt::Score));
    }

    #[test]
    fn the_second_listener_alone_has_to_be_sure() {
        let yes = |score| heard("yes please", score);
        let ten = heard("ten please", -33.0);
        assert_eq!(weighed(&ten, &yes(-32.0)), Err(Doubt::Disagreement));
        let expected = ("yes please".to_owned(), false, 100);
        assert_eq!(weighed(&ten, &yes(-25.0)), Ok(expected));
        assert!(weigh(Err(Doubt::Nothing), Ok(&yes(-25.0)), SCORE_MIN).is_ok());
        assert_eq!(weigh(Err(Doubt::Nothing), Ok(&yes(-32.0)), SCORE_MIN), Err(Doubt::Score));
        assert_eq!(weigh(Ok(&ten), Err(Doubt::Nothing), SCORE_MIN), Err(Doubt::Nothing));
        assert_eq!(weighed(&yes(-28.0), &heard("ten", -29.0)), Err(Doubt::Disagreement));
    }

    #[test]
    fn two_numbers_are_not_the_same_answer() {
        assert!(overlap("two nights", "ten nights") < OVERLAP_MIN);
        assert!(overlap("bye bye", "bye") >= OVERLAP_MIN);
        assert!(overlap("", "").abs() < 1e-6);
    }
}
