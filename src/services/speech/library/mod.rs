//! Foreign speech libraries, looked up when a worker starts and never linked.
//!
//! The files below hold all the foreign code of the engine. They are used inside a
//! worker process only: what goes wrong there ends that process.

pub(super) mod flite;
mod foreign;
pub(super) mod pocketsphinx;

use super::protocol::WorkerFailure;

/// A library or a part of it is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LibraryError {
    /// None of the names is on this computer.
    #[error("{name} cannot be loaded ({reason}); install the Debian package {package}")]
    Missing { name: &'static str, package: &'static str, reason: String },
    /// It is there, but a function is not: another version.
    #[error("{name} lacks the function {function}; the Debian package {package} has it")]
    Function { name: &'static str, package: &'static str, function: &'static str },
    /// A file that it needs is not there.
    #[error("{path} cannot be read; install the Debian package {package} or set its place")]
    File { path: String, package: &'static str },
    /// A call of the library failed.
    #[error("{call} failed")]
    Call { call: &'static str },
    /// A text with a NUL byte, which no C function takes.
    #[error("a text contains a NUL byte")]
    Nul,
}

impl From<LibraryError> for WorkerFailure {
    fn from(error: LibraryError) -> Self {
        let code = match &error {
            LibraryError::Missing { .. } | LibraryError::Function { .. } => "missing_library",
            LibraryError::File { .. } => "missing_file",
            LibraryError::Call { .. } => "library_call",
            LibraryError::Nul => "bad_text",
        };
        Self::new(code, error.to_string())
    }
}
