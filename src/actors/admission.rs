//! Whether a call is taken, as far as that is not up to the media threads: how many there
//! are, how large and how busy the process is, and how fast they come from one address.

use std::net::{IpAddr, Ipv6Addr};

use crate::config::LimitSettings;
use crate::resilience::{Comebacks, KeyedRates, MemoryRoom, ProcessRoom};
use crate::telemetry::{cpu_seconds, resident_bytes};
use crate::types::{Now, RefusalReason};

/// How often the process is asked for its size.
const MEMORY_LOOK_MS: u64 = 1_000;

/// Calls behind one address that may get another connection in a second. Behind the proxy of a
/// carrier thousands do when its line was away for a moment, and each has a few seconds for it.
const RESUMES_PER_S_PER_SOURCE_MAX: u32 = 2_000;

/// Calls of a media thread that may get another connection in a second: what they cost it is
/// not reckoned with by what keeps it from being too busy.
const RESUMES_PER_S_PER_THREAD_MAX: u32 = 1_000;

const MB: u64 = 1 << 20;

/// What the limits of an engine admit.
pub(super) struct Admission {
    limits: LimitSettings,
    memory: MemoryRoom,
    /// Size of the process, and when it was found.
    resident: Option<(u64, Now)>,
    cores: usize,
    process: ProcessRoom,
    /// Processor time that the process had taken, in seconds, and when that was found.
    cpu: Option<(f64, Now)>,
    sources: KeyedRates<IpAddr>,
    resumes_of_sources: KeyedRates<IpAddr>,
    resumes_of_threads: KeyedRates<usize>,
    comebacks: Comebacks,
}

impl Admission {
    /// For a process that may use so many cores.
    pub(super) fn new(limits: LimitSettings, cores: usize) -> Self {
        Self {
            cores,
            process: ProcessRoom::new(cores, limits.busy_percent_max),
            cpu: None,
            memory: MemoryRoom::new(limits.memory_mb_max.saturating_mul(MB)),
            sources: KeyedRates::new(limits.calls_per_second_per_source_max),
            resumes_of_sources: KeyedRates::new(RESUMES_PER_S_PER_SOURCE_MAX),
            resumes_of_threads: KeyedRates::new(RESUMES_PER_S_PER_THREAD_MAX),
            resident: None,
            comebacks: Comebacks::new(cores),
            limits,
        }
    }

    /// The same limits, with nothing counted.
    pub(super) fn anew(&self) -> Self {
        Self::new(self.limits.clone(), self.cores)
    }

    /// Whether a call from `source` may begin beside so many. It counts as one of its
    /// source even if it is refused for something else.
    pub(super) fn check(
        &mut self,
        now: Now,
        calls: usize,
        source: Option<IpAddr>,
    ) -> Result<(), RefusalReason> {
        self.check_source(now, source)?;
        self.room(now, calls)
    }

    /// Whether another call fits beside so many. Nobody is told yet when to come back.
    pub(super) fn room(&mut self, now: Now, calls: usize) -> Result<(), RefusalReason> {
        let LimitSettings { calls_max, memory_mb_max, .. } = self.limits;
        if calls >= calls_max as usize {
            return Err(RefusalReason::Full { calls_max, retry_after_s: 1 });
        }
        if let Err(because) = self.process.take(calls) {
            return Err(overloaded(because.to_string()));
        }
        if memory_mb_max == 0 {
            return Ok(());
        }
        let resident = self.resident(now);
        if self.memory.has_room(resident, calls) {
            return Ok(());
        }
        let resident_mb = resident / MB;
        Err(RefusalReason::Memory { resident_mb, memory_mb_max, retry_after_s: 1 })
    }

    /// Looks how busy the process was since the last time. Five times a second.
    pub(super) fn look(&mut self, now: Now, calls: usize) {
        let Some(seconds) = cpu_seconds() else { return };
        if let Some((before, at)) = self.cpu.replace((seconds, now)) {
            let passed_s = now.ms_since(at).max(1) as f64 / 1_000.0;
            self.process.look(calls, (seconds - before) / (passed_s * self.cores as f64));
        }
    }

    /// Tells whoever is refused for lack of room when to come back: one after the other.
    pub(super) fn ask_back(&mut self, now: Now, reason: &mut RefusalReason) {
        if let RefusalReason::Full { retry_after_s, .. }
        | RefusalReason::Overloaded { retry_after_s, .. }
        | RefusalReason::Memory { retry_after_s, .. } = reason
        {
            *retry_after_s = self.comebacks.wait_s(now);
        }
    }

    /// Whether a call of this media thread may get another connection, which comes from
    /// `source`. How many calls begin there has no say in it: a call that runs does not pay
    /// for what its neighbours behind the same address do.
    pub(super) fn check_resume(
        &mut self,
        now: Now,
        source: Option<IpAddr>,
        thread: usize,
    ) -> Result<(), RefusalReason> {
        let (sources, threads) = (&mut self.resumes_of_sources, &mut self.resumes_of_threads);
        let source = source.map(subscriber);
        // Who is refused by the one costs the other nothing.
        if source.is_some_and(|source| sources.is_spent(&source, now))
            || !threads.take(&thread, now)
        {
            return Err(RefusalReason::ResumeRate);
        }
        if let Some(source) = source {
            sources.take(&source, now);
        }
        Ok(())
    }

