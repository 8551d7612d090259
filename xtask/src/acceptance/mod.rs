//! `cargo xtask acceptance [ENV]`: everything that only a real account can prove, in order and within a bound
//! of money; and a report of it that can be shown to anybody.

mod denied;
mod in_lab;
mod machines;
mod names;
mod redact;
mod report;

use std::path::PathBuf;
use std::time::Instant;

use provisioner::environment::Image;
use provisioner::smoke_test::Ends;
use provisioner::teardown::Kind;
use stacks::pool::Pool;
use stacks::rehearsal::Verdict;

use self::machines::hour;
use self::report::{Outcome, Report, Step};
use crate::error::Error;
use crate::output::say;
use crate::smoke_test::{market, markets};
use crate::target::Target;
use crate::terminal::{OnStderr, Stop, consent};
use crate::{down, rehearse, up};

/// What is asked for.
#[derive(Debug, clap::Args)]
pub struct Asked {
    /// What all machines together may cost, in dollars: none is launched that might exceed it.
    #[arg(long, value_name = "N", value_parser = dollars)]
    pub max_dollars: f64,
    /// What an hour of the dearest type costs, in dollars, where it is not known here.
    #[arg(long, value_name = "N", value_parser = dollars)]
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

/// A bound that is none, such as `nan`, would never be exceeded.
fn dollars(text: &str) -> Result<f64, String> {
    let amount = text.parse().ok();
    let amount = amount.filter(|amount: &f64| amount.is_finite() && *amount > 0.0);
    amount.ok_or_else(|| "a number of dollars above 0 is needed".to_owned())
}

/// What every step rests on.
#[derive(Debug, Clone, Copy)]
struct Trial<'a> {
    target: &'a Target,
    asked: &'a Asked,
    pools: &'a [Pool],
    stop: &'a Stop,
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

/// Runs every step and writes the report. The steps after one that failed are run all the same; after Ctrl-C
/// what this command has deployed is still ended, and the report written.
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
    let found = provisioner::survey(&target.deployment).await?;
    // The function is made last: without it a deployment is half made, perhaps by a run that was killed.
    let is_whole = found.of(Kind::Function).next().is_some();
    let is_new = found.of(Kind::Stack).next().is_none();
    let ends = asked.down || is_new;
    consent(&question(target, asked, &pools, is_whole, ends), asked.yes)?;
    let mut redactor = names::redactor(target).await?;
    let mut report = report(target);
    let stop = Stop::listen()?;
    let trial = Trial {
        target,
        asked,
        pools: &pools,
        stop: &stop,
    };
    if is_whole || trial.deployed(&mut report).await? {
        // What is deployed has an address, which is to be known too.
        redactor = names::redactor(target).await.unwrap_or(redactor);
        in_lab::make_organizations(target, &pools).await;
        trial.steps(&mut report).await;
    }
    if ends {
        let begun = Instant::now();
        let ended = down::run(target, true).await;
        let nothing = || Seen::of(true, vec!["nothing is left".to_owned()]);
        let ended = ended.map_or_else(Seen::from, |()| nothing());
        add(&mut report, "down", begun, ended);
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
    if stop.is_asked() {
        return Err(Error::Stopped(
            "what was not tried is named above".to_owned(),
        ));
    }
    if failed == 0 {
        return Ok(());
    }
    Err(Error::Acceptance(failed))
}

fn question(target: &Target, asked: &Asked, pools: &[Pool], is_whole: bool, ends: bool) -> String {
    let machines: usize = pools.iter().map(|pool| markets(pool).len()).sum();
    format!(
        "Try {} in {}: {}{} machines one after the other for at most {} dollars{}?",
        target.deployment.environment.name,
        target.deployment.environment.region,
        if is_whole { "" } else { "deploy it, then " },
        machines + 2,
        asked.max_dollars,
        if ends { ", and end the deployment" } else { "" },
    )
}

impl Trial<'_> {
    /// Deploys it, or the rest of it. Half a deployment is nothing to go on with, and is ended if it is to be
    /// ended anyway. An error if somebody refused.
    async fn deployed(self, report: &mut Report) -> Result<bool, Error> {
        let begun = Instant::now();
        let upped = self.stop.unless(up::run(self.target, self.asked.yes));
        let seen = match upped.await {
            // The steps tell the two again.
            Ok(_) | Err(Error::Denied(_) | Error::NoAnswer(_)) => Seen::of(true, Vec::new()),
            Err(Error::Refused) => return Err(Error::Refused),
            Err(error) => error.into(),
        };
        let is_made = seen.outcome == Outcome::Passed;
        add(report, "deployed", begun, seen);
        Ok(is_made)
    }

    /// The steps on what is deployed.
    async fn steps(self, report: &mut Report) {
        let Self {
            target,
            pools,
            stop,
            ..
        } = self;
        let rehearsal = async |_: f64| {
            let rehearsed = stop.unless(async { Ok(rehearsal(target).await) });
            rehearsed.await.unwrap_or_else(Seen::from)
        };
        self.step(report, "rehearsal", rehearsal).await;
        let probe = async |_: f64| {
            let probed = stop.unless(rehearse::probe(target)).await;
            let answered = || Seen::of(true, vec!["answered as the forge's would be".to_owned()]);
            probed.map_or_else(Seen::from, |()| answered())
        };
        self.step(report, "signed delivery", probe).await;
        let denied = async |_: f64| {
            let denied = stop.unless(denied::requests(target)).await;
            denied.map_or_else(Seen::from, |(all, lines)| Seen::of(all, lines))
        };
        self.step(report, "denied requests", denied).await;
        for pool in pools {
            for &spot in markets(pool) {
                let name = format!("machine of pool {}, {}", number(pools, pool), market(spot));
                let machine =
                    async |spent: f64| self.machine(spent, pool, spot, Ends::WhenFound).await;
                self.step(report, &name, machine).await;
            }
        }
        let name = "interruption of a Spot machine";
        let interruption = async |spent: f64| self.interruption(spent).await;
        self.step(report, name, interruption).await;
        if target.lab {
            let why = "only AWS has it; the interruption above was made by the lab's EC2";
            let name = "AWS's Fault Injection Service";
            add(report, name, Instant::now(), Seen::not_run(why));
        }
        let sweep = async |spent: f64| self.sweep(spent).await;
        self.step(report, "sweep", sweep).await;
    }

    /// One step, which is told what was spent before it. After Ctrl-C it is only named.
    async fn step(self, report: &mut Report, name: &str, work: impl AsyncFnOnce(f64) -> Seen) {
        let begun = Instant::now();
        let seen = if self.stop.is_asked() {
            Seen::not_run("the command was stopped before it")
        } else {
            work(report.dollars).await
        };
        add(report, name, begun, seen);
    }
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
            Image::Stock(_) => "stock image",
            Image::Ami(_) | Image::Parameter(_) | Image::Built { .. } => "own image",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_of_money_is_a_number_above_0() {
        assert_eq!(dollars("0.5"), Ok(0.5));
        for text in ["nan", "inf", "-1", "0", "", "one"] {
            assert!(dollars(text).is_err(), "{text}");
        }
    }
}
