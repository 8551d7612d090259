//! The facts that a verdict rests on, from a clone on this machine: what the forge's own repository
//! holds, asked with git.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

use dispatcher::predict::{Facts, NO_MERGE_BASE};
use workflow::Server;
use workflow::discovery::git_tree::{Entry, EntryKind, TreeEntry, changed};
use workflow::discovery::{self, FoundFile, FoundFiles};
use workflow::event::{Event, is_zeros};
use workflow::jobs::reusable::CALLS_MAX;
use workflow::jobs::uses::Uses;
use workflow::jobs::workflow_set::WorkflowSet;
use workflow::trigger::Changed;

/// Why the clone can't be used.
#[derive(Debug, thiserror::Error)]
pub enum BadClone {
    /// git can't be run.
    #[error("git can't be run: {0}")]
    Git(#[from] std::io::Error),
    /// The commit is not there.
    #[error("the clone has no commit {0}: run `git fetch --all --tags` in it")]
    NoCommit(String),
    /// git refuses.
    #[error("git refused in {folder}: {words}")]
    Refused {
        /// Where.
        folder: String,
        /// Its words.
        words: String,
    },
}

/// A clone, bare or not.
struct Clone<'a>(&'a Path);

/// The facts about `happened` as the clone in `folder` has them and `server` sees them.
pub fn facts(folder: &Path, happened: &Event, server: Server) -> Result<Facts, BadClone> {
    Clone(folder).text(&["rev-parse", "--git-dir"])?;
    let sha = Clone(folder).commit(&happened.reads().at)?;
    facts_at(folder, happened, &sha, server, Settings::default())
}

/// What a clone does not have.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The variables.
    pub variables: Option<BTreeMap<String, String>>,
    /// The workflows that are disabled.
    pub disabled: BTreeSet<String>,
}

/// The same with its workflows read at the commit `sha`, and with the forge's settings.
pub fn facts_at(
    folder: &Path,
    happened: &Event,
    sha: &str,
    server: Server,
    settings: Settings,
) -> Result<Facts, BadClone> {
    let clone = Clone(folder);
    let files = clone.reading(sha, server)?;
    let pull = happened.body.pull_request.as_ref();
    let base = match pull {
        Some(pull) => {
            let base = clone
                .commit(&pull.base.git_ref)
                .or_else(|_| clone.commit(&pull.base.sha))?;
            Some(clone.reading(&base, server)?)
        }
        None => None,
    };
    let asks = |reading: &WorkflowSet| reading.asks_for_paths(happened.kind);
    let changed = if asks(&files) || base.as_ref().is_some_and(asks) {
        match happened.compared_with(server) {
            Some(before) => clone.changed(before, sha)?,
            None => Changed::Unknown(NO_MERGE_BASE.to_owned()),
        }
    } else {
        Changed::NotFetched
    };
    Ok(Facts {
        server,
        message: clone.text(&["log", "-1", "--format=%B", sha])?,
        sha: sha.to_owned(),
        files,
        base,
        changed,
        variables: settings.variables,
        disabled: settings.disabled,
    })
}

/// The workflow files of the commit `sha` in the clone in `folder`.
pub fn reading(folder: &Path, sha: &str, server: Server) -> Result<WorkflowSet, BadClone> {
    Clone(folder).reading(sha, server)
}

