//! Which jobs an event has started, found out after its delivery was answered: for forges that send
//! no `workflow_job`, and for hooks that were given the push alone.
//!
//! The evaluation comes to what the forge comes to, from the same files ([`workflow`]). Its jobs go on
//! the list as *expected* jobs, under keys of ours, so that machines are launched at once. The forge
//! then tells of the same jobs, by deliveries or because we ask what waits there, and each takes the
//! place of the one that was expected. Machines are counted against jobs, never paired with them, so neither telling
//! launches twice. What becomes of jobs that wait for others is followed by asking the forge.

mod due;
mod follow;
mod listing;
mod look;
mod turns;

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt as _};

use self::due::{due_jobs, job_of};
use self::listing::list;
use self::look::LOOKS_OVER_MS;
use self::turns::Turns;
use crate::aws::WriteResult;
use crate::ledger::{Ask, ExpectedState, PendingEvent, Recorded, event_id};
use crate::model::job::Job;
use crate::reconcile::context::{Context, Stop, Woken};
use workflow::{Capability, gather};

pub(crate) use listing::{list_missed, waited_before};
pub(crate) use look::{Denied, Looks};

/// Most events that are processed in one go: each is a handful of requests to the forge.
const EVENTS_MAX: usize = 40;
/// How many at a time: a small forge answers some ten requests a second.
const AT_ONCE: usize = 4;
/// How long one drain may take over an event before another takes it over, in milliseconds.
const CLAIM_MS: u64 = 60_000;
/// How long a repository whose jobs are told of by deliveries is given to do so, in milliseconds:
/// four seconds with default queues and five more behind a slow hook of somebody else (measured).
const GRACE_MS: u64 = 15_000;
/// Shortest time between two questions about what became of an event, in milliseconds.
const AGAIN_MS: u64 = 1_500;
/// Longest wait after a failure, in milliseconds: a token that is set right is noticed soon.
const AGAIN_MAX_MS: u64 = 15 * 60_000;
/// Longest an event is followed, in milliseconds: the forge itself gives up a job after a day.
const FOLLOW_MS: u64 = 24 * 3600 * 1000;
/// Most jobs of one event that are followed by name, and most bytes of what is written down of them: a
/// row of the ledger holds 400 kB. More are launched for all the same.
const EXPECTED_MAX: usize = 400;
const EXPECTED_MAX_BYTES: usize = 200_000;

/// What is done about an event next.
enum NextStep {
    /// Nothing more will come of it.
    Closed(String),
    /// Process it again later, as it is now.
    Again(PendingEvent),
}

/// What processing events came to.
#[derive(Debug, Default)]
pub(crate) struct Processed {
    /// Jobs came on the list.
    pub(crate) grew: bool,
    /// The repositories of the events on which the rules have given their verdict now.
    pub(crate) evaluated: BTreeSet<String>,
    /// Another invocation is processing one of them.
    pub(crate) busy: bool,
    /// New ones are left: more are due than are processed in one go.
    pub(crate) left: bool,
}

/// Processes the events that are due. When a machine has ended, all are due that no other invocation
/// has claimed: the next job may wait already.
pub(crate) async fn process(
    context: Context<'_>,
    events: &[PendingEvent],
    woken: Woken,
) -> Processed {
    let now_ms = context.now_ms();
    let Turns { due, busy } = turns::of(events, now_ms, woken);
    let mut processed = Processed {
        busy,
        left: due.iter().skip(EVENTS_MAX).any(|one| turns::is_new(one)),
        ..Processed::default()
    };
    let mut looks = Vec::new();
    for pending in due.into_iter().take(EVENTS_MAX) {
        looks.push(process_one(context, pending, woken));
    }
    let mut looks = stream::iter(looks).buffer_unordered(AT_ONCE);
    while let Some(done) = looks.next().await {
        processed.grew |= done.grew;
        processed.evaluated.extend(done.evaluated);
        // Nothing says any more that it was processed: going on at once would only repeat it.
        processed.left &= !done.ledger_failed;
    }
    processed
}

/// What processing one event came to.
#[derive(Default)]
struct Done {
    /// Jobs came on the list.
    grew: bool,
    /// Its repository, if the rules have given their verdict.
    evaluated: Option<String>,
    /// The ledger could not be read or written.
    ledger_failed: bool,
}

/// Processes one event. A failure keeps no other from being processed.
async fn process_one(context: Context<'_>, pending: &PendingEvent, woken: Woken) -> Done {
    if context.out_of_time() {
        return Done::default();
    }
    let done = process_claimed(context, pending, woken).await;
    done.unwrap_or_else(|stop| {
        let (id, repository) = (&pending.id, &pending.repository);
        tracing::warn!(event = id, repository, error = %stop, "event not evaluated; tried again later");
        Done {
            ledger_failed: matches!(stop, Stop::Ledger(_)),
            ..Done::default()
        }
    })
}

