//! Named routes: what they inherit, and what is wrong with them.

use std::sync::Arc;

use super::{parse, problems};
use crate::config::RouteTable;
use crate::types::{CallTarget, Route};

fn called(routes: &RouteTable, number: &str) -> Arc<Route> {
    let target = CallTarget::Called(number.to_owned());
    routes.resolve(Some(&target)).expect("every number has a route")
}

fn named(routes: &RouteTable, name: &str) -> Option<String> {
    let target = CallTarget::Route(name.to_owned());
    routes.resolve(Some(&target)).map(|route| route.name.clone())
}

const TWO_ROUTES: &str = r#"
[route]
language = "de-DE"
tts = "generic-http"
[route.listening]
silence_ms_end = 800
[route.prompts]
fallback = { text = "Base.", interruptible = true }

[[routes]]
name = "sales"
called = ["+15550100", "sales"]
[routes.settings]
tts = "flite"
[routes.settings.listening]
pre_roll_ms = 100
[routes.settings.prompts]
fallback = "Own."

[[routes]]
name = "support"
called = ["support"]
"#;

#[test]
fn a_route_takes_what_it_leaves_out_from_the_default_route() {
    let routes = parse(TWO_ROUTES, &[]).expect("right routes").routes();
    let sales = called(&routes, "+15550100");
    assert_eq!(sales.name, "sales");
    assert_eq!((sales.tts.as_str(), sales.language.as_str()), ("flite", "de-DE"));
    assert_eq!((sales.listening.silence_ms_end, sales.listening.pre_roll_ms), (800, 100));
    let support = called(&routes, "support");
    assert_eq!((support.name.as_str(), support.tts.as_str()), ("support", "generic-http"));
}

#[test]
fn a_prompt_is_inherited_whole_or_not_at_all() {
    let routes = parse(TWO_ROUTES, &[]).expect("right routes").routes();
    let own = &called(&routes, "sales").prompts.fallback;
    assert_eq!((own.text.as_str(), own.interruptible), ("Own.", None));
    let inherited = &called(&routes, "support").prompts.fallback;
    assert_eq!((inherited.text.as_str(), inherited.interruptible), ("Base.", Some(true)));
}

#[test]
fn a_route_takes_the_environment_too() {
    let set = [("ANTIPHON_ROUTE__LANGUAGE", "fr-FR")];
    let routes = parse(TWO_ROUTES, &set).expect("right routes").routes();
    assert_eq!(called(&routes, "support").language, "fr-FR");
}

#[test]
fn an_empty_voice_is_the_synthesisers_own() {
    let routes = parse(TWO_ROUTES, &[]).expect("right routes").routes();
    assert_eq!(called(&routes, "sales").voice, "slt");
    assert_eq!(called(&routes, "support").voice, "en-US-Standard-A");
}

#[test]
fn a_number_that_no_route_claims_takes_the_default_route_and_so_does_who_asks_for_nothing() {
    let routes = parse(TWO_ROUTES, &[]).expect("right routes").routes();
    for number in ["+49301234", ""] {
        assert_eq!(called(&routes, number).name, "default");
    }
    assert_eq!(routes.resolve(None).expect("the default").name, "default");
    let names: Vec<_> = routes.all().map(|route| route.name.clone()).collect();
    assert_eq!(names, ["default", "sales", "support"]);
}

#[test]
fn a_route_that_is_asked_for_has_to_exist() {
    let text = format!("{TWO_ROUTES}\n[[routes]]\nname = \"bare\"\ncalled = []\n");
    let routes = parse(&text, &[]).expect("right routes").routes();
    for (asked, name) in [("sales", "sales"), ("+15550100", "sales"), ("bare", "bare")] {
        assert_eq!(named(&routes, asked).as_deref(), Some(name));
    }
    assert_eq!(named(&routes, "default").as_deref(), Some("default"));
    for unknown in ["sale", "Sales", "", "+15550101"] {
        assert_eq!(named(&routes, unknown), None, "{unknown}");
    }
    assert_eq!(routes.all().count(), 4, "also those that no number leads to");
}

#[test]
fn wrong_keys_of_a_route_are_told_like_any_other() {
    let text = "[[routes]]\nname = \"a\"\nnumbers = []\n[routes.settings]\nlang = \"x\"\n\
                [routes.settings.turns]\nfailures_max = 0\n";
    assert_eq!(
        problems(text),
        [
            "config.toml:1:1: `routes[0]` needs the key `called`",
            "config.toml:3:1: `routes[0].numbers` is not a key; did you mean `name`?",
            "config.toml:5:1: `routes[0].settings.lang` is not a key; did you mean \
             `routes[0].settings.language`?",
            "config.toml:7:16: `routes[0].settings.turns.failures_max` must be a whole number from \
             1 to 100, but is 0",
        ]
    );
}

#[test]
fn a_route_that_contradicts_what_it_inherits_is_told() {
    let text = "[[routes]]\nname = \"a\"\ncalled = []\nsettings.listening.stop_probability = 0.7\n";
    let found = problems(text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("config.toml:4:39: `stop_probability` (0.7)"), "{found:?}");
}

#[test]
fn two_routes_of_one_name_or_number_are_told() {
    let text = "[[routes]]\nname = \"a\"\ncalled = [\"1\", \"2\"]\n\
                [[routes]]\nname = \"a\"\ncalled = [\"3\", \"2\"]\n\
                [[routes]]\nname = \"default\"\ncalled = []\n";
    assert_eq!(
        problems(text),
        [
            "config.toml:5:8: `routes[1]` has the name of routes[0]; give it another one",
            "config.toml:6:16: `routes[1].called` entry 2: routes[0] is called by it already",
            "config.toml:8:8: `routes[2]` has the name of [route]; give it another one",
        ]
    );
}
