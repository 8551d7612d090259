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

mod known;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Command;
use std::task::{Context, Poll, Waker};

use git::{LocalClone, Settings};
use serde::Deserialize;
use tempfile::TempDir;
use workflow::evaluation::Run;
use workflow::event::Body;
use workflow::expression::Resolved;
use workflow::jobs::Start;
use workflow::{Event, EventKind, Server, gather};

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
    folder: PathBuf,
    server: Server,
    main: TempDir,
    app: TempDir,
    more: TempDir,
}

impl Site {
    fn of(name: &str, server: Server) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
        let folder = folder.join(name);
        let clone = |bundle: &str| clone_of(&folder.join(bundle));
        Self {
            server,
            main: clone("repo.bundle"),
            app: clone("app.bundle"),
            more: clone("more.bundle"),
            folder,
        }
    }

    fn cases(&self, file: &str) -> Vec<Case> {
        let text = fs::read_to_string(self.folder.join(file)).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// The jobs that the rules give.
    fn evaluated(&self, case: &Case, clone: &Path) -> Vec<Planned> {
        let event = Event {
            kind: EventKind::parse(&case.event).unwrap(),
            body: case.body.clone(),
        };
        // Of a deletion nothing is left to read; its event is told beside it.
        if event.starts_nothing().is_some() {
            return Vec::new();
        }
        let settings = Settings {
            references: Some(&case.refs),
            others: [("acme/app".to_owned(), self.app.path())].into(),
            variables: Some(variables(&case.repo)),
            ..Settings::default()
        };
        let clone = LocalClone::open(clone, settings).unwrap();
        let future = pin!(gather(&clone, &event, self.server));
        let Poll::Ready(facts) = future.poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("a clone answers at once");
        };
        let evaluation = facts.expect(&case.step).evaluate(&event);
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
        let of_large = large.map(|case| (case, self.main.path()));
        let of_small = small.map(|case| (case, self.more.path()));
        let all = of_large.chain(of_small);
        all.flat_map(|(case, clone)| differences(&case, self.evaluated(&case, clone)))
            .collect()
    }
}

/// A bare clone of a bundle.
fn clone_of(bundle: &Path) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let status = Command::new("git")
        .args(["clone", "--quiet", "--mirror"])
        .args([bundle, folder.path()])
        .status()
        .expect("git is installed: the repository that this test is in came by it");
    assert!(status.success(), "{}", bundle.display());
    folder
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
        let id = job.id.clone();
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
                Some(caller) => format!("{caller}/{}", job.job_id),
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
    let rows = |(because, rows): &known::Known| {
        rows.iter()
            .map(move |row| (*because, *row))
            .collect::<Vec<_>>()
    };
    let mut left: Vec<_> = known.iter().flat_map(rows).collect();
    let mut new = Vec::new();
    for difference in site.differences() {
        let known = left.iter_mut().find(|(_, (repo, workflow, side, times))| {
            *times > 0
                && (*repo, *side) == (difference.repo.as_str(), difference.side)
                && difference.workflow == *workflow
        });
        match known {
            Some((_, (.., times))) => *times -= 1,
            None => new.push(format!("{} {}", difference.repo, difference.words)),
        }
    }
    let gone = left.iter().filter(|(_, (.., times))| *times > 0);
    let gone: Vec<String> = gone
        .map(|(because, (repo, workflow, side, times))| {
            format!("{repo} {workflow}: {side:?}, {times} times: {because}")
        })
        .collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "not known:\n{}\nknown, and gone (good: take it off the list):\n{}",
        new.join("\n"),
        gone.join("\n")
    );
}
