//! Providers that stream: a recogniser that listens while the caller speaks, over TLS.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use crate::support::certificates::{certify, shown};
use crate::support::{Phone, Setup, speech};
use antiphon::sandbox::{DEFAULT_KEY, FaultProfile, FaultProfiles, SandboxSettings};
use serde_json::{Value, json};

#[tokio::test]
async fn calls_are_answered_by_a_recogniser_that_listens_while_the_caller_speaks() {
    let folder = Setup::bare();
    let (certificate, key) = certify(&folder, "platform");
    // Every fourth request of the recogniser goes wrong: the check's handshake is the first,
    // the call's the second, the first utterance the third. The stream breaks at the end of
    // the second utterance.
    let stt = FaultProfile { status_every_nth: 4, ..FaultProfile::default() };
    let sandbox = crate::support::sandbox_with(SandboxSettings {
        addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        tls: Some(shown(&certificate, &key)),
        faults: FaultProfiles { stt, ..FaultProfiles::default() },
        ..SandboxSettings::default()
    });
    let engine = Setup::with(&sandbox)
        .key("ROUTE__STT", "deepgram")
        .key("STT__DEEPGRAM__BASE_URL", &sandbox.base_url())
        .variable("DEEPGRAM_API_KEY", DEFAULT_KEY)
        .variable("SSL_CERT_FILE", &certificate.display().to_string())
        .start()
        .await;
    let mut phone = Phone::ask(&engine.simulator, "/?events=1").await.expect("there is room");
    for _ in 0..2 {
        let told = phone.turn(&speech()).await;
        let answered = told.iter().find(|message| message.event() == "turn_answered");
        assert_eq!(answered.expect("it was understood").fact("intent"), "breakfast_time");
    }
    phone.hang_up().await;
    engine.becomes_empty().await;
    assert_eq!(engine.metric("antiphon_turns_answered_total").await, 2.0);
    let seen = stats(&format!("{}/_sandbox/stats", sandbox.base_url()), &certificate).await;
    // Two handshakes, two utterances, another handshake, and the second utterance again.
    assert_eq!((&seen["stt"]["requests"], &seen["stt"]["faults"]), (&json!(6), &json!(1)));
}

async fn stats(url: &str, certificate: &Path) -> Value {
    let pem = std::fs::read(certificate).expect("a file");
    let trusted = reqwest::Certificate::from_pem(&pem).expect("a certificate");
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([trusted]);
    let client = client.build().expect("a client");
    client.get(url).send().await.expect("an answer").json().await.expect("JSON")
}
