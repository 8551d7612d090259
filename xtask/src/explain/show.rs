//! A verdict in words and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use dispatcher::config::no_pool::why_no_pool;
use dispatcher::model::job::{AttemptNumbers, Job, JobKey, JobSource};
use serde_json::{Value, json};
use stacks::pool::Pool;
use workflow::evaluation::{Evaluation, EventEvaluation, PlannedJob, Run, WorkflowEvaluation};
use workflow::expression::Resolved;
use workflow::jobs::Start;
use workflow::jobs::concurrency::{Effect, Group};
use workflow::trigger::Outcome;
use workflow::yaml::By;
use workflow::{Event, Facts};
use workflow::{ForgeKind, Server};

/// What is told.
pub struct Told<'a> {
    event: &'a Event,
    facts: &'a Facts,
    pools: &'a [Pool],
    verdict: Evaluation,
}

/// Where a job would go.
enum Home<'a> {
    /// To this pool.
    Pool(&'a Pool),
    /// To none, and why.
    None(String),
    /// Nobody knows before the forge tells of it.
    Unknown(&'a str),
}

impl<'a> Told<'a> {
    /// What is told of `event`.
    pub fn of(event: &'a Event, facts: &'a Facts, pools: &'a [Pool]) -> Self {
        Self {
            verdict: facts.evaluate(event),
            event,
            facts,
            pools,
        }
    }

    fn home<'b>(&'b self, job: &'b PlannedJob) -> Home<'b> {
        let labels = match (&job.job.labels, &job.job.incomplete_matrix) {
            (_, Some(because)) | (Resolved::Unknown(because), None) => {
                return Home::Unknown(because);
            }
            (Resolved::Known(labels), None) => labels,
        };
        let job = self.as_job(job, labels);
        match self
            .pools
            .iter()
            .find(|pool| pool.serves(&job.key.repository, labels))
        {
            Some(pool) => Home::Pool(pool),
            None => Home::None(why_no_pool(self.pools, &job)),
        }
    }

    fn as_job(&self, job: &PlannedJob, labels: &[String]) -> Job {
        Job {
            key: JobKey::expected(&self.event.body.repository.full_name, 0),
            run_id: 0,
            name: name_of(job).to_owned(),
            labels: labels.to_vec(),
            head_sha: self.facts.sha.clone(),
            html_url: String::new(),
            created_ms: None,
            source: JobSource::Expectation,
            numbers: AttemptNumbers::FromZero,
        }
    }

    /// How many machines of each pool would be launched at once.
    fn launches(&self) -> BTreeMap<&str, usize> {
        let mut launches = BTreeMap::new();
        let jobs = self.verdict.runs().flat_map(|(_, run)| &run.jobs);
        for job in jobs.filter(|job| job.waits_for_runner()) {
            if let Home::Pool(pool) = self.home(job) {
                *launches.entry(pool.name.as_str()).or_default() += 1;
            }
        }
        launches
    }

    /// What a person should know before they wonder.
    fn warnings(&self, job: &PlannedJob) -> Vec<String> {
        let mut warnings = Vec::new();
        if let (Resolved::Known(labels), Home::Pool(pool)) = (&job.job.labels, self.home(job)) {
            let on_host = pool.runs_on_host(labels);
            if on_host && job.job.services && !job.job.container {
                warnings.push(format!(
                    "services: are not started on the host labels of pool {}, and the job goes on \
                     without them: use a docker:// label, or give the job a container:",
                    pool.name
                ));
            } else if on_host && job.job.container {
                warnings.push(format!(
                    "container: needs Docker on the machines of pool {}: without it the job fails \
                     at once",
                    pool.name
                ));
            }
        }
        if job.start == Start::AfterApproval {
            warnings.push(
                "a pull request from another repository: the forge holds its jobs until somebody \
                 approves, unless its author may write here or was approved before"
                    .to_owned(),
            );
        }
        warnings
    }

    /// In words.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let body = &self.event.body;
        let reads = self.event.reads();
        let _ = writeln!(
            text,
            "{} in {}, {} at {}, as {} decides",
            self.event.kind.word(),
            body.repository.full_name,
            reads.git_ref,
            short(&self.facts.sha),
            server_words(self.facts.server),
        );
        match &self.facts.files.folder {
            Some(folder) => {
                let _ = writeln!(
                    text,
                    "{folder}: {} workflow files",
                    self.facts.files.files.len()
                );
            }
            None => text.push_str("no folder of workflows\n"),
        }
        if let Some(why) = &self.verdict.nothing {
            let _ = writeln!(text, "\nnothing starts: {why}");
            return text;
        }
        for workflow in &self.verdict.workflows {
            self.write_workflow(&mut text, workflow);
        }
        self.write_sum(&mut text);
        text
    }

    fn write_workflow(&self, text: &mut String, workflow: &WorkflowEvaluation) {
        let _ = writeln!(text, "\n{}", workflow.path);
        if let Some(refused) = &workflow.refused {
            let _ = match refused.by {
                By::Forge | By::Panic => {
                    writeln!(text, "  the forge skips this file: {refused}")
                }
                By::Limit => writeln!(text, "  not followed: {refused}"),
            };
        }
        let others: Vec<&str> = workflow
            .events
            .iter()
            .filter(|event| event.judgement.outcome == Outcome::NotApplicable)
            .map(|event| event.on.as_str())
            .collect();
        for event in &workflow.events {
            if event.judgement.outcome != Outcome::NotApplicable {
                self.write_event(text, event);
            }
        }
        if !others.is_empty() {
            let _ = writeln!(text, "  on {}: not this event", others.join(", "));
        }
    }

    fn write_event(&self, text: &mut String, event: &EventEvaluation) {
        let outcome = match (event.judgement.outcome, &event.run) {
            (Outcome::Matched, Some(Ok(_))) => "starts",
            (Outcome::Matched, Some(Err(refused))) if refused.by == By::Limit => {
                "matches, but is not followed"
            }
            (Outcome::Matched, _) => "matches, but the forge makes no run of it",
            (Outcome::FilteredOut, _) => "does not start",
            (Outcome::NotApplicable, _) => "is not this event",
            (Outcome::Crashes, _) => "makes the forge's own code fail",
            (Outcome::Unknown, _) => "can't be told",
        };
        let _ = writeln!(text, "  on {}: {outcome}", event.on);
        for step in &event.judgement.steps {
            let sign = match step.holds {
                Some(true) => "✓",
                Some(false) => "✗",
                None => "?",
            };
            let _ = writeln!(text, "    {sign} {}: {}", step.rule, step.why);
        }
        match &event.run {
            Some(Ok(run)) => self.write_run(text, run),
            Some(Err(refused)) => {
                let _ = writeln!(text, "    ✗ {refused}");
            }
            None => {}
        }
    }

    fn write_run(&self, text: &mut String, run: &Run) {
        if let Some(words) = group_words(&run.group) {
            let _ = writeln!(text, "    {words}");
        }
        let wide = run
            .jobs
            .iter()
            .map(|job| name_of(job).chars().count())
            .max()
            .unwrap_or_default();
        for job in &run.jobs {
            let labels = match &job.job.labels {
                Resolved::Known(labels) => format!("[{}]", labels.join(", ")),
                Resolved::Unknown(_) => "[?]".to_owned(),
            };
            let _ = writeln!(
                text,
                "    {:wide$}  {labels}  {}  →  {}",
                name_of(job),
                start_words(job),
                self.home(job).in_words(),
            );
            for warning in self.warnings(job) {
                let _ = writeln!(text, "    {:wide$}  ! {warning}", "");
            }
        }
    }

    fn write_sum(&self, text: &mut String) {
        let launches = self.launches();
        let count: usize = launches.values().sum();
        let by_pool: Vec<String> = launches
            .iter()
            .map(|(pool, some)| format!("{some} of pool {pool}"))
            .collect();
        let _ = match count {
            0 => writeln!(text, "\nwould launch nothing now"),
            _ => writeln!(text, "\nwould launch now: {}", by_pool.join(", ")),
        };
        if self.verdict.is_uncertain() {
            text.push_str(
                "what can't be told from here starts when the forge tells of it (it is asked)\n",
            );
        }
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        let reads = self.event.reads();
        let workflows: Vec<Value> = self
            .verdict
            .workflows
            .iter()
            .map(|workflow| {
                let events = workflow.events.iter().map(|event| self.event_json(event));
                json!({
                    "path": workflow.path,
                    "skipped": workflow.refused.as_ref().map(ToString::to_string),
                    "events": events.collect::<Vec<_>>(),
                })
            })
            .collect();
        json!({
            "event": self.event.kind.word(),
            "repository": self.event.body.repository.full_name,
            "ref": reads.git_ref,
            "sha": self.facts.sha,
            "server": server_words(self.facts.server),
            "folder": self.facts.files.folder,
            "nothing": self.verdict.nothing,
            "uncertain": self.verdict.is_uncertain(),
            "workflows": workflows,
            "launches": self.launches(),
        })
    }

    fn event_json(&self, event: &EventEvaluation) -> Value {
        let steps = event
            .judgement
            .steps
            .iter()
            .map(|step| json!({ "rule": step.rule, "holds": step.holds, "why": step.why }));
        let (jobs, refused, group) = match &event.run {
            Some(Ok(run)) => {
                let jobs: Vec<Value> = run.jobs.iter().map(|job| self.job_json(job)).collect();
                let group = group_words(&run.group);
                (Some(jobs), None, group)
            }
            Some(Err(refused)) => (None, Some(refused.to_string()), None),
            None => (None, None, None),
        };
        json!({
            "on": event.on,
            "outcome": event.judgement.outcome.word(),
            "rules": steps.collect::<Vec<_>>(),
            "refused": refused,
            "concurrency": group,
            "jobs": jobs,
        })
    }

    fn job_json(&self, job: &PlannedJob) -> Value {
        let (labels, unknown) = match &job.job.labels {
            Resolved::Known(labels) => (Some(labels), None),
            Resolved::Unknown(because) => (None, Some(because)),
        };
        let (pool, unserved) = match self.home(job) {
            Home::Pool(pool) => (Some(pool.name.clone()), None),
            Home::None(why) => (None, Some(why)),
            Home::Unknown(_) => (None, None),
        };
        json!({
            "id": job.job.id,
            "name": name_of(job),
            "labels": labels,
            "labels_unknown": unknown,
            "needs": job.job.needs,
            "starts": job.waits_for_runner(),
            "waits": (!job.waits_for_runner()).then(|| start_words(job)),
            "pool": pool,
            "unserved": unserved,
            "warnings": self.warnings(job),
        })
    }
}

