//! A call as a value: deadlines, legs, restarts and the numbering of its events.

use std::sync::Arc;

use proptest::prelude::*;

use super::{CallCore, CallInput, CallOutput, Job};
use crate::turn::{TurnInput, UtteranceFacts};
use crate::types::{
    CallEvent, CallEventKind, ChildKind, DialogReply, EndCause, Epoch, ExitReason, Generation,
    LegId, MediaTime, Now, ReplyOutput, Route, SentenceId, Transcript, TurnId, UtteranceEnd,
    UtteranceId,
};

struct Stage {
    core: CallCore,
    now: Now,
    outputs: Vec<CallOutput>,
}

impl Stage {
    fn new() -> Self {
        let core = CallCore::new(Now::default(), Arc::new(Route::default()));
        let mut stage = Self { core, now: Now::default(), outputs: Vec::new() };
        stage.feed(CallInput::LegAttached { leg: LegId(1), transport: "test".to_owned() });
        stage
    }

    /// Feeds an input and forgets what was done before.
    fn feed(&mut self, input: CallInput) {
        self.core.handle_input(self.now, input);
        self.outputs = std::iter::from_fn(|| self.core.poll_output()).collect();
    }

    fn turn(&mut self, turn: TurnInput) {
        self.feed(CallInput::Turn { turn });
    }

    /// Lets time pass, waking the core whenever it wants to be woken.
    fn wait_ms(&mut self, ms: u32) {
        let until = self.now.plus_ms(ms);
        self.outputs.clear();
        while let Some(at) = self.core.poll_timeout().filter(|&at| at <= until) {
            self.now = at;
            self.core.handle_timeout(at);
            self.outputs.extend(std::iter::from_fn(|| self.core.poll_output()));
        }
        self.now = until;
    }

    fn utterance(&mut self, number: u32) {
        self.turn(TurnInput::Utterance(UtteranceFacts {
            utterance: UtteranceId(number),
            audio_ms: 500,
            end_of_speech_ms: 500,
            sustained: true,
            end: UtteranceEnd::Silence,
        }));
    }

    fn events(&self) -> Vec<&'static str> {
        self.told().iter().map(|event| event.kind.name()).collect()
    }

    fn told(&self) -> Vec<CallEvent> {
        let event = |output: &CallOutput| match output {
            CallOutput::Tell(event) => Some(event.clone()),
            _ => None,
        };
        self.outputs.iter().filter_map(event).collect()
    }

    fn did(&self, wanted: impl Fn(&CallOutput) -> bool) -> bool {
        self.outputs.iter().any(wanted)
    }
}

fn exited(child: ChildKind, generation: u32) -> CallInput {
    let reason = ExitReason::Panicked { at: "here".to_owned() };
    CallInput::ChildExited { child, generation: Generation(generation), reason }
}

#[test]
fn children_are_started_from_the_sink_to_the_source() {
    let mut core = CallCore::new(Now::default(), Arc::new(Route::default()));
    let started: Vec<ChildKind> = std::iter::from_fn(|| core.poll_output())
        .filter_map(|output| match output {
            CallOutput::StartChild { child, .. } => Some(child),
            _ => None,
        })
        .collect();
    let mut expected = ChildKind::ALL.to_vec();
    expected.reverse();
    assert_eq!(started, expected);
}

#[test]
fn a_recogniser_that_never_answers_costs_the_turn_and_no_more() {
    let mut stage = Stage::new();
    stage.utterance(1);
    stage.wait_ms(10_000);
    assert!(stage.outputs.is_empty(), "the recogniser's own deadline comes first");
    stage.wait_ms(1_500);
    assert!(
        stage.did(|output| {
            *output == CallOutput::Abandon { job: Job::Utterance(UtteranceId(1)) }
        })
    );
    assert_eq!(stage.events(), ["stt_failed"]);
    assert!(!stage.core.is_ended());
}

#[test]
fn a_platform_that_never_answers_costs_the_turn_and_no_more() {
    let mut stage = Stage::new();
    stage.utterance(1);
    let result = Ok(Transcript::Final { text: "hello".into(), confidence: None });
    stage.turn(TurnInput::Transcribed { utterance: UtteranceId(1), result });
    assert!(stage.did(|output| matches!(output, CallOutput::Ask { turn: TurnId(1), .. })));
    stage.wait_ms(26_500);
    assert_eq!(stage.events(), ["dialog_failed"]);
}

