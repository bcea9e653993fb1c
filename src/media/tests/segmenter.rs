//! The segmenter: stretches of speech and silence in, events out. Every sample is
//! its own position, so that an utterance tells what it is made of.

use proptest::prelude::*;

use super::*;

/// 16 ms.
const WINDOW_SAMPLES: usize = 256;
const SPEECH: f32 = 0.9;
const SILENCE: f32 = 0.1;
/// Between the two thresholds.
const DOUBT: f32 = 0.4;

fn settings() -> ListeningSettings {
    ListeningSettings {
        start_probability: 0.5,
        stop_probability: 0.35,
        speech_ms_min: 64,
        silence_ms_end: 480,
        pre_roll_ms: 320,
        utterance_ms_max: 3_200,
        ..ListeningSettings::default()
    }
}

fn segmenter() -> Segmenter {
    Segmenter::new(&settings(), 208)
}

/// The sample at a position.
fn sample_at(position: u64) -> i16 {
    (position % 32_003) as i16
}

/// Feeds `ms` of audio (a multiple of 16) at one probability.
fn feed(segmenter: &mut Segmenter, ms: u64, probability: f32) {
    for _ in 0..ms / 16 {
        let from = segmenter.position().0;
        let window: Vec<i16> = (from..from + WINDOW_SAMPLES as u64).map(sample_at).collect();
        segmenter.handle_window(&window, probability);
    }
}

/// An event with positions in milliseconds and the audio as the stretch it covers.
#[derive(Debug, PartialEq)]
enum Seen {
    Started(u64),
    Sustained(u64),
    Ready { audio: (u64, u64), speech: (u64, u64), end: UtteranceEnd },
}

fn ms(samples: u64) -> u64 {
    samples / 16
}

/// Everything found so far. `first` is the position of the first audio of each
/// utterance, found by its content.
fn seen(segmenter: &mut Segmenter) -> Vec<Seen> {
    let events = std::iter::from_fn(|| segmenter.poll_event());
    events
        .map(|event| match event {
            SegmenterEvent::SpeechStarted { at } => Seen::Started(ms(at.0)),
            SegmenterEvent::SpeechSustained { at } => Seen::Sustained(ms(at.0)),
            SegmenterEvent::UtteranceReady { audio, started_at, ended_at, end } => {
                let samples = audio.samples();
                // Scripts are so short that the sample value is the position.
                let first = samples[0] as u64 + started_at.0 / 32_003 * 32_003;
                let first = if first > started_at.0 { first - 32_003 } else { first };
                let expected: Vec<i16> =
                    (first..first + samples.len() as u64).map(sample_at).collect();
                assert_eq!(samples, expected, "the audio of an utterance is one stretch");
                let audio = (ms(first), ms(first + samples.len() as u64));
                Seen::Ready { audio, speech: (ms(started_at.0), ms(ended_at.0)), end }
            }
        })
        .collect()
}

fn ready(audio: (u64, u64), speech: (u64, u64), end: UtteranceEnd) -> Seen {
    Seen::Ready { audio, speech, end }
}

fn run(script: &[(u64, f32)]) -> Vec<Seen> {
    let mut segmenter = segmenter();
    for (ms, probability) in script {
        feed(&mut segmenter, *ms, *probability);
    }
    seen(&mut segmenter)
}

#[test]
fn a_word_comes_out_with_its_pre_roll_and_trailing_silence() {
    let found = run(&[(800, SILENCE), (240, SPEECH), (480, SILENCE)]);
    let utterance = ready((480, 1_520), (800, 1_040), UtteranceEnd::Silence);
    assert_eq!(found, [Seen::Started(800), Seen::Sustained(1_008), utterance]);
}

#[test]
fn a_short_answer_at_the_very_beginning_is_whole() {
    let found = run(&[(96, SPEECH), (480, SILENCE)]);
    assert_eq!(found, [Seen::Started(0), ready((0, 576), (0, 96), UtteranceEnd::Silence)]);
}

#[test]
fn a_click_does_not_start() {
    assert_eq!(run(&[(320, SILENCE), (48, SPEECH), (960, SILENCE)]), []);
}

