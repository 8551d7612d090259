//! The runner route: a machine asks for its one-job credential, once, and says how it fares.

use stacks::pool::Pool;
use stacks::route::{
    Ask, LINE_CLONE_TOKEN, LINE_RUNNER, LINE_SMOKE_TEST, Mark, REFUSED, Request, TEXT_MAX_CHARS,
};

use crate::aws::{Aws, Failure, WriteResult};
use crate::clock::now_ms;
use crate::config::Config;
use crate::forge::{ForgeError, Registration};
use crate::http_response::HttpResponse;
use crate::invocation::{Caller, HttpRequest};
use crate::ledger::{Ledger, RunnerNote, StaleRegistration};
use crate::model::runner::{EndReason, Runner};
use crate::model::secret::Secret;
use crate::model::world::Refusal;
use crate::simulation::{Fault, breaks};

/// Answers one request of a runner.
pub async fn serve(
    aws: &Aws,
    ledger: &Ledger,
    config: &Config,
    caller: &Caller,
    request: &HttpRequest,
) -> Result<HttpResponse, Failure> {
    if !aws.names().is_runner_role(&caller.role) {
        return Ok(refused("this route is for this deployment's runners"));
    }
    let Ok(request) = serde_json::from_slice::<Request>(&request.body) else {
        let expected = "expected {\"ask\":…} or {\"mark\":…}";
        return Ok(HttpResponse::text(400, expected));
    };
    let Some(runner) = ledger.runner(&caller.instance).await? else {
        // Between RunInstances and its record there is a moment in which a fast machine is early.
        let early = "not in the ledger yet: ask again";
        return Ok(HttpResponse::text(503, early));
    };
    match request {
        Request::Ask {
            ask: Ask::Credential,
        } => credential(aws, ledger, config, &runner).await,
        Request::Mark { mark, text } => note(ledger, &runner, mark, &text).await,
    }
}

async fn credential(
    aws: &Aws,
    ledger: &Ledger,
    config: &Config,
    runner: &Runner,
) -> Result<HttpResponse, Failure> {
    let instance = runner.instance.as_str();
    let Some(pool) = config.pools.iter().find(|pool| pool.name == runner.pool) else {
        return Ok(refused("this runner's pool is not configured any more"));
    };
    // Before the registration: a second request finds it, whatever happens between.
    let asked = ledger.runner_asked(instance, &pool.scope, now_ms()).await?;
    if asked != WriteResult::Written && !breaks(Fault::SecondCredential) {
        let given = "this runner was given its credential, or is to end";
        return Ok(refused(given));
    }
    let registration = match config.forge.register(pool, instance).await {
        Ok(registration) => registration,
        Err(error) => {
            tracing::error!(instance, pool = pool.name, %error, "runner not registered");
            let maybe = may_have_registered(&error);
            ledger
                .runner_not_registered(instance, maybe, now_ms())
                .await?;
            if !maybe {
                note_refusal(ledger, runner, &error.to_string()).await?;
            }
            let again = "the forge registered nothing: ask again";
            return Ok(HttpResponse::text(502, again));
        }
    };
    let kept = ledger
        .runner_registered(instance, registration.id, now_ms())
        .await;
    if !matches!(kept, Ok(WriteResult::Written)) {
        return take_back(ledger, config, runner, pool, &registration, kept).await;
    }
    if !registration.one_job && !config.settings.accept_reusable_credentials {
        // Its row has the id: what is registered goes with the machine.
        tracing::error!(
            instance,
            pool = pool.name,
            "the forge registered no one-job runner: update it, or say accept_reusable_credentials = \
             true below [forge]"
        );
        note_refusal(ledger, runner, "it makes no one-job runners").await?;
        return Ok(refused(
            "the forge makes no one-job runners, and this deployment accepts no others",
        ));
    }
    tracing::info!(
        instance,
        pool = pool.name,
        forge_id = registration.id,
        "runner registered"
    );
    if runner.has_asked()
        && let Err(failure) = clear_refusal(aws, ledger, runner).await
    {
        // Its credential can't be asked for again.
        tracing::warn!(instance, pool = pool.name, error = %failure, "the next reconcile launches for the pool again");
    }
    let clone_token = config.clone_token.as_ref().filter(|_| pool.clone_token);
    let mut answer = lines(&registration.document, clone_token, pool);
    if runner.is_smoke_test() {
        answer.push_str(LINE_SMOKE_TEST);
        answer.push('\n');
    }
    Ok(HttpResponse::secret(answer))
}

