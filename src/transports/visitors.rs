//! How many connections there are, of all ports together: no more than there are handles
//! for. When all places are taken, whoever has waited longest without a request gives up
//! its place, on whatever port and thread it is; when nobody waits, the newcomer is sent away.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::guests::{Guest, Guests};
use super::patience::Patience;
use super::read_ahead::{Body, ReadAhead};

/// Of so many places one is kept from WebSockets: whoever asks how the engine is, or hangs
/// up a call, gets in when calls have taken all others.
const KEPT_FROM_CALLS: usize = 8;

/// The places for connections. Clones are the same places.
#[derive(Clone, Debug)]
pub struct Places(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    connections_max: usize,
    /// 0: any number.
    per_source_max: usize,
    connections: AtomicUsize,
    /// Those of them that became WebSockets.
    websockets: AtomicUsize,
    sources: Mutex<HashMap<IpAddr, usize>>,
    guests: Guests,
}

impl Places {
    /// Places for so many connections, of which each address may take so many; 0: all.
    #[must_use]
    pub fn new(connections_max: usize, per_source_max: usize) -> Self {
        Self(Arc::new(Shared {
            connections_max: connections_max.max(1),
            per_source_max,
            connections: AtomicUsize::default(),
            websockets: AtomicUsize::default(),
            sources: Mutex::default(),
            guests: Guests::new(Instant::now()),
        }))
    }

    /// Lets a connection in, in the place of another one if need be. `None`: nobody could
    /// be sent away for it.
    pub(super) fn admit(&self, source: Option<IpAddr>, now: Instant) -> Option<Admitted> {
        let place = self.take(source)?;
        let guests = &self.0.guests;
        if self.are_too_few() && !guests.send_somebody_away() {
            return None;
        }
        let visitor = Visitor::new(guests.come(), now);
        Some(Admitted { visitor, place })
    }

    /// A place, even if it is one too many. `None`: this address has all it may have.
    fn take(&self, source: Option<IpAddr>) -> Option<Place> {
        let shared = &self.0;
        let source = source.filter(|_| shared.per_source_max > 0);
        if let Some(source) = source {
            let mut sources = shared.sources.lock();
            let taken = sources.entry(source).or_default();
            if *taken >= shared.per_source_max {
                return None;
            }
            *taken += 1;
        }
        shared.connections.fetch_add(1, Ordering::Relaxed);
        Some(Place { places: self.clone(), source, is_websocket: Cell::new(false) })
    }

    fn are_too_few(&self) -> bool {
        self.0.connections.load(Ordering::Relaxed) > self.0.connections_max
    }

    fn websockets_max(&self) -> usize {
        let all = self.0.connections_max;
        all - (all / KEPT_FROM_CALLS).max(1).min(all - 1)
    }
}

/// One connection's place. Free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    source: Option<IpAddr>,
    is_websocket: Cell<bool>,
}

impl Place {
    /// Keeps it for a WebSocket; `false` when those have all that they may have.
    pub(super) fn keep_for_websocket(&self) -> bool {
        let (websockets, max) = (&self.places.0.websockets, self.places.websockets_max());
        let one_more = |count| (count < max).then_some(count + 1);
        let kept = websockets.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok();
        self.is_websocket.set(kept);
        kept
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let shared = &self.places.0;
        shared.connections.fetch_sub(1, Ordering::Relaxed);
        if self.is_websocket.get() {
            shared.websockets.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(source) = self.source {
            let mut sources = shared.sources.lock();
            if let Some(taken) = sources.get_mut(&source) {
                *taken -= 1;
                if *taken == 0 {
                    sources.remove(&source);
                }
            }
        }
    }
}

/// What is known of one connection, for those of its thread that deal with it.
pub(super) struct Visitor {
    patience: RefCell<Patience>,
    read_ahead: Cell<ReadAhead>,
    /// What other threads see of it.
    guest: Arc<Guest>,
    /// The task of the connection.
    task: RefCell<Option<Waker>>,
}

impl Visitor {
    fn new(guest: Arc<Guest>, now: Instant) -> Rc<Self> {
        let patience = Patience::new(now);
        guest.waits_since(patience.waiting_since());
        Rc::new(Self {
            patience: RefCell::new(patience),
            read_ahead: Cell::new(ReadAhead::new()),
            guest,
            task: RefCell::default(),
        })
    }

    /// Looks at how long it is waited for, or says what happened.
    pub(super) fn with_patience<T>(&self, act: impl FnOnce(&mut Patience) -> T) -> T {
        let mut patience = self.patience.borrow_mut();
        let result = act(&mut patience);
        self.guest.waits_since(patience.waiting_since());
        result
    }

    /// Looks at what may be read, or says what was.
    pub(super) fn with_read_ahead<T>(&self, act: impl FnOnce(&mut ReadAhead) -> T) -> T {
        let mut read_ahead = self.read_ahead.get();
        let result = act(&mut read_ahead);
        self.read_ahead.set(read_ahead);
        result
    }

    /// The server took the head of a request.
    pub(super) fn request_begins(&self, body: Body) {
        self.with_patience(Patience::request_begins);
        self.with_read_ahead(|ahead| ahead.request_begins(body));
        if body != Body::Bytes(0) {
            self.wake();
        }
    }

    /// A request was answered, or is not any more.
    pub(super) fn answered(&self, now: Instant) {
        self.with_patience(|patience| patience.answered(now));
        self.with_read_ahead(ReadAhead::answered);
        self.wake();
    }

    /// From now on the connection is not HTTP.
    pub(super) fn leaves_http(&self) {
        self.with_patience(Patience::leaves_http);
        self.with_read_ahead(ReadAhead::open);
    }

