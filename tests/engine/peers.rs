//! The configuration that the engine is measured with beside others: it starts without
//! a key or a package, and answers an utterance with the tone that the measurement
//! expects.

use crate::support::{HANG_GUARD, Setup, speech};
use antiphon::types::INNER_RATE;
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message as Frame;

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers.toml");

/// Two seconds of 16-bit samples.
const TONE_BYTES: usize = 2 * 2 * 16_000;

#[tokio::test]
async fn the_measured_engine_answers_an_utterance_with_a_tone_of_two_seconds() {
    let setup = Setup::bare();
    let command = setup.command(&["serve", "--config", CONFIG]);
    let mut engine = setup.spawn_by(command);
    engine.takes_calls().await;

    let tone = tokio::time::timeout(HANG_GUARD, answer(&engine.http)).await.expect("an answer");
    assert_eq!(tone.len(), TONE_BYTES / 2);
    assert_eq!(tone.iter().max(), Some(&8_000));
    let upward = tone.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count();
    assert!(upward.abs_diff(880) <= 1, "{upward} waves are 440 Hz");
    assert_eq!(engine.metric("antiphon_dialog_failures_total").await, 0.0);
    engine.stop().await.assert_code(0);
}

/// Says one utterance and listens until as much came back as the tone is long.
async fn answer(http: &str) -> Vec<i16> {
    let url = format!("{}/v1/stream?rate=16000", http.replace("http", "ws"));
    let (mut socket, _) = connect_async(url).await.expect("the engine takes the call");
    let mut said = speech();
    said.extend(vec![0; INNER_RATE.samples_in_ms(600)]);
    let bytes: Vec<u8> = said.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    socket.send(Frame::binary(bytes)).await.expect("the engine listens");
    let mut heard = Vec::new();
    while heard.len() < TONE_BYTES {
        let frame = socket.next().await.expect("the call goes on").expect("the connection holds");
        if let Frame::Binary(bytes) = frame {
            heard.extend_from_slice(&bytes);
        }
    }
    socket.close(None).await.expect("the engine is there");
    heard.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}
