//! Verifies AWS Signature Version 4. Written from the specification: what the SDK and curl sign must
//! pass, and nothing else.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::{AUTHORIZATION, HeaderName};
use http::request::Parts;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// How far the signer's clock may be from ours: API Gateway and EC2 allow five minutes.
pub(crate) const SKEW_MAX_S: i64 = 300;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const CONTENT_HASH: HeaderName = HeaderName::from_static("x-amz-content-sha256");

/// A pair of keys, with a session token when it is temporary.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
}

/// Why a request is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// No signature at all.
    #[error("the request carries no signature")]
    Unsigned,
    /// Not in the form that the specification asks for.
    #[error("the signature can't be parsed")]
    Malformed,
    /// Something that must be signed is not.
    #[error("a header that must be signed is not")]
    HeaderNotSigned,
    /// Another clock, or an old request.
    #[error("the signature has expired")]
    Expired,
    /// The key is not known, or no longer.
    #[error("the access key does not exist")]
    UnknownKey,
    /// The session token is not that of the key.
    #[error("the security token is invalid")]
    WrongToken,
    /// Signed by someone else, or altered.
    #[error("the signature does not match")]
    Mismatch,
}

/// What the `Authorization` header claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) key_id: String,
    pub(crate) region: String,
    pub(crate) service: String,
    date: String,
    signed_headers: Vec<String>,
    signature: String,
}

impl Claim {
    /// Reads the claim; nothing in it is verified yet.
    pub(crate) fn of(parts: &Parts) -> Result<Self, Refusal> {
        let header = parts.headers.get(AUTHORIZATION).ok_or(Refusal::Unsigned)?;
        let text = header.to_str().map_err(|_| Refusal::Malformed)?;
        let fields = text.strip_prefix(ALGORITHM).ok_or(Refusal::Malformed)?;
        let field = |name: &str| {
            fields
                .split(',')
                .find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='))
                .ok_or(Refusal::Malformed)
        };
        let mut scope = field("Credential")?.split('/');
        let mut next = || scope.next().map(str::to_owned).ok_or(Refusal::Malformed);
        let claim = Self {
            key_id: next()?,
            date: next()?,
            region: next()?,
            service: next()?,
            signed_headers: field("SignedHeaders")?
                .split(';')
                .map(str::to_owned)
                .collect(),
            signature: field("Signature")?.to_owned(),
        };
        if next()? != "aws4_request" || next().is_ok() {
            return Err(Refusal::Malformed);
        }
        Ok(claim)
    }

    /// Whether the holder of `key` signed exactly this request, now.
    pub(crate) fn verify(
        &self,
        parts: &Parts,
        body: &[u8],
        key: &Key,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let time = header(parts, &DATE).ok_or(Refusal::HeaderNotSigned)?;
        let signed = |name: &str| self.signed_headers.iter().any(|signed| signed == name);
        let unsigned_amz = parts
            .headers
            .keys()
            .any(|name| name.as_str().starts_with("x-amz-") && !signed(name.as_str()));
        if !signed("host") || unsigned_amz {
            return Err(Refusal::HeaderNotSigned);
        }
        let at = parse_time(&time).ok_or(Refusal::Malformed)?;
        if !time.starts_with(&self.date) || (now.as_second() - at.as_second()).abs() > SKEW_MAX_S {
            return Err(Refusal::Expired);
        }
        if let Some(token) = &key.token {
            let given = header(parts, &TOKEN).unwrap_or_default();
            if !bool::from(given.as_bytes().ct_eq(token.as_bytes())) {
                return Err(Refusal::WrongToken);
            }
        }
        let hash = hex::encode(Sha256::digest(body));
        if header(parts, &CONTENT_HASH).is_some_and(|given| given != hash) {
            return Err(Refusal::Mismatch);
        }
        let canonical = canonical(parts, &self.signed_headers, &hash);
        let expected = self.signature_of(&canonical, &time, &key.secret);
        if bool::from(expected.as_bytes().ct_eq(self.signature.as_bytes())) {
            Ok(())
        } else {
            Err(Refusal::Mismatch)
        }
    }

    fn scope(&self) -> String {
        format!(
            "{}/{}/{}/aws4_request",
            self.date, self.region, self.service
        )
    }

    fn signature_of(&self, canonical: &str, time: &str, secret: &str) -> String {
        let to_sign = format!(
            "{ALGORITHM}\n{time}\n{}\n{}",
            self.scope(),
            hex::encode(Sha256::digest(canonical))
        );
        let mut key = format!("AWS4{secret}").into_bytes();
        for part in [&self.date, &self.region, &self.service, "aws4_request"] {
            key = hmac(&key, part);
        }
        hex::encode(hmac(&key, &to_sign))
    }
}

