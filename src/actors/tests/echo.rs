//! A bot that comes back over the caller's loudspeaker.

use std::time::Duration;

use super::stage::{Caller, Script, Stage, Told, act, speech};
use crate::actors::link::Delivery;
use crate::media::wav;
use crate::types::{INNER_RATE, Prompt, Route};

const PACED: Delivery = Delivery::Paced { frame_ms: 20, lead_ms: 100 };
/// What a caller sends at once (20 ms).
const PIECE: usize = 320;

/// A sentence of a synthesiser.
fn sentence() -> Vec<i16> {
    const RECORDING: &[u8] = include_bytes!("../../../tests/track/audio/generated_06.wav");
    wav::read(RECORDING).expect("a recording").channels.remove(0)
}

/// Where the bot comes back: so much later and quieter.
#[derive(Clone, Copy, Debug)]
struct Room {
    delay_ms: u32,
    loss_db: f32,
}

impl Room {
    /// Sends what a person says in this room until nothing of it is left. From the first
    /// audio of the bot on, this comes back; not what it flushed.
    async fn send(self, caller: &Caller, person: &[i16]) {
        let gain = 10_f32.powf(-self.loss_db / 20.0);
        let delay = INNER_RATE.samples_in_ms(self.delay_ms);
        let (mut begun, mut heard) = (usize::MAX, usize::MAX);
        for (nth, piece) in person.chunks(PIECE).enumerate() {
            let at = nth * PIECE;
            let played = caller.audio.lock().clone();
            begun = if played.is_empty() { begun } else { begun.min(at) };
            if caller.told.lock().contains(&Told::Flush) {
                heard = heard.min(at.saturating_sub(begun));
            }
            let mixed: Vec<i16> = piece
                .iter()
                .enumerate()
                .map(|(n, sample)| {
                    let position = (at + n).checked_sub(begun.saturating_add(delay));
                    let position = position.filter(|position| *position < heard);
                    let echo = position.and_then(|position| played.get(position));
                    sample.saturating_add((f32::from(*echo.unwrap_or(&0)) * gain) as i16)
                })
                .collect();
            caller.send(&mixed, 20).await;
        }
    }
}

fn greets(echo_gate: bool) -> (Script, Route) {
    let script =
        Script { words: vec!["one", "two"], sentence: Some(sentence), ..Script::default() };
    let mut route = Route::default();
    route.prompts.greeting = Some(Prompt { text: "Welcome.".to_owned(), interruptible: None });
    route.listening.echo_gate = echo_gate;
    (script, route)
}

fn silence(ms: u32) -> Vec<i16> {
    vec![0; INNER_RATE.samples_in_ms(ms)]
}

#[test]
fn a_bot_is_not_interrupted_by_its_own_echo() {
    for (delay_ms, loss_db) in [(40, 12.0), (250, 12.0), (450, 20.0)] {
        for echo_gate in [true, false] {
            act(move || async move {
                let (script, route) = greets(echo_gate);
                let stage = Stage::new(script, route);
                let caller = stage.call("a", PACED).await;
                let room = Room { delay_ms, loss_db };
                room.send(&caller, &silence(8_000)).await;
                let interruptions = caller.count("interruption");
                if echo_gate {
                    assert_eq!(interruptions, 0, "{room:?}");
                    assert_eq!(caller.count("speech_started"), 0, "{room:?}");
                    assert_eq!(caller.audio.lock().len(), sentence().len());
                    assert!(stage.services.asked.lock().is_empty(), "no turn is made of echo");
                } else {
                    assert!(interruptions > 0, "{room:?}: there is something to be told");
                }
            });
        }
    }
}

#[test]
fn somebody_who_speaks_over_the_echo_interrupts_the_bot() {
    act(|| async {
        let (script, route) = greets(true);
        let stage = Stage::new(script, route);
        let caller = stage.call("a", PACED).await;
        let person = [silence(1_000), speech(), silence(2_000)].concat();
        Room { delay_ms: 150, loss_db: 20.0 }.send(&caller, &person).await;
        assert!(caller.told.lock().contains(&Told::Flush));
        assert_eq!(caller.count("interruption"), 1);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(*stage.services.asked.lock(), ["one"], "what they said is asked");
    });
}
