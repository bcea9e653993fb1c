//! The process side of the protocol: `antiphon speech-worker`.
//!
//! It reads requests from stdin, answers on stdout, one after the other, and ends when
//! stdin does: no engine, no worker. A thread of its own reads stdin, so that this
//! holds even while a library hangs. It refuses to log: what it hears and says is
//! nobody else's business.

mod recognise;
mod speak;

use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::time::Duration;

use super::line::{self, Line};
use super::protocol::{
    LINE_BYTES_MAX, Ready, Reply, Request, WorkerFailure, decode_request, encode_reply,
};
use recognise::Recogniser;
use speak::Speaker;

/// What a worker process is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum WorkerOptions {
    /// Recognise, with pocketsphinx.
    Pocketsphinx(RecogniserOptions),
    /// Speak, with flite.
    Flite,
}

/// What the recogniser works with.
#[derive(Clone, Debug, PartialEq)]
pub struct RecogniserOptions {
    /// Folder of the acoustic model.
    pub model_dir: PathBuf,
    /// The pronouncing dictionary.
    pub dictionary: PathBuf,
    /// A JSGF grammar; `None`: the demo bot's.
    pub grammar: Option<PathBuf>,
    /// Path score per 10 ms frame under which an utterance is no match.
    pub score_min: f32,
}