#[test]
fn clicks_do_not_add_up() {
    assert_eq!(run(&[(48, SPEECH), (16, SILENCE), (48, SPEECH), (16, SILENCE)]), []);
}

#[test]
fn doubt_neither_starts_nor_stops() {
    assert_eq!(run(&[(960, DOUBT)]), []);
    let found = run(&[(64, SPEECH), (160, DOUBT), (480, SILENCE)]);
    assert_eq!(found[2], ready((0, 704), (0, 224), UtteranceEnd::Silence));
}

#[test]
fn a_stop_is_not_undone_by_doubt() {
    let found = run(&[(208, SPEECH), (16, SILENCE), (464, DOUBT)]);
    assert_eq!(found[2], ready((0, 688), (0, 208), UtteranceEnd::Silence));
}

#[test]
fn a_pause_within_a_sentence_does_not_cut_it() {
    let found = run(&[(320, SPEECH), (464, SILENCE), (320, SPEECH), (480, SILENCE)]);
    assert_eq!(found.len(), 3);
    assert_eq!(found[2], ready((0, 1_584), (0, 1_104), UtteranceEnd::Silence));
}

#[test]
fn pauses_do_not_count_towards_an_interruption() {
    let found = run(&[(96, SPEECH), (320, SILENCE), (96, SPEECH), (320, SILENCE), (32, SPEECH)]);
    assert_eq!(found, [Seen::Started(0), Seen::Sustained(848)]);
}

#[test]
fn pre_roll_holds_nothing_of_the_utterance_before() {
    let found = run(&[(208, SPEECH), (480, SILENCE), (208, SPEECH), (480, SILENCE), (32, SILENCE)]);
    let second = ready((368, 1_376), (688, 896), UtteranceEnd::Silence);
    assert_eq!(found[5], second);

    let short_silence = ListeningSettings { silence_ms_end: 160, ..settings() };
    let mut segmenter = Segmenter::new(&short_silence, 208);
    for (ms, probability) in [(208, SPEECH), (160, SILENCE), (208, SPEECH), (160, SILENCE)] {
        feed(&mut segmenter, ms, probability);
    }
    let second = ready((208, 736), (368, 576), UtteranceEnd::Silence);
    assert_eq!(seen(&mut segmenter)[5], second);
}

