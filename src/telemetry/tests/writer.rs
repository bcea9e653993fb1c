//! The event file on real disks: full, torn, renamed, rotated, killed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::support::{Folder, lines, settings};
use crate::telemetry::{EventFileError, EventFileSettings, EventWriter, survive_file_size_limit};

/// A line of 16 bytes.
fn line(number: u32) -> Vec<u8> {
    format!("{{\"number\":{number:04}}}\n").replace(":0", ":1").into_bytes()
}

fn writer(path: PathBuf) -> EventWriter {
    EventWriter::new(settings(path))
}

fn write(writer: &mut EventWriter, numbers: std::ops::Range<u32>) {
    for number in numbers {
        writer.append(&line(number)).expect("room on the disk");
    }
}

#[test]
fn a_file_cut_anywhere_is_repaired_to_its_whole_lines() {
    let folder = Folder::new();
    let whole: Vec<u8> = (0..3).flat_map(line).collect();
    for length in 0..=whole.len() {
        for zeros in [0, 5] {
            let mut left = whole[..length].to_vec();
            left.resize(length + zeros, 0);
            fs::write(folder.file(), left).expect("a file");
            writer(folder.file()).append(&line(9)).expect("a repaired file");
            let kept = length / line(0).len();
            let expected = [&whole[..kept * line(0).len()], &line(9)].concat();
            assert_eq!(fs::read(folder.file()).expect("the file"), expected, "cut at {length}");
        }
    }
}

#[test]
fn a_torn_line_longer_than_a_block_is_cut_too() {
    let folder = Folder::new();
    let torn = vec![b'x'; 200_000];
    fs::write(folder.file(), [line(1), torn].concat()).expect("a file");
    writer(folder.file()).open().expect("a repaired file");
    assert_eq!(fs::read(folder.file()).expect("the file"), line(1));
}

#[test]
fn a_file_that_holds_no_events_is_left_alone() {
    let folder = Folder::new();
    fs::write(folder.file(), "notes without a last newline").expect("a file");
    let refused = writer(folder.file()).append(&line(1));
    assert!(matches!(refused, Err(EventFileError::Foreign { .. })));
    let kept = fs::read_to_string(folder.file()).expect("the file");
    assert_eq!(kept, "notes without a last newline");
}

#[test]
fn two_writers_do_not_share_a_file() {
    let folder = Folder::new();
    let mut first = writer(folder.file());
    write(&mut first, 0..1);
    assert!(matches!(writer(folder.file()).open(), Err(EventFileError::InUse { .. })));
    drop(first);
    assert!(writer(folder.file()).open().is_ok());
}

#[test]
fn a_full_device_is_an_error_and_nothing_more() {
    let mut full = writer(PathBuf::from("/dev/full"));
    let refused = full.append(&line(1));
    assert!(matches!(refused, Err(EventFileError::Write { .. })), "{refused:?}");
    assert!(full.append(&line(2)).is_err());
}

#[test]
fn a_missing_folder_is_named_with_what_to_do() {
    let mut nowhere = writer(PathBuf::from("/nowhere/events.jsonl"));
    let message = nowhere.open().expect_err("no folder").to_string();
    assert!(message.contains("/nowhere/events.jsonl") && message.contains("`events.path`"));
}

#[test]
fn a_file_that_was_renamed_or_deleted_is_begun_anew() {
    let folder = Folder::new();
    let mut writer = writer(folder.file());
    write(&mut writer, 0..2);
    fs::rename(folder.file(), folder.file().with_extension("old")).expect("renamed");
    write(&mut writer, 2..3);
    assert_eq!(lines(&folder.file()).len(), 1);
    assert_eq!(lines(&folder.file().with_extension("old")).len(), 2);
    fs::remove_file(folder.file()).expect("deleted");
    write(&mut writer, 3..6);
    assert_eq!(lines(&folder.file()).len(), 3);
}

#[test]
fn files_are_rotated_by_size_and_the_oldest_goes() {
    let folder = Folder::new();
    let rotated = EventFileSettings {
        path: folder.file(),
        rotate_bytes: 2 * line(0).len() as u64,
        rotated_files_max: 2,
    };
    write(&mut EventWriter::new(rotated), 0..9);
    assert_eq!(folder.names(), ["events.jsonl", "events.jsonl.1", "events.jsonl.2"]);
    let read = |name: &str| fs::read(folder.file().with_file_name(name)).expect("a file");
    assert_eq!(read("events.jsonl.2"), [line(4), line(5)].concat());
    assert_eq!(read("events.jsonl.1"), [line(6), line(7)].concat());
    assert_eq!(read("events.jsonl"), line(8));
}

#[test]
fn without_rotated_files_the_full_one_is_removed() {
    let folder = Folder::new();
    let rotated = EventFileSettings { path: folder.file(), rotate_bytes: 40, rotated_files_max: 0 };
    write(&mut EventWriter::new(rotated), 0..3);
    assert_eq!(folder.names(), ["events.jsonl"]);
    assert_eq!(lines(&folder.file()).len(), 1);
}

#[test]
fn a_killed_process_leaves_every_line_it_reported_and_none_torn() {
    let folder = Folder::new();
    for round in 1..=5 {
        let reported = run_child("kill", &folder.file(), 200 * round);
        writer(folder.file()).open().expect("a repaired file");
        let found = lines(&folder.file()).len();
        assert!(found as u64 >= reported, "{found} lines, {reported} reported");
        fs::remove_file(folder.file()).expect("the file");
    }
}

#[test]
fn a_file_size_limit_is_an_error_that_ends_neither_process_nor_line() {
    let folder = Folder::new();
    let reported = run_child("limit", &folder.file(), u64::MAX);
    assert_eq!(lines(&folder.file()).len() as u64, reported);
    assert!(reported > 0);
}

/// Runs [`child`] on `path` until it ends or has reported so many lines; then
/// kills it. Returns how many it reported.
fn run_child(mode: &str, path: &Path, reports_max: u64) -> u64 {
    let program = std::env::current_exe().expect("this test");
    let limit = if mode == "limit" { "ulimit -f 8; " } else { "" };
    let mut child = Command::new("sh")
        .args([
            "-c",
            &format!("{limit}exec \"$0\" --exact --nocapture telemetry::tests::writer::child"),
        ])
        .arg(program)
        .env(CHILD_FILE, path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell");
    let output = BufReader::new(child.stdout.take().expect("piped"));
    let reports = output.lines().map_while(Result::ok).filter(|line| line.contains(REPORT));
    let reported = reports.take(usize::try_from(reports_max).unwrap_or(usize::MAX)).count();
    child.kill().expect("a child of ours");
    child.wait().expect("a child of ours");
    reported as u64
}

/// Not a test by itself: the process that [`run_child`] starts.
#[test]
fn child() {
    let Some(path) = std::env::var_os(CHILD_FILE) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async { survive_file_size_limit().expect("a handler") });
    let mut writer: EventWriter = writer(PathBuf::from(path));
    for number in 0..CHILD_LINES_MAX {
        if writer.append(&line(number % 1000)).is_err() {
            return;
        }
        println!("{REPORT}");
    }
}

const CHILD_FILE: &str = "TEST_EVENT_FILE";
const CHILD_LINES_MAX: u32 = 1_000_000;
const REPORT: &str = "one more line is written";
