//! The configuration in force as text, for people. Keys are not in it, only the
//! files that hold them; a user and password inside a URL are masked.

use reqwest::Url;

use super::settings::Config;

/// `config` as TOML that [`super::load()`] takes, apart from what was masked.
#[must_use]
pub fn effective_toml(config: &Config) -> String {
    let mut shown = config.clone();
    for url in [
        &mut shown.dialog.cognigy_dialogs.base_url,
        &mut shown.stt.deepgram.base_url,
        &mut shown.stt.openai_http.base_url,
        &mut shown.tts.generic_http.endpoint,
        &mut shown.telemetry.otlp.endpoint,
    ] {
        mask_credentials(url);
    }
    toml::to_string_pretty(&shown).expect("every setting has a form in TOML, which a test checks")
}

/// Masks user and password. What cannot be masked is not shown at all.
fn mask_credentials(text: &mut String) {
    let Ok(mut url) = Url::parse(text) else { return };
    if url.username().is_empty() && url.password().is_none() {
        return;
    }
    let masked = url.set_username(MASK).and_then(|()| url.set_password(None));
    *text = masked.map_or_else(|()| MASK.to_owned(), |()| url.to_string());
}

/// Stands for what is not shown.
const MASK: &str = "redacted";
