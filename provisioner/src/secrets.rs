//! Values of secrets on their way into parameters. They are never shown: not by `Debug`, not in
//! errors, not on a command line.

use std::collections::BTreeMap;
use std::fmt;

use stacks::names::SecretName;

/// Longest value that a standard parameter holds.
const VALUE_MAX_BYTES: usize = 4096;
/// Shorter webhook secrets can be guessed from one recorded delivery.
const WEBHOOK_MIN_CHARS: usize = 16;
/// Random bytes of a webhook secret that we make: as many as the HMAC's block of output.
const WEBHOOK_BYTES: usize = 32;

/// Values that were given, by secret.
pub type Secrets = BTreeMap<SecretName, SecretValue>;

/// One secret's value.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(String);

/// Why a value can't be a secret. It never says the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Nothing was given.
    #[error("the value of {0} is empty; give it at the prompt, on standard input or as a file")]
    Empty(&'static str),
    /// It does not fit.
    #[error("the value of {0} is longer than {VALUE_MAX_BYTES} bytes")]
    TooLong(&'static str),
    /// It can be guessed.
    #[error(
        "the value of {0} is shorter than {WEBHOOK_MIN_CHARS} characters; leave it out and `up` makes one"
    )]
    TooShort(&'static str),
    /// It holds what no token holds.
    #[error("the value of {0} holds spaces or control characters; give the token alone")]
    NotOneWord(&'static str),
    /// The operating system has no random numbers.
    #[error("the operating system gives no random bytes")]
    Random(#[from] getrandom::Error),
}

impl SecretValue {
    /// A value for `secret`, without the newline that files and pipes end with.
    pub fn new(secret: SecretName, text: &str) -> Result<Self, SecretError> {
        let name = secret.name();
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return Err(SecretError::Empty(name));
        }
        if text.len() > VALUE_MAX_BYTES {
            return Err(SecretError::TooLong(name));
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(SecretError::NotOneWord(name));
        }
        if secret == SecretName::Webhook && text.chars().count() < WEBHOOK_MIN_CHARS {
            return Err(SecretError::TooShort(name));
        }
        Ok(Self(text.to_owned()))
    }

    /// A new webhook secret from the operating system's random numbers.
    pub fn random() -> Result<Self, SecretError> {
        let mut bytes = [0; WEBHOOK_BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(Self(hex::encode(bytes)))
    }

    /// The value itself, for the one call that needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_one_word_and_are_never_shown() {
        let value = SecretValue::new(SecretName::ForgeToken, "token-of-the-forge\n").unwrap();
        assert_eq!(value.reveal(), "token-of-the-forge");
        assert!(!format!("{value:?}").contains("token"));
        for (secret, text) in [
            (SecretName::ForgeToken, ""),
            (SecretName::ForgeToken, "two words"),
            (SecretName::Webhook, "guessable"),
        ] {
            let error = SecretValue::new(secret, text).unwrap_err().to_string();
            assert!(text.is_empty() || !error.contains(text), "{error}");
        }
        assert!(SecretValue::new(SecretName::CloneToken, &"x".repeat(5000)).is_err());
    }

    #[test]
    fn random_secrets_differ() {
        let one = SecretValue::random().unwrap();
        assert_ne!(one, SecretValue::random().unwrap());
        assert_eq!(one.reveal().len(), 64);
    }
}
