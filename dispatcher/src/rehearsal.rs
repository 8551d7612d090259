//! Every call that the function makes, tried under its own role without effect: what `up` ends with.
//! IAM is asked by AWS itself; no simulation knows all that it knows.

use stacks::pool::Pool;
use stacks::rehearsal::{Rehearsal, RehearsedCall, Verdict};

use crate::aws::{Aws, Failure};
use crate::config::BadConfig;
use crate::ledger::{Ledger, Live};
use crate::model::launch;
use crate::model::world::Launch;
use crate::reconcile::context::Context;
use crate::reconcile::observe::world;

/// How services say that a right is missing.
const DENIALS: [&str; 4] = [
    "UnauthorizedOperation",
    "AccessDenied",
    "AccessDeniedException",
    "UnauthorizedException",
];
/// Longest words of AWS that are handed on, in characters: EC2 encodes what it denied in some two
/// thousand.
const WORDS_MAX_CHARS: usize = 8_000;

/// Why the parameters can't be read, if the role may not: then there are no pools to launch for, and
/// everything else is tried all the same.
pub(crate) fn missing_right(error: BadConfig) -> Result<Failure, BadConfig> {
    match error {
        BadConfig::Call(failure) if is_denial(&failure) => Ok(failure),
        other @ (BadConfig::Call(_)
        | BadConfig::Missing(_)
        | BadConfig::Unreadable { .. }
        | BadConfig::Forge(_)) => Err(other),
    }
}

/// Tries each, one after the other: EC2 admits few launches at once.
pub(crate) async fn rehearse(
    aws: &Aws,
    ledger: &Ledger,
    pools: Result<Context<'_>, &Failure>,
) -> Rehearsal {
    let mut calls = Vec::new();
    let (what, read) = match &pools {
        Ok(context) => (
            format!("{} pools and their settings", context.config.pools.len()),
            // Those that are in use may have been read when the right was still there.
            aws.parameter_versions().await.map(drop),
        ),
        Err(failure) => (
            "pools and their settings".to_owned(),
            Err(Failure::clone(failure)),
        ),
    };
    calls.push(call("ssm:GetParametersByPath", what, read));
    for (action, tried) in ledger.rehearse().await {
        calls.push(call(action, "the ledger".to_owned(), tried));
    }
    let nudged = aws.rehearse_nudge().await;
    calls.push(call("lambda:InvokeFunction", "itself".to_owned(), nudged));
    let machines = "its machines";
    let listed = aws.instances().await.map(drop);
    calls.push(call("ec2:DescribeInstances", machines.to_owned(), listed));
    match pools {
        Ok(context) => {
            // The right is one for all of them.
            if let Some(image) = context.config.images.first() {
                let tried = aws.rehearse_put_image(&image.parameter, &image.ami).await;
                calls.push(call("ssm:PutParameter", image.parameter.clone(), tried));
            }
            rehearse_launches(context, &mut calls).await;
        }
        Err(_) => calls.push(unknown(
            "ec2:RunInstances",
            "every pool",
            "which pools there are stands in the parameters",
        )),
    }
    calls.push(unknown(
        "ec2:TerminateInstances",
        machines,
        "EC2 tells only of a machine that exists: `cargo xtask smoke-test`",
    ));
    let denied = calls.iter().filter(|call| call.verdict == Verdict::Denied);
    let denied = denied.count();
    tracing::info!(calls = calls.len(), denied, "calls rehearsed");
    Rehearsal { calls }
}

async fn rehearse_launches(context: Context<'_>, calls: &mut Vec<RehearsedCall>) {
    for pool in &context.config.pools {
        for launch in launches(context, pool) {
            let Some(candidate) = launch.candidate() else {
                continue;
            };
            let market = if candidate.spot { "Spot" } else { "On-Demand" };
            let what = format!("pool {}, {market} {}", pool.name, candidate.instance_type);
            let tried = if context.out_of_time() {
                let message = "the function's time was over".to_owned();
                Err(Failure::new("ec2:RunInstances", "not-tried", message))
            } else {
                context.aws.rehearse_launch(&launch).await
            };
            calls.push(call("ec2:RunInstances", what, tried));
        }
    }
}

/// The first request of `pool` in each of its markets, as it would be sent for one job.
fn launches(context: Context<'_>, pool: &Pool) -> Vec<Launch> {
    let world = world(&mut Live::default(), context.config, context.now_ms());
    let mut launch = launch::launch(&world, pool, &[]);
    launch.count = 1;
    let mut markets = Vec::new();
    for spot in [true, false] {
        let at = launch.candidates.iter().position(|one| one.spot == spot);
        markets.extend(at.map(|at| Launch {
            at,
            ..launch.clone()
        }));
    }
    markets
}

/// What is told of a call that was `tried`.
pub(crate) fn call(action: &str, what: String, tried: Result<(), Failure>) -> RehearsedCall {
    let (verdict, words) = match tried {
        Ok(()) => (Verdict::Allowed, String::new()),
        Err(failure) if is_denial(&failure) => (Verdict::Denied, told(&failure)),
        Err(failure) => (Verdict::Unknown, told(&failure)),
    };
    RehearsedCall {
        action: action.to_owned(),
        what,
        verdict,
        words,
    }
}

fn unknown(action: &str, what: &str, because: &str) -> RehearsedCall {
    RehearsedCall {
        action: action.to_owned(),
        what: what.to_owned(),
        verdict: Verdict::Unknown,
        words: because.to_owned(),
    }
}

fn is_denial(failure: &Failure) -> bool {
    DENIALS.contains(&&*failure.code)
}

fn told(failure: &Failure) -> String {
    let words = format!("{}: {}", failure.code, failure.message);
    words.chars().take(WORDS_MAX_CHARS).collect()
}
