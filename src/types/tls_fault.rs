//! Why there is no TLS connection, and what to do about it.

use std::fmt;

use rustls::{CertificateError, Error};

/// What keeps a TLS connection from being made. Nothing was asked over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// Somebody answers, and not with TLS.
    NotTls,
    /// Its certificate is for another host.
    WrongName,
    /// Its certificate is for no host at all.
    NoName,
    /// Its certificate was valid once.
    Expired,
    /// Its certificate will be valid.
    NotYetValid,
    /// Nobody who is trusted vouches for it.
    UnknownIssuer,
    /// Its certificate is one to issue others with, as `openssl req -x509` makes them.
    IssuerItself,
    /// Its issuer took the certificate back.
    Revoked,
    /// Something else is wrong with its certificate.
    Certificate,
    /// Both speak TLS and found nothing in common.
    Handshake,
    /// This computer trusts nobody.
    NoRoots,
}

impl From<&Error> for TlsFault {
    fn from(error: &Error) -> Self {
        match error {
            Error::InvalidMessage(_) => Self::NotTls,
            Error::InvalidCertificate(error) => Self::of_certificate(error),
            _ => Self::Handshake,
        }
    }
}

impl TlsFault {
    fn of_certificate(error: &CertificateError) -> Self {
        use CertificateError as E;
        match error {
            E::Expired | E::ExpiredContext { .. } => Self::Expired,
            E::NotValidYet | E::NotValidYetContext { .. } => Self::NotYetValid,
            E::NotValidForNameContext { presented, .. } if presented.is_empty() => Self::NoName,
            E::NotValidForName | E::NotValidForNameContext { .. } => Self::WrongName,
            // The latter: of an issuer who has the name of a trusted one and another key, as a
            // self-signed certificate that was made anew.
            E::UnknownIssuer | E::BadSignature => Self::UnknownIssuer,
            E::Revoked => Self::Revoked,
            // What the verifier has no name of its own for, it names by its text only.
            E::Other(other) => match other.to_string().as_str() {
                "CaUsedAsEndEntity" => Self::IssuerItself,
                // Version 1 has no place for names of hosts.
                text if text.starts_with("UnsupportedCertVersion") => Self::NoName,
                _ => Self::Certificate,
            },
            _ => Self::Certificate,
        }
    }

    /// The name used in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotTls => "no_tls",
            Self::WrongName => "certificate_wrong_name",
            Self::NoName => "certificate_no_name",
            Self::Expired => "certificate_expired",
            Self::NotYetValid => "certificate_not_yet_valid",
            Self::UnknownIssuer => "certificate_unknown_issuer",
            Self::IssuerItself => "certificate_of_issuer",
            Self::Revoked => "certificate_revoked",
            Self::Certificate => "certificate_unusable",
            Self::Handshake => "tls_handshake",
            Self::NoRoots => "no_root_certificates",
        }
    }
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotTls => "it does not speak TLS; is it http instead of https?",
            Self::WrongName => {
                "its certificate is for another name; use a name that stands in it, or have one \
                 issued for this name"
            }
            Self::NoName => {
                "its certificate names no host; have one issued with the host in subjectAltName"
            }
            Self::Expired => "its certificate has expired; have it renewed",
            Self::NotYetValid => {
                "its certificate is not valid yet; look at its dates and at the clock here"
            }
            Self::UnknownIssuer => {
                "its certificate is self-signed or of an unknown issuer; SSL_CERT_FILE names a \
                 file of those that are trusted"
            }
            Self::IssuerItself => {
                "its certificate is one to issue others with (CA:TRUE), as openssl req -x509 makes \
                 them; have it show one that was issued for its host, or make it with -addext \
                 basicConstraints=critical,CA:FALSE"
            }
            Self::Revoked => "its certificate was revoked; have a new one issued",
            Self::Certificate => {
                "its certificate cannot be used; look at it with openssl s_client -connect"
            }
            Self::Handshake => {
                "it speaks TLS otherwise: another version, or it wants a certificate"
            }
            Self::NoRoots => {
                "this computer has no root certificates; install them (Debian package \
                 ca-certificates), or name a file of them in SSL_CERT_FILE"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::OtherError;
    use rustls::pki_types::ServerName;

    use super::*;

    fn of(error: CertificateError) -> TlsFault {
        TlsFault::from(&Error::InvalidCertificate(error))
    }

    fn for_name(presented: &[&str]) -> CertificateError {
        CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("bots.example").expect("a name"),
            presented: presented.iter().map(ToString::to_string).collect(),
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("CaUsedAsEndEntity")]
    struct OfVerifier;

    #[test]
    fn each_reason_has_a_name_and_a_hint_of_its_own() {
        let of_verifier = CertificateError::Other(OtherError(Arc::new(OfVerifier)));
        let told = [
            of(CertificateError::Expired),
            of(CertificateError::NotValidYet),
            of(for_name(&["other.example"])),
            of(for_name(&[])),
            of(CertificateError::UnknownIssuer),
            of(of_verifier),
            of(CertificateError::BadEncoding),
            TlsFault::from(&Error::HandshakeNotComplete),
        ];
        let names = told.map(TlsFault::as_str);
        assert_eq!(
            names,
            [
                "certificate_expired",
                "certificate_not_yet_valid",
                "certificate_wrong_name",
                "certificate_no_name",
                "certificate_unknown_issuer",
                "certificate_of_issuer",
                "certificate_unusable",
                "tls_handshake",
            ]
        );
        assert_eq!(of(CertificateError::BadSignature), TlsFault::UnknownIssuer);
        let hints: std::collections::BTreeSet<String> =
            told.iter().map(ToString::to_string).collect();
        assert_eq!(hints.len(), told.len());
    }
}
