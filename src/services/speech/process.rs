//! One worker process: started, greeted, asked, killed.
//!
//! It answers one request at a time and checks that the answer belongs to it. It
//! refuses to decide what a failure means for the request or for the next start:
//! that is the pool's.

use std::process::Stdio;

use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, timeout, timeout_at};

use super::line::{self, Line};
use super::protocol::{
    Capability, LINE_BYTES_MAX, PROTOCOL_VERSION, Ready, Reply, Request, WorkerFailure,
    decode_reply, encode_request,
};

/// How a worker is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WorkerCommand {
    /// The program: a path, or a name to be found in `PATH`.
    pub(super) program: std::path::PathBuf,
    /// Its arguments.
    pub(super) arguments: Vec<std::ffi::OsString>,
}

/// Why a worker did not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum StartError {
    /// The program cannot be run.
    #[error("cannot run {program}: {reason}")]
    Spawn { program: String, reason: String },
    /// It ran and said why it cannot work.
    #[error("{0}")]
    Refused(WorkerFailure),
    /// It ended, was silent, or spoke something else.
    #[error("{program} did not say that it is ready: {reason}")]
    Greeting { program: String, reason: &'static str },
    /// It speaks another version of the protocol.
    #[error("the worker speaks version {found} of the protocol and not {PROTOCOL_VERSION}")]
    Version { found: u32 },
    /// It cannot do what it is wanted for.
    #[error("the worker's engine {engine:?} cannot {wanted}")]
    Incapable { engine: String, wanted: &'static str },
}

/// Why a worker has to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum WorkerLoss {
    /// No answer in time: it may hang for ever.
    #[error("no answer in time")]
    Hung,
    /// It ended or closed its output.
    #[error("it ended")]
    Ended,
    /// It answered with something that is no answer to the request.
    #[error("it broke the protocol")]
    Protocol,
}

/// A running worker. Dropping it kills the process.
pub(super) struct WorkerProcess {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    ready: Ready,
}

impl WorkerProcess {
    /// Starts a worker and waits for its first line.
    pub(super) async fn start(
        command: &WorkerCommand,
        wanted: Capability,
        name: &'static str,
    ) -> Result<Self, StartError> {
        let program = command.program.display().to_string();
        let spawn_error = |reason: String| StartError::Spawn { program: program.clone(), reason };
        let mut child = Command::new(&command.program)
            .args(&command.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C at the terminal is for the engine, which ends its workers itself.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| spawn_error(error.to_string()))?;
        let (Some(input), Some(output), Some(errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(spawn_error("it has no pipes".to_owned()));
        };
        tokio::spawn(forward_errors(errors, name));
        let mut output = BufReader::new(output);
        let greeting = timeout(START_MAX, read_reply(&mut output)).await;
        let strange = |reason| Err(StartError::Greeting { program: program.clone(), reason });
        match greeting {
            Err(_) => strange("it was silent for too long"),
            Ok(Err(WorkerLoss::Ended)) => strange("it ended"),
            Ok(Ok(Reply::Failed { error, .. })) => Err(StartError::Refused(error)),
            Ok(Ok(Reply::Ready(ready))) => {
                check(&ready, wanted)?;
                Ok(Self { child, input, output, ready })
            }
            Ok(_) => strange("its first line is something else"),
        }
    }

    /// What it said of itself.
    pub(super) const fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Sends `request` and waits for its answer until `deadline`. After a loss the
    /// process is of no more use.
    pub(super) async fn exchange(
        &mut self,
        request: &Request,
        deadline: Instant,
    ) -> Result<Reply, WorkerLoss> {
        let line = encode_request(request);
        timeout_at(deadline, self.converse(&line, request.id()))
            .await
            .unwrap_or(Err(WorkerLoss::Hung))
    }

    /// Waits until it ends by itself.
    pub(super) async fn ended(&mut self) {
        // An error means that there is nothing to wait for either.
        let _status = self.child.wait().await;
    }

    /// Kills it and waits until it is gone.
    pub(super) async fn kill(mut self) {
        // It may have ended already.
        let _killed = self.child.kill().await;
    }

    async fn converse(&mut self, line: &[u8], id: Option<u64>) -> Result<Reply, WorkerLoss> {
        self.input.write_all(line).await.map_err(|_| WorkerLoss::Ended)?;
        self.input.flush().await.map_err(|_| WorkerLoss::Ended)?;
        let reply = read_reply(&mut self.output).await?;
        // An answer to another request would put one caller's words into another call.
        if reply.id() == id { Ok(reply) } else { Err(WorkerLoss::Protocol) }
    }
}

fn check(ready: &Ready, wanted: Capability) -> Result<(), StartError> {
    if ready.protocol != PROTOCOL_VERSION {
        return Err(StartError::Version { found: ready.protocol });
    }
    if !ready.capabilities.contains(&wanted) {
        let wanted = match wanted {
            Capability::Synthesize => "synthesize",
            Capability::Transcribe | Capability::Unknown => "transcribe",
        };
        return Err(StartError::Incapable { engine: ready.engine.clone(), wanted });
    }
    Ok(())
}

async fn read_reply(output: &mut BufReader<ChildStdout>) -> Result<Reply, WorkerLoss> {
    match line::read_async(output, LINE_BYTES_MAX).await {
        Ok(Line::Whole(line)) => decode_reply(&line).map_err(|_| WorkerLoss::Protocol),
        Ok(Line::TooLong) => Err(WorkerLoss::Protocol),
        Ok(Line::End) | Err(_) => Err(WorkerLoss::Ended),
    }
}

/// Puts what a worker writes to stderr into the log.
async fn forward_errors(errors: ChildStderr, name: &'static str) {
    let mut errors = BufReader::new(errors);
    loop {
        match line::read_async(&mut errors, ERROR_LINE_BYTES_MAX).await {
            Ok(Line::Whole(line)) => {
                let text = String::from_utf8_lossy(&line);
                tracing::info!(worker = name, "{}", text.trim_end());
            }
            Ok(Line::TooLong) => tracing::info!(worker = name, "(a line too long to show)"),
            Ok(Line::End) | Err(_) => return,
        }
    }
}

/// Longest wait for a worker's first line. Models take their time on a busy machine.
const START_MAX: std::time::Duration = std::time::Duration::from_secs(30);
/// Longest line of stderr that is put into the log.
const ERROR_LINE_BYTES_MAX: usize = 1024;
