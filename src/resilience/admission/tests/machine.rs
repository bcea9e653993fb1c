//! A machine as a model: its cores work off what the calls of their media threads cost, and
//! what it costs to begin calls, to refuse them and to ask providers. What a core does not
//! get done waits. Everything happens in virtual time.

use super::super::*;
use super::ms;
use crate::resilience::{Comebacks, LOOK_MS, ProcessRoom};

/// What a media thread is closed by: the configuration's defaults.
pub const LIMITS: ThreadLimits = ThreadLimits { late_ms_max: 40, busy_percent_max: 90 };

/// Length of a tick.
const TICK_MS: u64 = 10;

/// Work of the HTTP threads to begin a call, and of its media thread.
const BEGIN_MS: f64 = 0.3;

/// Work of the HTTP threads to refuse one.
const REFUSE_MS: f64 = 0.35;

/// A caller listens first, for so long …
const LISTENS_MS: (u64, u64) = (1_000, 5_000);

/// … with this share of the work that a second takes on average, and then speaks and listens
/// in turn. Calls that begin together speak together at first.
const LISTENING: f64 = 0.5;
const TURNS: [(u64, f64); 2] = [(2_500, 1.9), (4_500, LISTENING)];

/// Other users of the machine make it so much slower or faster, for a second or two.
const SPEED_VARIES: f64 = 0.1;

/// Whoever is refused comes back when told to, so many times.
const COMEBACKS_MAX: u32 = 10;

/// Work of the service threads, as a share of that of the media threads.
const SERVICE_SHARE: f64 = 0.08;

/// A frame that is later is heard: what a telephone bridges.
const LATE_MS: f64 = 60.0;

/// What cores are asked to do.
#[derive(Clone, Copy)]
pub struct Load {
    pub cores: usize,
    /// Work that a second of a call takes.
    pub call_ms: f64,
    /// Length of a call on average.
    pub length_ms: u64,
    pub has_admission: bool,
}

struct Call {
    begun: u64,
    ends: u64,
    /// When the caller first speaks, and how much slower than others they talk, from 1.
    speaks: u64,
    slower: f64,
}

/// A core with its media thread.
struct Core {
    admission: ThreadAdmission,
    calls: Vec<Call>,
    /// Work of the media thread that is due and not done, in milliseconds.
    media_ms: f64,
    /// Work of other threads, likewise.
    others_ms: f64,
    next_look: Look,
}

/// What came of it since the count began.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    pub asked: u32,
    pub refused: u32,
    pub frames: u64,
    pub late_frames: u64,
    /// Milliseconds of calls that were carried.
    pub carried_ms: u64,
}

/// Somebody who was refused, and when they come back.
struct Refused {
    at: u64,
    times: u32,
}

pub struct Machine {
    load: Load,
    comebacks: Comebacks,
    refused: Vec<Refused>,
    speed: f64,
    cores: Vec<Core>,
    process: ProcessRoom,
    /// Work done since the last look at the process.
    done_ms: f64,
    at: u64,
    random: u64,
    pub outcome: Outcome,
}

impl Machine {
    pub fn new(load: Load) -> Self {
        let core = |_| {
            let mut admission = ThreadAdmission::new(LIMITS);
            admission.begin(ms(0));
            let (media_ms, others_ms) = (0.0, 0.0);
            Core { admission, calls: Vec::new(), media_ms, others_ms, next_look: Look::default() }
        };
        Self {
            load,
            comebacks: Comebacks::new(load.cores),
            refused: Vec::new(),
            speed: 1.0,
            cores: (0..load.cores).map(core).collect(),
            process: ProcessRoom::new(load.cores, LIMITS.busy_percent_max),
            done_ms: 0.0,
            at: 0,
            random: 7,
            outcome: Outcome::default(),
        }
    }

    pub fn calls(&self) -> usize {
        self.cores.iter().map(|core| core.calls.len()).sum()
    }

    /// Offers so many calls a second, at random moments, for as long.
    pub fn offer(&mut self, calls_per_s: f64, for_ms: u64) {
        let until = self.at + for_ms;
        while self.at < until {
            let mut due = calls_per_s * TICK_MS as f64 / 1_000.0;
            while due > 0.0 {
                if self.chance() < due {
                    self.place(0);
                }
                due -= 1.0;
            }
            self.come_back();
            self.tick();
        }
    }

    /// What comes from now on counts.
    pub fn count_anew(&mut self) {
        self.outcome = Outcome::default();
    }

