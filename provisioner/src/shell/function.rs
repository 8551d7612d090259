//! The deployed function, called by hand.

use aws_sdk_lambda::operation::invoke::InvokeOutput;
use aws_sdk_lambda::primitives::Blob;
use aws_smithy_types::retry::RetryConfig;
use stacks::names::{ACTION_REHEARSE, ACTION_RETIRE};
use stacks::rehearsal::Rehearsal;

use super::Shell;
use crate::aws::{CallError, failed};

const CALL: &str = "Invoke";
/// Longest part of an answer that is shown, in characters.
const WORDS_MAX_CHARS: usize = 300;

impl Shell<'_> {
    /// Tells the dispatcher to end its machines and to take its registrations at the forge back.
    /// Says what went wrong, or nothing; a function that is not there has nothing to retire.
    pub(crate) async fn retire(&self, function: &str) -> Result<Option<String>, CallError> {
        match self.ask_function(function, ACTION_RETIRE).await {
            Ok(answer) if answer.function_error.is_none() => Ok(None),
            Ok(answer) => Ok(Some(words(&payload(answer)))),
            Err(error) if error.is("ResourceNotFoundException") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Has the dispatcher try every call that it makes, without effect.
    pub(crate) async fn rehearse(&self, function: &str) -> Result<Rehearsal, CallError> {
        let answer = self.ask_function(function, ACTION_REHEARSE).await?;
        let has_failed = answer.function_error.is_some();
        let payload = payload(answer);
        let rehearsal = serde_json::from_slice(&payload).ok();
        rehearsal.filter(|_| !has_failed).ok_or_else(|| CallError {
            call: "the function's rehearsal",
            code: Some("FunctionError".to_owned()),
            message: words(&payload),
        })
    }

    /// What AWS denied, in its JSON.
    pub(crate) async fn decode_denial(&self, encoded: &str) -> Result<String, CallError> {
        let request = self.sts.decode_authorization_message();
        let decoded = request.encoded_message(encoded).send().await;
        let decoded = decoded.map_err(failed("DecodeAuthorizationMessage"))?;
        Ok(decoded.decoded_message.unwrap_or_default())
    }

    async fn ask_function(&self, function: &str, action: &str) -> Result<InvokeOutput, CallError> {
        let payload = serde_json::json!({ "action": action }).to_string();
        self.lambda
            .invoke()
            .function_name(function)
            .payload(Blob::new(payload))
            .customize()
            .config_override(
                aws_sdk_lambda::config::Config::builder().retry_config(RetryConfig::disabled()),
            )
            .send()
            .await
            .map_err(failed(CALL))
    }
}

fn payload(answer: InvokeOutput) -> Vec<u8> {
    answer.payload.map(Blob::into_inner).unwrap_or_default()
}

fn words(payload: &[u8]) -> String {
    let text = String::from_utf8_lossy(payload);
    text.chars().take(WORDS_MAX_CHARS).collect()
}
