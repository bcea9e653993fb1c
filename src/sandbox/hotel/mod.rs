//! A small hotel that answers calls: books a room, knows when breakfast is,
//! fetches an agent, cancels, says goodbye.
//!
//! Pure: (session state, text) in, reply out. It keeps nothing between turns but
//! the state it hands out, so any number of servers may answer turns of one call.
//! It refuses to guess: what it does not understand is asked again.

mod numbers;
mod understanding;

use serde::{Deserialize, Serialize};

use self::numbers::say;
use self::understanding::{Details, NIGHTS_MAX, PEOPLE_MAX, Understanding, understand};

pub use self::understanding::Intent;

/// What the hotel remembers of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HotelState {
    /// What the hotel is waiting to hear.
    step: Step,
    /// The booking being made, or made.
    #[serde(skip_serializing_if = "Option::is_none")]
    stay: Option<Stay>,
    /// Turns in a row that were not understood.
    misses: u32,
}

/// Where the dialog stands; the platform's "next state".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Nothing is asked.
    #[default]
    Open,
    /// How many nights?
    AskNights,
    /// For how many people?
    AskPeople,
    /// Is that right?
    ConfirmBooking,
    /// A booking was made.
    Booked,
    /// An agent was asked for.
    Agent,
    /// The caller said goodbye: the call is to end.
    End,
}

impl Step {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::AskNights => "ask_nights",
            Self::AskPeople => "ask_people",
            Self::ConfirmBooking => "confirm_booking",
            Self::Booked => "booked",
            Self::Agent => "agent",
            Self::End => "end",
        }
    }

    const fn is_booking(self) -> bool {
        matches!(self, Self::AskNights | Self::AskPeople | Self::ConfirmBooking)
    }
}

/// A booking, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Stay {
    #[serde(skip_serializing_if = "Option::is_none")]
    nights: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    people: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    day: Option<String>,
}

/// What the hotel answers to one turn.
#[derive(Clone, Debug, PartialEq)]
pub struct HotelReply {
    /// What is to be said, one to three short sentences.
    pub outputs: Vec<String>,
    /// What the caller wanted.
    pub intent: Intent,
    /// How sure the hotel is of the intent, 0 to 1.
    pub confidence: f64,
    /// To hand in with the next turn. Its step is the platform's next state.
    pub state: HotelState,
}

impl HotelReply {
    /// Where the dialog stands after this turn.
    #[must_use]
    pub const fn next_step(&self) -> Step {
        self.state.step
    }
}

/// Answers one turn of a call whose last turn left `state`.
#[must_use]
pub fn answer(state: HotelState, text: &str) -> HotelReply {
    let Understanding { intent, details } = understand(text);
    let mut desk = Desk { state, outputs: Vec::new() };
    desk.take(intent, details);
    if intent != Intent::NotUnderstood {
        desk.state.misses = 0;
    }
    HotelReply { outputs: desk.outputs, intent, confidence: confidence(intent), state: desk.state }
}

/// Rules either match or do not; answers carry less than a request of their own.
const fn confidence(intent: Intent) -> f64 {
    match intent {
        Intent::NotUnderstood => 0.1,
        Intent::GiveDetails | Intent::Affirm | Intent::Deny => 0.85,
        _ => 0.95,
    }
}

/// Not understood so often in a row that an agent is offered.
const MISSES_BEFORE_AGENT: u32 = 2;

/// One turn at the reception.
struct Desk {
    state: HotelState,
    outputs: Vec<String>,
}

impl Desk {
    fn say(&mut self, text: impl Into<String>) {
        self.outputs.push(text.into());
    }

    fn take(&mut self, intent: Intent, details: Details) {
        match intent {
            Intent::BookRoom => self.book(details),
            Intent::BreakfastTime => {
                self.say("Breakfast is from seven to ten.");
                self.ask_again();
            }
            Intent::SpeakToAgent => {
                self.state.step = Step::Agent;
                self.say("One moment please. I am getting an agent for you.");
            }
            Intent::CancelBooking => self.cancel(),
            Intent::Goodbye => {
                self.state.step = Step::End;
                self.say("Thank you for calling. Goodbye.");
            }
            Intent::GiveDetails => self.details(details),
            Intent::Affirm => self.affirm(),
            Intent::Deny => self.deny(),
            Intent::NotUnderstood => self.not_understood(),
        }
    }

