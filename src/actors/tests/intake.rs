//! What becomes of the caller's audio on its way in.

use std::time::Duration;

use super::stage::{Caller, Script, Stage, act, speech};
use crate::actors::link::{ChunkOutcome, Delivery, StreamOutcome};
use crate::types::{CallEventKind, Route};

const SENTENCES: Delivery = Delivery::WholeSentences;

/// The recording in numbered chunks of 100 ms, followed by silence.
fn chunks() -> Vec<(u64, Vec<u8>)> {
    let mut audio = speech();
    audio.extend(vec![0; 16_000]);
    let bytes = |samples: &[i16]| samples.iter().flat_map(|s| s.to_le_bytes()).collect();
    (0u64..).zip(audio.chunks(1_600).map(bytes)).collect()
}

async fn pass(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

#[test]
fn chunks_that_arrive_in_another_order_are_heard_in_the_right_one() {
    act(|| async {
        let stage = Stage::new(Script::default(), Route::default());
        let caller = stage.call("a", SENTENCES).await;
        for pair in chunks().chunks(2) {
            for (sequence, bytes) in pair.iter().rev() {
                assert_eq!(caller.input.chunk(*sequence, bytes), ChunkOutcome::Accepted);
                pass(100).await;
            }
        }
        pass(1_000).await;
        assert_eq!(caller.count("utterance_segmented"), 1);
        assert_eq!(caller.count("audio_gap"), 0);
        assert_eq!(caller.sentences().first().map(String::as_str), Some("intent_one"));
    });
}

#[test]
fn a_chunk_that_never_comes_is_a_gap_that_is_told_and_positions_stay_true() {
    act(|| async {
        let stage = Stage::new(Script::default(), Route::default());
        let caller = stage.call("a", SENTENCES).await;
        for (sequence, bytes) in chunks() {
            if sequence != 3 {
                caller.input.chunk(sequence, &bytes);
            }
            pass(100).await;
        }
        pass(1_000).await;
        let gaps: Vec<CallEventKind> = caller
            .events
            .lock()
            .iter()
            .filter(|kind| matches!(kind, CallEventKind::AudioGap { .. }))
            .cloned()
            .collect();
        assert_eq!(gaps, [CallEventKind::AudioGap { samples: 1_600 }]);
        assert_eq!(caller.count("utterance_segmented"), 1);
        assert_eq!(
            caller.input.chunk(3, &[0; 320]),
            ChunkOutcome::Duplicate,
            "its time has passed"
        );
    });
}

fn gaps(caller: &Caller) -> Vec<u64> {
    let gap = |kind: &CallEventKind| match kind {
        CallEventKind::AudioGap { samples } => Some(*samples),
        _ => None,
    };
    caller.events.lock().iter().filter_map(gap).collect()
}

#[test]
fn each_of_several_gaps_behind_a_backlog_is_told_and_none_cuts_the_utterance() {
    act(|| async {
        let stage = Stage::new(Script::default(), Route::default());
        let caller = stage.call("a", SENTENCES).await;
        // All at once: more than a burst. What is missing is silence behind the words.
        let chunks = chunks();
        let missing = [chunks.len() as u64 - 6, chunks.len() as u64 - 4];
        for (sequence, bytes) in &chunks {
            if !missing.contains(sequence) {
                assert_eq!(caller.input.chunk(*sequence, bytes), ChunkOutcome::Accepted);
            }
        }
        pass(4_000).await;
        assert_eq!(gaps(&caller), [1_600, 1_600]);
        assert_eq!(caller.count("utterance_segmented"), 1);
        assert_eq!(caller.sentences().first().map(String::as_str), Some("intent_one"));
    });
}

#[test]
fn a_first_chunk_that_never_comes_is_told_as_long_as_the_next_one() {
    act(|| async {
        let stage = Stage::new(Script::default(), Route::default());
        let caller = stage.call("a", SENTENCES).await;
        caller.input.chunk(2, &[0; 640]);
        pass(400).await;
        assert_eq!(gaps(&caller), [640]);
    });
}

#[test]
fn a_chunk_that_is_held_already_is_a_duplicate_also_when_there_is_no_room() {
    act(|| async {
        let stage = Stage::new(Script::default(), Route::default());
        let caller = stage.call("a", SENTENCES).await;
        let second = [0; 32_000];
        let outcomes: Vec<_> =
            (1..20).map(|sequence| caller.input.chunk(sequence, &second)).collect();
        let taken = outcomes.iter().filter(|outcome| **outcome == ChunkOutcome::Accepted).count();
        assert_eq!(taken, 5, "two bursts: {outcomes:?}");
        assert_eq!(caller.input.chunk(1, &second), ChunkOutcome::Duplicate);
        assert_eq!(caller.input.state().buffered_ms, 5_000);
        // Their predecessor is given up after the latency ceiling, and they are heard.
        pass(6_000).await;
        assert_eq!(caller.input.state().buffered_ms, 0);
        assert_eq!(caller.input.state().next_sequence, 6);
    });
}

#[test]
fn a_number_is_taken_once() {
    act(|| async {
        let stage = Stage::new(Script::default(), Route::default());
        let caller = stage.call("a", SENTENCES).await;
        assert_eq!(caller.input.chunk(0, &[0; 320]), ChunkOutcome::Accepted);
        assert_eq!(caller.input.chunk(0, &[0; 320]), ChunkOutcome::Duplicate);
        assert_eq!(caller.input.chunk(5, &[0; 320]), ChunkOutcome::Accepted);
        assert_eq!(caller.input.chunk(5, &[0; 320]), ChunkOutcome::Duplicate);
        assert_eq!(caller.input.chunk(9_999, &[0; 320]), ChunkOutcome::TooFarAhead);
        assert_eq!(caller.input.state().next_sequence, 1);
    });
}

#[test]
fn a_sender_far_ahead_of_real_time_is_slowed_down_and_loses_nothing() {
    act(|| async {
        let stage = Stage::new(Script::default(), Route::default());
        let caller = stage.call("a", SENTENCES).await;
        let mut audio = vec![0i16; 10 * 16_000];
        audio.extend(speech());
        audio.extend(vec![0; 16_000]);
        let mut refused = 0;
        for piece in audio.chunks(1_600) {
            let bytes: Vec<u8> = piece.iter().flat_map(|s| s.to_le_bytes()).collect();
            while caller.input.stream(&bytes) == StreamOutcome::Full {
                refused += 1;
                pass(20).await;
            }
        }
        pass(6_000).await;
        assert!(refused > 0, "14 s at once are more than a burst");
        assert_eq!(caller.count("audio_dropped"), 0);
        assert_eq!(caller.count("utterance_segmented"), 1);
    });
}

#[test]
fn audio_that_waited_longer_than_the_ceiling_is_dropped_and_told() {
    act(|| async {
        let stage = Stage::new(Script::default(), Route::default());
        let caller = stage.call("a", SENTENCES).await;
        caller.pause(100).await;
        caller.input.stream(&[0; 6_400]);
        // The engine is behind: its thread gets no turn for longer than the ceiling.
        tokio::time::advance(Duration::from_millis(400)).await;
        caller.pause(200).await;
        let dropped: u64 = caller
            .events
            .lock()
            .iter()
            .map(
                |kind| {
                    if let CallEventKind::AudioDropped { samples } = kind { *samples } else { 0 }
                },
            )
            .sum();
        assert_eq!(dropped, 3_200);
    });
}

#[test]
fn audio_at_twice_its_declared_pace_is_reported() {
    act(|| async {
        let stage = Stage::new(Script::default(), Route::default());
        let caller = stage.call("a", SENTENCES).await;
        for _ in 0..1_000 {
            let _outcome = caller.input.stream(&[0; 1_280]);
            pass(20).await;
        }
        assert_eq!(caller.count("rate_suspected"), 1);
    });
}

#[test]
fn audio_of_a_browser_sent_as_16_khz_is_reported() {
    for hz in [24_000, 44_100, 48_000] {
        act(move || async move {
            let stage = Stage::new(Script::default(), Route::default());
            let caller = stage.call("a", SENTENCES).await;
            for _ in 0..500 {
                let _outcome = caller.input.stream(&vec![0; hz / 50 * 2]);
                pass(20).await;
            }
            assert_eq!(caller.count("rate_suspected"), 1, "{hz}");
        });
    }
}

#[test]
fn audio_at_half_its_declared_pace_is_reported() {
    act(|| async {
        let stage = Stage::new(Script::default(), Route::default());
        let caller = stage.call("a", SENTENCES).await;
        for _ in 0..1_000 {
            let _outcome = caller.input.stream(&[0; 320]);
            pass(20).await;
        }
        assert_eq!(caller.count("rate_suspected"), 1);
    });
}

#[test]
fn an_odd_byte_is_carried_to_the_next_piece() {
    act(|| async {
        let stage = Stage::new(Script::default(), Route::default());
        let caller = stage.call("a", SENTENCES).await;
        let mut audio = speech();
        audio.extend(vec![0; 16_000]);
        let bytes: Vec<u8> = audio.iter().flat_map(|s| s.to_le_bytes()).collect();
        for piece in bytes.chunks(641) {
            assert_eq!(caller.input.stream(piece), StreamOutcome::Accepted);
            pass(20).await;
        }
        pass(1_000).await;
        assert_eq!(caller.count("utterance_segmented"), 1);
        assert_eq!(caller.sentences().first().map(String::as_str), Some("intent_one"));
    });
}
