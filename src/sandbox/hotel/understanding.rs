//! What a sentence means to the hotel: its intent, and the details of a stay in it.
//!
//! Works on words, in any order and with anything polite around them, because a
//! recogniser's grammar, a keyboard and a judge's paraphrase all word things
//! differently. It knows no state: what a bare "two" means is the dialog's business.

use super::numbers;

/// What the caller wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Intent {
    /// A room.
    BookRoom,
    /// When breakfast is.
    BreakfastTime,
    /// A human being.
    SpeakToAgent,
    /// To drop the booking.
    CancelBooking,
    /// To end the call.
    Goodbye,
    /// Nights, guests or a day: an answer within a booking.
    GiveDetails,
    /// Yes.
    Affirm,
    /// No.
    Deny,
    /// Something this hotel knows nothing about.
    NotUnderstood,
}

impl Intent {
    /// Every intent.
    pub const ALL: [Self; 9] = [
        Self::BookRoom,
        Self::BreakfastTime,
        Self::SpeakToAgent,
        Self::CancelBooking,
        Self::Goodbye,
        Self::GiveDetails,
        Self::Affirm,
        Self::Deny,
        Self::NotUnderstood,
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BookRoom => "book_room",
            Self::BreakfastTime => "breakfast_time",
            Self::SpeakToAgent => "speak_to_agent",
            Self::CancelBooking => "cancel_booking",
            Self::Goodbye => "goodbye",
            Self::GiveDetails => "give_details",
            Self::Affirm => "affirm",
            Self::Deny => "deny",
            Self::NotUnderstood => "not_understood",
        }
    }
}

/// What was said about a stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Details {
    /// Length of the stay, 1 to [`NIGHTS_MAX`].
    pub(super) nights: Option<u32>,
    /// How many people, 1 to [`PEOPLE_MAX`].
    pub(super) people: Option<u32>,
    /// Day of arrival, as it is to be said back.
    pub(super) day: Option<String>,
    /// A number that nothing was said about.
    pub(super) number: Option<u32>,
}

