//! `cargo xtask acceptance [ENV]`: everything that only a real account can prove, in order and within a bound
//! of money; and a report of it that can be shown to anybody.

mod denied;
mod in_lab;
mod names;
mod redact;
mod report;

use std::path::PathBuf;
use std::time::Instant;

use provisioner::environment::Image;
use provisioner::smoke_test::Ends;
use stacks::pool::Pool;
use stacks::rehearsal::Verdict;

use self::report::{Outcome, Report, Step};
use crate::error::Error;
use crate::output::say;
use crate::smoke_test::{self, dollars, market, markets};
use crate::target::Target;
use crate::terminal::{OnStderr, consent};
use crate::{down, rehearse, up};

/// How many times the price in eu-west-1 a machine may cost elsewhere, for the bound.
const MARGIN: f64 = 2.0;
/// Longest that a machine lives beyond its pool's boot timeout, in seconds: its look, and EC2's time to end it.
const BEYOND_BOOT_S: f64 = 420.0;
/// The limit of the machine that is swept, in minutes: the least that there is.
const SWEPT_MINUTES: u32 = 1;
/// What is asked for.
#[derive(Debug, clap::Args)]
pub struct Asked {
    /// What all machines together may cost, in dollars: none is launched that might exceed it.
    #[arg(long, value_name = "N")]
    pub max_dollars: f64,
    /// What an hour of the dearest type costs, in dollars, where it is not known here.
    #[arg(long, value_name = "N")]
    pub usd_per_hour: Option<f64>,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
    /// End the deployment afterwards. One that this command made is ended anyway.
    #[arg(long)]
    pub down: bool,
    /// Folder for the report.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,
}

/// What came of one step.
struct Seen {
    outcome: Outcome,
    lines: Vec<String>,
    dollars: f64,
}

impl Seen {
    fn of(holds: bool, lines: Vec<String>) -> Self {
        Self {
            outcome: if holds {
                Outcome::Passed
            } else {
                Outcome::Failed
            },
            lines,
            dollars: 0.0,
        }
    }

    fn not_run(why: &str) -> Self {
        Self {
            outcome: Outcome::NotRun,
            lines: vec![why.to_owned()],
            dollars: 0.0,
        }
    }
}

/// An error is what came of it, and no reason to stop.
impl From<Error> for Seen {
    fn from(error: Error) -> Self {
        let hint = error.hint().into_iter();
        Self::of(false, [error.to_string()].into_iter().chain(hint).collect())
    }
}

/// Runs every step and writes the report. The steps after one that failed are run all the same.
pub async fn run(target: &Target, asked: &Asked) -> Result<(), Error> {
    let pools = target.pools(None)?;
    if let Some(unknown) = pools.iter().find(|pool| hour(pool, asked).is_none()) {
        return Err(Error::UnknownPrice(unknown.instance_types.join(", ")));
    }
    // A report that can't be written is told before anything is spent.
    std::fs::create_dir_all(&asked.out).map_err(|source| Error::File {
        what: format!("making the report's folder {}", asked.out.display()),
        source,
    })?;
    let is_made = target.is_deployed().await?;
    let ends = asked.down || !is_made;
    let machines: usize = pools.iter().map(|pool| markets(pool).len()).sum();
    let question = format!(
        "Try {} in {}: {}{} machines one after the other for at most {} dollars{}?",
        target.deployment.environment.name,
        target.deployment.environment.region,
        if is_made { "" } else { "deploy it, then " },
        machines + 2,
        asked.max_dollars,
        if ends { ", and end the deployment" } else { "" },
    );
    consent(&question, asked.yes)?;
    let mut redactor = names::redactor(target).await?;
    let mut report = report(target);
    if !is_made {
        let begun = Instant::now();
        let upped = match up::run(target, asked.yes).await {
            // The steps below tell them again.
            Ok(_) | Err(Error::Denied(_) | Error::NoAnswer(_)) => Ok(()),
            Err(error) => Err(error),
        };
        // Half a deployment is nothing to go on with.
        upped?;
        add(&mut report, "deployed", begun, Seen::of(true, Vec::new()));
        redactor = names::redactor(target).await?;
    }
    in_lab::make_organizations(target, &pools).await;
    steps(target, asked, &pools, &mut report).await;
    if ends {
        let begun = Instant::now();
        let ended = down::run(target, true).await;
        let nothing = || Seen::of(true, vec!["nothing is left".to_owned()]);
        add(
            &mut report,
            "down",
            begun,
            ended.map_or_else(Seen::from, |()| nothing()),
        );
    }
    let failed = report.named(Outcome::Failed).len();
    let not_run = report.named(Outcome::NotRun).join("; ");
    let place = report.write(&asked.out, &mut redactor)?;
    let place = place.display();
    say(&format!(
        "\nThe report is {place}.md, and {place}.json for programs."
    ));
    if !not_run.is_empty() {
        say(&format!("Not run: {not_run}."));
    }
    say(
        "docs/limits.md says how to send it. Look through it first: no name of yours should be in it.",
    );
    if failed == 0 {
        return Ok(());
    }
    Err(Error::Acceptance(failed))
}

