//! What a forge's answers must look like. Between us and the forge stand proxies, login pages and
//! maintenance pages, which answer every path with something: only what the forge itself would
//! write is believed, above all before a job or a registration counts as gone.

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::ForgeError;

/// Longest text of a registration, in bytes: a uuid has 36, a token 40, a name at most 255
/// characters.
const TEXT_MAX_BYTES: usize = 1024;
/// Longest text of the forge in an error, in characters: a sentence.
const WORDS_MAX_CHARS: usize = 200;

/// An answer, read whole.
#[derive(Debug)]
pub(super) struct ApiResponse {
    pub(super) call: &'static str,
    pub(super) status: StatusCode,
    /// Where a redirect leads.
    pub(super) location: Option<String>,
    /// How long the whole list is, of a page of one.
    pub(super) total: Option<usize>,
    pub(super) body: Bytes,
}

/// A runner as the forge registered it.
#[derive(Debug, Deserialize)]
pub(super) struct Registered {
    pub(super) id: u64,
    pub(super) uuid: String,
    pub(super) token: String,
    /// Whether the answer says that it is for one job.
    #[serde(default)]
    pub(super) ephemeral: bool,
}

/// What a job's answer says of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum QueueState {
    /// It waits for a runner, in this attempt if the forge counts them.
    Queued(Option<u64>),
    /// It is known and waits for none.
    Otherwise,
}

#[derive(Deserialize)]
struct RegisterBody {
    runner: RegisteredBody,
}

#[derive(Deserialize)]
struct RegisteredBody {
    /// An int64 in the JSON form of protocol buffers is a string.
    id: String,
    uuid: String,
    token: String,
    name: String,
    /// A false one is left out.
    #[serde(default)]
    ephemeral: bool,
}

#[derive(Deserialize)]
struct TokenBody {
    token: String,
}

#[derive(Deserialize)]
struct JobBody {
    status: String,
    run_attempt: Option<u64>,
}

#[derive(Deserialize)]
struct JobsBody {
    #[serde(rename = "total_count")]
    _total: u64,
    #[serde(rename = "jobs")]
    _jobs: IgnoredAny,
}

impl ApiResponse {
    /// The answer if it is a yes; else the error, in words that pass `redact`.
    pub(super) fn granted(self, redact: impl Fn(&str) -> String) -> Result<Self, ForgeError> {
        let call = self.call;
        if self.status.is_success() {
            return Ok(self);
        }
        if self.status.is_redirection() {
            let to = self.location.as_deref().unwrap_or("nowhere");
            let to = shortened(&redact(to));
            return Err(ForgeError::Moved { call, to });
        }
        let status = self.status.as_u16();
        // Statuses alone mislead (a wrong registration token is a 500, measured), and what has no
        // message is not the forge's.
        let message = serde_json::from_slice::<Value>(&self.body)
            .ok()
            .and_then(|value| value["message"].as_str().map(str::to_owned))
            .filter(|message| !message.is_empty());
        Err(match message {
            Some(message) => ForgeError::Refused {
                call,
                status,
                message: shortened(&redact(&message)),
            },
            None => self.unreadable(),
        })
    }

    /// The runner that was registered as `name`.
    pub(super) fn registered(&self, name: &str) -> Result<Registered, ForgeError> {
        let RegisterBody { runner } = self.json()?;
        if runner.name != name {
            return Err(self.unreadable());
        }
        self.credible(Registered {
            id: runner.id.parse().map_err(|_| self.unreadable())?,
            uuid: runner.uuid,
            token: runner.token,
            ephemeral: runner.ephemeral,
        })
    }

    /// The registration, if its texts can be those of one.
    pub(super) fn credible(&self, registered: Registered) -> Result<Registered, ForgeError> {
        let is_sound = |text: &String| !text.trim().is_empty() && text.len() <= TEXT_MAX_BYTES;
        if is_sound(&registered.uuid) && is_sound(&registered.token) {
            Ok(registered)
        } else {
            Err(self.unreadable())
        }
    }

