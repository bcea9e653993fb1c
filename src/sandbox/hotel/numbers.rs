//! Numbers as callers say them and as the bot says them back: one to thirty.
//!
//! Recognisers write numbers as words and text channels as digits; both are
//! read. Nothing larger than a stay of a month is.

const SMALL: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TWENTY: u32 = 20;
const THIRTY: u32 = 30;

/// Reads a number at the beginning of `words`: its value and how many words it took.
pub(super) fn read(words: &[&str]) -> Option<(u32, usize)> {
    let first = *words.first()?;
    if let Some(value) = small(first) {
        return Some((value, 1));
    }
    match first {
        "thirty" => Some((THIRTY, 1)),
        "twenty" => Some(match words.get(1).and_then(|word| small(word)) {
            Some(unit @ 1..=9) => (TWENTY + unit, 2),
            _ => (TWENTY, 1),
        }),
        digits => digits.parse().ok().filter(|value| *value <= THIRTY).map(|value| (value, 1)),
    }
}

/// Says `value` in words; a value beyond thirty in digits.
pub(super) fn say(value: u32) -> String {
    match value {
        0..TWENTY => SMALL[value as usize].to_owned(),
        TWENTY => "twenty".to_owned(),
        THIRTY => "thirty".to_owned(),
        21..THIRTY => format!("twenty {}", SMALL[(value - TWENTY) as usize]),
        _ => value.to_string(),
    }
}

fn small(word: &str) -> Option<u32> {
    (0u32..).zip(SMALL).find_map(|(value, name)| (name == word).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_read_back_as_it_was_said() {
        for value in 0..=THIRTY {
            let said = say(value);
            let words: Vec<&str> = said.split(' ').collect();
            assert_eq!(read(&words), Some((value, words.len())), "{said}");
        }
    }

    #[test]
    fn digits_are_read_and_other_words_are_not() {
        assert_eq!(read(&["12", "nights"]), Some((12, 1)));
        assert_eq!(read(&["twenty", "nights"]), Some((20, 1)));
        assert_eq!(read(&["31"]), None);
        assert_eq!(read(&["nights"]), None);
        assert_eq!(read(&[]), None);
    }
}
