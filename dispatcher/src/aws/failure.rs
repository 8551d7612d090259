//! A call to AWS that failed, as logs and operators read it.

use std::fmt;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

/// A call to AWS that failed, without the request's contents.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{call} failed: {code}: {message}")]
pub struct Failure {
    /// Which call.
    pub call: &'static str,
    /// AWS's error code, or the kind of failure when there was no answer.
    pub code: String,
    /// AWS's words.
    pub message: String,
}

impl Failure {
    pub(crate) fn new(call: &'static str, code: &str, message: String) -> Self {
        Self {
            call,
            code: code.to_owned(),
            message,
        }
    }

    pub(super) fn of<E, R>(call: &'static str, error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: fmt::Debug,
    {
        let (code, message) = if let Some(answer) = error.as_service_error() {
            (
                answer.code().unwrap_or("unknown"),
                answer.message().unwrap_or_default(),
            )
        } else if matches!(error, SdkError::TimeoutError(_)) {
            ("timeout", "no answer in time")
        } else if matches!(error, SdkError::DispatchFailure(_)) {
            ("no-connection", "could not connect")
        } else {
            ("bad-answer", "the answer can't be read")
        };
        Self::new(call, code, message.to_owned())
    }
}
