//! What is said of texts with markup, and what of the markup is kept.

use proptest::prelude::*;
use quick_xml::events::Event;
use serde::Deserialize;

use super::*;
use crate::types::{MarkKind, push_xml_text};

fn plain_text(text: &str) -> String {
    read(text).plain
}

/// The text with its marks in their places.
fn marked(text: &str) -> String {
    let Spoken { plain, markup } = read(text);
    let Some(markup) = markup else { return format!("{plain} (plain)") };
    let mut shown = markup.root;
    let mut at = 0;
    let mut open = Vec::new();
    for mark in markup.marks {
        shown.push_str(&plain[at..mark.at]);
        at = mark.at;
        match mark.kind {
            MarkKind::Begin { tag, end_tag } => {
                shown.push_str(&tag);
                open.push(end_tag);
            }
            MarkKind::End => shown.push_str(&open.pop().expect("something is open")),
            MarkKind::Whole { element, bytes } => {
                shown.push_str(&element);
                at += bytes;
            }
        }
    }
    shown + &plain[at..]
}

/// One line of `tests/cases/ssml.jsonl`.
#[derive(Deserialize)]
struct Case {
    text: String,
    plain: String,
}

#[test]
fn the_known_texts_become_the_words_that_are_meant() {
    for line in include_str!("../../../tests/cases/ssml.jsonl").lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        assert_eq!(plain_text(&case.text), case.plain, "{}", case.text);
    }
}

#[test]
fn text_that_is_no_ssml_stays_as_it_is() {
    for text in [
        " 3 < 4 & more ",
        "a<b>c",
        "AT&T; R&D &unknown; & so on;",
        "<3",
        "I <love> it",
        "x <",
        "if a <b and c> d",
        "<pre>",
    ] {
        assert_eq!(plain_text(text), text);
    }
}

#[test]
fn markup_is_dropped_and_words_stay_apart() {
    let ssml = "<speak version=\"1.0\"><s>Welcome<break time=\"1s\"/>back</s>\
                <!-- a > b --><p>It is <emphasis>cheap</emphasis>.</p></speak>";
    assert_eq!(plain_text(ssml), "Welcome back It is cheap.");
    assert_eq!(plain_text("<speak>Hello<break/>, you</speak>"), "Hello, you");
    assert_eq!(plain_text("<amazon:effect name=\"whispered\">Hush</amazon:effect>!"), "Hush!");
    assert_eq!(plain_text("<speak><audio src=\"a>b.wav\">Music</audio></speak>"), "Music");
}

#[test]
fn entities_become_the_characters_they_stand_for() {
    let ssml = "<speak>bed &amp; breakfast &#8364;9 &#x41; &unknown; R&D &lt;</speak>";
    assert_eq!(plain_text(ssml), "bed & breakfast €9 A &unknown; R&D <");
}

#[test]
fn an_ordinary_less_than_within_markup_is_text() {
    assert_eq!(plain_text("<speak>5 < 7 and <c>8</c></speak>"), "5 < 7 and <c>8</c>");
}

#[test]
fn the_markup_of_a_page_is_left_out_and_its_words_are_said() {
    for (text, expected) in [
        ("<p>Hello<br/>there</p> <a href=\"x>y\">link</a> <b>bold</b>", "Hello there link bold"),
        ("One<br>two<BR />three", "One two three"),
        ("<ul><li>red</li><li>un<b>believ</b>able</li></ul>", "red unbelievable"),
        ("AT&T &amp; you &#8364;9&nbsp;now", "AT&T & you €9 now"),
        ("If 1 <b and c> 2, then", "If 1 <b and c> 2, then"),
        ("<speak>Hello <b>you</b></speak>", "Hello you"),
    ] {
        let spoken = read(text);
        assert_eq!(spoken.plain.split_whitespace().collect::<Vec<_>>().join(" "), expected);
    }
    assert_eq!(read("One<br>two").markup, None);
}

