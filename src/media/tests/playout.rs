//! What is due when, and what the caller heard.

use super::*;

const NO_LIMIT: usize = usize::MAX / 2;

fn ms(ms: u32) -> Now {
    Now::default().plus_ms(ms)
}

fn speech(ms: u32) -> SpeechAudio {
    SpeechAudio::new(vec![1i16; INNER_RATE.samples_in_ms(ms)])
}

fn drain(playout: &mut Playout, now: Now) -> Vec<String> {
    std::iter::from_fn(|| playout.poll(now, NO_LIMIT))
        .map(|step| match step {
            PlayoutStep::Started(id) => format!("start {id}"),
            PlayoutStep::Due { sentence, from, to, .. } => {
                format!("{sentence}: {}..{} ms", from / 16, to / 16)
            }
            PlayoutStep::Finished(id) => format!("end {id}"),
            PlayoutStep::BrokenOff(heard) => format!("{heard:?}"),
        })
        .collect()
}

#[test]
fn paced_audio_is_handed_over_as_it_becomes_due_plus_the_lead() {
    let mut playout = Playout::paced(10, 40);
    playout.enqueue(SentenceId(1), speech(100));
    assert_eq!(drain(&mut playout, ms(0)), ["start 1", "1: 0..40 ms"]);
    assert_eq!(drain(&mut playout, ms(20)), ["1: 40..60 ms"]);
    assert_eq!(drain(&mut playout, ms(20)), Vec::<String>::new());
    assert_eq!(drain(&mut playout, ms(90)), ["1: 60..100 ms"]);
    assert_eq!(drain(&mut playout, ms(100)), ["end 1"]);
    assert!(playout.is_idle());
}

#[test]
fn a_late_poll_catches_up_without_drifting() {
    let mut playout = Playout::paced(10, 0);
    playout.enqueue(SentenceId(1), speech(1_000));
    drain(&mut playout, ms(0));
    assert_eq!(drain(&mut playout, ms(730)), ["1: 0..730 ms"]);
    assert_eq!(drain(&mut playout, ms(740)), ["1: 730..740 ms"]);
}

#[test]
fn sentences_follow_each_other_without_a_gap() {
    let mut playout = Playout::paced(10, 20);
    playout.enqueue(SentenceId(1), speech(30));
    playout.enqueue(SentenceId(2), speech(30));
    assert_eq!(drain(&mut playout, ms(0)), ["start 1", "1: 0..20 ms"]);
    assert_eq!(drain(&mut playout, ms(20)), ["1: 20..30 ms", "start 2", "2: 0..10 ms"]);
    assert_eq!(drain(&mut playout, ms(60)), ["end 1", "2: 10..30 ms", "end 2"]);
}

#[test]
fn whole_sentences_go_out_one_by_one_when_their_turn_comes() {
    let mut playout = Playout::whole_sentences(100);
    playout.enqueue(SentenceId(1), speech(1_000));
    playout.enqueue(SentenceId(2), speech(500));
    assert_eq!(drain(&mut playout, ms(0)), ["start 1", "1: 0..1000 ms"]);
    assert_eq!(drain(&mut playout, ms(800)), Vec::<String>::new());
    assert_eq!(drain(&mut playout, ms(900)), ["start 2", "2: 0..500 ms"]);
    assert_eq!(drain(&mut playout, ms(1_500)), ["end 1", "end 2"]);
}

#[test]
fn what_was_cut_off_is_known_to_the_sample() {
    let mut playout = Playout::paced(10, 40);
    playout.enqueue(SentenceId(1), speech(100));
    playout.enqueue(SentenceId(2), speech(100));
    drain(&mut playout, ms(0));
    drain(&mut playout, ms(50));
    let heard = playout.rewind(ms(60), Epoch(1), ResumeFrom::Sentence);
    assert_eq!(
        heard,
        [
            Heard { sentence: SentenceId(1), heard: 60 * 16, samples: 1600, open: false },
            Heard { sentence: SentenceId(2), heard: 0, samples: 1600, open: false },
        ]
    );
    assert_eq!(playout.epoch(), Epoch(1));
}

#[test]
fn audio_that_the_transport_does_not_take_was_not_heard() {
    let mut playout = Playout::paced(10, 0);
    playout.enqueue(SentenceId(1), speech(100));
    while playout.poll(ms(0), 0).is_some() {}
    while playout.poll(ms(50), 160).is_some_and(|step| matches!(step, PlayoutStep::Started(_))) {}
    let heard = playout.rewind(ms(90), Epoch(1), ResumeFrom::Sentence);
    assert_eq!(heard[0].heard, 160);
}

#[test]
fn it_says_when_it_wants_to_be_polled_next() {
    let mut playout = Playout::whole_sentences(0);
    assert_eq!(playout.poll_timeout(), None);
    playout.enqueue(SentenceId(1), speech(250));
    drain(&mut playout, ms(1_000));
    assert_eq!(playout.poll_timeout(), Some(ms(1_250)));
}