    /// A number from 0 to 1.
    fn chance(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1u64 << 53) as f64
    }

    fn now(&self) -> Now {
        ms(self.at)
    }

    fn come_back(&mut self) {
        let at = self.at;
        let (due, waiting) =
            std::mem::take(&mut self.refused).into_iter().partition(|it| it.at <= at);
        self.refused = waiting;
        let due: Vec<Refused> = due;
        due.into_iter().for_each(|Refused { times, .. }| self.place(times));
    }

    fn place(&mut self, times: u32) {
        self.outcome.asked += 1;
        let length = self.load.length_ms / 2 + (self.chance() * self.load.length_ms as f64) as u64;
        let at = self.at;
        let (begun, ends) = (at, at + length);
        // Whichever HTTP thread got it.
        let http = (self.chance() * self.cores.len() as f64) as usize;
        let Some(core) = self.open_core() else {
            self.outcome.refused += 1;
            self.cores[http].others_ms += REFUSE_MS;
            let wait_s = self.comebacks.wait_s(self.now());
            if times < COMEBACKS_MAX {
                let at = self.at + u64::from(wait_s) * 1_000;
                self.refused.push(Refused { at, times: times + 1 });
            }
            return;
        };
        let (least, most) = LISTENS_MS;
        let speaks = at + least + (self.chance() * (most - least) as f64) as u64;
        let slower = 1.0 + self.chance() / 2.0;
        self.cores[core].calls.push(Call { begun, ends, speaks, slower });
        self.cores[core].media_ms += BEGIN_MS / 3.0;
        self.cores[http].others_ms += BEGIN_MS;
    }

    /// The one with the fewest calls of those that take one.
    fn open_core(&mut self) -> Option<usize> {
        let (now, calls) = (self.now(), self.calls());
        let mut by_calls: Vec<usize> = (0..self.cores.len()).collect();
        by_calls.sort_by_key(|&core| self.cores[core].calls.len());
        if !self.load.has_admission {
            return by_calls.first().copied();
        }
        self.process.take(calls).ok()?;
        by_calls.into_iter().find(|&core| {
            let Core { admission, calls, .. } = &mut self.cores[core];
            admission.take(now, calls.len()).is_ok()
        })
    }

    fn tick(&mut self) {
        let at = self.at;
        for core in &mut self.cores {
            let (done_ms, late_ms) = core.work(at, self.load.call_ms / self.speed);
            self.done_ms += done_ms;
            core.hand_over(at, late_ms, &mut self.outcome);
            core.calls.retain(|call| at < call.ends);
            self.outcome.carried_ms += core.calls.len() as u64 * TICK_MS;
        }
        self.at += TICK_MS;
        if self.at.is_multiple_of(u64::from(LOOK_MS)) {
            self.look();
        }
    }

    fn look(&mut self) {
        let towards = 1.0 + SPEED_VARIES * (2.0 * self.chance() - 1.0) * 2.0;
        self.speed += (towards - self.speed) * 0.2;
        let (now, calls) = (self.now(), self.calls());
        for core in &mut self.cores {
            let look = Look { calls: core.calls.len(), ..std::mem::take(&mut core.next_look) };
            core.admission.look(now, look);
        }
        let room_ms = f64::from(LOOK_MS) * self.cores.len() as f64;
        self.process.look(calls, std::mem::take(&mut self.done_ms) / room_ms);
    }
}

impl Core {
    /// A tick of its time, shared by its threads. Returns the work that was done, and for
    /// how long the media thread's waits.
    fn work(&mut self, at: u64, call_ms: f64) -> (f64, f64) {
        let tick_ms = TICK_MS as f64;
        let weight = |call: &Call| call.weight(at);
        let due_ms = self.calls.iter().map(weight).sum::<f64>() * call_ms * tick_ms / 1_000.0;
        self.media_ms += due_ms;
        self.others_ms += due_ms * SERVICE_SHARE;
        // The kernel gives each side half, or what the other one leaves.
        let others_ms = self.others_ms.min((tick_ms - self.media_ms).max(tick_ms / 2.0));
        let media_ms = self.media_ms.min(tick_ms - others_ms);
        self.others_ms -= others_ms;
        self.media_ms -= media_ms;
        // A thread that waits for its core does not rest.
        let busy_ms = if self.media_ms > 0.0 { tick_ms } else { media_ms };
        self.next_look.busy += busy_ms / f64::from(LOOK_MS);
        (others_ms + media_ms, self.media_ms)
    }

    /// One frame in 50 ms of each call.
    fn hand_over(&mut self, at: u64, late_ms: f64, outcome: &mut Outcome) {
        self.next_look.beats.add(late_ms as u64);
        let due = self.calls.iter().filter(|call| (call.begun + at) % 50 < TICK_MS).count();
        (0..due).for_each(|_| self.next_look.frames.add(late_ms as u64));
        outcome.frames += due as u64;
        outcome.late_frames += if late_ms > LATE_MS { due as u64 } else { 0 };
    }
}

impl Call {
    /// The work that it takes now, as a share of what it takes on average.
    fn weight(&self, at: u64) -> f64 {
        let Some(talked) = at.checked_sub(self.speaks) else { return LISTENING };
        let turn: u64 = TURNS.iter().map(|(for_ms, _)| for_ms).sum();
        let mut at = (talked as f64 / self.slower) as u64 % turn;
        for (for_ms, weight) in TURNS {
            if at < for_ms {
                return weight;
            }
            at -= for_ms;
        }
        LISTENING
    }
}

impl Outcome {
    pub fn late_share(&self) -> f64 {
        self.late_frames as f64 / self.frames.max(1) as f64
    }

    /// Calls carried on average.
    pub fn carried(&self, for_ms: u64) -> f64 {
        self.carried_ms as f64 / for_ms as f64
    }
}
