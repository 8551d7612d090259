//! What is printed when all is done: what each step took, beside what it may take.

use std::time::Duration;

use super::run::Ended;
use super::steps::{BUDGET_S, BUILD_S, Step};
use crate::output::say;

/// How many times slower than the budget's machine another one may be, before that itself is a failure.
const SLOWEST: f64 = 2.0;

/// Every step that ran.
pub struct Summary {
    /// Whether the budget of the whole command holds for it.
    is_whole: bool,
    rows: Vec<Row>,
}

struct Row {
    name: &'static str,
    took: Duration,
    budget: Duration,
    ended: Ended,
}

impl Summary {
    /// Of a run that begins. What cargo compiled for it is its first row.
    pub fn new(is_whole: bool) -> Self {
        let build = Row {
            name: "build",
            took: since_start().unwrap_or_default(),
            budget: Duration::from_secs(BUILD_S),
            ended: Ended::Passed,
        };
        let rows = if is_whole { vec![build] } else { Vec::new() };
        Self { is_whole, rows }
    }

    /// One step more.
    pub fn add(&mut self, step: &Step, took: Duration, ended: Ended) {
        self.rows.push(Row {
            name: step.name,
            took,
            budget: Duration::from_secs(step.budget_s),
            ended,
        });
    }

    /// Whether the whole command took longer than it may.
    pub fn is_over_budget(&self) -> bool {
        self.is_whole && self.sum() > self.budget()
    }

    /// What the whole command may take here. A machine that compiles for longer than its share is slower in
    /// all that follows, and by as much (the same build took from 4 to 10 minutes on machines of one kind).
    fn budget(&self) -> Duration {
        let build = self.rows.first().map_or(0.0, |row| row.took.as_secs_f64());
        let slower = (build / Duration::from_secs(BUILD_S).as_secs_f64()).clamp(1.0, SLOWEST);
        Duration::from_secs(BUDGET_S).mul_f64(slower)
    }

    fn sum(&self) -> Duration {
        self.rows.iter().map(|row| row.took).sum()
    }

    /// Prints all of it.
    pub fn print(&self, prepared: &[(String, Duration)], notes: &[String]) {
        say("\n== summary");
        for row in &self.rows {
            say(&row.line());
        }
        for (what, took) in prepared {
            let took = minutes(*took);
            say(&format!("prepared once, not counted: {what}, {took}"));
        }
        for note in notes {
            say(&format!("NOTE: {note}"));
        }
        for row in &self.rows {
            if let Ended::Skipped(why) = &row.ended {
                say(&format!("SKIPPED: {}: {why}", row.name));
            }
        }
        let budget = self.budget();
        let sum = minutes(self.sum());
        let of = match (self.is_whole, self.is_over_budget()) {
            (false, _) => String::new(),
            (true, false) => format!(" of {}", minutes(budget)),
            (true, true) => format!(
                ", OVER the budget of {}: speed a step up, or move it to --long",
                minutes(budget)
            ),
        };
        say(&format!("all: {sum}{of}"));
        let count = |is: fn(&Ended) -> bool| self.rows.iter().filter(|row| is(&row.ended)).count();
        say(&format!(
            "steps: {} passed, {} failed, {} skipped",
            count(|ended| *ended == Ended::Passed),
            count(|ended| *ended == Ended::Failed),
            count(|ended| matches!(ended, Ended::Skipped(_))),
        ));
    }
}

impl Row {
    fn line(&self) -> String {
        let over = match &self.ended {
            Ended::Failed => "  FAILED",
            Ended::Skipped(_) => "  SKIPPED",
            Ended::Passed if self.took > self.budget => "  over its share",
            Ended::Passed => "",
        };
        let (took, budget) = (minutes(self.took), minutes(self.budget));
        format!("{:>18}  {took:>5} of {budget:>5}{over}", self.name)
    }
}

/// How long this process has been there. `cargo run` becomes the program that it has built, so that
/// what it took to build counts.
fn since_start() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    // Ticks of a hundredth of a second, the twentieth field after the program's name.
    let started: f64 = stat
        .rsplit(')')
        .next()?
        .split_whitespace()
        .nth(19)?
        .parse()
        .ok()?;
    let now: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(now - started / 100.0).ok()
}

fn minutes(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::steps::STEPS;

    fn run_of(took_s: u64, is_whole: bool) -> Summary {
        let mut summary = Summary::new(is_whole);
        summary.add(&STEPS[0], Duration::from_secs(took_s), Ended::Passed);
        summary
    }

    #[test]
    fn a_whole_run_over_the_budget_fails_and_parts_of_it_do_not() {
        assert!(run_of(BUDGET_S + 1, true).is_over_budget());
        assert!(!run_of(BUDGET_S / 2, true).is_over_budget());
        assert!(!run_of(BUDGET_S + 1, false).is_over_budget());
    }

    #[test]
    fn a_machine_that_is_slow_at_the_build_has_as_much_more_time_and_no_machine_for_ever() {
        let budget_after = |build_s: u64| {
            let mut summary = run_of(1, true);
            summary.rows[0].took = Duration::from_secs(build_s);
            summary.budget().as_secs()
        };
        assert_eq!(budget_after(0), BUDGET_S);
        assert_eq!(budget_after(BUILD_S), BUDGET_S);
        assert_eq!(budget_after(BUILD_S * 3 / 2), BUDGET_S * 3 / 2);
        assert_eq!(budget_after(BUILD_S * 9), BUDGET_S * 2);
    }

    #[test]
    fn a_process_knows_how_long_it_has_been_there() {
        let age = since_start().unwrap();
        assert!(age < Duration::from_hours(1), "{age:?}");
    }
}
