//! Credentials out of the environment or a file.
//!
//! An error names the variable and the file, never what they hold.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::types::Secret;

/// Largest credential file.
pub const CREDENTIAL_BYTES_MAX: usize = 4 * 1024;

/// Looks up an environment variable: the process's own, or what a test or a demo
/// puts in its place.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The environment of this process. A value that is no text counts as unset.
#[must_use]
pub fn process_environment(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

/// Where a credential is looked for: the file if one is configured, else the variable.
#[derive(Clone, Copy, Debug)]
pub struct CredentialSource<'a> {
    /// What it is, for messages: `API key`.
    pub what: &'static str,
    /// The environment variable.
    pub variable: &'static str,
    /// The setting that may name a file.
    pub setting: &'static str,
    /// The value of that setting; empty when not set.
    pub file: &'a Path,
}

/// Why there is no credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// Neither place holds one.
    #[error("no {what}: set the environment variable {variable}, or set {setting}")]
    Missing {
        /// What is missing.
        what: &'static str,
        /// The variable that is unset or empty.
        variable: &'static str,
        /// The setting that is empty.
        setting: &'static str,
    },
    /// The configured file cannot be read.
    #[error("{setting}: the file {path} with the {what} cannot be read: {kind}", path = path.display())]
    Unreadable {
        /// What it should hold.
        what: &'static str,
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        kind: io::ErrorKind,
    },
    /// What was found can be no credential.
    #[error("the {what} in {place} {problem}")]
    Unusable {
        /// What it should be.
        what: &'static str,
        /// The variable or the file that holds it.
        place: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl CredentialSource<'_> {
    /// The credential.
    ///
    /// # Errors
    /// [`CredentialError`], [`CredentialError::Missing`] included.
    pub fn read(&self, environment: Environment<'_>) -> Result<Secret, CredentialError> {
        self.read_optional(environment)?.ok_or(CredentialError::Missing {
            what: self.what,
            variable: self.variable,
            setting: self.setting,
        })
    }

    /// The credential, or `None` when neither a file is configured nor the variable set.
    ///
    /// # Errors
    /// [`CredentialError`] for a file or variable that is there and cannot be used.
    pub fn read_optional(
        &self,
        environment: Environment<'_>,
    ) -> Result<Option<Secret>, CredentialError> {
        if !self.file.as_os_str().is_empty() {
            let text = self.read_file()?;
            return self.accept(&text, self.file.display().to_string()).map(Some);
        }
        match environment(self.variable) {
            Some(text) if !text.trim().is_empty() => {
                self.accept(&text, self.variable.to_owned()).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The place to look at when the credential is refused.
    #[must_use]
    pub fn place(&self) -> String {
        if self.file.as_os_str().is_empty() {
            self.variable.to_owned()
        } else {
            self.file.display().to_string()
        }
    }

    fn read_file(&self) -> Result<String, CredentialError> {
        let mut text = String::new();
        // One byte more than allowed tells a file that is too long from one that just fits.
        let limit = CREDENTIAL_BYTES_MAX as u64 + 1;
        File::open(self.file).and_then(|file| file.take(limit).read_to_string(&mut text)).map_err(
            |error| CredentialError::Unreadable {
                what: self.what,
                setting: self.setting,
                path: self.file.to_owned(),
                kind: error.kind(),
            },
        )?;
        Ok(text)
    }

    fn accept(&self, text: &str, place: String) -> Result<Secret, CredentialError> {
        let secret = Secret::new(text);
        let problem = if secret.expose().is_empty() {
            "is empty"
        } else if text.len() > CREDENTIAL_BYTES_MAX {
            "is longer than 4096 bytes"
        } else if !secret.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            "holds white space or characters that no credential has: one line, nothing else"
        } else {
            return Ok(secret);
        };
        Err(CredentialError::Unusable { what: self.what, place, problem })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(file: &Path) -> CredentialSource<'_> {
        CredentialSource {
            what: "API key",
            variable: "COGNIGY_API_KEY",
            setting: "dialog.cognigy-dialogs.api_key_file",
            file,
        }
    }

    fn file_with(name: &str, content: &[u8]) -> PathBuf {
        let path = std::env::temp_dir().join(format!("antiphon-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        path
    }

    #[test]
    fn the_variable_is_used_when_no_file_is_configured() {
        let secret = source(Path::new("")).read(&|_| Some(" k-123456 \n".to_owned())).unwrap();
        assert_eq!(secret.expose(), "k-123456");
    }

    #[test]
    fn the_file_goes_before_the_variable() {
        let path = file_with("key", b"from-the-file\n");
        let secret = source(&path).read(&|_| Some("from-the-variable".to_owned())).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(secret.expose(), "from-the-file");
    }

    #[test]
    fn a_missing_credential_names_the_variable_and_the_setting() {
        let error = source(Path::new("")).read(&|_| Some("  ".to_owned())).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no API key: set the environment variable COGNIGY_API_KEY, or set \
             dialog.cognigy-dialogs.api_key_file"
        );
        assert_eq!(source(Path::new("")).read_optional(&|_| None), Ok(None));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = source(Path::new("/nowhere/key")).read(&|_| None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "dialog.cognigy-dialogs.api_key_file: the file /nowhere/key with the API key \
             cannot be read: entity not found"
        );
    }

    #[test]
    fn what_can_be_no_credential_is_refused_without_repeating_it() {
        let long = "k".repeat(CREDENTIAL_BYTES_MAX + 1);
        for text in ["two words", "line\nline", "schlüssel", long.as_str()] {
            let error = source(Path::new("")).read(&|_| Some(text.to_owned())).unwrap_err();
            assert!(matches!(error, CredentialError::Unusable { .. }), "{error:?}");
            assert!(!error.to_string().contains(text));
        }
    }
}
