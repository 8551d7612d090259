//! What `acceptance` found: one document for programs, one page for people, both without what tells whose
//! account it was.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::redact::Redactor;
use crate::error::Error;

/// How a step came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// As it should.
    Passed,
    /// Not as it should; its lines say how.
    Failed,
    /// It was not tried; its lines say why.
    NotRun,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// What was tried.
    pub name: String,
    /// How it came out.
    pub outcome: Outcome,
    /// How long it took.
    pub seconds: f64,
    /// What it cost at most, in dollars; machines alone.
    pub dollars: f64,
    /// What was seen.
    pub lines: Vec<String>,
}

/// The report.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether no step failed. Steps that were not run are named.
    pub ok: bool,
    /// `aws`, or `lab`: then AWS itself proved nothing.
    pub place: &'static str,
    /// When it began, in UTC.
    pub date: String,
    /// This program's version.
    pub version: &'static str,
    /// The region.
    pub region: String,
    /// The forge's kind.
    pub forge: String,
    /// Pools, as `TYPES, MARKETS, IMAGE`: the image is the stock one or the deployment's own.
    pub pools: Vec<String>,
    /// What all machines together cost at most, in dollars.
    pub dollars: f64,
    /// The steps, in order.
    pub steps: Vec<Step>,
}

impl Report {
    /// Adds a step, and gives what people read of it.
    pub fn add(&mut self, step: Step) -> String {
        self.ok &= step.outcome != Outcome::Failed;
        self.dollars += step.dollars;
        let told = told(&step);
        self.steps.push(step);
        told
    }

    /// The names of the steps with this outcome.
    pub fn named(&self, outcome: Outcome) -> Vec<&str> {
        let steps = self.steps.iter().filter(|step| step.outcome == outcome);
        steps.map(|step| step.name.as_str()).collect()
    }

    /// Writes it to `folder` as `acceptance-TIME.json` and `.md`; the place of both, without the ending. A
    /// second run of a day has another name, and no name tells which environment it was.
    pub fn write(mut self, folder: &Path, redactor: &mut Redactor) -> Result<PathBuf, Error> {
        for step in &mut self.steps {
            for line in &mut step.lines {
                *line = redactor.redact(line);
            }
        }
        let place = folder.join(format!("acceptance-{}", self.date.replace(':', "")));
        let json = serde_json::to_string_pretty(&self).expect("a plain struct");
        for (ending, text) in [("json", format!("{json}\n")), ("md", self.page())] {
            let path = format!("{}.{ending}", place.display());
            std::fs::write(&path, text).map_err(|source| Error::File {
                what: format!("writing {path}"),
                source,
            })?;
        }
        Ok(place)
    }

    /// The page for people.
    fn page(&self) -> String {
        let mut page = format!(
            "# Acceptance of tinqs-ci {} in {}\n\n",
            self.version,
            if self.place == "aws" {
                "an account of AWS"
            } else {
                "the lab, which proves nothing of AWS itself"
            }
        );
        let verdict = if self.ok { "No step failed" } else { "Failed" };
        let _ = writeln!(
            page,
            "{verdict}. {}, {}, forge {}; machines for {:.2} cents at most, without disks and addresses.\n",
            self.date,
            self.region,
            self.forge,
            self.dollars * 100.0
        );
        for pool in &self.pools {
            let _ = writeln!(page, "- pool of {pool}");
        }
        page.push_str("\n| step | outcome | seconds |\n|---|---|---|\n");
        for step in &self.steps {
            let outcome = outcome(step.outcome);
            let _ = writeln!(page, "| {} | {outcome} | {:.1} |", step.name, step.seconds);
        }
        for step in self.steps.iter().filter(|step| !step.lines.is_empty()) {
            let _ = writeln!(page, "\n## {}\n", step.name);
            for line in &step.lines {
                let _ = writeln!(page, "- {line}");
            }
        }
        page
    }
}

const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "**failed**",
        Outcome::NotRun => "not run",
    }
}

fn told(step: &Step) -> String {
    let sign = match step.outcome {
        Outcome::Passed => "✓",
        Outcome::Failed => "✗",
        Outcome::NotRun => "-",
    };
    let mut text = format!("{sign} {} ({:.1} s)", step.name, step.seconds);
    for line in &step.lines {
        let _ = write!(text, "\n    {line}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_written_without_names_and_says_what_failed_and_what_was_not_run() {
        let mut report = Report {
            ok: true,
            place: "aws",
            date: "2026-11-30T05:17:40Z".to_owned(),
            version: "0",
            region: "eu-west-1".to_owned(),
            forge: "gitea".to_owned(),
            pools: vec!["t3.small".to_owned()],
            dollars: 0.0,
            steps: Vec::new(),
        };
        let step = |name: &str, outcome, line: &str| Step {
            name: name.to_owned(),
            outcome,
            seconds: 1.0,
            dollars: 0.001,
            lines: vec![line.to_owned()],
        };
        report.add(step("one", Outcome::Passed, "i-0123456789abcdef0"));
        assert!(report.ok);
        report.add(step("two", Outcome::NotRun, "why"));
        assert!(report.ok);
        report.add(step("three", Outcome::Failed, "in 123456789012"));
        assert!(!report.ok);
        assert_eq!(report.named(Outcome::NotRun), ["two"]);
        let folder = tempfile::tempdir().unwrap();
        let place = report.write(folder.path(), &mut Redactor::default());
        let place = place.unwrap();
        assert!(place.ends_with("acceptance-2026-11-30T051740Z"));
        for ending in ["json", "md"] {
            let path = format!("{}.{ending}", place.display());
            let text = std::fs::read_to_string(path).unwrap();
            assert!(!text.contains("123456789"), "{text}");
            assert!(
                text.contains("i(1)") && text.contains("account(2)"),
                "{text}"
            );
        }
    }
}
