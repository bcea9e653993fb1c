//! What whoever listens on a leg of the stage takes note of.

use std::sync::Arc;

use parking_lot::Mutex;

use super::stage::Told;
use crate::actors::link::{LegCommand, LegOutput};
use crate::types::CallEventKind;

/// Takes note of everything until the leg ends.
pub async fn listen(
    mut output: LegOutput,
    told: Arc<Mutex<Vec<Told>>>,
    events: Arc<Mutex<Vec<CallEventKind>>>,
    audio: Arc<Mutex<Vec<i16>>>,
) {
    let samples = |bytes: &[u8]| {
        let pairs = bytes.chunks_exact(2);
        audio.lock().extend(pairs.map(|pair| i16::from_le_bytes([pair[0], pair[1]])));
    };
    while let Some(command) = output.next().await {
        let what = match command {
            LegCommand::Audio { bytes, .. } => {
                samples(&bytes);
                Told::Audio(bytes.len() / 2)
            }
            LegCommand::Sentence { intent, bytes, .. } => {
                samples(&bytes);
                Told::Sentence(intent.unwrap_or_default())
            }
            LegCommand::Flush { .. } => Told::Flush,
            LegCommand::Event(event) => {
                events.lock().push(event.kind.clone());
                Told::Event(event.kind.name().to_owned())
            }
            LegCommand::Superseded => Told::End("superseded".to_owned()),
            LegCommand::End { cause } => Told::End(cause.as_str().to_owned()),
        };
        told.lock().push(what);
    }
}