async fn process_claimed(
    context: Context<'_>,
    seen: &PendingEvent,
    woken: Woken,
) -> Result<Done, Stop> {
    let now_ms = context.now_ms();
    let taken = PendingEvent {
        not_before_ms: now_ms + (u64::from(seen.tries) * CLAIM_MS).clamp(CLAIM_MS, AGAIN_MAX_MS),
        tries: seen.tries.saturating_add(1),
        ..seen.clone()
    };
    if context.ledger.claim_event(seen, &taken).await? != WriteResult::Written {
        return Ok(Done::default());
    }
    if now_ms.saturating_sub(seen.recorded_ms) > FOLLOW_MS {
        let outcome = "given up: the forge could not tell what became of it";
        tracing::error!(
            event = seen.id,
            repository = seen.repository,
            outcome,
            "event closed"
        );
        context.ledger.close_event(&taken, outcome).await?;
        return Ok(Done::default());
    }
    let mut done = Done::default();
    let next = match &seen.expects {
        // Boxed: each is kilobytes of state, and some of these are under way at a time.
        None => Box::pin(evaluate(context, &taken, &mut done)).await?,
        Some(expects) => {
            let (next, grew) = Box::pin(follow::follow(context, &taken, expects, woken)).await?;
            done.grew = grew;
            next
        }
    };
    match next {
        NextStep::Closed(outcome) => {
            tracing::info!(
                event = taken.id,
                repository = taken.repository,
                outcome,
                "event closed"
            );
            context.ledger.close_event(&taken, &outcome).await?;
        }
        NextStep::Again(next) => {
            let next = PendingEvent { tries: 0, ..next };
            let _result = context.ledger.claim_event(&taken, &next).await?;
        }
    }
    Ok(done)
}

/// Evaluates an event, and puts the jobs on the list that can start at once.
async fn evaluate(
    context: Context<'_>,
    pending: &PendingEvent,
    done: &mut Done,
) -> Result<NextStep, Stop> {
    let now_ms = context.now_ms();
    let closed = |why: &str| Ok(NextStep::Closed(why.to_owned()));
    let Some(event) = context.ledger.event(pending).await? else {
        return closed("nobody knows any more what it was");
    };
    if let Some(implied) = event.implied() {
        let id = event_id(&implied, "", pending.recorded_ms);
        let recorded = context
            .ledger
            .record_event(&id, &implied, Ask::Nobody, now_ms)
            .await?;
        done.grew = recorded != Recorded::Before;
    }
    if let Some(why) = event.starts_nothing() {
        return closed(why);
    }
    let reports = context.ledger.job_reports(&pending.repository).await?;
    // The same commit may have had a push before, of another reference.
    let since_ms = pending.recorded_ms.saturating_sub(GRACE_MS);
    if reports.is_delivered(&pending.at, since_ms) {
        return closed("deliveries of its jobs come by themselves");
    }
    if reports.is_exact() && now_ms < pending.recorded_ms + GRACE_MS {
        let again = PendingEvent {
            not_before_ms: pending.recorded_ms + GRACE_MS,
            ..pending.clone()
        };
        return Ok(NextStep::Again(again));
    }
    let server = context.config.forge.server().await?;
    let facts = gather(&context.config.forge, &event, server).await?;
    let evaluation = facts.evaluate(&event);
    done.evaluated = Some(pending.repository.clone());
    let jobs = due_jobs(pending, &evaluation);
    if jobs.is_empty() && !evaluation.is_uncertain() {
        return closed(&evaluation.summary());
    }
    let is_looked_at =
        context.config.settings.poll_after_events && server.has(Capability::ListsJobs);
    let mut made = BTreeSet::new();
    let mut listed = false;
    if is_looked_at {
        let asked = follow::made(context, &pending.repository, &facts.sha, &jobs).await;
        match asked {
            // A machine too many is ended by the looks; a job that waits for this answer would wait long.
            Err(Stop::Forge(error)) => tracing::warn!(
                repository = pending.repository,
                %error,
                "the forge does not tell which jobs it has made; they are expected"
            ),
            asked => (made, listed) = asked?,
        }
    }
    let mut told = reports.told(&facts.sha, since_ms);
    for expected in &jobs {
        let told_already = told.get_mut(expected.name.as_str());
        if let Some(left) = told_already.filter(|left| **left > 0) {
            *left -= 1;
        } else if expected.state == ExpectedState::Listed && !made.contains(&expected.context) {
            let job = Job {
                head_sha: facts.sha.clone(),
                // Nobody knows its own page yet.
                html_url: format!("{}/actions", event.body.repository.html_url),
                ..job_of(pending, expected)
            };
            listed |= list(context, &job).await?;
        }
    }
    if listed && reports.is_exact() {
        tracing::warn!(
            repository = pending.repository,
            "no workflow_job delivery came for a push: jobs are expected from pushes until one comes"
        );
        context
            .ledger
            .note_silence(&pending.repository, now_ms)
            .await?;
    }
    let mut left = EXPECTED_MAX_BYTES;
    let expects = jobs.into_iter().take(EXPECTED_MAX).take_while(|expected| {
        left = left.saturating_sub(expected.text_bytes());
        left > 0
    });
    let expects = expects.collect();
    let rest_ms = if is_looked_at {
        LOOKS_OVER_MS
    } else {
        AGAIN_MS
    };
    let again = PendingEvent {
        at: facts.sha,
        not_before_ms: now_ms + rest_ms,
        expects: Some(expects),
        ..pending.clone()
    };
    done.grew |= listed;
    Ok(NextStep::Again(again))
}