/// The steps on what is deployed.
async fn steps(target: &Target, asked: &Asked, pools: &[Pool], report: &mut Report) {
    let begun = Instant::now();
    add(report, "rehearsal", begun, rehearsal(target).await);
    let begun = Instant::now();
    let probed = rehearse::probe(target).await;
    let answered = || Seen::of(true, vec!["answered as the forge's would be".to_owned()]);
    add(
        report,
        "signed delivery",
        begun,
        probed.map_or_else(Seen::from, |()| answered()),
    );
    let begun = Instant::now();
    let denied = denied::requests(target).await;
    let denied = denied.map_or_else(Seen::from, |(all, lines)| Seen::of(all, lines));
    add(report, "denied requests", begun, denied);
    for pool in pools {
        for &spot in markets(pool) {
            let begun = Instant::now();
            let seen = machine(target, asked, report, (pool, spot), Ends::WhenFound).await;
            let name = format!("machine of pool {}, {}", number(pools, pool), market(spot));
            add(report, &name, begun, seen);
        }
    }
    let begun = Instant::now();
    let seen = interruption(target, asked, report, pools).await;
    add(report, "interruption of a Spot machine", begun, seen);
    if target.lab {
        let why = "only AWS has it; the interruption above was made by the lab's EC2";
        let name = "AWS's Fault Injection Service";
        add(report, name, Instant::now(), Seen::not_run(why));
    }
    let begun = Instant::now();
    let seen = sweep(target, asked, report, pools).await;
    add(report, "sweep", begun, seen);
}

/// Every call that the function makes, tried by itself.
async fn rehearsal(target: &Target) -> Seen {
    let rehearsed = provisioner::rehearse(&target.deployment, &OnStderr::default()).await;
    let rehearsed = match rehearsed {
        Ok(rehearsed) => rehearsed,
        Err(error) => return Error::from(error).into(),
    };
    let is_denied = rehearsed
        .iter()
        .any(|one| one.call.verdict == Verdict::Denied);
    let told = rehearsed.iter().map(|one| {
        let verdict = match one.call.verdict {
            Verdict::Allowed => "allowed",
            Verdict::Denied => "denied",
            Verdict::Unknown => "unknown",
        };
        let statements = one.statements.join(", ");
        format!(
            "{} ({}): {verdict} {} {statements}",
            one.call.action, one.call.what, one.call.words
        )
        .trim_end()
        .to_owned()
    });
    Seen::of(!is_denied, told.collect())
}

