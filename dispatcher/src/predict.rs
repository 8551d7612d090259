//! Which jobs an event has started, found out after its delivery was answered: for forges that send
//! no `workflow_job`, and for hooks that were given the push alone.
//!
//! The verdict is the forge's own, come to from the same files ([`crate::workflow`]). Its jobs go on
//! the list under keys of ours, so that machines are launched at once; the forge then tells of the
//! same jobs, by deliveries or because we ask what waits there, and each takes the place of the one
//! that was expected. Machines are counted against jobs, never paired with them, so neither telling
//! launches twice. What becomes of jobs that wait for others is followed by asking the forge.

mod follow;
mod known;
mod turns;

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt as _};

use self::turns::Turns;
use crate::apply::Hands;
use crate::config::Config;
use crate::delivery::{LABELS_MAX, TEXT_MAX_BYTES};
use crate::drain::{Woken, out_of_time};
use crate::forge::ForgeError;
use crate::job::{Job, JobKey, ToldBy, digest};
use crate::ledger::{Expected, Standing, Trigger};
use crate::shell::{Failure, Outcome};
use workflow::expression::Resolved;
use workflow::jobs::Start;
use workflow::{Evaluation, Event, Facts, PlannedJob, gather};

pub(crate) use follow::{heal, verdict_of_expected};
pub use known::KnownJobs;

/// Most events that one look goes into: each is a handful of requests to the forge.
const SETTLE_MAX: usize = 40;
/// How many at a time: a small forge answers some ten requests a second.
const AT_ONCE: usize = 4;
/// How long a look into an event may take before another drain takes it over, in milliseconds.
const LOOK_MS: u64 = 60_000;
/// How long a repository whose jobs are told of by deliveries is given to do so, in milliseconds:
/// four seconds with default queues and five more behind a slow hook of somebody else (measured).
const GRACE_MS: u64 = 15_000;
/// Shortest time between two looks at what became of an event, in milliseconds.
const AGAIN_MS: u64 = 1_500;
/// Longest wait after a look in vain, in milliseconds: a token that is set right is noticed soon.
const AGAIN_MAX_MS: u64 = 15 * 60_000;
/// Longest an event is followed, in milliseconds: the forge itself gives up a job after a day.
const FOLLOW_MS: u64 = 24 * 3600 * 1000;
/// Most jobs of one event that are followed by name, and most bytes of what is written down of them: a
/// row of the ledger holds 400 kB. More are launched for all the same.
const EXPECTED_MAX: usize = 400;
const EXPECTED_MAX_BYTES: usize = 200_000;

/// Why an event could not be looked into now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stop {
    /// The forge.
    #[error(transparent)]
    Forge(#[from] ForgeError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] Failure),
}

/// What an event came to, as far as it is known after one look.
enum Look {
    /// Nothing more will come of it.
    Closed(String),
    /// Look again, with this.
    Again(Trigger),
}

/// What going into events came to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Settled {
    /// Jobs came on the list.
    pub(crate) grew: bool,
    /// Somebody else is looking into one of them.
    pub(crate) busy: bool,
    /// Some that nobody has looked into yet are left: more are due than one settling goes into.
    pub(crate) left: bool,
}

/// Goes into the events that are due. When a machine has ended, all are due that nobody looks into: the
/// next job may wait already.
pub(crate) async fn settle(
    hands: Hands<'_>,
    config: &Config,
    triggers: &[Trigger],
    woken: Woken,
) -> Settled {
    let now_ms = (hands.now_ms)();
    let Turns { due, busy } = turns::of(triggers, now_ms, woken);
    let mut settled = Settled {
        grew: false,
        busy,
        left: due.iter().skip(SETTLE_MAX).any(|one| turns::is_new(one)),
    };
    let mut looks = Vec::new();
    for trigger in due.into_iter().take(SETTLE_MAX) {
        looks.push(look(hands, config, trigger, woken));
    }
    let mut looks = stream::iter(looks).buffer_unordered(AT_ONCE);
    while let Some(more) = looks.next().await {
        settled.grew |= more;
    }
    settled
}

/// One look into an event, whose failure keeps no other from being looked into.
async fn look(hands: Hands<'_>, config: &Config, trigger: &Trigger, woken: Woken) -> bool {
    if out_of_time(hands.deadline) {
        return false;
    }
    match look_into(hands, config, trigger, woken).await {
        Ok(grew) => grew,
        Err(stop) => {
            let (id, repository) = (&trigger.id, &trigger.repository);
            tracing::warn!(trigger = id, repository, %stop, "looked into again later");
            false
        }
    }
}

