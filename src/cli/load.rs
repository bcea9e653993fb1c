//! `antiphon load`: many calls at once, what became of them, and whether that is good
//! enough.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::Args;
use tokio::time::sleep;

use super::error::CliError;
use super::load_progress::ProgressLine;
use super::print;
use super::serve::told_to_stop;
use super::speech::read_wav;
use crate::load::{
    self, Arrivals, CallerSettings, EngineWatch, LoadPlan, Objectives, Origin, Report, RunningLoad,
    Schedule, Script, SpanMs, Speech, Stage, TalkPattern, Target, ValidityLimits,
};
use crate::telemetry::Timestamp;
use crate::types::SampleRate;

pub(super) const EXAMPLES: &str = "\
Examples:
  antiphon load --url ws://127.0.0.1:8080/v1/stream --calls 100 --for 30s
  antiphon load --url http://127.0.0.1:8080 --rate 5 --call-for 20s --for 2m --ramp 20s
  antiphon load --url ws://127.0.0.1:8765 --calls 50 --speech a.wav b.wav --interrupt 0.2
  antiphon load --script night.toml --min-turns-ok 0.999 --max-p99-ms 800 --out target/night

For a run in which every piece of audio is verified the engine needs route.stt = \"coded\",
route.dialog = \"echo\" and route.tts = \"coded\". The response time contains the silence that
the engine waits for before it takes an utterance for finished.

Writes load.json and load.html into --out. Ctrl-C ends a run early and still reports it.

Exit status: 0 everything is as wished, 1 an objective was missed or the run failed,
2 typed wrong, 3 the run is invalid because the generator did not keep up with its plan,
4 no call came about: nobody answered, or every call was refused.";

/// How often the progress is shown.
const SHOW_EVERY: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub(super) struct LoadArgs {
    /// Where calls are placed; the address tells the protocol: ws://host:port (simulator),
    /// ws://host:port/v1/stream, or http://host:port.
    #[arg(long)]
    url: Option<String>,
    /// Calls that are held: one that ends is placed again (closed loop).
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    calls: Option<u32>,
    /// Calls that arrive in a second, whatever becomes of them (open loop).
    #[arg(long, conflicts_with = "calls", value_parser = positive)]
    rate: Option<f64>,
    /// How long a call that arrives lasts.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = seconds)]
    call_for: f64,
    /// How long the run is, the ramp included: 90, 90s, 5m or 1h.
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = seconds)]
    for_s: f64,
    /// How long it takes until all calls are placed.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = seconds)]
    ramp: f64,
    /// A scenario: stages, patterns, objectives. What is typed as well counts instead.
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Recordings that callers say; coded speech otherwise.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    speech: Vec<PathBuf>,
    /// Every answer has to carry its number: one that does not is flawed. Implied by
    /// --max-flaws and --max-cross-talk.
    #[arg(long)]
    verify: bool,
    /// How long a caller speaks, in milliseconds: 2000 or 1400-3200.
    #[arg(long, value_name = "MS")]
    speech_ms: Option<SpanMs>,
    /// How long a caller is silent after an answer, in milliseconds.
    #[arg(long, value_name = "MS")]
    pause_ms: Option<SpanMs>,
    /// Share of the answers that callers interrupt, 0 to 1.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    interrupt: Option<f64>,
    /// Longest wait for an answer, in milliseconds.
    #[arg(long, default_value_t = 12_000)]
    answer_ms_max: u32,
    /// Samples a second: 8000 or 16000.
    #[arg(long, default_value = "16000", value_parser = super::call::parse_rate)]
    sample_rate: SampleRate,
    /// Audio in one message, in milliseconds; what is usual for the protocol otherwise.
    #[arg(long, value_parser = clap::value_parser!(u32)
        .range(i64::from(CallerSettings::CHUNK_MS_MIN)..=i64::from(CallerSettings::CHUNK_MS_MAX)))]
    chunk_ms: Option<u32>,
    /// Decides all that is left to chance: the same seed, the same conversations.
    #[arg(long)]
    seed: Option<u64>,
    /// The engine's metrics (http://host:port/metrics): its memory, handles and threads are
    /// looked at once a second and go into the report.
    #[arg(long, value_name = "URL")]
    watch: Option<String>,
    /// Growth of the engine counts from here on; from a third of the run otherwise.
    #[arg(long, value_name = "TIME", value_parser = seconds, requires = "watch")]
    warm_up: Option<f64>,
    /// Threads of the generator.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,
    /// How often a refused call is tried again.
    #[arg(long, default_value_t = 10)]
    retries: u32,
    /// The generator may send 1 % of its messages later than this; the run is invalid otherwise.
    #[arg(long, value_name = "MS", default_value_t = 20.0)]
    max_send_late_ms: f64,
    /// The run is invalid when a thread of the generator used more of a core than this.
    #[arg(long, value_name = "SHARE", default_value_t = 0.9)]
    max_cpu_share: f64,
    /// Folder for load.json and load.html.
    #[arg(long, value_name = "DIR", default_value = "target/load")]
    out: PathBuf,
    /// Where to write the report as JSON instead.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where to write the report as HTML instead.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    objectives: ObjectiveArgs,
}

