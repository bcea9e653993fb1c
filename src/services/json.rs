//! JSON as platforms send it: read as far as it can be understood.
//!
//! Text that was cut in the middle of a character, which JavaScript does easily, leaves
//! half a surrogate pair (`"\ud83d"`). It stands for no character and would make the
//! whole answer unreadable; it becomes U+FFFD, as do bytes that are no UTF-8.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde_json::Value;

/// What a half surrogate pair is read as.
const REPLACEMENT: &str = "\\ufffd";
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads a whole body. Of a key that stands there twice the last one counts.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, serde_json::Error> {
    let value: Value = serde_json::from_str(&whole_characters(&text(body)))?;
    T::deserialize(value)
}

/// A body as text, without a byte order mark.
pub(super) fn text(body: &[u8]) -> Cow<'_, str> {
    let marks = body.chunks_exact(BYTE_ORDER_MARK.len()).take_while(|it| *it == BYTE_ORDER_MARK);
    String::from_utf8_lossy(&body[marks.count() * BYTE_ORDER_MARK.len()..])
}

/// `text` with every escaped half of a surrogate pair replaced.
fn whole_characters(text: &str) -> Cow<'_, str> {
    let mut mended = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = text.as_bytes()[at..].iter().position(|&byte| byte == b'\\') {
        at += found;
        let length = match unit(&text[at..]) {
            // Any other escape: the backslash and one character of ASCII.
            None => 2,
            Some(0xd800..=0xdbff) if matches!(unit(&text[at + 6..]), Some(0xdc00..=0xdfff)) => 12,
            Some(0xd800..=0xdfff) => {
                mended.push_str(&text[copied..at]);
                mended.push_str(REPLACEMENT);
                copied = at + 6;
                6
            }
            Some(_) => 6,
        };
        at = (at + length).min(text.len());
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    mended.push_str(&text[copied..]);
    Cow::Owned(mended)
}

/// The UTF-16 unit of the escape that `text` begins with.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(())?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn value(text: &str) -> Option<Value> {
        read(text.as_bytes()).ok()
    }

    #[test]
    fn half_a_surrogate_pair_becomes_the_replacement_character() {
        for (written, read) in [
            (r#""a\ud83db""#, "a\u{fffd}b"),
            (r#""\udc00""#, "\u{fffd}"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (r#""\ud83d\n\ude00""#, "\u{fffd}\n\u{fffd}"),
            (r#""\uD83D\uDE00""#, "\u{1f600}"),
            (r#""\\ud83d""#, "\\ud83d"),
            (r#""\\\ud83d""#, "\\\u{fffd}"),
            (r#""plain \u00e9""#, "plain é"),
        ] {
            assert_eq!(value(written), Some(json!(read)), "{written}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_and_a_byte_order_mark_do_not_make_it_unreadable() {
        let of = |body: &[u8]| read::<String>(body).unwrap();
        assert_eq!(of(b"\"a\xffb\""), "a\u{fffd}b");
        assert_eq!(of("\u{feff}\"a\"".as_bytes()), "a");
    }

    #[test]
    fn what_is_no_json_stays_unreadable() {
        for text in ["", "{", "\"\\", "\"\\u", "\"\\ud83", "<html>", "\"\\x\""] {
            assert_eq!(value(text), None, "{text}");
        }
    }

    #[test]
    fn nesting_without_end_is_refused_and_breaks_nothing() {
        assert_eq!(value(&"[".repeat(1 << 20)), None);
        let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
        assert_eq!(value(&deep), None);
    }

    proptest! {
        #[test]
        fn whatever_was_written_by_us_is_read_as_it_was(text in "\\PC{0,40}") {
            let written = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(value(&written), Some(json!(text)));
        }

        #[test]
        fn no_body_makes_it_fail_otherwise(text in "[\"\\\\ud8dc3{}a-f0-9é]{0,40}") {
            let _unreadable_is_fine = value(&text);
        }
    }
}
