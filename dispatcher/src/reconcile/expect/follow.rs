//! What becomes of the jobs of an event: which wait now because those that they need have ended, and
//! which were run again. The forge tells when it is asked; it sends nothing by itself.

use std::collections::BTreeSet;
use std::time::Duration;

use stacks::pool::Scope;

use super::due::job_of;
use super::listing::{keys_of, keys_on_list, list, list_waiting};
use super::{AGAIN_MS, NextStep};
use crate::aws::Failure;
use crate::forge::{CheckState, SeenJob, SeenState};
use crate::ledger::{Expected, ExpectedState, PendingEvent};
use crate::model::job::JobKey;
use crate::reconcile::context::{Context, Stop, Woken};
use workflow::Server;
use workflow::expression::Value;
use workflow::jobs::contexts::Contexts;
use workflow::jobs::needs::{self, JobNode, Next, Status};

/// How long the forge may take to tell of a job that we expect, in milliseconds: it makes a run after
/// it has sent the push, four seconds later with default queues, and five more behind a slow hook
/// (measured). One that comes later still is found by the next reconcile.
const CONFIRM_MS: u64 = 11_000;
/// How long it may take to make all runs of an event, in milliseconds.
const SETTLED_MS: u64 = 15_000;
/// How often the forge is asked, after a machine ended, when all that is left waits for others.
const LOOKS_AFTER_END: u32 = 4;
/// How long between, in seconds: it needs a second to see that they have ended (measured).
const UNBLOCK_WAIT: Duration = Duration::from_secs(1);

/// Looks at what the forge says of the jobs of `pending`. Says whether jobs came on the list.
pub(super) async fn follow(
    context: Context<'_>,
    pending: &PendingEvent,
    expects: &[Expected],
    woken: Woken,
) -> Result<(NextStep, bool), Stop> {
    let scope = Scope::Repository(pending.repository.clone());
    let mut looks = match woken {
        Woken::ByAnEnd => LOOKS_AFTER_END,
        Woken::Otherwise => 1,
    };
    loop {
        let Some(mut seen) = context.config.forge.unfinished(&scope).await? else {
            return by_commit(context, pending, expects).await;
        };
        // A forge that names no commit in its list speaks of this one as well as of any.
        seen.retain(|one| one.job.head_sha.is_empty() || one.job.head_sha == pending.at);
        looks -= 1;
        if looks == 0 || !all_wait_for_others(&seen) || context.out_of_time() {
            return by_list(context, pending, expects, &seen).await;
        }
        tokio::time::sleep(UNBLOCK_WAIT).await;
    }
}

/// Whether every job that is left waits for another, which must have ended then.
fn all_wait_for_others(seen: &[SeenJob]) -> bool {
    !seen.is_empty() && seen.iter().all(|one| one.state == SeenState::Blocked)
}

/// By the forge's list of jobs that have not ended.
async fn by_list(
    context: Context<'_>,
    pending: &PendingEvent,
    expects: &[Expected],
    open: &[SeenJob],
) -> Result<(NextStep, bool), Stop> {
    let now_ms = context.now_ms();
    let listed = keys_on_list(context).await?;
    let mut grew = false;
    for one in open.iter().filter(|one| one.state == SeenState::Waiting) {
        if !listed.contains(&one.job.key) {
            grew |= list(context, &one.job).await?;
        }
    }
    let compared = compare(context, pending, expects, open, &listed).await?;
    if open.is_empty() && !compared.still_expected && is_settled(pending, now_ms) {
        return Ok((NextStep::Closed("its jobs have ended".to_owned()), grew));
    }
    Ok((again(context, pending, expects.to_vec()), grew))
}

/// Which of the jobs that an event starts the forge has made by now, by the checks on its commit `sha`: it
/// sends its hooks one after the other, and a push may be told of when all its jobs have run. Those that
/// wait are put on the list, as the forge tells of them. An earlier event of the same commit may have made
/// them: then the looks that follow find the jobs of this one.
///
/// Their checks, and whether jobs came on the list.
pub(super) async fn made(
    context: Context<'_>,
    repository: &str,
    sha: &str,
    jobs: &[Expected],
) -> Result<(BTreeSet<String>, bool), Stop> {
    let forge = &context.config.forge;
    let mut made = BTreeSet::new();
    if jobs.iter().any(|one| one.state == ExpectedState::Listed) {
        let states = forge.commit_states(repository, sha).await?;
        made.extend(states.into_iter().map(|state| state.context));
    }
    made.retain(|check| jobs.iter().any(|one| one.context == *check));
    if made.is_empty() {
        return Ok((made, false));
    }
    let scope = Scope::Repository(repository.to_owned());
    let mut open = forge.unfinished(&scope).await?.unwrap_or_default();
    open.retain(|one| one.job.head_sha.is_empty() || one.job.head_sha == sha);
    let live = context.ledger.live().await?;
    let grew = list_waiting(context, &open, &keys_of(&live.jobs), live.birth).await?;
    Ok((made, grew))
}

/// What a comparison of expected jobs with the forge's list has come to.
#[derive(Debug, Default)]
pub(super) struct Compared {
    /// Some may still come.
    still_expected: bool,
    /// These were to have come by now, and are off the list.
    pub(super) denied: Vec<JobKey>,
}