#[test]
fn a_caller_who_does_not_come_back_ends_the_call() {
    let mut stage = Stage::new();
    stage.feed(CallInput::LegLost { leg: LegId(1), can_hear: false });
    assert_eq!(stage.events(), ["media_lost"]);
    stage.wait_ms(4_999);
    assert!(!stage.core.is_ended());
    stage.wait_ms(1);
    assert_eq!(stage.events(), ["call_ended"]);
    assert!(stage.did(|output| *output == CallOutput::End { cause: EndCause::MediaLost }));
}

#[test]
fn another_leg_replaces_the_children_that_hold_the_old_ones_rings() {
    let mut stage = Stage::new();
    stage.feed(CallInput::LegLost { leg: LegId(1), can_hear: false });
    stage.feed(CallInput::LegAttached { leg: LegId(2), transport: "test".to_owned() });
    assert_eq!(stage.events(), ["media_resumed"]);
    assert!(stage.did(|output| *output == CallOutput::StopChild { child: ChildKind::Ingest }));
    let completed = CallInput::ChildExited {
        child: ChildKind::Ingest,
        generation: Generation(1),
        reason: ExitReason::Completed,
    };
    stage.feed(completed);
    let start = CallOutput::StartChild { child: ChildKind::Ingest, generation: Generation(2) };
    assert_eq!(stage.outputs, [start], "it costs no restart and tells nothing");
    stage.wait_ms(10_000);
    assert!(!stage.core.is_ended(), "the window is closed");
}

#[test]
fn news_of_a_connection_that_was_replaced_changes_nothing() {
    let mut stage = Stage::new();
    stage.feed(CallInput::LegLost { leg: LegId(1), can_hear: false });
    stage.feed(CallInput::LegAttached { leg: LegId(2), transport: "test".to_owned() });
    stage.feed(CallInput::LegLost { leg: LegId(1), can_hear: false });
    assert!(stage.outputs.is_empty());
}

#[test]
fn each_child_has_a_budget_of_its_own() {
    let mut stage = Stage::new();
    for generation in 1..=3 {
        stage.feed(exited(ChildKind::Stt, generation));
        stage.feed(exited(ChildKind::Vad, generation));
        assert_eq!(stage.events(), ["child_restarted"]);
    }
    stage.feed(exited(ChildKind::Vad, 4));
    assert_eq!(stage.events(), ["restart_limit_reached"]);
    assert!(stage.did(|output| matches!(output, CallOutput::Speak { .. })), "the fallback");
}

#[test]
fn an_exit_of_an_earlier_life_is_not_another_death() {
    let mut stage = Stage::new();
    stage.feed(exited(ChildKind::Vad, 1));
    stage.feed(exited(ChildKind::Vad, 1));
    assert!(stage.outputs.is_empty());
}

#[test]
fn a_call_without_a_voice_ends_at_once() {
    let mut stage = Stage::new();
    for generation in 1..=4 {
        stage.feed(exited(ChildKind::Tts, generation));
    }
    assert!(stage.did(|output| *output == CallOutput::End { cause: EndCause::RestartLimit }));
}

#[test]
fn goodbyes_that_nobody_plays_do_not_keep_the_call() {
    let mut stage = Stage::new();
    stage.turn(TurnInput::GiveUp { cause: EndCause::TurnsFailed });
    // The sentences' deadlines end it before the farewell's does.
    stage.wait_ms(31_000);
    assert!(stage.core.is_ended());
}

/// The caller speaks on while the answer to what they said comes.
fn held_answer() -> Stage {
    let mut stage = Stage::new();
    stage.utterance(1);
    let result = Ok(Transcript::Final { text: "hello".into(), confidence: None });
    stage.turn(TurnInput::Transcribed { utterance: UtteranceId(1), result });
    stage.feed(CallInput::SpeechStarted { at: MediaTime::default() });
    stage.turn(TurnInput::Replied { turn: TurnId(1), result: Ok(reply("One.", false)) });
    let (sentence, audio_ms) = (SentenceId(1), Some(400));
    assert!(stage.did(|output| *output == CallOutput::HoldSpeaking { from: Some(sentence) }));
    stage.turn(TurnInput::SentenceReady { sentence, tts_ms: 10, audio_ms });
    stage
}

