//! The runner route's words: what boot files send, what the dispatcher answers.
//!
//! Requests are JSON, `{"ask":"credential"}` or `{"mark":"online"}` with an optional `text`.
//! The answer to a credential request is plain text, one fact a line, so that a shell needs no JSON
//! parser: `runner <.runner document>`, for pools that ask `clone-token <token>`, and for the machine of a
//! smoke test `smoke-test`: it takes no job, says what it found, and waits for its end.
//! Status 200: done. 410: refused for good, the machine ends. Everything else, also API Gateway's own
//! 403 while a fresh role is not known everywhere yet: ask again until the boot limit.

use serde::{Deserialize, Serialize};

/// What a runner sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Request {
    /// Give me my one-job credential.
    Ask {
        /// The only thing that can be asked for.
        ask: Ask,
    },
    /// Something happened here.
    Mark {
        /// What happened.
        mark: Mark,
        /// A few words for people: the last words of a failed boot.
        #[serde(default)]
        text: String,
    },
}

/// Status of a refusal for good.
pub const REFUSED: u16 = 410;

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// The one-job credential.
    Credential,
}

/// Marks in the life of a runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// The runner process is started and registered.
    Online,
    /// It took its job.
    Started,
    /// The machine is about to end by itself.
    Ending,
    /// The boot failed; `text` says where.
    Failed,
    /// EC2 takes the machine back, and its job was killed for that and reported as failed.
    Interrupted,
    /// What a job would find, in `text`: for machines of a smoke test, and of no others noted.
    Found,
}

/// First word of the answer's line that holds the `.runner` document.
pub const LINE_RUNNER: &str = "runner";
/// First word of the answer's line that holds the clone token.
pub const LINE_CLONE_TOKEN: &str = "clone-token";
/// The answer's line that makes the machine one of a smoke test.
pub const LINE_SMOKE_TEST: &str = "smoke-test";
/// Longest `text` of a mark that is kept, in characters: a last line, or what a smoke test found, not a log.
pub const TEXT_MAX_CHARS: usize = 500;