#[test]
fn an_alias_without_an_end_costs_no_words() {
    assert_eq!(plain_text("<speak>See <sub alias=\"two\">2 and 3</speak>"), "See 2 and 3");
    assert_eq!(plain_text("<sub alias=\"\">2</sub>, <sub>3</sub>"), "2, 3");
    assert_eq!(plain_text("<sub alias=\"a &amp; b\">x <sub alias=\"y\">z</sub></sub>."), "a & b.");
}

#[test]
fn a_tag_that_never_ends_swallows_the_rest_and_nothing_else() {
    assert_eq!(plain_text("<speak>hello <break time"), "hello");
    assert_eq!(plain_text("<speak>hello</break>, you</speak></speak>"), "hello, you");
}

#[test]
fn a_quote_too_many_costs_no_words() {
    // As a button of the platform's own editor writes it.
    let text = "<speak>At <say-as interpret-as=\"time format=\"hms12\">12:30</say-as> <break \
                time=\"1s\"/>we leave.</speak>";
    assert_eq!(plain_text(text), "At 12:30 we leave.");
    assert_eq!(marked(text), "<speak>At 12:30<break time=\"1s\"/> we leave.");
    assert_eq!(plain_text("<prosody rate=\"slow>Well.</prosody> Yes."), "Well. Yes.");
    assert_eq!(plain_text("<break time=\"1s/> Yes."), "Yes.");
}

#[test]
fn markup_is_kept_beside_the_words_in_lower_case_and_without_what_stands_around_it() {
    for (text, expected) in [
        ("<speak>Good evening.</speak>", "Good evening. (plain)"),
        (
            "Please <break strength=\"weak\"/> hold.",
            "<speak>Please<break strength=\"weak\"/> hold.",
        ),
        ("Please <BREAK> hold.", "<speak>Please<break/> hold."),
        (
            "<?xml version=\"1.0\"?><!-- x --><Speak version='1.1' xml:lang=\"de-DE\">Gut<break/>.</Speak>",
            "<speak version=\"1.1\" xml:lang=\"de-DE\">Gut<break/>.",
        ),
        (
            "One moment. <speak><prosody rate=\"slow\">I am <emphasis>looking</emphasis>.</prosody></speak>",
            "<speak>One moment.<prosody rate=\"slow\"> I am<emphasis> looking</emphasis>.</prosody>",
        ),
        (
            "See <sub alias=\"figure two\">fig. 2 &amp; 3</sub>.",
            "<speak>See <sub alias=\"figure two\">fig. 2 &amp; 3</sub>.",
        ),
        (
            "<say-as interpret-as='date'><![CDATA[5 < 7]]></say-as>!",
            "<speak><say-as interpret-as=\"date\">5 &lt; 7</say-as>!",
        ),
        (
            "<amazon:effect name=\"whispered\">Hush</amazon:effect>!",
            "<speak><amazon:effect name=\"whispered\">Hush</amazon:effect>!",
        ),
    ] {
        assert_eq!(marked(text), expected, "{text}");
    }
}

#[test]
fn elements_that_are_not_in_order_are_put_in_order() {
    for (text, expected) in [
        ("<p><s>One</p> two</s>", "<speak><p><s>One</s></p> two"),
        ("</p>One<break/>", "<speak>One<break/>"),
        (
            "<speak><say-as interpret-as=\"x\">1<w>2</say-as>3</w></speak>",
            "<speak><say-as interpret-as=\"x\">1<w>2</w></say-as>3",
        ),
        (
            "<voice name=\"a\"><say-as interpret-as=\"x\">1</voice>2",
            "<speak><voice name=\"a\"><say-as interpret-as=\"x\">1</say-as></voice>2",
        ),
        (
            "<prosody rate=\"slow\" rate=\"fast\" x y=\"&bad;\">1</prosody>",
            "<speak><prosody rate=\"slow\">1</prosody>",
        ),
    ] {
        assert_eq!(marked(text), expected, "{text}");
    }
}