/// What the run has to reach; each one that is missed is named, and the exit status is 1.
#[derive(Debug, Args)]
#[command(next_help_heading = "Objectives")]
struct ObjectiveArgs {
    /// Longest median response.
    #[arg(long, value_name = "MS")]
    max_p50_ms: Option<f64>,
    /// Longest response of 95 % of the turns.
    #[arg(long, value_name = "MS")]
    max_p95_ms: Option<f64>,
    /// Longest response of 99 % of the turns.
    #[arg(long, value_name = "MS")]
    max_p99_ms: Option<f64>,
    /// Smallest share of turns that are answered and flawless, 0 to 1.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    min_turns_ok: Option<f64>,
    /// Largest share of reply frames that come too late to be played, 0 to 1.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    max_late: Option<f64>,
    /// Most flaws of the audio: lost, repeated, moved, damaged.
    #[arg(long, value_name = "COUNT", alias = "max-lost")]
    max_flaws: Option<u64>,
    /// Most words heard in another call.
    #[arg(long, value_name = "COUNT")]
    max_cross_talk: Option<u64>,
    /// Most refused calls.
    #[arg(long, value_name = "COUNT")]
    max_refused: Option<u64>,
    /// Most errors.
    #[arg(long, value_name = "COUNT")]
    max_errors: Option<u64>,
    /// Longest time until 99 % of the calls are taken.
    #[arg(long, value_name = "MS")]
    max_set_up_p99_ms: Option<f64>,
    /// Most growth of the engine's memory after the warm-up, in MB.
    #[arg(long, value_name = "MB")]
    max_memory_growth_mb: Option<f64>,
    /// Most growth of the number of its open files and sockets.
    #[arg(long, value_name = "COUNT")]
    max_handle_growth: Option<f64>,
    /// Most growth of the number of its threads.
    #[arg(long, value_name = "COUNT")]
    max_thread_growth: Option<f64>,
}

impl From<&ObjectiveArgs> for Objectives {
    fn from(args: &ObjectiveArgs) -> Self {
        Self {
            max_p50_ms: args.max_p50_ms,
            max_p95_ms: args.max_p95_ms,
            max_p99_ms: args.max_p99_ms,
            min_turns_ok: args.min_turns_ok,
            max_late: args.max_late,
            max_flaws: args.max_flaws,
            max_cross_talk: args.max_cross_talk,
            max_refused: args.max_refused,
            max_errors: args.max_errors,
            max_set_up_p99_ms: args.max_set_up_p99_ms,
            max_memory_growth_mb: args.max_memory_growth_mb,
            max_handle_growth: args.max_handle_growth,
            max_thread_growth: args.max_thread_growth,
        }
    }
}

/// Places the calls, shows how it goes, and judges what came of it.
pub(super) async fn run(args: &LoadArgs) -> Result<(), CliError> {
    let script = read_script(args.script.as_deref())?;
    let objectives = script.objectives.overlaid_by(Objectives::from(&args.objectives));
    let mut plan = plan(args, &script)?;
    plan.must_verify |= objectives.max_flaws.or(objectives.max_cross_talk).is_some();
    let total_ms = plan.schedule.ms();
    check_growth(args, &objectives, total_ms)?;
    load::knock(&plan.target).await?;
    let engine = watch_engine(args).await?;
    let started = SystemTime::now();
    let running = load::start(plan)?;
    show(&running, total_ms).await?;
    let mut report = running.report()?;
    report.origin = origin(started);
    if let Some(engine) = engine {
        let warm_until_s = args.warm_up.unwrap_or(report.run.seconds / 3.0);
        engine.end(&mut report, warm_until_s).await;
    }
    report.judge(&objectives);
    print(&load::summary(&report));
    write_files(args, &report)?;
    verdict(&report)
}

/// Where the run comes from.
fn origin(started: SystemTime) -> Origin {
    let typed = std::env::args().skip(1).map(|word| quoted(&word));
    Origin {
        started: Timestamp::from(started).to_string(),
        version: env!("CARGO_PKG_VERSION"),
        host: fs::read_to_string("/proc/sys/kernel/hostname")
            .map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned()),
        system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        command: std::iter::once("antiphon".to_owned()).chain(typed).collect::<Vec<_>>().join(" "),
    }
}

