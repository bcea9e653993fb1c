//! Joins a WebSocket to a leg until one of them ends. Reading and writing go on
//! side by side, so that a peer that reads slowly is still heard. It knows no
//! protocol and no call.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::socket::{Incoming, Outgoing, Received, SendError};
use super::{Decoder, Encoder, Inbound, Outbound, Rejection, Socket, WireMessage};
use crate::actors::link::{Leg, LegCommand, LegInput, LegOutput, StreamOutcome};
use crate::transports::allowance::Allowance;
use crate::types::EndCause;

/// Refused messages in a row after which the peer is sent away.
const BAD_MESSAGES_MAX: u32 = 20;

/// The same when messages that are taken come between them: as many at once, and so many a
/// second. Each is answered and told, which costs more than audio.
const BAD_MESSAGES_PER_SECOND_MAX: u32 = 5;

/// How long a message may wait for room in a call that has more audio than a burst
/// may hold. Meanwhile nothing is read, so that a peer ahead of real time is slowed
/// down by its own connection; one that is too far ahead has its message refused.
const ROOM_MS_MAX: u64 = 5_000;

/// A long message is taken in pieces of so many bytes or samples (half a second or more),
/// so that what waits of it is bounded like everything that waits.
const PIECE: usize = 16_000;

/// How often room is looked for.
const ROOM_STEP_MS: u64 = 20;

/// Carries the call until the socket or the leg ends, then ends the other.
/// `first` is sent before anything else.
pub(in crate::transports) async fn carry(
    leg: Leg,
    mut socket: Socket,
    mut decoder: impl Decoder,
    mut encoder: impl Encoder,
    first: Vec<Outbound>,
) {
    let Leg { input, mut output, .. } = leg;
    let mut replies = socket.outgoing.clone();
    let ending = tokio::select! {
        biased;
        ending = read(&mut socket.incoming, &mut socket.outgoing, &mut decoder, &input) => ending,
        ending = write(&mut replies, &mut encoder, &mut output, first) => ending,
    };
    match ending {
        Ending::HungUp => input.hang_up(EndCause::CallerHungUp),
        Ending::Lost | Ending::Refused(..) => input.lost(),
        Ending::Over(_) | Ending::Replaced => {}
    }
    match ending {
        Ending::Lost => drop(socket),
        Ending::HungUp => socket.close(CloseCode::Normal, "the call has ended").await,
        Ending::Replaced => socket.close(CloseCode::Away, "the call left this connection").await,
        Ending::Refused(code, reason) => socket.close(code, reason).await,
        Ending::Over(cause) => socket.close(close_code(cause), cause.as_str()).await,
    }
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug)]
enum Ending {
    /// The peer closed or hung up.
    HungUp,
    /// The connection is gone.
    Lost,
    /// The peer may not or cannot go on.
    Refused(CloseCode, &'static str),
    /// The call ended.
    Over(EndCause),
    /// The call lives on elsewhere.
    Replaced,
}

impl From<SendError> for Ending {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Slow => Self::Refused(CloseCode::Policy, "replies are not read in time"),
            SendError::Gone => Self::Lost,
        }
    }
}

async fn read(
    incoming: &mut Incoming,
    outgoing: &mut Outgoing,
    decoder: &mut impl Decoder,
    input: &LegInput,
) -> Ending {
    let mut bad_messages = 0;
    let (per_second, at_once) = (BAD_MESSAGES_PER_SECOND_MAX, BAD_MESSAGES_MAX);
    let mut rejections = Allowance::new(per_second, at_once, Instant::now());
    loop {
        let message = match incoming.next().await {
            Received::Message(message) => message,
            Received::Closed => return Ending::HungUp,
            Received::Lost => return Ending::Lost,
            Received::Failed => return Ending::Refused(CloseCode::Normal, "closed by the peer"),
            Received::Silent => {
                return Ending::Refused(CloseCode::Error, "nothing was heard for too long");
            }
            Received::Violation(code) => return Ending::Refused(code, "bad websocket frame"),
            Received::TooLarge => {
                let ending = Ending::Refused(CloseCode::Size, "message too large");
                return send_away(too_large(), ending, outgoing, input).await;
            }
            Received::TooManyControls => {
                let ending = Ending::Refused(CloseCode::Policy, "too many control frames");
                return send_away(too_many_controls(), ending, outgoing, input).await;
            }
        };
        let rejection = match take(decoder, &message, input).await {
            Taken::Audio => {
                bad_messages = 0;
                continue;
            }
            Taken::HangUp => return Ending::HungUp,
            Taken::Early(rejection) => rejection,
            Taken::Bad(rejection) => {
                bad_messages += 1;
                rejection
            }
        };
        input.refused(rejection.code);
        if let Err(error) = outgoing.send(rejection.to_outbound()).await {
            return error.into();
        }
        if bad_messages >= BAD_MESSAGES_MAX || !rejections.spend(1, Instant::now()) {
            return Ending::Refused(CloseCode::Policy, "too many bad messages");
        }
    }
}

