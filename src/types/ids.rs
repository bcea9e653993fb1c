//! Identifiers. Each is a type of its own, so that they cannot be mixed up.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use super::private::Private;

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// 128 bits that are drawn for each call: nobody can guess them, and no restart, no
        /// container and no other node gives them out again. Written as 32 hex digits.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            /// The id with these bits. Whoever draws them is no part of pure code.
            #[must_use]
            pub const fn from_bits(bits: u128) -> Self {
                Self(bits)
            }

            /// An id for a test that tells calls apart by short names.
            #[cfg(test)]
            pub(crate) fn of_test(name: &str) -> Self {
                Self(name.bytes().fold(1, |bits, byte| bits << 8 | u128::from(byte)))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

random_id! {
    /// The engine's own name of a call.
    CallId
}
random_id! {
    /// The dialog platform's name of a call's conversation. Not the call's own id: whoever
    /// knows that one, as the carrier does, is not to know the platform's session.
    SessionId
}

/// Why a text is no [`CallId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the engine's call ids are 32 hex digits")]
pub struct CallIdError;

impl FromStr for CallId {
    type Err = CallIdError;

    /// Reads what is written by `Display`, and nothing else: a call has one name.
    fn from_str(text: &str) -> Result<Self, CallIdError> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 32 || !text.bytes().all(is_digit) {
            return Err(CallIdError);
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| CallIdError)
    }
}

impl Serialize for CallId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The carrier's own name for a call. May hold a phone number, so it prints redacted;
/// the event file and the list of running calls show it.
///
/// 1 to 128 characters out of `A-Z a-z 0-9 - _ . : @ +`, so that it can stand in a URL
/// path and a file name without quoting.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CarrierCallId(Arc<str>);

/// Why a text cannot be a [`CarrierCallId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CarrierCallIdError {
    /// Nothing was given.
    #[error("call id is empty")]
    Empty,
    /// More than [`CarrierCallId::CHARS_MAX`] characters.
    #[error("call id is longer than {max} characters", max = CarrierCallId::CHARS_MAX)]
    TooLong,
    /// A character outside the allowed set.
    #[error("call id may hold letters, digits and - _ . : @ + only")]
    BadCharacter,
}

impl CarrierCallId {
    /// Longest accepted name.
    pub const CHARS_MAX: usize = 128;

    /// Checks `text` and makes it a name.
    pub fn new(text: &str) -> Result<Self, CarrierCallIdError> {
        if text.is_empty() {
            return Err(CarrierCallIdError::Empty);
        }
        if text.len() > Self::CHARS_MAX {
            return Err(CarrierCallIdError::TooLong);
        }
        if !text.bytes().all(is_id_byte) || text.bytes().all(|b| b == b'.') {
            return Err(CarrierCallIdError::BadCharacter);
        }
        Ok(Self(text.into()))
    }

    /// The name, for the few who must see it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.:@+".contains(&byte)
}

impl fmt::Debug for CarrierCallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[private]")
    }
}

impl TryFrom<String> for CarrierCallId {
    type Error = CarrierCallIdError;
    fn try_from(text: String) -> Result<Self, CarrierCallIdError> {
        Self::new(&text)
    }
}

impl From<CarrierCallId> for String {
    fn from(id: CarrierCallId) -> Self {
        id.0.as_ref().to_owned()
    }
}

/// A carrier that gave its call no name finds it again by the engine's.
impl From<CallId> for CarrierCallId {
    fn from(id: CallId) -> Self {
        Self(id.to_string().into())
    }
}

/// By what a running call is found again: the carrier's name for it, on the transport that
/// began it. The same name on another transport is another call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CallKey {
    /// Name of the transport.
    pub transport: &'static str,
    /// The carrier's name for the call; the engine's where it gave none.
    pub carrier_call_id: CarrierCallId,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_one_name_of_32_digits() {
        let id = CallId::from_bits(0xab);
        let text = "000000000000000000000000000000ab";
        assert_eq!((id.to_string().as_str(), text.parse()), (text, Ok(id)));
        let upper = text.to_uppercase();
        for other in ["", "ab", &text[1..], &upper, "+00000000000000000000000000000ab"] {
            assert_eq!(other.parse::<CallId>(), Err(CallIdError), "{other}");
        }
        assert!(CarrierCallId::new(text).is_ok(), "it may stand for a name that was not given");
    }

    #[test]
    fn a_carriers_name_is_checked_and_never_printed() {
        let refused = |text: &str| CarrierCallId::new(text).expect_err("must be refused");
        assert_eq!(refused(""), CarrierCallIdError::Empty);
        assert_eq!(refused(&"a".repeat(129)), CarrierCallIdError::TooLong);
        for text in ["a/b", "..", "a b", "\u{fc}", "a\n"] {
            assert_eq!(refused(text), CarrierCallIdError::BadCharacter, "{text}");
        }
        let number = CarrierCallId::new("+15550123456").expect("a valid name");
        let key = CallKey { transport: "stream", carrier_call_id: number };
        assert!(!format!("{key:?}").contains("15550123456"), "{key:?}");
    }
}
