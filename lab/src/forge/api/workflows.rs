//! The workflows of a repository's default branch, and which of them are disabled (Gitea since 1.24,
//! #33545; measured on 1.26).

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use workflow::discovery::FoundFile;

use super::super::push::below_folder;
use super::super::reply::{Response, bare, reply};
use super::super::shared::Shared;
use super::super::version::Version;
use super::super::{git, objects};
use super::request::{Answer, Refusal, Request};

/// The answer, if the request is for any of this.
pub(super) async fn answer(
    shared: &Shared,
    request: &Request<'_>,
    (owner, name): (&str, &str),
    rest: &[&str],
) -> Option<Answer> {
    let ["actions", "workflows", rest @ ..] = rest else {
        return None;
    };
    let (version, repository) = shared.with(|state, _| {
        let repository = state.repository(owner, name).map(|repository| {
            let branch = repository.default_branch.clone();
            (repository.id, branch)
        });
        (state.version, repository)
    });
    if !version.is_gitea_since(Version::Gitea1_24) {
        return Some(Err(Refusal::NoRoute));
    }
    let Some((id, branch)) = repository else {
        return Some(Err(Refusal::NotFound));
    };
    let folder = git::folder(&shared.data, owner, name);
    let found = async {
        let commit = objects::tip(&folder, &branch).await?;
        let found = git::workflows(&folder, &commit, version.server()).await;
        Some(found.ok()?.files)
    };
    let Some(files) = found.await else {
        return Some(Err(Refusal::NotFound));
    };
    Some(match (request.method, rest) {
        (&Method::GET, []) => Ok(list(shared, id, &files)),
        (&Method::PUT, [file @ .., "disable"]) => {
            let file = file.join("/").replace("%2F", "/");
            if !files.iter().any(|one| below_folder(&one.path) == file) {
                return Some(Err(Refusal::NotFound));
            }
            shared.with(|state, _| state.disabled.insert((id, file)));
            Ok(bare(StatusCode::NO_CONTENT))
        }
        _ => Err(Refusal::NoRoute),
    })
}

fn list(shared: &Shared, id: i64, files: &[FoundFile]) -> Response {
    let entries: Vec<Value> = shared.with(|state, _| {
        let entry = |FoundFile { path, .. }: &FoundFile| {
            let below = below_folder(path);
            let is_disabled = state.disabled.contains(&(id, below.to_owned()));
            let word = if is_disabled {
                "disabled_manually"
            } else {
                "active"
            };
            json!({"id": below, "name": below, "path": path, "state": word})
        };
        files.iter().map(entry).collect()
    });
    let body = json!({"workflows": entries, "total_count": files.len()});
    reply(StatusCode::OK, &body)
}
