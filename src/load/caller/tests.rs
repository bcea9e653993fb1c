//! What a caller says and when, in virtual time.

use super::*;

const MS: u64 = 1_000_000;

/// What reaches the caller at a time in milliseconds.
enum Heard {
    ReplyMs(u32),
    GreetingMs(u32),
    Flush,
    BotFinished,
}
use Heard::{BotFinished, Flush, GreetingMs, ReplyMs};

fn settings() -> CallerSettings {
    let rate = SampleRate::new(8_000).expect("8 kHz is supported");
    CallerSettings { chunk_ms: 100, answer_ms_max: 2_000, ..CallerSettings::new(rate) }
}

fn caller(utterances_ms: &[u32]) -> Caller {
    let rate = settings().rate;
    let spoken = |ms: &u32| -> Arc<[i16]> { vec![1; rate.samples_in_ms(*ms)].into() };
    let utterances: Vec<Arc<[i16]>> = utterances_ms.iter().map(spoken).collect();
    Caller::new(settings(), utterances, Now::default())
}

/// Runs a whole call in virtual time. One character for each chunk: `.` is
/// silence, `#` speech, `+` speech and then silence; `|` stands before the
/// first chunk of an utterance.
fn call(caller: &mut Caller, heard: &[(u64, Heard)]) -> String {
    let (mut heard, mut samples, mut line) = (heard.iter().peekable(), Vec::new(), String::new());
    while !caller.is_done() {
        let now = caller.poll_timeout();
        while let Some((at, what)) = heard.next_if(|(at, _)| at * MS < now.0) {
            match what {
                ReplyMs(ms) => {
                    caller.handle_reply(Now(at * MS), settings().rate.samples_in_ms(*ms));
                }
                GreetingMs(ms) => {
                    caller.handle_greeting(Now(at * MS), settings().rate.samples_in_ms(*ms));
                }
                Flush => {
                    caller.handle_flush(Now(at * MS));
                }
                BotFinished => caller.handle_bot_finished(),
            }
        }
        if let Some(chunk) = caller.poll_chunk(now, &mut samples) {
            line.extend(chunk.begins.map(|_| '|'));
            line.push(match (samples.first(), samples.last()) {
                (Some(1), Some(1)) => '#',
                (Some(1), _) => '+',
                _ => '.',
            });
        }
    }
    line
}

#[test]
fn silence_is_sent_around_each_utterance_and_while_the_bot_speaks() {
    let mut caller = caller(&[250, 100]);
    let heard =
        [(1_000, ReplyMs(500)), (1_500, BotFinished), (2_300, ReplyMs(200)), (2_500, BotFinished)];
    assert_eq!(call(&mut caller, &heard), "...|##+............|#.........");
    assert_eq!(caller.unanswered(), 0);
}

#[test]
fn a_bot_that_never_says_that_it_finished_is_waited_for_a_little_longer() {
    let mut caller = caller(&[100]);
    assert_eq!(call(&mut caller, &[(500, ReplyMs(500))]).len(), "|".len() + 25);
}

#[test]
fn the_next_sentence_is_waited_for_even_after_an_early_end() {
    let mut caller = caller(&[100]);
    let heard =
        [(500, ReplyMs(500)), (900, BotFinished), (1_000, ReplyMs(500)), (1_500, BotFinished)];
    assert_eq!(call(&mut caller, &heard).len(), "|".len() + 18);
}

#[test]
fn an_answer_that_does_not_come_is_given_up_and_counted() {
    let mut caller = caller(&[100, 100]);
    let line = call(&mut caller, &[(3_000, ReplyMs(100)), (3_100, BotFinished)]);
    assert_eq!(line.matches('|').count(), 2);
    assert_eq!(caller.unanswered(), 1);
}

#[test]
fn what_was_never_said_counts_as_unanswered() {
    let mut caller = caller(&[100, 100, 100]);
    assert_eq!(caller.unanswered(), 3);
    caller.handle_reply(Now(0), 10);
    assert_eq!(caller.unanswered(), 3, "what comes before a word was said answers nothing");
    while caller.poll_chunk(Now(2_500 * MS), &mut Vec::new()).is_some() {}
    caller.handle_reply(Now(2_500 * MS), 10);
    assert_eq!(caller.unanswered(), 2);
}

