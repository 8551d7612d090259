//! Bare repositories on disk, read and written by git.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::HeaderMap;
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use workflow::discovery::git_tree::{EntryKind, TreeEntry};
use workflow::discovery::{self, FoundFile, FoundFiles};
use workflow::server::Server;

use super::git_command::{Error, command, git, run};
use super::objects;
use super::payload::push::{Commit, Person, Pushed, ZERO};

/// The forge counts at most so many commits of a new branch.
const NEW_BRANCH_COMMITS_MAX: usize = 10;

/// The folder of one repository. Names are checked when a repository is made.
pub(crate) fn folder(data: &Path, owner: &str, name: &str) -> PathBuf {
    data.join(owner.to_lowercase())
        .join(format!("{}.git", name.to_lowercase()))
}

pub(crate) async fn create(folder: &Path, default_branch: &str) -> Result<(), Error> {
    tokio::fs::create_dir_all(folder)
        .await
        .map_err(Error::Spawn)?;
    let branch = format!("--initial-branch={default_branch}");
    git(folder, &["init", "--bare", "--quiet", &branch]).await?;
    Ok(())
}

/// Every branch and tag with what it points at.
pub(crate) async fn refs(folder: &Path) -> Result<BTreeMap<String, String>, Error> {
    let format = "--format=%(objectname) %(refname)";
    let list = git(folder, &["for-each-ref", format, "refs/heads", "refs/tags"]).await?;
    Ok(list
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(id, name)| (name.to_owned(), id.to_owned()))
        .collect())
}

/// Whether the repository has this commit.
pub(crate) async fn has_commit(folder: &Path, id: &str) -> bool {
    let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let commit = format!("{id}^{{commit}}");
    is_id && git(folder, &["cat-file", "-e", &commit]).await.is_ok()
}

/// The bytes of one file of a commit, branch or tag; `None` where there is no such file.
pub(crate) async fn file(folder: &Path, reference: &str, path: &str) -> Option<String> {
    let plain = |text: &str| !text.is_empty() && !text.starts_with('-') && !text.contains("..");
    let object = format!("{reference}:{path}");
    let wanted = plain(reference) && !reference.contains(':') && plain(path);
    if !wanted {
        return None;
    }
    git(folder, &["cat-file", "blob", &object]).await.ok()
}

/// What a push did to one ref, with `commits_max` of its commits at most. `default` is the default branch's
/// tip before the push, if any.
pub(crate) async fn pushed(
    folder: &Path,
    reference: &str,
    before: Option<&String>,
    after: Option<&String>,
    default: Option<&String>,
    commits_max: usize,
) -> Result<Pushed, Error> {
    let is_branch = reference.starts_with("refs/heads/");
    let (range, base) = match (before, default.filter(|_| is_branch)) {
        (Some(before), _) => (Some(before), before.clone()),
        (None, Some(default)) => (Some(default), default.clone()),
        (None, None) => (None, ZERO.to_owned()),
    };
    let mut pushed = Pushed {
        reference: reference.to_owned(),
        before: before.cloned().unwrap_or_else(|| ZERO.to_owned()),
        after: after.cloned().unwrap_or_else(|| ZERO.to_owned()),
        base,
        commits: Vec::new(),
        total: 0,
        head: None,
        files: Vec::new(),
    };
    let Some(after) = after else {
        return Ok(pushed);
    };
    let peeled = format!("{after}^{{commit}}");
    let head = git(folder, &["rev-parse", "--verify", "--quiet", &peeled]).await?;
    let head = commit(folder, head.trim()).await?;
    if is_branch {
        let not = range.map_or_else(String::new, |range| format!("^{range}"));
        let mut args = vec!["rev-list", after];
        args.extend(Some(not.as_str()).filter(|not| !not.is_empty()));
        let list = git(folder, &args).await?;
        let ids: Vec<&str> = list.lines().collect();
        pushed.total = match before {
            Some(_) => ids.len(),
            None => ids.len().min(NEW_BRANCH_COMMITS_MAX),
        };
        for id in ids.iter().take(commits_max) {
            pushed.commits.push(commit(folder, id).await?);
        }
        pushed.files = match before {
            Some(before) => {
                let args = [
                    "diff-tree",
                    "-r",
                    "-z",
                    "--root",
                    "--name-only",
                    before,
                    after,
                ];
                let files = git(folder, &args).await?;
                files.split_terminator('\0').map(str::to_owned).collect()
            }
            None => [&head.added, &head.removed, &head.modified]
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
        };
    }
    pushed.head = Some(head);
    Ok(pushed)
}

/// One commit with the files that it changed against its first parent.
async fn commit(folder: &Path, id: &str) -> Result<Commit, Error> {
    let raw = git(folder, &["cat-file", "commit", id]).await?;
    let (head, message) = raw
        .split_once("\n\n")
        .ok_or_else(|| Error::Strange(format!("commit {id}")))?;
    let line = |kind: &str| {
        head.lines()
            .find_map(|line| line.strip_prefix(kind))
            .and_then(signature)
            .ok_or_else(|| Error::Strange(format!("commit {id}: no {kind}")))
    };
    let (author, _, _) = line("author ")?;
    let (committer, timestamp, seconds) = line("committer ")?;
    let mut commit = Commit {
        id: id.to_owned(),
        message: message.to_owned(),
        author,
        committer,
        timestamp,
        committed: seconds,
        added: Vec::new(),
        removed: Vec::new(),
        modified: Vec::new(),
    };
    let args = [
        "diff-tree",
        "--no-commit-id",
        "--name-status",
        "--no-renames",
        "-r",
        "-z",
        "--root",
        id,
    ];
    let printed = git(folder, &args).await?;
    let mut words = printed.split_terminator('\0');
    while let (Some(kind), Some(file)) = (words.next(), words.next()) {
        match kind {
            "A" => commit.added.push(file.to_owned()),
            "D" => commit.removed.push(file.to_owned()),
            _ => commit.modified.push(file.to_owned()),
        }
    }
    Ok(commit)
}

