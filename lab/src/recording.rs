//! What AWS was asked, for those who judge it: a line of JSON for each call that an operator, a function
//! or a machine sent, where [`ENV_RECORDING`] names a folder. A lab that records signs with a key that
//! everybody knows, so that a line needs no secret to be verified; what `SecureString` parameters are
//! set to is blotted out, and answers, which may hold secrets, are not kept.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;
use http::request::Parts;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::Error;
use crate::error::chain;
use crate::ids::secret;

/// The folder that calls are recorded in, a file for each lab.
pub const ENV_RECORDING: &str = "CI_LAB_RECORDING";
/// The session token of functions. AWS gives them one; here it also tells whose call it is: that of a
/// deployed function has a slash and the function's name after it.
pub const FUNCTION_TOKEN: &str = "lab-function";
/// The session token of what prepares and looks: tests, and the demo's view of the ledger. Their calls
/// are nobody's that is deployed.
pub const WITNESS_TOKEN: &str = "lab-witness";
/// The secret of every key of a lab that records.
const KNOWN_SECRET: &str = "known-to-everybody-because-it-records";
/// Largest body that is kept: a template is 50 KB, a chunk of the ledger's writes less.
const KEPT_MAX_BYTES: usize = 1024 * 1024;

/// The secret of a new key.
pub(crate) fn key_secret() -> String {
    match std::env::var_os(ENV_RECORDING) {
        Some(_) => KNOWN_SECRET.to_owned(),
        None => secret(),
    }
}

/// Where calls are written down, if anywhere.
#[derive(Clone, Default)]
pub(crate) struct Recording(Option<Arc<Mutex<File>>>);

/// One call, as `judges/recording.py` reads it.
#[derive(Serialize)]
pub(crate) struct Call<'a> {
    at_ms: i64,
    account: &'a str,
    caller: &'a str,
    method: &'a str,
    uri: String,
    headers: BTreeMap<&'a str, String>,
    /// What was sent, if it is text of a reasonable length.
    body: Option<String>,
    body_bytes: usize,
    /// Of all that was sent, what is not kept included.
    body_sha256: String,
    /// `None` before it is answered.
    status: Option<u16>,
    /// What AWS would know of the resources that the call names.
    about: &'a Value,
}

/// The call that `caller` sent to `account`.
pub(crate) fn line<'a>(
    (account, caller): (&'a str, &'a str),
    parts: &'a Parts,
    body: &[u8],
    status: Option<StatusCode>,
    about: &'a Value,
) -> Call<'a> {
    let header = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into();
    let uri = parts.uri.path_and_query();
    let headers = parts.headers.iter();
    Call {
        at_ms: Timestamp::now().as_millisecond(),
        account,
        caller,
        method: parts.method.as_str(),
        uri: uri.map_or_else(String::new, ToString::to_string),
        headers: headers
            .map(|(name, value)| (name.as_str(), header(value)))
            .collect(),
        body: kept(parts, body),
        body_bytes: body.len(),
        body_sha256: hex::encode(Sha256::digest(body)),
        status: status.map(|status| status.as_u16()),
        about,
    }
}

/// The name of the deployed function that sent this, if one did.
pub(crate) fn function_of(parts: &Parts) -> Option<&str> {
    let token = session_token(parts)?.strip_prefix(FUNCTION_TOKEN)?;
    token.strip_prefix('/')
}

fn session_token(parts: &Parts) -> Option<&str> {
    parts.headers.get("x-amz-security-token")?.to_str().ok()
}

impl Recording {
    /// As the environment says.
    pub(crate) fn of_environment() -> Result<Self, Error> {
        match std::env::var_os(ENV_RECORDING) {
            None => Ok(Self::default()),
            Some(folder) => {
                let folder = Path::new(&folder);
                Self::in_folder(folder).map_err(|source| Error::file(folder, source))
            }
        }
    }