async fn look_into(
    hands: Hands<'_>,
    config: &Config,
    seen: &Trigger,
    woken: Woken,
) -> Result<bool, Stop> {
    let now_ms = (hands.now_ms)();
    let taken = Trigger {
        not_before_ms: now_ms + (u64::from(seen.tries) * LOOK_MS).clamp(LOOK_MS, AGAIN_MAX_MS),
        tries: seen.tries.saturating_add(1),
        ..seen.clone()
    };
    if hands.shell.keep_trigger(seen, &taken).await? != Outcome::Written {
        return Ok(false);
    }
    if now_ms.saturating_sub(seen.recorded_ms) > FOLLOW_MS {
        let outcome = "given up: the forge could not tell what became of it";
        tracing::error!(trigger = seen.id, repository = seen.repository, outcome);
        hands.shell.close_trigger(&taken, outcome).await?;
        return Ok(false);
    }
    let (look, grew) = match &seen.expects {
        None => judge(hands, config, &taken).await?,
        Some(expects) => follow::follow(hands, config, &taken, expects, woken).await?,
    };
    match look {
        Look::Closed(outcome) => {
            tracing::info!(
                trigger = taken.id,
                repository = taken.repository,
                outcome,
                "closed"
            );
            hands.shell.close_trigger(&taken, &outcome).await?;
        }
        Look::Again(next) => {
            let next = Trigger { tries: 0, ..next };
            let _outcome = hands.shell.keep_trigger(&taken, &next).await?;
        }
    }
    Ok(grew)
}

/// Finds out which jobs an event starts, and puts those on the list that can start at once.
async fn judge(hands: Hands<'_>, config: &Config, trigger: &Trigger) -> Result<(Look, bool), Stop> {
    let now_ms = (hands.now_ms)();
    let Some(happened) = hands.shell.happened(trigger).await? else {
        return Ok((
            Look::Closed("nobody knows any more what it was".to_owned()),
            false,
        ));
    };
    let mut grew = false;
    if let Some(implied) = happened.implied() {
        let id = id_of(&implied, "", trigger.recorded_ms);
        let recorded = hands.shell.record_trigger(&id, &implied, now_ms).await?;
        grew = recorded == Outcome::Written;
    }
    if let Some(why) = happened.starts_nothing() {
        return Ok((Look::Closed(why.to_owned()), grew));
    }
    let told = hands.shell.told(&trigger.repository).await?;
    // The same commit may have had a push before, of another reference.
    let since_ms = trigger.recorded_ms.saturating_sub(GRACE_MS);
    if told.of(&trigger.at, since_ms).next().is_some() {
        let outcome = "deliveries of its jobs come by themselves";
        return Ok((Look::Closed(outcome.to_owned()), grew));
    }
    if told.is_exact() && now_ms < trigger.recorded_ms + GRACE_MS {
        let again = Trigger {
            not_before_ms: trigger.recorded_ms + GRACE_MS,
            ..trigger.clone()
        };
        return Ok((Look::Again(again), grew));
    }
    let server = config.forge.server().await?;
    let facts = gather(&config.forge, &happened, server).await?;
    let verdict = facts.evaluate(&happened);
    let jobs = due_jobs(trigger, &happened, &facts, &verdict);
    if jobs.is_empty() && !verdict.is_uncertain() {
        return Ok((Look::Closed(verdict.summary()), grew));
    }
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    for job in told.of(&facts.sha, since_ms) {
        *known.entry(&job.name).or_default() += 1;
    }
    let mut listed = false;
    for Due { job, expected } in &jobs {
        let told_already = known.get_mut(job.name.as_str()).filter(|left| **left > 0);
        if let Some(left) = told_already {
            *left -= 1;
        } else if expected.standing == Standing::Listed {
            listed |= list(hands, config, job).await?;
        }
    }
    if listed && told.is_exact() {
        tracing::warn!(
            repository = trigger.repository,
            "no workflow_job delivery came for a push: its jobs are told from the push until one comes"
        );
        hands
            .shell
            .note_silence(&trigger.repository, now_ms)
            .await?;
    }
    let mut left = EXPECTED_MAX_BYTES;
    let expects = jobs.into_iter().map(|due| due.expected);
    let expects = expects.take(EXPECTED_MAX).take_while(|expected| {
        left = left.saturating_sub(expected.text_bytes());
        left > 0
    });
    let expects = expects.collect();
    let again = Trigger {
        at: facts.sha,
        not_before_ms: now_ms + AGAIN_MS,
        expects: Some(expects),
        ..trigger.clone()
    };
    Ok((Look::Again(again), grew | listed))
}

/// A job that is due, as a delivery would describe it, and as it is followed.
struct Due {
    job: Job,
    expected: Expected,
}