/// One machine, if the bound has room for it.
async fn machine(
    target: &Target,
    asked: &Asked,
    report: &Report,
    (pool, spot): (&Pool, bool),
    ends: Ends,
) -> Seen {
    let most_s = f64::from(pool.boot_timeout_minutes) * 60.0 + BEYOND_BOOT_S;
    let most = hour(pool, asked).unwrap_or(f64::MAX) * MARGIN * most_s / 3600.0;
    if report.dollars + most > asked.max_dollars {
        let spent = report.dollars;
        return Seen::not_run(&format!(
            "it might have cost {most:.4} dollars beside {spent:.4}, more than --max-dollars {}",
            asked.max_dollars
        ));
    }
    match smoke_test::one(target, pool, spot, ends).await {
        Err(error) => error.into(),
        Ok(tested) => {
            let mut lines = smoke_test::lines(&tested);
            if let Some((stage, why)) = &tested.failed {
                lines.push(format!("{} failed: {why}", stage.word()));
            }
            let lived_s = tested.lived_s();
            let price = tested.machine.as_ref().map(|(kind, _)| {
                let known = dollars(kind, lived_s);
                known.unwrap_or_else(|| asked.usd_per_hour.unwrap_or_default() * lived_s / 3600.0)
            });
            Seen {
                dollars: price.unwrap_or_default() * MARGIN,
                ..Seen::of(tested.failed.is_none(), lines)
            }
        }
    }
}

/// EC2 takes a Spot machine back.
async fn interruption(target: &Target, asked: &Asked, report: &Report, pools: &[Pool]) -> Seen {
    let Some(pool) = pools.iter().find(|pool| markets(pool)[0]) else {
        return Seen::not_run("no pool buys Spot machines");
    };
    machine(target, asked, report, (pool, true), Ends::ByInterruption).await
}

/// A machine whose limit is a minute is ended by the sweep.
async fn sweep(target: &Target, asked: &Asked, report: &Report, pools: &[Pool]) -> Seen {
    let cheapest = pools.iter().min_by(|one, other| {
        let hour = |pool| hour(pool, asked).unwrap_or(f64::MAX);
        hour(one).total_cmp(&hour(other))
    });
    let Some(pool) = cheapest else {
        return Seen::not_run("there is no pool");
    };
    if let Err(error) = in_lab::age(target, in_lab::AGE_S).await {
        return error.into();
    }
    let ends = Ends::BySweep(SWEPT_MINUTES);
    let mut seen = machine(target, asked, report, (pool, markets(pool)[0]), ends).await;
    if let Err(error) = in_lab::age(target, 0).await {
        return error.into();
    }
    if target.lab && seen.outcome != Outcome::NotRun {
        let age_s = in_lab::AGE_S;
        let line = format!("in the lab the machine said that it was {age_s} s old when it came");
        seen.lines.push(line);
    }
    seen
}

fn add(report: &mut Report, name: &str, begun: Instant, seen: Seen) {
    let told = report.add(Step {
        name: name.to_owned(),
        outcome: seen.outcome,
        seconds: begun.elapsed().as_secs_f64(),
        dollars: seen.dollars,
        lines: seen.lines,
    });
    say(&told);
}

/// What an hour of the pool's dearest type costs, in dollars, if that is known.
fn hour(pool: &Pool, asked: &Asked) -> Option<f64> {
    let mut types = pool.instance_types.iter();
    types.try_fold(0.0_f64, |dearest, name| {
        let own = lab::on_demand_usd_per_hour(name).or(asked.usd_per_hour)?;
        Some(dearest.max(own))
    })
}

/// What a pool is called in a report: names may tell.
fn number(pools: &[Pool], pool: &Pool) -> usize {
    let at = pools.iter().position(|one| one.name == pool.name);
    at.map_or(0, |at| at + 1)
}

fn report(target: &Target) -> Report {
    let environment = &target.deployment.environment;
    let pools = environment.pools.iter().map(|pool| {
        let types = pool.document.instance_types.join(", ");
        let markets = markets(&pool.document).iter().map(|spot| market(*spot));
        let markets = markets.collect::<Vec<_>>().join(" then ");
        let image = match pool.image {
            Image::StockAl2023 => "stock image",
            Image::Ami(_) | Image::Parameter(_) => "own image",
        };
        format!("{types}, {markets}, {image}")
    });
    Report {
        ok: true,
        place: if target.lab { "lab" } else { "aws" },
        date: jiff::Timestamp::now()
            .strftime("%Y-%m-%dT%H:%M:%SZ")
            .to_string(),
        version: env!("CARGO_PKG_VERSION"),
        region: environment.region.clone(),
        forge: format!("{:?}", environment.forge.kind),
        pools: pools.collect(),
        dollars: 0.0,
        steps: Vec::new(),
    }
}