impl Details {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A sentence, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Understanding {
    pub(super) intent: Intent,
    pub(super) details: Details,
}

/// Longest stay in nights.
pub(super) const NIGHTS_MAX: u32 = 30;
/// Most people in one booking.
pub(super) const PEOPLE_MAX: u32 = 20;
/// Words looked at; a caller who says more is not understood better by it.
const WORDS_MAX: usize = 60;

/// Understands `text`.
pub(super) fn understand(text: &str) -> Understanding {
    let plain = text.to_lowercase().replace(['\'', '’'], "");
    let words: Vec<&str> = plain
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(WORDS_MAX)
        .collect();
    let details = details(&words);
    Understanding { intent: intent(&Words(&words), &details), details }
}

/// The order decides between intents that a sentence could both have: what the
/// caller would mind most to have overheard comes first.
fn intent(words: &Words<'_>, details: &Details) -> Intent {
    if words.any(CANCEL) || words.phrase(CANCEL_PHRASES) {
        Intent::CancelBooking
    } else if words.any(AGENT) || (words.phrase(AGENT_PHRASES) && !words.any(LATER)) {
        Intent::SpeakToAgent
    } else if words.any(BOOK) {
        Intent::BookRoom
    } else if words.any(BREAKFAST) {
        Intent::BreakfastTime
    } else if words.any(GOODBYE) || words.phrase(GOODBYE_PHRASES) {
        Intent::Goodbye
    } else if words.any(ROOM) {
        Intent::BookRoom
    } else if !details.is_empty() {
        Intent::GiveDetails
    } else if words.any(NO) || words.phrase(NO_PHRASES) {
        Intent::Deny
    } else if words.any(YES) || words.phrase(YES_PHRASES) {
        Intent::Affirm
    } else {
        Intent::NotUnderstood
    }
}

const CANCEL: &[&str] = &["cancel", "cancelled", "canceled", "cancellation", "canceling"];
const CANCEL_PHRASES: &[&str] = &[
    "call off",
    "call it off",
    "call the booking off",
    "call my booking off",
    "delete my booking",
    "delete the booking",
    "drop my booking",
    "drop the booking",
    "forget my booking",
    "forget the booking",
    "forget about the booking",
    "forget it",
];
const AGENT: &[&str] = &[
    "agent",
    "human",
    "operator",
    "receptionist",
    "reception",
    "representative",
    "manager",
    "staff",
    "employee",
];
const AGENT_PHRASES: &[&str] = &[
    "front desk",
    "real person",
    "live person",
    "speak to",
    "speak with",
    "talk to",
    "talk with",
    "connect me",
    "transfer me",
    "put me through",
    "customer service",
    "help desk",
];
/// "Talk to you later" asks for nobody.
const LATER: &[&str] = &["later", "soon"];
const BOOK: &[&str] = &["book", "booking", "reserve", "reservation"];
const ROOM: &[&str] = &["room", "rooms", "stay", "suite"];
const BREAKFAST: &[&str] = &["breakfast"];
const GOODBYE: &[&str] = &["bye", "goodbye", "farewell"];
const GOODBYE_PHRASES: &[&str] = &[
    "good bye",
    "good night",
    "hang up",
    "end the call",
    "that is all",
    "thats all",
    "that will be all",
    "that was all",
    "that is everything",
    "thats everything",
    "nothing else",
    "nothing more",
    "have a nice day",
    "have a good day",
    "see you",
    "to you later",
    "to you soon",
    "i have to go",
    "i am done",
    "im done",
];
const NO: &[&str] =
    &["no", "nope", "nah", "not", "wrong", "incorrect", "dont", "never", "negative", "change"];
const NO_PHRASES: &[&str] = &["do not"];
const YES: &[&str] = &[
    "yes",
    "yeah",
    "yep",
    "yup",
    "sure",
    "correct",
    "right",
    "ok",
    "okay",
    "absolutely",
    "exactly",
    "certainly",
    "definitely",
    "confirm",
    "confirmed",
    "affirmative",
    "perfect",
    "alright",
    "fine",
    "great",
];
const YES_PHRASES: &[&str] = &["of course", "go ahead", "sounds good", "do it", "please do"];
const DAYS: &[&str] = &[
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "today",
    "tonight",
    "tomorrow",
];

struct Words<'a>(&'a [&'a str]);

impl Words<'_> {
    fn any(&self, wanted: &[&str]) -> bool {
        self.0.iter().any(|word| wanted.contains(word))
    }

    /// Whether one of `phrases` occurs, its words side by side.
    fn phrase(&self, phrases: &[&str]) -> bool {
        phrases.iter().any(|phrase| {
            let phrase: Vec<&str> = phrase.split(' ').collect();
            self.0.windows(phrase.len()).any(|window| window == phrase)
        })
    }
}

fn details(words: &[&str]) -> Details {
    let mut details = Details::default();
    let mut at = 0;
    while let Some(rest) = words.get(at..).filter(|rest| !rest.is_empty()) {
        at += match quantity(rest) {
            Some((value, taken)) => taken + details.count(value, &rest[taken..]),
            None => {
                details.note(rest);
                1
            }
        };
    }
    details
}

/// A number, or one of the words that stand for one in front of a unit.
fn quantity(words: &[&str]) -> Option<(u32, usize)> {
    let unit_follows = |at: usize| words.get(at).is_some_and(|word| unit(word).is_some());
    match words {
        ["a", "couple", "of", ..] => Some((2, 3)),
        ["a", "couple", ..] => Some((2, 2)),
        ["couple", "of", ..] if unit_follows(2) => Some((2, 2)),
        ["a" | "single", ..] if unit_follows(1) => Some((1, 1)),
        // "this one", "that one", "a nice one": no count.
        ["this" | "that" | "another", "one", ..] => None,
        _ => numbers::read(words),
    }
}

enum Unit {
    Nights,
    Weeks,
    People,
}

fn unit(word: &str) -> Option<Unit> {
    match word {
        "night" | "nights" => Some(Unit::Nights),
        "week" | "weeks" => Some(Unit::Weeks),
        "person" | "persons" | "people" | "guest" | "guests" | "adult" | "adults" | "child"
        | "children" | "kid" | "kids" => Some(Unit::People),
        _ => None,
    }
}

impl Details {
    /// Notes a number and what follows it; says how many words that was.
    fn count(&mut self, value: u32, after: &[&str]) -> usize {
        if let ["of", "us", ..] = after {
            self.measure(value, &Unit::People);
            return 2;
        }
        match after.first().and_then(|word| unit(word)) {
            Some(unit) => {
                self.measure(value, &unit);
                1
            }
            None => {
                self.number = Some(value);
                0
            }
        }
    }