#[test]
fn frames_are_handed_over_whole_and_it_says_when_the_next_one_is_due() {
    let mut playout = Playout::paced(100, 160);
    playout.enqueue(SentenceId(1), speech(300));
    playout.enqueue(SentenceId(2), speech(50));
    assert_eq!(drain(&mut playout, ms(0)), ["start 1", "1: 0..160 ms"]);
    assert_eq!(playout.poll_timeout(), Some(ms(100)));
    assert_eq!(drain(&mut playout, ms(99)), Vec::<String>::new());
    assert_eq!(drain(&mut playout, ms(100)), ["1: 160..260 ms"]);
    assert_eq!(playout.poll_timeout(), Some(ms(140)), "the rest of the sentence");
    assert_eq!(drain(&mut playout, ms(140)), ["1: 260..300 ms", "start 2"]);
    assert_eq!(playout.poll_timeout(), Some(ms(190)));
    assert_eq!(drain(&mut playout, ms(190)), ["2: 0..50 ms"]);
    assert_eq!(playout.poll_timeout(), Some(ms(300)));
    assert_eq!(drain(&mut playout, ms(350)), ["end 1", "end 2"]);
}

#[test]
fn an_empty_sentence_ends_at_once() {
    let mut playout = Playout::paced(10, 20);
    playout.enqueue(SentenceId(1), speech(0));
    assert_eq!(drain(&mut playout, ms(0)), ["start 1", "end 1"]);
}

#[test]
fn a_piece_is_late_once_the_lead_is_used_up() {
    let mut playout = Playout::paced(10, 40);
    playout.enqueue(SentenceId(1), speech(500));
    drain(&mut playout, ms(0));
    drain(&mut playout, ms(40));
    assert_eq!(playout.take_late(), 0, "what was handed over lasted until now");
    drain(&mut playout, ms(90));
    assert_eq!(playout.take_late(), 1, "10 ms of silence were heard");
    drain(&mut playout, ms(100));
    assert_eq!(playout.take_late(), 0);
}

#[test]
fn a_sentence_that_was_not_there_yet_is_not_late() {
    let mut playout = Playout::whole_sentences(100);
    playout.enqueue(SentenceId(1), speech(100));
    drain(&mut playout, ms(0));
    drain(&mut playout, ms(100));
    playout.enqueue(SentenceId(2), speech(100));
    drain(&mut playout, ms(900));
    assert_eq!(playout.take_late(), 0);
}

#[test]
fn what_was_cut_off_begins_anew_at_its_beginning_or_where_it_was() {
    for (from, left_ms) in [(ResumeFrom::Sentence, 200), (ResumeFrom::Position, 140)] {
        let mut playout = Playout::paced(10, 40);
        playout.enqueue(SentenceId(1), speech(200));
        playout.enqueue(SentenceId(2), speech(200));
        drain(&mut playout, ms(0));
        drain(&mut playout, ms(50));
        let heard = playout.rewind(ms(60), Epoch(1), from);
        assert_eq!((heard[0].heard, heard[0].samples), (60 * 16, 200 * 16));
        assert_eq!(drain(&mut playout, ms(500)), ["start 1", "1: 0..40 ms"]);
        let ended = drain(&mut playout, ms(500 + left_ms));
        assert!(ended.contains(&"end 1".to_owned()), "{ended:?}");
        let heard = playout.rewind(ms(510 + left_ms), Epoch(2), from);
        assert_eq!(heard[0].sentence, SentenceId(2));
        assert_eq!((heard[0].heard, heard[0].samples), (10 * 16, 200 * 16));
    }
}

#[test]
fn a_held_sentence_does_not_begin_and_loses_nothing_by_it() {
    let mut playout = Playout::paced(10, 40);
    playout.enqueue(SentenceId(1), speech(100));
    playout.enqueue(SentenceId(2), speech(100));
    drain(&mut playout, ms(0));
    playout.hold_from(ms(10), Some(SentenceId(2)));
    assert_eq!(drain(&mut playout, ms(40)), ["1: 40..80 ms"]);
    assert_eq!(drain(&mut playout, ms(80)), ["1: 80..100 ms"]);
    assert_eq!(drain(&mut playout, ms(100)), ["end 1"]);
    assert!(playout.is_silent() && !playout.is_idle());
    assert_eq!(playout.poll_timeout(), None, "it waits for leave and for nothing else");
    assert_eq!(drain(&mut playout, ms(700)), Vec::<String>::new());
    playout.hold_from(ms(800), None);
    assert_eq!(drain(&mut playout, ms(800)), ["start 2", "2: 0..40 ms"]);
    assert_eq!(drain(&mut playout, ms(840)), ["2: 40..80 ms"]);
    assert_eq!(drain(&mut playout, ms(880)), ["2: 80..100 ms"]);
    assert_eq!(drain(&mut playout, ms(900)), ["end 2"]);
    assert_eq!((playout.take_late(), playout.take_gaps()), (0, 0));
}

#[test]
fn a_sentence_that_was_begun_is_not_held() {
    let mut playout = Playout::paced(10, 40);
    playout.enqueue(SentenceId(1), speech(100));
    drain(&mut playout, ms(0));
    playout.hold_from(ms(10), Some(SentenceId(1)));
    assert_eq!(drain(&mut playout, ms(100)), ["1: 40..100 ms", "end 1"]);
}

#[test]
fn a_forgotten_sentence_is_not_played_and_one_that_was_begun_ends_where_it_is() {
    let mut playout = Playout::paced(10, 40);
    (1..=3).for_each(|id| playout.enqueue(SentenceId(id), speech(100)));
    drain(&mut playout, ms(0));
    playout.forget(ms(10), SentenceId(2));
    playout.forget(ms(10), SentenceId(1));
    assert_eq!(drain(&mut playout, ms(10)), ["start 3", "3: 0..10 ms"]);
    assert_eq!(drain(&mut playout, ms(60)), ["end 1", "3: 10..60 ms"]);
}
