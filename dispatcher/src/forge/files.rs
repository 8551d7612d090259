//! The workflow files of a repository at a commit: found with one list for each folder on the way,
//! read at once where the server can do that.
//!
//! Lists are of trees, not of "contents": those cost the server a walk through the history for every
//! entry (measured on 1.26: 300 ms for 170 files, 20 ms as a tree), and tell no folder below.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::path::{self, part};
use super::tree::{Calls, Depth};
use super::{Forge, ForgeError};
use workflow::discovery::git_tree::{EntryKind, TreeEntry};
use workflow::discovery::{FoundFile, FoundFiles, why_refused, why_unread, workflows_in};
use workflow::jobs::uses::Uses;
use workflow::yaml::Refused;
use workflow::{Capability, Server};

/// Most calls for lists: the root, and two folders on each of three ways, with pages to spare.
const LIST_CALLS_MAX: usize = 20;
/// Most files of one bulk read: what a forge gives at a time, unless it is set otherwise.
const BULK_FILES_MAX: usize = 30;
/// Most bytes of one bulk read, before they become a third more in base64.
const BULK_MAX_BYTES: u64 = 2 * 1024 * 1024;
/// Longest list of paths in the address of a bulk read, in bytes: proxies take 8 kB of address.
const BULK_QUERY_MAX_BYTES: usize = 4000;
/// Largest answer with files, in bytes: [`BULK_MAX_BYTES`] in base64, and 2 kB about each.
const ANSWER_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Largest file that is called, in bytes: as much as the forge reads of one.
const CALLED_MAX_BYTES: u64 = 1024 * 1024;
/// Files that are read at a time where each takes a call.
const AT_ONCE: usize = 6;

#[derive(Deserialize)]
struct BulkBody {
    path: String,
    #[serde(flatten)]
    blob: BlobBody,
}

#[derive(Deserialize)]
struct BlobBody {
    sha: String,
    size: u64,
    /// `null` of what is too large, or no file.
    encoding: Option<String>,
    content: Option<String>,
}

impl BlobBody {
    /// The bytes, if they are those of `entry`.
    fn bytes_of(&self, entry: &TreeEntry) -> Option<Vec<u8>> {
        let is_it = self.sha.eq_ignore_ascii_case(&entry.sha) && self.size == entry.size_bytes;
        if is_it { self.bytes() } else { None }
    }

    /// The bytes, if the forge gave them all.
    fn bytes(&self) -> Option<Vec<u8>> {
        let encoded = self.content.as_deref()?;
        // An empty file is an empty text.
        if self.encoding.as_deref() != Some("base64") {
            return None;
        }
        let bytes = STANDARD.decode(encoded).ok()?;
        (u64::try_from(bytes.len()) == Ok(self.size)).then_some(bytes)
    }
}

/// What is at a path: of a folder, the list of what is in it.
#[derive(Deserialize)]
#[serde(untagged)]
enum ContentsBody {
    Entry {
        r#type: String,
        #[serde(flatten)]
        blob: BlobBody,
    },
    Folder(Vec<IgnoredAny>),
}

impl Forge {
    /// The workflow files of `repository` at `reference`, a commit or a branch, in the first of `dirs`
    /// that it has: that one counts even if it has none (Gitea 1.26 and Forgejo, `modules/actions`).
    pub async fn workflow_files(
        &self,
        repository: &str,
        reference: &str,
        dirs: &[String],
    ) -> Result<FoundFiles, ForgeError> {
        let server = self.server().await?;
        let commit = self.resolved(repository, reference).await?;
        let mut walk = Walk {
            forge: self,
            repository,
            calls: Calls(LIST_CALLS_MAX),
            trees: BTreeMap::new(),
        };
        let refused = |dir: Option<&String>, why: &str| FoundFiles {
            dir: dir.cloned(),
            files: Vec::new(),
            refused: Some(why.to_owned()),
        };
        let too_much = "the repository's list of files has more pages than are read";
        for dir in dirs {
            let found = match walk.folder(&commit, dir).await? {
                Found::Nothing => continue,
                Found::TooMuch => return Ok(refused(None, too_much)),
                Found::Tree(sha) => sha,
            };
            let entries = walk.list(&found, Depth::Recursive).await?;
            let Some(entries) = entries else {
                return Ok(refused(Some(dir), too_much));
            };
            let entries = workflows_in(dir, entries);
            if let Some(why) = why_refused(&entries) {
                return Ok(refused(Some(dir), &why));
            }
            let files = self
                .read_files(repository, &commit, entries, server)
                .await?;
            return Ok(FoundFiles {
                dir: Some(dir.clone()),
                files,
                refused: None,
            });
        }
        Ok(FoundFiles::default())
    }