fn canonical(parts: &Parts, signed: &[String], body_hash: &str) -> String {
    let mut query: Vec<(&str, &str)> = parts
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .collect();
    query.sort_unstable();
    let query: Vec<String> = query.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let mut headers = String::new();
    for name in signed {
        let values: Vec<String> = parts
            .headers
            .get_all(name)
            .iter()
            .map(|value| squeeze(&String::from_utf8_lossy(value.as_bytes())))
            .collect();
        let _ = writeln!(headers, "{name}:{}", values.join(","));
    }
    format!(
        "{}\n{}\n{}\n{headers}\n{}\n{body_hash}",
        parts.method,
        encode_path(parts.uri.path()),
        query.join("&"),
        signed.join(";")
    )
}

/// The path as it was sent, each byte that is not unreserved encoded once more.
fn encode_path(path: &str) -> String {
    let mut encoded = String::new();
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                encoded.push(char::from(byte));
            }
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

fn squeeze(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

fn header(parts: &Parts, name: &HeaderName) -> Option<String> {
    let value = parts.headers.get(name)?.to_str().ok()?;
    Some(value.to_owned())
}

fn parse_time(text: &str) -> Option<Timestamp> {
    Timestamp::strptime("%Y%m%dT%H%M%SZ%z", format!("{text}+0000")).ok()
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::header::HeaderValue;

    use super::*;
    use crate::sign::sign;

    fn key() -> Key {
        Key {
            id: "AKIDEXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            token: None,
        }
    }

    fn at(text: &str) -> Timestamp {
        parse_time(text).unwrap()
    }

    fn signed(path: &str) -> (Parts, Bytes) {
        let request = http::Request::post(format!("http://example.amazonaws.com{path}"))
            .body(Bytes::from_static(b"Param1=value1"))
            .unwrap();
        sign(
            request,
            &key(),
            "us-east-1",
            "service",
            at("20150830T123600Z"),
        )
        .unwrap()
        .into_parts()
    }

    /// `get-vanilla` of AWS's own test suite.
    #[test]
    fn the_specifications_example_verifies() {
        let authorization = "AWS4-HMAC-SHA256 \
             Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
        let (parts, ()) = http::Request::get("http://example.amazonaws.com/")
            .header("host", "example.amazonaws.com")
            .header(DATE, "20150830T123600Z")
            .header(AUTHORIZATION, authorization)
            .body(())
            .unwrap()
            .into_parts();
        let claim = Claim::of(&parts).unwrap();
        let now = at("20150830T123600Z");
        assert_eq!(claim.verify(&parts, b"", &key(), now), Ok(()));
    }

    #[test]
    fn what_is_signed_verifies_and_what_is_altered_does_not() {
        let now = at("20150830T123600Z");
        let (parts, body) = signed("/a/b%20c?x=1&a=2");
        let claim = Claim::of(&parts).unwrap();
        assert_eq!(claim.verify(&parts, &body, &key(), now), Ok(()));
        assert_eq!(
            claim.verify(&parts, b"Param1=value2", &key(), now),
            Err(Refusal::Mismatch)
        );
        let mut elsewhere = parts.clone();
        elsewhere.uri = "http://example.amazonaws.com/other".parse().unwrap();
        assert_eq!(
            claim.verify(&elsewhere, &body, &key(), now),
            Err(Refusal::Mismatch)
        );
        let other = Key {
            secret: "other".to_owned(),
            ..key()
        };
        assert_eq!(
            claim.verify(&parts, &body, &other, now),
            Err(Refusal::Mismatch)
        );
    }

    #[test]
    fn an_old_request_an_unsigned_header_and_a_wrong_token_are_refused() {
        let (parts, body) = signed("/");
        let claim = Claim::of(&parts).unwrap();
        let later = at("20150830T124101Z");
        assert_eq!(
            claim.verify(&parts, &body, &key(), later),
            Err(Refusal::Expired)
        );
        let now = at("20150830T123600Z");
        let temporary = Key {
            token: Some("session".to_owned()),
            ..key()
        };
        assert_eq!(
            claim.verify(&parts, &body, &temporary, now),
            Err(Refusal::WrongToken)
        );
        let mut added = parts.clone();
        added.headers.insert(TOKEN, HeaderValue::from_static("x"));
        assert_eq!(
            claim.verify(&added, &body, &key(), now),
            Err(Refusal::HeaderNotSigned)
        );
    }

    #[test]
    fn what_is_no_signature_is_told_apart_from_a_wrong_one() {
        for (text, refusal) in [
            ("Bearer x", Refusal::Malformed),
            (
                "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=0",
                Refusal::Malformed,
            ),
            (
                "AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request",
                Refusal::Malformed,
            ),
        ] {
            let request = http::Request::get("http://h/").header(AUTHORIZATION, text);
            let (parts, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(Claim::of(&parts), Err(refusal), "{text}");
        }
        let (parts, ()) = http::Request::get("http://h/")
            .body(())
            .unwrap()
            .into_parts();
        assert_eq!(Claim::of(&parts), Err(Refusal::Unsigned));
    }
}
