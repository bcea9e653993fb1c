//! Conversations as stories: what happens on the left, what is done on the right.

use std::sync::Arc;

use super::{Conversation, TurnInput, TurnOutput, UtteranceFacts};
use crate::turn::CutShort;
use crate::types::{
    CallEventKind, DialogFailure, DialogReply, EndCause, Epoch, Now, Prompt, ReplyFlaw,
    ReplyOutput, Route, SentenceId, SessionData, SttFailure, Transcript, TtsFailure, TurnId,
    UtteranceEnd, UtteranceId,
};

/// A conversation whose clock moves 10 ms with every input.
struct Story {
    conversation: Conversation,
    now: Now,
}

impl Story {
    fn begin() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Route)) -> Self {
        let mut route = Route::default();
        change(&mut route);
        Self { conversation: Conversation::new(Arc::new(route)), now: Now::default() }
    }

    /// Feeds an input; returns what is to be done, events left out.
    fn then(&mut self, input: TurnInput) -> Vec<String> {
        self.feed(input).into_iter().filter_map(|output| told(&output)).collect()
    }

    /// Feeds an input; returns the names of the events.
    fn events(&mut self, input: TurnInput) -> Vec<&'static str> {
        let name = |output: TurnOutput| match output {
            TurnOutput::Tell { kind, .. } => Some(kind.name()),
            _ => None,
        };
        self.feed(input).into_iter().filter_map(name).collect()
    }

    fn feed(&mut self, input: TurnInput) -> Vec<TurnOutput> {
        self.now = self.now.plus_ms(10);
        self.conversation.handle_input(self.now, input);
        std::iter::from_fn(|| self.conversation.poll_output()).collect()
    }

    /// A whole turn up to the reply.
    fn turn(&mut self, number: u32, says: &str, reply: DialogReply) -> Vec<String> {
        self.then(utterance(number));
        self.then(transcribed(number, says));
        self.then(replied(number, reply))
    }
}

fn told(output: &TurnOutput) -> Option<String> {
    Some(match output {
        TurnOutput::Transcribe { utterance } => format!("transcribe {utterance}"),
        TurnOutput::Discard { utterance } => format!("discard {utterance}"),
        TurnOutput::Ask { turn, text, .. } => format!("ask {turn} {}", text.expose()),
        TurnOutput::Speak { sentence, text, .. } => format!("speak {sentence} {}", text.expose()),
        TurnOutput::StopSpeaking { epoch } => format!("stop, epoch {epoch}"),
        TurnOutput::End { cause } => format!("end {}", cause.as_str()),
        TurnOutput::Tell { .. } => return None,
    })
}

fn facts(number: u32, sustained: bool) -> UtteranceFacts {
    UtteranceFacts {
        utterance: UtteranceId(number),
        audio_ms: 1_000,
        end_of_speech_ms: 500,
        sustained,
        end: UtteranceEnd::Silence,
    }
}

fn utterance(number: u32) -> TurnInput {
    TurnInput::Utterance(facts(number, true))
}

fn transcribed(number: u32, text: &str) -> TurnInput {
    let result = Ok(Transcript::Final { text: text.into(), confidence: None });
    TurnInput::Transcribed { utterance: UtteranceId(number), result }
}

fn replied(turn: u32, reply: DialogReply) -> TurnInput {
    TurnInput::Replied { turn: TurnId(turn), result: Ok(reply) }
}

fn says(text: &str) -> DialogReply {
    DialogReply {
        outputs: vec![ReplyOutput { text: text.into(), interruptible: None }],
        intent: Some("hotel".to_owned()),
        confidence: None,
        next_state: None,
        session: SessionData::default(),
        end_call: false,
        flaws: Vec::new(),
        waited_ms: 0,
    }
}

fn started(sentence: u32) -> TurnInput {
    TurnInput::SentenceStarted { sentence: SentenceId(sentence) }
}

