//! Connections, platforms and engines that go away in mid-call and come back.

use std::time::Duration;

use crate::support::{Message, Phone, Setup, brief, long_speech, sandbox, sandbox_at, speech};
use antiphon::sandbox::RunningSandbox;

/// Said twice, it moves a booking on twice: people first, then nights.
const BOOKING: &str = "book a room two";
const AFTER_ONE_TURN: &str = "ask_nights";
const AFTER_TWO_TURNS: &str = "confirm_booking";

fn booking(sandbox: &RunningSandbox) -> Setup {
    Setup::with(sandbox).key("STT__FIXED__TEXT", BOOKING)
}

async fn dial(simulator: &str, call_id: &str) -> (Phone, bool) {
    let path = format!("/?events=1&call_id={call_id}");
    let mut phone = Phone::dial(simulator, &path).await.expect("the call is taken");
    let started = phone.next().await;
    let Message::Json(started) = &started else { panic!("{started:?}") };
    assert_eq!(started["type"], "started");
    (phone, started["resumed"] == true)
}

/// Where the dialog stands after another turn.
async fn turn(phone: &mut Phone) -> String {
    let messages = phone.turn(&speech()).await;
    let replied = messages.iter().find(|message| message.event() == "dialog_replied");
    let replied = replied.unwrap_or_else(|| panic!("{:?}", brief(&messages)));
    replied.fact("next_state").as_str().unwrap_or_default().to_owned()
}

/// A fifth of a second in which the caller says nothing.
const SILENCE: [i16; 3_200] = [0; 3_200];

/// Says something, and is silent until it is answered: for so many fifths of a second.
async fn silence_before_answer(phone: &mut Phone) -> usize {
    phone.say(&speech()).await;
    for waited in 1.. {
        phone.say(&SILENCE).await;
        while let Ok(message) = tokio::time::timeout(Duration::from_millis(1), phone.next()).await {
            assert!(!message.is_last(), "{message:?}");
            if message.event() == "turn_answered" {
                return waited;
            }
        }
    }
    unreachable!("the guard of the test run ends it");
}

#[tokio::test]
async fn calls_of_a_process_that_stood_still_for_a_while_do_not_lag_behind_afterwards() {
    let sandbox = sandbox();
    let engine = booking(&sandbox).start().await;
    let (mut phone, _) = dial(&engine.simulator, "a").await;
    let before = silence_before_answer(&mut phone).await;
    phone.until_event("bot_turn_stopped").await;
    engine.signal("STOP").await;
    for _ in 0..40 {
        phone.say(&SILENCE).await;
    }
    engine.signal("CONT").await;
    let after = silence_before_answer(&mut phone).await;
    // Eight seconds came at once. Who works them off at the caller's pace is six behind.
    assert!(after < before + 15, "{after} instead of {before}");
}

#[tokio::test]
async fn a_caller_cut_off_in_mid_reply_goes_on_where_the_dialog_was() {
    let sandbox = sandbox();
    let engine = booking(&sandbox).start().await;
    let (mut phone, _) = dial(&engine.simulator, "a").await;
    phone.say(&speech()).await;
    phone.until_event("turn_answered").await;
    phone.vanish();

    let (mut phone, resumed) = dial(&engine.simulator, "a").await;
    assert!(resumed);
    let again = phone.until_event("bot_turn_stopped").await;
    let heard = again.iter().any(|message| message.text("intent") == "book_room");
    assert!(heard, "what was not heard to its end is said again: {:?}", brief(&again));
    assert_eq!(turn(&mut phone).await, AFTER_TWO_TURNS);
    phone.hang_up().await;
    engine.becomes_empty().await;
    assert_eq!(engine.metric("antiphon_calls_started_total").await, 1.0);
}

#[tokio::test]
async fn a_caller_cut_off_in_mid_utterance_is_heard_as_far_as_it_came() {
    let sandbox = sandbox();
    let engine = booking(&sandbox).start().await;
    let (mut phone, _) = dial(&engine.simulator, "a").await;
    let speech = long_speech();
    phone.say(&speech[..speech.len() / 2]).await;
    phone.until_event("speech_started").await;
    phone.vanish();
    let (mut phone, resumed) = dial(&engine.simulator, "a").await;
    assert!(resumed);
    phone.until_event("turn_answered").await;
}

#[tokio::test]
async fn a_caller_who_comes_back_too_late_begins_a_new_call() {
    let sandbox = sandbox();
    let engine = booking(&sandbox).key("ROUTE__TURNS__RECONNECT_MS_MAX", "100").start().await;
    let (mut phone, _) = dial(&engine.simulator, "a").await;
    assert_eq!(turn(&mut phone).await, AFTER_ONE_TURN);
    phone.vanish();
    engine.becomes_empty().await;

    let (mut phone, resumed) = dial(&engine.simulator, "a").await;
    assert!(!resumed);
    assert_eq!(turn(&mut phone).await, AFTER_ONE_TURN);
}

#[tokio::test]
async fn the_newest_connection_wins_and_the_old_one_is_told() {
    let sandbox = sandbox();
    let engine = booking(&sandbox).start().await;
    let (mut old, _) = dial(&engine.simulator, "a").await;
    assert_eq!(turn(&mut old).await, AFTER_ONE_TURN);
    let (mut new, resumed) = dial(&engine.simulator, "a").await;
    assert!(resumed);
    assert_eq!(old.rest().await.last(), Some(&Message::Closed(Some(1001))));
    assert_eq!(turn(&mut new).await, AFTER_TWO_TURNS);
}

#[tokio::test]
async fn a_caller_who_hangs_up_and_dials_again_at_once_begins_a_new_call() {
    let sandbox = sandbox();
    let engine = booking(&sandbox).start().await;
    for _ in 0..20 {
        let (phone, resumed) = dial(&engine.simulator, "a").await;
        assert!(!resumed, "the last call was hung up");
        phone.hang_up().await;
    }
    let (mut phone, _) = dial(&engine.simulator, "a").await;
    assert_eq!(turn(&mut phone).await, AFTER_ONE_TURN);
    phone.hang_up().await;
    engine.becomes_empty().await;
    assert_eq!(engine.metric("antiphon_calls_started_total").await, 21.0);
    let losses = engine.metric("antiphon_media_losses_total").await;
    assert_eq!(losses, 0.0, "whoever hangs up was not lost");
}

#[tokio::test]
async fn platforms_that_die_cost_turns_then_the_call_and_the_next_call_is_fine() {
    let first = sandbox();
    let address = first.addr.to_string();
    let engine = booking(&first).start().await;
    let (mut phone, _) = dial(&engine.simulator, "a").await;
    turn(&mut phone).await;
    first.stop().await;

    for _ in 1..3 {
        let messages = phone.turn(&speech()).await;
        let told: Vec<&str> = messages.iter().map(Message::event).collect();
        assert!(told.contains(&"dialog_failed"), "{told:?}");
        let prompt = messages.iter().any(|message| message.text("type") == "tts_audio");
        assert!(prompt, "the prompt needs no platform: {:?}", brief(&messages));
    }
    phone.say(&speech()).await;
    let last = phone.rest().await;
    let told = brief(&last);
    assert!(told.contains(&"fallback_played".to_owned()), "{told:?}");
    assert_eq!(last.last(), Some(&Message::Closed(Some(1011))), "{told:?}");
    engine.becomes_empty().await;

    let _second = sandbox_at(&address);
    let (mut phone, _) = dial(&engine.simulator, "b").await;
    assert_eq!(turn(&mut phone).await, AFTER_ONE_TURN);
}
