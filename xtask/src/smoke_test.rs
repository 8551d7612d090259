//! `cargo xtask smoke-test [ENV]`: one machine of each pool comes as for a job, says what a job would find,
//! and is gone; seconds and cents.

use std::fmt::Write as _;
use std::time::Duration;

use clap::ValueEnum;
use lab::http::{HttpError, json};
use provisioner::smoke_test::{Asked, Ends, SmokeTested, Stage, new_id};
use serde_json::json;
use stacks::pool::{CapacityType, Pool};
use stacks::rehearsal::Verdict;

use crate::error::Error;
use crate::output::say;
use crate::target::Target;
use crate::terminal::{OnStderr, Stop};

/// How long a machine may take beyond its pool's boot timeout, in seconds: from its credential to its word.
const LOOK_S: u64 = 120;
/// What EC2 bills at least, in seconds.
const BILLED_MIN_S: f64 = 60.0;

/// How machines are bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Market {
    /// What may be taken back.
    Spot,
    /// At the list price.
    OnDemand,
}

/// Which machines are tried.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// Of this pool only.
    #[arg(long, value_name = "NAME")]
    pub pool: Option<String>,
    /// Bought this way; else as the pool tries it first.
    #[arg(long)]
    pub market: Option<Market>,
}

/// Tries one machine of each pool that is asked for, one after the other.
pub async fn run(target: &Target, which: &Which) -> Result<(), Error> {
    let pools = target.pools(which.pool.as_deref())?;
    let stop = Stop::listen()?;
    let mut failed = 0;
    for pool in &pools {
        let spot = match which.market {
            Some(market) => market == Market::Spot,
            None => pool.capacity != CapacityType::OnDemand,
        };
        let tested = one(target, &asked(pool, spot, Ends::WhenFound), &stop).await?;
        say(&told(target, &tested));
        failed += usize::from(tested.failed.is_some());
    }
    if failed == 0 {
        return Ok(());
    }
    Err(Error::Smoke {
        failed,
        all: pools.len(),
    })
}

/// What is asked for, to try one machine.
pub fn asked(pool: &Pool, spot: bool, ends: Ends) -> Asked {
    let boot_s = u64::from(pool.boot_timeout_minutes) * 60;
    Asked {
        id: new_id(),
        pool: pool.name.clone(),
        spot,
        wait: Duration::from_secs(boot_s + LOOK_S),
        ends,
    }
}

/// Tries one machine. If that is stopped, its machine is ended, and [`Error::Stopped`] says what is left.
pub async fn one(target: &Target, asked: &Asked, stop: &Stop) -> Result<SmokeTested, Error> {
    let progress = OnStderr::default();
    let interrupt = async |instance: &str| match lab_ec2(target) {
        Some(ec2) => interrupt_in_lab(ec2, instance).await,
        None => provisioner::interrupt(&target.deployment, instance, &progress).await,
    };
    let tested = async {
        let tested = provisioner::smoke_test(&target.deployment, asked, &progress, interrupt);
        tested.await.map_err(Error::from)
    };
    match stop.unless(tested).await {
        Err(Error::Stopped(_)) => {
            let left = provisioner::end_smoke_test(&target.deployment, asked, &progress).await?;
            let nothing = || "the machine that was tried, if one came, is told to end".to_owned();
            Err(Error::Stopped(left.unwrap_or_else(nothing)))
        }
        tested => tested,
    }
}

/// The address of the lab's EC2, if that is where the deployment is.
pub fn lab_ec2(target: &Target) -> Option<&str> {
    let ec2 = target.deployment.aws.ec2_endpoint.as_deref();
    ec2.filter(|_| target.lab)
}

/// The lab's EC2 takes a machine back a second after its warning. AWS's own service for that is not there.
async fn interrupt_in_lab(ec2: &str, instance: &str) -> Result<(), provisioner::Error> {
    let url = format!("{ec2}/_lab/instances/{instance}/interrupt");
    let sent = json(http::Method::POST, &url, None, &json!({ "notice_s": 1 })).await;
    let failed = |error: HttpError| provisioner::Error::Experiment(error.to_string());
    sent.map(drop).map_err(failed)
}

/// The markets of `pool`, Spot first.
pub fn markets(pool: &Pool) -> &'static [bool] {
    match pool.capacity {
        CapacityType::Spot => &[true],
        CapacityType::SpotThenOnDemand => &[true, false],
        CapacityType::OnDemand => &[false],
    }
}

/// How a market is called.
pub fn market(spot: bool) -> &'static str {
    if spot { "Spot" } else { "On-Demand" }
}

