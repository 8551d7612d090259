//! The outcome of everything that was done, for people and for programs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::{Options, StepResult};

/// Files that are shown of one difference.
pub(super) const FILES_MAX: usize = 6;
/// Characters that are shown of one file.
const FILE_MAX_CHARS: usize = 3000;
/// Differences that are shown whole; of the others the first line.
const SHOWN_MAX: usize = 20;

/// What `cargo xtask differential` found.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Whether everything was foretold, and nothing else.
    pub ok: bool,
    seed: u64,
    pushes: usize,
    /// Pushes that were not made: they would have ended the forge's own process.
    withheld: usize,
    /// Operations of other kinds: pull requests, issues, releases… Programs know them by this word.
    #[serde(rename = "deeds")]
    operations: usize,
    /// Other things that the forge refused to do.
    refused: usize,
    /// One for each ref of a push but a deleted branch.
    deliveries: usize,
    runs: usize,
    /// Jobs that were foretold as they are: file, event, ref, commit, name, labels, waiting or not.
    equal_jobs: usize,
    /// Among them, what was not told, and why.
    untold: BTreeMap<String, usize>,
    /// Jobs that no push delivery tells of, and why.
    beyond: BTreeMap<String, usize>,
    differences: Vec<Difference>,
    seconds: f64,
}

/// A push, or something else, that ended otherwise than foretold.
#[derive(Debug, Serialize)]
pub(super) struct Difference {
    pub(super) number: usize,
    /// How to come to it again.
    pub(super) again: String,
    pub(super) repository: String,
    pub(super) did: Vec<String>,
    pub(super) deliveries: Vec<String>,
    /// Refs of which the forge told nothing.
    pub(super) silent: Vec<String>,
    /// What the verdict said.
    pub(super) said: Vec<String>,
    /// Jobs that were foretold, and are not there.
    pub(super) missing: Vec<String>,
    /// Jobs that are there, and were not foretold.
    pub(super) unforeseen: Vec<String>,
    /// The files that they are of.
    pub(super) files: BTreeMap<String, String>,
}

impl Report {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, result: StepResult) {
        let count = match (result.is_operation, result.is_withheld) {
            (false, false) => &mut self.pushes,
            (false, true) => &mut self.withheld,
            (true, false) => &mut self.operations,
            (true, true) => &mut self.refused,
        };
        *count += 1;
        self.deliveries += result.deliveries;
        self.runs += result.runs;
        self.equal_jobs += result.compared.equal;
        for (why, count) in result.compared.untold {
            *self.untold.entry(why).or_default() += count;
        }
        for (why, count) in result.compared.beyond {
            *self.beyond.entry(why).or_default() += count;
        }
        self.differences.extend(result.difference);
    }

    pub(super) fn progress(&self, options: Options) -> String {
        format!(
            "  {:>4} of {} pushes, {} of {} other things, {} jobs as foretold, {} differences",
            self.pushes,
            options.pushes,
            self.operations + self.refused,
            options.events,
            self.equal_jobs,
            self.differences.len()
        )
    }

    pub(super) fn end(&mut self, took: Duration, print: &mut impl FnMut(&str)) {
        self.ok = self.differences.is_empty();
        self.differences.sort_by_key(|difference| difference.number);
        self.seconds = took.as_secs_f64();
        self.tell(print);
    }

    fn tell(&self, print: &mut impl FnMut(&str)) {
        for (at, difference) in self.differences.iter().enumerate() {
            difference.tell(self.seed, at < SHOWN_MAX, print);
        }
        print(&format!(
            "\n  seed {}: {} pushes and {} other things with {} deliveries started {} runs; {} jobs \
             as foretold, {} differences, {:.0} s",
            self.seed,
            self.pushes,
            self.operations,
            self.deliveries,
            self.runs,
            self.equal_jobs,
            self.differences.len(),
            self.seconds
        ));
        if self.withheld > 0 {
            print(&format!(
                "  not pushed, {} times: to a pull request or the default branch, with a file at which the forge's process \
                 ends",
                self.withheld
            ));
        }
        if self.refused > 0 {
            print(&format!(
                "  refused by the forge: {} other things",
                self.refused
            ));
        }
        for (why, count) in &self.untold {
            print(&format!("  not told, {count} jobs: {why}"));
        }
        for (why, count) in &self.beyond {
            print(&format!("  no push's, {count} jobs: {why}"));
        }
    }
}

impl Difference {
    fn tell(&self, seed: u64, whole: bool, print: &mut impl FnMut(&str)) {
        print(&format!(
            "\n== {} {}: {} missing, {} unforeseen, {} silent; again: cargo xtask differential \
             --seed {seed} {}",
            self.repository,
            self.number,
            self.missing.len(),
            self.unforeseen.len(),
            self.silent.len(),
            self.again
        ));
        if !whole {
            return;
        }
        let lists = [
            ("did", &self.did),
            ("told", &self.deliveries),
            ("no delivery", &self.silent),
            ("said", &self.said),
            ("foretold, not queued", &self.missing),
            ("queued, not foretold", &self.unforeseen),
        ];
        for (what, lines) in lists {
            for line in lines {
                print(&format!("  {what}: {line}"));
            }
        }
        for (path, text) in &self.files {
            print(&format!("  -- {path}"));
            let text: String = text.chars().take(FILE_MAX_CHARS).collect();
            for line in text.lines() {
                print(&format!("  | {line}"));
            }
        }
    }
}

/// Each as it is shown.
pub(super) fn strings(all: &[impl ToString]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}
