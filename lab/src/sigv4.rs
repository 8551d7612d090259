//! AWS Signature Version 4, by AWS's own library: signs what the lab sends to the emulator, and
//! verifies what comes by signing it once more.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign as signature};
use aws_sigv4::sign::v4::SigningParams;
use bytes::Bytes;
use http::Request;
use http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue};
use http::request::Parts;
use jiff::Timestamp;

use crate::Error;
use crate::folder::REGION;

/// How far the signer's clock may be from ours: API Gateway and EC2 allow five minutes.
const SKEW_MAX_S: i64 = 300;

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// A pair of keys, with a session token when it is temporary.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
}

/// Signs `request` for `service`. `Host` is set from its URI, where that is absolute.
pub(crate) fn sign(
    mut request: Request<Bytes>,
    key: &Key,
    service: &str,
    now: Timestamp,
) -> Result<Request<Bytes>, Error> {
    if let Some(authority) = request.uri().authority() {
        let host = HeaderValue::from_str(authority.as_str()).map_err(|e| Error::bug(&e))?;
        request.headers_mut().insert(HOST, host);
    }
    let credentials = Credentials::new(&key.id, &key.secret, key.token.clone(), None, "lab");
    let identity = credentials.into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(REGION)
        .name(service)
        .time(SystemTime::try_from(now).map_err(|error| Error::bug(&error))?)
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| Error::bug(&error))?
        .into();
    let headers = request.headers().iter().filter_map(|(name, value)| {
        // What is no text can't be signed, and nothing of ours is that.
        Some((name.as_str(), value.to_str().ok()?))
    });
    let signable = SignableRequest::new(
        request.method().as_str(),
        request.uri().to_string(),
        headers,
        SignableBody::Bytes(request.body()),
    )
    .map_err(|error| Error::bug(&error))?;
    let (instructions, _) = signature(signable, &params)
        .map_err(|error| Error::bug(&error))?
        .into_parts();
    instructions.apply_to_request_http1x(&mut request);
    Ok(request)
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
    region: String,
    service: String,
    signed_headers: Vec<String>,
    signature: String,
}

impl Claim {
    /// Reads the claim; nothing in it is verified yet.
    pub(crate) fn of(parts: &Parts) -> Result<Self, Refusal> {
        let header = parts.headers.get(AUTHORIZATION).ok_or(Refusal::Unsigned)?;
        let text = header.to_str().map_err(|_| Refusal::Malformed)?;
        let fields = text.strip_prefix("AWS4-HMAC-SHA256");
        let fields = fields.ok_or(Refusal::Malformed)?;
        let field = |name: &str| {
            fields
                .split(',')
                .find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='))
                .ok_or(Refusal::Malformed)
        };
        let scope: Vec<&str> = field("Credential")?.split('/').collect();
        let [key_id, _date, region, service, "aws4_request"] = scope[..] else {
            return Err(Refusal::Malformed);
        };
        let signed_headers = field("SignedHeaders")?.split(';');
        Ok(Self {
            key_id: key_id.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            signed_headers: signed_headers.map(str::to_owned).collect(),
            signature: field("Signature")?.to_owned(),
        })
    }

    /// Whether it is made for this service of the lab's.
    pub(crate) fn is_for(&self, service: &str) -> bool {
        self.service == service && self.region == REGION
    }

    /// Whether the holder of `key` signed exactly this request, now.
    pub(crate) fn verify(
        &self,
        parts: &Parts,
        body: &[u8],
        key: &Key,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let signed = |name: &str| self.signed_headers.iter().any(|signed| signed == name);
        let unsigned_amz = parts
            .headers
            .keys()
            .any(|name| name.as_str().starts_with("x-amz-") && !signed(name.as_str()));
        if !signed("host") || unsigned_amz {
            return Err(Refusal::HeaderNotSigned);
        }
        let header = |name: &HeaderName| parts.headers.get(name)?.to_str().ok();
        let time = header(&DATE).ok_or(Refusal::HeaderNotSigned)?;
        let at = parse_time(time).ok_or(Refusal::Malformed)?;
        if (now.as_second() - at.as_second()).abs() > SKEW_MAX_S {
            return Err(Refusal::Expired);
        }
        if key
            .token
            .as_deref()
            .is_some_and(|token| header(&TOKEN) != Some(token))
        {
            return Err(Refusal::WrongToken);
        }
        let mut again = Request::builder()
            .method(parts.method.clone())
            .uri(parts.uri.clone());
        for name in &self.signed_headers {
            for value in parts.headers.get_all(name) {
                again = again.header(name, value);
            }
        }
        let again = again.body(Bytes::copy_from_slice(body));
        let again = again.map_err(|_| Refusal::Malformed)?;
        let again = sign(again, key, &self.service, at).map_err(|_| Refusal::Malformed)?;
        if Self::of(&again.into_parts().0)? == *self {
            Ok(())
        } else {
            Err(Refusal::Mismatch)
        }
    }
}

fn parse_time(text: &str) -> Option<Timestamp> {
    Timestamp::strptime("%Y%m%dT%H%M%SZ%z", format!("{text}+0000")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let signed = sign(request, &key(), "service", at("20150830T123600Z"));
        signed.unwrap().into_parts()
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
