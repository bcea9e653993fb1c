//! The HTTP media callback as a channel sees it, in virtual time.

use std::time::Duration;

use actix_web::http;
use actix_web::http::header::{CONTENT_TYPE, RETRY_AFTER};
use actix_web::test::{TestRequest, read_body};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::channel::{Channel, bytes_of, code, post};
use crate::actors::link::Delivery;
use crate::actors::tests::stage::{Script, act};
use crate::config::HttpCallbackSettings;
use crate::sabotage::plant_at;
use crate::types::CallId;

#[test]
fn a_call_is_started_heard_and_answered_in_the_bodies_of_the_posts() {
    act(|| async {
        let script = Script { words: vec!["two"], sentence_ms: 400, ..Script::default() };
        let channel = Channel::new(script, HttpCallbackSettings::default()).await;
        let (status, answer) = channel.start(r#"{"call_id":"c","user_id":"u"}"#).await;
        let expected = json!({
            "call_id": CallId::from_bits(1), "resumed": false, "first_sequence": 0,
            "reply_content_type": "audio/l16;rate=16000;channels=1",
            "media_url": "/v1/calls/c/media", "audio_url": "/v1/calls/c/audio",
        });
        assert_eq!((status, answer), (201, expected));
        let (reply, _) = channel.speak(0, 2_000).await;
        assert_eq!(*channel.stage.services.asked.lock(), ["two"]);
        assert_eq!(reply, bytes_of(&[1_000; 6_400]));
    });
}

#[test]
fn a_number_is_taken_once_and_posts_may_change_places() {
    act(|| async {
        let channel = Channel::started(Script::default(), HttpCallbackSettings::default()).await;
        let mut answers = Vec::new();
        for sequence in [0, 0, 2, 1, 2] {
            let (status, answer) = channel.media(sequence, &[1, 0]).await;
            answers.push((
                status,
                answer["next_expected_seq"].as_u64(),
                answer["duplicate"].clone(),
            ));
        }
        assert_eq!(
            answers,
            [
                (202, Some(1), json!(false)),
                (200, Some(1), json!(true)),
                (202, Some(1), json!(false)),
                (202, Some(3), json!(false)),
                (200, Some(3), json!(true)),
            ]
        );
    });
}

#[test]
fn numbers_below_the_first_are_duplicates() {
    act(|| async {
        let settings = HttpCallbackSettings { first_sequence: 10, ..Default::default() };
        let channel = Channel::started(Script::default(), settings).await;
        assert_eq!(channel.media(9, &[1, 0]).await.0, 200);
        assert_eq!(channel.media(10, &[1, 0]).await.0, 202);
    });
}

#[test]
fn what_is_wrong_with_a_post_has_a_status_and_uses_up_no_number() {
    act(|| async {
        let channel = Channel::started(Script::default(), HttpCallbackSettings::default()).await;
        let typed = |content_type: &'static str| {
            post("c", 0, &[1, 0]).insert_header((CONTENT_TYPE, content_type))
        };
        let refused = [
            (post("c", 0, &[1, 0, 2]), (400, "odd_byte_count")),
            (TestRequest::post().uri("/v1/calls/c/media"), (400, "bad_sequence")),
            (post("a%20b", 0, &[1, 0]), (400, "bad_call_id")),
            (post("nobody", 0, &[1, 0]), (404, "unknown_call")),
            (post("c", 100_000, &[1, 0]), (409, "sequence_too_far_ahead")),
            (post("c", 0, &[0; 70_000]), (413, "body_too_large")),
            (typed("audio/mpeg"), (415, "unsupported_format")),
            (typed("audio/l16;rate=12345"), (415, "unsupported_format")),
            (typed("audio/basic"), (415, "unsupported_format")),
            (typed("audio/wav"), (415, "unsupported_format")),
        ];
        for (request, expected) in refused {
            assert_eq!(code(&channel.ask(request).await), expected);
        }
        assert_eq!(channel.ask(typed("audio/l16;rate=16000")).await.0, 202);
    });
}

