//! Work given to a service, kept where it survives the child that carries it out.
//!
//! The parent owns the board and puts requests on it; the child starts them on
//! the service runtime and writes down the answers. When a child dies, requests
//! that run keep running and answers that were not told yet are still there, so
//! the next generation goes on without asking anything twice. A request that was
//! on the board at too many deaths is taken for the cause and given up.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};

use tokio::sync::oneshot;

use crate::types::Now;

/// Deaths of a child after which the requests it was working on are given up: the
/// first one may have been chance.
pub const DEATHS_MAX: u32 = 2;

/// The requests of one child, by key. Cheap to clone; all clones are one board.
pub struct Board<K, Q, A>(Rc<RefCell<BTreeMap<K, Entry<Q, A>>>>);

struct Entry<Q, A> {
    request: Q,
    asked_at: Now,
    state: State<A>,
    deaths: u32,
}

enum State<A> {
    Waiting,
    Running(oneshot::Receiver<A>),
    Answered {
        answer: A,
        told: bool,
    },
    /// The request's task ended without an answer: it panicked.
    Lost {
        told: bool,
    },
}

impl<K, Q, A> Clone for Board<K, Q, A> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<K: Copy + Ord, Q: Clone, A> Default for Board<K, Q, A> {
    fn default() -> Self {
        Self(Rc::default())
    }
}

// === The parent's side ===

impl<K: Copy + Ord, Q: Clone, A> Board<K, Q, A> {
    /// Adds a request.
    pub fn put(&self, key: K, request: Q, now: Now) {
        let entry = Entry { request, asked_at: now, state: State::Waiting, deaths: 0 };
        self.0.borrow_mut().insert(key, entry);
    }

    /// Whether a request is on the board, whatever its state.
    pub fn holds(&self, key: K) -> bool {
        self.0.borrow().contains_key(&key)
    }

    /// Takes a request off. Its answer, if one comes, is dropped.
    pub fn remove(&self, key: K) {
        self.0.borrow_mut().remove(&key);
    }

    /// Takes an answered request off: its answer (`None` if it was lost) and how
    /// many milliseconds it took.
    pub fn take_answer(&self, key: K, now: Now) -> Option<(Option<A>, u64)> {
        let mut entries = self.0.borrow_mut();
        let answered = entries.get(&key).is_some_and(|entry| {
            matches!(entry.state, State::Answered { .. } | State::Lost { .. })
        });
        let entry = answered.then(|| entries.remove(&key)).flatten()?;
        let took_ms = now.ms_since(entry.asked_at);
        match entry.state {
            State::Answered { answer, .. } => Some((Some(answer), took_ms)),
            _ => Some((None, took_ms)),
        }
    }

    /// A child died: its successor tells again what was answered. Returns the
    /// requests that were there at too many deaths; they are off the board.
    pub fn child_died(&self) -> Vec<K> {
        let mut entries = self.0.borrow_mut();
        for entry in entries.values_mut() {
            entry.deaths += 1;
            if let State::Answered { told, .. } | State::Lost { told } = &mut entry.state {
                *told = false;
            }
        }
        let poisoned: Vec<K> = entries
            .iter()
            .filter(|(_, entry)| entry.deaths >= DEATHS_MAX)
            .map(|(&key, _)| key)
            .collect();
        for key in &poisoned {
            entries.remove(key);
        }
        poisoned
    }
}

// === The child's side ===

impl<K: Copy + Ord, Q: Clone, A> Board<K, Q, A> {
    /// Starts waiting requests, oldest first, as long as fewer than `running_max` run.
    pub fn start(&self, running_max: usize, mut begin: impl FnMut(Q) -> oneshot::Receiver<A>) {
        while let Some((key, request)) = self.next_waiting(running_max) {
            // Not under the borrow: `begin` is foreign code.
            let receiver = begin(request);
            if let Some(entry) = self.0.borrow_mut().get_mut(&key) {
                entry.state = State::Running(receiver);
            }
        }
    }

    /// A request that is on the board.
    pub fn request(&self, key: K) -> Option<Q> {
        self.0.borrow().get(&key).map(|entry| entry.request.clone())
    }