impl Home<'_> {
    fn in_words(&self) -> String {
        match self {
            Self::Pool(pool) => format!("pool {}", pool.name),
            Self::None(why) => format!("refused: {why}"),
            Self::Unknown(because) => format!("not known yet: {because}"),
        }
    }
}

/// The job's name; what stands in the file for it where it can't be known.
fn name_of(job: &PlannedJob) -> &str {
    match &job.job.name {
        Resolved::Known(name) => name,
        Resolved::Unknown(_) => &job.job.id,
    }
}

fn group_words(group: &Resolved<Option<Group>>) -> Option<String> {
    let group = match group {
        Resolved::Known(group) => group.as_ref()?,
        Resolved::Unknown(because) => {
            return Some(format!("of a group that can't be known: {because}"));
        }
    };
    let effect = match group.effect {
        Effect::WaitsForRunning => "waits while another of it runs, and cancels those that wait",
        Effect::CancelsOthers => "cancels the others of it",
        Effect::WaitsForAll => "waits until all earlier ones of it have ended",
    };
    Some(format!("of group {:?}: {effect}", group.name))
}

fn start_words(job: &PlannedJob) -> String {
    match job.start {
        Start::Waiting => "starts at once".to_owned(),
        Start::AfterNeeds => format!("waits for {}", job.job.needs.join(", ")),
        Start::AfterApproval => "waits for an approval".to_owned(),
    }
}

fn server_words(server: Server) -> String {
    let name = match server.kind {
        ForgeKind::Gitea => "Gitea",
        ForgeKind::Forgejo => "Forgejo",
    };
    format!("{name} {}.{}", server.version.major, server.version.minor)
}

fn short(sha: &str) -> &str {
    sha.get(..10).unwrap_or(sha)
}
