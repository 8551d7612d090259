//! A clone on this machine as a source of facts for the trigger rules: what the forge's own repository
//! holds, asked with git. `explain`, the comparison with a real Gitea and the recorded verdicts read the
//! same files in the same way.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use workflow::discovery::git_tree::{EntryKind, TreeEntry, changed};
use workflow::discovery::{self, FoundFile, FoundFiles};
use workflow::event::is_zeros;
use workflow::jobs::uses::Uses;
use workflow::trigger::Changed;
use workflow::yaml::Refused;
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
    /// Clones of other repositories, by `owner/name`.
    pub others: BTreeMap<String, &'a Path>,
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
        self.resolved(reference)
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
    ) -> Result<Result<Vec<u8>, Refused>, BadClone> {
        let (clone, commit, path) = match uses {
            Uses::Here { path } => (self.folder, commit, path),
            Uses::There {
                owner,
                repository,
                path,
                reference,
            } => {
                let name = format!("{owner}/{repository}");
                let Some(other) = self.settings.others.get(&name) else {
                    let why = "it is in another repository, which the clone does not have: leave \
                               --repo out to ask the forge";
                    return Ok(Err(Refused::limit(None, why)));
                };
                (*other, reference.as_str(), path)
            }
        };
        let file = run(
            clone,
            &["cat-file", "blob", &format!("{commit}:{path}")],
            &[],
        );
        Ok(file.map_err(|_| Refused::new(None, "the commit has no such file")))
    }

    /// Tree against tree, as the forge computes them.
    async fn changed_files(&self, _: &str, before: &str, after: &str) -> Result<Changed, BadClone> {
        let parents = self.text(&["rev-list", "--parents", "-n", "1", after])?;
        let parents: Vec<&str> = parents.split_whitespace().skip(1).collect();
        let before = if is_zeros(before) {
            match parents.as_slice() {
                [] => None,
                [parent] => Some((*parent).to_owned()),
                [_, _, ..] => return Ok(Changed::Files(Vec::new())),
            }
        } else {
            match self.resolved(before) {
                Ok(before) => Some(before),
                Err(BadClone::NoCommit(sha)) => {
                    let why = format!("the clone has no commit {sha}, which the push replaced");
                    return Ok(Changed::Unknown(why));
                }
                Err(error) => return Err(error),
            }
        };
        let tree = |sha: &str| self.listed(&["ls-tree", "-r", "-z", sha]);
        let before = before.as_deref().map_or_else(|| Ok(Vec::new()), tree)?;
        Ok(Changed::Files(changed(&before, &tree(after)?)))
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

    /// The commit that a reference of the forge leads to.
    fn resolved(&self, reference: &str) -> Result<String, BadClone> {
        let at = self.settings.references.and_then(|all| {
            let branch = all.get(&format!("refs/heads/{reference}"));
            branch.or_else(|| all.get(reference))
        });
        self.commit_of(at.map_or(reference, String::as_str))
    }

    /// The commit that a name or an id leads to: tags are followed, remote branches count.
    pub fn commit_of(&self, name: &str) -> Result<String, BadClone> {
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
        let entries = self.listed(&["ls-tree", "-r", "-z", "--long", tree])?;
        let entries = discovery::workflows_in(&dir, entries);
        let refused = discovery::why_refused(&entries);
        let mut files = Vec::new();
        if refused.is_none() {
            let is_read = |entry: &&TreeEntry| discovery::why_unread(entry).is_none();
            let mut blobs = self.blobs(entries.iter().filter(is_read))?.into_iter();
            files.extend(entries.into_iter().map(|entry| FoundFile {
                bytes: match discovery::why_unread(&entry) {
                    Some(why) => Err(why),
                    None => Ok(blobs.next().unwrap_or_default()),
                },
                path: entry.path,
            }));
        }
        Ok(FoundFiles {
            dir: Some(dir),
            files,
            refused,
        })
    }

    fn listed(&self, args: &[&str]) -> Result<Vec<TreeEntry>, BadClone> {
        let bytes = run(self.folder, args, &[])?;
        let lines = bytes.split(|byte| *byte == 0);
        let lines = lines.map(String::from_utf8_lossy);
        Ok(lines.filter_map(|line| entry_of(&line)).collect())
    }

    /// What is in these files, in one go: `SHA blob SIZE`, a line's end, the bytes and a line's end each.
    fn blobs<'b>(
        &self,
        entries: impl Iterator<Item = &'b TreeEntry>,
    ) -> Result<Vec<Vec<u8>>, BadClone> {
        let names: Vec<&str> = entries.map(|entry| entry.sha.as_str()).collect();
        let names = names.join("\n") + "\n";
        let bytes = run(self.folder, &["cat-file", "--batch"], names.as_bytes())?;
        let mut rest = bytes.as_slice();
        let next = || {
            let end = rest.iter().position(|byte| *byte == b'\n')?;
            let head = std::str::from_utf8(&rest[..end]).ok()?;
            let size: usize = head.rsplit_once(' ')?.1.parse().ok()?;
            let blob = rest.get(end + 1..end + 1 + size)?.to_vec();
            rest = &rest[end + 2 + size..];
            Some(blob)
        };
        Ok(std::iter::from_fn(next).collect())
    }

    fn text(&self, args: &[&str]) -> Result<String, BadClone> {
        Ok(String::from_utf8_lossy(&run(self.folder, args, &[])?).into_owned())
    }
}

/// Runs git in `folder`. `input` is a list of some files: it fits into the pipe.
fn run(folder: &Path, args: &[&str], input: &[u8]) -> Result<Vec<u8>, BadClone> {
    let mut git = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .spawn()?;
    // git says itself what it does not want to read.
    let _ = git.stdin.take().map(|mut stdin| stdin.write_all(input));
    let output = git.wait_with_output()?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(BadClone::Refused {
        folder: folder.display().to_string(),
        words: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// `MODE TYPE SHA[ SIZE]\tPATH`; what is no file has `-` for a size.
fn entry_of(line: &str) -> Option<TreeEntry> {
    let (meta, path) = line.split_once('\t')?;
    let mut meta = meta.split_whitespace();
    let mode = u32::from_str_radix(meta.next()?, 8).ok()?;
    Some(TreeEntry {
        path: path.to_owned(),
        kind: match mode {
            0o120_000 => EntryKind::Link,
            0o160_000 => EntryKind::Submodule,
            _ => EntryKind::File,
        },
        mode,
        sha: meta.nth(1)?.to_owned(),
        size_bytes: meta
            .next()
            .and_then(|size| size.parse().ok())
            .unwrap_or_default(),
    })
}
