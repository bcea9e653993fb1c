//! Calls in which the bot speaks: what comes back of it over a synthetic room, who speaks
//! over it, and what a finder makes of that. In virtual time, with fixed seeds.

use std::ops::Range;

use antiphon::media::echo::Played;
use antiphon::media::finder::SpeechFinder;
use antiphon::media::{SegmenterEvent, wav};
use antiphon::types::{INNER_RATE, ListeningSettings, MediaTime, Now, SpeechAudio, UtteranceEnd};

use super::{
    GENERATED, RECORDINGS, Random, SPEECH_RMS, TELEPHONE_CALL, Track, clipped, file, labels,
    over_the_telephone, recording, resampled,
};

/// Samples of what a carrier sends at once (20 ms).
const PIECE: usize = 320;
/// Reflections of the room, over four times its decay, which is 25 ms.
const REFLECTIONS: usize = 48;
const DECAY_SAMPLES: f64 = 400.0;
/// Root mean square of a quiet line (-70 dB of full scale).
const LINE_NOISE: f64 = 10.0;

/// The way from the bot back to it.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// How much quieter the echo is than the bot; `None` where there is none.
    pub loss_db: Option<f64>,
    pub delay_ms: u32,
    /// Which of many rooms the caller is in.
    pub room: u32,
    /// 8 kHz µ-law both ways, else 16 kHz.
    pub is_telephone: bool,
}

impl Line {
    /// Without any echo.
    pub const CLEAR: Self = Self { loss_db: None, delay_ms: 0, room: 0, is_telephone: false };
}

/// Settings with which everybody counts as the caller.
pub fn gates_open() -> ListeningSettings {
    ListeningSettings { level_gate_db: 0, echo_gate: false, ..ListeningSettings::default() }
}

/// A call: what the bot says, and what comes from the caller's side.
#[derive(Default)]
pub struct Scene {
    /// When the bot says what, in samples.
    pub replies: Vec<(usize, SpeechAudio)>,
    /// What people on the caller's side say.
    pub people: Vec<i16>,
    /// When those speak who want to be heard.
    pub spoken: Vec<Range<usize>>,
}

/// What a finder made of a call, in samples.
#[derive(Debug, Default)]
pub struct Found {
    pub started: Vec<usize>,
    pub sustained: Vec<usize>,
    pub utterances: Vec<Range<usize>>,
}

impl Scene {
    pub fn samples(&self) -> usize {
        self.people.len()
    }

    pub fn pause_ms(&mut self, ms: u32) {
        self.people.resize(self.people.len() + INNER_RATE.samples_in_ms(ms), 0);
    }

    /// Lets somebody speak from now on, at `db` of the level of all speech.
    pub fn say(&mut self, samples: &[i16], db: f64) {
        let at = self.samples();
        self.say_at(at, samples, db);
    }

    /// The same from another time on.
    pub fn say_at(&mut self, at: usize, samples: &[i16], db: f64) {
        let end = at + samples.len();
        self.people.resize(self.people.len().max(end), 0);
        let gain = 10_f64.powf(db / 20.0);
        for (person, sample) in self.people[at..end].iter_mut().zip(samples) {
            *person = clipped(f64::from(*person) + f64::from(*sample) * gain);
        }
    }

    /// Lets the bot speak from now on, and time pass until it has spoken.
    pub fn reply(&mut self, speech: &[i16]) {
        self.replies.push((self.samples(), SpeechAudio::new(speech)));
        self.people.resize(self.people.len() + speech.len(), 0);
    }

    /// What comes from the caller's side.
    pub fn caller_side(&self, line: Line) -> Vec<i16> {
        let mut random = Random(9);
        let mut caller: Vec<f64> = self
            .people
            .iter()
            .map(|sample| f64::from(*sample) + random.signed() * LINE_NOISE * 3_f64.sqrt())
            .collect();
        if let Some(loss_db) = line.loss_db {
            let room = room(line.room, loss_db, INNER_RATE.samples_in_ms(line.delay_ms));
            for (at, reply) in &self.replies {
                let heard = match line.is_telephone {
                    true => over_the_telephone(reply.samples()),
                    false => reply.samples().to_vec(),
                };
                add_echo(&mut caller, *at, &heard, &room);
            }
        }
        let caller: Vec<i16> = caller.into_iter().map(clipped).collect();
        if line.is_telephone { over_the_telephone(&caller) } else { caller }
    }

