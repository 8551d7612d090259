//! What a repository holds: trees, blobs, commits, branches, and many files at once. Measured on 1.26;
//! of a commit only what no diff and no signature is needed for.

use std::path::PathBuf;

use axum::http::{Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::git;
use super::super::objects::{self, TreeLine};
use super::super::reply::reply;
use super::super::shared::Shared;
use super::super::version::Version;
use super::request::{Answer, Refusal, Request, strings, with_total};

/// Entries of one page of a tree: the most that the forge gives, and what it gives unasked.
const TREE_PAGE_MAX: usize = 1000;
/// Files of one bulk read: what the forge gives, whatever is asked for.
const BULK_FILES_MAX: usize = 30;
/// Largest file that is shown within JSON, in bytes.
const BLOB_MAX_BYTES: u64 = 10 << 20;
/// Bytes of one bulk read in base64, beyond which the forge goes on no more.
const BULK_MAX_BYTES: usize = 100 << 20;

/// A repository that is asked about.
struct Place {
    folder: PathBuf,
    /// Its address in the API.
    api: String,
    branch: String,
    version: Version,
}

/// The answer, if the request is for any of this.
pub(super) async fn answer(
    shared: &Shared,
    request: &Request<'_>,
    owner: &str,
    name: &str,
    rest: &[&str],
) -> Option<Answer> {
    if request.method != Method::GET {
        return None;
    }
    let place = || {
        shared.with(|state, _| {
            let id = state.repository(owner, name).ok_or(Refusal::NotFound)?.id;
            let place = state.place(id);
            Ok(Place {
                folder: git::folder(&shared.data, owner, name),
                api: place.api(),
                branch: place.repository.default_branch.clone(),
                version: state.version,
            })
        })
    };
    Some(match (place(), rest) {
        (
            Err(refusal),
            [
                "git" | "branches" | "tags" | "contents" | "file-contents",
                ..,
            ],
        ) => Err(refusal),
        (Ok(place), ["git", "trees", id]) => place.tree(request, id).await,
        (Ok(place), ["git", "blobs", id]) => place.blob(id).await,
        (Ok(place), ["git", "commits", id]) => place.commit(id).await,
        (Ok(place), ["branches", name @ ..]) if !name.is_empty() => {
            place.branch(&name.join("/")).await
        }
        (Ok(place), ["tags", name @ ..]) if !name.is_empty() => place.tag(&name.join("/")).await,
        (Ok(place), ["contents", path @ ..]) => place.contents(request, &path.join("/")).await,
        (Ok(place), ["file-contents"]) => place.files(request).await,
        (Ok(_) | Err(_), _) => return None,
    })
}

impl Place {
    async fn tree(&self, request: &Request<'_>, name: &str) -> Answer {
        let missing = || Refusal::Bad(format!("sha not found [{name}]"));
        let id = objects::tip(&self.folder, name).await.ok_or_else(missing)?;
        let recursive = request.values("recursive").any(|word| word == "true");
        let lines = objects::tree(&self.folder, &id, recursive).await;
        let lines = lines.ok_or_else(missing)?;
        let size = match request.number("per_page") {
            None | Some(0) => TREE_PAGE_MAX,
            Some(size) => size.min(TREE_PAGE_MAX),
        };
        let page = request.number("page").unwrap_or(1).max(1);
        let start = (page - 1).saturating_mul(size);
        let end = start.saturating_add(size).min(lines.len());
        // Beyond the last page there is no list at all.
        let entries = lines.get(start..end).filter(|_| start < lines.len());
        let entries: Option<Vec<Value>> =
            entries.map(|lines| lines.iter().map(|line| self.entry(line)).collect());
        // Before 1.26 every page of a long list says so, the last one too (read in its source).
        let goes_on = if self.version.is_gitea_since(Version::Gitea1_26) {
            end < lines.len()
        } else {
            size < lines.len()
        };
        let body = json!({
            "sha": id,
            "url": format!("{}/git/trees/{id}", self.api),
            "truncated": entries.is_some() && goes_on,
            "tree": entries,
            "page": page,
            "total_count": lines.len(),
        });
        Ok(with_total(reply(StatusCode::OK, &body), lines.len()))
    }

    fn entry(&self, line: &TreeLine) -> Value {
        let url = match line.kind.as_str() {
            "tree" => format!("{}/git/trees/{}", self.api, line.id),
            "blob" => format!("{}/git/blobs/{}", self.api, line.id),
            _ => String::new(),
        };
        json!({
            "path": line.path,
            "mode": line.mode,
            "type": line.kind,
            "size": line.size,
            "sha": line.id,
            "url": url,
        })
    }

    async fn blob(&self, id: &str) -> Answer {
        let bytes = objects::blob(&self.folder, id)
            .await
            .ok_or_else(|| Refusal::Bad(format!("object does not exist [id: {id}, rel_path: ]")))?;
        let size = bytes.len();
        let small = u64::try_from(size).is_ok_and(|size| size <= BLOB_MAX_BYTES);
        let body = json!({
            "content": small.then(|| STANDARD.encode(&bytes)),
            "encoding": small.then_some("base64"),
            "url": format!("{}/git/blobs/{id}", self.api),
            "sha": id,
            "size": size,
        });
        Ok(reply(StatusCode::OK, &body))
    }

    async fn commit(&self, name: &str) -> Answer {
        if name.contains("..") {
            return Err(Refusal::Unprocessable(format!(
                "no valid ref or sha: {name}"
            )));
        }
        let id = match objects::tip(&self.folder, name).await {
            Some(id) => objects::peeled(&self.folder, &id).await,
            None => None,
        };
        let commit = match &id {
            Some(id) => objects::commit(&self.folder, id).await,
            None => None,
        };
        let (Some(id), Some(commit)) = (id, commit) else {
            return Err(Refusal::Missing(format!("commit doesn't exist: {name}")));
        };
        let url = |id: &str| format!("{}/git/commits/{id}", self.api);
        let parents = commit.parents.iter();
        let parents: Vec<Value> = parents
            .map(|parent| json!({"url": url(parent), "sha": parent}))
            .collect();
        let body = json!({
            "url": url(&id),
            "sha": id,
            "commit": {"url": url(&id), "message": commit.message},
            "author": null,
            "committer": null,
            "parents": parents,
            "files": null,
            "stats": null,
        });
        Ok(reply(StatusCode::OK, &body))
    }

    async fn branch(&self, name: &str) -> Answer {
        let refs = git::refs(&self.folder).await.unwrap_or_default();
        let id = refs
            .get(&format!("refs/heads/{name}"))
            .ok_or_else(|| Refusal::Missing("not found".to_owned()))?;
        let commit = objects::commit(&self.folder, id).await;
        let body = json!({
            "name": name,
            "commit": {"id": id, "message": commit.map(|commit| commit.message)},
            "protected": false,
        });
        Ok(reply(StatusCode::OK, &body))
    }

    /// A tag with what it leads to. An annotated one has an object of its own.
    async fn tag(&self, name: &str) -> Answer {
        let refs = git::refs(&self.folder).await.unwrap_or_default();
        let id = refs
            .get(&format!("refs/tags/{name}"))
            .ok_or_else(|| Refusal::Missing(format!("tag doesn't exist: {name}")))?;
        let target = objects::peeled(&self.folder, id).await;
        let body = json!({"name": name, "id": id, "commit": {"sha": target}});
        Ok(reply(StatusCode::OK, &body))
    }

    /// Whatever is no file there is a gap in the list; what is one, but no text, has no content.
    async fn files(&self, request: &Request<'_>) -> Answer {
        if !self.version.is_gitea_since(Version::Gitea1_25) {
            return Err(Refusal::NoRoute);
        }
        let asked = request.values("body").next().unwrap_or_default();
        let asked: Value = serde_json::from_str(asked)
            .map_err(|_| Refusal::Bad("invalid body parameter".to_owned()))?;
        let lines = self.all(request).await?;
        let (mut files, mut bytes) = (Vec::new(), 0);
        for path in strings(&asked["files"]) {
            let line = lines.iter().find(|line| line.path == path);
            let (body, size) = match line {
                Some(line) => self.file(line).await,
                None => (Value::Null, 0),
            };
            bytes += size;
            if bytes > BULK_MAX_BYTES {
                break;
            }
            files.push(body);
            if files.len() == BULK_FILES_MAX {
                break;
            }
        }
        Ok(reply(StatusCode::OK, &json!(files)))
    }

    /// Everything at `ref`: the default branch's without.
    async fn all(&self, request: &Request<'_>) -> Result<Vec<TreeLine>, Refusal> {
        let reference = request.values("ref").next().unwrap_or(&self.branch);
        let lines = match objects::tip(&self.folder, reference).await {
            Some(id) => objects::tree(&self.folder, &id, true).await,
            None => None,
        };
        lines.ok_or_else(|| Refusal::Missing("not found".to_owned()))
    }

    /// What is at a path: one entry, or those of a folder without what is in them.
    async fn contents(&self, request: &Request<'_>, path: &str) -> Answer {
        let lines = self.all(request).await?;
        let line = lines.iter().find(|line| line.path == path);
        let line = line.ok_or_else(|| Refusal::Missing("not found".to_owned()))?;
        let body = if line.kind == "tree" {
            let below = lines.iter().filter(|line| {
                let parent = line.path.rsplit_once('/').map(|(parent, _)| parent);
                parent == Some(path)
            });
            below.map(|line| Self::entry_of(line, None)).collect()
        } else {
            self.file(line).await.0
        };
        Ok(reply(StatusCode::OK, &body))
    }

    /// One entry of a bulk read, and the bytes of its content.
    async fn file(&self, line: &TreeLine) -> (Value, usize) {
        let content = if kind(line) == "file" && line.size <= BLOB_MAX_BYTES {
            let bytes = objects::blob(&self.folder, &line.id).await;
            bytes.map(|bytes| STANDARD.encode(bytes))
        } else {
            None
        };
        let size = content.as_ref().map_or(0, String::len);
        (Self::entry_of(line, content.as_deref()), size)
    }

    fn entry_of(line: &TreeLine, content: Option<&str>) -> Value {
        json!({
            "name": line.path.rsplit('/').next(),
            "path": line.path,
            "sha": line.id,
            "type": kind(line),
            "size": line.size,
            "encoding": content.is_some().then_some("base64"),
            "content": content,
        })
    }
}

fn kind(line: &TreeLine) -> &'static str {
    match (line.kind.as_str(), line.mode.as_str()) {
        ("tree", _) => "dir",
        ("commit", _) => "submodule",
        (_, "120000") => "symlink",
        _ => "file",
    }
}
