//! Audio that comes late, all of it: on each way in, in virtual time.

use std::time::Duration;

use tokio::time::Instant;

use super::stage::{Caller, Script, Stage, act, speech};
use crate::actors::link::{ChunkOutcome, Delivery, StreamOutcome};
use crate::types::{CallEventKind, INNER_RATE, Route, UtteranceEnd};

const PIECE_MS: u32 = 20;

/// The ways in: `/v1/stream`, the simulator's, and the HTTP callback's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Stream,
    Samples,
    Chunks,
}

const WAYS: [Way; 3] = [Way::Stream, Way::Samples, Way::Chunks];

/// A caller in real time whose network holds everything up now and then.
struct Phone<'a> {
    caller: &'a Caller,
    way: Way,
    sequence: u64,
}

impl<'a> Phone<'a> {
    fn new(caller: &'a Caller, way: Way) -> Self {
        Self { caller, way, sequence: 0 }
    }

    /// Hands a piece over. Whether it was taken.
    fn give(&mut self, piece: &[i16]) -> bool {
        let bytes: Vec<u8> = piece.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let input = &self.caller.input;
        match self.way {
            Way::Stream => input.stream(&bytes) == StreamOutcome::Accepted,
            Way::Samples => input.samples(piece, bytes.len() as u64) == StreamOutcome::Accepted,
            Way::Chunks => {
                let taken = input.chunk(self.sequence, &bytes) == ChunkOutcome::Accepted;
                self.sequence += u64::from(taken);
                taken
            }
        }
    }

    fn give_all(&mut self, samples: &[i16]) {
        for piece in pieces(samples) {
            assert!(self.give(piece), "{:?}", self.way);
        }
    }

    async fn say(&mut self, samples: &[i16]) {
        for piece in pieces(samples) {
            assert!(self.give(piece), "{:?}", self.way);
            pass(PIECE_MS).await;
        }
    }

    async fn pause(&mut self, ms: u32) {
        self.say(&silence(ms)).await;
    }

    /// Says something, and is silent until the answer comes. Returns how long that took
    /// from the end of the recording.
    async fn ask(&mut self) -> u128 {
        let heard = self.caller.sentences().len();
        self.say(&speech()).await;
        let asked = Instant::now();
        while self.caller.sentences().len() == heard {
            assert!(asked.elapsed() < Duration::from_secs(20), "nothing was answered");
            self.pause(PIECE_MS).await;
        }
        asked.elapsed().as_millis()
    }
}

fn pieces(samples: &[i16]) -> std::slice::Chunks<'_, i16> {
    samples.chunks(INNER_RATE.samples_in_ms(PIECE_MS))
}

fn silence(ms: u32) -> Vec<i16> {
    vec![0; INNER_RATE.samples_in_ms(ms)]
}

async fn pass(ms: u32) {
    tokio::time::sleep(Duration::from_millis(u64::from(ms))).await;
}

fn script() -> Script {
    Script { words: vec!["two"; 10], ..Script::default() }
}

fn dropped(caller: &Caller) -> u64 {
    let dropped = |kind: &CallEventKind| {
        if let CallEventKind::AudioDropped { samples } = kind { *samples } else { 0 }
    };
    caller.events.lock().iter().map(dropped).sum()
}

fn utterance_ends(caller: &Caller) -> Vec<UtteranceEnd> {
    let end = |kind: &CallEventKind| match kind {
        CallEventKind::UtteranceSegmented { end, .. } => Some(*end),
        _ => None,
    };
    caller.events.lock().iter().filter_map(end).collect()
}

/// What happens to a call between two questions.
type Mishap = for<'a, 'b> fn(&'a mut Phone<'b>) -> std::pin::Pin<Box<dyn Future<Output = ()> + 'a>>;

