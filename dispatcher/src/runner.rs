//! The runner route: a machine asks for its one-job credential, once, and says how it fares.

use stacks::pool::Pool;
use stacks::route::{Ask, LINE_CLONE_TOKEN, LINE_RUNNER, Mark, REFUSED, Request, TEXT_MAX_CHARS};

use crate::answer::Answer;
use crate::config::Config;
use crate::event::{Caller, HttpRequest};
use crate::forge::{Forge, ForgeError};
use crate::ledger::{Remains, number, scope_value, text};
use crate::secret::Secret;
use crate::shell::{Failure, Outcome, Shell};
use crate::world::Runner;

/// Answers one request of a runner.
pub async fn serve(
    shell: &Shell,
    forge: &Forge,
    config: &Config,
    caller: &Caller,
    request: &HttpRequest,
    now_ms: u64,
) -> Result<Answer, Failure> {
    if !shell.names().is_runner_role(&caller.role) {
        return Ok(Answer::text(
            REFUSED,
            "this route is for this deployment's runners",
        ));
    }
    let Ok(request) = serde_json::from_slice::<Request>(&request.body) else {
        return Ok(Answer::text(400, "expected {\"ask\":…} or {\"mark\":…}"));
    };
    let Some(runner) = shell.runner(&caller.instance).await? else {
        // Between RunInstances and its record there is a moment in which a fast machine is early.
        return Ok(Answer::text(503, "not in the ledger yet: ask again"));
    };
    match request {
        Request::Ask {
            ask: Ask::Credential,
        } => credential(shell, forge, config, &runner, now_ms).await,
        Request::Mark { mark, text } => note(shell, &runner, mark, &text, now_ms).await,
    }
}

async fn credential(
    shell: &Shell,
    forge: &Forge,
    config: &Config,
    runner: &Runner,
    now_ms: u64,
) -> Result<Answer, Failure> {
    let Some(pool) = config.pools.iter().find(|pool| pool.name == runner.pool) else {
        return Ok(Answer::text(
            REFUSED,
            "this runner's pool is not configured any more",
        ));
    };
    // The mark comes before the registration: a second request finds it, whatever happens between.
    let marked = shell
        .set_runner(
            &runner.instance,
            &[
                ("credential_ms", number(now_ms)),
                ("registered_in", scope_value(&pool.scope)),
            ],
            "attribute_not_exists(credential_ms) AND attribute_not_exists(ending_ms)",
        )
        .await?;
    if marked != Outcome::Written {
        return Ok(Answer::text(
            REFUSED,
            "this runner was given its credential, or is to end",
        ));
    }
    let registration = match forge.register(pool, &runner.instance).await {
        Ok(registration) => registration,
        Err(error) => {
            tracing::error!(instance = runner.instance, %error, "no registration");
            // Without its answer nobody knows whether the forge has done it.
            let unsure = match error {
                ForgeError::Unreachable { .. } | ForgeError::BadAnswer { .. } => true,
                ForgeError::BadConfig(_)
                | ForgeError::Refused { .. }
                | ForgeError::Moved { .. }
                | ForgeError::TooMuch(_)
                | ForgeError::OtherKind
                | ForgeError::Lacks(_)
                | ForgeError::NoToken(_) => false,
            };
            shell
                .unset_credential(&runner.instance, now_ms, unsure)
                .await?;
            return Ok(Answer::text(502, "the forge registered nothing: ask again"));
        }
    };
    let kept = shell
        .set_runner(
            &runner.instance,
            &[("forge_id", number(registration.id))],
            "",
        )
        .await;
    if !matches!(kept, Ok(Outcome::Written)) {
        // The row is gone or can't be written: without it nobody would delete the registration.
        let deleted = forge.delete_runner(&pool.scope, registration.id).await;
        if kept.is_err() {
            shell
                .unset_credential(&runner.instance, now_ms, deleted.is_err())
                .await?;
        } else if deleted.is_err() {
            let remains = Remains {
                instance: runner.instance.clone(),
                pool: pool.name.clone(),
                forge_id: Some(registration.id),
                used: false,
                unsure: false,
                registered_in: Some(pool.scope.clone()),
                since_ms: now_ms,
                not_before_ms: 0,
            };
            shell.add_remains(&remains).await?;
        }
        return kept.map(|_gone| Answer::text(REFUSED, "this runner has ended"));
    }
    if !registration.one_job && !config.settings.accept_reusable_credentials {
        // Its row has the id: what is registered goes with the machine.
        tracing::error!(
            instance = runner.instance,
            "the forge registered no one-job runner: update it, or say accept_reusable_credentials = \
             true below [forge]"
        );
        return Ok(Answer::text(
            REFUSED,
            "the forge makes no one-job runners, and this deployment accepts no others",
        ));
    }
    tracing::info!(
        instance = runner.instance,
        forge_id = registration.id,
        "registered"
    );
    let clone_token = config.clone_token.as_ref().filter(|_| pool.clone_token);
    let lines = lines(&registration.document, clone_token, pool);
    Ok(Answer::secret(lines))
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
    shell: &Shell,
    runner: &Runner,
    mark: Mark,
    words: &str,
    now_ms: u64,
) -> Result<Answer, Failure> {
    let words: String = words
        .chars()
        .filter(|c| !c.is_control())
        .take(TEXT_MAX_CHARS)
        .collect();
    tracing::info!(instance = runner.instance, ?mark, words, "mark");
    let instance = runner.instance.as_str();
    let _outcome = match mark {
        Mark::Online => {
            shell
                .set_runner(instance, &[("online_ms", number(now_ms))], "")
                .await?
        }
        Mark::Started => {
            shell
                .set_runner(
                    instance,
                    &[("busy_ms", number(now_ms))],
                    "attribute_not_exists(busy_ms)",
                )
                .await?
        }
        Mark::Ending => {
            shell
                .set_runner(instance, &[("ending_ms", number(now_ms))], "")
                .await?
        }
        Mark::Failed => {
            let reason = format!("boot failed: {words}");
            shell
                .set_runner(
                    instance,
                    &[("ending_ms", number(now_ms)), ("end_reason", text(&reason))],
                    "attribute_not_exists(end_reason)",
                )
                .await?
        }
    };
    Ok(Answer::text(200, "noted"))
}