    /// The file that a job of `repository` at `reference` calls, or why it can't be had. One of another
    /// repository may only be hidden from the owner of the token.
    pub async fn called_file(
        &self,
        repository: &str,
        reference: &str,
        uses: &Uses,
    ) -> Result<Result<Vec<u8>, Refused>, ForgeError> {
        let (repository, reference, path) = match uses {
            Uses::Here { path } => (path::path(repository), reference, path),
            Uses::There {
                owner,
                repository,
                path,
                reference,
            } => {
                let repository = format!("{}/{}", part(owner), part(repository));
                (repository, reference.as_str(), path)
            }
        };
        // Not "raw": where there is no such ref, that gives the default branch's file (Gitea to 1.26,
        // `getRefNameLegacy`; measured).
        let address = format!(
            "/api/v1/repos/{repository}/contents/{}?ref={}",
            path::path(path),
            part(reference)
        );
        let answer = match self
            .get_large("GET contents", &address, ANSWER_MAX_BYTES)
            .await
        {
            Err(error) if error.is_own_404() => {
                let why = "the forge shows no such file to the owner of the token";
                return Ok(Err(match uses {
                    Uses::Here { .. } => Refused::new(None, why),
                    Uses::There { .. } => Refused::limit(None, why),
                }));
            }
            // Too large.
            Err(ForgeError::BadAnswer { status: 200, .. }) => {
                let why = "the forge gives no file of less than 1 MiB";
                return Ok(Err(Refused::limit(None, why)));
            }
            other => other?,
        };
        let read = match answer.json()? {
            ContentsBody::Entry { r#type, blob } if r#type == "file" => blob
                .bytes()
                .filter(|_| blob.size <= CALLED_MAX_BYTES)
                .ok_or_else(|| format!("of its {} bytes no more than 1 MiB is read", blob.size)),
            ContentsBody::Entry { r#type, .. } => Err(format!("it is no file, but a {type}")),
            ContentsBody::Folder(entries) => {
                Err(format!("it is no file, but a folder of {}", entries.len()))
            }
        };
        Ok(read.map_err(|why| Refused::limit(None, why)))
    }

    async fn read_files(
        &self,
        repository: &str,
        commit: &str,
        entries: Vec<TreeEntry>,
        server: Server,
    ) -> Result<Vec<FoundFile>, ForgeError> {
        let wanted: Vec<&TreeEntry> = entries
            .iter()
            .filter(|entry| why_unread(entry).is_none())
            .collect();
        let reads_in_bulk = server.has(Capability::ReadsFilesInBulk);
        let mut read = BTreeMap::new();
        if reads_in_bulk && wanted.len() > 1 {
            for batch in batches(&wanted) {
                read.extend(self.read_bulk(repository, commit, batch).await?);
            }
        }
        // Also what a bulk read left out: its limits are the administrator's.
        let missing = wanted
            .into_iter()
            .filter(|entry| !read.contains_key(&entry.path));
        let calls: Vec<_> = missing
            .map(|entry| self.read_blob(repository, entry))
            .collect();
        let one_by_one: Vec<(String, Vec<u8>)> = stream::iter(calls)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        read.extend(one_by_one);
        let files = entries.into_iter().map(|entry| FoundFile {
            bytes: match why_unread(&entry) {
                Some(why) => Err(why),
                None => Ok(read.remove(&entry.path).unwrap_or_default()),
            },
            path: entry.path,
        });
        Ok(files.collect())
    }

    /// What the forge gives of `batch` at once. Less than all is no error: for a moment after the first
    /// push to a repository the forge takes it for empty, and 1.26 panics here (measured).
    async fn read_bulk(
        &self,
        repository: &str,
        commit: &str,
        batch: &[&TreeEntry],
    ) -> Result<Vec<(String, Vec<u8>)>, ForgeError> {
        let paths: Vec<&str> = batch.iter().map(|entry| entry.path.as_str()).collect();
        let body = json!({ "files": paths }).to_string();
        let path = format!(
            "/api/v1/repos/{repository}/file-contents?ref={commit}&body={}",
            part(&body)
        );
        let answer = match self
            .get_large("GET file contents", &path, ANSWER_MAX_BYTES)
            .await
        {
            Err(ForgeError::Refused { .. } | ForgeError::BadAnswer { .. }) => {
                return Ok(Vec::new());
            }
            other => other?,
        };
        let bodies: Vec<Option<BulkBody>> = answer.json()?;
        let read = bodies.into_iter().flatten().filter_map(|body| {
            let entry = batch.iter().find(|entry| entry.path == body.path)?;
            Some((body.path, body.blob.bytes_of(entry)?))
        });
        Ok(read.collect())
    }

    async fn read_blob(
        &self,
        repository: &str,
        entry: &TreeEntry,
    ) -> Result<(String, Vec<u8>), ForgeError> {
        let path = format!("/api/v1/repos/{repository}/git/blobs/{}", entry.sha);
        let answer = self.get_large("GET blob", &path, ANSWER_MAX_BYTES).await?;
        let blob: BlobBody = answer.json()?;
        let bytes = blob.bytes_of(entry).ok_or_else(|| answer.unreadable())?;
        Ok((entry.path.clone(), bytes))
    }
}

/// The way from a commit to a folder. Folders begin alike (`.gitea`), and none is listed twice.
struct Walk<'a> {
    forge: &'a Forge,
    repository: &'a str,
    calls: Calls,
    trees: BTreeMap<String, Vec<TreeEntry>>,
}

/// What is at a path.
enum Found {
    /// No folder. A link or a submodule is none.
    Nothing,
    /// A folder: the name of its tree.
    Tree(String),
    /// More than is read on the way there.
    TooMuch,
}

impl Walk<'_> {
    async fn folder(&mut self, commit: &str, path: &str) -> Result<Found, ForgeError> {
        let mut at = commit.to_owned();
        for name in path.split('/') {
            if !self.trees.contains_key(&at) {
                let Some(entries) = self.list(&at, Depth::Shallow).await? else {
                    return Ok(Found::TooMuch);
                };
                self.trees.insert(at.clone(), entries);
            }
            let mut entries = self.trees[&at].iter();
            match entries.find(|entry| entry.path == name && entry.kind == EntryKind::Tree) {
                Some(entry) => at = entry.sha.clone(),
                None => return Ok(Found::Nothing),
            }
        }
        Ok(Found::Tree(at))
    }