    /// Whether `source` may begin one more call now.
    fn check_source(&mut self, now: Now, source: Option<IpAddr>) -> Result<(), RefusalReason> {
        let calls_max = self.limits.calls_per_second_per_source_max;
        match source {
            Some(source) if calls_max > 0 && !self.sources.take(&subscriber(source), now) => {
                Err(RefusalReason::SourceRate { calls_max })
            }
            _ => Ok(()),
        }
    }

    fn resident(&mut self, now: Now) -> u64 {
        match self.resident {
            Some((bytes, at)) if now.ms_since(at) < MEMORY_LOOK_MS => bytes,
            _ => {
                let bytes = resident_bytes().unwrap_or_default();
                self.resident = Some((bytes, now));
                bytes
            }
        }
    }
}

/// Another call would make others late.
pub(super) fn overloaded(because: String) -> RefusalReason {
    RefusalReason::Overloaded { because, retry_after_s: 1 }
}

/// The network that one customer of a provider has: an IPv4 address, or the first half of
/// an IPv6 address.
fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(limits: LimitSettings) -> Admission {
        Admission::new(LimitSettings { calls_max: 10, ..limits }, 1)
    }

    fn source(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    #[test]
    fn without_further_limits_only_the_number_of_calls_counts() {
        let mut admission = admission(LimitSettings::default());
        for _ in 0..1_000 {
            assert_eq!(admission.check(Now(0), 9, source("192.0.2.1")), Ok(()));
        }
        let full = Err(RefusalReason::Full { calls_max: 10, retry_after_s: 1 });
        assert_eq!(admission.check(Now(0), 10, source("192.0.2.1")), full);
    }

    #[test]
    fn a_process_that_is_too_large_says_how_large_it_is() {
        let limits = LimitSettings { memory_mb_max: 1, ..LimitSettings::default() };
        let refused = admission(limits).check(Now(0), 0, None).expect_err("too large");
        let RefusalReason::Memory { resident_mb, memory_mb_max: 1, .. } = refused else {
            panic!("{refused}");
        };
        assert!(resident_mb > 1);
    }

    #[test]
    fn addresses_of_one_subscriber_share_their_calls() {
        let limits =
            LimitSettings { calls_per_second_per_source_max: 2, ..LimitSettings::default() };
        let mut admission = admission(limits);
        let mut begin = |from| admission.check(Now(0), 0, source(from)).is_ok();
        assert!(begin("2001:db8::1") && begin("2001:db8::2") && !begin("2001:db8::3"));
        assert!(begin("2001:db8:0:1::1"), "another network");
        assert!(begin("192.0.2.1") && begin("::ffff:192.0.2.1") && !begin("192.0.2.1"));
        assert!(begin("192.0.2.2"));
    }

    #[test]
    fn a_call_that_comes_back_pays_for_no_call_that_begins() {
        let limits =
            LimitSettings { calls_per_second_per_source_max: 1, ..LimitSettings::default() };
        let mut admission = admission(limits);
        let proxy = source("192.0.2.1");
        let begun = (0..500).filter(|_| admission.check(Now(0), 0, proxy).is_ok()).count();
        let back = (0..900).filter(|_| admission.check_resume(Now(0), proxy, 0).is_ok()).count();
        assert_eq!((begun, back), (1, 900));
    }

    #[test]
    fn calls_that_come_back_are_bounded_for_each_address_and_for_each_thread() {
        let mut admission = admission(LimitSettings::default());
        let mut back = |from: &str, thread| {
            let tries = 0..5_000;
            tries.filter(|_| admission.check_resume(Now(0), source(from), thread).is_ok()).count()
        };
        assert_eq!(back("192.0.2.1", 0), 1_000, "as many as a thread takes");
        assert_eq!(back("192.0.2.2", 0), 0);
        assert_eq!(back("192.0.2.1", 1), 1_000, "another thread does");
        assert_eq!(back("192.0.2.1", 2), 0, "the address has had all it gets");
        assert_eq!(back("192.0.2.2", 2), 1_000, "others have not");
    }

    #[test]
    fn whoever_is_refused_together_comes_back_one_after_the_other() {
        let mut admission = admission(LimitSettings::default());
        let mut seconds = || {
            let mut reason = admission.room(Now(0), 10).expect_err("it is full");
            admission.ask_back(Now(0), &mut reason);
            reason.retry_after_s()
        };
        let told: Vec<Option<u32>> = (0..60).map(|_| seconds()).collect();
        assert_eq!((told[0], told[30], told[59]), (Some(1), Some(2), Some(3)));
    }
}