/// A word as it could be typed again.
fn quoted(word: &str) -> String {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "-_./:=,@%+".contains(it);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Growth that nothing will be known of is refused before the run, not missed after it.
fn check_growth(args: &LoadArgs, objectives: &Objectives, total_ms: u64) -> Result<(), CliError> {
    if objectives.need_watch() && args.watch.is_none() {
        let told = "--watch says whose growth is meant: http://host:port/metrics";
        return Err(CliError::Typed(told.to_owned()));
    }
    let run_s = total_ms as f64 / 1000.0;
    match args.warm_up {
        Some(warm_up) if warm_up >= run_s => Err(CliError::Typed(format!(
            "--warm-up: {warm_up} s leave nothing of a run of {run_s} s to look at"
        ))),
        _ => Ok(()),
    }
}

async fn watch_engine(args: &LoadArgs) -> Result<Option<EngineWatch>, CliError> {
    let Some(url) = &args.watch else { return Ok(None) };
    let watch = EngineWatch::start(url).await;
    watch.map(Some).map_err(|error| CliError::Typed(format!("--watch: {error}")))
}

fn read_script(path: Option<&Path>) -> Result<Script, CliError> {
    let Some(path) = path else { return Ok(Script::default()) };
    let text = fs::read_to_string(path).map_err(CliError::file(path))?;
    Script::parse(&text).map_err(|source| CliError::Typed(format!("{}: {source}", path.display())))
}

fn plan(args: &LoadArgs, script: &Script) -> Result<LoadPlan, CliError> {
    let url = args.url.as_ref().or(script.url.as_ref());
    let url = url.ok_or_else(|| CliError::Typed("--url says where calls are placed".to_owned()))?;
    let target = Target::parse(url).map_err(|error| CliError::Typed(error.to_string()))?;
    let chunk_ms = args.chunk_ms.unwrap_or_else(|| target.carrier.usual_chunk_ms());
    let caller = CallerSettings {
        chunk_ms,
        answer_ms_max: args.answer_ms_max,
        has_line_noise: true,
        ..CallerSettings::new(args.sample_rate)
    };
    let pattern = script.pattern.unwrap_or_default();
    let pattern = TalkPattern {
        speech_ms: args.speech_ms.unwrap_or(pattern.speech_ms),
        pause_ms: args.pause_ms.unwrap_or(pattern.pause_ms),
        interrupt: args.interrupt.unwrap_or(pattern.interrupt),
        ..pattern
    };
    Ok(LoadPlan {
        target,
        schedule: schedule(args, script),
        caller,
        pattern,
        speech: speech(args)?,
        must_verify: args.verify,
        seed: args.seed.or(script.seed).unwrap_or(1),
        threads: args.threads.into(),
        retries_max: args.retries,
        limits: ValidityLimits {
            send_late_ms_max: args.max_send_late_ms,
            cpu_share_max: args.max_cpu_share,
        },
    })
}

/// What is typed counts; then the scenario; then ten calls.
fn schedule(args: &LoadArgs, script: &Script) -> Schedule {
    let ramp_s = args.ramp.min(args.for_s);
    match (args.rate, args.calls, script.schedule()) {
        (Some(per_s), ..) => {
            let (call_s, for_s) = (args.call_for, args.for_s);
            Schedule::Arriving(Arrivals { per_s, call_s, ramp_s, for_s })
        }
        (None, None, Some(schedule)) => schedule,
        (None, calls, _) => {
            let calls = calls.unwrap_or(10);
            Schedule::Held(vec![Stage { calls, ramp_s, hold_s: args.for_s - ramp_s }])
        }
    }
}

fn speech(args: &LoadArgs) -> Result<Speech, CliError> {
    if args.speech.is_empty() {
        return Ok(Speech::Coded);
    }
    let recordings = args.speech.iter().map(|path| read_wav(path, args.sample_rate));
    Ok(Speech::Recorded(recordings.collect::<Result<Vec<Arc<[i16]>>, _>>()?.into()))
}

/// Shows how it goes until it is over. The first Ctrl-C ends it early.
async fn show(running: &RunningLoad, total_ms: u64) -> Result<(), CliError> {
    let mut line = ProgressLine::new(total_ms);
    let stop = told_to_stop();
    tokio::pin!(stop);
    let mut is_stopping = false;
    while !running.is_over() {
        tokio::select! {
            told = &mut stop, if !is_stopping => {
                told?;
                is_stopping = true;
                running.stop();
            }
            () = sleep(SHOW_EVERY) => line.show(running.elapsed_ms(), running.progress()),
        }
    }
    line.end();
    Ok(())
}

fn write_files(args: &LoadArgs, report: &Report) -> Result<(), CliError> {
    let within = |file: &Option<PathBuf>, name| match file {
        Some(file) => file.clone(),
        None => args.out.join(name),
    };
    let (json, html) = (within(&args.json, "load.json"), within(&args.html, "load.html"));
    let text = serde_json::to_string_pretty(report).unwrap_or_default();
    for (path, text) in [(&json, text), (&html, load::html(report))] {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(CliError::file(folder))?;
        }
        fs::write(path, text).map_err(CliError::file(path))?;
    }
    print(&format!("report: {} and {}\n", json.display(), html.display()));
    Ok(())
}

