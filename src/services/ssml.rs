//! Plain words out of SSML, for synthesisers that take text only.
//!
//! Pure. It does not interpret the markup: pauses, emphasis and voices are lost.

/// `text` without its markup when it is SSML (begins with `<speak`), otherwise as it is.
#[must_use]
pub fn plain_text(text: &str) -> String {
    let trimmed = text.trim();
    if !trimmed.starts_with("<speak") {
        return text.to_owned();
    }
    let mut words = String::with_capacity(trimmed.len());
    let mut rest = trimmed;
    while let Some(start) = rest.find('<') {
        let (before, markup) = rest.split_at(start);
        push_decoded(&mut words, before);
        // A tag separates words: `one<break/>two` is two words.
        words.push(' ');
        rest = after_markup(markup);
    }
    push_decoded(&mut words, rest);
    one_space_between_words(&words)
}

/// What follows the tag or comment that `markup` begins with; nothing if it never ends.
fn after_markup(markup: &str) -> &str {
    let end = if markup.starts_with("<!--") { "-->" } else { ">" };
    markup.split_once(end).map_or("", |(_, rest)| rest)
}

fn push_decoded(words: &mut String, mut text: &str) {
    while let Some((before, entity)) = text.split_once('&') {
        words.push_str(before);
        match decode(entity) {
            Some((character, rest)) => {
                words.push(character);
                text = rest;
            }
            None => {
                words.push('&');
                text = entity;
            }
        }
    }
    words.push_str(text);
}

/// The character of the entity that `text` (after its `&`) begins with, and the rest.
fn decode(text: &str) -> Option<(char, &str)> {
    let (name, rest) = text.split_once(';')?;
    let character = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    };
    Some((character, rest))
}

fn one_space_between_words(text: &str) -> String {
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // Closing tags left a space in front of the punctuation that followed them.
    [" .", " ,", " ?", " !", " ;", " :"]
        .iter()
        .fold(joined, |text, mark| text.replace(mark, mark.trim_start()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_that_is_no_ssml_stays_as_it_is() {
        assert_eq!(plain_text(" 3 < 4 & more "), " 3 < 4 & more ");
    }

    #[test]
    fn markup_is_dropped_and_words_stay_apart() {
        let ssml = "<speak version=\"1.0\"><s>Welcome<break time=\"1s\"/>back</s>\
                    <!-- a > b --><p>It is <emphasis>cheap</emphasis>.</p></speak>";
        assert_eq!(plain_text(ssml), "Welcome back It is cheap.");
    }

    #[test]
    fn entities_become_the_characters_they_stand_for() {
        let ssml = "<speak>bed &amp; breakfast &#8364;9 &#x41; &unknown; R&D</speak>";
        assert_eq!(plain_text(ssml), "bed & breakfast €9 A &unknown; R&D");
    }

    #[test]
    fn a_tag_that_never_ends_swallows_the_rest_and_nothing_else() {
        assert_eq!(plain_text("<speak>hello <break time"), "hello");
    }

    proptest! {
        #[test]
        fn no_input_makes_it_longer_or_fail(text in "<speak[<>&;#x0-9a-z !-]{0,60}") {
            prop_assert!(plain_text(&text).len() <= text.len());
        }
    }
}
