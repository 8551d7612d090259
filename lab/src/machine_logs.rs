//! `CloudWatch` Logs as machines reach it: who asks is told by the keys of the metadata services, what the
//! role may do by its policies, and what was said goes to the emulator's own log groups.

use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;
use serde_json::{Value, json};

use crate::Error;
use crate::folder::REGION;
use crate::front_door::{Answer, FrontDoor, message, trouble};
use crate::metadata::Issued;
use crate::rights::Session;

/// The one operation that a machine has a use for.
const TARGET: &str = "Logs_20140328.PutLogEvents";

impl FrontDoor {
    /// Takes what a machine has to say.
    pub(crate) async fn machine_logs(&self, parts: &Parts, body: Bytes) -> Answer {
        let Ok(caller) = self.authorize("logs", parts, &body) else {
            return refused("UnrecognizedClientException");
        };
        match self.put_events(&caller, parts, &body).await {
            Ok(answer) => {
                let caller_is = (self.emulator.account(), Some(caller.role.as_str()));
                let status = answer.status();
                let about = Value::Null;
                self.recording.note(caller_is, parts, &body, status, &about);
                answer
            }
            Err(error) => trouble(&error),
        }
    }

    async fn put_events(
        &self,
        caller: &Issued,
        parts: &Parts,
        body: &Bytes,
    ) -> Result<Answer, Error> {
        let target = parts.headers.get("x-amz-target");
        let target = target.and_then(|target| target.to_str().ok());
        let Ok(request) = serde_json::from_slice::<Value>(body) else {
            return Ok(refused("SerializationException"));
        };
        if target != Some(TARGET) {
            return Ok(refused("UnknownOperationException"));
        }
        if !self.may_put(caller, parts, body, &request).await? {
            return Ok(refused("AccessDeniedException"));
        }
        self.emulator.logs(TARGET, body.clone()).await
    }

    async fn may_put(
        &self,
        caller: &Issued,
        parts: &Parts,
        body: &[u8],
        request: &Value,
    ) -> Result<bool, Error> {
        if self.rights.is_on() {
            let session = Session {
                role: caller.role.clone(),
                name: caller.instance.clone(),
            };
            let refusal = self
                .rights
                .refusal(&self.emulator, &session, parts, body, &Value::Null);
            return Ok(refusal.await?.is_none());
        }
        let word = |key: &str| request[key].as_str().unwrap_or_default();
        let stream = format!(
            "arn:aws:logs:{REGION}:{}:log-group:{}:log-stream:{}",
            self.emulator.account(),
            word("logGroupName"),
            word("logStreamName")
        );
        let action = "logs:PutLogEvents";
        self.emulator.allows(&caller.role, action, &stream).await
    }
}

/// As AWS's JSON services refuse.
fn refused(kind: &str) -> Answer {
    let mut answer = message(StatusCode::BAD_REQUEST, "");
    *answer.body_mut() = Bytes::from(json!({ "__type": kind }).to_string());
    answer
}