/// Without a call, or with an invalid run, there is no result that could have missed anything.
fn verdict(report: &Report) -> Result<(), CliError> {
    if let Some(why) = &report.no_call {
        return Err(CliError::NoCall(why.clone()));
    }
    if !report.valid {
        return Err(CliError::Invalid(report.invalid_because.join("; ")));
    }
    match report.missed.len() {
        0 => Ok(()),
        1 => Err(CliError::Unsuccessful("1 objective was missed".to_owned())),
        missed => Err(CliError::Unsuccessful(format!("{missed} objectives were missed"))),
    }
}

/// `90`, `90s`, `5m` or `1h` in seconds.
fn seconds(text: &str) -> Result<f64, String> {
    let wrong = || "use a time such as 90s, 5m or 1h".to_owned();
    let (number, unit) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) => (number, &text[number.len()..]),
        None => (text, "s"),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let seconds = number
        * if unit == "h" {
            3_600.0
        } else if unit == "m" {
            60.0
        } else {
            1.0
        };
    if (0.0..=86_400.0).contains(&seconds) { Ok(seconds) } else { Err(wrong()) }
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "use a share from 0 to 1".to_owned())
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| *number > 0.0 && *number <= 10_000.0);
    number.ok_or_else(|| "use a number above 0, up to 10000".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Typed {
        #[command(flatten)]
        args: LoadArgs,
    }

    fn typed(arguments: &[&str]) -> LoadArgs {
        Typed::parse_from([&["load"], arguments].concat()).args
    }

    #[test]
    fn times_have_units() {
        assert_eq!(["90", "90s", "5m", "1h"].map(seconds), [90.0, 90.0, 300.0, 3_600.0].map(Ok));
        assert!(["", "s", "-1", "1d", "100h"].iter().all(|wrong| seconds(wrong).is_err()));
    }

    #[test]
    fn the_command_in_a_report_can_be_typed_again() {
        let words = ["--url", "ws://a:1/v1/stream?route=b", "it's", ""].map(quoted);
        assert_eq!(words, ["--url", "'ws://a:1/v1/stream?route=b'", r"'it'\''s'", "''"]);
    }

    #[test]
    fn what_is_typed_counts_before_the_scenario() {
        let script = Script::parse(
            "seed = 7\n[[stages]]\ncalls = 5\nhold_s = 1\n[pattern]\ninterrupt = 0.5",
        );
        let script = script.expect("a right scenario");
        let args = typed(&["--url", "ws://a:1/v1/stream", "--for", "20s", "--ramp", "5s"]);
        let from_script = plan(&args, &script).expect("a plan");
        assert_eq!(from_script.schedule.calls_max(), 5);
        assert_eq!((from_script.seed, from_script.caller.chunk_ms), (7, 20));
        let args =
            typed(&["--url", "http://a:1", "--calls", "9", "--seed", "8", "--interrupt", "0"]);
        let from_line = plan(&args, &script).expect("a plan");
        assert_eq!((from_line.schedule.calls_max(), from_line.seed), (9, 8));
        assert_eq!((from_line.pattern.interrupt, from_line.caller.chunk_ms), (0.0, 200));
    }

    #[test]
    fn without_an_address_nothing_is_done() {
        let error = plan(&typed(&[]), &Script::default()).expect_err("no address");
        assert!(error.to_string().contains("--url"));
        assert!(plan(&typed(&["--url", "ftp://a"]), &Script::default()).is_err());
    }

    #[test]
    fn an_invalid_run_is_told_apart_from_a_missed_objective() {
        let missed = Report { valid: true, missed: vec!["p99".to_owned()], ..Report::default() };
        assert!(matches!(verdict(&missed), Err(CliError::Unsuccessful(_))));
        let invalid = Report { invalid_because: vec!["late".to_owned()], ..missed };
        let invalid = Report { valid: false, ..invalid };
        assert!(matches!(verdict(&invalid), Err(CliError::Invalid(_))));
        assert!(verdict(&Report { valid: true, ..Report::default() }).is_ok());
        let nobody = Report { no_call: Some("nobody answers".to_owned()), ..Report::default() };
        assert!(matches!(verdict(&nobody), Err(CliError::NoCall(_))));
    }
}
