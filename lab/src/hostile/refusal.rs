//! How each service says that there are too many requests: code, status and form of the answer. The
//! codes are those of the services' API references, under "Common errors" or the action's own.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use super::call::Call;
use crate::ec2::ApiError;
use crate::ids::uuid;

const WORDS: &str = "Rate exceeded";

/// The answer to a call that is one too many.
pub(super) fn too_many(call: &Call, body: &[u8]) -> Response<Bytes> {
    match call.service.as_str() {
        "ec2" => ApiError::named("RequestLimitExceeded").answer(&uuid()),
        "cloudformation" | "iam" | "sts" => {
            let text = format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code>\
                 <Message>{WORDS}</Message></Error><RequestId>{}</RequestId></ErrorResponse>",
                uuid()
            );
            answer(StatusCode::BAD_REQUEST, "text/xml", text)
        }
        "s3" if call.is_head => answer(
            StatusCode::SERVICE_UNAVAILABLE,
            "application/xml",
            String::new(),
        ),
        "s3" => {
            let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>SlowDown</Code>\
                 <Message>Please reduce your request rate.</Message></Error>";
            let text = text.to_owned();
            answer(StatusCode::SERVICE_UNAVAILABLE, "application/xml", text)
        }
        "lambda" | "apigateway" => {
            let text = json!({ "message": WORDS, "Type": "User" }).to_string();
            let kind = "application/json";
            let mut answer = answer(StatusCode::TOO_MANY_REQUESTS, kind, text);
            let code = HeaderValue::from_static("TooManyRequestsException");
            answer.headers_mut().insert("x-amzn-errortype", code);
            answer
        }
        "dynamodb" => of_table(call, body),
        _ => json_error(&json!({ "__type": "ThrottlingException", "message": WORDS })),
    }
}

/// A transaction is cancelled, with a reason for each of its items.
fn of_table(call: &Call, body: &[u8]) -> Response<Bytes> {
    const VERSION: &str = "com.amazonaws.dynamodb.v20120810#";
    let of = |code: &str| json!({ "__type": format!("{VERSION}{code}"), "message": WORDS });
    json_error(&match call.action.as_str() {
        "Query" => of("ProvisionedThroughputExceededException"),
        "TransactWriteItems" => {
            let asked: Value = serde_json::from_slice(body).unwrap_or_default();
            let items = asked["TransactItems"].as_array().map_or(1, Vec::len);
            let mut reasons = vec![json!({ "Code": "None" }); items];
            if let Some(last) = reasons.last_mut() {
                *last = json!({ "Code": "ProvisionedThroughputExceeded", "Message": WORDS });
            }
            let mut cancelled = of("TransactionCanceledException");
            cancelled["CancellationReasons"] = Value::from(reasons);
            cancelled
        }
        _ => of("ThrottlingException"),
    })
}

fn json_error(error: &Value) -> Response<Bytes> {
    let kind = "application/x-amz-json-1.1";
    answer(StatusCode::BAD_REQUEST, kind, error.to_string())
}

fn answer(status: StatusCode, kind: &'static str, text: String) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from(text));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    answer
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, kind);
    answer
}