    async fn list(
        &mut self,
        sha: &str,
        depth: Depth,
    ) -> Result<Option<Vec<TreeEntry>>, ForgeError> {
        self.forge
            .tree(self.repository, sha, depth, &mut self.calls)
            .await
    }
}

/// `entries` in parts that one bulk read can have.
fn batches<'a, 'b>(entries: &'b [&'a TreeEntry]) -> Vec<&'b [&'a TreeEntry]> {
    let mut batches = Vec::new();
    let (mut start, mut bytes, mut query) = (0, 0, 0);
    for (at, entry) in entries.iter().enumerate() {
        // Quotes and comma are escaped too.
        let own = part(&entry.path).len() + 9;
        let is_full = at - start == BULK_FILES_MAX
            || bytes + entry.size_bytes > BULK_MAX_BYTES
            || query + own > BULK_QUERY_MAX_BYTES;
        if is_full && at > start {
            batches.push(&entries[start..at]);
            (start, bytes, query) = (at, 0, 0);
        }
        bytes += entry.size_bytes;
        query += own;
    }
    if start < entries.len() {
        batches.push(&entries[start..]);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use workflow::discovery::FILE_MAX_BYTES;

    fn file(path: &str, size_bytes: u64) -> TreeEntry {
        TreeEntry {
            path: path.to_owned(),
            kind: EntryKind::File,
            mode: 0o100_644,
            sha: "1".repeat(40),
            size_bytes,
        }
    }

    #[test]
    fn a_bulk_read_is_bounded_in_files_bytes_and_address() {
        let sizes = |entries: &[TreeEntry]| {
            let entries: Vec<&TreeEntry> = entries.iter().collect();
            let batches = batches(&entries);
            batches.iter().map(|batch| batch.len()).collect::<Vec<_>>()
        };
        let small: Vec<TreeEntry> = (0..70).map(|n| file(&format!("{n}.yml"), 10)).collect();
        assert_eq!(sizes(&small), [30, 30, 10]);
        let large: Vec<TreeEntry> = (0..5).map(|_| file("x.yml", FILE_MAX_BYTES)).collect();
        assert_eq!(sizes(&large), [2, 2, 1]);
        let long: Vec<TreeEntry> = (0..3).map(|_| file(&"x".repeat(1990), 1)).collect();
        assert_eq!(sizes(&long), [2, 1]);
        assert_eq!(sizes(&[]), [0; 0]);
    }
}
