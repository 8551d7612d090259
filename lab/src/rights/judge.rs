//! The judge as a program that stays: `judges/live.py` says what it is asked and what it answers, a line each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::Error;
use crate::emulator::Policy;
use crate::folder::{Folder, cache_folder_for};
use crate::recording::Call;
use crate::supervised;

/// It loads in a second and answers within milliseconds; a machine that also compiles gets this long.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// What errors call it.
const JUDGE: &str = "the judge of rights";

/// What it is made of.
pub(super) struct Programs {
    python: PathBuf,
    /// Where the simulator's packages are.
    node: PathBuf,
    judges: PathBuf,
}

impl Programs {
    /// Where the step `rights` of the test command installed them.
    pub(super) fn find() -> Result<Self, Error> {
        let judges = Path::new(env!("CARGO_MANIFEST_DIR")).join("../judges");
        let installed = |kind: &str, listing: &str| {
            let listing = judges.join(listing);
            let folder = cache_folder_for(kind, &listing);
            let folder = folder.map_err(|source| Error::file(&listing, source))?;
            if folder.join("installed").exists() {
                return Ok(folder);
            }
            Err(Error::Missing {
                program: JUDGE,
                hint: "`cargo xtask test rights` installs it, and needs Python and Node",
            })
        };
        Ok(Self {
            python: installed("python", "requirements.txt")?.join("bin/python"),
            node: installed("node", "package-lock.json")?,
            judges,
        })
    }
}

/// May a role make a call, by these policies?
#[derive(Serialize)]
pub(super) struct Question<'a> {
    pub(super) line: Call<'a>,
    pub(super) role: &'a str,
    pub(super) policies: &'a [Policy],
}

/// What IAM would not allow.
#[derive(Debug, Deserialize)]
pub(super) struct Denied {
    pub(super) action: String,
    /// Its ARN, or `*` for an action that can't be bound to one.
    pub(super) resource: String,
    /// Whether a statement forbids it; else none allows it.
    pub(super) explicit: bool,
    /// Those that forbid it.
    pub(super) statements: Vec<Value>,
    /// The condition keys that IAM had, with their values.
    pub(super) context: BTreeMap<String, Vec<String>>,
}

#[derive(Serialize)]
struct Asked<'a> {
    id: u64,
    #[serde(flatten)]
    question: &'a Question<'a>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Ready { ready: bool },
    Denied { id: u64, denied: Denied },
    Allowed { id: u64, allowed: u64 },
    Unjudged { id: u64, unjudged: String },
}

/// The running program. It is asked one thing after the other.
pub(super) struct Judge(Mutex<Pipes>);

struct Pipes {
    _program: Child,
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    asked: u64,
}

impl Judge {
    /// Starts it, and waits until it can be asked.
    pub(super) async fn start(folder: &Folder, programs: &Programs) -> Result<Self, Error> {
        let mut command = supervised::command(folder, &programs.python);
        command
            .arg(programs.judges.join("live.py"))
            .arg("--node")
            .arg(&programs.node)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        // Node is wherever it is on this machine.
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        let spawned = command.spawn();
        let mut program = spawned.map_err(|error| Error::file(&programs.python, error))?;
        let (Some(questions), Some(answers)) = (program.stdin.take(), program.stdout.take()) else {
            return Err(Error::Bug("the judge has no pipes".to_owned()));
        };
        let mut pipes = Pipes {
            _program: program,
            questions,
            answers: BufReader::new(answers).lines(),
            asked: 0,
        };
        match pipes.answer().await? {
            Answer::Ready { ready: true } => Ok(Self(Mutex::new(pipes))),
            Answer::Ready { .. }
            | Answer::Denied { .. }
            | Answer::Allowed { .. }
            | Answer::Unjudged { .. } => Err(failed("it is not ready")),
        }
    }

    /// What the role may not; `None` if it may make the call.
    pub(super) async fn ask(&self, question: &Question<'_>) -> Result<Option<Denied>, Error> {
        let mut pipes = self.0.lock().await;
        pipes.asked += 1;
        let own = pipes.asked;
        let asked = Asked { id: own, question };
        let mut text = serde_json::to_string(&asked).map_err(|error| Error::bug(&error))?;
        text.push('\n');
        let written = pipes.questions.write_all(text.as_bytes()).await;
        written.map_err(|error| failed(&error))?;
        // Whoever asked before may have gone without its answer.
        loop {
            match pipes.answer().await? {
                Answer::Denied { id, denied } if id == own => return Ok(Some(denied)),
                Answer::Allowed { id, allowed } if id == own => {
                    tracing::debug!(allowed, "rights");
                    return Ok(None);
                }
                Answer::Unjudged { id, unjudged } if id == own => return Err(failed(&unjudged)),
                Answer::Ready { .. }
                | Answer::Denied { .. }
                | Answer::Allowed { .. }
                | Answer::Unjudged { .. } => {}
            }
        }
    }
}

impl Pipes {
    async fn answer(&mut self) -> Result<Answer, Error> {
        let line = timeout(ANSWER_LIMIT, self.answers.next_line()).await;
        let line = line.map_err(|_| {
            let limit_s = ANSWER_LIMIT.as_secs();
            failed(format!("it says nothing for {limit_s} s"))
        })?;
        let line = line.map_err(|error| failed(&error))?;
        let line = line.ok_or_else(|| failed("it ended; its words are in the lab's log"))?;
        serde_json::from_str(&line).map_err(|error| failed(&error))
    }
}

fn failed(detail: impl std::fmt::Display) -> Error {
    Error::request(JUDGE, detail)
}
