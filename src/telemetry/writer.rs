//! Appends batches of lines to the event file, and keeps the file whole.
//!
//! A batch is one write. If it fails half-way, the file is cut back to where it
//! was, so that no torn line stays in it; if a crash left one, opening repairs it.
//! Follows the file when it was renamed or deleted, and rotates it by size.
//!
//! Knows nothing of events and never retries by itself: the caller keeps the
//! batch. Does not wait for the disk except in [`EventWriter::sync`]: a killed
//! process loses nothing that was appended, a power cut may.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use tokio::signal::unix::{SignalKind, signal};

use super::repair::{self, Repair};

/// Who may read and write a new event file.
const OWNER_ONLY: u32 = 0o600;

/// Where events are written and when the file is rotated.
#[derive(Clone, Debug)]
pub struct EventFileSettings {
    /// The file; its folder must exist.
    pub path: PathBuf,
    /// Size in bytes that a file does not exceed unless one batch does. 0: any.
    pub rotate_bytes: u64,
    /// Rotated files kept, `path.1` being the youngest. 0: none.
    pub rotated_files_max: u32,
}

/// Why the event file cannot be written now. It is worth trying again.
#[derive(Debug, thiserror::Error)]
pub enum EventFileError {
    /// It cannot be opened or created.
    #[error("event file {path} cannot be opened: {source}; set `events.path` to a writable place")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It holds something else.
    #[error("{path} does not hold events and is left alone; set `events.path` to another file")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Two engines must not write one file.
    #[error("event file {path} is written by another process; set `events.path` to another file")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be written, for example because the disk is full.
    #[error("event file {path} cannot be written: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// An open file that lines are appended to.
pub trait AppendFile: Send + Sized + 'static {
    /// Opens `path`, repaired.
    fn open(path: &Path) -> Result<Opened<Self>, EventFileError>;
    /// Appends some of `bytes` and returns how many.
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Cuts the file to `length` bytes.
    fn cut(&mut self, length: u64) -> io::Result<()>;
    /// Returns when everything is on disk.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file just opened.
pub struct Opened<F> {
    /// The file.
    pub file: F,
    /// Its length in bytes.
    pub length: u64,
    /// How to recognise it by its path. `None`: a device, which has no length and is
    /// neither cut nor rotated.
    pub identity: Option<FileIdentity>,
}

/// Device and inode.
pub type FileIdentity = (u64, u64);

/// The event file, locked against other processes.
pub struct LockedFile(File);

/// Writes the event file. Opens it when first needed, and again after a failure.
pub struct EventWriter<F: AppendFile = LockedFile> {
    settings: EventFileSettings,
    current: Option<Opened<F>>,
    /// Whether the last rotation failed; it is reported once.
    rotation_fails: bool,
}

impl<F: AppendFile> EventWriter<F> {
    /// A writer that has not opened its file yet.
    #[must_use]
    pub fn new(settings: EventFileSettings) -> Self {
        Self { settings, current: None, rotation_fails: false }
    }

    /// Opens the file now, to find out whether it can be written.
    pub fn open(&mut self) -> Result<(), EventFileError> {
        self.opened().map(|_| ())
    }

    /// Closes the file; the next append opens whatever the path names then.
    pub fn reopen(&mut self) {
        self.current = None;
    }

    /// Appends whole lines, all of them or none.
    pub fn append(&mut self, lines: &[u8]) -> Result<(), EventFileError> {
        self.follow_path();
        self.rotate_before(lines.len() as u64)?;
        let opened = self.opened()?;
        if let Err(source) = append_all(opened, lines) {
            // A file that could not be cut back is repaired by opening it anew.
            if take_back(opened).is_err() {
                self.current = None;
            }
            return Err(EventFileError::Write { path: self.settings.path.clone(), source });
        }
        opened.length += lines.len() as u64;
        Ok(())
    }

    /// Returns when everything appended is on disk.
    pub fn sync(&mut self) -> Result<(), EventFileError> {
        let Some(opened) = &mut self.current else { return Ok(()) };
        opened
            .file
            .sync()
            .map_err(|source| EventFileError::Write { path: self.settings.path.clone(), source })
    }

    fn opened(&mut self) -> Result<&mut Opened<F>, EventFileError> {
        let opened = match self.current.take() {
            Some(opened) => opened,
            None => F::open(&self.settings.path)?,
        };
        Ok(self.current.insert(opened))
    }

    /// Lets go of a file that was renamed or deleted.
    fn follow_path(&mut self) {
        let Some(Opened { identity: Some(identity), .. }) = &self.current else { return };
        let named = fs::metadata(&self.settings.path).ok();
        if named.map(|found| (found.dev(), found.ino())) != Some(*identity) {
            self.current = None;
        }
    }

