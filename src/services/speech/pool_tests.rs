//! What a pool promises, with workers that are small shell scripts.

use std::path::PathBuf;

use super::*;
use crate::sabotage::plant_at;
use crate::types::CallerText;

const READY: &str =
    r#"echo '{"ready":{"protocol":1,"engine":"script","capabilities":["synthesize"]}}'"#;
/// Puts the id of the request in `$line` into `$id`.
const FIND_ID: &str = r#"id=${line#*\"id\":}; id=${id%%[,\}]*}"#;
const ANSWER: &str = r#"echo "{\"id\":$id,\"pcm\":\"AQD//w==\"}""#;

/// A worker that runs `$1` for each request.
fn script(each_request: &str) -> String {
    format!("{READY}\nwhile IFS= read -r line; do {FIND_ID}; {each_request}\ndone")
}

fn settings(script: &str) -> PoolSettings {
    PoolSettings {
        name: "test",
        command: WorkerCommand {
            program: "sh".into(),
            arguments: vec!["-c".into(), script.into()],
        },
        wanted: Capability::Synthesize,
        workers: 1,
        waiting_max: 10,
        restarts: BudgetSettings { restarts_max: 3, window_ms: 30_000 },
        telemetry: None,
    }
}

fn pool(script: &str) -> WorkerPool {
    WorkerPool::new(settings(script))
}

fn speak(text: &str) -> impl FnOnce(u64) -> Request {
    let text = CallerText::from(text);
    move |id| Request::Synthesize {
        id,
        sample_rate: 16_000,
        text,
        voice: String::new(),
        language: String::new(),
    }
}

async fn ask(pool: &WorkerPool, text: &str, ms_max: u32) -> Result<usize, PoolError> {
    match pool.ask(speak(text), ms_max).await? {
        Reply::Spoken { audio, .. } => Ok(audio.0.samples().len()),
        other => panic!("not an answer: {other:?}"),
    }
}

/// A name in the temporary folder that no other test uses.
fn marker(name: &str) -> PathBuf {
    let marker = std::env::temp_dir().join(format!("antiphon-{}-{name}", std::process::id()));
    let _left_over = std::fs::remove_dir(&marker);
    marker
}

fn processes_with(text: &str) -> usize {
    let Ok(entries) = std::fs::read_dir("/proc") else { return 0 };
    let lines =
        entries.flatten().filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(text)).count()
}

#[tokio::test]
async fn a_worker_answers_one_request_after_the_other() {
    let pool = pool(&script(ANSWER));
    assert_eq!(pool.check().await, Health::Ready("script".to_owned()));
    for _ in 0..3 {
        assert_eq!(ask(&pool, "hello", 5_000).await, Ok(2));
    }
}

#[tokio::test]
async fn a_request_whose_worker_dies_is_answered_by_the_next_one() {
    let marker = marker("dies");
    let once = format!("mkdir {} 2>/dev/null && exit 1; {ANSWER}", marker.display());
    let pool = pool(&script(&once));
    assert_eq!(ask(&pool, "hello", 10_000).await, Ok(2));
    assert!(marker.exists(), "the first worker had the request");
    std::fs::remove_dir(marker).unwrap();
}

#[tokio::test]
async fn a_poison_request_kills_two_workers_and_not_a_third() {
    let poison = format!("case $line in *poison*) exit 1;; esac; {ANSWER}");
    let pool = pool(&script(&poison));
    let failure = ask(&pool, "poison", 10_000).await.unwrap_err();
    assert!(matches!(&failure, PoolError::Unavailable(reason) if reason.contains("two workers")));
    assert_eq!(ask(&pool, "hello", 10_000).await, Ok(2));
}

#[tokio::test]
async fn a_hung_worker_costs_its_request_the_deadline_and_is_replaced() {
    let hang = format!("case $line in *hang*) sleep 600;; esac; {ANSWER}");
    let pool = pool(&script(&hang));
    pool.check().await;
    // The worker sleeps for ten minutes: a request that waited for it would be here at its end.
    let asked = Instant::now();
    assert_eq!(ask(&pool, "hang", 300).await, Err(PoolError::Timeout));
    assert!(asked.elapsed() < Duration::from_secs(300), "it waited for the worker");
    assert_eq!(ask(&pool, "hello", 10_000).await, Ok(2));
}

#[tokio::test]
async fn an_answer_to_another_request_is_never_passed_on() {
    let wrong = r#"echo "{\"id\":9999,\"pcm\":\"AQD//w==\"}""#;
    let failure = ask(&pool(&script(wrong)), "hello", 10_000).await.unwrap_err();
    assert!(matches!(failure, PoolError::Unavailable(_)), "{failure}");
}

