//! The steps, and what each may take.

use super::run::StepFn;
use super::{
    ami_steps, boot_suite, code, docker_jobs, image_lives, judges, lab_steps, templates, tools,
};

/// What the whole test command may take from nothing, in seconds: what a reviewer waits for with
/// patience. Seconds of a step are those of two cores with an empty `target/`.
pub const BUDGET_S: u64 = 47 * 60;
/// Of these, what `cargo xtask` compiles before the first step.
pub const BUILD_S: u64 = 420;

/// When a step runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Always but for `--long`, and alone with `--quick`.
    Quick,
    /// With the whole test command.
    Normal,
    /// With `--long`.
    Long,
}

/// One step.
pub struct Step {
    /// What it is called, on the command line too.
    pub name: &'static str,
    /// What it looks at.
    pub says: &'static str,
    /// When it runs.
    pub when: When,
    /// What it may take, from nothing.
    pub budget_s: u64,
    /// What it does.
    pub run: StepFn,
}

/// Every step, those that fail fastest first.
#[rustfmt::skip]
pub const STEPS: &[Step] = &[
    Step { name: "format", says: "rustfmt", when: When::Quick, budget_s: 5, run: code::format },
    Step { name: "tidy", says: "the rules of the house", when: When::Quick, budget_s: 10, run: code::tidy },
    Step { name: "one-build", says: "cargo's commands share one build", when: When::Quick, budget_s: 2, run: code::one_build },
    Step { name: "typos", says: "spelling", when: When::Normal, budget_s: 2, run: tools::typos },
    Step { name: "machete", says: "dependencies that nobody uses", when: When::Normal, budget_s: 2, run: tools::machete },
    Step { name: "deny", says: "licences, sources and known holes of dependencies", when: When::Normal, budget_s: 15, run: tools::deny },
    Step { name: "shellcheck", says: "the rendered boot files and images' scripts", when: When::Normal, budget_s: 10, run: templates::shellcheck },
    Step { name: "cfn-lint", says: "the rendered templates", when: When::Normal, budget_s: 14, run: templates::cfn_lint },
    Step { name: "policies", says: "the rendered policies and templates once more, by parliament and checkov", when: When::Normal, budget_s: 20, run: judges::policies },
    Step { name: "clippy", says: "clippy", when: When::Quick, budget_s: 175, run: code::clippy },
    Step { name: "unit", says: "unit and table tests", when: When::Quick, budget_s: 100, run: code::unit },
    Step { name: "doctest", says: "examples in the docs", when: When::Quick, budget_s: 15, run: code::doctest },
    Step { name: "doc", says: "the docs", when: When::Normal, budget_s: 30, run: code::doc },
    Step { name: "conformance", says: "the trigger rules against recorded cases and verdicts", when: When::Normal, budget_s: 10, run: lab_steps::conformance },
    Step { name: "simulate", says: "the dispatcher in a world of faults: 1,000 schedules", when: When::Normal, budget_s: 150, run: code::simulate },
    Step { name: "ami-steps", says: "the images' steps, run twice on a booted Debian, and what tries the images", when: When::Normal, budget_s: 60, run: ami_steps::run },
    Step { name: "lab-tests", says: "the whole path in the lab", when: When::Normal, budget_s: 450, run: lab_steps::tests },
    Step { name: "boot-suite", says: "the boot file on real systemd: Debian 12 and 13, each booted twelve times", when: When::Normal, budget_s: 150, run: boot_suite::run },
    Step { name: "image-lives", says: "every image in the lab: built, tried, put forward, run on, put back, run on", when: When::Normal, budget_s: 100, run: image_lives::run },
    Step { name: "demo", says: "what a newcomer runs", when: When::Normal, budget_s: 40, run: lab_steps::demo },
    Step { name: "acceptance", says: "what a real account is tried with, in the lab", when: When::Normal, budget_s: 50, run: lab_steps::acceptance },
    Step { name: "requests", says: "what these sent to AWS, by AWS's own models and signer", when: When::Normal, budget_s: 40, run: judges::requests },
    Step { name: "rights", says: "the same, by the policies of who sent it; live, with each statement taken out", when: When::Normal, budget_s: 70, run: judges::rights },
    Step { name: "gitea", says: "a real Gitea, built once", when: When::Normal, budget_s: 5, run: lab_steps::gitea },
    Step { name: "gitea-tests", says: "the lab's tests on it", when: When::Normal, budget_s: 460, run: lab_steps::tests_on_gitea },
    Step { name: "gitea-demo", says: "the demo on it", when: When::Normal, budget_s: 20, run: lab_steps::demo_on_gitea },
    Step { name: "gitea-soak", says: "what makes trouble, one run of each kind", when: When::Normal, budget_s: 100, run: lab_steps::soak_on_gitea },
    Step { name: "docker-jobs", says: "jobs with services and containers, in machines with a real Docker", when: When::Normal, budget_s: 90, run: docker_jobs::run },
    Step { name: "differential", says: "what it queues, foretold: 60 pushes and events", when: When::Normal, budget_s: 145, run: lab_steps::differential },
    Step { name: "judge", says: "Gitea's own rules, built once, beside ours: 2,000 cases for each version", when: When::Normal, budget_s: 60, run: lab_steps::judge },
    Step { name: "gitea-acceptance", says: "what a real account is tried with, on it", when: When::Long, budget_s: 90, run: lab_steps::acceptance_on_gitea },
    Step { name: "properties", says: "a hundred times the cases of what always holds", when: When::Long, budget_s: 1800, run: code::properties },
    Step { name: "older-gitea", says: "a Gitea of the line before, built once", when: When::Long, budget_s: 5, run: lab_steps::older_gitea },
    Step { name: "older-gitea-tests", says: "the lab's tests on it", when: When::Long, budget_s: 260, run: lab_steps::tests_on_older_gitea },
    Step { name: "older-gitea-demo", says: "the demo on it", when: When::Long, budget_s: 20, run: lab_steps::demo_on_older_gitea },
    Step { name: "update", says: "the older one becomes the newer while jobs wait and run", when: When::Long, budget_s: 240, run: lab_steps::update },
    Step { name: "long-soak", says: "what makes trouble, 50 runs of it on each Gitea", when: When::Long, budget_s: 1200, run: lab_steps::long_soak },
    Step { name: "long-differential", says: "what each Gitea queues, foretold: 300 pushes and events", when: When::Long, budget_s: 1800, run: lab_steps::long_differential },
    Step { name: "long-simulate", says: "100,000 schedules", when: When::Long, budget_s: 3000, run: code::long_simulate },
    Step { name: "prove", says: "each promise broken on purpose, and found", when: When::Long, budget_s: 900, run: code::prove },
    Step { name: "long-judge", says: "the same with 50,000 cases", when: When::Long, budget_s: 900, run: lab_steps::long_judge },
];

/// One line a step.
pub fn list() -> Vec<String> {
    let line = |step: &Step| {
        let when = match step.when {
            When::Quick => "quick",
            When::Normal => "normal",
            When::Long => "long",
        };
        format!(
            "{:<18} {when:<7} {:>5} s  {}",
            step.name, step.budget_s, step.says
        )
    };
    STEPS.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_steps_of_a_whole_run_fit_into_the_budget() {
        let steps = STEPS.iter().filter(|step| step.when != When::Long);
        let sum: u64 = steps.map(|step| step.budget_s).sum();
        assert_eq!(sum + BUILD_S, BUDGET_S);
    }

    #[test]
    fn a_name_means_one_step() {
        let names: HashSet<&str> = STEPS.iter().map(|step| step.name).collect();
        assert_eq!(names.len(), STEPS.len());
    }
}