    /// What a finder makes of it.
    pub fn heard_by(&self, settings: &ListeningSettings, line: Line) -> Found {
        const SUSTAIN_MS: u32 = 200;
        let mut finder = SpeechFinder::new(settings, SUSTAIN_MS);
        let (mut played, mut found) = (Played::default(), Found::default());
        let mut replies = self.replies.iter().peekable();
        let caller = self.caller_side(line);
        for (nth, piece) in caller.chunks(PIECE).enumerate() {
            let until = (nth * PIECE + piece.len()) as u64;
            // Sentences are sent ahead, here whole.
            while let Some((at, reply)) = replies.next_if(|(at, _)| *at <= until as usize) {
                let since = Now(MediaTime(*at as u64).as_nanos());
                played.hand_over(since, reply, 0, reply.samples().len());
            }
            let now = Now(MediaTime(until).as_nanos());
            finder.handle_samples_over(piece, now, &mut played);
            found.take(&mut finder);
        }
        finder.end_input(UtteranceEnd::MediaEnded);
        found.take(&mut finder);
        found
    }
}

impl Found {
    fn take(&mut self, finder: &mut SpeechFinder) {
        while let Some(event) = finder.poll_event() {
            match event {
                SegmenterEvent::SpeechStarted { .. } => {
                    self.started.push(finder.position().0 as usize);
                }
                SegmenterEvent::SpeechSustained { .. } => {
                    self.sustained.push(finder.position().0 as usize);
                }
                SegmenterEvent::UtteranceReady { started_at, ended_at, .. } => {
                    self.utterances.push(started_at.0 as usize..ended_at.0 as usize);
                }
            }
        }
    }
}

/// Delays in samples, and how much of what was played comes back after each.
fn room(seed: u32, loss_db: f64, delay: usize) -> Vec<(usize, f64)> {
    let mut random = Random(seed);
    let mut reflections = vec![(delay, 1.0)];
    for _ in 0..REFLECTIONS {
        let later = random.positive() * 4.0 * DECAY_SAMPLES;
        let gain = 0.7 * random.signed() * (-later / DECAY_SAMPLES).exp();
        reflections.push((delay + later as usize, gain));
    }
    let energy: f64 = reflections.iter().map(|(_, gain)| gain * gain).sum();
    let wanted = 10_f64.powf(-loss_db / 20.0) / energy.sqrt();
    reflections.iter_mut().for_each(|(_, gain)| *gain *= wanted);
    reflections
}

fn add_echo(caller: &mut [f64], at: usize, heard: &[i16], room: &[(usize, f64)]) {
    for (delay, gain) in room {
        let Some(from) = caller.get_mut(at + delay..) else { continue };
        for (caller, heard) in from.iter_mut().zip(heard) {
            *caller += gain * f64::from(*heard);
        }
    }
}

/// What the bot says: the sentences of a synthesiser.
pub fn replies() -> Vec<Vec<i16>> {
    let sentence = |number| recording(&format!("generated_{number:02}.wav"));
    (1..=GENERATED).map(|number| at_speech_level(sentence(number)).0).collect()
}

/// What people say in one go, each piece longer than half a second.
pub fn people() -> Vec<Vec<i16>> {
    let recordings = RECORDINGS.iter().map(|name| recording(name)).chain(telephone_call());
    let spoken = |samples| {
        let (samples, labels) = at_speech_level(samples);
        labels.into_iter().map(|label| samples[label].to_vec()).collect::<Vec<_>>()
    };
    let pieces = recordings.flat_map(spoken);
    pieces.filter(|piece| piece.len() > INNER_RATE.samples_in_ms(500)).collect()
}

/// Both sides of a real telephone call.
fn telephone_call() -> Vec<Vec<i16>> {
    let call = wav::read(&file(TELEPHONE_CALL)).unwrap();
    call.channels.iter().map(|side| resampled(side, call.rate, INNER_RATE)).collect()
}

fn at_speech_level(samples: Vec<i16>) -> (Vec<i16>, Vec<Range<usize>>) {
    let labels = labels(&samples);
    let track = Track { samples, labels };
    let gain = SPEECH_RMS / track.speech_rms();
    let samples = track.samples.iter().map(|s| clipped(f64::from(*s) * gain)).collect();
    (samples, track.labels)
}

/// Somebody who talks without a pause for as long as one likes, at the level of all speech.
pub fn talker(name: &str, length: usize) -> Vec<i16> {
    let (samples, labels) = at_speech_level(recording(name));
    let spoken: Vec<i16> = labels.into_iter().flat_map(|label| samples[label].to_vec()).collect();
    spoken.into_iter().cycle().take(length).collect()
}

/// A call in which the bot speaks and nobody else does.
pub fn only_the_bot(replies: &[Vec<i16>]) -> Scene {
    let mut scene = Scene::default();
    for (nth, reply) in replies.iter().enumerate() {
        // Sentences of one reply follow each other closely, replies do not.
        scene.pause_ms(if nth % 3 == 0 { 1_500 } else { 150 });
        scene.reply(reply);
    }
    scene.pause_ms(2_000);
    scene
}

