//! The gates on calls of synthetic noise, and the clock of the caller's audio.

use std::iter::repeat_n;

use super::*;
use crate::types::{INNER_RATE, SpeechAudio};

const WINDOW: usize = 512;

/// A noise that is louder and quieter from 40 ms to 40 ms by up to `range_db`, at most as loud
/// as `db` of full scale. With each seed it is another one.
fn noise(seed: u64, ms: u32, db: f32, range_db: f32) -> Vec<i16> {
    let mut random = seed;
    let mut random = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(seed | 1);
        (random >> 40) as f32 / (1 << 24) as f32
    };
    let mut level = 0.0;
    let mut sample = |n| {
        if n % 640 == 0 {
            let quieter_db = if n == 0 { 0.0 } else { random() * range_db };
            level = 3_f32.sqrt() * 32_768.0 * 10_f32.powf((db - quieter_db) / 20.0);
        }
        ((2.0 * random() - 1.0) * level) as i16
    };
    (0..INNER_RATE.samples_in_ms(ms)).map(&mut sample).collect()
}

fn person(seed: u64, ms: u32, db: f32) -> Vec<i16> {
    noise(seed, ms, db, 0.0)
}

/// What the bot says: 11 dB below full scale.
fn bot(seed: u64, ms: u32) -> Vec<i16> {
    noise(seed, ms, -11.0, 20.0)
}

fn echo_of(bot: &[i16], loss_db: f32) -> Vec<i16> {
    let gain = 10_f32.powf(-loss_db / 20.0);
    bot.iter().map(|sample| (f32::from(*sample) * gain) as i16).collect()
}

/// A call of which all comes in time.
struct Call {
    gates: Gates,
    settings: ListeningSettings,
    played: Played,
    heard: MediaTime,
}

impl Call {
    fn with(settings: ListeningSettings) -> Self {
        let gates = Gates::resume(&settings, GateParts::default());
        let mut call = Self { gates, settings, played: Played::default(), heard: MediaTime(0) };
        call.connect(1);
        call
    }

    fn connect(&mut self, leg: u32) {
        self.played = Played::on(LegId(leg), &self.settings);
    }

    /// The bot says this from now on.
    fn say(&mut self, sound: &[i16]) {
        let audio = SpeechAudio::new(sound);
        self.played.hand_over(Now(self.heard.as_nanos()), &audio, 0, sound.len());
    }

    /// Hears something that sounds like speech, in or out of an utterance. Tells of each
    /// window whether it is the caller.
    fn hear(&mut self, samples: &[i16], is_open: bool) -> Vec<bool> {
        let windows = samples.chunks_exact(WINDOW);
        windows.map(|window| self.judge(window, 0.9, is_open)).collect()
    }

    fn silence(&mut self, ms: u32) {
        for _ in 0..INNER_RATE.samples_in_ms(ms) / WINDOW {
            self.judge(&[0; WINDOW], 0.0, false);
        }
    }

    fn judge(&mut self, window: &[i16], probability: f32, is_open: bool) -> bool {
        self.heard = self.heard.plus_samples(WINDOW as u64);
        self.gates.came(self.played.leg(), self.heard, Now(self.heard.as_nanos()));
        self.gates.judge(window, self.heard, probability, is_open, &mut self.played) > 0.5
    }

    /// The caller says something while the bot is silent.
    fn utterance(&mut self, seed: u64, db: f32) {
        self.hear(&person(seed, 640, db), true);
        self.silence(640);
    }
}

#[test]
fn what_is_left_out_as_an_echo_tells_nothing_of_how_loud_the_caller_is() {
    let mut call = Call::with(ListeningSettings::default());
    call.hear(&person(1, 320, -36.0), true);
    call.say(&bot(2, 4_000));
    // Nothing is known of the echo in the first 0.2 s.
    let loud = call.hear(&person(3, 192, -22.0), true);
    assert_eq!(loud, [false; 6]);
    let goes_on = call.hear(&person(4, 320, -36.0), true);
    assert!(goes_on.into_iter().any(|is_caller| is_caller));
    call.silence(32);
    let again = call.hear(&person(5, 160, -36.0), false);
    assert!(again.into_iter().all(|is_caller| is_caller), "they are as loud as before");
}

