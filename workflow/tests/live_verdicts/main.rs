//! What real servers queued, event by event, against what the rules say: every job by its workflow, its
//! event, its name, its labels, what it needs and whether it waits. `tests/cases/*/README.md` tell how the
//! servers were asked.
//!
//! Where the rules differ, [`known`] says so with the reason. A difference that is not there fails, and so
//! does one that is gone.
//!
//! A job of which the rules say that it can't be known yet agrees with any that the server made of it:
//! the forge is asked for it then.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod clone;
mod known;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;

use serde::Deserialize;
use workflow::evaluation::{Question, Run, evaluate};
use workflow::event::{Body, Event, EventKind};
use workflow::expression::Resolved;
use workflow::jobs::Start;
use workflow::server::Server;
use workflow::trigger::Changed;

use crate::clone::{At, Clone, cases};

/// One event and what the server made of it.
#[derive(Deserialize)]
struct Case {
    n: u32,
    step: String,
    event: String,
    /// The repository, where it is not the large one.
    #[serde(default)]
    repo: String,
    /// What its branches and tags led to once the step was done.
    #[serde(default)]
    refs: BTreeMap<String, String>,
    /// Which branch of the bundle is its `main`, if it is not the large one.
    #[serde(default)]
    bundle_ref: String,
    body: Body,
    expected: Vec<Expected>,
}

/// A job of the server.
#[derive(Deserialize)]
struct Expected {
    workflow: String,
    trigger: String,
    job: String,
    job_id: String,
    runs_on: Vec<String>,
    needs: Vec<String>,
    status: String,
    /// It failed before it could run: it is there to show the error.
    error: Option<serde_json::Value>,
    /// It calls a workflow, and needs no runner.
    #[serde(default)]
    caller: bool,
    called_by: Option<String>,
}

/// A job that a runner is needed for, now or later.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Job {
    workflow: String,
    trigger: String,
    id: String,
    name: String,
    labels: Vec<String>,
    needs: Vec<String>,
    waits: bool,
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            workflow,
            trigger,
            id,
            name,
            labels,
            needs,
            waits,
        } = self;
        let waits = if *waits { "waits" } else { "blocked" };
        write!(
            f,
            "{workflow} {trigger}: {id} {name:?} on {labels:?} after {needs:?} {waits}"
        )
    }
}

/// A server, its repositories and what it was told.
struct Site {
    name: &'static str,
    server: Server,
    main: Clone,
    app: Clone,
    more: Clone,
}

impl Site {
    fn of(name: &'static str, server: Server) -> Self {
        let folder = cases().join(name);
        let clone = |bundle: &str| Clone::of(&folder.join(bundle));
        Self {
            name,
            server,
            main: clone("repo.bundle"),
            app: clone("app.bundle"),
            more: clone("more.bundle"),
        }
    }

