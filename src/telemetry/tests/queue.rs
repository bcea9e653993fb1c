//! Where events go when there is no room for them.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::Ordering;

use super::samples::{event, scope};
use super::support::{Folder, SmallDisk, disk_room, lines, settings, telemetry};
use crate::telemetry::{
    AppendFile, EventFileError, EventWriter, Flushed, LockedFile, Opened, Telemetry,
};
use crate::types::CallEventKind;

fn tell(telemetry: &Telemetry, sequences: std::ops::Range<u64>) {
    let scope = scope();
    for sequence in sequences {
        telemetry.call_event(&scope, &event(sequence, CallEventKind::FallbackPlayed {}));
    }
}

fn sequences(path: &Path) -> Vec<u64> {
    lines(path).iter().filter_map(|line| line["sequence"].as_u64()).collect()
}

/// Events that the file says are missing.
fn dropped(path: &Path) -> u64 {
    let lines = lines(path);
    let dropped = lines.iter().filter(|line| line["event_type"] == "events_dropped");
    dropped.map(|line| line["count"].as_u64().expect("a count")).sum()
}

#[test]
fn what_does_not_fit_is_counted_and_told_later() {
    let folder = Folder::new();
    let (telemetry, queue, prometheus) = telemetry(3, 2);
    tell(&telemetry, 0..10);
    let mut writer = EventWriter::<LockedFile>::new(settings(folder.file()));
    let flushed = queue.flush(&mut writer);
    assert_eq!(flushed, Flushed { written: 4, dropped: 0, waiting: 0 });
    assert_eq!(sequences(&folder.file()), [0, 1, 2]);
    assert_eq!(dropped(&folder.file()), 7);
    let scrape = prometheus.render();
    assert!(scrape.contains("antiphon_events_dropped_total{cause=\"queue_full\"} 7"));
    assert!(scrape.contains("antiphon_events_written_total 4"));
}

#[test]
fn a_full_disk_keeps_the_batch_and_tears_no_line() {
    let folder = Folder::new();
    let (telemetry, queue, _) = telemetry(100, 10);
    let mut writer = EventWriter::<SmallDisk>::new(settings(folder.file()));
    tell(&telemetry, 0..2);
    queue.flush(&mut writer);
    let whole = fs::metadata(folder.file()).expect("the file").len();

    disk_room().store(whole + whole / 4, Ordering::Relaxed);
    tell(&telemetry, 2..5);
    let flushed = queue.flush(&mut writer);
    assert_eq!(flushed, Flushed { written: 0, dropped: 0, waiting: 3 });
    assert!(queue.is_stalled());
    assert_eq!(sequences(&folder.file()), [0, 1]);

    disk_room().store(u64::MAX, Ordering::Relaxed);
    assert_eq!(queue.flush(&mut writer).written, 3);
    assert!(!queue.is_stalled());
    assert_eq!(sequences(&folder.file()), [0, 1, 2, 3, 4]);
}

#[test]
fn every_event_is_written_or_accounted_for_when_a_full_disk_lasts() {
    let folder = Folder::new();
    let (telemetry, queue, _) = telemetry(10, 4);
    let mut writer = EventWriter::<SmallDisk>::new(settings(folder.file()));
    disk_room().store(0, Ordering::Relaxed);
    let mut given_up = 0;
    for sequence in 0..100 {
        tell(&telemetry, sequence..sequence + 1);
        given_up += queue.flush(&mut writer).dropped;
    }
    assert!(given_up > 0, "no batch was ever given up");
    disk_room().store(u64::MAX, Ordering::Relaxed);
    queue.drain(&mut writer);
    let kept = sequences(&folder.file());
    assert!(kept.is_sorted());
    assert_eq!(kept.len() as u64 + dropped(&folder.file()), 100);
}

#[test]
fn draining_to_a_full_disk_drops_and_counts_instead_of_waiting() {
    let folder = Folder::new();
    let (telemetry, queue, prometheus) = telemetry(10, 4);
    let mut writer = EventWriter::<SmallDisk>::new(settings(folder.file()));
    disk_room().store(0, Ordering::Relaxed);
    tell(&telemetry, 0..7);
    let flushed = queue.drain(&mut writer);
    assert_eq!(flushed, Flushed { written: 0, dropped: 7, waiting: 0 });
    assert!(prometheus.render().contains("antiphon_events_dropped_total{cause=\"file\"} 7"));
}

#[test]
fn a_writer_that_panics_loses_no_event() {
    struct Panicking;
    impl AppendFile for Panicking {
        fn open(_: &Path) -> Result<Opened<Self>, EventFileError> {
            Ok(Opened { file: Self, length: 0, identity: None })
        }
        fn append(&mut self, _: &[u8]) -> std::io::Result<usize> {
            panic!("planted")
        }
        fn cut(&mut self, _: u64) -> std::io::Result<()> {
            Ok(())
        }
        fn sync(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let folder = Folder::new();
    let (telemetry, queue, _) = telemetry(10, 4);
    tell(&telemetry, 0..3);
    let mut panicking = EventWriter::<Panicking>::new(settings(folder.file()));
    let panicked = catch_unwind(AssertUnwindSafe(|| queue.flush(&mut panicking)));
    assert!(panicked.is_err());
    queue.flush(&mut EventWriter::<LockedFile>::new(settings(folder.file())));
    assert_eq!(sequences(&folder.file()), [0, 1, 2]);
}