    /// The token that was issued.
    pub(super) fn token(&self) -> Result<String, ForgeError> {
        let TokenBody { token } = self.json()?;
        if token.len() > TEXT_MAX_BYTES {
            return Err(self.unreadable());
        }
        Ok(token)
    }

    /// What is said of a job. Words that no forge says of one are not believed: a maintenance page
    /// has a `status` too.
    pub(super) fn standing(&self) -> Result<QueueState, ForgeError> {
        let job: JobBody = self.json()?;
        match job.status.as_str() {
            "queued" => Ok(QueueState::Queued(job.run_attempt)),
            "waiting" | "pending" | "requested" | "in_progress" | "completed" => {
                Ok(QueueState::Otherwise)
            }
            _ => Err(self.unreadable()),
        }
    }

    /// Whether it is a list of jobs.
    pub(super) fn is_list_of_jobs(&self) -> bool {
        self.json::<JobsBody>().is_ok()
    }

    /// Whether it is a list.
    pub(super) fn is_list(&self) -> bool {
        self.json::<Vec<IgnoredAny>>().is_ok()
    }

    /// What a deletion is answered: nothing.
    pub(super) fn nothing(&self) -> Result<(), ForgeError> {
        if self.status == StatusCode::NO_CONTENT {
            Ok(())
        } else {
            Err(self.unreadable())
        }
    }

    /// Whether a list of which `read` entries have been read ends with this page. Where the forge
    /// does not say, an empty page does.
    pub(super) fn is_last(&self, read: usize) -> bool {
        self.total.is_some_and(|total| read >= total)
    }

    /// What its body says.
    pub(super) fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, ForgeError> {
        serde_json::from_slice(&self.body).map_err(|_| self.unreadable())
    }

    /// That it is not the forge's, or none that we know.
    pub(super) fn unreadable(&self) -> ForgeError {
        ForgeError::BadAnswer {
            call: self.call,
            status: self.status.as_u16(),
        }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(WORDS_MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> ApiResponse {
        ApiResponse {
            call: "GET job",
            status: StatusCode::from_u16(status).unwrap(),
            location: None,
            total: None,
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    fn refused(status: u16, body: &str) -> ForgeError {
        answer(status, body).granted(str::to_owned).unwrap_err()
    }

    #[test]
    fn only_a_404_with_a_message_is_the_forges_own() {
        let own = r#"{"errors":null,"message":"not found","url":"https://git/api/swagger"}"#;
        assert!(refused(404, own).is_own_404());
        for body in [
            "",
            "<html>404</html>",
            "{}",
            "null",
            r#"{"message":""}"#,
            "[]",
        ] {
            assert!(!refused(404, body).is_own_404(), "{body}");
        }
        assert!(!refused(410, own).is_own_404());
    }

    #[test]
    fn a_job_is_told_only_in_the_words_that_a_forge_has() {
        let standing = |body| answer(200, body).standing().ok();
        assert_eq!(
            standing(r#"{"status":"queued","run_attempt":1}"#),
            Some(QueueState::Queued(Some(1)))
        );
        assert_eq!(
            standing(r#"{"status":"queued"}"#),
            Some(QueueState::Queued(None))
        );
        assert_eq!(
            standing(r#"{"status":"completed"}"#),
            Some(QueueState::Otherwise)
        );
        for body in [
            r#"{"status":"ok"}"#,
            r#"{"status":""}"#,
            r#"{"status":5}"#,
            r#"{"status":"queued","run_attempt":"1"}"#,
            "{}",
            "",
            "<html>",
        ] {
            assert_eq!(standing(body), None, "{body}");
        }
    }

    #[test]
    fn words_of_the_forge_are_short_and_pass_the_redaction() {
        let long = format!(r#"{{"message":"secret {}"}}"#, "x".repeat(1000));
        let error = answer(500, &long)
            .granted(|text| text.replace("secret", "***"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("*** xxx") && error.len() < 300, "{error}");
    }
}
