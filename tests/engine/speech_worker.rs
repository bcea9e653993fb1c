//! The program as a speech worker, as any engine would use it: lines in, lines out.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

struct Worker {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts a worker; `None`, after saying so, if its library is not on this computer.
    #[expect(clippy::print_stdout, reason = "nothing else shows that a test was skipped")]
    fn start(arguments: &[&str]) -> Option<Self> {
        let (worker, first) = Self::start_any(arguments);
        if first["error"]["code"] == "missing_library" || first["error"]["code"] == "missing_file" {
            println!("skipped: {}", first["error"]["message"]);
            return None;
        }
        assert_eq!(first["ready"]["protocol"], 1, "{first}");
        Some(worker)
    }

    fn start_any(arguments: &[&str]) -> (Self, serde_json::Value) {
        let mut process = Command::new(env!("CARGO_BIN_EXE_antiphon"))
            .arg("speech-worker")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().unwrap());
        let mut worker = Self { process, input, output };
        let first = worker.read();
        (worker, first)
    }

    fn ask(&mut self, line: &str) -> serde_json::Value {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
        self.read()
    }

    fn read(&mut self) -> serde_json::Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// Closes its input and waits until it has ended by itself.
    fn end(mut self) -> bool {
        self.input = None;
        // Its output ends when it does.
        let mut rest = Vec::new();
        self.output.read_to_end(&mut rest).unwrap();
        self.process.wait().unwrap().success()
    }
}

#[test]
fn what_one_worker_says_another_one_hears() {
    let Some(mut speaker) = Worker::start(&["--engine", "flite"]) else { return };
    let Some(mut listener) = Worker::start(&["--engine", "pocketsphinx"]) else { return };
    let sentence = r#"{"op":"synthesize","id":1,"text":"what time is breakfast","voice":"rms"}"#;
    let spoken = speaker.ask(sentence);
    let pcm = spoken["pcm"].as_str().unwrap();
    let utterance = format!(r#"{{"op":"transcribe","id":2,"sample_rate":16000,"pcm":"{pcm}"}}"#);
    let heard = listener.ask(&utterance);
    assert_eq!((&heard["id"], &heard["text"]), (&2.into(), &"what time is breakfast".into()));
    assert!(speaker.end() && listener.end(), "both end when their input does");
}

#[test]
fn a_line_that_makes_no_sense_costs_an_answer_and_not_the_worker() {
    let Some(mut worker) = Worker::start(&["--engine", "flite"]) else { return };
    assert_eq!(worker.ask("what?")["error"]["code"], "bad_line");
    let wrong = r#"{"op":"transcribe","id":3,"sample_rate":16000,"pcm":"AAA="}"#;
    let refused = worker.ask(wrong);
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&3.into(), &"unsupported".into()));
    let unknown = worker.ask(r#"{"op":"synthesize","id":4,"text":"hello","voice":"parrot"}"#);
    assert_eq!(unknown["error"]["code"], "unknown_voice");
    assert_eq!(worker.ask(r#"{"op":"hello"}"#)["ready"]["protocol"], 1);
}

#[test]
fn a_worker_that_cannot_work_says_what_it_needs_and_ends() {
    let arguments = ["--engine", "pocketsphinx", "--model-dir", "/no/such/model"];
    let (worker, first) = Worker::start_any(&arguments);
    let message = first["error"]["message"].as_str().unwrap();
    assert!(message.contains("install the Debian package"), "{message}");
    assert!(!worker.end(), "and its exit status tells");
}
