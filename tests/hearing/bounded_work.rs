//! No answer of a provider holds a media thread: what a reply costs grows with what is
//! said of it, and no faster. Compared is the processor time that two inputs take in the
//! same run, so that it does not matter how fast the machine is or what else it does.

use std::sync::Arc;

use antiphon::call::{CallCore, CallInput};
use antiphon::turn::{TurnInput, UtteranceFacts, sentences};
use antiphon::types::{
    DialogReply, LegId, Mark, MarkKind, Markup, Now, Private, ReplyOutput, Route, Transcript,
    TurnId, UtteranceEnd, UtteranceId,
};

/// Processor time of this thread so far, in nanoseconds.
#[expect(unsafe_code, reason = "the standard library has no clock of a thread's own time")]
fn cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock exists on Linux, and `time` is written to before it is read.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(status, 0, "the clock exists");
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).expect("time goes forward")
}

/// What the cheapest of a few runs takes.
fn cost_of<T>(run: impl Fn() -> T) -> u64 {
    let measure = || {
        let begun = cpu_ns();
        std::hint::black_box(run());
        cpu_ns() - begun
    };
    (0..5).map(|_| measure()).min().expect("five runs").max(1)
}

const PATTERNS: [&str; 10] =
    ["a! ", "a", "word ", "1. ", "a.b.c.", "! ", "(\"", "Mr. ", "z. B. ", "ね。"];

#[test]
fn eight_times_the_text_takes_about_eight_times_the_work_to_cut() {
    for pattern in PATTERNS {
        let [short, long] =
            [1 << 14, 1 << 17].map(|bytes: usize| pattern.repeat(bytes / pattern.len()));
        let [short, long] = [short, long].map(|text| cost_of(|| sentences(&text, "de").count()));
        // Eight if it is linear, 64 if every sentence walks through the others.
        assert!(long < short * 24, "{pattern:?}: {short} ns, then {long} ns");
    }
}

#[test]
fn eight_times_the_ends_of_lines_before_a_last_letter_take_about_eight_times_the_work_to_cut() {
    for (filling, end) in [("\n", "c"), ("! ", "c"), (" \n", "*"), ("\n\"", "1"), ("。", "c")] {
        let text = |count: usize| format!("ab{}{end}", filling.repeat(count));
        let [short, long] = [2_000, 16_000].map(text);
        let [short, long] = [short, long].map(|text| cost_of(|| sentences(&text, "de").count()));
        assert!(long < short * 24, "{filling:?}: {short} ns, then {long} ns");
    }
}

/// A call whose turn is answered with `text`.
fn answer(text: &str) -> usize {
    answer_with(ReplyOutput { text: text.into(), markup: None, interruptible: None })
}

fn answer_with(output: ReplyOutput) -> usize {
    let mut core = CallCore::new(Now::default(), Arc::new(Route::default()));
    let utterance = UtteranceId(1);
    let facts = UtteranceFacts {
        utterance,
        audio_ms: 500,
        end_of_speech_ms: 500,
        sustained: true,
        end: UtteranceEnd::Silence,
    };
    let heard = Ok(Transcript::Final { text: "hello".into(), confidence: None });
    let reply = DialogReply { outputs: vec![output], ..DialogReply::default() };
    for input in [
        CallInput::LegAttached { leg: LegId(1), transport: "test".to_owned() },
        CallInput::Turn { turn: TurnInput::Utterance(facts) },
        CallInput::Turn { turn: TurnInput::Transcribed { utterance, result: heard } },
        CallInput::Turn { turn: TurnInput::Replied { turn: TurnId(1), result: Ok(reply) } },
    ] {
        core.handle_input(Now::default(), input);
    }
    std::iter::from_fn(|| core.poll_output()).count()
}

#[test]
fn a_reply_of_a_megabyte_costs_a_call_no_more_than_one_of_an_hour() {
    for pattern in PATTERNS {
        let [hour, megabyte] =
            [1 << 16, 1 << 20].map(|bytes: usize| pattern.repeat(bytes / pattern.len()));
        let [hour, megabyte] = [hour, megabyte].map(|text| cost_of(|| answer(&text)));
        // Sixteen if it grew with the text; what is left is one look at it.
        assert!(megabyte < hour * 8, "{pattern:?}: {hour} ns, then {megabyte} ns");
    }
}

#[test]
fn eight_times_the_markup_takes_about_eight_times_the_work_to_speak() {
    let marked = |count: usize| {
        let text = "Yes, a word. ".repeat(1_000);
        let kind = |at: usize| match at % 3 {
            0 => MarkKind::Begin { tag: "<p>".to_owned(), end_tag: "</p>".to_owned() },
            1 => MarkKind::Whole { element: "<break/>".to_owned(), bytes: 0 },
            _ => MarkKind::End,
        };
        let marks = (0..count).map(|at| Mark { at: at * text.len() / count, kind: kind(at) });
        let markup = Markup { root: "<speak>".to_owned(), marks: marks.collect() };
        ReplyOutput {
            text: text.as_str().into(),
            markup: Some(Private::new(markup)),
            interruptible: None,
        }
    };
    let [few, many] =
        [1 << 12, 1 << 15].map(&marked).map(|output| cost_of(|| answer_with(output.clone())));
    assert!(many < few * 24, "{few} ns, then {many} ns");
}