fn finished(sentence: u32) -> TurnInput {
    TurnInput::SentenceFinished { sentence: SentenceId(sentence) }
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_turn_goes_from_the_utterance_to_the_spoken_answer() {
    let mut story = Story::begin();
    assert_eq!(story.then(utterance(1)), ["transcribe 1"]);
    assert_eq!(story.then(transcribed(1, "breakfast")), ["ask 1 breakfast"]);
    assert_eq!(
        story.then(replied(1, says("At seven. Enjoy."))),
        ["speak 1 At seven.", "speak 2 Enjoy."]
    );
    assert_eq!(story.events(started(1)), ["turn_answered"]);
    assert_eq!(story.then(finished(1)), NOTHING);
    assert_eq!(story.events(finished(2)), ["bot_turn_stopped"]);
}

#[test]
fn the_stages_of_an_answered_turn_are_timed() {
    let mut story = Story::begin();
    story.turn(1, "breakfast", says("At seven."));
    let answered = story.feed(started(1)).into_iter().find_map(|output| match output {
        TurnOutput::Tell { kind: CallEventKind::TurnAnswered { timings, .. }, .. } => Some(timings),
        _ => None,
    });
    let timings = answered.expect("the turn is answered");
    assert_eq!(
        (timings.end_of_speech_ms, timings.stt_ms, timings.dialog_ms, timings.tts_ms),
        (500, 10, 10, 10)
    );
    assert_eq!(timings.response_ms, 30);
}

/// How many characters a reply is told to be too long by.
fn unsaid_chars(outputs: &[TurnOutput]) -> Option<u64> {
    outputs.iter().find_map(|output| match output {
        TurnOutput::Tell {
            kind: CallEventKind::ReplyFlawed { flaw: ReplyFlaw::TooLong { unsaid_chars } },
            ..
        } => Some(*unsaid_chars),
        _ => None,
    })
}

fn sentences_said(outputs: &[TurnOutput]) -> usize {
    outputs.iter().filter(|output| matches!(output, TurnOutput::Speak { .. })).count()
}

#[test]
fn a_reply_without_end_makes_a_bounded_number_of_sentences_and_the_rest_is_told() {
    for pattern in ["Yes! Yes! ", "word ", "word", "... ", "Yes.\n"] {
        let mut story = Story::begin();
        story.then(utterance(1));
        story.then(transcribed(1, "breakfast"));
        let reply = says(&pattern.repeat((1 << 20) / pattern.len()));
        let outputs = story.feed(replied(1, reply));
        assert!(sentences_said(&outputs) <= 200, "{pattern:?}");
        let unsaid = unsaid_chars(&outputs).expect("it is told");
        assert!(unsaid >= (1 << 20) - 20_010, "{pattern:?}: {unsaid}");
        let told = outputs.iter().find_map(|output| match output {
            TurnOutput::Tell { kind: CallEventKind::DialogReplied { text, .. }, .. } => {
                Some(text.expose().chars().count())
            }
            _ => None,
        });
        assert!(told.expect("the reply is told") <= 20_000, "{pattern:?}");
    }
}

#[test]
fn what_waits_to_be_heard_is_bounded_over_several_replies() {
    let mut story = Story::begin();
    let said: usize = (1..=4)
        .map(|number| {
            story.then(utterance(number));
            story.then(transcribed(number, "breakfast"));
            sentences_said(&story.feed(replied(number, says(&"Yes! ".repeat(90)))))
        })
        .sum();
    assert_eq!(said, 200);
    let outputs = story.feed(TurnInput::GiveUp { cause: EndCause::Drained });
    assert_eq!(sentences_said(&outputs), 2, "the engine's own words are said in any case");
}

#[test]
fn a_transcript_that_nobody_can_have_spoken_is_not_asked() {
    let mut story = Story::begin();
    story.then(utterance(1));
    let outputs = story.feed(transcribed(1, &"la ".repeat(1 << 18)));
    let failed = outputs.iter().any(|output| {
        matches!(
            output,
            TurnOutput::Tell {
                kind: CallEventKind::SttFailed { failure: SttFailure::Failed { message }, .. },
                ..
            } if message.contains("4000 characters")
        )
    });
    assert!(failed, "{outputs:?}");
    assert!(!outputs.iter().any(|output| matches!(output, TurnOutput::Ask { .. })));
}

#[test]
fn a_reply_of_the_longest_kind_is_said_whole_and_nothing_is_told() {
    let mut story = Story::begin();
    story.then(utterance(1));
    story.then(transcribed(1, "breakfast"));
    let outputs = story.feed(replied(1, says(&"Yes, of course. ".repeat(200))));
    assert_eq!((sentences_said(&outputs), unsaid_chars(&outputs)), (200, None));
}

#[test]
fn a_reply_without_words_is_told_and_the_caller_is_asked_again() {
    let mut story = Story::with(|route| route.turns.failures_max = 2);
    story.then(utterance(1));
    story.then(transcribed(1, "breakfast"));
    let outputs = story.feed(replied(1, says(" ... ")));
    let flawed = CallEventKind::ReplyFlawed { flaw: ReplyFlaw::WithoutWords };
    let tells =
        |output: &TurnOutput| matches!(output, TurnOutput::Tell { kind, .. } if *kind == flawed);
    assert!(outputs.iter().any(tells), "{outputs:?}");
    assert!(outputs.iter().filter_map(told).next().is_some_and(|done| done.contains("Sorry")));
    let done = story.turn(2, "breakfast", says(""));
    assert!(done.iter().any(|done| done.contains("connection interruption")), "{done:?}");
}

#[test]
fn a_reply_that_ends_the_call_needs_no_words() {
    let mut story = Story::begin();
    story.then(utterance(1));
    story.then(transcribed(1, "bye"));
    let reply = DialogReply { end_call: true, ..says("") };
    assert_eq!(story.events(replied(1, reply)), ["dialog_replied"]);
}

#[test]
fn what_of_a_reply_is_not_done_is_told_and_its_words_are_said() {
    let mut story = Story::begin();
    story.then(utterance(1));
    story.then(transcribed(1, "an agent"));
    let flaws = vec![ReplyFlaw::ActionNotPossible { action: "dial".to_owned() }];
    let reply = DialogReply { flaws, ..says("One moment.") };
    assert_eq!(story.events(replied(1, reply)), ["dialog_replied", "reply_flawed"]);
    assert_eq!(story.events(started(1)), ["turn_answered"]);
}

#[test]
fn turns_are_asked_one_at_a_time_in_the_order_they_were_spoken() {
    let mut story = Story::begin();
    story.then(utterance(1));
    story.then(utterance(2));
    assert_eq!(story.then(transcribed(2, "second")), NOTHING, "the first is not understood yet");
    assert_eq!(story.then(transcribed(1, "first")), ["ask 1 first"]);
    assert_eq!(story.then(replied(1, says("One."))), ["speak 1 One.", "ask 2 second"]);
    assert_eq!(story.then(replied(2, says("Two."))), ["speak 2 Two."]);
}

#[test]
fn a_turn_that_is_not_understood_makes_way_for_the_next() {
    let mut story = Story::begin();
    story.then(utterance(1));
    story.then(utterance(2));
    story.then(transcribed(2, "second"));
    let no_match =
        TurnInput::Transcribed { utterance: UtteranceId(1), result: Ok(Transcript::NoMatch) };
    let done = story.then(no_match);
    assert!(done.contains(&"ask 2 second".to_owned()), "{done:?}");
    assert!(done[0].starts_with("speak 1 Sorry"), "{done:?}");
}

#[test]
fn the_session_goes_back_with_the_next_turn() {
    let mut story = Story::begin();
    let mut reply = says("One.");
    reply.session = SessionData::new(serde_json::json!({"nights": 2}));
    story.turn(1, "first", reply);
    story.then(utterance(2));
    let asked = story.feed(transcribed(2, "second"));
    let session = asked.iter().find_map(|output| match output {
        TurnOutput::Ask { session, .. } => Some(session.expose().clone()),
        _ => None,
    });
    assert_eq!(session, Some(serde_json::json!({"nights": 2})));
}

#[test]
fn an_interruption_stops_the_bot_and_counts_only_what_was_heard() {
    let mut story = Story::begin();
    story.turn(1, "breakfast", says("One two three four. Never said."));
    story.then(started(1));
    assert_eq!(story.then(TurnInput::SpeechSustained), ["stop, epoch 1"]);
    let cuts = vec![CutShort {
        sentence: SentenceId(1),
        heard_samples: 8_000,
        samples: 16_000,
        open: false,
    }];
    let stopped = story.feed(TurnInput::SpeakingStopped { epoch: Epoch(1), cuts });
    let heard = stopped.iter().find_map(|output| match output {
        TurnOutput::Tell {
            kind: CallEventKind::Interruption { heard, unheard_ms, .. }, ..
        } => Some((heard.expose().clone(), *unheard_ms)),
        _ => None,
    });
    assert_eq!(heard, Some(("One two".to_owned(), 500)));
    assert_eq!(story.then(utterance(2)), ["transcribe 2"]);
}

#[test]
fn of_a_sentence_that_still_grew_no_more_counts_as_heard_than_may_have_been_said() {
    let heard = |heard_samples| {
        let mut story = Story::begin();
        story.turn(1, "breakfast", says("One two three four."));
        story.then(started(1));
        story.then(TurnInput::SpeechSustained);
        let cut = CutShort { sentence: SentenceId(1), heard_samples, samples: 16_000, open: true };
        let stopped = TurnInput::SpeakingStopped { epoch: Epoch(1), cuts: vec![cut] };
        story.feed(stopped).into_iter().find_map(|output| match output {
            TurnOutput::Tell { kind: CallEventKind::Interruption { heard, .. }, .. } => {
                Some(heard.expose().clone())
            }
            _ => None,
        })
    };
    // 19 letters at 80 ms are 24,320 samples.
    assert_eq!(heard(16_000).as_deref(), Some("One two"));
    assert_eq!(heard(5_000).as_deref(), Some("One"));
}

#[test]
fn a_sentence_that_breaks_off_is_said_as_far_as_it_was_heard_and_the_next_one_follows() {
    let mut story = Story::begin();
    story.turn(1, "breakfast", says("One two three four. Five."));
    story.then(started(1));
    let cut =
        CutShort { sentence: SentenceId(1), heard_samples: 16_000, samples: 16_000, open: true };
    let failure = TtsFailure::Timeout;
    let broken = story.feed(TurnInput::SentenceBroken { cut, tts_ms: 900, failure });
    let told = |kind: &CallEventKind| matches!(kind, CallEventKind::TtsFailed { tts_ms: 900, .. });
    assert!(
        matches!(&broken[..], [TurnOutput::Tell { kind, .. }] if told(kind)),
        "no apology for what was heard in part: {broken:?}"
    );
    story.then(started(2));
    let stopped = story.feed(finished(2)).into_iter().find_map(|output| match output {
        TurnOutput::Tell { kind: CallEventKind::BotTurnStopped { heard }, .. } => {
            Some(heard.expose().clone())
        }
        _ => None,
    });
    assert_eq!(stopped.as_deref(), Some("One two Five."));
    assert_eq!(story.then(utterance(2)), ["transcribe 2"]);
}

#[test]
fn a_sentence_that_may_not_be_interrupted_is_not() {
    let mut story = Story::begin();
    let mut reply = says("Listen to the terms.");
    reply.outputs[0].interruptible = Some(false);
    story.turn(1, "terms", reply);
    story.then(started(1));
    assert_eq!(story.then(TurnInput::SpeechSustained), NOTHING);
    assert_eq!(story.then(utterance(2)), ["discard 2"]);
}

#[test]
fn a_cough_over_the_bot_is_ignored() {
    let mut story = Story::begin();
    story.turn(1, "breakfast", says("At seven."));
    story.then(started(1));
    assert_eq!(story.events(TurnInput::Utterance(facts(2, false))), ["utterance_ignored"]);
}

#[test]
fn nothing_is_interrupted_before_the_bot_is_heard() {
    let mut story = Story::begin();
    story.turn(1, "breakfast", says("At seven."));
    assert_eq!(story.then(TurnInput::SpeechSustained), NOTHING);
}

#[test]
fn a_greeting_is_said_when_one_is_configured() {
    let greeting = Prompt { text: "Welcome.".to_owned(), interruptible: None };
    let mut story = Story::with(|route| route.prompts.greeting = Some(greeting));
    assert_eq!(story.then(TurnInput::CallBegan), ["speak 1 Welcome."]);
    assert_eq!(Story::begin().then(TurnInput::CallBegan), NOTHING);
}

#[test]
fn failures_are_excused_until_there_are_too_many_in_a_row() {
    let mut story = Story::with(|route| route.turns.failures_max = 2);
    let fail = |utterance| TurnInput::Transcribed {
        utterance: UtteranceId(utterance),
        result: Err(SttFailure::Timeout),
    };
    story.then(utterance(1));
    assert!(story.then(fail(1))[0].contains("Sorry"));
    story.then(utterance(2));
    let given_up = story.then(fail(2));
    assert!(given_up.iter().any(|done| done.contains("connection interruption")), "{given_up:?}");
    assert_eq!(story.then(utterance(3)), ["discard 3"]);
    for sentence in 3..=4 {
        story.then(started(sentence));
    }
    story.then(finished(3));
    assert_eq!(story.then(finished(4)), ["end turns_failed"]);
}

#[test]
fn an_answered_turn_clears_earlier_failures() {
    let mut story = Story::with(|route| route.turns.failures_max = 2);
    let fail =
        |turn| TurnInput::Replied { turn: TurnId(turn), result: Err(DialogFailure::Timeout) };
    story.then(utterance(1));
    story.then(transcribed(1, "hello"));
    story.then(fail(1));
    // Two sentences of apology, then an answer that is heard.
    story.turn(2, "hello", says("Fine."));
    story.then(started(3));
    story.then(utterance(3));
    story.then(transcribed(3, "hello"));
    let done = story.then(fail(3));
    assert!(done[0].contains("Sorry"), "{done:?}");
}

#[test]
fn a_refused_key_ends_the_dialog_at_once() {
    let mut story = Story::begin();
    story.then(utterance(1));
    story.then(transcribed(1, "hello"));
    let done =
        story.then(TurnInput::Replied { turn: TurnId(1), result: Err(DialogFailure::Forbidden) });
    assert!(done[0].contains("connection interruption"), "{done:?}");
    assert_eq!(story.conversation.ending(), Some(EndCause::DialogUnauthorized));
}

#[test]
fn a_reply_without_any_voice_counts_as_a_failed_turn() {
    let mut story = Story::begin();
    story.turn(1, "breakfast", says("One. Two."));
    let failed = |sentence| TurnInput::SentenceFailed {
        sentence: SentenceId(sentence),
        tts_ms: 5,
        failure: TtsFailure::Timeout,
    };
    assert_eq!(story.then(failed(1)), NOTHING, "the other sentence may still come");
    assert!(story.then(failed(2))[0].contains("Sorry"));
}

fn unspoken(sentence: u32) -> TurnInput {
    let (sentence, failure) = (SentenceId(sentence), TtsFailure::Timeout);
    TurnInput::SentenceFailed { sentence, tts_ms: 5, failure }
}

#[test]
fn a_turn_of_which_nothing_could_be_spoken_is_told_once_and_the_fallback_is_heard() {
    let mut story = Story::begin();
    story.turn(1, "breakfast", says("One."));
    assert_eq!(story.events(unspoken(1)), ["tts_failed", "turn_unheard"]);
    assert_eq!(story.then(unspoken(2)), NOTHING, "the other sentence of the apology may come");
    let done = story.feed(unspoken(3));
    assert!(done.iter().filter_map(told).any(|it| it.contains("connection interruption")));
    assert!(!done.iter().any(|output| {
        matches!(output, TurnOutput::Tell { kind: CallEventKind::TurnUnheard {}, .. })
    }));
    assert_eq!(story.events(started(4)), ["fallback_played"]);
}

#[test]
fn an_apology_of_which_a_part_was_heard_is_not_replaced() {
    let mut story = Story::begin();
    story.then(utterance(1));
    let fail =
        TurnInput::Transcribed { utterance: UtteranceId(1), result: Err(SttFailure::Timeout) };
    story.then(fail);
    story.then(started(1));
    story.then(finished(1));
    assert_eq!(story.events(unspoken(2)), ["tts_failed", "bot_turn_stopped"]);
}

#[test]
fn a_greeting_and_a_no_match_that_cannot_be_spoken_are_replaced_too() {
    let greeting = Prompt { text: "Welcome.".to_owned(), interruptible: None };
    let mut story = Story::with(|route| route.prompts.greeting = Some(greeting));
    story.then(TurnInput::CallBegan);
    assert!(story.then(unspoken(1))[0].contains("connection interruption"));
    for sentence in [2, 3] {
        story.then(started(sentence));
        story.then(finished(sentence));
    }
    story.then(utterance(1));
    let no_match =
        TurnInput::Transcribed { utterance: UtteranceId(1), result: Ok(Transcript::NoMatch) };
    assert_eq!(story.then(no_match).len(), 2);
    story.then(unspoken(4));
    let done = story.feed(unspoken(5));
    let names = done.iter().filter_map(|output| match output {
        TurnOutput::Tell { kind, .. } => Some(kind.name()),
        _ => None,
    });
    assert_eq!(names.collect::<Vec<_>>(), ["tts_failed", "turn_unheard"]);
    assert!(done.iter().filter_map(told).any(|it| it.contains("connection interruption")));
}

#[test]
fn a_synthesiser_that_is_down_ends_the_call_instead_of_apologising_for_ever() {
    let mut story = Story::with(|route| route.turns.failures_max = 2);
    story.turn(1, "breakfast", says("One."));
    // The reply, then both sentences of the apology; the fallback is heard instead.
    (1..=3).for_each(|sentence| drop(story.then(unspoken(sentence))));
    for sentence in [4, 5] {
        story.then(started(sentence));
        story.then(finished(sentence));
    }
    story.turn(2, "breakfast", says("Two."));
    assert!(story.then(unspoken(6))[0].contains("connection interruption"));
    assert_eq!(story.then(unspoken(7)), NOTHING);
    assert_eq!(story.then(unspoken(8)), ["end turns_failed"]);
}

#[test]
fn what_a_lost_connection_cut_off_is_said_again_to_the_caller_who_comes_back() {
    let mut story = Story::begin();
    story.turn(1, "breakfast", says("First part. Second part."));
    story.then(started(1));
    story.then(finished(1));
    story.then(started(2));
    assert_eq!(story.then(TurnInput::MediaLost { can_hear: false }), ["stop, epoch 1"]);
    let cuts = vec![CutShort {
        sentence: SentenceId(2),
        heard_samples: 100,
        samples: 16_000,
        open: false,
    }];
    assert_eq!(story.then(TurnInput::SpeakingStopped { epoch: Epoch(1), cuts }), NOTHING);
    assert_eq!(story.then(TurnInput::MediaResumed), ["speak 3 Second part."]);
}

#[test]
fn a_reply_that_comes_while_nobody_listens_waits() {
    let mut story = Story::begin();
    story.then(utterance(1));
    story.then(transcribed(1, "breakfast"));
    story.then(TurnInput::MediaLost { can_hear: false });
    story.then(TurnInput::SpeakingStopped { epoch: Epoch(1), cuts: Vec::new() });
    assert_eq!(story.then(replied(1, says("At seven."))), NOTHING);
    assert_eq!(story.then(TurnInput::MediaResumed), ["speak 2 At seven."]);
}

#[test]
fn a_leg_that_still_hears_is_told_of_the_interruption() {
    let mut story = Story::begin();
    let done = story.then(TurnInput::MediaLost { can_hear: true });
    assert_eq!(done[0], "stop, epoch 1");
    assert!(done[1].contains("connection interruption"), "{done:?}");
}

#[test]
fn the_platform_may_end_the_call_after_the_last_word() {
    let mut story = Story::begin();
    let mut reply = says("Goodbye.");
    reply.end_call = true;
    assert_eq!(story.turn(1, "bye", reply), ["speak 1 Goodbye."]);
    story.then(started(1));
    assert_eq!(story.then(finished(1)), ["end dialog_ended"]);
    assert_eq!(story.then(utterance(2)), NOTHING, "nothing happens after the end");
}

#[test]
fn the_oldest_waiting_turn_is_given_up_when_too_many_wait() {
    let mut story = Story::with(|route| route.turns.waiting_turns_max = 2);
    story.then(utterance(1));
    story.then(utterance(2));
    let events = story.events(utterance(3));
    assert_eq!(events, ["turn_abandoned"]);
    assert_eq!(story.then(transcribed(1, "late")), NOTHING);
    assert_eq!(story.then(transcribed(2, "second")), ["ask 2 second"]);
}

#[test]
fn a_conversation_survives_being_written_down_at_any_point() {
    let mut story = Story::begin();
    story.turn(1, "breakfast", says("First part. Second part."));
    story.then(started(1));
    let text = serde_json::to_string(&story.conversation).expect("it can be written");
    story.conversation = serde_json::from_str(&text).expect("it can be read");
    story.then(finished(1));
    story.then(started(2));
    assert_eq!(story.events(finished(2)), ["bot_turn_stopped"]);
}
