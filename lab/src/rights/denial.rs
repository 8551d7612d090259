//! A call that a role's policies do not allow, as each protocol of AWS answers it.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::json;

use crate::ec2::Xml;
use crate::ids::uuid;
use crate::rights::Session;
use crate::rights::judge::Denied;
use crate::rights::message::{Seal, document};

/// Where REST services say which error it is.
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
/// What all services but EC2 call it; those of the Query protocol leave the last word out.
const DENIED: &str = "AccessDeniedException";
const DENIED_BY_QUERY: &str = "AccessDenied";

/// Why a call is not served.
#[derive(Debug)]
pub(crate) struct Denial {
    words: String,
    /// What only STS makes readable; `None` where no resource is asked for, of which EC2 encodes nothing.
    encoded: Option<String>,
}

impl Denial {
    /// To `session` of the role with this id.
    pub(super) fn new(
        denied: &Denied,
        account: &str,
        session: &Session,
        role_id: &str,
        seal: &Seal,
    ) -> Self {
        let Session { role, name } = session;
        let arn = format!("arn:aws:sts::{account}:assumed-role/{role}/{name}");
        let id = format!("{role_id}:{name}");
        let Denied {
            action, resource, ..
        } = denied;
        let has_resource = resource != "*";
        let on = if has_resource {
            format!(" on resource: {resource}")
        } else {
            String::new()
        };
        // IAM guide, "Troubleshoot access denied error messages".
        let because = if denied.explicit {
            "with an explicit deny in an identity-based policy".to_owned()
        } else {
            format!("because no identity-based policy allows the {action} action")
        };
        Self {
            words: format!("User: {arn} is not authorized to perform: {action}{on} {because}"),
            encoded: has_resource.then(|| seal.close(&document(denied, (&id, &arn)))),
        }
    }

    /// EC2's words for it.
    pub(crate) fn of_ec2(&self) -> String {
        let words = format!(
            "You are not authorized to perform this operation. {}.",
            self.words
        );
        match &self.encoded {
            Some(encoded) => format!("{words} Encoded authorization failure message: {encoded}"),
            None => words,
        }
    }

    /// The answer of the service that was asked, by its protocol: JSON with a target (DynamoDB, Systems
    /// Manager), the Query protocol (STS) or REST with JSON (Lambda).
    pub(crate) fn answer(&self, parts: &Parts) -> Response<Bytes> {
        let kind = parts.headers.get(CONTENT_TYPE);
        if parts.headers.contains_key("x-amz-target") {
            let body = json!({ "__type": DENIED, "Message": self.words });
            return answer(StatusCode::BAD_REQUEST, kind, body.to_string());
        }
        let is_form = |kind: &HeaderValue| kind.as_bytes().starts_with(b"application/x-www-form");
        if kind.is_some_and(is_form) {
            return query_error(StatusCode::FORBIDDEN, DENIED_BY_QUERY, &self.words);
        }
        let body = json!({ "Message": self.words }).to_string();
        let mut answer = answer(StatusCode::FORBIDDEN, None, body);
        let headers = answer.headers_mut();
        headers.insert(ERROR_TYPE, HeaderValue::from_static(DENIED));
        answer
    }
}

/// STS's answer to `operation`, with one value.
pub(super) fn query_answer(operation: &str, name: &str, value: &str) -> Response<Bytes> {
    let mut xml = Xml::new();
    let (response, result) = (format!("{operation}Response"), format!("{operation}Result"));
    xml.open(&response).open(&result).leaf(name, value);
    xml.close(&result).open("ResponseMetadata");
    xml.leaf("RequestId", &uuid()).close("ResponseMetadata");
    xml.close(&response);
    of_xml(StatusCode::OK, xml)
}

/// STS's error.
pub(super) fn query_error(status: StatusCode, code: &str, words: &str) -> Response<Bytes> {
    let mut xml = Xml::new();
    xml.open("ErrorResponse").open("Error");
    xml.leaf("Type", "Sender").leaf("Code", code);
    xml.leaf("Message", words).close("Error");
    xml.leaf("RequestId", &uuid()).close("ErrorResponse");
    of_xml(status, xml)
}

fn of_xml(status: StatusCode, xml: Xml) -> Response<Bytes> {
    let kind = HeaderValue::from_static("text/xml");
    answer(status, Some(&kind), xml.finish())
}

fn answer(status: StatusCode, kind: Option<&HeaderValue>, body: String) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from(body));
    *answer.status_mut() = status;
    let json = || HeaderValue::from_static("application/json");
    let kind = kind.cloned().unwrap_or_else(json);
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn denial(resource: &str, explicit: bool) -> Denial {
        let denied = json!({
            "action": "a:B", "resource": resource, "explicit": explicit, "statements": [], "context": {},
        });
        let session = Session {
            role: "r".to_owned(),
            name: "f".to_owned(),
        };
        let denied: Denied = serde_json::from_value(denied).unwrap();
        Denial::new(&denied, "1", &session, "AROA1", &Seal::new())
    }

    #[test]
    fn the_words_are_those_of_aws_and_only_a_named_resource_is_encoded() {
        let user = "User: arn:aws:sts::1:assumed-role/r/f is not authorized to perform: a:B";
        let because = "because no identity-based policy allows the a:B action";
        let all = denial("*", false);
        assert_eq!(all.words, format!("{user} {because}"));
        assert!(!all.of_ec2().contains("Encoded"));
        let one = denial("arn:x", true);
        let explicit = "with an explicit deny in an identity-based policy";
        assert_eq!(one.words, format!("{user} on resource: arn:x {explicit}"));
        let words = one.of_ec2();
        let (before, encoded) = words
            .split_once(" Encoded authorization failure message: ")
            .unwrap();
        assert!(before.starts_with("You are not authorized to perform this operation. User: "));
        assert!(encoded.len() > 100, "{encoded}");
    }

    #[test]
    fn each_protocol_has_its_own_shape() {
        let denial = denial("arn:x", false);
        let answer = |headers: &[(&str, &str)]| {
            let mut request = http::Request::post("/");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let answer = denial.answer(&parts);
            let body = String::from_utf8(answer.body().to_vec()).unwrap();
            (answer.status().as_u16(), answer.headers().clone(), body)
        };
        let kind = ("content-type", "application/x-amz-json-1.0");
        let (status, headers, body) = answer(&[("x-amz-target", "DynamoDB_20120810.Query"), kind]);
        assert_eq!(
            (status, headers["content-type"].to_str().unwrap()),
            (400, kind.1)
        );
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["__type"], DENIED);
        let (status, headers, body) = answer(&[("content-type", "application/json")]);
        assert_eq!(
            (status, headers[&ERROR_TYPE].to_str().unwrap()),
            (403, DENIED)
        );
        assert!(body.starts_with("{\"Message\":\"User: "), "{body}");
        let form = "application/x-www-form-urlencoded";
        let (status, _, body) = answer(&[("content-type", form)]);
        assert_eq!(status, 403);
        assert!(body.contains("<Code>AccessDenied</Code>"), "{body}");
    }
}