    /// A request for a room starts a new booking, unless one is being made.
    fn book(&mut self, details: Details) {
        if self.state.step.is_booking() {
            self.fill(details, self.state.step);
        } else {
            self.state.stay = None;
            // "A room for two" is for two people.
            self.fill(details, Step::AskPeople);
        }
        self.ask_what_is_missing();
    }

    fn details(&mut self, details: Details) {
        if self.state.step.is_booking() {
            self.fill(details, self.state.step);
            self.ask_what_is_missing();
        } else {
            self.say("Would you like to book a room? Please say, book a room.");
        }
    }

    /// Takes what was said; a bare number answers what was `asked`.
    fn fill(&mut self, details: Details, asked: Step) {
        let bare = |question: Step, max: u32| {
            details.number.filter(|number| asked == question && (1..=max).contains(number))
        };
        let nights = details.nights.or_else(|| bare(Step::AskNights, NIGHTS_MAX));
        let people = details.people.or_else(|| bare(Step::AskPeople, PEOPLE_MAX));
        let stay = self.state.stay.get_or_insert_default();
        stay.nights = nights.or(stay.nights);
        stay.people = people.or(stay.people);
        stay.day = details.day.or(stay.day.take());
    }

    fn ask_what_is_missing(&mut self) {
        let stay = self.state.stay.clone().unwrap_or_default();
        let (step, question) = match (stay.nights, stay.people) {
            (None, _) => (Step::AskNights, "For how many nights?".to_owned()),
            (_, None) => (Step::AskPeople, "For how many people?".to_owned()),
            (Some(nights), Some(people)) => (
                Step::ConfirmBooking,
                format!("{}. Is that right?", capitalised(&stay_in_words(nights, people, &stay))),
            ),
        };
        self.state.step = step;
        self.say(question);
    }

    fn affirm(&mut self) {
        match self.state.step {
            Step::ConfirmBooking => {
                self.state.step = Step::Booked;
                self.say("Your room is booked. We look forward to seeing you.");
            }
            Step::AskNights | Step::AskPeople => self.ask_what_is_missing(),
            _ => self.offer("How can I help you?"),
        }
    }

    fn deny(&mut self) {
        match self.state.step {
            Step::ConfirmBooking => {
                self.state.stay = None;
                self.say("Let us try again.");
                self.ask_what_is_missing();
            }
            Step::AskNights | Step::AskPeople => self.ask_what_is_missing(),
            _ => self.offer("All right. Is there anything else?"),
        }
    }

    fn cancel(&mut self) {
        let had = self.state.stay.take().is_some();
        self.state.step = Step::Open;
        self.say(if had {
            "Your booking is cancelled."
        } else {
            "There is no booking to cancel on this call."
        });
    }

    fn not_understood(&mut self) {
        self.state.misses = self.state.misses.saturating_add(1);
        self.say("Sorry, I did not understand that.");
        if self.state.misses > MISSES_BEFORE_AGENT {
            self.say("You can always say, speak to an agent.");
        } else {
            self.ask_again();
        }
    }

    /// Repeats the open question of a booking; offers help where none is open.
    fn ask_again(&mut self) {
        if self.state.step.is_booking() {
            self.ask_what_is_missing();
        } else {
            self.offer("What else can I do for you?");
        }
    }

    fn offer(&mut self, text: &str) {
        if self.state.step != Step::Booked {
            self.state.step = Step::Open;
        }
        self.say(text);
    }
}

fn stay_in_words(nights: u32, people: u32, stay: &Stay) -> String {
    let night = if nights == 1 { "night" } else { "nights" };
    let person = if people == 1 { "person" } else { "people" };
    let from = stay.day.as_deref().map(|day| format!(" from {}", spoken_day(day)));
    format!("{} {night} for {} {person}{}", say(nights), say(people), from.unwrap_or_default())
}

