//! A folder of its own for each test, a fixed clock, and a file that can be full.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};
use std::{io, process};

use parking_lot::Mutex;
use serde_json::Value;

use crate::telemetry::{
    AppendFile, EventFileError, EventFileSettings, EventQueue, LockedFile, Opened, Prometheus,
    QueueLimits, Telemetry, WallClock,
};

/// A folder that is removed at the end of the test.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("antiphon-telemetry-{}-{number}", process::id()));
        fs::create_dir(&path).expect("a new folder");
        Self(path)
    }

    pub(super) fn file(&self) -> PathBuf {
        self.0.join("events.jsonl")
    }

    pub(super) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("the folder");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
            .collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Settings for a file that is never rotated.
pub(super) fn settings(path: PathBuf) -> EventFileSettings {
    EventFileSettings { path, rotate_bytes: 0, rotated_files_max: 0 }
}

/// Telemetry that always tells the same time, with metrics of its own.
pub(super) fn telemetry(queue_max: usize, batch_max: usize) -> (Telemetry, EventQueue, Prometheus) {
    let (recorder, prometheus) = Prometheus::recorder().expect("buckets for every histogram");
    let (telemetry, queue) = telemetry_with(&recorder, queue_max, batch_max);
    (telemetry, queue, prometheus)
}

/// The same, with metrics in `recorder`.
pub(super) fn telemetry_with(
    recorder: &dyn metrics::Recorder,
    queue_max: usize,
    batch_max: usize,
) -> (Telemetry, EventQueue) {
    let clock: WallClock = Arc::new(|| UNIX_EPOCH + Duration::from_millis(1_700_000_000_123));
    metrics::with_local_recorder(recorder, || {
        let routes = vec!["default".to_owned(), "hotel".to_owned()];
        Telemetry::with_clock(QueueLimits { queue_max, batch_max }, routes, clock)
    })
}

/// The lines of an event file, each parsed.
pub(super) fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("the event file");
    assert!(text.is_empty() || text.ends_with('\n'), "a torn last line");
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
}

/// A log kept in memory.
#[derive(Clone, Default)]
pub(in crate::telemetry) struct LogLines(Arc<Mutex<Vec<u8>>>);

impl LogLines {
    /// What a subscriber writes to.
    pub(in crate::telemetry) fn writer(&self) -> impl Fn() -> Self + use<> {
        let log = self.clone();
        move || log.clone()
    }

    pub(in crate::telemetry) fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).expect("UTF-8")
    }
}

impl io::Write for LogLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A real file on a disk with room for so many more bytes.
pub(super) struct SmallDisk {
    file: LockedFile,
    length: u64,
    room: Arc<AtomicU64>,
}

thread_local! {
    /// Room on the disk of this test; tests run on a thread each.
    static ROOM: Arc<AtomicU64> = Arc::new(AtomicU64::new(u64::MAX));
}

/// The room on the disk of files that this thread opens.
pub(super) fn disk_room() -> Arc<AtomicU64> {
    ROOM.with(Arc::clone)
}

impl AppendFile for SmallDisk {
    fn open(path: &Path) -> Result<Opened<Self>, EventFileError> {
        let Opened { file, length, identity } = <LockedFile as AppendFile>::open(path)?;
        Ok(Opened { file: Self { file, length, room: disk_room() }, length, identity })
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.room.load(Ordering::Relaxed);
        let fits = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        if fits == 0 {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        let written = self.file.append(&bytes[..fits])?;
        self.length += written as u64;
        self.room.store(room - written as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.room.fetch_add(self.length - length, Ordering::Relaxed);
        self.length = length;
        self.file.cut(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }
}
