//! The files that a push changed, as the forge computes them: tree against tree. A delivery's own
//! lists end after five commits, and the forge's `compare` is of a range, which a force push is not.
//!
//! Two lists settle it where the repository fits on a page. Where it does not, only folders whose
//! trees differ are looked into, as git itself does.

use std::collections::BTreeMap;

use super::commit::Commit;
use super::path::is_zero;
use super::tree::{Calls, Depth};
use super::{Forge, ForgeError};
use workflow::discovery::git_tree::{EntryKind, TreeEntry, changed};
use workflow::trigger::Changed;

/// Most calls for one comparison: some seconds at the most. Commits that change files in more than
/// about ten folders of a repository over a thousand files are beyond it in the worst case.
const CALLS_MAX: usize = 60;

impl Forge {
    /// What changed from `before` to `after`, as the forge's rules on `paths` see it (Gitea 1.26 and
    /// Forgejo, `diff-tree -r --root`). With zeros for `before` that is what the commit itself
    /// changed: against its parent, all of it without one, and nothing at all of a merge.
    pub async fn changed_files(
        &self,
        repository: &str,
        before: &str,
        after: &str,
    ) -> Result<Changed, ForgeError> {
        let gone = |sha: &str| Changed::Unknown(format!("the forge has no commit {sha} any more"));
        let before = if is_zero(before) {
            match self.commit(repository, after).await {
                Ok(Commit { parents, .. }) => match parents.as_slice() {
                    [] => None,
                    [parent] => Some(parent.clone()),
                    [_, _, ..] => return Ok(Changed::Files(Vec::new())),
                },
                Err(error) if is_missing(&error) => return Ok(gone(after)),
                Err(error) => return Err(error),
            }
        } else {
            Some(before.to_owned())
        };
        let comparison = Comparison {
            forge: self,
            repository,
            calls: Calls(CALLS_MAX),
            before: Vec::new(),
            after: Vec::new(),
        };
        let names = format!("{} or {after}", before.as_deref().unwrap_or(after));
        match comparison.run(before, after.to_owned()).await {
            Ok(Some(files)) => Ok(Changed::Files(files)),
            Ok(None) => Ok(Changed::Unknown(format!(
                "the commits differ in more folders than are compared ({CALLS_MAX} lists)"
            ))),
            Err(error) if is_missing(&error) => Ok(gone(&names)),
            Err(error) => Err(error),
        }
    }
}

/// The forge's own words for an object that it does not have: 400 for trees, 404 for commits.
fn is_missing(error: &ForgeError) -> bool {
    matches!(
        error,
        ForgeError::Refused {
            status: 400 | 404,
            ..
        }
    )
}

/// A folder on both sides, where it exists.
struct Pair {
    path: String,
    before: Option<String>,
    after: Option<String>,
}

struct Comparison<'a> {
    forge: &'a Forge,
    repository: &'a str,
    calls: Calls,
    /// Files of folders that differ.
    before: Vec<TreeEntry>,
    after: Vec<TreeEntry>,
}

impl Comparison<'_> {
    /// What changed; `None` when that takes more calls than are made.
    async fn run(
        mut self,
        before: Option<String>,
        after: String,
    ) -> Result<Option<Vec<String>>, ForgeError> {
        let mut waiting = vec![Pair {
            path: String::new(),
            before,
            after: Some(after),
        }];
        // Each round costs calls, which end.
        while let Some(pair) = waiting.pop() {
            if pair.before == pair.after {
                continue;
            }
            if let Some((before, after)) = self.whole(&pair).await? {
                collect(&mut self.before, &pair.path, before);
                collect(&mut self.after, &pair.path, after);
                continue;
            }
            let own = (
                self.own_entries(pair.before.as_deref()).await?,
                self.own_entries(pair.after.as_deref()).await?,
            );
            let (Some(before), Some(after)) = own else {
                return Ok(None);
            };
            waiting.extend(folders(&pair.path, &before, &after));
            collect(&mut self.before, &pair.path, before);
            collect(&mut self.after, &pair.path, after);
        }
        Ok(Some(changed(&self.before, &self.after)))
    }

    /// All below a folder on both sides, if a page holds each.
    async fn whole(
        &mut self,
        pair: &Pair,
    ) -> Result<Option<(Vec<TreeEntry>, Vec<TreeEntry>)>, ForgeError> {
        for _ in [&pair.before, &pair.after].into_iter().flatten() {
            if !self.calls.take() {
                return Ok(None);
            }
        }
        let (before, after) = tokio::try_join!(
            self.on_a_page(pair.before.as_deref()),
            self.on_a_page(pair.after.as_deref())
        )?;
        Ok(before.zip(after))
    }

    /// Nothing is below a folder that is not there.
    async fn on_a_page(&self, sha: Option<&str>) -> Result<Option<Vec<TreeEntry>>, ForgeError> {
        let Some(sha) = sha else {
            return Ok(Some(Vec::new()));
        };
        let page = self
            .forge
            .tree_page(self.repository, sha, Depth::Recursive, 1)
            .await?;
        Ok((!page.goes_on).then_some(page.entries))
    }

    /// What a folder itself has.
    async fn own_entries(
        &mut self,
        sha: Option<&str>,
    ) -> Result<Option<Vec<TreeEntry>>, ForgeError> {
        let Some(sha) = sha else {
            return Ok(Some(Vec::new()));
        };
        self.forge
            .tree(self.repository, sha, Depth::Shallow, &mut self.calls)
            .await
    }
}

/// The files among `entries`, with their whole paths.
fn collect(into: &mut Vec<TreeEntry>, folder: &str, entries: Vec<TreeEntry>) {
    let files = entries.into_iter().filter(|e| e.kind != EntryKind::Tree);
    into.extend(files.map(|entry| TreeEntry {
        path: joined(folder, &entry.path),
        ..entry
    }));
}

/// The folders in a folder that are not the same on both sides.
fn folders(path: &str, before: &[TreeEntry], after: &[TreeEntry]) -> Vec<Pair> {
    let mut pairs: BTreeMap<&str, Pair> = BTreeMap::new();
    for (side, is_after) in [(before, false), (after, true)] {
        for entry in side.iter().filter(|entry| entry.kind == EntryKind::Tree) {
            let pair = pairs.entry(&entry.path).or_insert_with(|| Pair {
                path: joined(path, &entry.path),
                before: None,
                after: None,
            });
            let sha = Some(entry.sha.clone());
            if is_after {
                pair.after = sha;
            } else {
                pair.before = sha;
            }
        }
    }
    let differ = |pair: &Pair| pair.before != pair.after;
    pairs.into_values().filter(differ).collect()
}

fn joined(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}
