//! The bounded line of jobs in front of a pool's workers.
//!
//! A newcomer is refused when the line is full. A job that comes back, because its
//! worker died, goes to the front and is never refused: it was admitted before.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The line is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// Jobs in the order in which they are done.
pub(super) struct JobQueue<T> {
    jobs: Mutex<VecDeque<T>>,
    waiting_max: usize,
    arrived: Notify,
}

impl<T> JobQueue<T> {
    /// A line where at most `waiting_max` newcomers wait.
    pub(super) fn new(waiting_max: usize) -> Self {
        Self { jobs: Mutex::default(), waiting_max, arrived: Notify::new() }
    }

    /// Puts a new job at the back. Where the line is full, those that are not wanted any
    /// more leave it.
    pub(super) fn push(&self, job: T, is_wanted: impl Fn(&T) -> bool) -> Result<(), Full> {
        let mut jobs = self.jobs.lock();
        if jobs.len() >= self.waiting_max {
            jobs.retain(is_wanted);
        }
        if jobs.len() >= self.waiting_max {
            return Err(Full);
        }
        jobs.push_back(job);
        drop(jobs);
        self.arrived.notify_one();
        Ok(())
    }

    /// Puts a job back at the front.
    pub(super) fn push_front(&self, job: T) {
        self.jobs.lock().push_front(job);
        self.arrived.notify_one();
    }

    /// The next job; waits for one. Nothing is lost when this is dropped.
    pub(super) async fn next(&self) -> T {
        loop {
            let arrived = self.arrived.notified();
            if let Some(job) = self.pop() {
                return job;
            }
            arrived.await;
        }
    }

    /// Takes everything that waits.
    pub(super) fn drain(&self) -> Vec<T> {
        self.jobs.lock().drain(..).collect()
    }

    /// The next job. Wakes another taker if there are more, since two arrivals may
    /// have left one wake-up only.
    fn pop(&self) -> Option<T> {
        let mut jobs = self.jobs.lock();
        let job = jobs.pop_front();
        if !jobs.is_empty() {
            self.arrived.notify_one();
        }
        job
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn a_newcomer_is_refused_when_the_line_is_full_and_a_returning_job_is_not() {
        let queue = JobQueue::new(2);
        let push = |job| queue.push(job, |_| true);
        assert_eq!((push(1), push(2), push(3)), (Ok(()), Ok(()), Err(Full)));
        queue.push_front(0);
        assert_eq!([queue.next().await, queue.next().await, queue.next().await], [0, 1, 2]);
    }

    #[tokio::test]
    async fn jobs_that_nobody_wants_any_more_make_room() {
        let queue = JobQueue::new(2);
        let push = |job| queue.push(job, |job| *job != 1);
        assert_eq!((push(1), push(2), push(3), push(4)), (Ok(()), Ok(()), Ok(()), Err(Full)));
        assert_eq!([queue.next().await, queue.next().await], [2, 3]);
    }

    #[tokio::test]
    async fn every_job_finds_one_of_the_waiting_workers() {
        let queue = Arc::new(JobQueue::new(100));
        let taker = |queue: Arc<JobQueue<u32>>| async move {
            let mut taken = Vec::new();
            for _ in 0..20 {
                taken.push(queue.next().await);
            }
            taken
        };
        let takers: Vec<_> = (0..5).map(|_| tokio::spawn(taker(Arc::clone(&queue)))).collect();
        for job in 0..100 {
            queue.push(job, |_| true).unwrap();
            tokio::task::yield_now().await;
        }
        let mut all = Vec::new();
        for taker in takers {
            all.extend(taker.await.unwrap());
        }
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<u32>>());
    }
}
