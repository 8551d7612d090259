//! What the API answers over HTTP: to a forge a JSON object, to a runner a few plain lines.

use serde_json::{Value, json};

/// An HTTP response. Its body may be a credential, so it has no `Debug`.
pub struct HttpResponse {
    status: u16,
    content_type: &'static str,
    body: String,
}

impl HttpResponse {
    /// A plain text answer.
    #[must_use]
    pub fn text(status: u16, text: &str) -> Self {
        Self {
            status,
            content_type: "text/plain",
            body: format!("{text}\n"),
        }
    }

    /// An answer whose body is not for any log.
    #[must_use]
    pub fn secret(body: String) -> Self {
        Self {
            status: 200,
            content_type: "text/plain",
            body,
        }
    }

    /// A JSON answer.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            content_type: "application/json",
            body: body.to_string(),
        }
    }

    /// As API Gateway wants it.
    pub(crate) fn into_value(self) -> Value {
        json!({
            "statusCode": self.status,
            "headers": { "content-type": self.content_type },
            "body": self.body,
            "isBase64Encoded": false,
        })
    }
}