#[test]
fn what_is_wrong_with_a_start_has_a_status() {
    act(|| async {
        let channel = Channel::started(Script::default(), HttpCallbackSettings::default()).await;
        let refused = [
            ("{", (400, "bad_json")),
            (r#"{"call_id":"a b"}"#, (400, "bad_json")),
            (r#"{"call_id":"c"}"#, (409, "already_connected")),
            (r#"{"format":{"codec":"pcm16","rate":12345}}"#, (415, "unsupported_format")),
            (r#"{"playback_url":"http://elsewhere/"}"#, (400, "bad_playback_url")),
        ];
        for (body, expected) in refused {
            assert_eq!(code(&channel.start(body).await), expected, "{body}");
        }
        let large = format!(r#"{{"user_id":"{}"}}"#, "x".repeat(20_000));
        assert_eq!(code(&channel.start(&large).await), (413, "body_too_large"));
    });
}

#[test]
fn a_call_too_many_is_refused_for_now() {
    act(|| async {
        let channel = Channel::new(Script::default(), HttpCallbackSettings::default()).await;
        for _ in 0..10 {
            assert_eq!(channel.start("").await.0, 201);
        }
        let response = (channel.send)(TestRequest::post().uri("/v1/calls")).await;
        assert_eq!(response.status(), http::StatusCode::SERVICE_UNAVAILABLE);
        assert!(response.headers().contains_key(RETRY_AFTER));
    });
}

#[test]
fn a_burst_too_large_is_refused_for_now_and_the_same_post_is_taken_later() {
    act(|| async {
        let channel = Channel::started(Script::default(), HttpCallbackSettings::default()).await;
        let second = [0; 32_000];
        let mut sequence = 0;
        let refused = loop {
            let response = (channel.send)(post("c", sequence, &second)).await;
            if response.status() != 202 {
                break response;
            }
            sequence += 1;
            assert!(sequence < 10, "ten seconds at once were taken");
        };
        assert_eq!(refused.status(), 429);
        assert!(refused.headers().contains_key(RETRY_AFTER));
        sleep(Duration::from_secs(3)).await;
        assert_eq!(channel.media(sequence, &second).await.0, 202);
    });
}

#[test]
fn posts_that_wait_for_a_withheld_one_are_bounded_in_audio_and_told_when_to_come_again() {
    for (format, a_second) in [("pcm16", 32_000), ("mulaw", 8_000)] {
        act(move || async move {
            let settings = HttpCallbackSettings::default();
            let channel = Channel::new(Script::default(), settings).await;
            let rate = if format == "pcm16" { 16_000 } else { 8_000 };
            let body = json!({"call_id": "c", "format": {"codec": format, "rate": rate}});
            assert_eq!(channel.start(&body.to_string()).await.0, 201);
            let mut waiting_ms = 0;
            for sequence in 1..=256 {
                let response = (channel.send)(post("c", sequence, &vec![0; 65_536])).await;
                match response.status().as_u16() {
                    202 => waiting_ms += 65_536 * 1_000 / a_second,
                    status => {
                        assert_eq!(status, 429, "{format} {sequence}");
                        assert!(response.headers().contains_key(RETRY_AFTER));
                    }
                }
            }
            let most = if format == "pcm16" { 5_000 } else { 8_200 };
            assert!((1..=most).contains(&waiting_ms), "{format}: {waiting_ms} ms wait");
            // What was taken is heard when the first post is given up.
            sleep(Duration::from_secs(1)).await;
            let (status, answer) = channel.media(1, &[0; 320]).await;
            assert_eq!((status, answer["duplicate"].as_bool()), (200, Some(true)));
        });
    }
}

#[test]
fn a_post_longer_than_ten_seconds_is_refused_with_what_to_do() {
    act(|| async {
        let settings =
            HttpCallbackSettings { chunk_bytes_max: 1 << 20, ..HttpCallbackSettings::default() };
        let channel = Channel::started(Script::default(), settings).await;
        let refused = channel.media(0, &vec![0; 321_000]).await;
        assert_eq!(code(&refused), (413, "chunk_too_long"));
        let message = refused.1["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains("10000 ms") && message.contains("shorter"), "{message}");
        assert_eq!(channel.media(0, &vec![0; 320_000]).await.0, 202, "its number is still free");
    });
}

#[test]
fn who_posts_and_polls_without_end_is_slowed_down_and_told_when_to_come_again() {
    act(|| async {
        let channel = Channel::started(Script::default(), HttpCallbackSettings::default()).await;
        assert_eq!(channel.start(r#"{"call_id":"other"}"#).await.0, 201);
        for poll in [false, true] {
            let began = Instant::now();
            let (mut taken, mut refused) = (0, 0);
            while began.elapsed() < Duration::from_secs(3) {
                let audio = TestRequest::get().uri("/v1/calls/c/audio");
                let request = if poll { audio } else { post("c", 7, &[0; 2]) };
                let answer = (channel.send)(request).await;
                if answer.status() != 429 {
                    taken += 1;
                    continue;
                }
                assert!(answer.headers().contains_key(RETRY_AFTER));
                let told: Value = serde_json::from_slice(&read_body(answer).await).expect("JSON");
                assert_eq!(told["error"]["code"], "too_many_requests");
                refused += 1;
                assert!(channel.ask(post("other", 0, &[0; 2])).await.0 < 300, "nobody else waits");
            }
            assert_eq!(refused, 3, "each is answered a second later");
            // All at once in the first round only, and then what a second brings.
            let at_most = if poll { 1_500 } else { 1_000 + 1_000 };
            assert!((at_most - 10..=at_most).contains(&taken), "{taken} taken");
        }
    });
}

#[test]
fn a_leg_whose_task_panics_is_away_and_the_next_post_goes_on_with_the_call() {
    act(|| async {
        let channel = Channel::started(Script::default(), HttpCallbackSettings::default()).await;
        let state =
            async || channel.ask(TestRequest::get().uri("/v1/calls/c")).await.1["state"].clone();
        let (reply, sequence) = channel.speak(0, 2_000).await;
        assert!(!reply.is_empty());
        plant_at("callback.command", 1);
        // The leg is to tell of half a sample.
        assert_eq!(channel.media(sequence, &[0]).await.0, 400);
        sleep(Duration::from_millis(100)).await;
        assert_eq!(state().await, "away");
        let (reply, _) = channel.speak(sequence, 2_000).await;
        assert!(!reply.is_empty(), "the call goes on");
        assert_eq!(state().await, "running");
        let load = channel.stage.switchboard.load().await.expect("it answers");
        assert_eq!(load.calls, 1, "it is the same one");
    });
}

#[test]
fn who_posts_again_after_his_media_was_lost_may_bring_what_he_held_back() {
    act(|| async {
        let channel = Channel::started(Script::default(), HttpCallbackSettings::default()).await;
        let second = [0; 32_000];
        assert_eq!(channel.media(0, &second).await.0, 202);
        sleep(Duration::from_secs(6)).await;
        for sequence in 1..=7 {
            assert_eq!(channel.media(sequence, &second).await.0, 202, "{sequence}");
        }
        sleep(Duration::from_millis(500)).await;
        let (_, answer) = channel.media(8, &[0; 320]).await;
        assert!(answer["buffered_ms"].as_u64().is_some_and(|ms| ms <= 100), "{answer}");
    });
}

#[test]
fn a_process_that_stood_still_does_not_take_its_calls_for_lost() {
    act(|| async {
        let channel = Channel::started(Script::default(), HttpCallbackSettings::default()).await;
        assert_eq!(channel.media(0, &[0; 3_200]).await.0, 202);
        sleep(Duration::from_millis(100)).await;
        tokio::time::advance(Duration::from_secs(6)).await;
        sleep(Duration::from_millis(100)).await;
        let state =
            async || channel.ask(TestRequest::get().uri("/v1/calls/c")).await.1["state"].clone();
        assert_eq!(state().await, "running");
        sleep(Duration::from_secs(5)).await;
        assert_eq!(state().await, "away", "nothing came after it either");
    });
}

#[test]
fn the_reply_stream_ends_when_the_caller_interrupts_and_goes_on_in_the_next_epoch() {
    act(|| async {
        let script = Script { words: vec!["two", "one"], sentence_ms: 6_000, ..Script::default() };
        let channel = Channel::started(script, HttpCallbackSettings::default()).await;
        let speaking = async {
            let (_, next) = channel.speak(0, 1_500).await;
            channel.speak(next, 2_000).await
        };
        let (first, _) = tokio::join!(channel.listen(0), speaking);
        let (status, epoch, position, audio) = first;
        assert_eq!((status, epoch.as_deref(), position.as_deref()), (200, Some("0"), Some("0")));
        let heard = audio.len() as u64 / 2;
        assert!(heard > 0 && heard < 96_000, "{heard} samples of the sentence were heard");

        let (second, _) = tokio::join!(channel.listen(heard), async {
            sleep(Duration::from_secs(1)).await;
            (channel.send)(TestRequest::delete().uri("/v1/calls/c")).await
        });
        let (status, epoch, position, audio) = second;
        assert_eq!((status, epoch.as_deref()), (200, Some("1")));
        assert!(position.and_then(|text| text.parse().ok()).is_some_and(|at: u64| at >= heard));
        assert!(!audio.is_empty());
    });
}

#[test]
fn a_call_without_posts_is_away_and_the_next_post_continues_it() {
    act(|| async {
        let channel = Channel::started(Script::default(), HttpCallbackSettings::default()).await;
        let state =
            async || channel.ask(TestRequest::get().uri("/v1/calls/c")).await.1["state"].clone();
        assert_eq!(channel.media(0, &[1, 0]).await.0, 202);
        assert_eq!(state().await, "running");
        sleep(Duration::from_millis(5_500)).await;
        assert_eq!(state().await, "away");
        assert_eq!(channel.media(0, &[1, 0]).await.0, 200, "numbers go on");
        assert_eq!(channel.media(1, &[1, 0]).await.0, 202);
        assert_eq!(state().await, "running");
        assert_eq!(channel.stage.switchboard.load().await.map(|load| load.calls), Some(1));
    });
}

#[test]
fn a_call_that_nobody_came_back_to_has_ended() {
    act(|| async {
        let channel = Channel::started(Script::default(), HttpCallbackSettings::default()).await;
        sleep(Duration::from_secs(25)).await;
        let (_, answer) = channel.ask(TestRequest::get().uri("/v1/calls/c")).await;
        assert_eq!((&answer["state"], &answer["cause"]), (&json!("ended"), &json!("media_lost")));
        assert_eq!(code(&channel.media(0, &[1, 0]).await), (410, "ended"));
        sleep(Duration::from_secs(60)).await;
        assert_eq!(code(&channel.media(0, &[1, 0]).await), (410, "ended"));
    });
}

#[test]
fn two_starts_of_one_name_at_once_are_one_call_and_one_refusal() {
    act(|| async {
        let channel = Channel::new(Script::default(), HttpCallbackSettings::default()).await;
        let start = || channel.start(r#"{"call_id":"c"}"#);
        let (one, other) = tokio::join!(start(), start());
        let codes = [code(&one), code(&other)];
        assert!(codes.contains(&(201, "")) && codes.contains(&(409, "already_connected")));
        assert_eq!(channel.stage.switchboard.load().await.map(|load| load.calls), Some(1));
    });
}

#[test]
fn a_name_that_another_transport_gave_its_call_is_free_here() {
    act(|| async {
        let channel = Channel::new(Script::default(), HttpCallbackSettings::default()).await;
        let elsewhere = channel.stage.call("c", Delivery::WholeSentences).await;
        // Neither by its carrier's name nor by the engine's can it be had.
        for name in ["c".to_owned(), elsewhere.call_id.to_string()] {
            let (status, answer) = channel.start(&json!({ "call_id": name }).to_string()).await;
            assert_eq!((status, &answer["resumed"]), (201, &json!(false)), "{answer}");
            assert_ne!(answer["call_id"], json!(elsewhere.call_id));
            let uri = format!("/v1/calls/{}", answer["call_id"].as_str().expect("an id"));
            let (status, _) = channel.ask(TestRequest::delete().uri(&uri)).await;
            assert_eq!(status, 200);
        }
        sleep(Duration::from_secs(1)).await;
        elsewhere.say().await;
        assert_eq!(elsewhere.sentences().first().map(String::as_str), Some("intent_one"));
    });
}

#[test]
fn a_call_that_was_given_no_name_goes_by_the_engines() {
    act(|| async {
        let channel = Channel::new(Script::default(), HttpCallbackSettings::default()).await;
        let (_, answer) = channel.start("").await;
        let call_id = answer["call_id"].as_str().expect("an id").to_owned();
        assert_eq!(answer["media_url"], format!("/v1/calls/{call_id}/media"));
        assert_eq!(channel.ask(post(&call_id, 0, &[1, 0])).await.0, 202);
        sleep(Duration::from_secs(6)).await;
        let (status, again) = channel.start(&json!({ "call_id": call_id }).to_string()).await;
        assert_eq!(
            (status, &again["resumed"], &again["call_id"]),
            (201, &json!(true), &json!(call_id))
        );
    });
}

#[test]
fn a_call_that_was_ended_stays_ended() {
    act(|| async {
        let channel = Channel::started(Script::default(), HttpCallbackSettings::default()).await;
        let delete = || TestRequest::delete().uri("/v1/calls/c");
        assert_eq!(channel.ask(delete()).await.1["state"], "ending");
        sleep(Duration::from_secs(1)).await;
        assert_eq!(code(&channel.media(0, &[1, 0]).await), (410, "ended"));
        let odd = post("c", 0, &[1]).insert_header((CONTENT_TYPE, "text/plain"));
        assert_eq!(code(&channel.ask(odd).await), (410, "ended"), "nothing is left to correct");
        assert_eq!(code(&channel.ask(delete()).await), (410, "ended"));
        let audio = TestRequest::get().uri("/v1/calls/c/audio");
        assert_eq!(code(&channel.ask(audio).await), (410, "ended"));
    });
}

#[test]
fn a_channel_that_only_posts_may_start_a_call_where_that_is_allowed() {
    act(|| async {
        let settings = HttpCallbackSettings { auto_start: true, ..Default::default() };
        let channel = Channel::new(Script::default(), settings).await;
        let stereo = post("x", 5_000, &[1, 0, 1, 0])
            .insert_header((CONTENT_TYPE, "audio/l16;rate=48000;channels=2"));
        let (status, answer) = channel.ask(stereo).await;
        assert_eq!((status, &answer["next_expected_seq"]), (202, &json!(5_001)));
        let mono = channel.ask(post("x", 5_001, &[1, 0])).await;
        assert_eq!(code(&mono), (400, "odd_byte_count"));
    });
}
