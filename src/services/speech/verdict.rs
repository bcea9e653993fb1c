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

/// Refuses what one listener alone cannot be believed; `ms` is the audio's length.
pub(super) fn plausible(heard: Option<&Heard>, score_min: f32, ms: u64) -> Result<&Heard, Doubt> {
    let heard = heard.ok_or(Doubt::Nothing)?;
    let words = words(&heard.text).count();
    if words == 0 {
        return Err(Doubt::Nothing);
    }
    if heard.score < score_min - SECOND_SCORE_MARGIN {
        return Err(Doubt::Score);
    }
    if (heard.word_frames as usize) < WORD_FRAMES_BASE + WORD_FRAMES_EACH * words {
        return Err(Doubt::Hurried);
    }
    if ms > UTTERANCE_MS_BASE + WORD_MS_MAX * words as u64 {
        return Err(Doubt::Stretched);
    }
    Ok(heard)
}

/// What two plausible listeners heard, if it is the same thing, with a confidence
/// between 0.5 and 1.
pub(super) fn agreement<'a>(
    plain: &'a Heard,
    quieted: &'a Heard,
    score_min: f32,
) -> Result<(&'a str, f32), Doubt> {
    if overlap(&plain.text, &quieted.text) < OVERLAP_MIN {
        return Err(Doubt::Disagreement);
    }
    let best = if plain.score > quieted.score { plain } else { quieted };
    if best.score < score_min {
        return Err(Doubt::Score);
    }
    let confidence = 0.5 + 0.5 * (best.score - score_min) / SCORE_RANGE;
    Ok((&best.text, confidence.clamp(0.5, 1.0)))
}

/// Whether a listener takes an utterance for a command rather than for a decoy;
/// `decoy` is the path score of the best one.
pub(super) fn is_command(heard: &Heard, decoy: Option<i32>) -> bool {
    decoy.is_none_or(|decoy| heard.path_score.saturating_sub(decoy) > DECOY_LEAD_MAX)
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

/// A command may be this much worse than the best decoy: there are a thousand of those,
/// and one of them always resembles it.
const DECOY_LEAD_MAX: i32 = -160;
/// Below it there is no room for a word.
const UTTERANCE_MS_MIN: u64 = 150;
/// Speech at 20 dB measures 18 to 26, at 10 dB 8 to 13.
const SIGNAL_TO_NOISE_DB_MIN: f32 = 14.5;
/// How far the worse listener may be below the limit.
const SECOND_SCORE_MARGIN: f32 = 2.0;
/// From the limit to a score as good as they come.
const SCORE_RANGE: f32 = 20.0;
/// Frames of the shortest utterance of a word: a click is shorter.
const WORD_FRAMES_BASE: usize = 10;
const WORD_FRAMES_EACH: usize = 4;
/// Pre-roll, hangover, and a thoughtful pause.
const UTTERANCE_MS_BASE: u64 = 2_500;
const WORD_MS_MAX: u64 = 800;
/// Up to three words have to be the same ones; of four or more one may differ.
const OVERLAP_MIN: f32 = 0.7;

#[cfg(test)]
mod tests {
    use super::*;

    const SCORE_MIN: f32 = -34.0;

    fn heard(text: &str, score: f32) -> Heard {
        let word_frames = 30 * u32::try_from(text.split(' ').count()).unwrap();
        Heard { text: text.to_owned(), score, path_score: (score * 100.0) as i32, word_frames }
    }

    fn doubt(heard: &Heard, ms: u64) -> Option<Doubt> {
        plausible(Some(heard), SCORE_MIN, ms).err()
    }

    #[test]
    fn a_click_and_a_noisy_line_are_not_listened_to() {
        assert_eq!(worth_hearing(100, 60.0), Err(Doubt::TooShort));
        assert_eq!(worth_hearing(1_500, 10.0), Err(Doubt::Noise));
        assert_eq!(worth_hearing(1_500, 20.0), Ok(()));
    }

    #[test]
    fn each_way_of_being_implausible_has_its_name() {
        assert_eq!(doubt(&heard("book a room", -25.0), 2_000), None);
        assert_eq!(plausible(None, SCORE_MIN, 2_000), Err(Doubt::Nothing));
        assert_eq!(doubt(&heard("book a room", -40.0), 2_000), Some(Doubt::Score));
        assert_eq!(doubt(&heard("yes", -20.0), 5_000), Some(Doubt::Stretched));
        let hurried = Heard { word_frames: 6, ..heard("two", -15.0) };
        assert_eq!(doubt(&hurried, 1_500), Some(Doubt::Hurried));
    }

    #[test]
    fn the_better_of_two_agreeing_listeners_is_believed() {
        let plain = heard("a double room please", -30.0);
        let quieted = heard("the double room please", -24.0);
        let (text, confidence) = agreement(&plain, &quieted, SCORE_MIN).unwrap();
        assert_eq!(text, "the double room please");
        assert!((confidence - 0.75).abs() < 1e-3);
    }

    #[test]
    fn listeners_that_disagree_or_are_both_unsure_are_not_believed() {
        let yes = heard("yes please", -20.0);
        let ten = heard("ten please", -20.0);
        assert_eq!(agreement(&yes, &ten, SCORE_MIN), Err(Doubt::Disagreement));
        let unsure = heard("yes please", -35.0);
        assert_eq!(agreement(&unsure, &unsure, SCORE_MIN), Err(Doubt::Score));
    }

    #[test]
    fn a_command_may_be_a_little_worse_than_the_best_decoy() {
        let three = heard("three", -25.0);
        assert!(is_command(&three, None));
        assert!(is_command(&three, Some(-2_400)));
        assert!(!is_command(&three, Some(-2_300)));
    }

    #[test]
    fn a_number_is_not_taken_for_another_one() {
        assert!((overlap("bye bye", "bye") - 2.0 / 3.0).abs() < 1e-6);
        assert!(overlap("ten nights please", "two nights please") < OVERLAP_MIN);
        assert!(overlap("", "").abs() < 1e-6);
    }
}