#[test]
fn of_another_connection_nothing_is_known() {
    let settings = ListeningSettings { level_gate_db: 0, ..ListeningSettings::default() };
    let mut call = Call::with(settings);
    for (leg, loss_db) in [(1, 32.0), (2, 12.0)] {
        call.connect(leg);
        let said = bot(leg.into(), 2_000);
        call.say(&said);
        let heard = call.hear(&echo_of(&said, loss_db), false);
        assert_eq!(heard, repeat_n(false, heard.len()).collect::<Vec<_>>(), "{loss_db} dB");
    }
    let mut call = Call::with(ListeningSettings::default());
    call.utterance(1, -20.0);
    call.utterance(2, -20.0);
    assert_eq!(call.hear(&person(3, 64, -40.0), false), [false; 2]);
    call.connect(2);
    assert_eq!(call.hear(&person(3, 64, -40.0), false), [true; 2]);
}

#[test]
fn a_caller_who_is_known_to_be_quiet_interrupts_the_bot() {
    let mut call = Call::with(ListeningSettings::default());
    call.utterance(1, -50.0);
    call.utterance(2, -50.0);
    call.say(&bot(3, 4_000));
    call.silence(1_024);
    assert_eq!(call.hear(&person(4, 128, -50.0), false), [true; 4]);
}

#[test]
fn whoever_answers_at_once_is_heard_from_their_first_word_on() {
    let mut call = Call::with(ListeningSettings::default());
    call.say(&bot(1, 1_024));
    call.silence(1_024);
    let heard = call.hear(&person(2, 640, -50.0), false);
    let first = heard.iter().position(|is_caller| *is_caller).expect("they are heard");
    let kept = INNER_RATE.samples_in_ms(ListeningSettings::default().pre_roll_ms);
    assert!(first * WINDOW <= kept, "in window {first}");
}

fn ms(ms: u32) -> Now {
    Now::default().plus_ms(ms)
}

fn at(ms: u32) -> MediaTime {
    MediaTime(INNER_RATE.samples_in_ms(ms) as u64)
}

#[test]
fn audio_that_comes_late_was_there_before() {
    let mut clock = AudioClock::default();
    for nth in 1..=20 {
        let late_ms = [0, 15, 80, 60, 40][nth as usize % 5];
        clock.came(at(20 * nth), ms(1_000 + 20 * nth + late_ms));
    }
    assert_eq!(clock.at(at(300)), ms(1_300));
}

#[test]
fn a_chunk_that_is_heard_piece_by_piece_was_there_when_it_came() {
    let mut clock = AudioClock::default();
    for chunk in 1..=5 {
        // All of it came at once, and 320 ms of it are seen to wait.
        for piece in 0..20 {
            let position = 1_000 * (chunk - 1) + 50 * piece;
            let waiting = (1_000 * chunk - position).min(320);
            clock.came(at(position + waiting), ms(1_000 * chunk + piece));
        }
        let now = clock.at(at(1_000 * chunk - 500));
        assert!(now.ms_since(ms(1_000 * chunk - 520)) <= 40, "{now:?}");
    }
}

#[test]
fn silence_that_was_not_sent_puts_the_clock_on() {
    let mut clock = AudioClock::default();
    for nth in 1..=100 {
        clock.came(at(20 * nth), ms(20 * nth));
    }
    for nth in 1..=60 {
        clock.came(at(2_000 + 20 * nth), ms(2_300 + 20 * nth));
    }
    assert_eq!(clock.at(at(3_200)), ms(3_500));
}
