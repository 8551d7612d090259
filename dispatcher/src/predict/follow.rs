//! What becomes of the jobs of an event: which wait now because those that they need have ended, and
//! which were run again. The forge tells when it is asked; it sends nothing by itself.

use std::collections::BTreeSet;
use std::time::Duration;

use stacks::pool::Scope;

use super::{AGAIN_MS, Look, Stop, job_of, list};
use crate::apply::Hands;
use crate::config::Config;
use crate::drain::{Woken, out_of_time};
use crate::forge::{CheckState, CommitState, SeenJob, SeenState};
use crate::job::JobKey;
use crate::ledger::{Expected, Standing, Trigger};
use crate::shell::Failure;
use crate::world::Verdict;
use workflow::Server;
use workflow::expression::Value;
use workflow::jobs::contexts::Contexts;
use workflow::jobs::needs::{self, JobNode, Next, Status};

/// How long the forge may take to tell of a job that we expect, in milliseconds: it makes a run after
/// it has sent the push, four seconds later with default queues (measured).
const CONFIRM_MS: u64 = 60_000;
/// How often the forge is asked, after a machine ended, when all that is left waits for others.
const LOOKS_AFTER_END: u32 = 4;
/// How long between, in seconds: it needs a second to see that they have ended (measured).
const UNBLOCK_WAIT: Duration = Duration::from_secs(1);

/// Looks at what the forge says of the jobs of `trigger`. Says whether jobs came on the list.
pub(super) async fn follow(
    hands: Hands<'_>,
    config: &Config,
    trigger: &Trigger,
    expects: &[Expected],
    woken: Woken,
) -> Result<(Look, bool), Stop> {
    let scope = Scope::Repository(trigger.repository.clone());
    let mut looks = match woken {
        Woken::ByAnEnd => LOOKS_AFTER_END,
        Woken::Otherwise => 1,
    };
    loop {
        let Some(mut seen) = config.forge.unfinished(&scope).await? else {
            return by_commit(hands, config, trigger, expects).await;
        };
        // A forge that names no commit in its list speaks of this one as well as of any.
        seen.retain(|one| one.job.head_sha.is_empty() || one.job.head_sha == trigger.at);
        looks -= 1;
        if looks == 0 || !all_wait_for_others(&seen) || out_of_time(hands.deadline) {
            return by_list(hands, config, trigger, expects, &seen).await;
        }
        tokio::time::sleep(UNBLOCK_WAIT).await;
    }
}

/// Whether every job that is left waits for another, which must have ended then.
fn all_wait_for_others(seen: &[SeenJob]) -> bool {
    !seen.is_empty() && seen.iter().all(|one| one.state == SeenState::Blocked)
}

/// By the forge's list of jobs that have not ended: each takes the place of the one that was
/// expected.
async fn by_list(
    hands: Hands<'_>,
    config: &Config,
    trigger: &Trigger,
    expects: &[Expected],
    open: &[SeenJob],
) -> Result<(Look, bool), Stop> {
    let now_ms = (hands.now_ms)();
    let listed = keys_on_list(hands).await?;
    let mut grew = false;
    for one in open.iter().filter(|one| one.state == SeenState::Waiting) {
        if !listed.contains(&one.job.key) {
            grew |= list(hands, config, &one.job).await?;
        }
    }
    for one in open.iter().filter(|one| one.state == SeenState::Running) {
        if let (true, Some(runner)) = (listed.contains(&one.job.key), &one.runner) {
            let _outcome = hands.shell.start_job(&one.job, runner, now_ms).await?;
        }
    }
    let is_due = now_ms.saturating_sub(trigger.recorded_ms) > CONFIRM_MS;
    let mut still_expected = false;
    for expected in expects {
        let key = job_of(trigger, expected).key;
        if !listed.contains(&key) {
            continue;
        }
        let told = open.iter().find(|one| one.job.name == expected.name);
        match told.map(|one| one.state) {
            // The planner puts it in the place of the expected one.
            Some(SeenState::Waiting) => {}
            Some(SeenState::Blocked | SeenState::Running) => {
                let reason = "the forge has told of it, and it waits for no runner";
                let _progress = hands.drop_expected(&key, reason).await?;
            }
            None if is_due => {
                tracing::warn!(job = %key, name = expected.name, repository = trigger.repository,
                    "the forge has no such job waiting: it ended, or was never queued");
                let reason = "the forge has no such job waiting";
                let _progress = hands.drop_expected(&key, reason).await?;
            }
            None => still_expected = true,
        }
    }
    if open.is_empty() && !still_expected && is_settled(trigger, now_ms) {
        return Ok((Look::Closed("its jobs have ended".to_owned()), grew));
    }
    Ok((again(hands, trigger, expects.to_vec()), grew))
}

/// By the states that the forge puts on the commit, where it has no list of jobs: Gitea before 1.25.
async fn by_commit(
    hands: Hands<'_>,
    config: &Config,
    trigger: &Trigger,
    expects: &[Expected],
) -> Result<(Look, bool), Stop> {
    let states = config
        .forge
        .commit_states(&trigger.repository, &trigger.at)
        .await?;
    let server = config.forge.server().await?;
    let mut expects = expects.to_vec();
    for expected in &mut expects {
        let state = states
            .iter()
            .find(|state| state.context == expected.context);
        let Some(state) = state else { continue };
        match (ended(state.state), expected.standing.has_ended()) {
            (Some(standing), false) => {
                unlist(hands, trigger, expected).await?;
                expected.standing = standing;
            }
            // What is pending waits, runs or is blocked: its words are those of its first moment. After
            // its end it is run again.
            (None, true) => {
                expected.standing = Standing::Blocked;
                expected.attempt += 1;
            }
            (Some(_), true) | (None, false) => {}
        }
    }
    let mut grew = false;
    for at in freed(&expects, server) {
        expects[at].standing = Standing::Listed;
        let job = job_of(trigger, &expects[at]);
        grew |= list(hands, config, &job).await?;
    }
    let all_ended = expects.iter().all(|one| one.standing.has_ended());
    if all_ended && is_settled(trigger, (hands.now_ms)()) {
        return Ok((Look::Closed("its jobs have ended".to_owned()), grew));
    }
    Ok((again(hands, trigger, expects), grew))
}

