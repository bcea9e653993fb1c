//! Every key of the configuration with what it may hold. Tests compare this
//! table with the settings structs and with `config.toml`.
//!
//! Nothing but data: [`super::rule`] knows how a rule is checked.

use super::rule::Rule::{
    self, Address, Filter, Flag, Hosts, Language, OneOf, Origins, Path, Pointer, Prompt, Real,
    SomeOf, Text, Texts, Url, Whole,
};

/// Every key by its path. Lengths of time end at what is still a phone call.
pub(super) const KEYS: &[(&str, Rule)] = &[
    ("server.http", Address),
    ("server.simulator", Address),
    ("server.allowed_hosts", Hosts),
    ("server.allowed_origins", Origins),
    ("server.user_id_in_query", Flag),
    ("server.tls_certificate_file", Path { may_be_empty: true }),
    ("server.tls_key_file", Path { may_be_empty: true }),
    ("server.media_threads", Whole { min: 0, max: 256 }),
    ("server.http_threads", Whole { min: 0, max: 256 }),
    ("server.service_threads", Whole { min: 1, max: 64 }),
    ("server.tick_ms", Whole { min: 5, max: 40 }),
    ("server.drain_ms_max", Whole { min: 0, max: HOUR_MS }),
    ("limits.calls_max", Whole { min: 1, max: 100_000 }),
    ("limits.late_ms_max", Whole { min: 0, max: 90 }),
    ("limits.busy_percent_max", Whole { min: 0, max: 100 }),
    ("limits.memory_mb_max", Whole { min: 0, max: 1 << 24 }),
    ("limits.calls_per_second_per_source_max", Whole { min: 0, max: 10_000 }),
    ("limits.connections_max", Whole { min: 0, max: 1_000_000 }),
    ("limits.connections_per_source_max", Whole { min: 0, max: 1_000_000 }),
    ("limits.websocket_refusal", OneOf(&["close", "status"])),
    ("limits.message_bytes_max", Whole { min: 4_096, max: 16 << 20 }),
    ("limits.idle_ms_max", Whole { min: 1_000, max: HOUR_MS }),
    ("route.dialog", OneOf(&["cognigy-dialogs", "cognigy-rest", "fixed", "echo"])),
    ("route.stt", OneOf(&["pocketsphinx", "deepgram", "openai-http", "fixed", "coded", "worker"])),
    ("route.tts", OneOf(&["flite", "generic-http", "tone", "coded", "worker"])),
    ("route.voice", Text { may_be_empty: true }),
    ("route.language", Language),
    ("route.prompts.greeting", Prompt { may_be_empty: true }),
    ("route.prompts.no_match", Prompt { may_be_empty: false }),
    ("route.prompts.turn_failed", Prompt { may_be_empty: false }),
    ("route.prompts.fallback", Prompt { may_be_empty: false }),
    ("route.listening.detector", OneOf(&["silero", "earshot"])),
    ("route.listening.start_probability", Real { min: 0.0, max: 0.99 }),
    ("route.listening.stop_probability", Real { min: 0.0, max: 0.98 }),
    ("route.listening.speech_ms_min", Whole { min: 16, max: 2_000 }),
    ("route.listening.silence_ms_end", Whole { min: 100, max: 5_000 }),
    ("route.listening.pre_roll_ms", Whole { min: 0, max: 2_000 }),
    ("route.listening.level_gate_db", Whole { min: 0, max: 40 }),
    ("route.listening.echo_gate", Flag),
    ("route.listening.utterance_ms_max", Whole { min: 1_000, max: 120_000 }),
    ("route.listening.latency_ms_max", Whole { min: 40, max: 5_000 }),
    ("route.listening.burst_ms_max", Whole { min: 100, max: 30_000 }),
    ("route.turns.interruptible", Flag),
    ("route.turns.interrupt_speech_ms_min", Whole { min: 0, max: 5_000 }),
    ("route.turns.resume_from", OneOf(&["sentence", "position"])),
    ("route.turns.listener_words", Texts),
    ("route.turns.held_answer", OneOf(&["speak", "drop"])),
    ("route.turns.hold_ms_max", Whole { min: 1_000, max: 120_000 }),
    ("route.turns.stt_ms_max", Whole { min: 100, max: 120_000 }),
    ("route.turns.dialog_ms_max", Whole { min: 100, max: 300_000 }),
    ("route.turns.tts_ms_max", Whole { min: 100, max: 120_000 }),
    ("route.turns.failures_max", Whole { min: 1, max: 100 }),
    ("route.turns.reconnect_ms_max", Whole { min: 0, max: 600_000 }),
    ("route.turns.utterances_joined_max", Whole { min: 1, max: 100 }),
    ("route.restarts.restarts_max", Whole { min: 0, max: 100 }),
    ("route.restarts.window_ms", Whole { min: 1_000, max: HOUR_MS }),
    ("http_callback.auto_start", Flag),
    ("http_callback.chunk_bytes_max", Whole { min: 320, max: 16 << 20 }),
    ("http_callback.first_sequence", Whole { min: 0, max: 1 << 53 }),
    ("http_callback.sequence_ahead_max", Whole { min: 1, max: 100_000 }),
    ("http_callback.reply_ms_max", Whole { min: 1_000, max: 600_000 }),
    ("http_callback.playback_hosts", Hosts),
    ("http_callback.idle_ms_max", Whole { min: 500, max: HOUR_MS }),
    ("breaker.failures_max", Whole { min: 0, max: 1_000 }),
    ("breaker.open_ms", Whole { min: 100, max: 600_000 }),
    ("dialog.in_flight_max", Whole { min: 1, max: 1_000 }),
    ("dialog.waiting_max", Whole { min: 0, max: 100_000 }),
    ("dialog.cognigy-dialogs.base_url", Url { may_be_empty: true }),
    ("dialog.cognigy-dialogs.bot_id", Text { may_be_empty: false }),
    ("dialog.cognigy-dialogs.api_key_file", Path { may_be_empty: true }),
    ("dialog.cognigy-dialogs.timeout_ms", REQUEST_MS),
    ("dialog.cognigy-dialogs.attempts_max", Whole { min: 1, max: 10 }),
    ("dialog.cognigy-dialogs.retry_on", RETRY_ON),
    ("dialog.cognigy-rest.endpoint_url_file", Path { may_be_empty: true }),
    ("dialog.cognigy-rest.timeout_ms", REQUEST_MS),
    ("dialog.cognigy-rest.attempts_max", Whole { min: 1, max: 10 }),
    ("dialog.cognigy-rest.retry_on", RETRY_ON),
    ("dialog.cognigy-rest.intent_pointer", Pointer),
    ("dialog.cognigy-rest.confidence_pointer", Pointer),
    ("dialog.fixed.text", Text { may_be_empty: false }),
    ("dialog.fixed.intent", Text { may_be_empty: true }),
    ("stt.pocketsphinx.workers", WORKERS),
    ("stt.pocketsphinx.waiting_max", WAITING),
    ("stt.pocketsphinx.model_dir", Path { may_be_empty: false }),
    ("stt.pocketsphinx.dictionary", Path { may_be_empty: false }),
    ("stt.pocketsphinx.grammar", Path { may_be_empty: true }),
    ("stt.pocketsphinx.score_min", Real { min: -1_000.0, max: 0.0 }),
    ("stt.deepgram.base_url", Url { may_be_empty: false }),
    ("stt.deepgram.model", Text { may_be_empty: false }),
    ("stt.deepgram.api_key_file", Path { may_be_empty: true }),
    ("stt.deepgram.timeout_ms", REQUEST_MS),
    ("stt.openai-http.base_url", Url { may_be_empty: false }),
    ("stt.openai-http.model", Text { may_be_empty: false }),
    ("stt.openai-http.api_key_file", Path { may_be_empty: true }),
    ("stt.openai-http.timeout_ms", REQUEST_MS),
    ("stt.fixed.text", Text { may_be_empty: false }),
    ("stt.worker.command", Texts),
    ("stt.worker.workers", WORKERS),
    ("stt.worker.waiting_max", WAITING),
    ("tts.flite.workers", WORKERS),
    ("tts.flite.waiting_max", WAITING),
    ("tts.generic-http.endpoint", Url { may_be_empty: false }),
    ("tts.generic-http.api_key_file", Path { may_be_empty: true }),
    ("tts.generic-http.ssml", Flag),
    ("tts.generic-http.timeout_ms", REQUEST_MS),
    ("tts.tone.frequency_hz", Whole { min: 50, max: 7_000 }),
    ("tts.tone.amplitude", Whole { min: 1, max: 32_767 }),
    ("tts.tone.audio_ms", Whole { min: 20, max: 60_000 }),
    ("tts.coded.words", Whole { min: 1, max: 31 }),
    ("tts.worker.command", Texts),
    ("tts.worker.workers", WORKERS),
    ("tts.worker.waiting_max", WAITING),
    ("events.path", Path { may_be_empty: false }),
    ("events.batch_max", Whole { min: 1, max: 10_000 }),
    ("events.batch_ms_max", Whole { min: 10, max: 60_000 }),
    ("events.queue_max", Whole { min: 1, max: 1_000_000 }),
    ("events.rotate_bytes", Whole { min: 0, max: 1 << 40 }),
    ("events.rotated_files_max", Whole { min: 0, max: 1_000 }),
    ("log.filter", Filter),
    ("log.format", OneOf(&["text", "json"])),
    ("telemetry.otlp.endpoint", Url { may_be_empty: true }),
];

