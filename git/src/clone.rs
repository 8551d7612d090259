//! The facts that a verdict rests on, from a clone on this machine: what the forge's own repository
//! holds, asked with git.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

use workflow::discovery::git_tree::{Entry, EntryKind, TreeEntry, changed};
use workflow::discovery::{self, FoundFile, FoundFiles};
use workflow::event::is_zeros;
use workflow::jobs::uses::Uses;
use workflow::trigger::Changed;
use workflow::{Commit, Source};

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

/// A clone, bare or not, as a source of facts.
#[derive(Debug)]
pub struct LocalClone<'a> {
    folder: &'a Path,
    settings: Settings<'a>,
}

/// What a clone does not have.
#[derive(Debug, Clone, Default)]
pub struct Settings<'a> {
    /// The forge's references, where they are not the clone's.
    pub references: Option<&'a BTreeMap<String, String>>,
    /// The variables.
    pub variables: Option<BTreeMap<String, String>>,
    /// The workflows that are disabled.
    pub disabled: BTreeSet<String>,
}

impl Source for LocalClone<'_> {
    type Error = BadClone;

    /// What a clone does not have the forge may have.
    fn is_missing(_: &BadClone) -> bool {
        false
    }

    async fn resolve(&self, _: &str, reference: &str) -> Result<String, BadClone> {
        let references = self.settings.references;
        let branch = references.and_then(|all| all.get(&format!("refs/heads/{reference}")));
        self.commit_of(branch.map_or(reference, String::as_str))
    }

    async fn commit(&self, _: &str, id: &str) -> Result<Commit, BadClone> {
        let sha = self.commit_of(id)?;
        let message = self.text(&["log", "-1", "--format=%B", &sha])?;
        Ok(Commit { sha, message })
    }

    async fn workflow_files(
        &self,
        _: &str,
        commit: &str,
        dirs: &[String],
    ) -> Result<FoundFiles, BadClone> {
        self.files(commit, dirs)
    }

    /// The file that a job calls, or why the clone does not have it.
    async fn called_file(
        &self,
        _: &str,
        commit: &str,
        uses: &Uses,
    ) -> Result<Result<Vec<u8>, String>, BadClone> {
        Ok(match uses {
            Uses::Here { path } => self
                .bytes(&["cat-file", "blob", &format!("{commit}:{path}")])
                .map_err(|_| "the commit has no such file".to_owned()),
            Uses::There { .. } => Err(
                "it is in another repository, which the clone does not have: leave --repo out to \
                 ask the forge"
                    .to_owned(),
            ),
        })
    }

    async fn changed_files(&self, _: &str, before: &str, after: &str) -> Result<Changed, BadClone> {
        self.changed(before, after)
    }

    async fn variables(&self, _: &str) -> Result<Option<BTreeMap<String, String>>, BadClone> {
        Ok(self.settings.variables.clone())
    }

    async fn disabled_workflows(&self, _: &str) -> Result<BTreeSet<String>, BadClone> {
        Ok(self.settings.disabled.clone())
    }
}

impl<'a> LocalClone<'a> {
    /// The clone in `folder`, of a forge with these settings.
    pub fn open(folder: &'a Path, settings: Settings<'a>) -> Result<Self, BadClone> {
        let clone = Self { folder, settings };
        clone.text(&["rev-parse", "--git-dir"])?;
        Ok(clone)
    }

    /// The commit that a name or an id leads to: tags are followed, remote branches count.
    fn commit_of(&self, name: &str) -> Result<String, BadClone> {
        let remote = format!("refs/remotes/origin/{name}");
        for name in [name, &remote] {
            let peeled = format!("{name}^{{commit}}");
            if let Ok(sha) = self.text(&["rev-parse", "--verify", "--quiet", &peeled]) {
                return Ok(sha.trim().to_owned());
            }
        }
        Err(BadClone::NoCommit(name.to_owned()))
    }

    /// The workflow files of a commit, in the first of `dirs` that it has.
    pub fn files(&self, commit: &str, dirs: &[String]) -> Result<FoundFiles, BadClone> {
        let commit = self.commit_of(commit)?;
        for dir in dirs {
            let tree = format!("{commit}:{dir}");
            let kind = self.text(&["cat-file", "-t", &tree]).unwrap_or_default();
            if kind.trim() == "tree" {
                return self.found(&tree, dir.clone());
            }
        }
        Ok(FoundFiles::default())
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
            match self.commit_of(before) {
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
            .arg(self.folder)
            .args(args)
            .stdin(Stdio::null())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .output()?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(BadClone::Refused {
            folder: self.folder.display().to_string(),
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