    /// Ready when the connection has to go.
    pub(super) fn poll_sent_away(&self, context: &mut Context<'_>) -> Poll<()> {
        // Whoever sends it away afterwards finds the task.
        self.remember(context);
        if self.guest.is_sent_away() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Ready when the system has taken every answer that was made.
    pub(super) fn poll_owes_nothing(&self, context: &mut Context<'_>) -> Poll<()> {
        if !self.with_patience(|patience| patience.owes()) {
            return Poll::Ready(());
        }
        self.remember(context);
        Poll::Pending
    }

    /// The system has taken everything; goes on with what waited for that.
    pub(super) fn flushed(&self) {
        let owed = self.with_patience(|patience| {
            let owed = patience.owes();
            patience.flushed();
            owed
        });
        if owed {
            self.wake();
        }
    }

    fn remember(&self, context: &Context<'_>) {
        let mut task = self.task.borrow_mut();
        if !task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
            *task = Some(context.waker().clone());
            self.guest.is_carried_by(context.waker().clone());
        }
    }

    fn wake(&self) {
        if let Some(task) = self.task.borrow().as_ref() {
            task.wake_by_ref();
        }
    }
}

/// A visitor who got in.
pub(super) struct Admitted {
    pub visitor: Rc<Visitor>,
    pub place: Place,
}

#[cfg(test)]
mod tests {
    use std::task::Wake;
    use std::time::Duration;

    use super::*;

    fn has_to_go(admitted: &Admitted) -> bool {
        admitted.visitor.poll_sent_away(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    fn source(address: &str) -> Option<IpAddr> {
        address.parse().ok()
    }

    #[test]
    fn a_newcomer_takes_the_place_of_who_has_waited_longest_without_a_request() {
        let begin = Instant::now();
        let at = |s| begin + Duration::from_secs(s);
        let places = Places::new(3, 0);
        let come = |s| places.admit(None, at(s));
        let (busy, long, short) = (come(0).unwrap(), come(1).unwrap(), come(2).unwrap());
        busy.visitor.with_patience(Patience::request_begins);
        let newcomer = come(3).expect("in the place of another one");
        assert_eq!([&busy, &long, &short, &newcomer].map(has_to_go), [false, true, false, false]);
        drop(long);
        let (_one, _two) = (come(4).expect("likewise"), come(5).expect("likewise"));
        assert_eq!([&busy, &short, &newcomer].map(has_to_go), [false, true, true]);
    }

    #[test]
    fn when_everybody_is_busy_a_newcomer_is_sent_away_and_takes_no_place() {
        let now = Instant::now();
        let places = Places::new(2, 0);
        let busy: Vec<Admitted> = (0..2).filter_map(|_| places.admit(None, now)).collect();
        busy.iter().for_each(|it| it.visitor.with_patience(Patience::request_begins));
        assert!((0..100).all(|_| places.admit(None, now).is_none()));
        drop(busy);
        assert!(places.admit(None, now).is_some());
        assert_eq!(places.0.connections.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn one_address_has_so_many_places_and_no_more() {
        let now = Instant::now();
        let places = Places::new(100, 2);
        let one: Vec<Admitted> =
            (0..5).filter_map(|_| places.admit(source("192.0.2.1"), now)).collect();
        assert_eq!(one.len(), 2);
        assert!(places.admit(source("192.0.2.2"), now).is_some());
        drop(one);
        assert!(places.admit(source("192.0.2.1"), now).is_some());
        assert!(places.0.sources.lock().is_empty(), "nothing is kept of who left");
    }

    #[test]
    fn websockets_do_not_take_all_places() {
        let now = Instant::now();
        let places = Places::new(16, 0);
        let all: Vec<Admitted> = (0..16).filter_map(|_| places.admit(None, now)).collect();
        let (kept, refused): (Vec<Admitted>, Vec<Admitted>) =
            all.into_iter().partition(|it| it.place.keep_for_websocket());
        assert_eq!((kept.len(), refused.len()), (14, 2));
        assert!(!refused[0].place.keep_for_websocket());
        drop(kept);
        assert!(refused[0].place.keep_for_websocket(), "who was refused takes nobody's place");
        drop(refused);
        assert_eq!(places.0.websockets.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_newcomer_takes_the_place_of_who_waits_on_another_thread() {
        #[derive(Default)]
        struct Task(AtomicUsize);
        impl Wake for Task {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let (places, now) = (Places::new(2, 0), Instant::now());
        let (busy, waiting) = (places.admit(None, now).unwrap(), places.admit(None, now).unwrap());
        busy.visitor.with_patience(Patience::request_begins);
        let task = Arc::new(Task::default());
        let waker = Waker::from(Arc::clone(&task));
        assert!(waiting.visitor.poll_sent_away(&mut Context::from_waker(&waker)).is_pending());
        let newcomers = || (0..2).map(|_| places.admit(None, now)).collect::<Vec<_>>();
        let others = || newcomers().iter().map(Option::is_some).collect::<Vec<bool>>();
        let came = std::thread::scope(|threads| threads.spawn(others).join());
        // The first newcomer of two waits as well, and gives way to the second.
        assert_eq!(came.unwrap(), [true, true]);
        assert_eq!(task.0.load(Ordering::Relaxed), 1);
        assert_eq!([&busy, &waiting].map(has_to_go), [false, true]);
    }

    #[test]
    fn connections_that_come_and_go_leave_nothing_behind() {
        let places = Places::new(10, 0);
        for _ in 0..10_000 {
            drop(places.admit(None, Instant::now()));
        }
        assert!(places.0.guests.len() < 16);
    }
}
