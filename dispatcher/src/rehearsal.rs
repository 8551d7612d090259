//! Every call that the function makes, tried under its own role without effect: what `up` ends with.
//! IAM is asked by AWS itself; no simulation knows all that it knows.

use stacks::pool::Pool;
use stacks::rehearsal::{Rehearsal, RehearsedCall, Verdict};

use crate::aws::Failure;
use crate::ledger::Live;
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

/// Tries each, one after the other: EC2 admits few launches at once.
pub(crate) async fn rehearse(context: Context<'_>) -> Rehearsal {
    let mut calls = Vec::new();
    // Whoever could not read them did not come here.
    let what = format!("{} pools and their settings", context.config.pools.len());
    calls.push(call("ssm:GetParametersByPath", what, Ok(())));
    for (action, tried) in context.ledger.rehearse().await {
        calls.push(call(action, "the ledger".to_owned(), tried));
    }
    let nudged = context.aws.rehearse_nudge().await;
    calls.push(call("lambda:InvokeFunction", "itself".to_owned(), nudged));
    let listed = context.aws.instances().await.map(drop);
    calls.push(call(
        "ec2:DescribeInstances",
        "its machines".to_owned(),
        listed,
    ));
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
    calls.push(RehearsedCall {
        action: "ec2:TerminateInstances".to_owned(),
        what: "its machines".to_owned(),
        verdict: Verdict::Unknown,
        words: "EC2 tells only of a machine that exists: `cargo xtask smoke-test`".to_owned(),
    });
    let denied = calls.iter().filter(|call| call.verdict == Verdict::Denied);
    let denied = denied.count();
    tracing::info!(calls = calls.len(), denied, "calls rehearsed");
    Rehearsal { calls }
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
        Err(failure) if DENIALS.contains(&&*failure.code) => (Verdict::Denied, told(&failure)),
        Err(failure) => (Verdict::Unknown, told(&failure)),
    };
    RehearsedCall {
        action: action.to_owned(),
        what,
        verdict,
        words,
    }
}

fn told(failure: &Failure) -> String {
    let words = format!("{}: {}", failure.code, failure.message);
    words.chars().take(WORDS_MAX_CHARS).collect()
}