/// `NAME <EMAIL> SECONDS OFFSET`: who, when in the forge's format, when in seconds.
fn signature(line: &str) -> Option<(Person, String, i64)> {
    let (name, rest) = line.split_once(" <")?;
    let (email, rest) = rest.split_once("> ")?;
    let (seconds, offset) = rest.split_once(' ')?;
    let seconds: i64 = seconds.parse().ok()?;
    let offset: i32 = offset.parse().ok()?;
    let offset = Offset::from_seconds((offset / 100) * 3600 + (offset % 100) * 60).ok()?;
    let moment = Timestamp::from_second(seconds).ok()?;
    let format = if offset == Offset::UTC {
        "%Y-%m-%dT%H:%M:%SZ"
    } else {
        "%Y-%m-%dT%H:%M:%S%:z"
    };
    let timestamp = moment
        .to_zoned_datetime(TimeZone::fixed(offset))
        .strftime(format)
        .to_string();
    let person = Person {
        name: name.to_owned(),
        email: email.to_owned(),
        username: String::new(),
    };
    Some((person, timestamp, seconds))
}

/// The workflow files at a commit, as `server` finds them.
pub(crate) async fn workflows(
    folder: &Path,
    id: &str,
    server: Server,
) -> Result<FoundFiles, Error> {
    let all = objects::tree(folder, id, true)
        .await
        .ok_or_else(|| Error::Strange(format!("the tree of {id}")))?;
    let exists = |dir: &String| {
        let mut lines = all.iter();
        lines.any(|line| line.path == *dir && line.kind == "tree")
    };
    let dirs = discovery::workflow_dirs(server);
    let Some(dir) = dirs.into_iter().find(exists) else {
        return Ok(FoundFiles::default());
    };
    let below = format!("{dir}/");
    let entries = all.iter().filter_map(|line| {
        Some(TreeEntry {
            path: line.path.strip_prefix(&below)?.to_owned(),
            kind: match (line.kind.as_str(), line.mode.as_str()) {
                ("tree", _) => EntryKind::Tree,
                ("commit", _) => EntryKind::Submodule,
                (_, "120000") => EntryKind::Link,
                (_, _) => EntryKind::File,
            },
            mode: u32::from_str_radix(&line.mode, 8).unwrap_or_default(),
            sha: line.id.clone(),
            size_bytes: line.size,
        })
    });
    let entries = discovery::workflows_in(&dir, entries.collect());
    let refused = discovery::why_refused(&entries);
    let mut files = Vec::new();
    for entry in entries.into_iter().filter(|_| refused.is_none()) {
        let bytes = if let Some(why) = discovery::why_unread(&entry) {
            Err(why)
        } else {
            let bytes = objects::blob(folder, &entry.sha).await;
            bytes.ok_or_else(|| "git does not have it".to_owned())
        };
        files.push(FoundFile {
            path: entry.path,
            bytes,
        });
    }
    Ok(FoundFiles {
        dir: Some(dir),
        files,
        refused,
    })
}

/// One request of git's smart HTTP protocol.
#[derive(Debug)]
pub(crate) struct HttpRequest<'a> {
    pub(crate) method: &'a str,
    /// Below the repository: `info/refs`, `git-upload-pack`, `git-receive-pack`.
    pub(crate) service: &'a str,
    pub(crate) query: &'a str,
    pub(crate) headers: &'a HeaderMap,
    /// Who pushes; without one, receive-pack is refused by git itself.
    pub(crate) user: Option<&'a str>,
    pub(crate) body: Bytes,
}

/// What git answers: status, headers, body.
pub(crate) type HttpAnswer = (u16, Vec<(String, String)>, Bytes);

pub(crate) async fn http(folder: &Path, request: HttpRequest<'_>) -> Result<HttpAnswer, Error> {
    let header = |name: &str| request.headers.get(name)?.to_str().ok();
    let header = |name: &str| header(name).unwrap_or_default();
    let mut backend = command(folder, &["http-backend"]);
    backend
        .env("GIT_PROJECT_ROOT", folder)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", format!("/{}", request.service))
        .env("REQUEST_METHOD", request.method)
        .env("QUERY_STRING", request.query)
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"));
    if let Some(user) = request.user {
        backend.env("REMOTE_USER", user);
    }
    let out = Bytes::from(run(backend, "http-backend", request.body).await?);
    let end = out
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .ok_or_else(|| Error::Strange("http-backend's answer".to_owned()))?;
    let mut status = 200;
    let mut headers = Vec::new();
    for line in String::from_utf8_lossy(&out[..end]).lines() {
        match line.split_once(": ") {
            Some(("Status", value)) => {
                status = value
                    .split(' ')
                    .next()
                    .and_then(|code| code.parse().ok())
                    .unwrap_or(500);
            }
            Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
            None => {}
        }
    }
    Ok((status, headers, out.slice(end + 4..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_keeps_its_offset() {
        for (line, expected) in [
            ("Lab Admin <a@b> 1795509500 +0000", "2026-11-24T08:38:20Z"),
            ("A <a@b> 1795509500 +0130", "2026-11-24T10:08:20+01:30"),
            ("A <a@b> 1795509500 -0500", "2026-11-24T03:38:20-05:00"),
        ] {
            let (_, timestamp, seconds) = signature(line).unwrap();
            assert_eq!((timestamp.as_str(), seconds), (expected, 1_795_509_500));
        }
        assert_eq!(signature("nobody"), None);
    }
}