const GO_ON: CallOutput = CallOutput::HoldSpeaking { from: None };

#[test]
fn a_caller_who_never_stops_speaking_holds_the_answer_back_for_so_long_and_no_longer() {
    let mut stage = held_answer();
    stage.wait_ms(29_999);
    assert!(stage.outputs.is_empty(), "{:?}", stage.outputs);
    stage.wait_ms(1);
    assert_eq!(stage.outputs, [GO_ON]);
}

#[test]
fn on_a_line_that_is_never_silent_the_last_words_are_heard_before_the_call_ends() {
    let mut stage = held_answer();
    stage.wait_ms(10_000);
    stage.turn(TurnInput::GiveUp { cause: EndCause::Drained });
    let spoken = stage.outputs.iter().find_map(|output| match output {
        CallOutput::Speak { sentence, .. } => Some(*sentence),
        _ => None,
    });
    let sentence = spoken.expect("the fallback");
    assert_eq!(stage.outputs.last(), Some(&GO_ON), "nothing is held");
    stage.turn(TurnInput::SentenceReady { sentence, tts_ms: 10, audio_ms: Some(400) });
    stage.turn(TurnInput::SpeakingStopped { epoch: Epoch(1), cuts: Vec::new() });
    stage.turn(TurnInput::SentenceStarted { sentence });
    assert_eq!(stage.events(), ["fallback_played"]);
    assert!(!stage.did(|output| matches!(output, CallOutput::StopSpeaking { .. })));
    // One that is never over does not keep the call.
    stage.wait_ms(30_000);
    assert_eq!(stage.events().last(), Some(&"call_ended"));
}

#[test]
fn noise_that_ends_between_a_cut_and_the_limit_of_its_hold_is_no_noise_later() {
    let mut stage = held_answer();
    stage.wait_ms(29_900);
    stage.turn(TurnInput::Utterance(UtteranceFacts {
        utterance: UtteranceId(2),
        audio_ms: 29_900,
        end_of_speech_ms: 0,
        sustained: true,
        end: UtteranceEnd::MaxLength,
    }));
    stage.wait_ms(100);
    assert_eq!(stage.outputs, [GO_ON]);
    stage.wait_ms(400);
    stage.feed(CallInput::SpeechStarted { at: MediaTime::default() });
    let hold = CallOutput::HoldSpeaking { from: Some(SentenceId(1)) };
    assert!(stage.did(|output| *output == hold), "{:?}", stage.outputs);
}

#[test]
fn who_falls_silent_just_where_an_utterance_is_cut_holds_it_back_for_a_moment() {
    let mut stage = held_answer();
    stage.turn(TurnInput::Utterance(UtteranceFacts {
        utterance: UtteranceId(2),
        audio_ms: 30_000,
        end_of_speech_ms: 0,
        sustained: true,
        end: UtteranceEnd::MaxLength,
    }));
    assert!(!stage.did(|output| *output == GO_ON));
    stage.wait_ms(400);
    assert_eq!(stage.outputs, [GO_ON]);
}

fn reply(text: &str, end_call: bool) -> DialogReply {
    DialogReply {
        outputs: vec![ReplyOutput { text: text.into(), markup: None, interruptible: None }],
        end_call,
        ..DialogReply::default()
    }
}

