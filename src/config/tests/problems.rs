//! What a wrong configuration is told: the key, the place, and what to do.

use proptest::prelude::*;

use super::{Config, load, parse, problems};

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_key() {
    assert_eq!(
        problems("[server]\ntick_ms = 10\n  htpp = \"127.0.0.1:1\"\n"),
        ["config.toml:3:3: `server.htpp` is not a key; did you mean `server.http`?"]
    );
}

#[test]
fn an_unknown_section_is_named_with_the_nearest_one() {
    assert_eq!(
        problems("[sever]\nhttp = 1\n"),
        ["config.toml:1:2: `sever` is not a key; did you mean `server`?"]
    );
}

#[test]
fn a_key_in_the_wrong_section_is_sent_to_the_right_one() {
    assert_eq!(
        problems("[server]\ncalls_max = 5\n"),
        ["config.toml:2:1: `server.calls_max` is not a key; did you mean `limits.calls_max`?"]
    );
}

#[test]
fn a_value_out_of_range_is_told_the_range() {
    assert_eq!(
        problems(
            "server.tick_ms = 3\nlog.filter = \"warn\"\nroute.listening.start_probability = 2"
        ),
        [
            "config.toml:1:18: `server.tick_ms` must be a whole number from 5 to 40, but is 3",
            "config.toml:3:37: `route.listening.start_probability` must be a number from 0 to 0.99, but is 2",
        ]
    );
    assert_eq!(problems("limits.calls_max = -1").len(), 1);
    assert_eq!(problems("limits.calls_max = 99999999999999999999999").len(), 1);
    assert_eq!(problems("route.listening.stop_probability = nan").len(), 1);
}

#[test]
fn a_value_of_the_wrong_kind_is_told_both_kinds() {
    assert_eq!(
        problems("[events]\npath = 5\nqueue_max = \"many\"\n"),
        [
            "config.toml:2:8: `events.path` must be a text in quotes, but is a whole number",
            "config.toml:3:13: `events.queue_max` must be a whole number from 1 to 1000000, but is \
             a text",
        ]
    );
    assert_eq!(
        problems("server = 8080\n"),
        ["config.toml:1:10: `server` must be a table, but is a whole number"]
    );
    assert_eq!(
        problems("tts.worker.command = [\"a\", 1]"),
        ["config.toml:1:22: `tts.worker.command` entry 2: must be a list of texts, such as \
          [\"a\", \"b\"], but is a whole number"]
    );
}

#[test]
fn only_loopback_addresses_are_taken() {
    for address in ["0.0.0.0:8080", "192.0.2.1:8080", "[::]:8080"] {
        let found = problems(&format!("server.http = \"{address}\""));
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("until authentication exists"), "{found:?}");
    }
    assert!(problems("server.http = \"localhost\"")[0].contains("must be an IP address"));
    assert!(parse("server.http = \"[::1]:0\"", &[]).is_ok());
}

#[test]
fn a_misspelt_name_is_told_the_names_and_the_nearest() {
    assert_eq!(
        problems("route.stt = \"pocketspinx\""),
        [
            "config.toml:1:13: `route.stt` must be one of `pocketsphinx`, `deepgram`, `openai-http`, \
          `fixed`, `coded`, `worker`, but is \"pocketspinx\"; did you mean `pocketsphinx`?"
        ]
    );
    let found = problems("dialog.cognigy-rest.retry_on = [\"not-send\"]");
    assert!(found[0].ends_with("did you mean `not-sent`?"), "{found:?}");
}

#[test]
fn a_wrong_url_is_not_repeated() {
    for url in ["ftp://user:hunter2@host", "hunter2", "http://host/?key=hunter2"] {
        let found = problems(&format!("tts.generic-http.endpoint = \"{url}\""));
        assert!(found[0].contains("must be a URL"), "{found:?}");
        assert!(!found[0].contains("hunter2"), "{found:?}");
    }
}

#[test]
fn texts_with_a_form_are_checked() {
    for (wrong, hint) in [
        ("route.language = \"English please\"", "a language tag such as en-US"),
        ("dialog.cognigy-rest.intent_pointer = \"intent\"", "begins with /"),
        ("log.filter = \"antiphon=loud\"", "a log filter such as"),
        ("http_callback.playback_hosts = [\"https://host\"]", "a host such as"),
        ("http_callback.playback_hosts = [\"me@host\"]", "a host such as"),
        ("events.path = \"\"", "must not be empty"),
        ("route.prompts.fallback = \"\"", "must not be empty"),
        ("route.prompts.fallback = { text = \"a\" }", "a text, or a table such as"),
        ("route.prompts.fallback = \"?!\"", "must hold words to be spoken"),
        (
            "route.prompts.turn_failed = { text = \" … \", interruptible = true }",
            "`text` must hold words to be spoken",
        ),
        ("route.prompts.no_match = { text = \"a\", interruptible = 1 }", "`interruptible` must be"),
    ] {
        let found = problems(wrong);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(hint), "{found:?}");
    }
}