#[test]
fn a_greeting_is_listened_to_and_answers_nothing() {
    let mut caller = caller(&[100]);
    let heard =
        [(200, ReplyMs(700)), (900, BotFinished), (1_500, ReplyMs(200)), (1_700, BotFinished)];
    assert_eq!(call(&mut caller, &heard), "............|#.......");
    assert_eq!(caller.unanswered(), 0);
}

#[test]
fn a_greeting_that_comes_late_is_not_the_answer_to_what_was_said_before_it() {
    let mut late = caller(&[100]);
    let heard = [(600, GreetingMs(1_000)), (1_600, BotFinished), (2_000, ReplyMs(100))];
    call(&mut late, &heard);
    assert_eq!(late.unanswered(), 0);
    let mut unanswered = caller(&[100]);
    let line = call(&mut unanswered, &[(600, GreetingMs(1_000)), (1_600, BotFinished)]);
    assert_eq!(unanswered.unanswered(), 1);
    // The answer is waited for from the end of the greeting.
    assert_eq!(line.len(), "|".len() + 16 + 20);
}

#[test]
fn replies_are_heard_one_after_the_other() {
    let mut caller = caller(&[100]);
    assert_eq!(caller.handle_reply(Now(100 * MS), 400), 800);
    assert_eq!(caller.handle_reply(Now(110 * MS), 80), 1_200);
    assert_eq!(caller.handle_reply(Now(500 * MS), 80), 4_000);
}

#[test]
fn a_flush_silences_the_bot_at_once_and_what_follows_is_heard_at_once() {
    let mut caller = caller(&[100]);
    caller.handle_reply(Now(100 * MS), 8_000);
    assert_eq!(caller.handle_flush(Now(200 * MS)), 1_600);
    assert_eq!(caller.handle_reply(Now(300 * MS), 80), 2_400);
    assert_eq!(call(&mut caller, &[(500, Flush)]).matches('|').count(), 1);
}

#[test]
fn after_a_stall_every_chunk_that_is_due_is_sent_and_none_before_its_time() {
    let (mut caller, mut samples) = (caller(&[100]), Vec::new());
    assert_eq!(caller.poll_chunk(Now(99 * MS), &mut samples), None);
    let mut sent = Vec::new();
    while let Some(chunk) = caller.poll_chunk(Now(450 * MS), &mut samples) {
        sent.push((chunk.sequence, chunk.at, chunk.begins));
    }
    assert_eq!(sent, [(1, 0, None), (2, 800, None), (3, 1_600, None), (4, 2_400, Some(0))]);
    assert_eq!(caller.poll_timeout(), Now(500 * MS));
}

#[test]
fn an_interruption_begins_while_the_bot_speaks() {
    let mut caller = caller(&[100]);
    let speech: Arc<[i16]> = vec![1; settings().rate.samples_in_ms(100)].into();
    caller.say(CallerTurn { speech, pause_ms: 0, interrupts_after_ms: Some(200) });
    let heard = [(500, ReplyMs(5_000)), (900, Flush), (1_100, ReplyMs(100))];
    assert!(call(&mut caller, &heard).starts_with("...|#...|#..."));
    assert_eq!(caller.unanswered(), 0);
}

#[test]
fn the_chunk_that_ends_an_utterance_says_so() {
    let (mut caller, mut samples) = (caller(&[250]), Vec::new());
    let mut ends = Vec::new();
    while let Some(chunk) = caller.poll_chunk(Now(900 * MS), &mut samples) {
        ends.push(chunk.ends_speech);
    }
    assert_eq!(ends, [false, false, false, false, false, true, false, false, false]);
}

#[test]
fn line_noise_fills_every_silence_and_is_quiet() {
    let settings = CallerSettings { has_line_noise: true, ..settings() };
    let mut caller = Caller::new(settings, vec![vec![1_000; 2_000].into()], Now::default());
    let mut samples = Vec::new();
    while let Some(chunk) = caller.poll_chunk(Now(900 * MS), &mut samples) {
        let loud = samples.iter().filter(|sample| sample.unsigned_abs() > 20).count();
        assert_eq!(loud, [0, 0, 0, 800, 800, 400, 0, 0, 0][chunk.sequence as usize - 1]);
        assert!(loud == 800 || samples.contains(&-5), "it is not silent");
    }
}
