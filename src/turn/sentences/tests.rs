//! How texts are cut, language by language.

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

fn cut(text: &str) -> Vec<&str> {
    cut_in("en-US", text)
}

fn cut_in<'a>(language: &str, text: &'a str) -> Vec<&'a str> {
    sentences(text, language).collect()
}

/// One line of `tests/cases/sentences.jsonl`.
#[derive(Deserialize)]
struct Case {
    language: String,
    text: String,
    sentences: Vec<String>,
}

#[test]
fn the_known_texts_are_cut_where_a_reader_would_pause() {
    for line in include_str!("../../../tests/cases/sentences.jsonl").lines() {
        let case: Case = serde_json::from_str(line).expect("a case");
        assert_eq!(cut_in(&case.language, &case.text), case.sentences);
    }
}

#[test]
fn a_reply_is_cut_behind_its_sentence_marks() {
    assert_eq!(
        cut("Breakfast is at 7.30 a.m. daily. Anything else?  Yes!"),
        ["Breakfast is at 7.30 a.m. daily.", "Anything else?", "Yes!"],
    );
    assert_eq!(
        cut("Ask Dr. Who (or Mr. J. Smith). \"Fine.\" Bye"),
        ["Ask Dr. Who (or Mr. J. Smith).", "\"Fine.\"", "Bye",]
    );
}

/// Cuts `text`, in which `|` stands where it is to be cut.
fn assert_cut(language: &str, marked: &str) {
    let text = marked.replace('|', " ");
    let expected: Vec<&str> = marked.split('|').collect();
    assert_eq!(cut_in(language, &text), expected, "{language}");
}

#[test]
fn ordinals_and_numbers_that_end_a_sentence_are_told_apart() {
    for marked in [
        "Am 3. Mai um 14.30 Uhr in der Hauptstr. 5, bei Fr. Dr. Klein.|Passt das?",
        "Ihr Zimmer ist die 12.|Bitte nehmen Sie den Aufzug.",
        "Das Zimmer hat die Nr. 7.|Es liegt im 2. Obergeschoss.",
        "Sie sind der 5. Anrufer.|Bitte warten Sie.",
        "Wir sehen uns am 3.|Das ist ein Montag.",
        "Es sind 20.|Möchten Sie noch etwas?",
        "Der Preis beträgt 1.200.|Frühstück ist dabei.",
        "Im Jahr 2024.|Danach nicht mehr.",
        "Kaiser Karl lebte um 800 n. Chr. in Aachen.",
        "Das kostet ca. 5 Euro bzw. Sie zahlen z.B. Mit Karte, d. h. Bargeldlos.",
    ] {
        assert_cut("de-DE", marked);
    }
}

#[test]
fn shortened_words_do_not_end_a_sentence_and_whole_ones_do() {
    for marked in [
        "No. 5 on Jan. 7 is free.|No.|That is wrong.",
        "It is on Fri. Jan. 9 at St. Mary's.|Ask for Prof. Will Low.",
        "We open at 6 a.m.|Breakfast is later.",
        "The U.S. Embassy is near, e.g. Main Street.|You can walk.",
        "Take plan B.|Then call us.",
        "Wait... let me see.|Hm...|What is it?",
    ] {
        assert_cut("en-GB", marked);
    }
    for (language, marked) in [
        ("fr", "Mme Petit et M. Le Goff sont là.|Voulez-vous leur parler ?|Oui !"),
        ("es", "El Sr. Díaz y la Dra. Ruiz están en la pág. 3.|¿Algo más?|¡Gracias!"),
        ("it", "Il sig. Rossi è al n. 5.|Desidera altro?"),
        ("pt", "O Sr. Silva está na Av. Paulista n. 5.|Mais alguma coisa?"),
        ("nl", "Dhr. De Vries zit op nr. 5, d.w.z. Boven.|Nog iets?"),
        ("sv", "Hr. lind kommer den 3. maj.|Något mer?"),
        ("", "One.|Two."),
    ] {
        assert_cut(language, marked);
    }
}

#[test]
fn full_stops_of_other_scripts_need_no_space() {
    assert_eq!(cut_in("zh-CN", "您好。请稍等！好的？"), ["您好。", "请稍等！", "好的？"]);
    assert_eq!(cut_in("ja", "「はい。」と言いました。"), ["「はい。」", "と言いました。"]);
    assert_eq!(cut_in("ur", "جی ہاں۔ شکریہ۔"), ["جی ہاں۔", "شکریہ۔"]);
    assert_eq!(cut_in("ar", "هل تريد المزيد؟ نعم."), ["هل تريد المزيد؟", "نعم."]);
}

#[test]
fn no_piece_is_too_short_to_be_spoken() {
    assert_eq!(cut("1. Breakfast. 2. Dinner."), ["1. Breakfast.", "2. Dinner."]);
    assert_eq!(cut("Press 1. 2."), ["Press 1. 2."]);
    assert_eq!(cut("A! B! C!"), ["A! B! C!"]);
    assert_eq!(cut("12"), ["12"]);
    assert_eq!(cut("Ja. 5"), ["Ja. 5"]);
}

#[test]
fn text_without_words_makes_no_sentence() {
    assert_eq!(cut("  ... \n - "), Vec::<&str>::new());
}

#[test]
fn an_endless_sentence_is_cut_at_a_space_and_leaves_no_short_rest() {
    for words in [61, 62, 70, 100, 1_000] {
        let text = "word ".repeat(words);
        let pieces = cut(&text);
        assert!(pieces.len() > 1);
        assert!(pieces.iter().all(|piece| (50..=300).contains(&piece.chars().count())), "{words}");
        assert_eq!(pieces.join(" "), text.trim());
    }
}

#[test]
fn a_long_sentence_is_cut_behind_a_clause() {
    let clause = "and then we go on for a good while without any pause at all, ";
    let text = clause.repeat(8);
    let pieces = cut(&text);
    assert!(
        pieces.len() > 1 && pieces.iter().all(|piece| piece.ends_with("at all,")),
        "{pieces:?}"
    );
    let text = "这是一个很长的句子，".repeat(50);
    assert!(cut_in("zh", &text).iter().all(|piece| piece.ends_with('，')));
}

#[test]
fn what_nobody_asks_for_is_left_as_it_is() {
    let text = "One. Two. Three.";
    let mut sentences = sentences(text, "en-US");
    assert_eq!(sentences.by_ref().take(2).collect::<Vec<_>>(), ["One.", "Two."]);
    assert_eq!(sentences.rest(), " Three.");
}

#[test]
fn only_whole_words_were_heard() {
    assert_eq!(words_heard("one two three", 0, 10), "");
    assert_eq!(words_heard("one two three", 6, 10), "one two");
    assert_eq!(words_heard("one two three", 10, 10), "one two three");
}

proptest! {
    #[test]
    fn no_word_is_lost_or_invented(
        text in "([a-zA-Z0-9 .!?,\n]|Nr\\. |3\\. |。|ä|「|\u{a0}){0,400}",
        language in prop::sample::select(vec!["en", "de", "fr", "es", "it", "pt", "nl", "ja"]),
    ) {
        let letters = |text: &str| -> String {
            text.chars().filter(|c| c.is_alphanumeric()).collect()
        };
        prop_assert_eq!(letters(&cut_in(language, &text).concat()), letters(&text));
    }

    #[test]
    fn what_was_heard_is_a_prefix(text in "\\PC{0,60}", part in 0usize..100) {
        prop_assert!(text.starts_with(words_heard(&text, part, 100)));
    }
}