/// How much longer the answer takes after `mishap`, in milliseconds.
fn lag_after(way: Way, mishap: Mishap) -> i128 {
    let lag = std::rc::Rc::new(std::cell::Cell::new(0));
    let told = std::rc::Rc::clone(&lag);
    act(move || async move {
        let stage = Stage::new(script(), Route::default());
        let caller = stage.call("a", Delivery::WholeSentences).await;
        let mut phone = Phone::new(&caller, way);
        phone.pause(2_000).await;
        let before = phone.ask().await;
        phone.pause(3_000).await;
        mishap(&mut phone).await;
        let after = phone.ask().await;
        told.set(after as i128 - before as i128);
    });
    lag.get()
}

#[test]
fn a_stall_of_six_seconds_makes_no_later_answer_late() {
    for way in WAYS {
        let lag = lag_after(way, |phone| {
            Box::pin(async {
                pass(6_000).await;
                phone.give_all(&silence(6_000));
            })
        });
        assert!(lag.abs() <= 40, "{way:?}: {lag} ms");
    }
}

#[test]
fn a_stall_of_six_seconds_in_big_pieces_makes_no_later_answer_late() {
    for way in WAYS {
        let lag = lag_after(way, |phone| {
            Box::pin(async {
                pass(6_000).await;
                (0..3).for_each(|_| assert!(phone.give(&silence(2_000))));
            })
        });
        assert!(lag.abs() <= 40, "{way:?}: {lag} ms");
    }
}

#[test]
fn a_process_that_was_stopped_for_six_seconds_answers_no_later() {
    for way in WAYS {
        let lag = lag_after(way, |phone| {
            Box::pin(async {
                tokio::time::advance(Duration::from_secs(6)).await;
                phone.give_all(&silence(6_000));
            })
        });
        assert!(lag.abs() <= 40, "{way:?}: {lag} ms");
    }
}

#[test]
fn a_start_that_was_buffered_makes_no_later_answer_late() {
    for way in WAYS {
        for buffered_ms in [2_000, 4_800] {
            act(move || async move {
                let stage = Stage::new(script(), Route::default());
                let caller = stage.call("a", Delivery::WholeSentences).await;
                let mut phone = Phone::new(&caller, way);
                phone.give_all(&silence(buffered_ms));
                phone.pause(6_000).await;
                let took = phone.ask().await;
                assert!(took <= 650, "{way:?}, {buffered_ms} ms: {took} ms");
                assert_eq!(dropped(&caller), 0);
            });
        }
    }
}

#[test]
fn a_stall_beyond_ten_seconds_drops_the_oldest_tells_it_and_answers_in_time() {
    for way in WAYS {
        act(move || async move {
            let stage = Stage::new(script(), Route::default());
            let caller = stage.call("a", Delivery::WholeSentences).await;
            let mut phone = Phone::new(&caller, way);
            phone.pause(1_000).await;
            pass(20_000).await;
            phone.give_all(&silence(20_000));
            phone.pause(1_000).await;
            let took = phone.ask().await;
            assert!(took <= 650, "{way:?}: {took} ms");
            let dropped_ms = dropped(&caller) / 16;
            assert!((4_000..=10_000).contains(&dropped_ms), "{way:?}: {dropped_ms} ms");
        });
    }
}