#[test]
fn the_longest_utterance_is_cut_and_the_next_begins_with_the_next_sample() {
    let found = run(&[(160, SILENCE), (4_000, SPEECH), (480, SILENCE)]);
    let first = ready((0, 3_200), (160, 3_200), UtteranceEnd::MaxLength);
    let second = ready((3_200, 4_640), (3_200, 4_160), UtteranceEnd::Silence);
    let edges = [Seen::Started(160), Seen::Sustained(368)];
    let again = [Seen::Started(3_200), Seen::Sustained(3_408)];
    let expected: Vec<Seen> =
        edges.into_iter().chain([first]).chain(again).chain([second]).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_rest_after_the_cut_that_is_too_short_to_be_speech_is_dropped() {
    let found = run(&[(3_200 + 48, SPEECH), (960, SILENCE)]);
    assert_eq!(found.len(), 3);
    assert_eq!(found[2], ready((0, 3_200), (0, 3_200), UtteranceEnd::MaxLength));
}

#[test]
fn a_caller_who_stops_sending_has_stopped_speaking() {
    let mut segmenter = segmenter();
    feed(&mut segmenter, 240, SPEECH);
    segmenter.end_input(UtteranceEnd::Stalled);
    segmenter.end_input(UtteranceEnd::MediaEnded);
    let utterance = ready((0, 240), (0, 240), UtteranceEnd::Stalled);
    assert_eq!(seen(&mut segmenter), [Seen::Started(0), Seen::Sustained(208), utterance]);
    assert_eq!(segmenter.parts.state, VadState::Quiet);
}

#[test]
fn the_end_of_input_without_speech_is_no_utterance() {
    let mut segmenter = segmenter();
    feed(&mut segmenter, 48, SPEECH);
    segmenter.end_input(UtteranceEnd::MediaEnded);
    assert_eq!(seen(&mut segmenter), []);
}

#[test]
fn states_follow_the_speech() {
    let mut segmenter = segmenter();
    let script = [
        (16, SILENCE, VadState::Quiet),
        (48, SPEECH, VadState::Starting),
        (16, SPEECH, VadState::Speaking),
        (464, SILENCE, VadState::Stopping),
        (16, SPEECH, VadState::Speaking),
        (480, SILENCE, VadState::Quiet),
    ];
    for (ms, probability, state) in script {
        feed(&mut segmenter, ms, probability);
        assert_eq!(segmenter.parts.state, state);
    }
}

#[test]
fn it_is_known_when_the_next_samples_may_decide() {
    let mut segmenter = segmenter();
    let script = [
        (1_000, SILENCE, false),
        (96, SPEECH, false), // 208 ms interrupt
        (16, SPEECH, true),
        (96, SPEECH, false),   // they have
        (368, SILENCE, false), // 480 ms end it
        (16, SILENCE, true),
        (16, SPEECH, false),
        (464, SILENCE, true),
        (16, SILENCE, false),
    ];
    for (ms, probability, near) in script {
        feed(&mut segmenter, ms, probability);
        let hundred_ms = INNER_RATE.samples_in_ms(100);
        assert_eq!(segmenter.turns_within(hundred_ms), near, "{ms} ms of {probability}");
    }
}

#[test]
fn a_quiet_caller_costs_the_pre_roll_only() {
    let mut segmenter = segmenter();
    feed(&mut segmenter, 3_200, SPEECH);
    feed(&mut segmenter, 60_000, SILENCE);
    assert_eq!(segmenter.parts.held.len(), INNER_RATE.samples_in_ms(320));
    assert!(segmenter.parts.held.capacity() <= GROWTH_SAMPLES);
}

#[test]
fn debug_output_holds_no_audio() {
    let mut segmenter = segmenter();
    feed(&mut segmenter, 32, SPEECH);
    let text = format!("{segmenter:?}");
    assert!(text.contains("held_samples: 512") && !text.contains("511"), "{text}");
}

/// A square wave, as loud as `level`.
fn tone(level: i16, ms: usize) -> Vec<i16> {
    (0..ms * 16).map(|n| if n % 2 == 0 { level } else { -level }).collect()
}

/// Where the only utterance ends, and how much audio it took to know, in milliseconds:
/// windows of speech, then silence, whose windows are looked at every 10 ms.
fn end_of(speech: &[i16], silence: &[i16]) -> (u64, u64) {
    let mut segmenter = segmenter();
    speech.chunks(WINDOW_SAMPLES).for_each(|window| segmenter.handle_window(window, SPEECH));
    for window in silence.chunks(WINDOW_SAMPLES) {
        segmenter.handle_beginning(&window[..160]);
        if let Some(end) = ready_at(&mut segmenter) {
            return (ms(end.0), ms(segmenter.position().0 + 160));
        }
        segmenter.handle_window(window, SILENCE);
        if let Some(end) = ready_at(&mut segmenter) {
            return (ms(end.0), ms(segmenter.position().0));
        }
    }
    panic!("the utterance does not end");
}

fn ready_at(segmenter: &mut Segmenter) -> Option<MediaTime> {
    std::iter::from_fn(|| segmenter.poll_event()).find_map(|event| match event {
        SegmenterEvent::UtteranceReady { ended_at, .. } => Some(ended_at),
        _ => None,
    })
}

#[test]
fn without_a_sound_the_end_of_speech_is_known_to_five_milliseconds() {
    let speech = [tone(1_000, 310), tone(10, 10)].concat();
    // 480 ms behind it are 790: the beginning of the window from 784 on.
    assert_eq!(end_of(&speech, &tone(10, 960)), (310, 794));
}

#[test]
fn in_noise_the_end_of_speech_is_the_detectors_to_say() {
    let speech = [tone(1_000, 310), tone(300, 10)].concat();
    assert_eq!(end_of(&speech, &tone(300, 960)), (320, 800));
}

#[test]
fn a_voice_in_the_last_moment_of_silence_is_left_to_the_detector() {
    let speech = [tone(1_000, 310), tone(10, 10)].concat();
    let silence = [tone(10, 468), tone(1_000, 2), tone(10, 960)].concat();
    assert_eq!(end_of(&speech, &silence), (310, 800));
}

/// What a call is made of: stretches of up to half a second at one probability.
fn scripts() -> impl Strategy<Value = Vec<(u64, f32)>> {
    let probability = prop::sample::select(vec![SILENCE, SILENCE, DOUBT, SPEECH, SPEECH]);
    prop::collection::vec(((1_u64..40).prop_map(|windows| windows * 16), probability), 0..60)
}

proptest! {
    #[test]
    fn a_resumed_segmenter_finds_what_an_undisturbed_one_finds(
        script in scripts(),
        crash_at in 0_usize..60,
    ) {
        let mut segmenter = segmenter();
        for (index, (ms, probability)) in script.iter().enumerate() {
            if index == crash_at {
                segmenter = Segmenter::resume(&settings(), 208, segmenter.take_parts());
            }
            feed(&mut segmenter, *ms, *probability);
        }
        prop_assert_eq!(seen(&mut segmenter), run(&script));
    }

    #[test]
    fn utterances_keep_to_the_limits_and_never_share_speech(script in scripts()) {
        let mut segmenter = segmenter();
        for (ms, probability) in script {
            feed(&mut segmenter, ms, probability);
        }
        segmenter.end_input(UtteranceEnd::MediaEnded);
        let (mut open, mut spoken_until) = (false, 0);
        for event in seen(&mut segmenter) {
            match event {
                Seen::Started(at) => {
                    prop_assert!(!open && at >= spoken_until);
                    open = true;
                }
                Seen::Sustained(_) => prop_assert!(open),
                Seen::Ready { audio, speech, .. } => {
                    prop_assert!(open && audio.0 >= spoken_until);
                    prop_assert!(audio.0 <= speech.0 && speech.0 + 64 <= speech.1);
                    prop_assert!(speech.1 <= audio.1 && audio.1 <= speech.1 + 480);
                    prop_assert!(speech.0 - audio.0 <= 320);
                    prop_assert!(audio.1 - audio.0 <= 3_200);
                    (open, spoken_until) = (false, speech.1);
                }
            }
        }
        prop_assert!(!open);
    }

    #[test]
    fn an_open_utterance_is_the_beginning_of_the_one_that_comes(script in scripts()) {
        let mut segmenter = segmenter();
        let mut open: Vec<i16> = Vec::new();
        for (windows, probability) in script {
            for _ in 0..windows / 16 {
                feed(&mut segmenter, 16, probability);
                while let Some(event) = segmenter.poll_event() {
                    if let SegmenterEvent::UtteranceReady { audio, .. } = event {
                        prop_assert!(audio.samples().starts_with(&open));
                        open.clear();
                    }
                }
                let now_open = segmenter.open_utterance().map(|pieces| pieces.concat());
                prop_assert!(now_open.as_deref().unwrap_or_default().starts_with(&open));
                open = now_open.unwrap_or_default();
            }
        }
    }

    #[test]
    fn no_speech_is_lost(script in scripts()) {
        let mut segmenter = segmenter();
        let mut spoken: Vec<(u64, u64)> = Vec::new();
        for (ms, probability) in script {
            let from = self::ms(segmenter.position().0);
            feed(&mut segmenter, ms, probability);
            if probability == SPEECH && ms >= 64 + 64 {
                spoken.push((from, from + ms));
            }
        }
        segmenter.end_input(UtteranceEnd::MediaEnded);
        let utterances: Vec<_> = seen(&mut segmenter)
            .into_iter()
            .filter_map(|event| match event {
                Seen::Ready { audio, .. } => Some(audio),
                _ => None,
            })
            .collect();
        for (from, to) in spoken {
            let covered: u64 = utterances
                .iter()
                .map(|(start, end)| end.min(&to).saturating_sub(*start.max(&from)))
                .sum();
            // Only a rest behind a cut may be missing, if it is shorter than speech.
            prop_assert!(covered + 64 > to - from, "{covered} of {from}..{to}: {utterances:?}");
        }
    }
}
