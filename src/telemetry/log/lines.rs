//! The way of log lines to their reader: a bounded queue, and a thread of its own that
//! writes. A reader that stalls stops that thread and nobody else: what does not fit is
//! lost and counted.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use tokio::time::Instant;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait; one more is lost.
const LINES_MAX: usize = 8_192;

/// What they may be long together.
const BYTES_MAX: usize = 4 << 20;

/// Most that is written at once.
const BATCH_BYTES_MAX: usize = 64 << 10;

/// How often the thread looks after what is not a line.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Where lines are put. Clones share the queue.
#[derive(Clone)]
pub(super) struct LogLines {
    entries: Sender<Entry>,
    shared: Arc<Shared>,
}

enum Entry {
    Line(Box<[u8]>),
    /// Told when everything before it is written.
    Flush(Sender<()>),
}

#[derive(Default)]
struct Shared {
    bytes: AtomicUsize,
    lost: AtomicU64,
}

/// The end that writes.
struct Writer<W> {
    out: W,
    entries: Receiver<Entry>,
    shared: Arc<Shared>,
    batch: Vec<u8>,
    /// Of the lost lines, those that were told.
    lost_told: u64,
    looked_at: Instant,
}

impl LogLines {
    /// Starts the thread that writes to `out`. `look` is called about once a second, with the
    /// number of lines that were lost meanwhile.
    pub(super) fn start(
        out: impl Write + Send + 'static,
        look: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, entries) = bounded(LINES_MAX);
        let shared = Arc::new(Shared::default());
        let mut writer = Writer {
            out,
            entries,
            shared: Arc::clone(&shared),
            batch: Vec::with_capacity(BATCH_BYTES_MAX),
            lost_told: 0,
            looked_at: Instant::now(),
        };
        // A panic costs the batch in hand.
        let write = move || while catch_unwind(AssertUnwindSafe(|| writer.run(&look))).is_err() {};
        thread::Builder::new().name("log".to_owned()).spawn(write)?;
        Ok(Self { entries: sender, shared })
    }

    /// Queues a line, or counts it as lost. Never waits.
    fn put(&self, line: &[u8]) {
        let waiting = self.shared.bytes.fetch_add(line.len(), Ordering::Relaxed) + line.len();
        if waiting > BYTES_MAX || self.entries.try_send(Entry::Line(line.into())).is_err() {
            self.shared.bytes.fetch_sub(line.len(), Ordering::Relaxed);
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines that were lost so far.
    pub(super) fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Waits until what was put is written, at most for so long. Whether it is.
    pub(super) fn flush(&self, within: Duration) -> bool {
        let (written, is_written) = bounded(1);
        self.entries.send_timeout(Entry::Flush(written), within).is_ok()
            && is_written.recv_timeout(within).is_ok()
    }
}

impl<W: Write> Writer<W> {
    /// Returns when nobody can put lines any more.
    fn run(&mut self, look: &impl Fn(u64)) {
        loop {
            match self.entries.recv_timeout(LOOK_EVERY) {
                Ok(entry) => self.write(entry),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.look(look);
        }
    }

    /// Writes what waits, as far as it fits into a batch.
    fn write(&mut self, first: Entry) {
        self.batch.clear();
        let mut flushed = Vec::new();
        let mut next = Some(first);
        let mut lines = 0;
        while let Some(entry) = next {
            match entry {
                Entry::Line(line) => {
                    self.shared.bytes.fetch_sub(line.len(), Ordering::Relaxed);
                    self.batch.extend_from_slice(&line);
                    lines += 1;
                }
                Entry::Flush(written) => flushed.push(written),
            }
            let is_full = self.batch.len() >= BATCH_BYTES_MAX;
            next = if is_full { None } else { self.entries.try_recv().ok() };
        }
        if self.out.write_all(&self.batch).and_then(|()| self.out.flush()).is_err() {
            self.shared.lost.fetch_add(lines, Ordering::Relaxed);
        }
        for written in flushed {
            // Whoever waited has gone on.
            let _late = written.try_send(());
        }
    }

    /// What is told here is queued as a line itself: so there must be room, and to tell
    /// something behind every batch would make the next one, without end where nobody reads.
    fn look(&mut self, look: &impl Fn(u64)) {
        let is_due = self.looked_at.elapsed() >= LOOK_EVERY;
        if is_due && self.entries.len() < LINES_MAX / 2 {
            self.looked_at = Instant::now();
            let lost = self.shared.lost.load(Ordering::Relaxed);
            look(lost - std::mem::replace(&mut self.lost_told, lost));
        }
    }
}

impl<'a> MakeWriter<'a> for LogLines {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter(self)
    }
}

/// Takes one line, which is written as a whole.
pub(super) struct LineWriter<'a>(&'a LogLines);