    /// The oldest request on the board, whatever its state.
    pub fn first_key(&self) -> Option<K> {
        self.0.borrow().first_key_value().map(|(&key, _)| key)
    }

    fn next_waiting(&self, running_max: usize) -> Option<(K, Q)> {
        let entries = self.0.borrow();
        let running = |entry: &&Entry<Q, A>| matches!(entry.state, State::Running(_));
        if entries.values().filter(running).count() >= running_max {
            return None;
        }
        let (&key, entry) =
            entries.iter().find(|(_, entry)| matches!(entry.state, State::Waiting))?;
        Some((key, entry.request.clone()))
    }

    /// The next request whose answer is there and not told yet.
    pub fn poll_answered(&self, task: &mut TaskContext<'_>) -> Option<K> {
        self.0.borrow_mut().iter_mut().find_map(|(&key, entry)| {
            entry.state.receive(task);
            entry.state.tell().then_some(key)
        })
    }
}

impl<A> State<A> {
    fn receive(&mut self, task: &mut TaskContext<'_>) {
        let Self::Running(receiver) = self else { return };
        match Pin::new(receiver).poll(task) {
            Poll::Ready(Ok(answer)) => *self = Self::Answered { answer, told: false },
            Poll::Ready(Err(_)) => *self = Self::Lost { told: false },
            Poll::Pending => {}
        }
    }

    fn tell(&mut self) -> bool {
        match self {
            Self::Answered { told, .. } | Self::Lost { told } => !std::mem::replace(told, true),
            Self::Waiting | Self::Running(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    const NOW: Now = Now(0);

    fn task() -> TaskContext<'static> {
        TaskContext::from_waker(Waker::noop())
    }

    #[test]
    fn a_running_request_survives_the_child_and_is_not_begun_again() {
        let board = Board::<u32, &str, &str>::default();
        board.put(1, "question", NOW);
        let mut begun = Vec::new();
        let mut answers = Vec::new();
        for generation in 1..=2 {
            board.start(9, |request| {
                begun.push(request);
                let (answer, receiver) = oneshot::channel();
                answers.push(answer);
                receiver
            });
            assert_eq!(board.poll_answered(&mut task()), None);
            if generation == 1 {
                assert!(board.child_died().is_empty());
            }
        }
        assert_eq!(begun, ["question"]);
        answers.remove(0).send("answer").expect("the board still listens");
        assert_eq!(board.poll_answered(&mut task()), Some(1));
        assert_eq!(board.poll_answered(&mut task()), None, "told once");
        assert_eq!(board.take_answer(1, NOW.plus_ms(7)), Some((Some("answer"), 7)));
    }

    #[test]
    fn an_answer_that_was_told_to_nobody_is_told_again() {
        let board = Board::<u32, (), u8>::default();
        board.put(1, (), NOW);
        board.start(1, |()| {
            let (answer, receiver) = oneshot::channel();
            answer.send(5).expect("the board listens");
            receiver
        });
        assert_eq!(board.poll_answered(&mut task()), Some(1));
        assert!(board.child_died().is_empty());
        assert_eq!(board.poll_answered(&mut task()), Some(1));
    }

    #[test]
    fn a_request_present_at_two_deaths_is_given_up() {
        let board = Board::<u32, (), ()>::default();
        board.put(1, (), NOW);
        assert!(board.child_died().is_empty());
        board.put(2, (), NOW);
        assert_eq!(board.child_died(), [1]);
        assert_eq!(board.child_died(), [2]);
    }

    #[test]
    fn a_request_whose_task_vanished_is_lost_not_forgotten() {
        let board = Board::<u32, (), ()>::default();
        board.put(1, (), NOW);
        board.start(1, |()| oneshot::channel().1);
        assert_eq!(board.poll_answered(&mut task()), Some(1));
        assert_eq!(board.take_answer(1, NOW), Some((None, 0)));
    }

    #[test]
    fn no_more_run_at_once_than_allowed() {
        let board = Board::<u32, u32, ()>::default();
        (1..=3).for_each(|key| board.put(key, key, NOW));
        let mut senders = Vec::new();
        board.start(2, |_| {
            let (sender, receiver) = oneshot::channel();
            senders.push(sender);
            receiver
        });
        assert_eq!(senders.len(), 2);
    }
}