#[test]
fn what_is_too_large_or_lacks_what_it_needs_is_left_out_and_its_words_are_said() {
    let long = "x".repeat(2_000);
    for text in [
        "<say-as>12</say-as>".to_owned(),
        "<phoneme alphabet=\"ipa\">12</phoneme>".to_owned(),
        "<sub>12</sub>".to_owned(),
        format!("<prosody rate=\"{long}\">12</prosody>"),
        "<metadata>12</metadata>".to_owned(),
        "<say-as interpret-as=\"x\">12".to_owned(),
    ] {
        assert_eq!(marked(&text), "12 (plain)", "{text}");
    }
    let large = format!("<say-as interpret-as=\"x\">{long} {long}</say-as>");
    assert_eq!(read(&large), Spoken { plain: format!("{long} {long}"), markup: None });
    let deep = format!("{}12{}", "<p>".repeat(20), "</p>".repeat(20));
    assert_eq!(marked(&deep), format!("<speak>{}12{}", "<p>".repeat(8), "</p>".repeat(8)));
    let endless = format!("{}12", "<break/>".repeat(5_000));
    assert_eq!(marked(&endless), "12 (plain)");
}

/// Whether a document is one that every reader takes.
fn is_well_formed(document: &str) -> bool {
    let mut reader = quick_xml::Reader::from_str(document);
    reader.config_mut().check_end_names = true;
    let (mut depth, mut roots) = (0_usize, 0);
    loop {
        match reader.read_event() {
            Ok(Event::Start(tag)) => {
                roots += usize::from(depth == 0);
                depth += 1;
                if tag.attributes().any(|attribute| attribute.is_err()) {
                    return false;
                }
            }
            Ok(Event::Empty(tag)) if depth == 0 || tag.attributes().any(|it| it.is_err()) => {
                return false;
            }
            Ok(Event::End(_)) => depth -= 1,
            Ok(Event::Text(text)) if depth == 0 && !text.trim().is_empty() => return false,
            Ok(Event::Eof) => return depth == 0 && roots == 1,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

/// A whole text as one document.
fn document(text: &str) -> Option<String> {
    let Spoken { plain, markup } = read(text);
    let markup = markup?;
    let mut document = markup.root.clone();
    let (mut at, mut open) = (0, Vec::new());
    for mark in &markup.marks {
        push_xml_text(&mut document, &plain[at..mark.at]);
        at = mark.at;
        match &mark.kind {
            MarkKind::Begin { tag, end_tag } => {
                document.push_str(tag);
                open.push(end_tag);
            }
            MarkKind::End => document.push_str(open.pop().expect("something is open")),
            MarkKind::Whole { element, bytes } => {
                document.push_str(element);
                at += bytes;
            }
        }
    }
    push_xml_text(&mut document, &plain[at..]);
    open.iter().rev().for_each(|end_tag| document.push_str(end_tag));
    Some(document + "</speak>")
}

proptest! {
    #[test]
    fn whatever_was_written_becomes_a_document_that_is_well_formed(
        text in "(<speak>|</speak>|<speak a='1'>|<p>|</p>|<s>|</s>|<x:y>|</x:y>|<x:>|<sub alias='a'>|</sub>|<break/>|<break>|<w>|</w>|<say-as interpret-as=\"|\">|'>|<prosody rate='|/>|<!\\[CDATA\\[|]]>|&amp;|&#1;|[<>&;#x0-9a-z !\"'=/?é-]){0,30}",
    ) {
        if let Some(document) = document(&text) {
            prop_assert!(is_well_formed(&document), "{}", document);
        }
    }

    #[test]
    fn no_input_makes_it_longer_or_fail(
        text in "(<speak>|<sub alias=\"|<break/>|</|<!--|]]>|[<>&;#x0-9a-z !\"'=/?-]){0,30}",
    ) {
        prop_assert!(plain_text(&text).len() <= text.len());
    }

    #[test]
    fn words_between_tags_are_said(words in proptest::collection::vec("[a-z]{1,8}", 1..10)) {
        let ssml = words.join("<break/>");
        prop_assert_eq!(plain_text(&ssml), words.join(" "));
    }
}