    pub(crate) fn in_folder(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let now = Timestamp::now().as_millisecond();
        let path = folder.join(format!("{now}-{}.jsonl", std::process::id()));
        let file = OpenOptions::new()
            .create_new(true)
            .append(true)
            .open(path)?;
        Ok(Self(Some(Arc::new(Mutex::new(file)))))
    }

    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Writes a call down. `role` is whose keys an instance signed with; other callers are told by their
    /// session token.
    pub(crate) fn note(
        &self,
        (account, role): (&str, Option<&str>),
        parts: &Parts,
        body: &[u8],
        status: StatusCode,
        about: &Value,
    ) {
        let Some(file) = &self.0 else { return };
        let token = session_token(parts);
        let caller = match (role, token) {
            (Some(role), _) => &format!("machine:{role}"),
            (None, Some(token)) if token.split('/').next() == Some(FUNCTION_TOKEN) => "function",
            (None, Some(WITNESS_TOKEN)) => "witness",
            (None, Some(_) | None) => "operator",
        };
        let call = line((account, caller), parts, body, Some(status), about);
        let written = serde_json::to_vec(&call)
            .map_err(io::Error::from)
            .and_then(|mut line| {
                line.push(b'\n');
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.write_all(&line)
            });
        if let Err(error) = written {
            tracing::error!(error = chain(&error), "a call is not recorded");
        }
    }
}

/// The text of a request, without what nobody may read.
fn kept(parts: &Parts, body: &[u8]) -> Option<String> {
    if body.len() > KEPT_MAX_BYTES {
        return None;
    }
    let text = std::str::from_utf8(body).ok()?;
    let target = parts.headers.get("x-amz-target");
    if target.is_none_or(|target| target != "AmazonSSM.PutParameter") {
        return Some(text.to_owned());
    }
    let mut request: Value = serde_json::from_str(text).ok()?;
    if request["Type"] == "SecureString"
        && let Some(Value::String(value)) = request.get_mut("Value")
    {
        // As long as it was: its length is judged.
        *value = "*".repeat(value.chars().count());
    }
    Some(request.to_string())
}

/// What is recorded in the folder.
#[cfg(test)]
pub(crate) fn lines(folder: &Path) -> Vec<Value> {
    let files = fs::read_dir(folder).unwrap();
    let texts = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    let texts: Vec<String> = texts.collect();
    let lines = texts.iter().flat_map(|text| text.lines());
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(target: &str, token: Option<&str>) -> Parts {
        let mut request = http::Request::post("/?a=b").header("x-amz-target", target);
        if let Some(token) = token {
            request = request.header("x-amz-security-token", token);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn only_a_deployed_function_has_a_name() {
        let name = |token| function_of(&request("X.Y", token)).map(str::to_owned);
        assert_eq!(name(Some("lab-function/a/b")).as_deref(), Some("a/b"));
        for token in [
            None,
            Some(FUNCTION_TOKEN),
            Some(WITNESS_TOKEN),
            Some("any/a"),
        ] {
            assert_eq!(name(token), None, "{token:?}");
        }
    }

    #[test]
    fn a_call_is_a_line_with_its_caller_and_without_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let recording = Recording::in_folder(folder.path()).unwrap();
        let put = |kind: &str| json!({ "Type": kind, "Value": "hidden" }).to_string();
        let put_parameter = "AmazonSSM.PutParameter";
        for (target, caller, body) in [
            (put_parameter, (None, None), put("SecureString")),
            (put_parameter, (None, Some(FUNCTION_TOKEN)), put("String")),
            (
                "X.Y",
                (None, Some("lab-function/ci-dispatch")),
                String::new(),
            ),
            ("X.Y", (None, Some(WITNESS_TOKEN)), "text".to_owned()),
            ("X.Y", (Some("ci-runner"), Some("any")), "\u{e4}".to_owned()),
        ] {
            let (role, token) = caller;
            let parts = request(target, token);
            recording.note(
                ("1", role),
                &parts,
                body.as_bytes(),
                StatusCode::OK,
                &Value::Null,
            );
        }
        let lines = lines(folder.path());
        let of = |name: &str| {
            lines
                .iter()
                .map(|line| line[name].clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            of("caller"),
            [
                "operator",
                "function",
                "function",
                "witness",
                "machine:ci-runner"
            ]
        );
        assert!(lines.iter().all(|line| line["uri"] == "/?a=b"));
        assert_eq!(
            lines[0]["body"],
            r#"{"Type":"SecureString","Value":"******"}"#
        );
        assert_eq!(lines[1]["body"], put("String"));
        let sent = put("SecureString");
        assert_eq!(lines[0]["body_sha256"], hex::encode(Sha256::digest(&sent)));
        assert_eq!(lines[4]["body_bytes"], 2);
    }
}
