//! Why a configuration is not taken: every problem with its place.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::settings::Config;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file that was asked for cannot be read.
    #[error("configuration file {path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// More than any configuration needs.
    #[error("configuration file {path} is larger than {bytes_max} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        bytes_max: u64,
    },
    /// Keys or values are wrong.
    #[error("{0}")]
    Wrong(Problems),
}

/// Everything that is wrong with a configuration; at least one problem.
#[derive(Debug)]
pub struct Problems {
    pub(super) found: Vec<Problem>,
    /// The configuration without what is wrong.
    pub(super) rest: Option<Box<Config>>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it was written; `None` for a default that does not fit the rest.
    pub place: Option<Place>,
    /// Which key is wrong and what to do. Never repeats what may be a credential.
    pub message: String,
}

/// Where something was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the file.
    File {
        /// The file's name.
        name: String,
        /// Counted from 1.
        line: usize,
        /// Counted in characters from 1.
        column: usize,
    },
    /// In an environment variable of this name.
    Environment(String),
}

impl Problems {
    /// The problems, those of the file in its order.
    #[must_use]
    pub fn all(&self) -> &[Problem] {
        &self.found
    }

    /// What is left without the wrong values, where they do not decide about providers: who
    /// looks for what else is wrong finds it there. Nothing is to be started with it.
    #[must_use]
    pub fn rest(&self) -> Option<&Config> {
        self.rest.as_deref()
    }

    /// Adds what was found by others, and belongs to no place.
    pub fn add(&mut self, message: String) {
        self.found.push(Problem { place: None, message });
    }
}

impl From<Vec<Problem>> for Problems {
    fn from(found: Vec<Problem>) -> Self {
        Self { found, rest: None }
    }
}

/// One line a problem; of very many only the first ones.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.found.iter().take(PROBLEMS_SHOWN_MAX).enumerate() {
            let gap = if index == 0 { "" } else { "\n" };
            write!(f, "{gap}{problem}")?;
        }
        match self.found.len().saturating_sub(PROBLEMS_SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, line, column } => write!(f, "{name}:{line}:{column}"),
            Self::Environment(variable) => write!(f, "environment variable {variable}"),
        }
    }
}

/// Problems that are printed; a wrong file of another kind has thousands.
const PROBLEMS_SHOWN_MAX: usize = 20;
