//! `antiphon sandbox`: the stand-ins alone, until Ctrl-C.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::error::CliError;
use super::speech::{for_sandbox, local_synthesiser};
use super::{print, serve};
use crate::config::TtsSettings;
use crate::sandbox::{
    self, DEFAULT_KEY, FaultProfiles, RunningSandbox, SandboxSettings, Synthesiser,
};
use crate::types::Secret;

pub(super) const EXAMPLES: &str = "\
Examples:
  antiphon sandbox
  antiphon sandbox --addr 127.0.0.1:9090 --phrase \"book a room\"
  antiphon sandbox --faults faults.json
  antiphon sandbox --tls-certificate cert.pem --tls-key key.pem
  curl -d '{\"dialog\":{\"status\":429,\"status_every_nth\":3,\"retry_after\":\"2\"}}' \\
       http://127.0.0.1:8090/_sandbox/faults          let every third turn fail from now on
  curl http://127.0.0.1:8090/_sandbox/stats           what the platform's side saw";

#[derive(Debug, Args)]
pub(super) struct SandboxArgs {
    /// Where to listen; loopback only.
    #[arg(long, default_value = "127.0.0.1:8090")]
    addr: SocketAddr,
    /// The key that the stand-ins take.
    #[arg(long, default_value = DEFAULT_KEY)]
    key: String,
    /// What the recogniser hears in every recording.
    #[arg(long, default_value = "what time is breakfast")]
    phrase: String,
    /// JSON file with fault profiles: what `POST /_sandbox/faults` takes.
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// Let the synthesiser make tones, which costs next to nothing, though flite is installed.
    #[arg(long)]
    tones: bool,
    /// How many times as fast as it is spoken the synthesiser streams; 0: at once.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=100))]
    speech_pace: u32,
    /// PEM file of a certificate; everything is asked over https then.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// PEM file of its private key.
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
}

/// Runs the stand-ins until Ctrl-C.
pub(super) async fn run(args: &SandboxArgs) -> Result<(), CliError> {
    let faults = args.faults.as_deref().map(read_faults).transpose()?.unwrap_or_default();
    let tls = args.tls_certificate.as_deref().zip(args.tls_key.as_deref());
    let tls = tls.map(|(certificate, key)| read_certificate(certificate, key)).transpose()?;
    let (synthesiser, voice) = if args.tones { (None, "tones") } else { flite_or_tones().await };
    let sandbox = sandbox::start(SandboxSettings {
        addr: args.addr,
        key: Secret::new(&args.key),
        phrase: args.phrase.clone(),
        faults,
        synthesiser,
        speech_pace: args.speech_pace,
        tls,
    })?;
    print(&format!("{}\nspeech: {voice}\nCtrl-C ends it.\n", how_to_reach(&sandbox)));
    serve::told_to_stop().await?;
    sandbox.stop().await;
    Ok(())
}

/// Without the speech packages the stand-in synthesiser makes tones.
async fn flite_or_tones() -> (Option<Synthesiser>, &'static str) {
    match local_synthesiser(&TtsSettings::default()).await {
        Ok(flite) => (Some(for_sandbox(flite)), "flite"),
        Err(_) => (None, "tones (flite is not installed)"),
    }
}

/// How an engine is pointed at a running sandbox.
fn how_to_reach(sandbox: &RunningSandbox) -> String {
    format!(
        "The stand-ins listen on {base}. Point an engine at them with
  COGNIGY_API_KEY, OPENAI_API_KEY, DEEPGRAM_API_KEY, ANTIPHON_TTS_API_KEY={DEFAULT_KEY}  (or what --key says)
  ANTIPHON_DIALOG__COGNIGY_DIALOGS__BASE_URL={dialogs}
  COGNIGY_ENDPOINT_URL={endpoint}
  ANTIPHON_TTS__GENERIC_HTTP__ENDPOINT={base}
  ANTIPHON_STT__OPENAI_HTTP__BASE_URL={base}
  ANTIPHON_STT__DEEPGRAM__BASE_URL={base}",
        base = sandbox.base_url(),
        dialogs = sandbox.dialogs_base_url(),
        endpoint = sandbox.endpoint_url(),
    )
}

fn read_faults(path: &Path) -> Result<FaultProfiles, CliError> {
    let text = fs::read_to_string(path).map_err(CliError::file(path))?;
    serde_json::from_str(&text)
        .map_err(|error| CliError::Unsuccessful(format!("{}: {error}", path.display())))
}

fn read_certificate(certificate: &Path, key: &Path) -> Result<ServerConfig, CliError> {
    let unreadable = |path: &Path, error: pem::Error| {
        CliError::Unsuccessful(format!("{}: {error}", path.display()))
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(certificate, error))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, error))?;
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|error| CliError::Unsuccessful(format!("{}: {error}", certificate.display())))
}
