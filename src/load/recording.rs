//! Both sides of a call, sample-aligned: the caller on the left, the bot on the
//! right. Keeps samples in memory and writes no file.

use crate::media::wav;
use crate::types::SampleRate;

/// A call as it was heard at the caller's end.
#[derive(Clone)]
pub struct StereoRecording {
    rate: SampleRate,
    caller: Vec<i16>,
    bot: Vec<i16>,
}

impl StereoRecording {
    /// Longest recording; what comes later is left out.
    pub const MS_MAX: u32 = 30 * 60_000;

    /// An empty recording.
    #[must_use]
    pub const fn new(rate: SampleRate) -> Self {
        Self { rate, caller: Vec::new(), bot: Vec::new() }
    }

    /// The caller said `samples`, the first of them at position `at`.
    pub fn put_caller(&mut self, at: u64, samples: &[i16]) {
        put(&mut self.caller, self.rate, at, samples);
    }

    /// The bot was heard saying `samples`, the first of them at position `at`.
    pub fn put_bot(&mut self, at: u64, samples: &[i16]) {
        put(&mut self.bot, self.rate, at, samples);
    }

    /// The bot fell silent at `at`: what was to come was not heard.
    pub fn cut_bot(&mut self, at: u64) {
        if let Ok(at) = usize::try_from(at) {
            self.bot.truncate(at);
        }
    }

    /// Samples a second.
    #[must_use]
    pub const fn rate(&self) -> SampleRate {
        self.rate
    }

    /// How long it is.
    #[must_use]
    pub fn ms(&self) -> u64 {
        self.rate.ms_of_samples(self.caller.len().max(self.bot.len()) as u64)
    }

    /// Both sides as a WAV file.
    #[must_use]
    pub fn to_stereo_wav(&self) -> Vec<u8> {
        wav::write_stereo(self.rate, &self.caller, &self.bot)
    }

    /// The bot's side as a WAV file.
    #[must_use]
    pub fn to_bot_wav(&self) -> Vec<u8> {
        wav::write_mono(self.rate, &self.bot)
    }
}

/// Lays `samples` at `at`, silence before it; what lies there already stays.
fn put(channel: &mut Vec<i16>, rate: SampleRate, at: u64, samples: &[i16]) {
    let samples_max = rate.samples_in_ms(StereoRecording::MS_MAX);
    let Some(at) = usize::try_from(at).ok().filter(|at| *at < samples_max) else { return };
    if channel.len() < at {
        channel.resize(at, 0);
    }
    let heard = channel.len() - at;
    let end = samples.len().min(samples_max - at);
    channel.extend_from_slice(samples.get(heard..end).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate() -> SampleRate {
        SampleRate::new(8_000).expect("8 kHz is supported")
    }

    #[test]
    fn both_sides_lie_where_they_were_heard() {
        let mut recording = StereoRecording::new(rate());
        recording.put_caller(0, &[1, 2]);
        recording.put_caller(2, &[3]);
        recording.put_bot(2, &[7, 8]);
        let read = wav::read(&recording.to_stereo_wav()).expect("what was written is read");
        assert_eq!(read.channels, [vec![1, 2, 3, 0], vec![0, 0, 7, 8]]);
        assert_eq!(read.rate, rate());
    }

    #[test]
    fn an_interrupted_reply_ends_where_it_fell_silent() {
        let mut recording = StereoRecording::new(rate());
        recording.put_bot(1, &[7, 8, 9]);
        recording.cut_bot(2);
        recording.put_bot(4, &[5]);
        let read = wav::read(&recording.to_bot_wav()).expect("what was written is read");
        assert_eq!(read.channels, [vec![0, 7, 0, 0, 5]]);
    }

    #[test]
    fn what_comes_after_the_longest_recording_is_left_out() {
        let mut recording = StereoRecording::new(rate());
        recording.put_bot(u64::MAX, &[7]);
        let last = rate().samples_in_ms(StereoRecording::MS_MAX) as u64 - 1;
        recording.put_bot(last, &[7, 8]);
        assert_eq!(recording.ms(), u64::from(StereoRecording::MS_MAX));
    }
}
