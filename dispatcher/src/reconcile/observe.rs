//! The world that one round decides about, from what the ledger and the parameters say.

use std::collections::BTreeMap;
use std::mem::take;

use super::context::Context;
use crate::aws::Failure;
use crate::config::Config;
use crate::ledger::Live;
use crate::model::world::{WaitingJob, World};

/// What one look has found.
#[derive(Debug)]
pub struct Seen {
    /// What no decision rests on: what is owed to the forge, events, and who drains.
    pub live: Live,
    /// What decisions rest on.
    pub world: World,
}

/// Looks at the ledger.
pub async fn observe(context: Context<'_>) -> Result<Seen, Failure> {
    let mut live = context.ledger.live().await?;
    let world = world(&mut live, context.config, context.now_ms());
    Ok(Seen { live, world })
}

/// The world that `live` and `config` describe. In `live` remains what no decision rests on: what is
/// owed to the forge, and events.
#[must_use]
pub fn world(live: &mut Live, config: &Config, now_ms: u64) -> World {
    let age_ms = u64::try_from(config.age().as_millis()).unwrap_or(u64::MAX);
    let (superseded, jobs) = superseded(take(&mut live.jobs));
    World {
        now_ms,
        configured_ms: now_ms.saturating_sub(age_ms),
        max_runners: config.settings.max_runners,
        tags: config.settings.tags.clone(),
        pools: config.pools.clone(),
        jobs,
        superseded,
        launches: take(&mut live.launches),
        runners: take(&mut live.runners),
        counters: take(&mut live.counters),
        pauses: take(&mut live.pauses),
        refusals: take(&mut live.refusals),
        images: config.images.clone(),
        boot_failures: take(&mut live.boot_failures),
        ..World::default()
    }
}

/// Parts the jobs of which the forge has told since under another key from the others, so that no job is
/// counted twice, whoever told of it first: expected ones, one for each job on the list under the forge's
/// own key, and those whose repository was renamed. The forge's number of a job is the job's own, in whichever
/// repository; the last that came on the list bears the name of now.
fn superseded(jobs: Vec<WaitingJob>) -> (Vec<WaitingJob>, Vec<WaitingJob>) {
    let mut told = BTreeMap::<u64, usize>::new();
    let mut names = BTreeMap::new();
    for job in jobs.iter().filter(|job| !job.key.is_expected()) {
        *told.entry(job.alias).or_default() += 1;
        let attempt = (job.key.id, job.key.attempt);
        names.insert(attempt, job.key.repository.clone());
    }
    jobs.into_iter().partition(|job| {
        if !job.key.is_expected() {
            let name = names.get(&(job.key.id, job.key.attempt));
            return name.is_some_and(|name| *name != job.key.repository);
        }
        let is_left = |alias: &&u64| told.get(*alias).is_some_and(|left| *left > 0);
        let alias = [job.alias, job.bare_alias];
        let alias = alias.iter().find(is_left);
        if let Some(left) = alias.and_then(|alias| told.get_mut(alias)) {
            *left -= 1;
        }
        alias.is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::job::JobKey;

    fn waiting(key: JobKey, alias: u64) -> WaitingJob {
        WaitingJob {
            key,
            pool: "go".to_owned(),
            recorded_ms: 0,
            reassigned_ms: 0,
            launch: None,
            launches: 0,
            not_before_ms: 0,
            alone: false,
            told_paused: false,
            alias,
            bare_alias: 0,
        }
    }

    fn told(repository: &str, id: u64, attempt: u64) -> WaitingJob {
        let repository = repository.to_owned();
        let key = JobKey {
            repository,
            id,
            attempt,
        };
        waiting(key, id)
    }

    fn keys(jobs: &[WaitingJob]) -> Vec<String> {
        jobs.iter().map(|job| job.key.to_string()).collect()
    }

    #[test]
    fn a_job_is_counted_once_although_its_repository_was_renamed() {
        let jobs = vec![
            told("acme/app", 7, 0),
            told("acme/app", 7, 1),
            told("acme/app", 8, 0),
            told("acme/web", 7, 0),
        ];
        let (superseded, left) = superseded(jobs);
        assert_eq!(keys(&superseded), ["acme/app#7#0"]);
        assert_eq!(
            keys(&left),
            ["acme/app#7#1", "acme/app#8#0", "acme/web#7#0"]
        );
    }

    #[test]
    fn an_expected_job_gives_way_to_one_that_is_told_and_to_no_other() {
        let expected = |own| waiting(JobKey::expected("acme/app", own), 7);
        let jobs = vec![expected(1), expected(2), told("acme/app", 7, 0)];
        let (superseded, left) = superseded(jobs);
        assert_eq!(keys(&superseded), [expected(1).key.to_string()]);
        assert_eq!(left.len(), 2);
    }
}