/// What `seconds` of a machine of this type cost at most, in dollars, as far as its price is known: an hour
/// On-Demand in eu-west-1. A Spot machine costs no more than that.
pub fn dollars(instance_type: &str, seconds: f64) -> Option<f64> {
    let an_hour = lab::on_demand_usd_per_hour(instance_type)?;
    let billed = if seconds > 0.0 {
        seconds.max(BILLED_MIN_S)
    } else {
        0.0
    };
    Some(an_hour * billed / 3600.0)
}

/// What people read of one machine.
fn told(target: &Target, tested: &SmokeTested) -> String {
    let mut text = format!("\npool {}, {}", tested.pool, market(tested.spot));
    if let Some((instance_type, instance)) = &tested.machine {
        let _ = write!(text, ": {instance_type} {instance}");
    }
    for line in lines(tested) {
        let _ = write!(text, "\n  {line}");
    }
    if let Some((stage, why)) = &tested.failed {
        let _ = write!(text, "\n  ✗ {}: {why}", stage.word());
        let instance = tested.machine.as_ref().map(|(_, instance)| instance);
        let hint = hint(target, *stage, instance.map(String::as_str));
        let _ = write!(text, "\n    {hint}");
    }
    text
}

/// What came of it, without a name that is the account's: for people and for the report of `acceptance`.
pub fn lines(tested: &SmokeTested) -> Vec<String> {
    let mut lines = Vec::new();
    if !tested.seconds.is_empty() {
        let seconds = tested.seconds.iter();
        let stages = seconds.map(|(stage, at)| format!("{} {at:.1} s", stage.word()));
        lines.push(stages.collect::<Vec<_>>().join(", "));
    }
    if !tested.marks.is_empty() {
        let marks = tested.marks.iter();
        let marks = marks.map(|mark| format!("{} {:.1} s", mark.word, mark.after_s));
        let marks = marks.collect::<Vec<_>>().join(", ");
        lines.push(format!("after its kernel started: {marks}"));
    }
    if !tested.found.is_empty() {
        let found = tested.found.iter().map(|(name, word)| {
            // Programs say who they are before their version.
            let said = word.strip_prefix(name.as_str()).unwrap_or(word);
            format!("{name} {}", said.trim_start())
        });
        lines.push(format!("found: {}", found.collect::<Vec<_>>().join(", ")));
    }
    if let Some(end) = &tested.end {
        let verdict = match end.call.verdict {
            Verdict::Allowed => "allowed",
            Verdict::Denied => "denied",
            Verdict::Unknown => "unknown",
        };
        let mut line = format!("{}: {verdict}", end.call.action);
        if !end.statements.is_empty() {
            let of = end.statements.join(", ");
            let _ = write!(line, " (statement {of} of the function's role allows it)");
        }
        lines.push(line);
    }
    if let Some((instance_type, _)) = &tested.machine {
        let lived_s = tested.lived_s();
        lines.push(match dollars(instance_type, lived_s) {
            Some(dollars) => format!(
                "{lived_s:.0} s: {:.3} cents at most, without disk and address",
                dollars * 100.0
            ),
            None => format!("{lived_s:.0} s of a type whose price is not known here"),
        });
    }
    lines
}

/// Where to look when `stage` did not come.
fn hint(target: &Target, stage: Stage, instance: Option<&str>) -> String {
    let environment = &target.deployment.environment;
    let names = environment.names();
    let region = &environment.region;
    let log = format!("aws logs tail {} --region {region}", names.log_group);
    let instance = instance.unwrap_or("INSTANCE");
    let console = format!(
        "aws ec2 get-console-output --region {region} --instance-id {instance} --latest --output text"
    );
    match stage {
        Stage::Launched => format!(
            "if it is EC2's refusal, `cargo xtask rehearse {}` and docs/operations.md tell more",
            target.env
        ),
        Stage::Running => format!(
            "aws ec2 describe-instances --region {region} --instance-ids {instance} \
             --query 'Reservations[].Instances[].StateReason'"
        ),
        Stage::Asked => format!(
            "the last words of its boot say where it stopped; no word at all: no route out of its \
             subnet, or no public address: {console}"
        ),
        Stage::Registered => format!(
            "the forge gave no registration: line `runner not registered` in {log}; mostly a token or \
             the pool's scope"
        ),
        Stage::Found => console,
        Stage::Warned => format!(
            "EC2's warning did not reach the function: rule {} and {log}",
            names.interruption_rule
        ),
        Stage::Gone => format!(
            "`cargo xtask down {}` ends everything; else the machine's own limit does: {log}",
            target.env
        ),
        Stage::Forgotten => format!(
            "line `stale registration not deleted` in {log}: mostly a forge-token that may not delete \
             runners"
        ),
    }
}
