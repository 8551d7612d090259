//! Trees of files as the forge lists them. One list has at most as many entries as its administrator
//! allows (1,000 unless set otherwise), so how a list goes on is asked of the list itself.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::path::is_object;
use super::{Forge, ForgeError};
use workflow::discovery::git_tree::{EntryKind, TreeEntry};

/// Entries of one page that are asked for: the most that a forge gives unless it is set otherwise.
const PAGE: usize = 1000;
/// Most pages of one list: ten thousand files in one folder, or workflows below one, are nothing
/// that people made.
const PAGES_MAX: usize = 10;
/// Longest answer with a page of a tree, in bytes: a thousand entries with paths of 2,000 bytes,
/// their names and addresses beside them.
const ANSWER_MAX_BYTES: usize = 4 * 1024 * 1024;

/// How deep a list goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// The folder's own entries.
    Shallow,
    /// All below it.
    Recursive,
}

/// How often a forge may still be asked on behalf of one question.
#[derive(Debug)]
pub(super) struct Calls(pub(super) usize);

impl Calls {
    /// Takes one; `false` when none is left.
    pub(super) fn take(&mut self) -> bool {
        let left = self.0.checked_sub(1);
        self.0 = left.unwrap_or_default();
        left.is_some()
    }
}

/// One page of a tree.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) entries: Vec<TreeEntry>,
    /// Whether this is not all. Before 1.26 and at a Forgejo the last page says so too.
    pub(super) goes_on: bool,
    /// How many entries the whole list has.
    total: usize,
}

#[derive(Deserialize)]
struct TreeBody {
    sha: String,
    /// `null` beyond the last page.
    tree: Option<Vec<EntryBody>>,
    truncated: bool,
    total_count: usize,
}

#[derive(Deserialize)]
struct EntryBody {
    path: String,
    mode: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    size: u64,
    sha: String,
}

impl Forge {
    /// All entries of the tree of `sha`, a tree or a commit; `None` when there are more pages than
    /// are read, or than `calls` allow.
    pub(super) async fn tree(
        &self,
        repository: &str,
        sha: &str,
        depth: Depth,
        calls: &mut Calls,
    ) -> Result<Option<Vec<TreeEntry>>, ForgeError> {
        let mut entries = Vec::new();
        for number in 1..=PAGES_MAX {
            if !calls.take() {
                return Ok(None);
            }
            let page = self.tree_page(repository, sha, depth, number).await?;
            let is_empty = page.entries.is_empty();
            entries.extend(page.entries);
            if !page.goes_on || entries.len() >= page.total {
                return Ok(Some(entries));
            }
            if is_empty {
                break;
            }
        }
        Ok(None)
    }

    /// One page of that list.
    pub(super) async fn tree_page(
        &self,
        repository: &str,
        sha: &str,
        depth: Depth,
        number: usize,
    ) -> Result<Page, ForgeError> {
        let recursive = match depth {
            Depth::Shallow => "",
            Depth::Recursive => "recursive=true&",
        };
        let path = format!(
            "/api/v1/repos/{repository}/git/trees/{sha}?{recursive}per_page={PAGE}&page={number}"
        );
        let answer = self.get_large("GET tree", &path, ANSWER_MAX_BYTES).await?;
        let body: TreeBody = answer.json()?;
        if !body.sha.eq_ignore_ascii_case(sha) {
            return Err(answer.unreadable());
        }
        let entries = body.tree.unwrap_or_default().into_iter().map(entry);
        let entries: Option<Vec<TreeEntry>> = entries.collect();
        let entries = entries.ok_or_else(|| answer.unreadable())?;
        let mut seen = BTreeSet::new();
        if !entries.iter().all(|entry| seen.insert(&entry.path)) {
            return Err(answer.unreadable());
        }
        Ok(Page {
            goes_on: body.truncated,
            total: body.total_count,
            entries,
        })
    }
}

/// An entry as git could have it: its name and its mode become part of other calls and of verdicts.
fn entry(body: EntryBody) -> Option<TreeEntry> {
    let mode = u32::from_str_radix(&body.mode, 8).ok()?;
    let kind = match (body.kind.as_str(), mode) {
        ("tree", 0o040_000) => EntryKind::Tree,
        ("blob", 0o120_000) => EntryKind::Link,
        ("blob", _) => EntryKind::File,
        ("commit", _) => EntryKind::Submodule,
        _ => return None,
    };
    (!body.path.is_empty() && is_object(&body.sha)).then_some(TreeEntry {
        path: body.path,
        kind,
        mode,
        sha: body.sha,
        size_bytes: body.size,
    })
}
