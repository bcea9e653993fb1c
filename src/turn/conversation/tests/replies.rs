//! Replies that cannot be said whole, and transcripts that nobody can have spoken.

use super::{Story, cut, finished, replied, says, started, stopped, told, transcribed, utterance};
use crate::turn::{TurnInput, TurnOutput};
use crate::types::{
    CallEventKind, DialogReply, EndCause, Mark, MarkKind, Markup, Private, ReplyFlaw, SttFailure,
};

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

/// The reply "Well then. Hold on." with a pause before its last word.
fn marked() -> DialogReply {
    let pause = MarkKind::Whole { element: "<break/>".to_owned(), bytes: 0 };
    let marks = vec![Mark { at: 15, kind: pause }];
    let mut reply = says("Well then. Hold on.");
    reply.outputs[0].markup = Some(Private::new(Markup { root: "<speak>".to_owned(), marks }));
    reply
}

#[test]
fn each_sentence_of_a_reply_with_markup_is_a_document_and_what_was_heard_is_told_in_words() {
    let mut story = Story::begin();
    story.then(utterance(1));
    story.then(transcribed(1, "breakfast"));
    let outputs = story.feed(replied(1, marked()));
    let spoken: Vec<(&str, Option<&str>)> = outputs
        .iter()
        .filter_map(|output| match output {
            TurnOutput::Speak { text, ssml, .. } => {
                Some((text.expose().as_str(), ssml.as_ref().map(|it| it.expose().as_str())))
            }
            _ => None,
        })
        .collect();
    let document = "<speak>Hold<break/> on.</speak>";
    assert_eq!(spoken, [("Well then.", None), ("Hold on.", Some(document))]);

    story.all([started(1), finished(1), started(2)]);
    story.speaks(2);
    let outputs = story.feed(stopped(1, [cut(2, 500)]));
    let heard = outputs.iter().find_map(|output| match output {
        TurnOutput::Tell { kind: CallEventKind::Interruption { heard, .. }, .. } => Some(heard),
        _ => None,
    });
    assert_eq!(heard.expect("it is told").expose(), "Well then. Hold");
}

#[test]
fn what_was_not_heard_of_a_reply_with_markup_is_said_again_with_it() {
    let mut story = Story::begin();
    story.turn(1, "breakfast", marked());
    story.all([started(1), finished(1)]);
    story.feed(TurnInput::MediaLost { can_hear: false });
    let outputs = story.feed(TurnInput::MediaResumed);
    let again = outputs.iter().any(|output| {
        matches!(output, TurnOutput::Speak { ssml: Some(ssml), .. } if ssml.expose().contains("<break/>"))
    });
    assert!(again, "{outputs:?}");
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
