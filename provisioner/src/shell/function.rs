//! The deployed function, as commands call it.

use std::time::Duration;

use aws_sdk_lambda::operation::invoke::InvokeOutput;
use aws_sdk_lambda::primitives::Blob;
use aws_smithy_types::retry::RetryConfig;
use serde::de::DeserializeOwned;
use stacks::names::{ACTION_CLEANUP, ACTION_REHEARSE, ACTION_RETIRE, ACTION_SMOKE_TEST};
use stacks::rehearsal::Rehearsal;
use stacks::smoke_test::{SmokeState, SmokeTest};

use super::Shell;
use crate::aws::{CallError, failed};

/// Longest of a failed function's words that are shown, in characters.
const WORDS_MAX_CHARS: usize = 300;
/// How often the function is called while the account has no room for one invocation more: a new account
/// runs ten at a time.
const THROTTLED_TRIES: u32 = 6;
/// The wait after the first such refusal; each is twice as long as the one before.
const THROTTLED_WAIT: Duration = Duration::from_millis(500);

impl Shell<'_> {
    /// Tells the dispatcher to end its machines and to take its registrations at the forge back.
    /// Says what went wrong, or nothing; a function that is not there has nothing to retire.
    pub(crate) async fn retire(&self, function: &str) -> Result<Option<String>, CallError> {
        let retire = serde_json::json!({ "action": ACTION_RETIRE });
        match self.call(function, &retire).await {
            Ok(answer) => Ok(answer.err()),
            Err(error) if error.is("ResourceNotFoundException") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Has the dispatcher try every call that it makes, without effect.
    pub(crate) async fn rehearse(&self, function: &str) -> Result<Rehearsal, CallError> {
        let rehearse = serde_json::json!({ "action": ACTION_REHEARSE });
        self.answer(function, &rehearse, "the function's rehearsal")
            .await
    }

    /// Has the dispatcher do one step of a smoke test.
    pub(crate) async fn smoke_test(
        &self,
        function: &str,
        asked: &SmokeTest,
    ) -> Result<SmokeState, CallError> {
        let step = serde_json::json!({
            "action": ACTION_SMOKE_TEST, "id": asked.id, "step": asked.step,
        });
        self.answer(function, &step, "the smoke test").await
    }

    /// Has the dispatcher do now what it does on schedule.
    pub(crate) async fn tick(&self, function: &str) -> Result<(), CallError> {
        let tick = serde_json::json!({ "action": ACTION_CLEANUP });
        let done = self.answer::<serde_json::Value>(function, &tick, "the reconcile");
        done.await.map(drop)
    }

    /// What the function answers to `payload`; that it failed is an error of the call named `what`.
    async fn answer<T: DeserializeOwned>(
        &self,
        function: &str,
        payload: &serde_json::Value,
        what: &'static str,
    ) -> Result<T, CallError> {
        let answer = self.call(function, payload).await?;
        let answer = answer
            .and_then(|answer| serde_json::from_value(answer).map_err(|error| error.to_string()));
        answer.map_err(|message| CallError {
            call: what,
            code: Some("FunctionError".to_owned()),
            message,
        })
    }

    /// What AWS denied, in its JSON.
    pub(crate) async fn decode_denial(&self, encoded: &str) -> Result<String, CallError> {
        let request = self.sts.decode_authorization_message();
        let decoded = request.encoded_message(encoded).send().await;
        let decoded = decoded.map_err(failed("DecodeAuthorizationMessage"))?;
        Ok(decoded.decoded_message.unwrap_or_default())
    }

    /// Calls the function and waits for its answer, or for its words on why it failed.
    pub(crate) async fn call(
        &self,
        function: &str,
        payload: &serde_json::Value,
    ) -> Result<Result<serde_json::Value, String>, CallError> {
        let mut wait = THROTTLED_WAIT;
        let mut answer = self.invoke_once(function, payload).await;
        for _ in 1..THROTTLED_TRIES {
            match &answer {
                // Refused before the function heard of it.
                Err(error) if error.is("TooManyRequestsException") => {
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                    answer = self.invoke_once(function, payload).await;
                }
                Ok(_) | Err(_) => break,
            }
        }
        let answer = answer?;
        let payload = answer.payload.map(Blob::into_inner).unwrap_or_default();
        let words = || -> String {
            let failure: serde_json::Value = serde_json::from_slice(&payload).unwrap_or_default();
            let text = String::from_utf8_lossy(&payload);
            let words = failure["errorMessage"].as_str().unwrap_or(&text);
            words.chars().take(WORDS_MAX_CHARS).collect()
        };
        Ok(match answer.function_error {
            None => serde_json::from_slice(&payload).map_err(|_| words()),
            Some(_) => Err(words()),
        })
    }

    /// Not sent again by the SDK, after a time-out for instance: nobody knows whether the function is at
    /// it.
    async fn invoke_once(
        &self,
        function: &str,
        payload: &serde_json::Value,
    ) -> Result<InvokeOutput, CallError> {
        let once = aws_sdk_lambda::config::Config::builder().retry_config(RetryConfig::disabled());
        let sent = self
            .lambda
            .invoke()
            .function_name(function)
            .payload(Blob::new(payload.to_string()))
            .customize()
            .config_override(once)
            .send()
            .await;
        sent.map_err(failed("Invoke"))
    }
}