/// Week days are written with a capital.
fn spoken_day(day: &str) -> String {
    if day.ends_with("day") && day != "today" { capitalised(day) } else { day.to_owned() }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays a call; each turn gives back "intent | step | what was said".
    fn call(turns: &[&str]) -> Vec<String> {
        let mut state = HotelState::default();
        turns
            .iter()
            .map(|text| {
                let reply = answer(state.clone(), text);
                state = reply.state.clone();
                let said = reply.outputs.join(" ");
                format!("{} | {} | {said}", reply.intent.as_str(), reply.next_step().as_str())
            })
            .collect()
    }

    #[test]
    fn a_room_is_booked_by_answering_one_question_at_a_time() {
        assert_eq!(
            call(&["i would like to book a room", "three", "two people", "yes please", "bye"]),
            [
                "book_room | ask_nights | For how many nights?",
                "give_details | ask_people | For how many people?",
                "give_details | confirm_booking | Three nights for two people. Is that right?",
                "affirm | booked | Your room is booked. We look forward to seeing you.",
                "goodbye | end | Thank you for calling. Goodbye.",
            ]
        );
    }

    #[test]
    fn what_was_said_at_once_is_not_asked_again() {
        assert_eq!(
            call(&["book a room for two nights for one person from friday"]),
            ["book_room | confirm_booking | Two nights for one person from Friday. Is that right?"]
        );
    }

    #[test]
    fn a_room_for_two_is_for_two_people() {
        assert_eq!(
            call(&["a room for two please", "two"])[1],
            "give_details | confirm_booking | Two nights for two people. Is that right?"
        );
    }

    #[test]
    fn a_booking_that_is_not_right_starts_over() {
        assert_eq!(
            call(&["book a room for two nights for two people", "no that is not right"])[1],
            "deny | ask_nights | Let us try again. For how many nights?"
        );
    }

    #[test]
    fn a_detail_is_corrected_while_it_is_being_confirmed() {
        assert_eq!(
            call(&["book a room for two nights for two people", "no four nights"])[1],
            "give_details | confirm_booking | Four nights for two people. Is that right?"
        );
    }

    #[test]
    fn a_question_in_between_is_answered_and_the_booking_goes_on() {
        assert_eq!(
            call(&["book a room", "what time is breakfast", "five"])[1..],
            [
                "breakfast_time | ask_nights | Breakfast is from seven to ten. For how many nights?",
                "give_details | ask_people | For how many people?",
            ]
        );
    }

    #[test]
    fn only_a_booking_that_exists_is_cancelled() {
        let said = call(&["cancel my booking", "book a room", "cancel that please"]);
        assert_eq!(
            [&said[0], &said[2]],
            [
                "cancel_booking | open | There is no booking to cancel on this call.",
                "cancel_booking | open | Your booking is cancelled.",
            ]
        );
    }

    #[test]
    fn what_is_not_understood_is_asked_again_and_an_agent_is_offered_in_the_end() {
        let said =
            call(&["book a room", "how is the weather", "blue", "green", "speak to an agent"]);
        assert_eq!(
            said[1],
            "not_understood | ask_nights | Sorry, I did not understand that. For how many nights?"
        );
        assert!(said[3].ends_with("You can always say, speak to an agent."), "{}", said[3]);
        assert_eq!(
            said[4],
            "speak_to_agent | agent | One moment please. I am getting an agent for you."
        );
    }

    #[test]
    fn yes_and_no_are_harmless_where_nothing_was_asked() {
        assert_eq!(
            call(&["yes", "no", "two nights"]),
            [
                "affirm | open | How can I help you?",
                "deny | open | All right. Is there anything else?",
                "give_details | open | Would you like to book a room? Please say, book a room.",
            ]
        );
    }

    #[test]
    fn the_state_survives_its_way_through_the_caller_as_json() {
        let reply = answer(HotelState::default(), "book a room for two nights from tomorrow");
        let json = serde_json::to_value(&reply.state).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "step": "ask_people",
                "stay": {"nights": 2, "day": "tomorrow"},
                "misses": 0
            })
        );
        assert_eq!(serde_json::from_value::<HotelState>(json).unwrap(), reply.state);
    }
}