/// A call in which each of `people` speaks over a reply of two sentences, from 0.2 to 3 s of
/// it on, at `db` of the bot's level, as the one spoke who was answered.
pub fn people_over_the_bot(people: &[Vec<i16>], replies: &[Vec<i16>], db: f64) -> Scene {
    let (mut scene, mut random) = (Scene::default(), Random(13));
    for (nth, person) in people.iter().enumerate() {
        scene.pause_ms(1_500);
        scene.say(&people[(nth + 7) % people.len()], db);
        scene.pause_ms(1_500);
        let begins = scene.samples();
        scene.reply(&replies[2 * nth % replies.len()]);
        scene.pause_ms(150);
        scene.reply(&replies[(2 * nth + 1) % replies.len()]);
        let onset = begins + INNER_RATE.samples_in_ms(200 + (random.positive() * 2_800.0) as u32);
        scene.say_at(onset, person, db);
        scene.spoken.push(onset..onset + person.len());
    }
    scene.pause_ms(2_000);
    scene
}

/// A call in which the caller says something, the bot answers, and meanwhile somebody else
/// talks behind the caller, at `db` of the caller's level.
pub fn talker_behind(people: &[Vec<i16>], replies: &[Vec<i16>], name: &str, db: f64) -> Scene {
    let mut scene = Scene::default();
    for (person, reply) in people.iter().zip(replies.iter().cycle()) {
        scene.pause_ms(1_500);
        scene.say(person, 0.0);
        scene.pause_ms(1_500);
        scene.reply(reply);
    }
    scene.pause_ms(1_000);
    let talker = talker(name, scene.samples());
    for (at, reply) in scene.replies.clone() {
        scene.say_at(at, &talker[at..at + reply.samples().len()], db);
    }
    scene
}

/// Which of those who spoke over the bot interrupted it, and how many milliseconds after they
/// began.
pub fn interruptions(scene: &Scene, found: &Found) -> Vec<Option<u32>> {
    let after = |spoken: &Range<usize>| {
        let first = found.sustained.iter().find(|at| spoken.contains(*at))?;
        Some(INNER_RATE.ms_of_samples((first - spoken.start) as u64) as u32)
    };
    scene.spoken.iter().map(after).collect()
}

/// The replies during which the bot would have been interrupted.
pub fn stopped_replies(scene: &Scene, found: &Found) -> usize {
    let stops = |(at, reply): &&(usize, SpeechAudio)| {
        let spoken = *at..at + reply.samples().len();
        found.sustained.iter().any(|it| spoken.contains(it))
    };
    scene.replies.iter().filter(stops).count()
}

/// Shares of a list, in its own unit.
pub fn percentile(values: &mut [u32], percent: usize) -> u32 {
    values.sort_unstable();
    values.get((values.len() * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or(0)
}

impl Track {
    /// By how much each utterance is louder than the others, at random up to `range` dB.
    pub fn gains_db(&self, range: f64) -> Vec<f64> {
        let mut random = Random(1);
        self.labels.iter().map(|_| range * random.signed()).collect()
    }

    /// The same call with each utterance at a level of its own.
    pub fn at_gains_db(&self, gains: &[f64]) -> Self {
        let mut samples = self.samples.clone();
        let mut from = 0;
        for (nth, gain) in gains.iter().enumerate() {
            let next = self.labels.get(nth + 1).map_or(samples.len(), |label| label.start);
            let to = usize::midpoint(self.labels[nth].end, next);
            let gain = 10_f64.powf(gain / 20.0);
            samples[from..to].iter_mut().for_each(|s| *s = clipped(f64::from(*s) * gain));
            from = to;
        }
        Self { samples, labels: self.labels.clone() }
    }

    /// The same call with somebody who talks all the time, at `db` of the caller's level.
    pub fn with_talker(&self, name: &str, db: f64) -> Self {
        let mut scene = Scene { people: self.samples.clone(), ..Scene::default() };
        scene.say_at(0, &talker(name, self.samples.len()), db);
        Self { samples: scene.people, labels: self.labels.clone() }
    }
}

/// Utterances of a track that come out as exactly one of their own, where 30 ms of speech
/// begin and 200 ms of silence end one.
pub fn whole(track: &Track, settings: &ListeningSettings) -> usize {
    let settings = ListeningSettings { speech_ms_min: 30, silence_ms_end: 200, ..settings.clone() };
    let scene = Scene { people: track.samples.clone(), ..Scene::default() };
    super::score::whole(&track.labels, &scene.heard_by(&settings, Line::CLEAR).utterances)
}
