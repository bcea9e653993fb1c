//! Addresses, headers and bodies of requests to providers, as they are made and read.

use std::time::UNIX_EPOCH;

use super::*;

fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
}

#[test]
fn retry_after_is_read_as_seconds_and_as_a_date() {
    let wall_clock = UNIX_EPOCH + Duration::from_secs(784_111_777);
    let read = |text: &str| retry_after_ms(&headers(&[(RETRY_AFTER, text)]), wall_clock);
    let values = [
        "3",
        " 0 ",
        "Sun, 06 Nov 1994 08:49:42 GMT",
        "Sun, 06 Nov 1994 08:49:30 GMT",
        "18446744073709551615",
        "-1",
        "soon",
    ];
    assert_eq!(
        values.map(read),
        [Some(3_000), Some(0), Some(5_000), Some(0), Some(u64::MAX), None, None]
    );
    assert_eq!(retry_after_ms(&HeaderMap::new(), wall_clock), None);
}

#[test]
fn a_retry_after_date_is_compared_with_the_clock_of_the_side_that_wrote_it() {
    let answer = headers(&[
        (RETRY_AFTER, "Sun, 06 Nov 1994 08:49:42 GMT"),
        (DATE, "Sun, 06 Nov 1994 08:49:40 GMT"),
    ]);
    assert_eq!(retry_after_ms(&answer, UNIX_EPOCH), Some(2_000));
}

#[test]
fn an_address_that_cannot_be_used_is_refused_without_repeating_it() {
    for text in ["", "tok3n", "ftp://tok3n", "https://", "https://joe:tok3n@host/v2"] {
        let message = address("dialog.base_url", text).unwrap_err().to_string();
        assert!(message.starts_with("dialog.base_url "), "{message}");
        assert!(!message.contains("tok3n"), "{message}");
    }
}

#[test]
fn a_path_is_appended_with_one_slash() {
    let joined = |base| below(&address("s", base).unwrap(), "/bots").to_string();
    assert_eq!(joined("http://host/api/v2/"), "http://host/api/v2/bots");
    assert_eq!(joined("http://host"), "http://host/bots");
    assert_eq!(joined("http://host/api/bots/"), "http://host/api/bots");
}

#[test]
fn the_version_does_not_come_twice() {
    let joined = |base| below_v1(&address("s", base).unwrap(), "/listen").to_string();
    for base in ["http://host", "http://host/", "http://host/v1", "http://host/v1/"] {
        assert_eq!(joined(base), "http://host/v1/listen");
    }
    assert_eq!(joined("http://host/api/v1"), "http://host/api/v1/listen");
    assert_eq!(joined("http://host/apiv1"), "http://host/apiv1/v1/listen");
    assert_eq!(joined("http://host/api/v1/listen"), "http://host/api/v1/listen");
}

#[test]
fn json_is_read_behind_a_byte_order_mark_and_not_where_it_is_declared_as_a_page() {
    let answer = |media_type: &str, body: &'static [u8]| Answer {
        media_type: MediaType::parse(media_type),
        body: Bytes::from_static(body),
    };
    let read = |media_type, body| answer(media_type, body).json::<Value>().is_ok();
    assert!(read("application/json", b"{}") && read("text/plain", b"\xef\xbb\xbf{}"));
    assert!(!read("text/html", b"{}") && !read("text/plain", b"yes"));
    assert!(!read("application/json", b"[]") && !read("application/json", b"\"a\""));
}

#[test]
fn a_part_is_taken_only_where_it_is_all() {
    let is_whole = |range: &str| is_whole(&headers(&[(CONTENT_RANGE, range)]));
    assert!(is_whole("bytes 0-99/100") && super::is_whole(&HeaderMap::new()));
    let parts = ["bytes 0-98/100", "bytes 1-99/100", "bytes 0-99/*", "bytes */100", "x"];
    assert!(!parts.map(is_whole).contains(&true));
}

#[test]
fn a_coding_of_the_content_is_seen() {
    let is_coded = |coding: &str| is_coded(&headers(&[(CONTENT_ENCODING, coding)]));
    assert!(["gzip", "br", "identity, gzip"].map(is_coded).iter().all(|coded| *coded));
    assert!(!["identity", "Identity", ""].map(is_coded).contains(&true));
}

#[test]
fn what_a_check_found_is_json_by_its_beginning_unless_it_could_not_be_read() {
    let too_long = || Some(ExchangeError::TooLong { bytes_max: CHECK_BYTES_MAX });
    for (body, fault, is_json, is_list) in [
        ("{}", None, true, false),
        (" \n[]", None, true, true),
        ("\u{feff}[]", None, true, true),
        ("\u{feff} {\"items\": [", too_long(), true, true),
        ("{\"a\": \"b", too_long(), true, false),
        ("<p>[", too_long(), false, false),
        ("[1, ", None, true, false),
        ("[1, ", Some(ExchangeError::Broken), false, false),
        ("", Some(COMPRESSED), false, false),
        ("", None, false, false),
    ] {
        let found = Found { bytes: Bytes::from(body), fault };
        assert_eq!((found.is_json(), found.holds_a_list()), (is_json, is_list), "{found:?}");
    }
}
