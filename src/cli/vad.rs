//! `antiphon vad`: the utterances of a recording, as the engine would cut them.

use std::ops::Range;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::call::parse_rate;
use super::error::CliError;
use super::print;
use super::speech::read_wav;
use crate::config::Config;
use crate::media::detector::new_detector;
use crate::media::{Resampler, SegmenterEvent, SpeechFinder};
use crate::types::{Detector, INNER_RATE, ListeningSettings, SampleRate, UtteranceEnd};

pub(super) const EXAMPLES: &str = "\
Examples:
  antiphon vad call.wav
  antiphon vad call.wav --detector earshot
  antiphon vad call.wav --rate 8000          as it sounds over a telephone line
  antiphon vad call.wav --json | jq '.utterances[].duration_ms'

16-bit PCM, µ-law or A-law; two channels are mixed. Thresholds and durations are those of
[route.listening]. An utterance lasts from the first speech to the last: the pre-roll and
the silence that ends it are left out.";

#[derive(Debug, Args)]
pub(super) struct VadArgs {
    /// The recording.
    #[arg(value_name = "FILE.wav")]
    file: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// The detector that hears it, silero or earshot; that of the configuration otherwise.
    #[arg(long, value_parser = parse_detector)]
    detector: Option<Detector>,
    /// Samples a second of the line it comes in by: 8000 or 16000.
    #[arg(long, default_value = "16000", value_parser = parse_rate)]
    rate: SampleRate,
}

fn parse_detector(text: &str) -> Result<Detector, String> {
    match text {
        "silero" => Ok(Detector::Silero),
        "earshot" => Ok(Detector::Earshot),
        _ => Err("use silero or earshot".to_owned()),
    }
}

/// One utterance of the recording.
#[derive(Clone, Debug, PartialEq)]
struct Found {
    start_ms: u64,
    end_ms: u64,
    ended_by: &'static str,
    probability_mean: f32,
}

/// Finds the utterances and prints them.
pub(super) fn run(args: &VadArgs, config: &Config) -> Result<(), CliError> {
    let mut settings = config.route.listening.clone();
    settings.detector = args.detector.unwrap_or(settings.detector);
    let line = read_wav(&args.file, args.rate)?;
    let mut samples = Vec::new();
    let mut resampler = Resampler::to_inner(args.rate);
    resampler.process(&line, &mut samples);
    resampler.flush(&mut samples);
    let found = utterances(&settings, &samples);
    let duration_ms = INNER_RATE.ms_of_samples(samples.len() as u64);
    print(&if args.json {
        as_json(args, &settings, duration_ms, &found)
    } else {
        as_table(duration_ms, &found)
    });
    Ok(())
}

fn utterances(settings: &ListeningSettings, samples: &[i16]) -> Vec<Found> {
    let probabilities = Probabilities::of(settings.detector, samples);
    let mut finder = SpeechFinder::new(settings, settings.utterance_ms_max);
    finder.handle_samples(samples);
    finder.end_input(UtteranceEnd::MediaEnded);
    std::iter::from_fn(|| finder.poll_event())
        .filter_map(|event| match event {
            SegmenterEvent::UtteranceReady { started_at, ended_at, end, .. } => Some(Found {
                start_ms: INNER_RATE.ms_of_samples(started_at.0),
                end_ms: INNER_RATE.ms_of_samples(ended_at.0),
                ended_by: name_of(end),
                probability_mean: probabilities.mean(started_at.0..ended_at.0),
            }),
            _ => None,
        })
        .collect()
}

/// What the detector says, window by window. The finder has a detector of its own,
/// which says the same and keeps it to itself.
struct Probabilities {
    window_samples: usize,
    values: Vec<f32>,
}

impl Probabilities {
    fn of(kind: Detector, samples: &[i16]) -> Self {
        let mut detector = new_detector(kind);
        let window_samples = detector.window_samples();
        let windows = samples.chunks_exact(window_samples);
        let values = windows.map(|window| detector.speech_probability(window)).collect();
        Self { window_samples, values }
    }

    /// Over a stretch of the recording, in samples.
    fn mean(&self, stretch: Range<u64>) -> f32 {
        let window = |sample: u64| (sample as usize / self.window_samples).min(self.values.len());
        let heard = &self.values[window(stretch.start)..window(stretch.end)];
        heard.iter().sum::<f32>() / heard.len().max(1) as f32
    }
}

const fn name_of(end: UtteranceEnd) -> &'static str {
    match end {
        UtteranceEnd::Silence => "silence",
        UtteranceEnd::Stalled => "stalled",
        UtteranceEnd::MaxLength => "max_length",
        UtteranceEnd::MediaEnded => "media_ended",
    }
}

fn as_table(duration_ms: u64, found: &[Found]) -> String {
    let mut text = String::from("   start ms      end ms    length ms  ended by     probability\n");
    for it in found {
        text += &format!(
            "{:>11} {:>11} {:>12}  {:<11} {:>12.2}\n",
            it.start_ms,
            it.end_ms,
            it.end_ms - it.start_ms,
            it.ended_by,
            it.probability_mean
        );
    }
    let spoken: u64 = found.iter().map(|it| it.end_ms - it.start_ms).sum();
    text + &format!("\n{} utterances, {spoken} of {duration_ms} ms are speech.\n", found.len())
}

fn as_json(
    args: &VadArgs,
    settings: &ListeningSettings,
    duration_ms: u64,
    found: &[Found],
) -> String {
    let utterance = |it: &Found| {
        json!({
            "start_ms": it.start_ms,
            "end_ms": it.end_ms,
            "duration_ms": it.end_ms - it.start_ms,
            "ended_by": it.ended_by,
            "probability_mean": it.probability_mean,
        })
    };
    let report = json!({
        "file": args.file.display().to_string(),
        "detector": settings.detector,
        "rate_hz": args.rate.hz(),
        "duration_ms": duration_ms,
        "utterances": found.iter().map(utterance).collect::<Vec<_>>(),
    });
    format!("{report:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::wav;

    /// "Ten of clubs", with a second of silence behind it.
    fn recording() -> Vec<i16> {
        let file = include_bytes!("../../tests/audio/cards_001.wav");
        let spoken = wav::read(file).expect("a recording").channels.remove(0);
        [spoken, vec![0; 16_000]].concat()
    }

    #[test]
    fn an_utterance_is_told_with_its_times_and_why_it_ended() {
        for detector in [Detector::Silero, Detector::Earshot] {
            let settings = ListeningSettings { detector, ..ListeningSettings::default() };
            let found = utterances(&settings, &recording());
            let [utterance] = &found[..] else { panic!("{found:?}") };
            assert_eq!(utterance.ended_by, "silence");
            assert!(utterance.start_ms < 300 && utterance.end_ms < 1_200, "{utterance:?}");
            assert!(utterance.probability_mean > 0.7, "{utterance:?}");
        }
    }

    #[test]
    fn speech_up_to_the_end_of_the_file_is_ended_by_it() {
        let found = utterances(&ListeningSettings::default(), &recording()[..12_800]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].ended_by, "media_ended");
    }

    #[test]
    fn a_recording_without_speech_has_no_utterances() {
        assert_eq!(utterances(&ListeningSettings::default(), &[0; 16_000]), []);
        assert_eq!(utterances(&ListeningSettings::default(), &[]), []);
        assert!(as_table(1_000, &[]).ends_with("0 utterances, 0 of 1000 ms are speech.\n"));
    }
}
