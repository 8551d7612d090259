//! What EC2 says of a denial for those alone who may have it decoded: the document that STS shows them, in
//! the shape of its API reference (`DecodeAuthorizationMessage`), and the opaque text that stands for it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::ids::secret;
use crate::rights::judge::Denied;

/// Bytes of the seal before the document.
const MAC_BYTES: usize = 32;

/// Tells what this lab encoded from all else.
pub(super) struct Seal(String);

impl Seal {
    pub(super) fn new() -> Self {
        Self(secret())
    }

    /// The document as text that says nothing by itself, about as long as AWS's.
    pub(super) fn close(&self, document: &Value) -> String {
        let text = document.to_string();
        let mut sealed = self.mac(text.as_bytes()).finalize().into_bytes().to_vec();
        sealed.extend(text.as_bytes());
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// The document again, if this seal closed it and nothing was cut off.
    pub(super) fn open(&self, encoded: &str) -> Option<String> {
        let sealed = URL_SAFE_NO_PAD.decode(encoded).ok()?;
        let (mac, text) = sealed.split_at_checked(MAC_BYTES)?;
        self.mac(text).verify_slice(mac).ok()?;
        String::from_utf8(text.to_vec()).ok()
    }

    fn mac(&self, text: &[u8]) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(self.0.as_bytes());
        mac.expect("HMAC takes a key of any length")
            .chain_update(text)
    }
}

/// The document on what was denied to `(id, ARN)`.
pub(super) fn document(denied: &Denied, (id, arn): (&str, &str)) -> Value {
    let conditions = denied
        .context
        .iter()
        .map(|(key, values)| json!({ "key": key, "values": items(values.iter().map(value)) }));
    json!({
        "allowed": false,
        "explicitDeny": denied.explicit,
        "matchedStatements": items(denied.statements.iter().map(statement)),
        "failures": items([]),
        "context": {
            "principal": { "id": id, "arn": arn },
            "action": denied.action,
            "resource": denied.resource,
            "conditions": items(conditions),
        },
    })
}

/// A statement of a policy that denied it.
fn statement(statement: &Value) -> Value {
    let tests = statement["Condition"].as_object();
    let keys = tests
        .into_iter()
        .flatten()
        .filter_map(|(_, keys)| keys.as_object())
        .flatten();
    let conditions = keys.map(|(key, values)| json!({ "key": key, "values": texts(values) }));
    json!({
        "statementId": statement["Sid"].as_str().unwrap_or_default(),
        "effect": "DENY",
        "principals": items([]),
        "principalGroups": items([]),
        "actions": texts(&statement["Action"]),
        "resources": texts(&statement["Resource"]),
        "conditions": items(conditions),
    })
}

/// One text or a list of them, as a list of values.
fn texts(one_or_more: &Value) -> Value {
    match one_or_more {
        Value::Array(all) => items(all.iter().map(value)),
        Value::Null => items([]),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            items([value(one_or_more)])
        }
    }
}

fn value(text: impl serde::Serialize) -> Value {
    json!({ "value": text })
}

fn items(items: impl IntoIterator<Item = Value>) -> Value {
    json!({ "items": items.into_iter().collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(statements: &Value, explicit: bool) -> Denied {
        serde_json::from_value(json!({
            "action": "ec2:RunInstances",
            "resource": "arn:aws:ec2:eu-west-1:1:instance/*",
            "explicit": explicit,
            "statements": statements,
            "context": { "ec2:Region": ["eu-west-1"], "aws:TagKeys": ["a", "b"] },
        }))
        .unwrap()
    }

    #[test]
    fn only_what_was_closed_here_and_is_whole_opens() {
        let (seal, other) = (Seal::new(), Seal::new());
        let document = json!({ "allowed": false });
        let closed = seal.close(&document);
        assert_eq!(seal.open(&closed), Some(document.to_string()));
        assert_eq!(other.open(&closed), None);
        assert_eq!(seal.open(&closed[..closed.len() - 4]), None);
        for nothing in ["", "x", "not base64!", &"A".repeat(40)] {
            assert_eq!(seal.open(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_denial_for_want_of_a_statement_names_none_and_an_explicit_one_names_it() {
        let who = ("AROA1:f", "arn:aws:sts::1:assumed-role/r/f");
        let implicit = document(&denied(&json!([]), false), who);
        assert_eq!(implicit["explicitDeny"], false);
        assert_eq!(implicit["matchedStatements"], json!({ "items": [] }));
        assert_eq!(implicit["context"]["principal"]["arn"], who.1);
        assert_eq!(
            implicit["context"]["conditions"]["items"][0],
            json!({ "key": "aws:TagKeys", "values": { "items": [{ "value": "a" }, { "value": "b" }] } })
        );
        let no = json!([{
            "Sid": "No", "Effect": "Deny", "Action": "ec2:*", "Resource": ["*"],
            "Condition": { "StringEquals": { "ec2:Region": "eu-west-1" } },
        }]);
        let explicit = document(&denied(&no, true), who);
        let matched = &explicit["matchedStatements"]["items"][0];
        assert_eq!(matched["statementId"], "No");
        assert_eq!(matched["actions"]["items"][0]["value"], "ec2:*");
        assert_eq!(
            matched["conditions"]["items"][0],
            json!({ "key": "ec2:Region", "values": { "items": [{ "value": "eu-west-1" }] } })
        );
    }
}