    fn measure(&mut self, value: u32, unit: &Unit) {
        let within = |value: u32, max: u32| (1..=max).contains(&value).then_some(value);
        match unit {
            Unit::Nights => self.nights = within(value, NIGHTS_MAX),
            Unit::Weeks => self.nights = within(value * 7, NIGHTS_MAX),
            // "Two adults and one child" are three.
            Unit::People => {
                self.people = within(value.saturating_add(self.people.unwrap_or(0)), PEOPLE_MAX);
            }
        }
    }

    /// Notes what is said without a number.
    fn note(&mut self, words: &[&str]) {
        match words {
            ["just" | "only", "me", ..] | ["myself" | "alone", ..] | ["single", "room", ..] => {
                self.people = Some(1);
            }
            ["double", "room", ..] => self.people = Some(2),
            [day, ..] if DAYS.contains(day) => self.day = Some((*day).to_owned()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wording_reaches_its_intent() {
        let cases = [
            (Intent::BookRoom, "i would like to book a room"),
            (Intent::BookRoom, "I'd like to make a reservation, please."),
            (Intent::BookRoom, "do you have a double room for tonight"),
            (Intent::BookRoom, "a room with breakfast to book for two nights"),
            (Intent::BreakfastTime, "what time is breakfast"),
            (Intent::BreakfastTime, "when do you serve breakfast in the morning"),
            (Intent::SpeakToAgent, "can i talk to a human please"),
            (Intent::SpeakToAgent, "put me through to the front desk"),
            (Intent::CancelBooking, "please cancel my booking"),
            (Intent::CancelBooking, "no i want to cancel the reservation"),
            (Intent::Goodbye, "no thank you that's all"),
            (Intent::Goodbye, "thank you goodbye"),
            (Intent::Goodbye, "talk to you later"),
            (Intent::GiveDetails, "three nights please"),
            (Intent::GiveDetails, "for one person"),
            (Intent::GiveDetails, "two"),
            (Intent::Affirm, "yes that is right"),
            (Intent::Deny, "no that is not right"),
            (Intent::NotUnderstood, "how tall is the eiffel tower"),
            (Intent::NotUnderstood, ""),
        ];
        for (intent, text) in cases {
            assert_eq!(understand(text).intent, intent, "{text}");
        }
    }

    #[test]
    fn details_are_found_wherever_they_stand() {
        let stay = |nights, people, day: Option<&str>| Details {
            nights,
            people,
            day: day.map(str::to_owned),
            number: None,
        };
        let cases = [
            ("two nights for three people", stay(Some(2), Some(3), None)),
            ("book a room for four guests from friday", stay(None, Some(4), Some("friday"))),
            ("a couple of nights", stay(Some(2), None, None)),
            ("one week starting tomorrow", stay(Some(7), None, Some("tomorrow"))),
            ("twenty one nights", stay(Some(21), None, None)),
            ("there are two of us", stay(None, Some(2), None)),
            ("two adults and one child", stay(None, Some(3), None)),
            ("just me", stay(None, Some(1), None)),
            ("a night for a single person", stay(Some(1), Some(1), None)),
            ("for two", Details { number: Some(2), ..Details::default() }),
        ];
        for (text, details) in cases {
            assert_eq!(understand(text).details, details, "{text}");
        }
    }

    #[test]
    fn a_stay_of_no_night_or_of_five_weeks_is_no_stay() {
        assert_eq!(understand("zero nights").details.nights, None);
        assert_eq!(understand("five weeks").details.nights, None);
    }
}
