//! Identifiers. Each is a type of its own, so that they cannot be mixed up.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::private::Private;

/// The carrier's name for a call, and the key by which the call is found again.
///
/// 1 to 128 characters out of `A-Z a-z 0-9 - _ . : @ +`, so that it can stand in
/// a log line, a URL path and a file name without quoting.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CallId(Arc<str>);

/// Why a text cannot be a [`CallId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallIdError {
    /// Nothing was given.
    #[error("call id is empty")]
    Empty,
    /// More than [`CallId::CHARS_MAX`] characters.
    #[error("call id is longer than {max} characters", max = CallId::CHARS_MAX)]
    TooLong,
    /// A character outside the allowed set.
    #[error("call id may hold letters, digits and - _ . : @ + only")]
    BadCharacter,
}

impl CallId {
    /// Longest accepted id.
    pub const CHARS_MAX: usize = 128;

    /// Checks `text` and makes it an id.
    pub fn new(text: &str) -> Result<Self, CallIdError> {
        if text.is_empty() {
            return Err(CallIdError::Empty);
        }
        if text.len() > Self::CHARS_MAX {
            return Err(CallIdError::TooLong);
        }
        if !text.bytes().all(is_id_byte) || text.bytes().all(|b| b == b'.') {
            return Err(CallIdError::BadCharacter);
        }
        Ok(Self(text.into()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.:@+".contains(&byte)
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallId({})", self.0)
    }
}

impl TryFrom<String> for CallId {
    type Error = CallIdError;
    fn try_from(text: String) -> Result<Self, CallIdError> {
        Self::new(&text)
    }
}

impl From<CallId> for String {
    fn from(id: CallId) -> Self {
        id.0.as_ref().to_owned()
    }
}

/// Who is calling, as the carrier names them. Often a phone number, so it
/// prints redacted; only the event record and the dialog platform see it.
pub type UserId = Private<String>;

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize,
            Deserialize,
        )]
        pub struct $name(pub u32);

        impl $name {
            /// The next one.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0.wrapping_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

counter! {
    /// How often a child of a call was started. Messages of an older generation
    /// are dropped and counted.
    Generation
}
counter! {
    /// Number of one exchange: an utterance and what the dialog platform says to it.
    TurnId
}
counter! {
    /// Number of a piece of caller speech within its call.
    UtteranceId
}
counter! {
    /// Number of a sentence of the bot within its call.
    SentenceId
}
counter! {
    /// Number of a connection of the call's media. A call may outlive several.
    LegId
}
counter! {
    /// What is played belongs to an epoch; an interruption opens the next one and
    /// audio of older epochs is dropped.
    Epoch
}