/// Compares the expected jobs of an event with those that are `open` at the forge: each of those takes
/// the place of the one that was expected.
pub(super) async fn compare(
    context: Context<'_>,
    pending: &PendingEvent,
    expects: &[Expected],
    open: &[SeenJob],
    listed: &BTreeSet<JobKey>,
) -> Result<Compared, Stop> {
    let now_ms = context.now_ms();
    let mut compared = Compared::default();
    for one in open.iter().filter(|one| one.state == SeenState::Running) {
        if let (true, Some(runner)) = (listed.contains(&one.job.key), &one.runner) {
            let _result = context.ledger.start_job(&one.job, runner, now_ms).await?;
        }
    }
    let is_due = now_ms.saturating_sub(pending.recorded_ms) > CONFIRM_MS;
    for expected in expects {
        let key = job_of(pending, expected).key;
        if !listed.contains(&key) {
            continue;
        }
        let told = open.iter().find(|one| one.job.name == expected.name);
        match told.map(|one| one.state) {
            // The planner puts it in the place of the expected one.
            Some(SeenState::Waiting) => {}
            Some(SeenState::Blocked | SeenState::Running) => {
                let reason = "the forge has told of it, and it waits for no runner";
                let _progress = context.drop_expected(&key, reason).await?;
            }
            None if is_due => {
                tracing::warn!(job = %key, name = expected.name, repository = pending.repository,
                    "expected job is not at the forge: it ended, or was never queued");
                let reason = "the forge has no such job waiting";
                let _progress = context.drop_expected(&key, reason).await?;
                compared.denied.push(key);
            }
            None => compared.still_expected = true,
        }
    }
    Ok(compared)
}

/// By the states that the forge puts on the commit, where it has no list of jobs: Gitea before 1.25.
async fn by_commit(
    context: Context<'_>,
    pending: &PendingEvent,
    expects: &[Expected],
) -> Result<(NextStep, bool), Stop> {
    let states = context
        .config
        .forge
        .commit_states(&pending.repository, &pending.at)
        .await?;
    let server = context.config.forge.server().await?;
    let mut expects = expects.to_vec();
    for expected in &mut expects {
        let state = states
            .iter()
            .find(|state| state.context == expected.context);
        let Some(state) = state else { continue };
        match (ended(state.state), expected.state.has_ended()) {
            (Some(state), false) => {
                unlist(context, pending, expected).await?;
                expected.state = state;
            }
            // What is pending waits, runs or is blocked: its words are those of its first moment. After
            // its end it is run again.
            (None, true) => {
                expected.state = ExpectedState::Blocked;
                expected.attempt += 1;
            }
            (Some(_), true) | (None, false) => {}
        }
    }
    let mut grew = false;
    for at in freed(&expects, server) {
        expects[at].state = ExpectedState::Listed;
        let job = job_of(pending, &expects[at]);
        grew |= list(context, &job).await?;
    }
    let all_ended = expects.iter().all(|one| one.state.has_ended());
    if all_ended && is_settled(pending, context.now_ms()) {
        return Ok((NextStep::Closed("its jobs have ended".to_owned()), grew));
    }
    Ok((again(context, pending, expects), grew))
}

/// How a check on a commit has ended, if it has.
fn ended(state: CheckState) -> Option<ExpectedState> {
    match state {
        CheckState::Pending => None,
        CheckState::Success | CheckState::Warning => Some(ExpectedState::Success),
        CheckState::Error | CheckState::Failure => Some(ExpectedState::Failure),
        CheckState::Skipped => Some(ExpectedState::Skipped),
    }
}

/// The places of the jobs that wait for a runner now, because those that they need have ended. A
/// skipped job is told by the forge.
fn freed(expects: &[Expected], server: Server) -> Vec<usize> {
    let mut freed = Vec::new();
    let mut runs = BTreeSet::new();
    runs.extend(expects.iter().map(|one| one.run));
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
        status: match expected.state {
            ExpectedState::Blocked => Status::Blocked,
            ExpectedState::Listed => Status::Waiting,
            ExpectedState::Success => Status::Success,
            ExpectedState::Failure => Status::Failure,
            ExpectedState::Skipped => Status::Skipped,
        },
        needs: expected.needs.clone(),
        condition: expected.condition.clone(),
        continue_on_error: false,
        matrix: Value::Map(None),
    }
}

/// Takes a job off the list that has ended.
async fn unlist(
    context: Context<'_>,
    pending: &PendingEvent,
    expected: &Expected,
) -> Result<(), Failure> {
    if expected.state != ExpectedState::Listed {
        return Ok(());
    }
    let key = job_of(pending, expected).key;
    let reason = "the forge says on its commit that it has ended";
    context.drop_expected(&key, reason).await.map(drop)
}

/// Whether the forge has had the time to make the runs of an event.
fn is_settled(pending: &PendingEvent, now_ms: u64) -> bool {
    now_ms.saturating_sub(pending.recorded_ms) > SETTLED_MS
}

fn again(context: Context<'_>, pending: &PendingEvent, expects: Vec<Expected>) -> NextStep {
    NextStep::Again(PendingEvent {
        not_before_ms: context.now_ms() + AGAIN_MS,
        expects: Some(expects),
        ..pending.clone()
    })
}
