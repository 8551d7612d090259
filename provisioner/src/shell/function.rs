//! The deployed function, as `down` calls it.

use aws_sdk_lambda::primitives::Blob;
use aws_smithy_types::retry::RetryConfig;
use stacks::names::ACTION_RETIRE;

use super::Shell;
use crate::aws::{CallError, failed};

impl Shell<'_> {
    /// Tells the dispatcher to end its machines and to take its registrations at the forge back.
    /// Says what went wrong, or nothing; a function that is not there has nothing to retire.
    pub(crate) async fn retire(&self, function: &str) -> Result<Option<String>, CallError> {
        let call = "Invoke";
        let answer = self
            .lambda
            .invoke()
            .function_name(function)
            .payload(Blob::new(
                serde_json::json!({ "action": ACTION_RETIRE }).to_string(),
            ))
            .customize()
            .config_override(
                aws_sdk_lambda::config::Config::builder().retry_config(RetryConfig::disabled()),
            )
            .send()
            .await
            .map_err(failed(call));
        match answer {
            Ok(answer) if answer.function_error.is_none() => Ok(None),
            Ok(answer) => {
                let payload = answer.payload.map(Blob::into_inner).unwrap_or_default();
                let words: String = String::from_utf8_lossy(&payload)
                    .chars()
                    .take(300)
                    .collect();
                Ok(Some(words))
            }
            Err(error) if error.is("ResourceNotFoundException") => Ok(None),
            Err(error) => Err(error),
        }
    }
}
