//! A repository of a bundle, as the forge had it: what of it the rules look at.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;

use workflow::discovery::git_tree::{Entry, EntryKind, TreeEntry, changed};
use workflow::discovery::{self, FoundFile, FoundFiles};
use workflow::event::is_zeros;
use workflow::jobs::reusable::CALLS_MAX;
use workflow::jobs::uses::Uses;
use workflow::jobs::workflow_set::WorkflowSet;
use workflow::server::Server;
use workflow::trigger::Changed;

/// A bare clone. Its folder goes with it.
pub(crate) struct Clone {
    folder: tempfile::TempDir,
    /// What was read of it already: the same files stand in many commits.
    blobs: RefCell<HashMap<String, Vec<u8>>>,
}

impl Clone {
    pub(crate) fn of(bundle: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let args = ["clone", "--quiet", "--mirror"];
        let status = Command::new("git")
            .args(args)
            .arg(bundle)
            .arg(folder.path())
            .status()
            .expect("git is installed: the repository that this test is in came by it");
        assert!(status.success(), "{}", bundle.display());
        Self {
            folder,
            blobs: RefCell::default(),
        }
    }

    /// The commit that a name or an id leads to.
    pub(crate) fn commit(&self, name: &str) -> Option<String> {
        let peeled = format!("{name}^{{commit}}");
        let sha = self.text(&["rev-parse", "--verify", "--quiet", &peeled])?;
        Some(sha.trim().to_owned())
    }

    pub(crate) fn message(&self, sha: &str) -> String {
        self.text(&["log", "-1", "--format=%B", sha]).unwrap()
    }

    /// The workflows of a commit, and those that they call, also of `app`, the other repository.
    pub(crate) fn workflows(&self, sha: &str, app: &Self, server: Server) -> WorkflowSet {
        let dirs = discovery::workflow_dirs(server).into_iter();
        let found = dirs
            .map(|dir| (self.listed(&format!("{sha}:{dir}")), dir))
            .find_map(|(entries, dir)| Some(self.found(dir, entries?)));
        let mut set = WorkflowSet::of(found.unwrap_or_default(), server);
        for _ in 0..CALLS_MAX {
            for uses in set.open_calls(server) {
                let bytes = match &uses {
                    Uses::Here { path } => self.bytes(&["show", &format!("{sha}:{path}")]),
                    Uses::There {
                        path, reference, ..
                    } => app.bytes(&["show", &format!("{reference}:{path}")]),
                };
                let bytes = bytes.ok_or_else(|| "there is no such file".to_owned());
                set.add_called(uses, bytes, server);
            }
        }
        set
    }

    fn found(&self, dir: String, entries: Vec<TreeEntry>) -> FoundFiles {
        let entries = discovery::workflows_in(&dir, entries);
        let files = entries.iter().map(|entry| FoundFile {
            path: entry.path.clone(),
            bytes: match discovery::why_unread(entry) {
                Some(why) => Err(why),
                None => Ok(self.blob(&entry.sha)),
            },
        });
        FoundFiles {
            files: files.collect(),
            refused: discovery::why_refused(&entries),
            dir: Some(dir),
        }
    }

    /// The files that changed from one commit to the next, as the forge computes them.
    pub(crate) fn changed(&self, before: &str, after: &str) -> Changed {
        let parents = format!("{after}^@");
        let parents = self.text(&["rev-parse", &parents]).unwrap();
        let parents: Vec<&str> = parents.split_whitespace().collect();
        let before = match (is_zeros(before), parents.as_slice()) {
            (false, _) => self.commit(before),
            (true, []) => None,
            (true, [parent]) => Some((*parent).to_owned()),
            (true, [_, _, ..]) => return Changed::Files(Vec::new()),
        };
        let tree = |sha: &str| -> Vec<Entry> {
            let entries = self.listed(sha).unwrap().into_iter();
            let entries = entries.map(
                |TreeEntry {
                     path, mode, sha, ..
                 }| Entry { path, mode, sha },
            );
            entries.collect()
        };
        let before = before.map(|sha| tree(&sha)).unwrap_or_default();
        Changed::Files(changed(&before, &tree(after)))
    }

    fn blob(&self, sha: &str) -> Vec<u8> {
        let mut blobs = self.blobs.borrow_mut();
        let read = || self.bytes(&["cat-file", "blob", sha]).unwrap();
        blobs.entry(sha.to_owned()).or_insert_with(read).clone()
    }

    /// Everything below a tree; `None`: it is none.
    fn listed(&self, tree: &str) -> Option<Vec<TreeEntry>> {
        let list = self.text(&["ls-tree", "-r", "-z", "--long", tree])?;
        let entries = list.split_terminator('\0').map(|line| {
            // MODE TYPE SHA SIZE\tPATH
            let (meta, path) = line.split_once('\t').unwrap();
            let meta: Vec<&str> = meta.split_whitespace().collect();
            let mode = u32::from_str_radix(meta[0], 8).unwrap();
            TreeEntry {
                path: path.to_owned(),
                kind: match mode {
                    0o120_000 => EntryKind::Link,
                    0o160_000 => EntryKind::Submodule,
                    _ => EntryKind::File,
                },
                mode,
                sha: meta[2].to_owned(),
                size_bytes: meta[3].parse().unwrap_or_default(),
            }
        });
        Some(entries.collect())
    }

    fn text(&self, args: &[&str]) -> Option<String> {
        Some(String::from_utf8_lossy(&self.bytes(args)?).into_owned())
    }

    fn bytes(&self, args: &[&str]) -> Option<Vec<u8>> {
        let output = Command::new("git")
            .arg("-C")
            .arg(self.folder.path())
            .args(args)
            .output()
            .unwrap();
        output.status.success().then_some(output.stdout)
    }
}

/// The clones of one bundle: names of branches lead where they did when an event happened.
pub(crate) struct At<'a> {
    pub(crate) clone: &'a Clone,
    pub(crate) refs: &'a BTreeMap<String, String>,
}

impl At<'_> {
    /// The commit that a name or an id led to then.
    pub(crate) fn commit(&self, name: &str) -> Option<String> {
        let mut folders = ["", "refs/heads/", "refs/tags/"].iter();
        let then = folders.find_map(|folder| self.refs.get(&format!("{folder}{name}")));
        self.clone.commit(then.map_or(name, String::as_str))
    }
}

/// The folder of the cases.
pub(crate) fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}
