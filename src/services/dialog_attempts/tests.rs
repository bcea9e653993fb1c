//! What becomes of turns when attempts fail, in virtual time, and that no permit is lost.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::config::BreakerSettings;
use crate::types::{SessionData, SessionId, TurnId, UserId};

const LIMITED: ExchangeError = ExchangeError::Status { status: 429, retry_after_ms: Some(3_000) };

const fn status(status: u16) -> ExchangeError {
    ExchangeError::Status { status, retry_after_ms: None }
}

fn attempts(governor: &Arc<Governor>) -> DialogAttempts {
    let breaker = ProviderBreaker::new(&BreakerSettings::default(), None);
    attempts_behind(breaker, governor)
}

fn attempts_behind(breaker: Arc<ProviderBreaker>, governor: &Arc<Governor>) -> DialogAttempts {
    let limits = AttemptLimits {
        attempt_ms_max: 10_000,
        attempts_max: 3,
        retry_on: vec![RetryOn::TooManyRequests, RetryOn::ServerError, RetryOn::NotSent],
    };
    DialogAttempts::new(Arc::clone(governor), breaker, limits, || 1.0)
}

fn request(call: &str, answer_ms_max: u32) -> DialogRequest {
    DialogRequest {
        call_id: CallId::of_test(call),
        session_id: SessionId::of_test(call),
        user_id: UserId::from("joe"),
        turn: TurnId(1),
        text: "hello".into(),
        session: SessionData::default(),
        answer_ms_max,
        trace: None,
    }
}

fn reply() -> DialogReply {
    DialogReply::default()
}

/// Runs a turn whose attempts fail as scripted and then succeed. Returns its outcome
/// and when, in milliseconds, each attempt was made.
async fn run(
    governor: &Arc<Governor>,
    answer_ms_max: u32,
    failures: &[ExchangeError],
) -> (Result<(), DialogFailure>, Vec<u128>) {
    let begun = Instant::now();
    let tried_at_ms = RefCell::new(Vec::new());
    let outcome = attempts(governor)
        .run(&request("call", answer_ms_max), |_| {
            let mut tried = tried_at_ms.borrow_mut();
            let answer = failures.get(tried.len()).cloned().map_or(Ok(reply()), Err);
            tried.push(begun.elapsed().as_millis());
            std::future::ready(answer)
        })
        .await;
    (outcome.map(|_| ()), tried_at_ms.into_inner())
}

#[tokio::test(start_paused = true)]
async fn a_turn_is_tried_three_times_in_all_with_growing_waits() {
    let governor = Governor::new(10, 10, None);
    let outcome = run(&governor, 25_000, &[status(500), ExchangeError::NotSent]).await;
    assert_eq!(outcome, (Ok(()), vec![0, 250, 750]));
    let outcome = run(&governor, 25_000, &[status(500), status(502), status(503)]).await;
    assert_eq!(outcome, (Err(DialogFailure::Status { status: 503 }), vec![0, 250, 750]));
}

