//! A caller whose connection is looked at in rounds.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;

use tokio::time::{Duration, Instant};

use super::stage::{Caller, Script, Stage, act, speech};
use crate::actors::link::{Delivery, LegInput, Visits};
use crate::types::{CallEventKind, INNER_RATE, Route};

/// What a caller says on a wire that is read when the connection is visited, and when that
/// was.
struct Wire {
    track: Vec<i16>,
    begin: Instant,
    visited_ms: RefCell<Vec<u64>>,
}

impl Wire {
    /// Speech after a second of silence, and two seconds of silence behind it.
    fn new() -> Rc<Self> {
        let silence = |ms| vec![0; INNER_RATE.samples_in_ms(ms)];
        let track = [silence(1_000), speech(), silence(2_000)].concat();
        Rc::new(Self { track, begin: Instant::now(), visited_ms: RefCell::default() })
    }

    fn elapsed_ms(&self) -> u64 {
        self.begin.elapsed().as_millis() as u64
    }

    /// Hands over what has come, frame by frame of 20 ms, at each visit.
    async fn carry(self: Rc<Self>, visits: Visits, input: LegInput) {
        let mut sent = 0;
        while sent < self.track.len() {
            poll_fn(|context| visits.poll(context)).await;
            let elapsed_ms = self.elapsed_ms();
            self.visited_ms.borrow_mut().push(elapsed_ms);
            let come = INNER_RATE.samples_in_ms((elapsed_ms / 20 * 20) as u32);
            let new = &self.track[sent..come.min(self.track.len())];
            let bytes: Vec<u8> = new.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            let _taken = input.stream(&bytes);
            sent += new.len();
        }
    }

    fn visits_between(&self, from_ms: u64, to_ms: u64) -> usize {
        self.visited_ms.borrow().iter().filter(|at| (from_ms..to_ms).contains(*at)).count()
    }
}

/// Where in the caller's audio it was decided that an utterance is over, in milliseconds.
async fn segmented(caller: &Caller) -> u64 {
    loop {
        let at = caller.events.lock().iter().find_map(|kind| match kind {
            CallEventKind::UtteranceSegmented { at, .. } => Some(at.as_ms()),
            _ => None,
        });
        match at {
            Some(at_ms) => return at_ms,
            None => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

#[test]
fn who_is_looked_at_ten_times_a_second_is_answered_as_soon_as_he_has_been_silent_for_long_enough() {
    act(|| async {
        let stage = Stage::new(Script::default(), Route::default());
        let caller = stage.call("a", Delivery::WholeSentences).await;
        let visits = Visits::here().expect("a media thread");
        visits.bring_to(&caller.input);
        let wire = Wire::new();
        actix_rt::spawn(Rc::clone(&wire).carry(visits, caller.input.clone()));

        let decided_ms = segmented(&caller).await;
        let ended_ms = wire.elapsed_ms();
        let late_ms = ended_ms - decided_ms;
        assert!(late_ms <= 40, "a frame, a tick and what is between them: {late_ms} ms");
        tokio::time::sleep(Duration::from_secs(2)).await;

        for quiet_ms in [50, ended_ms + 50] {
            let visits = wire.visits_between(quiet_ms, quiet_ms + 900);
            assert!((8..=10).contains(&visits), "{visits} visits, of 9 rounds");
        }
        let at_the_end = wire.visits_between(ended_ms - 60, ended_ms);
        assert!((5..=7).contains(&at_the_end), "{at_the_end} visits, of 6 ticks");
    });
}
