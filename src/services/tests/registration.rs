//! Providers as the configuration registers them: what befalls one is nothing to another.

use serde_json::json;

use super::scripted_server::{ScriptedServer, Step};
use super::turn;
use crate::config::Config;
use crate::services::Providers;
use crate::types::{DialogFailure, Route};

fn route(dialog: &str) -> Route {
    Route {
        dialog: dialog.to_owned(),
        stt: "fixed".to_owned(),
        tts: "tone".to_owned(),
        ..Route::default()
    }
}

#[tokio::test]
async fn a_platform_that_asks_for_a_rest_holds_no_other_platform_back() {
    let limited = ScriptedServer::start(vec![Step::retry_after(429, "86400")]);
    let well = ScriptedServer::start(vec![Step::json(200, &json!({"text": "Hello."}))]);
    let mut config = Config::default();
    config.dialog.cognigy_dialogs.base_url = limited.url("/api/v2");
    let endpoint = well.url("/c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00");
    let environment = |name: &str| match name {
        "COGNIGY_API_KEY" => Some("key-0123456789-XYZ1".to_owned()),
        "COGNIGY_ENDPOINT_URL" => Some(endpoint.clone()),
        _ => None,
    };
    let routes = ["cognigy-dialogs", "cognigy-rest"].map(route);
    let providers = Providers::build(&config, &routes, &environment, None).expect("both are built");
    let [limited, well] = ["cognigy-dialogs", "cognigy-rest"].map(|name| &providers.dialog[name]);
    assert_eq!(limited.ask(turn("a")).await, Err(DialogFailure::RateLimited));
    // It would wait in vain, as the rest is longer than a turn may take.
    let reply = well.ask(turn("b")).await.expect("it is asked at once");
    assert_eq!(super::words(&reply), ["Hello."]);
}