#[tokio::test(start_paused = true)]
async fn what_may_have_run_and_refused_credentials_are_not_tried_again() {
    let governor = Governor::new(10, 10, None);
    for (error, failure) in [
        (status(401), DialogFailure::Unauthorized),
        (status(403), DialogFailure::Forbidden),
        (ExchangeError::Broken, DialogFailure::Unreachable),
        (ExchangeError::TimedOut, DialogFailure::Timeout),
    ] {
        assert_eq!(run(&governor, 25_000, &[error]).await, (Err(failure), vec![0]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_limited_turn_waits_as_long_as_the_platform_asks() {
    let outcome = run(&Governor::new(10, 10, None), 25_000, &[LIMITED]).await;
    assert_eq!(outcome, (Ok(()), vec![0, 3_000]));
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_beyond_the_time_left_fails_the_turn_at_once() {
    let outcome = run(&Governor::new(10, 10, None), 3_000, &[LIMITED]).await;
    assert_eq!(outcome, (Err(DialogFailure::RateLimited), vec![0]));
}

#[tokio::test(start_paused = true)]
async fn an_absurd_retry_after_holds_the_next_turns_for_half_a_minute_only() {
    let governor = Governor::new(10, 10, None);
    let absurd = ExchangeError::Status { status: 429, retry_after_ms: Some(u64::MAX) };
    assert_eq!(run(&governor, 25_000, &[absurd]).await.0, Err(DialogFailure::RateLimited));
    assert_eq!(run(&governor, 60_000, &[]).await, (Ok(()), vec![30_000]));
}

#[tokio::test(start_paused = true)]
async fn while_one_turn_waits_on_a_rate_limit_the_others_are_held_back_too() {
    let governor = Governor::new(10, 10, None);
    let (limited, other) = tokio::join!(run(&governor, 25_000, &[LIMITED]), async {
        sleep(Duration::from_millis(10)).await;
        run(&governor, 25_000, &[]).await
    });
    assert_eq!(limited, (Ok(()), vec![0, 3_000]));
    assert_eq!(other, (Ok(()), vec![2_990]));
}

#[tokio::test(start_paused = true)]
async fn no_permit_is_kept_while_a_turn_waits_for_its_next_attempt() {
    let governor = Governor::new(1, 10, None);
    let failures = [status(500)];
    let (failing, other) = tokio::join!(run(&governor, 25_000, &failures), async {
        sleep(Duration::from_millis(10)).await;
        run(&governor, 25_000, &[]).await
    });
    assert_eq!(failing, (Ok(()), vec![0, 250]));
    assert_eq!(other, (Ok(()), vec![0]));
}

#[tokio::test(start_paused = true)]
async fn the_whole_turn_ends_at_its_deadline() {
    let governor = Governor::new(10, 10, None);
    let begun = Instant::now();
    let outcome = attempts(&governor).run(&request("call", 400), |_| std::future::pending()).await;
    assert_eq!(outcome, Err(DialogFailure::Timeout));
    assert_eq!(begun.elapsed().as_millis(), 400);
}

#[tokio::test(start_paused = true)]
async fn the_rest_that_one_platform_asks_for_is_nothing_to_another() {
    let [limited, other] = [1, 2].map(|_| Governor::new(10, 10, None));
    let absurd = ExchangeError::Status { status: 429, retry_after_ms: Some(u64::MAX) };
    assert_eq!(run(&limited, 25_000, &[absurd]).await.0, Err(DialogFailure::RateLimited));
    assert_eq!(run(&other, 25_000, &[]).await, (Ok(()), vec![0]));
}

/// Asks `count` turns of different calls at once, each attempt of which ends as
/// `answer` does. Returns the outcomes and how many attempts were made.
async fn ask_all<F>(
    attempts: &DialogAttempts,
    count: u32,
    answer: impl Fn() -> F,
) -> (Vec<Result<(), DialogFailure>>, u32)
where
    F: Future<Output = Result<DialogReply, ExchangeError>>,
{
    let made = Cell::new(0);
    let turns = (0..count).map(async |call| {
        let request = request(&format!("call-{call}"), 25_000);
        let attempt = |_| {
            made.set(made.get() + 1);
            answer()
        };
        attempts.run(&request, attempt).await.map(|_| ())
    });
    let outcomes = futures_util::future::join_all(turns).await;
    (outcomes, made.get())
}

async fn after_ms<T>(ms: u64, answer: T) -> T {
    sleep(Duration::from_millis(ms)).await;
    answer
}

fn is_refused(outcome: &Result<(), DialogFailure>) -> bool {
    matches!(outcome, Err(DialogFailure::BreakerOpen { .. }))
}

#[tokio::test(start_paused = true)]
async fn a_line_of_waiting_turns_empties_at_once_when_the_breaker_opens() {
    let attempts = attempts(&Governor::new(2, 100, None));
    let begun = Instant::now();
    let broken = || after_ms(1_000, Err(ExchangeError::Broken));
    let (outcomes, made) = ask_all(&attempts, 50, broken).await;
    // Two at a time: five have failed after three seconds, and the sixth with them.
    assert_eq!((made, begun.elapsed().as_millis()), (6, 3_000));
    assert_eq!(outcomes.iter().filter(|outcome| is_refused(outcome)).count(), 44);
}

#[tokio::test(start_paused = true)]
async fn the_line_empties_although_the_only_permit_is_with_another_platform() {
    let governor = Governor::new(1, 100, None);
    let breaker = ProviderBreaker::new(&BreakerSettings::default(), None);
    let attempts = attempts_behind(Arc::clone(&breaker), &governor);
    let call = CallId::of_test("other");
    let permit = governor.acquire(&call, Place::Back, Instant::now()).await.unwrap();
    let begun = Instant::now();
    let (waiting, ()) = tokio::join!(ask_all(&attempts, 10, || after_ms(0, Ok(reply()))), async {
        sleep(Duration::from_millis(10)).await;
        for _ in 0..5 {
            breaker.admit(1_000).unwrap().judge::<()>(&Err(status(500)));
        }
    });
    drop(permit);
    assert!(waiting.0.iter().all(is_refused), "{waiting:?}");
    assert_eq!((waiting.1, begun.elapsed().as_millis()), (0, 10));
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_fails_a_turn_at_once_and_takes_no_permit() {
    let governor = Governor::new(1, 1, None);
    let attempts = attempts(&governor);
    ask_all(&attempts, 1, || after_ms(0, Err(status(500)))).await;
    let (last, _) = ask_all(&attempts, 1, || after_ms(0, Err(status(502)))).await;
    // It does not wait for an attempt that would be refused, and says what it met.
    assert_eq!(last, [Err(DialogFailure::Status { status: 502 })]);
    let call = CallId::of_test("other");
    let _only = governor.acquire(&call, Place::Back, Instant::now()).await.unwrap();
    let begun = Instant::now();
    let (refused, made) = ask_all(&attempts, 3, || after_ms(0, Ok(reply()))).await;
    let message = "it failed too often in a row (last time: the answer has status 502)";
    let failure = DialogFailure::BreakerOpen { message: message.to_owned() };
    assert_eq!(refused, vec![Err(failure); 3]);
    assert_eq!((made, begun.elapsed().as_millis()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn after_five_seconds_one_turn_tries_for_all() {
    let attempts = attempts(&Governor::new(10, 100, None));
    ask_all(&attempts, 5, || after_ms(0, Err(ExchangeError::Broken))).await;
    sleep(Duration::from_millis(5_000)).await;
    let (outcomes, made) = ask_all(&attempts, 20, || after_ms(300, Ok(reply()))).await;
    assert_eq!(made, 1);
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let (outcomes, made) = ask_all(&attempts, 20, || after_ms(300, Ok(reply()))).await;
    assert!(outcomes.iter().all(Result::is_ok) && made == 20, "closed");
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_ends_the_calls_that_are_not_asked_as_well() {
    let attempts = attempts(&Governor::new(10, 100, None));
    let (outcomes, made) = ask_all(&attempts, 5, || after_ms(0, Err(status(401)))).await;
    let (more, none_made) = ask_all(&attempts, 5, || after_ms(0, Ok(reply()))).await;
    assert_eq!((made, none_made), (5, 0));
    assert_eq!([outcomes, more].concat(), vec![Err(DialogFailure::Unauthorized); 10]);
}

#[tokio::test(start_paused = true)]
async fn turns_that_came_too_late_to_be_answered_do_not_open_the_breaker() {
    let attempts = attempts(&Governor::new(1, 100, None));
    let slow = || after_ms(4_000, Ok(reply()));
    let (outcomes, made) = ask_all(&attempts, 20, slow).await;
    // Six are answered within 25 s. The others get their permits when no time is left,
    // and all of them time out, one right after the other.
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 6);
    assert!(made > 6 && !outcomes.iter().any(is_refused), "{made} {outcomes:?}");
}

/// What a platform in a bad hour does: all by turns, nothing by chance.
async fn bad_hour(nth: usize) -> Result<DialogReply, ExchangeError> {
    sleep(Duration::from_micros(nth as u64 % 7 * 150)).await;
    match nth % 20 {
        0..=2 => Err(ExchangeError::NotSent),
        3 => Err(ExchangeError::Broken),
        4 => Err(status(503)),
        5 => std::future::pending().await,
        6 => panic!("an attempt that panics"),
        _ => Ok(reply()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn neither_permit_nor_probe_is_lost_in_a_storm_of_failures_and_cancelled_turns() {
    const PERMITS: usize = 4;
    let governor = Governor::new(PERMITS, 1_000, None);
    let settings = BreakerSettings { failures_max: 3, open_ms: 2 };
    let attempts = Arc::new(attempts_behind(ProviderBreaker::new(&settings, None), &governor));
    let (made, in_flight_max) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let in_flight = Arc::new(AtomicUsize::new(0));
    // A machine with much else to do gets to few attempts in the time that a turn has.
    while made.load(Ordering::Relaxed) < 100 {
        let mut turns = tokio::task::JoinSet::new();
        for turn in 0..3_000_u32 {
            let (attempts, made) = (Arc::clone(&attempts), Arc::clone(&made));
            let (in_flight, most) = (Arc::clone(&in_flight), Arc::clone(&in_flight_max));
            turns.spawn(async move {
                sleep(Duration::from_millis(u64::from(turn / 5))).await;
                let request = request(&format!("call-{}", turn % 50), 20);
                let run = attempts.run(&request, |_| async {
                    let _counted = Counted::new(&in_flight, &most);
                    bad_hour(made.fetch_add(1, Ordering::Relaxed)).await
                });
                // One in three callers hangs up soon.
                let patience = if turn % 3 == 0 { u64::from(turn % 5) } else { 1_000 };
                tokio::time::timeout(Duration::from_millis(patience), run).await.ok();
            });
        }
        while turns.join_next().await.is_some() {}
    }
    assert!(in_flight_max.load(Ordering::Relaxed) <= PERMITS, "{in_flight_max:?}");

    let call = |name: usize| CallId::of_test(&format!("late-{name}"));
    let soon = Instant::now() + Duration::from_secs(5);
    let mut permits = Vec::new();
    for name in 0..PERMITS {
        permits.push(governor.acquire(&call(name), Place::Back, soon).await.unwrap());
    }
    drop(permits);
    sleep(Duration::from_millis(10)).await;
    let (probe, _) = ask_all(&attempts, 1, || after_ms(0, Ok(reply()))).await;
    let (others, _) = ask_all(&attempts, 20, || after_ms(1, Ok(reply()))).await;
    assert!(probe.iter().chain(&others).all(Result::is_ok), "{probe:?} {others:?}");
}

/// Counts what is in flight while it lives.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(in_flight: &'a AtomicUsize, most: &AtomicUsize) -> Self {
        let now = in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        most.fetch_max(now, Ordering::SeqCst);
        Self(in_flight)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