/// Why a worker process ended.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// It cannot work; the engine was told.
    #[error("{0}")]
    CannotWork(#[from] WorkerFailure),
    /// Its output is closed.
    #[error("cannot write to the engine")]
    Output(#[source] io::Error),
}

/// Serves requests until stdin ends.
///
/// # Errors
/// [`WorkerError`].
pub fn run(options: WorkerOptions) -> Result<(), WorkerError> {
    serve(move || build(&options), BufReader::new(io::stdin()), io::stdout().lock())
}

/// Something that answers requests.
trait Engine {
    /// The first line.
    fn ready(&self) -> Ready;

    /// Does what was asked.
    fn answer(&mut self, request: Request) -> Result<Reply, WorkerFailure>;
}

fn build(options: &WorkerOptions) -> Result<Box<dyn Engine>, WorkerFailure> {
    Ok(match options {
        WorkerOptions::Pocketsphinx(options) => Box::new(Recogniser::load(options)?),
        WorkerOptions::Flite => Box::new(Speaker::load()?),
    })
}

fn serve(
    build: impl FnOnce() -> Result<Box<dyn Engine>, WorkerFailure>,
    input: impl BufRead + Send + 'static,
    mut output: impl Write,
) -> Result<(), WorkerError> {
    let mut engine = match build() {
        Ok(engine) => engine,
        Err(error) => {
            write(&mut output, &Reply::Failed { id: None, error: error.clone() })?;
            return Err(error.into());
        }
    };
    write(&mut output, &Reply::Ready(engine.ready()))?;
    let (lines, requests) = sync_channel(LINES_WAITING_MAX);
    // Dropped when this function returns.
    let (_serving, served) = channel::<()>();
    std::thread::spawn(move || read_lines(input, lines, &served));
    answer_lines(engine.as_mut(), &requests, &mut output)
}

fn answer_lines(
    engine: &mut dyn Engine,
    requests: &Receiver<Line>,
    output: &mut impl Write,
) -> Result<(), WorkerError> {
    for line in requests {
        let reply = match line {
            Line::Whole(line) if line.trim_ascii().is_empty() => continue,
            Line::Whole(line) => answer(engine, &line),
            Line::TooLong => failed(None, "line_too_long", "the line is too long"),
            // Not handed over: the channel is closed instead.
            Line::End => return Ok(()),
        };
        write(output, &reply)?;
    }
    Ok(())
}

fn answer(engine: &mut dyn Engine, line: &[u8]) -> Reply {
    let request = match decode_request(line) {
        Ok(Request::Hello) => return Reply::Ready(engine.ready()),
        Ok(request) => request,
        Err(error) => return failed(None, "bad_line", &error.to_string()),
    };
    let id = request.id();
    engine.answer(request).unwrap_or_else(|error| Reply::Failed { id, error })
}

fn failed(id: Option<u64>, code: &str, message: &str) -> Reply {
    Reply::Failed { id, error: WorkerFailure::new(code, message) }
}

fn write(output: &mut impl Write, reply: &Reply) -> Result<(), WorkerError> {
    output
        .write_all(&encode_reply(reply))
        .and_then(|()| output.flush())
        .map_err(WorkerError::Output)
}

/// Hands over lines until the engine is gone. Then what was asked may be finished, but
/// a library that hangs over it must not keep the process.
#[expect(clippy::exit, reason = "a thread that hangs in a library cannot be ended otherwise")]
fn read_lines(mut input: impl BufRead, lines: SyncSender<Line>, served: &Receiver<()>) {
    loop {
        let line = line::read(&mut input, LINE_BYTES_MAX).unwrap_or(Line::End);
        if line == Line::End || lines.send(line).is_err() {
            break;
        }
    }
    drop(lines);
    // Ends early, with an error, when `serve` returns.
    if served.recv_timeout(FINISH_MAX) == Err(RecvTimeoutError::Timeout) {
        std::process::exit(EXIT_HUNG);
    }
}

/// Requests read ahead: none is needed, the engine sends one at a time.
const LINES_WAITING_MAX: usize = 1;
/// Longest time for what was asked before the engine went.
const FINISH_MAX: Duration = Duration::from_secs(10);
/// The exit status of a process that was stuck in a library.
const EXIT_HUNG: i32 = 70;

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::services::speech::protocol::{Capability, PROTOCOL_VERSION};

    struct Parrot;

    impl Engine for Parrot {
        fn ready(&self) -> Ready {
            Ready {
                protocol: PROTOCOL_VERSION,
                engine: "parrot".to_owned(),
                capabilities: vec![Capability::Transcribe],
            }
        }

        fn answer(&mut self, request: Request) -> Result<Reply, WorkerFailure> {
            match request {
                Request::Transcribe { id, .. } => Ok(Reply::NoMatch { id }),
                _ => Err(WorkerFailure::new("unsupported", "it only listens")),
            }
        }
    }

    fn replies(input: &str) -> String {
        let mut output = Vec::new();
        let input = Cursor::new(input.to_owned().into_bytes());
        serve(|| Ok(Box::new(Parrot)), input, &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    const READY_LINE: &str =
        r#"{"ready":{"protocol":1,"engine":"parrot","capabilities":["transcribe"]}}"#;

    #[test]
    fn it_says_that_it_is_ready_answers_and_ends_with_its_input() {
        let request = r#"{"id":7,"op":"transcribe","sample_rate":16000,"pcm":""}"#;
        let expected = format!("{READY_LINE}\n{{\"id\":7,\"no_match\":true}}\n{READY_LINE}\n");
        assert_eq!(replies(&format!("{request}\n\n{{\"op\":\"hello\"}}\n")), expected);
    }

    #[test]
    fn a_line_that_is_no_request_is_an_error_and_not_the_end() {
        let long = "x".repeat(LINE_BYTES_MAX + 1);
        let refused = r#"{"id":9,"op":"synthesize","text":"hello"}"#;
        let output = replies(&format!("what\n{long}\n{refused}\n"));
        let codes: Vec<&str> = output
            .lines()
            .skip(1)
            .filter_map(|line| line.split("\"code\":\"").nth(1)?.split('"').next())
            .collect();
        assert_eq!(codes, ["bad_line", "line_too_long", "unsupported"]);
        assert!(output.contains("\"id\":9"));
    }

    #[test]
    fn a_worker_that_cannot_work_says_so_in_its_first_line() {
        let mut output = Vec::new();
        let build = || Err(WorkerFailure::new("missing_library", "install libflite1"));
        let ended = serve(build, Cursor::new(Vec::new()), &mut output);
        assert!(matches!(ended, Err(WorkerError::CannotWork(_))));
        let line = String::from_utf8(output).unwrap();
        let expected = r#"{"error":{"code":"missing_library","message":"install libflite1"}}"#;
        assert_eq!(line.trim_end(), expected);
    }
}