impl Clone<'_> {
    /// The commit that a name or an id leads to: tags are followed, remote branches count.
    fn commit(&self, name: &str) -> Result<String, BadClone> {
        let remote = format!("refs/remotes/origin/{name}");
        for name in [name, &remote] {
            let peeled = format!("{name}^{{commit}}");
            if let Ok(sha) = self.text(&["rev-parse", "--verify", "--quiet", &peeled]) {
                return Ok(sha.trim().to_owned());
            }
        }
        Err(BadClone::NoCommit(name.to_owned()))
    }

    /// The workflow files of a commit.
    fn reading(&self, sha: &str, server: Server) -> Result<WorkflowSet, BadClone> {
        let mut found = FoundFiles::default();
        for dir in discovery::workflow_dirs(server) {
            let tree = format!("{sha}:{dir}");
            let kind = self.text(&["cat-file", "-t", &tree]).unwrap_or_default();
            if kind.trim() == "tree" {
                found = self.found(&tree, dir)?;
                break;
            }
        }
        let mut reading = WorkflowSet::of(found, server);
        for _ in 0..CALLS_MAX {
            for uses in reading.open_calls(server) {
                let bytes = self.called(sha, &uses);
                reading.add_called(uses, bytes, server);
            }
        }
        Ok(reading)
    }

    /// The file that a job calls, or why the clone does not have it.
    fn called(&self, sha: &str, uses: &Uses) -> Result<Vec<u8>, String> {
        match uses {
            Uses::Here { path } => self
                .bytes(&["cat-file", "blob", &format!("{sha}:{path}")])
                .map_err(|_| "the commit has no such file".to_owned()),
            Uses::There { .. } => Err(
                "it is in another repository, which the clone does not have: leave --repo out to \
                 ask the forge"
                    .to_owned(),
            ),
        }
    }

    fn found(&self, tree: &str, dir: String) -> Result<FoundFiles, BadClone> {
        let lines = self.lines(&["ls-tree", "-r", "-z", "--long", tree])?;
        let entries = lines.iter().filter_map(|line| listed_of(line)).collect();
        let entries = discovery::workflows_in(&dir, entries);
        let refused = discovery::why_refused(&entries);
        let mut found = Vec::new();
        for entry in entries.into_iter().filter(|_| refused.is_none()) {
            let bytes = match discovery::why_unread(&entry) {
                Some(why) => Err(why),
                None => Ok(self.bytes(&["cat-file", "blob", &entry.sha])?),
            };
            found.push(FoundFile {
                path: entry.path,
                bytes,
            });
        }
        Ok(FoundFiles {
            dir: Some(dir),
            files: found,
            refused,
        })
    }

    /// The files that changed, tree against tree, as the forge computes them.
    fn changed(&self, before: &str, after: &str) -> Result<Changed, BadClone> {
        let parents = self.text(&["rev-list", "--parents", "-n", "1", after])?;
        let parents: Vec<&str> = parents.split_whitespace().skip(1).collect();
        let before = if is_zeros(before) {
            match parents.as_slice() {
                [] => None,
                [parent] => Some((*parent).to_owned()),
                [_, _, ..] => return Ok(Changed::Files(Vec::new())),
            }
        } else {
            match self.commit(before) {
                Ok(before) => Some(before),
                Err(BadClone::NoCommit(sha)) => {
                    let why = format!("the clone has no commit {sha}, which the push replaced");
                    return Ok(Changed::Unknown(why));
                }
                Err(error) => return Err(error),
            }
        };
        let before = match before {
            Some(before) => self.tree(&before)?,
            None => Vec::new(),
        };
        Ok(Changed::Files(changed(&before, &self.tree(after)?)))
    }

    fn tree(&self, sha: &str) -> Result<Vec<Entry>, BadClone> {
        let lines = self.lines(&["ls-tree", "-r", "-z", sha])?;
        Ok(lines.iter().filter_map(|line| entry_of(line)).collect())
    }

    fn lines(&self, args: &[&str]) -> Result<Vec<String>, BadClone> {
        let bytes = self.bytes(args)?;
        Ok(bytes
            .split(|byte| *byte == 0)
            .filter(|line| !line.is_empty())
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect())
    }

    fn text(&self, args: &[&str]) -> Result<String, BadClone> {
        Ok(String::from_utf8_lossy(&self.bytes(args)?).into_owned())
    }

    fn bytes(&self, args: &[&str]) -> Result<Vec<u8>, BadClone> {
        let output = Command::new("git")
            .arg("-C")
            .arg(self.0)
            .args(args)
            .stdin(Stdio::null())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .output()?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(BadClone::Refused {
            folder: self.0.display().to_string(),
            words: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }
}

/// `MODE TYPE SHA\tPATH`.
fn entry_of(line: &str) -> Option<Entry> {
    let (meta, path) = line.split_once('\t')?;
    let mut meta = meta.split_whitespace();
    let mode = u32::from_str_radix(meta.next()?, 8).ok()?;
    let sha = meta.nth(1)?.to_owned();
    Some(Entry {
        path: path.to_owned(),
        mode,
        sha,
    })
}

/// `MODE TYPE SHA SIZE\tPATH`; what is no file has `-` for a size.
fn listed_of(line: &str) -> Option<TreeEntry> {
    let (meta, _) = line.split_once('\t')?;
    let Entry { path, mode, sha } = entry_of(line)?;
    let size = meta.split_whitespace().nth(3).unwrap_or_default();
    Some(TreeEntry {
        path,
        kind: match mode {
            0o120_000 => EntryKind::Link,
            0o160_000 => EntryKind::Submodule,
            _ => EntryKind::File,
        },
        mode,
        sha,
        size_bytes: size.parse().unwrap_or_default(),
    })
}
