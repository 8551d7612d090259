//! One event and the workflow files that it is about, as both sides are asked.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use workflow::discovery::{FoundFile, FoundFiles};
use workflow::event::Body;
use workflow::jobs::reusable::CALLS_MAX;
use workflow::jobs::uses::Uses;
use workflow::yaml::Refused;
use workflow::{Changed, Evaluation, Event, EventKind, Facts, Server, WorkflowSet};

/// The repository's variables.
const VARIABLES: [(&str, &str); 3] = [
    ("LABEL", "from-vars"),
    ("LIST", "[\"x\", \"y\"]"),
    ("SPACE", " "),
];
/// Where its workflows lie.
const FOLDER: &str = ".gitea/workflows";
/// The commit that an event is about.
pub(super) const COMMIT: &str = "2222222222222222222222222222222222222222";
/// Owner and name of the repository.
pub(super) const REPOSITORY: (&str, &str) = ("o", "r");
/// The forge's address.
pub(super) const FORGE: &str = "http://forge.test/";
/// Who did it.
pub(super) const ACTOR: &str = "dev";
/// Characters that are shown of a file.
const SHOWN_MAX_CHARS: usize = 3000;

/// The same, as rules take them.
pub(super) fn variables() -> BTreeMap<String, String> {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    VARIABLES.into_iter().map(owned).collect()
}

/// A workflow file: its name and what is in it.
pub(super) type File = (String, Vec<u8>);

/// A case.
#[derive(Debug, Clone)]
pub(super) struct Case {
    /// Where it comes from.
    pub(super) origin: String,
    pub(super) event: EventKind,
    /// The body of its delivery.
    pub(super) payload: Value,
    /// The files of the commit.
    pub(super) files: Vec<File>,
    /// Those of the branch that a pull request goes to.
    pub(super) base: Vec<File>,
    /// Files that changed.
    pub(super) changed: Vec<String>,
}

impl Case {
    /// As our rules read it.
    pub(super) fn event(&self) -> Option<Event> {
        let body: Body = serde_json::from_value(self.payload.clone()).ok()?;
        let kind = self.event;
        Some(Event { kind, body })
    }

    /// As a judge reads it.
    pub(super) fn line(&self) -> String {
        let files = |files: &[File]| -> Vec<Value> {
            let files = files.iter();
            let file =
                |(name, bytes): &File| json!({"name": name, "content": STANDARD.encode(bytes)});
            files.map(file).collect()
        };
        let reference = self.event().map(|event| event.reads().git_ref);
        let (owner, repository) = REPOSITORY;
        json!({
            "event": self.event.word(),
            "payload": self.payload,
            "ref": reference,
            "sha": COMMIT,
            "actor": ACTOR,
            "owner": owner,
            "repository": repository,
            "server_url": FORGE,
            "folder": FOLDER,
            "files": files(&self.files),
            "base": files(&self.base),
            "changed": self.changed,
            "vars": BTreeMap::from(VARIABLES),
        })
        .to_string()
    }

    /// What our rules make of it.
    pub(super) fn evaluate(&self, event: &Event, server: Server) -> Evaluation {
        let of_pull = event.body.pull_request.is_some();
        let facts = Facts {
            sha: COMMIT.to_owned(),
            base: of_pull.then(|| set(&self.base, server)),
            changed: Changed::Files(self.changed.clone()),
            variables: Some(variables()),
            ..Facts::of(set(&self.files, server), server)
        };
        facts.evaluate(event)
    }

    /// For people.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut payload = self.payload.clone();
        if let Value::Object(fields) = &mut payload {
            // The same in all.
            fields.retain(|field, _| field != "repository" && field != "sender");
        }
        let mut lines = vec![format!("{}: {} {payload}", self.origin, self.event.word())];
        if !self.changed.is_empty() {
            lines.push(format!("changed: {:?}", self.changed));
        }
        let of_base = self.base.iter().map(|file| (" at the base", file));
        for (place, (name, bytes)) in self.files.iter().map(|file| ("", file)).chain(of_base) {
            lines.push(format!("-- {name}{place}"));
            lines.extend(shown(bytes).lines().map(|line| format!("| {line}")));
        }
        lines
    }
}

/// Text as it is, but for signs that a terminal would not show.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::new();
    for sign in text.chars().take(SHOWN_MAX_CHARS) {
        let is_plain =
            sign == '\n' || !sign.is_control() && !"\u{feff}\u{2028}\u{200b}".contains(sign);
        if is_plain {
            out.push(sign);
        } else {
            let _ = write!(out, "{}", sign.escape_unicode());
        }
    }
    out
}

fn set(files: &[File], server: Server) -> WorkflowSet {
    let files = files.iter().map(|(name, bytes)| FoundFile {
        path: format!("{FOLDER}/{name}"),
        bytes: Ok(bytes.clone()),
    });
    let found = FoundFiles {
        dir: Some(FOLDER.to_owned()),
        files: files.collect(),
        refused: None,
    };
    let mut set = WorkflowSet::of(found, server);
    for _ in 0..CALLS_MAX {
        for uses in set.open_calls(server) {
            // Here the judge knows all files, elsewhere none.
            let absent = match uses {
                Uses::Here { .. } => Refused::new(None, "there is no such file"),
                Uses::There { .. } => Refused::limit(None, "it is in another repository"),
            };
            set.add_called(uses, Err(absent), server);
        }
    }
    set
}