#[tokio::test]
async fn a_line_that_is_no_reply_costs_the_worker_and_not_the_pool() {
    let garbage = format!("case $line in *odd*) echo oops;; *) {ANSWER};; esac");
    let pool = pool(&script(&garbage));
    assert!(matches!(ask(&pool, "odd", 10_000).await, Err(PoolError::Unavailable(_))));
    assert_eq!(ask(&pool, "hello", 10_000).await, Ok(2));
}

#[tokio::test]
async fn what_a_worker_refuses_is_refused_and_the_worker_stays() {
    let refuse = r#"echo "{\"id\":$id,\"error\":{\"code\":\"unknown_voice\",\"message\":\"no\"}}""#;
    let pool = pool(&script(refuse));
    let expected = PoolError::Refused(WorkerFailure::new("unknown_voice", "no"));
    assert_eq!(ask(&pool, "hello", 5_000).await, Err(expected));
}

#[tokio::test]
async fn a_full_line_refuses_the_newcomer() {
    let marker = marker("busy");
    let path = marker.display();
    // It answers when the others have come.
    let busy = format!("mkdir -p {path}; until [ -e {path}/go ]; do sleep 0.01; done");
    let mut settings = settings(&script(&format!("{busy}; {ANSWER}")));
    settings.waiting_max = 1;
    let pool = WorkerPool::new(settings);
    pool.check().await;
    let others = async {
        while !marker.exists() {
            sleep(Duration::from_millis(5)).await;
        }
        let second = ask(&pool, "two", 10_000);
        let third = async {
            let third = ask(&pool, "three", 10_000).await;
            std::fs::write(marker.join("go"), "").expect("the worker made it");
            third
        };
        tokio::join!(second, third)
    };
    let (first, (second, third)) = tokio::join!(ask(&pool, "one", 10_000), others);
    assert_eq!((first, second, third), (Ok(2), Ok(2), Err(PoolError::Saturated)));
    std::fs::remove_dir_all(marker).unwrap();
}

#[tokio::test]
async fn a_worker_that_cannot_work_says_why_and_is_not_started_again_and_again() {
    let marker = marker("starts");
    let path = marker.display();
    let refuse = format!(
        "echo x >> {path}; \
         echo '{{\"error\":{{\"code\":\"missing_library\",\"message\":\"install libflite1\"}}}}'"
    );
    let pool = pool(&refuse);
    let reason = "install libflite1 (missing_library)".to_owned();
    assert_eq!(pool.check().await, Health::Refused(reason.clone()));
    for _ in 0..5 {
        let failure = ask(&pool, "hello", 5_000).await;
        assert_eq!(failure, Err(PoolError::Unavailable(reason.clone())));
    }
    assert_eq!(std::fs::read_to_string(&marker).unwrap(), "x\n");
    std::fs::remove_file(marker).unwrap();
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_refused_by_name() {
    let mut settings = settings("");
    settings.command.program = "/no/such/worker".into();
    let Health::Refused(reason) = WorkerPool::new(settings).check().await else {
        panic!("not refused")
    };
    assert!(reason.contains("/no/such/worker"), "{reason}");
}

#[tokio::test]
async fn a_worker_that_keeps_ending_rests_when_its_budget_is_spent() {
    let pool = pool("exit 3");
    let Health::Unavailable(reason) = pool.check().await else { panic!("it cannot be ready") };
    assert!(reason.contains("it ended"), "{reason}");
}

#[tokio::test]
async fn a_worker_of_another_kind_or_version_is_refused() {
    let mut other = settings(&script(ANSWER));
    other.wanted = Capability::Transcribe;
    assert!(matches!(WorkerPool::new(other).check().await, Health::Refused(_)));
    let newer = script(ANSWER).replace("\"protocol\":1", "\"protocol\":2");
    assert!(matches!(pool(&newer).check().await, Health::Refused(_)));
}

#[tokio::test]
async fn no_process_outlives_the_pool() {
    let mark = format!("pool-mark-{}", std::process::id());
    let pool = pool(&format!("# {mark}\n{}", script(ANSWER)));
    pool.check().await;
    assert_eq!(processes_with(&mark), 1);
    drop(pool);
    for _ in 0..100 {
        if processes_with(&mark) == 0 {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("the process is still there");
}

#[tokio::test]
async fn a_worker_whose_task_panics_has_a_process_again_after_a_rest() {
    crate::telemetry::install_panic_hook();
    let pool = pool(&script(ANSWER));
    plant_at("worker.answer", 2);
    assert_eq!(ask(&pool, "hello", 5_000).await, Ok(2));
    let lost = ask(&pool, "hello", 5_000).await;
    assert!(matches!(lost, Err(PoolError::Unavailable(_))), "the one in hand: {lost:?}");
    // Processes know no other time than the real one: only the rest is skipped.
    tokio::time::pause();
    sleep(REST_AFTER_PANIC).await;
    tokio::time::resume();
    assert_eq!(ask(&pool, "hello", 5_000).await, Ok(2));
}