/// The audio of the utterances that are heard when the network stands still after
/// `stalls_at_ms` of the recording.
fn heard_with_stall(way: Way, stalls_at_ms: u32, stall: Stall) -> Vec<Vec<i16>> {
    let heard = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let told = std::rc::Rc::clone(&heard);
    act(move || async move {
        let stage = Stage::new(script(), Route::default());
        let caller = stage.call("a", Delivery::WholeSentences).await;
        let mut phone = Phone::new(&caller, way);
        phone.pause(2_000).await;
        let speech = speech();
        let (before, behind) = speech.split_at(INNER_RATE.samples_in_ms(stalls_at_ms));
        phone.say(before).await;
        match stall {
            Stall::None => phone.say(behind).await,
            Stall::Network(ms) => {
                pass(ms).await;
                let (late, rest) = behind.split_at(INNER_RATE.samples_in_ms(ms).min(behind.len()));
                phone.give_all(late);
                phone.say(rest).await;
            }
            Stall::Process(ms) => {
                tokio::time::advance(Duration::from_millis(u64::from(ms))).await;
                // Connections are visited again a while after the thread runs again.
                pass(100).await;
                phone.give_all(behind);
            }
        }
        phone.pause(2_000).await;
        assert!(
            !utterance_ends(&caller).contains(&UtteranceEnd::Stalled),
            "{:?}",
            utterance_ends(&caller)
        );
        let utterances = stage.services.utterances.lock();
        *told.borrow_mut() = utterances.iter().map(|audio| audio.samples().to_vec()).collect();
    });
    heard.take()
}

#[derive(Clone, Copy)]
enum Stall {
    None,
    Network(u32),
    Process(u32),
}

#[test]
fn a_stall_of_1200_ms_anywhere_in_an_utterance_changes_no_sample_of_it() {
    let whole = heard_with_stall(Way::Stream, 0, Stall::None);
    assert_eq!(whole.len(), 1);
    for (way, from) in WAYS.into_iter().zip([300, 450, 600]) {
        for at_ms in (from..2_200).step_by(450) {
            assert_eq!(
                heard_with_stall(way, at_ms, Stall::Network(1_200)),
                whole,
                "{way:?} {at_ms}"
            );
        }
    }
}

#[test]
fn a_process_that_was_stopped_in_mid_word_hears_the_whole_word() {
    let whole = heard_with_stall(Way::Stream, 0, Stall::None);
    for way in WAYS {
        assert_eq!(heard_with_stall(way, 1_000, Stall::Process(6_000)), whole, "{way:?}");
    }
}

#[test]
fn what_waits_when_another_connection_takes_over_is_told_as_dropped() {
    act(|| async {
        let stage = Stage::new(script(), Route::default());
        let first = stage.call("a", Delivery::WholeSentences).await;
        pass(100).await;
        Phone::new(&first, Way::Stream).give_all(&silence(4_000));
        pass(500).await;
        let second = stage.call("a", Delivery::WholeSentences).await;
        pass(500).await;
        let dropped_ms = (dropped(&first) + dropped(&second)) / 16;
        assert!((500..=1_500).contains(&dropped_ms), "{dropped_ms} ms");
    });
}

#[test]
fn a_caller_whose_silence_is_not_sent_is_answered_as_soon_as_one_whose_is() {
    act(|| async {
        let stage = Stage::new(script(), Route::default());
        let caller = stage.call("a", Delivery::WholeSentences).await;
        // The voice, and what a phone sends of the silence before it stops.
        let mut voice = speech();
        let ends = voice.iter().rposition(|sample| sample.abs() > 1_000).expect("a voice");
        voice.truncate(ends + INNER_RATE.samples_in_ms(200));
        for turn in 1..=3 {
            caller.send(&voice, PIECE_MS).await;
            pass(700).await;
            assert_eq!(caller.sentences().len(), turn);
            pass(3_000).await;
        }
        assert_eq!(utterance_ends(&caller), [UtteranceEnd::Stalled; 3]);
    });
}

#[test]
fn a_caller_who_is_gone_in_mid_word_does_not_hold_the_turn_for_ever() {
    act(|| async {
        let stage = Stage::new(script(), Route::default());
        let caller = stage.call("a", Delivery::WholeSentences).await;
        let mut phone = Phone::new(&caller, Way::Stream);
        phone.pause(2_000).await;
        phone.say(&speech()[..INNER_RATE.samples_in_ms(1_000)]).await;
        pass(1_300).await;
        assert_eq!(caller.count("utterance_segmented"), 0);
        pass(500).await;
        assert_eq!(utterance_ends(&caller), [UtteranceEnd::Stalled]);
    });
}