/// How a check on a commit has ended, if it has.
fn ended(state: CheckState) -> Option<Standing> {
    match state {
        CheckState::Pending => None,
        CheckState::Success | CheckState::Warning => Some(Standing::Success),
        CheckState::Error | CheckState::Failure => Some(Standing::Failure),
        CheckState::Skipped => Some(Standing::Skipped),
    }
}

/// The places of the jobs that wait for a runner now, because those that they need have ended. A
/// skipped job is told by the forge.
fn freed(expects: &[Expected], server: Server) -> Vec<usize> {
    let mut freed = Vec::new();
    let runs: BTreeSet<usize> = expects.iter().map(|one| one.run).collect();
    for run in runs {
        let places: Vec<usize> = (0..expects.len())
            .filter(|at| expects[*at].run == run)
            .collect();
        let jobs: Vec<JobNode> = places.iter().map(|at| run_job(&expects[*at])).collect();
        let next = needs::resolve(&jobs, &Contexts::default(), server);
        let waiting = next.into_iter().filter(|(_, next)| *next == Next::Waiting);
        freed.extend(waiting.map(|(place, _)| places[place]));
    }
    freed
}

fn run_job(expected: &Expected) -> JobNode {
    JobNode {
        id: expected.job.clone(),
        status: match expected.standing {
            Standing::Blocked => Status::Blocked,
            Standing::Listed => Status::Waiting,
            Standing::Success => Status::Success,
            Standing::Failure => Status::Failure,
            Standing::Skipped => Status::Skipped,
        },
        needs: expected.needs.clone(),
        condition: expected.condition.clone(),
        continue_on_error: false,
        matrix: Value::Map(None),
    }
}

/// Takes a job off the list that has ended.
async fn unlist(hands: Hands<'_>, trigger: &Trigger, expected: &Expected) -> Result<(), Failure> {
    if expected.standing != Standing::Listed {
        return Ok(());
    }
    let key = job_of(trigger, expected).key;
    let reason = "the forge says on its commit that it has ended";
    hands.drop_expected(&key, reason).await.map(drop)
}

/// Puts on the list what waits at the forge and is not there: a delivery may have been lost, a hook
/// may tell of pushes alone, and of runs by the clock no push tells. For forges that have such a
/// list, once a tick. Says whether there was any.
pub(crate) async fn heal(hands: Hands<'_>, config: &Config) -> Result<bool, Stop> {
    let known = keys_on_list(hands).await?;
    let mut scopes: Vec<&Scope> = Vec::new();
    for pool in &config.pools {
        if !scopes.contains(&&pool.scope) {
            scopes.push(&pool.scope);
        }
    }
    let mut grew = false;
    for scope in scopes {
        if out_of_time(hands.deadline) {
            break;
        }
        let Some(seen) = config.forge.unfinished(scope).await? else {
            break;
        };
        for one in seen.iter().filter(|one| one.state == SeenState::Waiting) {
            // A job that no pool serves is its delivery's to refuse: a word about each of a whole
            // forge's jobs would be one too many.
            if !known.contains(&one.job.key) && config.pool_for(&one.job).is_some() {
                grew |= list(hands, config, &one.job).await?;
            }
        }
    }
    Ok(grew)
}

/// Whether a job that is only expected still waits, by what the forge puts on its commit.
pub(crate) async fn verdict_of_expected(hands: Hands<'_>, key: &JobKey) -> Verdict {
    match ask(hands, key).await {
        Ok(verdict) => verdict,
        Err(error) => {
            tracing::warn!(job = %key, %error, "the forge can't tell whether the job waits");
            Verdict::Unknown
        }
    }
}

async fn ask(hands: Hands<'_>, key: &JobKey) -> Result<Verdict, Stop> {
    let Some(job) = hands.shell.job(key).await? else {
        return Ok(Verdict::Gone);
    };
    let states = hands
        .forge
        .commit_states(&key.repository, &job.head_sha)
        .await?;
    let infix = format!("/ {} (", job.name);
    let mut of_job = states.iter().filter(|state| state.context.contains(&infix));
    let has_ended = |state: &CommitState| state.state != CheckState::Pending;
    // Without a word it was not told yet, or is of an event that leaves none on its commit.
    Ok(match of_job.next() {
        Some(first) if has_ended(first) && of_job.all(has_ended) => Verdict::Gone,
        Some(_) | None => Verdict::Unknown,
    })
}

/// The keys of the jobs that are on the list.
async fn keys_on_list(hands: Hands<'_>) -> Result<BTreeSet<JobKey>, Failure> {
    let live = hands.shell.live().await?;
    Ok(live.jobs.into_iter().map(|job| job.key).collect())
}

/// Whether the forge has had the time to make the runs of an event.
fn is_settled(trigger: &Trigger, now_ms: u64) -> bool {
    now_ms.saturating_sub(trigger.recorded_ms) > CONFIRM_MS / 4
}

fn again(hands: Hands<'_>, trigger: &Trigger, expects: Vec<Expected>) -> Look {
    Look::Again(Trigger {
        not_before_ms: (hands.now_ms)() + AGAIN_MS,
        expects: Some(expects),
        ..trigger.clone()
    })
}