/// Tells the peer and the call's record why the connection ends. The peer is sent away
/// whether or not it gets to read it.
async fn send_away(
    rejection: Rejection,
    ending: Ending,
    outgoing: &mut Outgoing,
    input: &LegInput,
) -> Ending {
    input.refused(rejection.code);
    match outgoing.send(rejection.to_outbound()).await {
        Ok(()) => ending,
        Err(error) => error.into(),
    }
}

/// What became of one message.
enum Taken {
    /// The call has its audio, or needs no more.
    Audio,
    /// It ends the call.
    HangUp,
    /// There was no room for its audio.
    Early(Rejection),
    /// It is not understood.
    Bad(Rejection),
}

async fn take(decoder: &mut impl Decoder, message: &Message, input: &LegInput) -> Taken {
    let message = match message {
        Message::Text(text) => WireMessage::Text(text),
        Message::Binary(bytes) => WireMessage::Binary(bytes),
        // The socket keeps control frames to itself.
        _ => return Taken::Audio,
    };
    let audio = match decoder.decode(message) {
        Ok(Inbound::HangUp) => return Taken::HangUp,
        Ok(audio) => audio,
        Err(rejection) => return Taken::Bad(rejection),
    };
    let outcome = match audio {
        Inbound::Samples(samples) => {
            let give = |piece: &[i16]| input.samples(piece, size_of_val(piece) as u64);
            give_all(samples, give).await
        }
        Inbound::Bytes(bytes) => give_all(bytes, |piece| input.stream(piece)).await,
        Inbound::HangUp => return Taken::HangUp,
    };
    match outcome {
        StreamOutcome::Accepted => decoder.accepted(),
        // The leg says so itself in a moment.
        StreamOutcome::Ended => {}
        StreamOutcome::Full => return Taken::Early(too_fast(decoder.seq())),
    }
    Taken::Audio
}

/// Gives audio to a call, a piece at a time, as there is room for it.
async fn give_all<T>(audio: &[T], give: impl Fn(&[T]) -> StreamOutcome) -> StreamOutcome {
    for piece in audio.chunks(PIECE) {
        let deadline = Instant::now() + Duration::from_millis(ROOM_MS_MAX);
        loop {
            match give(piece) {
                StreamOutcome::Accepted => break,
                StreamOutcome::Full if Instant::now() < deadline => {
                    sleep(Duration::from_millis(ROOM_STEP_MS)).await;
                }
                outcome => return outcome,
            }
        }
    }
    StreamOutcome::Accepted
}

async fn write(
    outgoing: &mut Outgoing,
    encoder: &mut impl Encoder,
    output: &mut LegOutput,
    first: Vec<Outbound>,
) -> Ending {
    for message in first {
        if let Err(error) = outgoing.send(message).await {
            return error.into();
        }
    }
    while let Some(command) = output.next().await {
        for message in encoder.encode(&command) {
            if let Err(error) = outgoing.send(message).await {
                return error.into();
            }
        }
        match command {
            LegCommand::End { cause } => return Ending::Over(cause),
            LegCommand::Superseded => return Ending::Replaced,
            _ => {}
        }
    }
    Ending::Replaced
}

fn too_large() -> Rejection {
    Rejection {
        code: "message_too_large",
        message: "the message is larger than this engine accepts: send smaller chunks".to_owned(),
        seq: None,
    }
}

fn too_many_controls() -> Rejection {
    Rejection {
        code: "too_many_control_frames",
        message: "far more pings or pongs came than a connection needs: send one every few \
                  seconds"
            .to_owned(),
        seq: None,
    }
}

fn too_fast(seq: Option<u64>) -> Rejection {
    Rejection {
        code: "too_fast",
        message: "more audio is waiting than a burst may hold: the chunk, or the rest of it, \
                  was not taken; send at the pace of the audio"
            .to_owned(),
        seq,
    }
}

/// How the end of a call looks to a WebSocket peer.
const fn close_code(cause: EndCause) -> CloseCode {
    match cause {
        EndCause::CallerHungUp | EndCause::DialogEnded => CloseCode::Normal,
        EndCause::Drained | EndCause::EndedByOperator | EndCause::MediaLost => CloseCode::Away,
        EndCause::DialogUnauthorized
        | EndCause::TurnsFailed
        | EndCause::RestartLimit
        | EndCause::SupervisorFailed => CloseCode::Error,
    }
}