    /// Begins a new file if `more` bytes would not fit. A rotation that fails is
    /// reported and the old file goes on: size matters less than events.
    fn rotate_before(&mut self, more: u64) -> Result<(), EventFileError> {
        let limit = self.settings.rotate_bytes;
        let opened = self.opened()?;
        let full = limit > 0 && opened.length > 0 && opened.length + more > limit;
        if !full || opened.identity.is_none() {
            return Ok(());
        }
        self.current = None;
        let outcome = rotate(&self.settings.path, self.settings.rotated_files_max);
        if let Err(error) = &outcome
            && !self.rotation_fails
        {
            tracing::warn!(%error, "event file cannot be rotated and grows on");
        }
        self.rotation_fails = outcome.is_err();
        Ok(())
    }
}

/// Whether events can be written to `path`: the engine starts by the same rule. Changes
/// nothing, and leaves no file behind that was not there.
pub fn check_event_file(path: &Path) -> Result<(), EventFileError> {
    let existed = path.exists();
    let outcome = lock(path).map(drop);
    if outcome.is_ok() && !existed {
        // Left behind empty it would do no harm either.
        let _harmless = fs::remove_file(path);
    }
    outcome
}

/// A file that this process may write events to, as it was found.
struct Found {
    file: LockedFile,
    /// Where it ends, and how to recognise it. `None`: a device.
    state: Option<(Repair, FileIdentity)>,
}

fn lock(path: &Path) -> Result<Found, EventFileError> {
    let failed = |source| EventFileError::Open { path: path.to_owned(), source };
    // It names callers: nobody else on this computer reads it.
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(OWNER_ONLY);
    let mut file = options.open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    if found.file_type().is_char_device() {
        return Ok(Found { file: LockedFile(file), state: None });
    }
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(EventFileError::InUse { path: path.to_owned() });
        }
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    let repair = repair::inspect(&mut file).map_err(failed)?;
    if repair == Repair::Foreign {
        return Err(EventFileError::Foreign { path: path.to_owned() });
    }
    let identity = (found.dev(), found.ino());
    Ok(Found { file: LockedFile(file), state: Some((repair, identity)) })
}

impl AppendFile for LockedFile {
    fn open(path: &Path) -> Result<Opened<Self>, EventFileError> {
        let Found { file, state } = lock(path)?;
        let Some((repair, identity)) = state else {
            return Ok(Opened { file, length: 0, identity: None });
        };
        let length = match repair {
            Repair::Whole(length) => length,
            Repair::Cut(length) => {
                let failed = |source| EventFileError::Open { path: path.to_owned(), source };
                file.0.set_len(length).map_err(failed)?;
                tracing::warn!("event file ended in a torn line, which was cut off");
                length
            }
            Repair::Foreign => return Err(EventFileError::Foreign { path: path.to_owned() }),
        };
        Ok(Opened { file, length, identity: Some(identity) })
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

impl Drop for LockedFile {
    /// Closing is not enough: a process being started holds a copy of the file
    /// for a moment, and the lock with it. A lock that cannot be given up ends so.
    fn drop(&mut self) {
        drop(self.0.unlock());
    }
}

/// Lets a write beyond the process's file size limit fail like one to a full
/// disk, instead of ending the process by SIGXFSZ. For the whole process and for
/// good; needs a tokio runtime.
pub fn survive_file_size_limit() -> io::Result<()> {
    // The handler stays when the stream of its signals is dropped.
    signal(SignalKind::from_raw(libc::SIGXFSZ)).map(drop)
}

fn append_all<F: AppendFile>(opened: &mut Opened<F>, lines: &[u8]) -> io::Result<()> {
    let mut rest = lines;
    while !rest.is_empty() {
        match opened.file.append(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => rest = &rest[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn take_back<F: AppendFile>(opened: &mut Opened<F>) -> io::Result<()> {
    match opened.identity {
        Some(_) => opened.file.cut(opened.length),
        None => Ok(()),
    }
}

/// Renames `path` to `path.1`, `path.1` to `path.2` and so on; the oldest goes.
fn rotate(path: &Path, kept: u32) -> io::Result<()> {
    if kept == 0 {
        return fs::remove_file(path);
    }
    for number in (1..kept).rev() {
        rename_if_there(&numbered(path, number), &numbered(path, number + 1))?;
    }
    fs::rename(path, numbered(path, 1))
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    PathBuf::from(name)
}