/// The jobs of `verdict`. What can't be known is named in the log.
fn due_jobs(trigger: &Trigger, happened: &Event, facts: &Facts, verdict: &Evaluation) -> Vec<Due> {
    let mut due = Vec::new();
    for (number, (workflow, run)) in verdict.runs().enumerate() {
        for (
            index,
            PlannedJob {
                job,
                start,
                context,
            },
        ) in run.jobs.iter().enumerate()
        {
            let (name, labels) = match (&job.name, &job.labels, &job.incomplete_matrix) {
                (Resolved::Known(name), Resolved::Known(labels), None) => (name, labels),
                (_, _, Some(because))
                | (Resolved::Unknown(because), _, None)
                | (_, Resolved::Unknown(because), None) => {
                    let (repository, job) = (&trigger.repository, &job.id);
                    tracing::warn!(
                        repository,
                        workflow,
                        job,
                        because,
                        "not known before the forge tells of it"
                    );
                    continue;
                }
            };
            if labels.len() > LABELS_MAX || labels.iter().any(|one| one.len() > TEXT_MAX_BYTES) {
                let (repository, job) = (&trigger.repository, &job.id);
                tracing::warn!(
                    repository,
                    workflow,
                    job,
                    "asks for more labels than a runner has"
                );
                continue;
            }
            let index = index.to_string();
            let own = digest([trigger.id.as_str(), workflow, &run.event, &job.id, &index]);
            let expected = Expected {
                id: JobKey::expected(&trigger.repository, own).id,
                attempt: 0,
                run: number,
                job: job.id.clone(),
                name: name.clone(),
                labels: labels.clone(),
                needs: job.needs.clone(),
                condition: job.condition.clone(),
                context: context.clone().unwrap_or_default(),
                standing: match start {
                    Start::Waiting => Standing::Listed,
                    Start::Blocked(_) => Standing::Blocked,
                },
            };
            let job = Job {
                html_url: page_of(happened),
                head_sha: facts.sha.clone(),
                ..job_of(trigger, &expected)
            };
            due.push(Due { job, expected });
        }
    }
    due
}

/// An expected job as a delivery would describe it.
fn job_of(trigger: &Trigger, expected: &Expected) -> Job {
    Job {
        key: JobKey {
            repository: trigger.repository.clone(),
            id: expected.id,
            attempt: expected.attempt,
        },
        run_id: 0,
        name: expected.name.clone(),
        labels: expected.labels.clone(),
        head_sha: trigger.at.clone(),
        html_url: String::new(),
        created_ms: None,
        told_by: ToldBy::Expectation,
    }
}

/// Where people look at runs whose own page nobody knows yet.
fn page_of(happened: &Event) -> String {
    format!("{}/actions", happened.body.repository.html_url)
}

/// Puts a job on the list, or refuses it, as a delivery of it would. Says whether it is new there.
async fn list(hands: Hands<'_>, config: &Config, job: &Job) -> Result<bool, Stop> {
    if hands.known_jobs.contains(&job.key) {
        return Ok(false);
    }
    let now_ms = (hands.now_ms)();
    let served = match config.pool_for(job) {
        None => Err(config.why_no_pool(job)),
        Some(pool) if config.settings.accept_reusable_credentials => Ok(pool),
        Some(pool) => config.forge.why_reusable().await?.map_or(Ok(pool), Err),
    };
    let pool = match served {
        Ok(pool) => pool,
        Err(reason) => {
            tracing::info!(job = %job.key, name = job.name, reason, "refused");
            let _outcome = hands.shell.record_refused(job, &reason, now_ms).await?;
            hands.known_jobs.add(&job.key);
            return Ok(false);
        }
    };
    let recorded = hands.shell.record_waiting(job, pool, now_ms).await?;
    if recorded == Outcome::Written {
        tracing::info!(job = %job.key, name = job.name, told_by = ?job.told_by, "recorded");
    } else {
        hands.known_jobs.add(&job.key);
    }
    Ok(recorded == Outcome::Written)
}

/// How long the same reference is not made or deleted twice, in milliseconds: its push and its own
/// delivery come within seconds. Where they come on two sides of a border a machine is launched too
/// much; a branch that comes and goes again is not missed.
const REFERENCE_MS: u64 = 1_800_000;

/// The id of an event that was told of at `told_ms`: the same for the same event. A reference is made
/// or deleted once in a while, whoever tells of it; all else is as its delivery says, to the byte.
pub(crate) fn id_of(happened: &Event, delivery: &str, told_ms: u64) -> String {
    let body = &happened.body;
    let word = happened.kind.word();
    if happened.kind.is_of_a_reference() {
        let period = (told_ms / REFERENCE_MS).to_string();
        let own = [
            body.repository.full_name.as_str(),
            word,
            &body.ref_type,
            &body.git_ref,
            &body.sha,
            &period,
        ];
        format!("{word}-{:016x}", digest(own))
    } else {
        format!("{word}-{:016x}", digest([word, delivery]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use workflow::event::Body;
    use workflow::event::EventKind;

    #[test]
    fn a_branch_that_is_deleted_again_later_is_another_event() {
        let gone = |kind| Event {
            kind,
            body: Body {
                git_ref: "renovate/x".to_owned(),
                ref_type: "branch".to_owned(),
                ..Body::default()
            },
        };
        let id = |delivery, told_ms| id_of(&gone(EventKind::Delete), delivery, told_ms);
        assert_eq!(id("its own", 1_000), id("a push", 2_000));
        assert_ne!(id("its own", 1_000), id("its own", 1_000 + REFERENCE_MS));
        let issue = |delivery, told_ms| id_of(&gone(EventKind::Issues), delivery, told_ms);
        assert_eq!(issue("1a", 1_000), issue("1a", 1_000 + REFERENCE_MS));
        assert_ne!(issue("1a", 1_000), issue("2b", 1_000));
    }
}
