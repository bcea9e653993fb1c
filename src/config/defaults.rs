//! What a setting is that nobody set; `config.toml` shows the same values.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::settings::{
    BreakerSettings, CognigyDialogsSettings, CognigyRestSettings, DeepgramSettings, DialogSettings,
    EventSettings, FliteSettings, GenericHttpSettings, HttpCallbackSettings, LimitSettings,
    LogFormat, LogSettings, OpenAiHttpSettings, PocketsphinxSettings, RouteSettings,
    ServerSettings, WebSocketRefusal, WorkerSettings,
};
use super::stand_ins::FixedDialogSettings;
use crate::types::{BudgetSettings, ListeningSettings, Prompts, RetryOn, TurnSettings};

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            http: SocketAddr::from(([127, 0, 0, 1], 8080)),
            simulator: SocketAddr::from(([127, 0, 0, 1], 8765)),
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            user_id_in_query: false,
            tls_certificate_file: PathBuf::new(),
            tls_key_file: PathBuf::new(),
            media_threads: 0,
            http_threads: 0,
            service_threads: 1,
            tick_ms: 10,
            drain_ms_max: 30_000,
        }
    }
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            calls_max: 1_000,
            late_ms_max: 40,
            busy_percent_max: 90,
            memory_mb_max: 0,
            calls_per_second_per_source_max: 0,
            connections_max: 0,
            connections_per_source_max: 0,
            websocket_refusal: WebSocketRefusal::Close,
            message_bytes_max: 1 << 20,
            idle_ms_max: 60_000,
        }
    }
}

impl Default for RouteSettings {
    fn default() -> Self {
        Self {
            dialog: "cognigy-dialogs".to_owned(),
            stt: "pocketsphinx".to_owned(),
            tts: "flite".to_owned(),
            voice: String::new(),
            language: "en-US".to_owned(),
            prompts: Prompts::default(),
            listening: ListeningSettings::default(),
            turns: TurnSettings::default(),
            restarts: BudgetSettings::default(),
        }
    }
}

impl Default for HttpCallbackSettings {
    fn default() -> Self {
        Self {
            auto_start: false,
            chunk_bytes_max: 64 * 1024,
            first_sequence: 0,
            sequence_ahead_max: 256,
            reply_ms_max: 60_000,
            playback_hosts: Vec::new(),
            idle_ms_max: 5_000,
        }
    }
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self { failures_max: 5, open_ms: 5_000 }
    }
}

impl Default for DialogSettings {
    fn default() -> Self {
        Self {
            in_flight_max: 10,
            waiting_max: 1_000,
            cognigy_dialogs: CognigyDialogsSettings::default(),
            cognigy_rest: CognigyRestSettings::default(),
            fixed: FixedDialogSettings::default(),
        }
    }
}

impl Default for CognigyDialogsSettings {
    fn default() -> Self {
        Self {
            base_url: String::new(),
            bot_id: "hotel".to_owned(),
            api_key_file: PathBuf::new(),
            timeout_ms: 10_000,
            attempts_max: 3,
            retry_on: vec![RetryOn::TooManyRequests, RetryOn::ServerError, RetryOn::NotSent],
        }
    }
}

impl Default for CognigyRestSettings {
    fn default() -> Self {
        Self {
            endpoint_url_file: PathBuf::new(),
            timeout_ms: 10_000,
            attempts_max: 3,
            retry_on: vec![RetryOn::TooManyRequests, RetryOn::Unavailable, RetryOn::NotSent],
            intent_pointer: "/intent".to_owned(),
            confidence_pointer: "/confidence".to_owned(),
        }
    }
}

impl Default for PocketsphinxSettings {
    fn default() -> Self {
        let model = PathBuf::from("/usr/share/pocketsphinx/model/en-us");
        Self {
            workers: 2,
            waiting_max: 200,
            model_dir: model.join("en-us"),
            dictionary: model.join("cmudict-en-us.dict"),
            grammar: PathBuf::new(),
            score_min: -34.0,
        }
    }
}

impl Default for DeepgramSettings {
    fn default() -> Self {
        Self {
            base_url: "https://api.deepgram.com".to_owned(),
            model: "nova-3".to_owned(),
            api_key_file: PathBuf::new(),
            timeout_ms: 5_000,
        }
    }
}

impl Default for OpenAiHttpSettings {
    fn default() -> Self {
        Self {
            base_url: "http://127.0.0.1:8000".to_owned(),
            model: "whisper-1".to_owned(),
            api_key_file: PathBuf::new(),
            timeout_ms: 10_000,
        }
    }
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self { command: Vec::new(), workers: 1, waiting_max: 100 }
    }
}

impl Default for FliteSettings {
    fn default() -> Self {
        Self { workers: 1, waiting_max: 200 }
    }
}

impl Default for GenericHttpSettings {
    fn default() -> Self {
        Self {
            endpoint: "http://127.0.0.1:8090".to_owned(),
            api_key_file: PathBuf::new(),
            ssml: false,
            timeout_ms: 8_000,
        }
    }
}

impl Default for EventSettings {
    fn default() -> Self {
        Self {
            path: PathBuf::from("voice_metrics.jsonl"),
            batch_max: 50,
            batch_ms_max: 2_000,
            queue_max: 1_000,
            rotate_bytes: 64 << 20,
            rotated_files_max: 5,
        }
    }
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Text }
    }
}
