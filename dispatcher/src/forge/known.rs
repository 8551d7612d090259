//! What stays true of a forge for a while: which one it is, and what its repositories are called. It
//! outlives [`Forge`], which is made anew with every reading of the parameters.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Method;
use serde::Deserialize;
use tokio::time::Instant;

use super::{Forge, ForgeError};
use crate::model::job::AttemptNumbers;
use workflow::{Capability, Server};

/// How long it is believed, in seconds: a forge is updated rarely, and is down while it is. A
/// repository that is renamed meanwhile is reached by its old name, which the forge redirects.
const KEEP_S: u64 = 60 * 60;
/// Most repositories whose names are kept: more than have jobs that wait within an hour.
const REPOSITORIES_MAX: usize = 1000;

/// What is known of one forge.
#[derive(Debug, Default)]
pub struct Known {
    facts: Mutex<Facts>,
}

#[derive(Debug, Default)]
struct Facts {
    /// Of which address all this is true.
    url: String,
    server: Option<(Instant, Server)>,
    repositories: BTreeMap<u64, (Instant, String)>,
}

#[derive(Deserialize)]
struct VersionBody {
    version: String,
}

#[derive(Deserialize)]
struct RepositoryBody {
    id: u64,
    full_name: String,
}

impl Known {
    /// The facts about the forge at `url`; what was known of another is forgotten.
    fn of(&self, url: &str) -> MutexGuard<'_, Facts> {
        let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        if facts.url != url {
            *facts = Facts {
                url: url.to_owned(),
                ..Facts::default()
            };
        }
        facts
    }
}

impl Forge {
    /// Which forge it is.
    pub async fn server(&self) -> Result<Server, ForgeError> {
        let known = self.known.of(&self.config.url).server;
        if let Some((at, server)) = known
            && is_fresh(at)
        {
            return Ok(server);
        }
        self.told_server().await
    }

    /// How it numbers the attempts of what it has just told. Where that `matters`, a version that was
    /// told before is not believed, unless it is one that nobody goes back from.
    pub(super) async fn numbers(&self, matters: bool) -> Result<AttemptNumbers, ForgeError> {
        let from_one = |server: Server| server.has(Capability::NumbersAttemptsFromOne);
        let mut is_from_one = from_one(self.server().await?);
        if matters && !is_from_one {
            is_from_one = from_one(self.told_server().await?);
        }
        Ok(if is_from_one {
            AttemptNumbers::FromOne
        } else {
            AttemptNumbers::FromZero
        })
    }

    /// What the forge says now that it is: only a forge does. It tells anybody, and one that wants to
    /// know who asks is told, if there is a token.
    pub(super) async fn told_server(&self) -> Result<Server, ForgeError> {
        let path = "/api/v1/version";
        let answer = self
            .call(
                "GET version",
                Method::GET,
                path,
                self.config.token.as_ref(),
                None,
            )
            .await?;
        let VersionBody { version } = answer.json()?;
        let server = Server::parse(&version).ok_or_else(|| answer.unreadable())?;
        let before = self
            .known
            .of(&self.config.url)
            .server
            .replace((Instant::now(), server));
        let is_new = before.is_none_or(|(_, known)| known != server);
        if is_new && server.is_newer_than_judged() {
            tracing::warn!(
                version,
                "the forge is newer than those whose rules are known; the newest are taken"
            );
        }
        Ok(server)
    }

    /// What the forge calls its repository `id`, if that was asked before.
    pub(super) fn known_name(&self, id: u64) -> Option<String> {
        let facts = self.known.of(&self.config.url);
        let (at, name) = facts.repositories.get(&id)?;
        is_fresh(*at).then(|| name.clone())
    }

    /// The same from the forge itself; `None` when it has none of that number, or none that the token
    /// may see.
    pub(super) async fn ask_name(&self, id: u64) -> Result<Option<String>, ForgeError> {
        let path = format!("/api/v1/repositories/{id}");
        let answer = match self.get("GET repository", &path).await {
            Err(error) if error.is_own_404() => return Ok(None),
            other => other?,
        };
        let body: RepositoryBody = answer.json()?;
        if body.id != id {
            return Err(answer.unreadable());
        }
        let mut facts = self.known.of(&self.config.url);
        if facts.repositories.len() >= REPOSITORIES_MAX {
            facts.repositories.clear();
        }
        let fact = (Instant::now(), body.full_name.clone());
        facts.repositories.insert(id, fact);
        Ok(Some(body.full_name))
    }
}

fn is_fresh(at: Instant) -> bool {
    at.elapsed() < Duration::from_secs(KEEP_S)
}