/// The keys of an entry of `routes`; `settings` holds keys of `route`.
pub(super) const NAMED_ROUTE_KEYS: &[(&str, Rule)] =
    &[("name", Text { may_be_empty: false }), ("called", Texts)];

/// The rule of a key, if there is such a key.
pub(super) fn rule_of(path: &str) -> Option<Rule> {
    KEYS.iter().find(|(key, _)| *key == path).map(|(_, rule)| *rule)
}

/// Whether a path names a table of keys.
pub(super) fn is_section(path: &str) -> bool {
    KEYS.iter().any(|(key, _)| key.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

/// The path of every key and of every table of keys.
pub(super) fn all_paths() -> Vec<&'static str> {
    let mut paths = vec!["routes"];
    for (key, _) in KEYS {
        let sections = key.match_indices('.').map(|(at, _)| &key[..at]);
        paths.extend(sections.chain([*key]));
    }
    paths.sort_unstable();
    paths.dedup();
    paths
}

const HOUR_MS: u64 = 3_600_000;
const REQUEST_MS: Rule = Whole { min: 100, max: 120_000 };
const WORKERS: Rule = Whole { min: 1, max: 64 };
const WAITING: Rule = Whole { min: 0, max: 100_000 };
const RETRY_ON: Rule = SomeOf(&["too-many-requests", "unavailable", "server-error", "not-sent"]);