/// The forge refused this runner as it would any other of its pool: none is launched until it registers one. Each
/// machine says so once, of many that ask again and again.
async fn note_refusal(ledger: &Ledger, runner: &Runner, why: &str) -> Result<(), Failure> {
    if runner.has_asked() {
        return Ok(());
    }
    let refusal = Refusal {
        pool: runner.pool.clone(),
        reason: format!(
            "the forge registers no runner of pool {}: {why}",
            runner.pool
        ),
    };
    ledger.note_refusal(&refusal).await
}

/// The forge registered a runner that it may have refused before: its pool's jobs are launched for again.
async fn clear_refusal(aws: &Aws, ledger: &Ledger, runner: &Runner) -> Result<(), Failure> {
    match ledger.clear_refusal(&runner.pool).await? {
        WriteResult::Written => aws.nudge().await,
        WriteResult::Refused => Ok(()),
    }
}

/// The row is gone or can't be written: without it nobody would delete the registration.
async fn take_back(
    ledger: &Ledger,
    config: &Config,
    runner: &Runner,
    pool: &Pool,
    registration: &Registration,
    kept: Result<WriteResult, Failure>,
) -> Result<HttpResponse, Failure> {
    let deleted = config.forge.delete_runner(&pool.scope, registration.id);
    let is_left = deleted.await.is_err();
    if kept.is_err() {
        ledger
            .runner_not_registered(&runner.instance, is_left, now_ms())
            .await?;
    } else if is_left {
        let stale = StaleRegistration {
            instance: runner.instance.clone(),
            pool: pool.name.clone(),
            forge_id: Some(registration.id),
            used: false,
            unsure: false,
            registered_in: Some(pool.scope.clone()),
            since_ms: now_ms(),
            not_before_ms: 0,
        };
        ledger.add_stale_registration(&stale).await?;
    }
    kept.map(|_gone| refused("this runner has ended"))
}

/// Whether the forge may have registered a runner all the same: nobody knows without its answer.
pub(crate) fn may_have_registered(error: &ForgeError) -> bool {
    match error {
        ForgeError::Unreachable { .. } | ForgeError::BadAnswer { .. } => true,
        ForgeError::BadConfig(_)
        | ForgeError::Refused { .. }
        | ForgeError::Moved { .. }
        | ForgeError::TooMuch(_)
        | ForgeError::OtherKind
        | ForgeError::Lacks(_)
        | ForgeError::NoToken(_) => false,
    }
}

fn refused(why: &str) -> HttpResponse {
    HttpResponse::text(REFUSED, why)
}

/// The answer's lines. A pool that asks for the clone token when none is set is told in the log: its
/// jobs may well do without.
fn lines(document: &Secret, clone_token: Option<&Secret>, pool: &Pool) -> String {
    let mut lines = format!("{LINE_RUNNER} {}\n", document.reveal());
    match clone_token {
        Some(token) => {
            lines.push_str(LINE_CLONE_TOKEN);
            lines.push(' ');
            lines.push_str(token.reveal().trim());
            lines.push('\n');
        }
        None if pool.clone_token => tracing::warn!(
            pool = pool.name,
            "the pool asks for a clone token and none is set: `cargo xtask secret set clone-token`"
        ),
        None => {}
    }
    lines
}

async fn note(
    ledger: &Ledger,
    runner: &Runner,
    mark: Mark,
    words: &str,
) -> Result<HttpResponse, Failure> {
    let words: String = words
        .chars()
        .filter(|c| !c.is_control())
        .take(TEXT_MAX_CHARS)
        .collect();
    let instance = runner.instance.as_str();
    tracing::info!(instance, pool = runner.pool, ?mark, words, "runner mark");
    let now_ms = now_ms();
    match mark {
        Mark::Online => {
            let note = RunnerNote::Online;
            ledger.runner_noted(instance, note, now_ms).await?;
        }
        Mark::Started => ledger.runner_started(instance, now_ms).await?,
        Mark::Found => ledger.runner_found(instance, &words, now_ms).await?,
        Mark::Ending => ledger.runner_ends_itself(instance, None, now_ms).await?,
        Mark::Interrupted => {
            // EC2's own warning may have been lost, and came up to two minutes earlier if it was not.
            let note = RunnerNote::Interrupted;
            ledger.runner_noted(instance, note, now_ms).await?;
            let reason = Some(EndReason::Interrupted);
            ledger.runner_ends_itself(instance, reason, now_ms).await?;
        }
        Mark::Failed => {
            let reason = EndReason::Said(format!("boot failed: {words}"));
            ledger
                .runner_ends_itself(instance, Some(reason), now_ms)
                .await?;
        }
    }
    Ok(HttpResponse::text(200, "noted"))
}