#[test]
fn a_log_filter_that_would_silence_the_log_by_a_slip_is_told() {
    for (filter, told) in [
        ("inof", "\"inof\" is no level; did you mean `info`?"),
        ("antiphon", "written with its level, such as `antiphon=debug`"),
        ("warn,debgu", "\"debgu\" is no level; did you mean `debug`?"),
        ("antiphon=loud", "\"loud\" in \"antiphon=loud\" is no level"),
        ("antiphon=", "\"\" in \"antiphon=\" is no level"),
        ("antiphn=debug", "\"antiphn\" is nothing here; did you mean `antiphon`?"),
        ("antiphone::call=debug", "did you mean `antiphon`?"),
        ("", "it is empty; `off` logs nothing"),
        (" , ", "it is empty"),
    ] {
        let found = problems(&format!("log.filter = \"{filter}\""));
        assert_eq!(found.len(), 1, "{filter}: {found:?}");
        assert!(found[0].contains(told), "{filter}: {found:?}");
    }
    for filter in [
        "info",
        "OFF",
        "warn,antiphon=info",
        "antiphon::call=debug",
        "actix_web=warn",
        "info,[turn{id=1}]=debug",
    ] {
        let parsed = parse(&format!("log.filter = \"{filter}\""), &[]);
        assert!(parsed.is_ok(), "{filter}: {parsed:?}");
    }
}

#[test]
fn settings_that_contradict_each_other_are_told() {
    for (wrong, told) in [
        (
            "[route.listening]\nstart_probability = 0.3\n",
            "config.toml:2:21: `stop_probability` (0.35) must be below `start_probability` (0.3)",
        ),
        (
            "events.batch_max = 2000",
            "config.toml:1:20: `events.batch_max` (2000) must not be above `events.queue_max` (1000)",
        ),
        (
            "server.simulator = \"127.0.0.1:8080\"",
            "config.toml:1:20: `server.http` and `server.simulator` must be two different addresses",
        ),
        (
            "\n\nroute.stt = \"worker\"",
            "config.toml:3:13: `stt = \"worker\"` needs a program: set `stt.worker.command`",
        ),
        (
            "route.listening = { utterance_ms_max = 1000, silence_ms_end = 1500 }",
            "config.toml:1:63: `silence_ms_end` (1500) must be below `utterance_ms_max` (1000)",
        ),
    ] {
        assert_eq!(problems(wrong), [told]);
    }
}

#[test]
fn what_is_left_without_a_wrong_value_shows_what_else_is_wrong() {
    let rest = |text: &str| {
        let problems = load::parse("config.toml", text, &[]).expect_err("wrong");
        problems.rest().cloned()
    };
    let left = rest(
        "[server]\nhttp = \"0.0.0.0:1\"\nhtp = 1\nhttp_threads = 3\n[route]\ndialog = \"echo\"\n",
    )
    .expect("the providers are known");
    assert_eq!((left.route.dialog.as_str(), left.server.http_threads), ("echo", 3));
    assert_eq!(left.server.http, Config::default().server.http);
    for decides in ["route.stt = \"x\"", "dialog.x = 1", "tts = 5", "[[routes]]\nname = 5"] {
        assert!(rest(&format!("server.tick_ms = 1\n{decides}\n")).is_none(), "{decides}");
    }
    assert!(rest("not = [toml").is_none());
}

#[test]
fn all_problems_are_told_at_once() {
    let text = "[server]\ntick_ms = 1\nhtp = 1\n[log]\nformat = \"xml\"\n[[routes]]\nname = 5\n";
    let lines: Vec<_> = problems(text)
        .iter()
        .map(|problem| problem.split(':').nth(1).expect("a line").to_owned())
        .collect();
    assert_eq!(lines, ["2", "3", "5", "6", "7"]);
}

#[test]
fn what_is_no_toml_is_told_with_its_place() {
    let found = problems("[server]\nhttp = \n");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("config.toml:2:8: not TOML: "), "{found:?}");
    let found = problems("[log]\nformat = \"text\"\nformat = \"json\"\n");
    assert!(found[0].starts_with("config.toml:3:1: not TOML: duplicate key"), "{found:?}");
}

#[test]
fn a_wrong_variable_is_named() {
    for (name, value, told) in [
        ("ANTIPHON_SERVER__TICK_MS", "3", "`server.tick_ms` must be a whole number from 5 to 40"),
        ("ANTIPHON_SERVER__TICK_MS", "often", "`server.tick_ms` must be written as in the file"),
        ("ANTIPHON_SERVER__HTPP", "x", "did you mean ANTIPHON_SERVER__HTTP?"),
        ("ANTIPHON_SERVER_HTTP", "x", "did you mean ANTIPHON_SERVER__HTTP?"),
        ("ANTIPHON_ROUTES__0__NAME", "x", "routes can be set in the file only"),
    ] {
        let found = parse("server.tick_ms = 20", &[(name, value)]).expect_err("a wrong variable");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&format!("environment variable {name}: ")), "{found:?}");
        assert!(found[0].contains(told), "{found:?}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_loading_panic(text in "(\\[\\[?[a-z.]{0,9}\\]?\\]?|[a-z_]{1,9} ?= ?.{0,9}|.{0,20}|\n){0,9}") {
        drop(parse(&text, &[("ANTIPHON_SERVER__TICK_MS", text.as_str())]));
    }
}
