//! Whatever the services of a call do, its caller never hears nothing.

use super::stage::{Script, Stage, Trouble, act};
use crate::actors::link::Delivery;
use crate::types::Route;

/// Longer than two deadlines of a sentence: of the answer, and of the apology for it.
const LONG_MS: u32 = 40_000;

const TROUBLES: [Option<Trouble>; 3] = [None, Some(Trouble::Fails), Some(Trouble::Hangs)];

#[test]
fn however_recogniser_and_synthesiser_fail_the_caller_hears_something_and_it_is_told() {
    for stt_trouble in TROUBLES {
        for tts_trouble in TROUBLES {
            let what = format!("recogniser {stt_trouble:?}, synthesiser {tts_trouble:?}");
            act(move || async move {
                let script = Script { stt_trouble, tts_trouble, ..Script::default() };
                let stage = Stage::new(script, Route::default());
                let caller = stage.call("a", Delivery::WholeSentences).await;
                caller.say().await;
                caller.pause(LONG_MS).await;
                let loud = caller.audio.lock().iter().any(|it| it.unsigned_abs() > 500);
                assert!(loud, "silence: {what}");
                let told = |name: &str| caller.count(name) > 0;
                assert_eq!(told("stt_failed"), stt_trouble.is_some(), "{what}");
                assert_eq!(told("tts_failed"), tts_trouble.is_some(), "{what}");
                assert_eq!(
                    caller.count("turn_unheard"),
                    usize::from(tts_trouble.is_some()),
                    "{what}"
                );
                assert_eq!(told("fallback_played"), tts_trouble.is_some(), "{what}");
                let is_answered = stt_trouble.is_none() && tts_trouble.is_none();
                assert_eq!(told("turn_answered"), is_answered, "{what}");
            });
        }
    }
}