impl Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use crossbeam_channel::unbounded;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// A reader that takes a batch for each turn it is given; without turns it stalls.
    struct Reader {
        turns: Receiver<()>,
        read: Sender<Vec<u8>>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.turns.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            self.read.send(bytes.to_vec()).expect("the test listens");
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Lines whose reader takes as many batches as turns are sent; what it read; and how
    /// many lines were told as lost, each time.
    #[expect(clippy::disallowed_methods, reason = "a test that puts a few")]
    fn lines() -> (LogLines, Sender<()>, Receiver<Vec<u8>>, Receiver<u64>) {
        let ((give, turns), (read, is_read)) = (unbounded(), unbounded());
        let (tell, told) = unbounded();
        let look = move |lost| {
            if lost > 0 {
                tell.send(lost).expect("the test listens");
            }
        };
        let lines = LogLines::start(Reader { turns, read }, look).expect("a thread");
        (lines, give, is_read, told)
    }

    #[test]
    fn lines_are_written_in_order_and_a_flush_waits_for_them() {
        let (lines, turns, read, _) = lines();
        (0..3).for_each(|_| turns.send(()).unwrap());
        lines.put(b"one\n");
        assert!(lines.flush(PATIENCE));
        lines.put(b"two\n");
        lines.put(b"three\n");
        assert!(lines.flush(PATIENCE));
        let text: Vec<u8> = read.try_iter().flatten().collect();
        assert_eq!(text, b"one\ntwo\nthree\n");
        assert_eq!(lines.lost(), 0);
    }

    #[test]
    fn a_reader_that_stalls_costs_lines_and_no_time_and_is_told_how_many() {
        let (lines, turns, read, told) = lines();
        let count = 3 * LINES_MAX;
        (0..count).for_each(|_| lines.put(b"a line\n"));
        assert!(!lines.flush(Duration::from_millis(10)), "a deadline, whatever the reader does");
        let lost = lines.lost();
        // Those that were taken out of the queue before the reader was found to stall.
        let in_hand = (BATCH_BYTES_MAX / b"a line\n".len()) as u64 + 1;
        let waiting = count as u64 - lost;
        assert!((LINES_MAX as u64..=LINES_MAX as u64 + in_hand).contains(&waiting), "{waiting}");

        (0..100).for_each(|_| turns.send(()).unwrap());
        assert!(lines.flush(PATIENCE));
        assert_eq!(told.recv_timeout(PATIENCE), Ok(lost), "told once it reads again");
        let read: Vec<u8> = read.try_iter().flatten().collect();
        assert_eq!(read.len() as u64, waiting * 7, "nothing else is lost");
    }

    #[test]
    fn long_lines_take_no_more_memory_than_short_ones() {
        let (lines, _turns, _read, _) = lines();
        let long = vec![b'x'; BYTES_MAX / 4];
        (0..10).for_each(|_| lines.put(&long));
        assert!(lines.lost() >= 4, "{} of ten", lines.lost());
    }

    #[test]
    fn a_reader_that_is_gone_stops_nobody() {
        let (lines, turns, _read, told) = lines();
        drop(turns);
        lines.put(b"a line\n");
        assert!(lines.flush(PATIENCE));
        assert_eq!(told.recv_timeout(PATIENCE), Ok(1));
    }

    #[test]
    fn what_is_told_of_the_log_itself_does_not_go_round_in_it() {
        let begun = Instant::now();
        let (tell, told) = bounded(2_000);
        let lines = Arc::new(OnceLock::<LogLines>::new());
        let own = Arc::clone(&lines);
        let look = move |_| {
            tell.send(()).expect("the test listens");
            own.get().into_iter().for_each(|lines| lines.put(b"told\n"));
        };
        let _only_one = lines.set(LogLines::start(io::sink(), look).expect("a thread"));
        let lines = lines.get().expect("it was just set");
        for _ in 0..1_000 {
            lines.put(b"a line\n");
            assert!(lines.flush(PATIENCE));
        }
        let seconds = begun.elapsed().as_secs();
        assert!(told.try_iter().count() as u64 <= seconds + 1, "once a second");
    }

    #[test]
    fn a_writer_that_panics_goes_on_with_the_next_line() {
        #[derive(Default)]
        struct Trap(u32);
        impl Write for Trap {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 += 1;
                assert!(self.0 != 1, "planted panic");
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let lines = LogLines::start(Trap::default(), |_| ()).expect("a thread");
        lines.put(b"one\n");
        // The flush itself may fall into the batch that is lost.
        let is_back = (0..100).any(|_| lines.flush(Duration::from_millis(300)));
        assert!(is_back, "it writes again");
    }
}
