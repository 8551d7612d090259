//! Signs what the lab sends to the emulator, by AWS's own library.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign as signature};
use aws_sigv4::sign::v4::SigningParams;
use bytes::Bytes;
use http::Request;
use http::header::{HOST, HeaderValue};
use jiff::Timestamp;

use crate::Error;
use crate::sigv4::Key;

/// Signs `request` for `service`. The URI must be absolute; `Host` is set from it.
pub(crate) fn sign(
    mut request: Request<Bytes>,
    key: &Key,
    region: &str,
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
        .region(region)
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