/// Inputs in any order, sensible or not.
fn any_input() -> impl Strategy<Value = CallInput> {
    let id = 0u32..4;
    let turn = prop_oneof![
        Just(TurnInput::SpeechSustained),
        Just(TurnInput::HoldExpired),
        Just(TurnInput::GiveUp { cause: EndCause::TurnsFailed }),
        (id.clone(), any::<bool>()).prop_map(|(id, sustained)| TurnInput::Utterance(
            UtteranceFacts {
                utterance: UtteranceId(id),
                audio_ms: 100,
                end_of_speech_ms: 100,
                sustained,
                end: UtteranceEnd::Silence,
            }
        )),
        id.clone().prop_map(|id| TurnInput::Transcribed {
            utterance: UtteranceId(id),
            result: Ok(Transcript::Final { text: "words".into(), confidence: None }),
        }),
        (id.clone(), any::<bool>()).prop_map(|(id, end_call)| TurnInput::Replied {
            turn: TurnId(id),
            result: Ok(reply("One. Two.", end_call)),
        }),
        id.clone().prop_map(|id| TurnInput::SentenceStarted { sentence: SentenceId(id) }),
        id.clone().prop_map(|id| TurnInput::SentenceFinished { sentence: SentenceId(id) }),
        id.clone().prop_map(|id| TurnInput::SpeakingStopped { epoch: Epoch(id), cuts: Vec::new() }),
    ];
    prop_oneof![
        6 => turn.prop_map(|turn| CallInput::Turn { turn }),
        1 => id.clone().prop_map(|id| CallInput::LegAttached {
            leg: LegId(id),
            transport: "test".to_owned()
        }),
        1 => (id.clone(), any::<bool>())
            .prop_map(|(id, can_hear)| CallInput::LegLost { leg: LegId(id), can_hear }),
        1 => id.clone().prop_map(|id| exited(ChildKind::ALL[id as usize], 1)),
        1 => Just(CallInput::SpeechStarted { at: MediaTime::default() }),
        1 => id.prop_map(|_| CallInput::HungUp { cause: EndCause::CallerHungUp }),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_events_are_numbered_without_a_gap_and_the_end_is_the_last(
        inputs in proptest::collection::vec((any_input(), 0u32..20_000), 1..60),
    ) {
        let mut stage = Stage::new();
        let mut told = stage.told();
        for (input, wait_ms) in inputs {
            stage.feed(input);
            told.extend(stage.told());
            stage.wait_ms(wait_ms);
            told.extend(stage.told());
        }
        for (at, event) in told.iter().enumerate() {
            prop_assert_eq!(event.sequence, at as u64 + 1);
        }
        let ends = told
            .iter()
            .filter(|event| matches!(event.kind, CallEventKind::CallEnded { .. }))
            .count();
        prop_assert_eq!(ends, usize::from(stage.core.is_ended()));
        if stage.core.is_ended() {
            let last = told.last().map(|event| event.kind.name());
            prop_assert_eq!(last, Some("call_ended"));
        }
    }

    #[test]
    fn a_call_written_down_between_any_two_inputs_goes_on_as_if_nothing_had_been(
        inputs in proptest::collection::vec(any_input(), 1..40),
        at in 0usize..40,
    ) {
        let (mut whole, mut resumed) = (Stage::new(), Stage::new());
        for (number, input) in inputs.into_iter().enumerate() {
            if number == at {
                let text = serde_json::to_string(&resumed.core).expect("it can be written");
                resumed.core = serde_json::from_str(&text).expect("it can be read");
            }
            whole.feed(input.clone());
            resumed.feed(input);
            prop_assert_eq!(&whole.outputs, &resumed.outputs);
            whole.wait_ms(700);
            resumed.wait_ms(700);
            prop_assert_eq!(&whole.outputs, &resumed.outputs);
        }
    }
}

#[test]
fn a_flood_of_refused_input_is_told_in_a_few_events_that_add_up_to_the_end() {
    let mut stage = Stage::new();
    let mut told = Vec::new();
    for _ in 0..5_500 {
        let fact = CallEventKind::InputRefused { code: "bad_message".to_owned(), count: 1 };
        stage.feed(CallInput::Noted { fact });
        told.extend(stage.told());
        stage.wait_ms(1);
        told.extend(stage.told());
    }
    stage.feed(CallInput::HungUp { cause: EndCause::CallerHungUp });
    told.extend(stage.told());
    let count = |event: &CallEvent| match event.kind {
        CallEventKind::InputRefused { count, .. } => count,
        _ => 0,
    };
    assert_eq!(told.iter().map(count).sum::<u32>(), 5_500);
    assert!(told.len() < 80, "{} events", told.len());
    assert_eq!(told.last().map(|event| event.kind.name()), Some("call_ended"), "nothing follows");
}
