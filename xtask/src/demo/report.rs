//! What the demo found, as one object for programs and one summary for people.

use std::fmt::Write as _;

use serde::Serialize;

use super::story::{ANNOUNCED, GONE, JobStory, MARKS, PUSHED, STARTED};

/// The demo's verdict.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether every promise held and nothing is left.
    pub ok: bool,
    /// How many things are left, counted at AWS, forge, processes, mounts and namespaces.
    pub left: u64,
    /// What is left, by kind; only what is not zero.
    pub leftovers: Vec<String>,
    /// How long it took.
    pub seconds: f64,
    /// What all machines together cost, in dollars, at the lab's Spot prices.
    pub cost_usd: f64,
    /// Every job.
    pub jobs: Vec<JobReport>,
    /// Every promise.
    pub promises: Vec<Promise>,
}

/// One job's line.
#[derive(Debug, Serialize)]
pub struct JobReport {
    /// Its name.
    pub name: String,
    /// How it was meant to end.
    pub expected: String,
    /// How it ended.
    pub result: String,
    /// From announced to started.
    pub queued_to_started_s: Option<f64>,
    /// The machine that ran it.
    pub instance: Option<String>,
    /// What that machine cost, in dollars, at the lab's prices.
    pub cost_usd: f64,
    /// Whether that machine is gone.
    pub instance_gone: bool,
    /// Seconds after the push, by mark.
    pub marks_s: std::collections::BTreeMap<&'static str, f64>,
}

/// One promise.
#[derive(Debug, Serialize)]
pub struct Promise {
    /// What was promised.
    pub name: &'static str,
    /// Whether it held.
    pub held: bool,
    /// What was seen.
    pub seen: String,
}

impl JobReport {
    /// The line of `story`, which was meant to end as `expected`.
    #[must_use]
    pub fn of(story: &JobStory, expected: &str) -> Self {
        let marks_s = (0..MARKS.len())
            .filter_map(|mark| Some((MARKS[mark], story.seconds(PUSHED, mark)?)))
            .collect();
        Self {
            name: story.name.clone(),
            expected: expected.to_owned(),
            result: story
                .conclusion
                .clone()
                .unwrap_or_else(|| "none".to_owned()),
            queued_to_started_s: story.seconds(ANNOUNCED, STARTED),
            instance: story.machine.clone(),
            cost_usd: story.cost_usd,
            // A job that the forge skipped had no machine, so none is left of it.
            instance_gone: story.machine.is_none() || story.marks.contains_key(&GONE),
            marks_s,
        }
    }
}

/// The summary that people read.
#[must_use]
pub fn summary(report: &Report) -> String {
    let mut text = String::new();
    let names = report.jobs.iter().map(|job| job.name.chars().count());
    let wide = names.max().unwrap_or(0).max(4);
    let _ = write!(text, "\n  {:wide$}  {:9}", "job", "result");
    for mark in MARKS {
        let _ = write!(text, " {mark:>10}");
    }
    let _ = writeln!(text, " {:>9}", "price");
    for job in &report.jobs {
        let _ = write!(text, "  {:wide$}  {:9}", job.name, job.result);
        for mark in MARKS {
            let at = job.marks_s.get(mark).map(|at| format!("{at:.1}s"));
            let _ = write!(text, " {:>10}", at.as_deref().unwrap_or("-"));
        }
        let _ = writeln!(text, " {:>9}", format!("${:.5}", job.cost_usd));
    }
    text.push('\n');
    for promise in &report.promises {
        let sign = if promise.held { "✓" } else { "✗" };
        let _ = writeln!(text, "  {sign} {:<46} {}", promise.name, promise.seen);
    }
    let verdict = if report.ok { "all held" } else { "BROKEN" };
    let _ = write!(
        text,
        "\n  {verdict} · {} jobs · {} left · {:.0} s · ${:.4} of machine time",
        report.jobs.len(),
        report.left,
        report.seconds,
        report.cost_usd,
    );
    for leftover in &report.leftovers {
        let _ = write!(text, "\n  left: {leftover}");
    }
    text
}