    fn cases(&self, file: &str) -> Vec<Case> {
        let text = fs::read_to_string(cases().join(self.name).join(file)).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// The jobs that the rules give.
    fn evaluated(&self, case: &Case, clone: &Clone) -> Vec<Planned> {
        let event = EventKind::parse(&case.event).unwrap();
        let body = case.body.clone();
        let event = Event { kind: event, body };
        let at = At {
            clone,
            refs: &case.refs,
        };
        let Some(sha) = at.commit(&event.reads().at) else {
            // A deletion; its event is told beside it.
            assert!(event.starts_nothing().is_some(), "{}", case.step);
            return Vec::new();
        };
        let files = clone.workflows(&sha, &self.app, self.server);
        let base = event.body.pull_request.as_ref().map(|pull| {
            let base = at.commit(&pull.base.git_ref).unwrap();
            clone.workflows(&base, &self.app, self.server)
        });
        let changed = match event.compared_with(self.server) {
            _ if !files.asks_for_paths(event.kind) => Changed::NotFetched,
            Some(before) => {
                let before = at.commit(before).unwrap_or_else(|| before.to_owned());
                clone.changed(&before, &sha)
            }
            None => Changed::Unknown("the delivery does not tell".to_owned()),
        };
        let variables = variables(&case.repo);
        let evaluation = evaluate(&Question {
            server: self.server,
            event: &event,
            sha: &sha,
            message: &clone.message(&sha),
            files: &files,
            base: base.as_ref(),
            changed: &changed,
            variables: Some(&variables),
            disabled: &BTreeSet::new(),
        });
        let runs = evaluation.runs();
        runs.flat_map(|(workflow, run)| planned(workflow, run))
            .collect()
    }

    /// Where rules and server differ.
    fn differences(&self) -> Vec<Difference> {
        let large = self.cases("events.json").into_iter();
        let small = self.cases("more-events.json").into_iter().map(|mut case| {
            case.refs = [("refs/heads/main".to_owned(), case.bundle_ref.clone())].into();
            case
        });
        let of_large = large.map(|case| (case, &self.main));
        let of_small = small.map(|case| (case, &self.more));
        let all = of_large.chain(of_small);
        all.flat_map(|(case, clone)| differences(&case, self.evaluated(&case, clone)))
            .collect()
    }
}

/// What the READMEs say of the variables.
fn variables(repo: &str) -> BTreeMap<String, String> {
    let told: &[(&str, &str)] = match repo {
        "" | "trig" => &[
            ("LABEL", "from-vars"),
            ("LIST", r#"["x","y"]"#),
            ("SPACE", " "),
        ],
        "mini" => &[("LABEL", "from-vars"), ("LIST", r#"["x","y"]"#)],
        _ => &[],
    };
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    told.iter().map(owned).collect()
}

/// A job of ours.
enum Planned {
    Known(Job),
    /// One that can't be known yet: workflow, event and id.
    Unknown([String; 3]),
}

fn planned(workflow: &str, run: &Run) -> Vec<Planned> {
    let jobs = run.jobs.iter().map(|planned| {
        let job = &planned.job;
        // A called job is told by its caller, as Forgejo writes it.
        let id = job.id.replace('/', ".");
        match (&job.name, &job.labels, &job.incomplete_matrix) {
            (Resolved::Known(name), Resolved::Known(labels), None) => Planned::Known(Job {
                workflow: workflow.to_owned(),
                trigger: run.event.clone(),
                id,
                name: name.clone(),
                labels: labels.clone(),
                needs: job.needs.clone(),
                waits: planned.start == Start::Waiting,
            }),
            (_, _, _) => Planned::Unknown([workflow.to_owned(), run.event.clone(), id]),
        }
    });
    jobs.collect()
}

/// The jobs that the server made and needs a runner for.
fn queued(case: &Case) -> Vec<Job> {
    let calls = |caller: &Expected, job: &Expected| {
        let below = format!("{}.", caller.job_id);
        job.workflow == caller.workflow && job.job_id.starts_with(&below)
    };
    // Of those that call workflows, Gitea says that they do; Forgejo's need what they call.
    let is_caller =
        |job: &Expected| job.caller || case.expected.iter().any(|other| calls(job, other));
    let needs_runner = |job: &&Expected| job.error.is_none() && !is_caller(job);
    case.expected
        .iter()
        .filter(needs_runner)
        .map(|job| Job {
            workflow: job.workflow.clone(),
            trigger: job.trigger.clone(),
            id: match &job.called_by {
                Some(caller) => format!("{caller}.{}", job.job_id),
                None => job.job_id.clone(),
            },
            name: job.job.clone(),
            labels: job.runs_on.clone(),
            needs: job.needs.clone(),
            waits: job.status == "waiting",
        })
        .collect()
}

/// One job that the server made and the rules don't know of, or the other way round.
#[derive(Debug)]
struct Difference {
    repo: String,
    workflow: String,
    side: Side,
    /// For whoever reads a failure.
    words: String,
}

/// Who has the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    /// The server alone: it would wait for ever.
    Missed,
    /// The rules alone: a machine would wait for it.
    Foreign,
    /// The rules alone, which leave it to the forge.
    Unknown,
}

fn differences(case: &Case, ours: Vec<Planned>) -> Vec<Difference> {
    let mut missed = queued(case);
    let mut differences = Vec::new();
    let mut unknown = Vec::new();
    let mut add = |side, workflow: &str, job: String| {
        differences.push(Difference {
            repo: case.repo.clone(),
            workflow: workflow.to_owned(),
            side,
            words: format!("{} {:?}: {side:?} {job}", case.n, case.step),
        });
    };
    for planned in ours {
        match planned {
            Planned::Known(job) => match missed.iter().position(|other| *other == job) {
                Some(at) => drop(missed.remove(at)),
                None => add(Side::Foreign, &job.workflow, job.to_string()),
            },
            Planned::Unknown(job) => unknown.push(job),
        }
    }
    for [workflow, trigger, id] in unknown {
        let before = missed.len();
        missed.retain(|job| (&job.workflow, &job.trigger, &job.id) != (&workflow, &trigger, &id));
        if missed.len() == before {
            add(
                Side::Unknown,
                &workflow,
                format!("{workflow} {trigger}: {id}"),
            );
        }
    }
    for job in missed {
        add(Side::Missed, &job.workflow, job.to_string());
    }
    differences
}

#[test]
fn the_rules_say_what_a_real_forgejo_queued() {
    let site = Site::of("forgejo-15.0.3", Server::forgejo(15, 0, 3));
    check(&site, known::FORGEJO_15);
}

#[test]
fn the_rules_say_what_a_real_gitea_queued() {
    let site = Site::of("gitea-1.27.3", Server::gitea(1, 27, 3));
    check(&site, known::GITEA_1_27);
}

/// The differences are those that are known, each as often as it is known.
fn check(site: &Site, known: &[known::Known]) {
    let mut left: Vec<usize> = known.iter().map(|known| known.times).collect();
    let mut new = Vec::new();
    for difference in site.differences() {
        let is_it = |known: &known::Known| {
            known.repo == difference.repo
                && known.side == difference.side
                && (known.workflow == difference.workflow || known.workflow == known::ANY)
        };
        let at = known.iter().position(is_it).filter(|at| left[*at] > 0);
        match at {
            Some(at) => left[at] -= 1,
            None => new.push(format!("{} {}", difference.repo, difference.words)),
        }
    }
    let gone: Vec<String> = known
        .iter()
        .zip(left)
        .filter(|(_, left)| *left > 0)
        .map(|(known, left)| {
            let known::Known {
                repo,
                workflow,
                side,
                because,
                ..
            } = known;
            format!("{repo} {workflow}: {side:?}, {left} times: {because}")
        })
        .collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "not known:\n{}\nknown, and gone (good: take it off the list):\n{}",
        new.join("\n"),
        gone.join("\n")
    );
}
