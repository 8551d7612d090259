//! Looks at the forge's list of jobs soon after an event was evaluated.
//!
//! Whatever the rules said of it, the list is the truth: a job that they did not foretell gets its machine
//! now, and a machine for a job that the forge does not have is ended now, where both would wait for the
//! next scheduled reconcile. One invocation looks for all events of a scope together; who evaluates
//! another meanwhile leaves a note, and does not stay.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use stacks::pool::{Pool, Scope};

use super::follow::compare;
use super::listing::{keys_of, list_waiting, scopes_of};
use crate::aws::{Failure, WriteResult};
use crate::forge::SeenJob;
use crate::ledger::Live;
use crate::reconcile::context::{Context, Stop};

/// How long after the last evaluation it looks, in milliseconds. A forge with default queues has made the
/// run after four seconds, and behind a slow hook of somebody else five later (measured): after the last
/// one a job that is not there will not come.
const LOOKS_AFTER_MS: [u64; 3] = [2_000, 5_000, 12_000];
/// Shortest time between two looks, in milliseconds, however often somebody pushes.
const APART_MS: u64 = 2_000;
/// From then on an event is followed as before: until then the looks do it.
pub(super) const LOOKS_OVER_MS: u64 = 13_000;
/// Longest that one drain waits for all of this, in milliseconds: it is paid for by the second.
const WAIT_MAX_MS: u64 = 15_000;

/// The looks of one drain.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    /// Those that this drain looks at.
    scopes: Vec<Scope>,
    /// When an event of theirs was last evaluated.
    evaluated_ms: u64,
    /// How many of the looks after that are done.
    done: usize,
    /// When it last looked.
    looked_ms: u64,
    waited_ms: u64,
}

/// How many jobs of each pool were expected that the forge does not have.
pub(crate) type Denied = BTreeMap<String, usize>;

/// What a look has found.
#[derive(Debug, Default)]
struct Found {
    /// Jobs came on the list or left it.
    changed: bool,
    denied: Denied,
}

impl Looks {
    /// Events of `repositories` were evaluated now.
    pub(crate) async fn add(
        &mut self,
        context: Context<'_>,
        holder: &str,
        repositories: &BTreeSet<String>,
    ) -> Result<(), Failure> {
        if !context.config.settings.poll_after_events {
            return Ok(());
        }
        let serves = |pool: &Pool| repositories.iter().any(|one| pool.serves_repository(one));
        let now_ms = context.now_ms();
        for scope in scopes_of(context, serves) {
            let until_ms = now_ms + WAIT_MAX_MS - self.waited_ms.min(WAIT_MAX_MS);
            let begun = context.ledger.begin_looks(scope, holder, now_ms, until_ms);
            if begun.await? != WriteResult::Written {
                continue;
            }
            (self.evaluated_ms, self.done) = (now_ms, 0);
            if !self.scopes.contains(scope) {
                self.scopes.push(scope.clone());
            }
        }
        Ok(())
    }

    /// Looks as often as it is due, until something has changed by it: jobs that came on the list or left
    /// it. Those of each pool that were `denied` are counted. `false` when the last look is done.
    pub(crate) async fn go_on(
        &mut self,
        context: Context<'_>,
        denied: &mut Denied,
    ) -> Result<bool, Failure> {
        while self.wait(context).await {
            let found = self.look(context).await?;
            if found.changed {
                *denied = found.denied;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Waits for the next look; `false` when there is none.
    async fn wait(&mut self, context: Context<'_>) -> bool {
        let Some(after_ms) = LOOKS_AFTER_MS
            .get(self.done)
            .filter(|_| !self.scopes.is_empty())
        else {
            return false;
        };
        let due_ms = (self.evaluated_ms + after_ms).max(self.looked_ms + APART_MS);
        let wait_ms = due_ms.saturating_sub(context.now_ms());
        let is_too_long = self.waited_ms + wait_ms > WAIT_MAX_MS;
        if is_too_long || context.out_of_time_in(Duration::from_millis(wait_ms)) {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        self.waited_ms += wait_ms;
        self.done += 1;
        true
    }

    /// Looks. A forge that does not answer is asked again at the next look, if there is one.
    async fn look(&mut self, context: Context<'_>) -> Result<Found, Failure> {
        self.looked_ms = context.now_ms();
        let live = context.ledger.live().await?;
        let evaluated_ms = self
            .scopes
            .iter()
            .filter_map(|scope| live.evaluated_ms(scope));
        if let Some(evaluated_ms) = evaluated_ms.max().filter(|last| *last > self.evaluated_ms) {
            (self.evaluated_ms, self.done) = (evaluated_ms, 0);
        }
        let mut found = Found::default();
        for scope in &self.scopes {
            match look_at(context, scope, &live, &mut found).await {
                Ok(()) => {}
                Err(Stop::Ledger(failure)) => return Err(failure),
                Err(Stop::Forge(error)) => {
                    tracing::warn!(%error, "the forge does not list its waiting jobs; the next reconcile asks again");
                }
            }
        }
        Ok(found)
    }

    /// Lets others look.
    pub(crate) async fn end(self, context: Context<'_>, holder: &str) -> Result<(), Failure> {
        for scope in &self.scopes {
            context.ledger.end_looks(scope, holder).await?;
        }
        Ok(())
    }
}

async fn look_at(
    context: Context<'_>,
    scope: &Scope,
    live: &Live,
    found: &mut Found,
) -> Result<(), Stop> {
    let Some(open) = context.config.forge.unfinished(scope).await? else {
        return Ok(());
    };
    let listed = keys_of(&live.jobs);
    found.changed |= list_waiting(context, &open, &listed, live.birth).await?;
    for pending in &live.pending_events {
        let Some(expects) = pending
            .expects
            .as_ref()
            .filter(|_| scope.admits(&pending.repository))
        else {
            continue;
        };
        let is_its = |one: &&SeenJob| {
            let job = &one.job;
            job.key.repository == pending.repository
                && (job.head_sha.is_empty() || job.head_sha == pending.at)
        };
        let open: Vec<SeenJob> = open.iter().filter(is_its).cloned().collect();
        let compared = compare(context, pending, expects, &open, &listed).await?;
        found.changed |= !compared.denied.is_empty();
        for key in compared.denied {
            if let Some(job) = live.jobs.iter().find(|job| job.key == key) {
                *found.denied.entry(job.pool.clone()).or_default() += 1;
            }
        }
    }
    Ok(())
}
