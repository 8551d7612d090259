//! A workflow file as the forge reads it: what of it decides whether and which jobs there are.
//!
//! Gitea 1.26, `actions.GetEventsFromContent`: the file must fit the structs of the runner's library
//! (`model.ReadWorkflow`), have an `on` that can be read, fit the server's own structs
//! (`jobparser.Parse`) and survive being written out job by job. A file that does not is skipped with its
//! reason, alone; on some the server's code panics, and then no file starts anything for the event.
//! Before 1.26, and in Forgejo, the second half happens when the jobs are made, with the same end for the
//! file: no job. But where the code panics then, files before it have started, and those after it are lost. Combinations of the matrix, which can fail as well, are `matrix`'s.

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of what can stand there few things may"
)]
pub mod on;
mod passing;
pub mod requirements;
mod shape;

use std::collections::BTreeMap;

use crate::server::{Capability, Server};
use crate::yaml::{self, By, Decoded, Kind, Node, Refused, Value};
use on::OnEvent;

/// A workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct Workflow {
    /// Its name, empty if it has none.
    pub name: String,
    /// `run-name`, not interpolated.
    pub run_name: String,
    /// What starts it, as it stands there.
    pub on: Node,
    /// What starts it.
    pub events: Vec<OnEvent>,
    /// Its jobs by their ids, in the order of the file.
    pub jobs: Vec<(String, Job)>,
    /// Its `concurrency`.
    pub concurrency: Option<Concurrency>,
    /// Why the forge's code fails when it makes the jobs, if it does. Then there are none here.
    pub crash: Option<Refused>,
}

/// A job, before its matrix is multiplied out.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its name, not interpolated; its id if it has none.
    pub name: String,
    /// Ids of the jobs that it waits for. A `needs` that is neither text nor list is none.
    pub needs: Vec<String>,
    /// `runs-on`.
    pub runs_on: Option<Node>,
    /// `if`, if there is something.
    pub condition: Option<String>,
    /// `strategy`.
    pub strategy: Option<Strategy>,
    /// Whether it has services.
    pub services: bool,
    /// Whether it has a container.
    pub container: bool,
    /// The workflow that it calls, or nothing.
    pub uses: String,
    /// What it calls it with.
    pub with: BTreeMap<String, Value>,
    /// `secrets`, which it gives to that workflow.
    pub secrets: Option<Node>,
    /// `continue-on-error`, which Gitea looks at since 1.27.
    pub continue_on_error: Option<Node>,
    /// Its own `concurrency`.
    pub concurrency: Option<Concurrency>,
    /// Why the forge can't write it out: then there are no jobs of the whole file.
    pub unwritable: Option<Refused>,
    /// The same when a run is made: then there is none.
    pub unstorable: Option<Refused>,
    /// The forge can write it out, but can't read that again.
    pub is_lost: bool,
    /// Its line in the file, from 1.
    pub line: usize,
}

/// A `strategy`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Strategy {
    /// `fail-fast`, as text.
    pub fail_fast: String,
    /// `max-parallel`, as text.
    pub max_parallel: String,
    /// `matrix`.
    pub matrix: Option<Node>,
}

/// A `concurrency`: one text, or a map (Gitea's fork of `act`, `RawConcurrency`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Concurrency {
    /// The text that it is: then the rest is empty.
    pub expression: String,
    /// `group`.
    pub group: String,
    /// `cancel-in-progress`, as text.
    pub cancel_in_progress: String,
}

impl Workflow {
    /// Reads a file of the forge.
    pub fn read(bytes: &[u8], server: Server) -> Result<Self, Refused> {
        let root = yaml::parse(cut(bytes, server))?
            .ok_or_else(|| Refused::new(None, "the file is empty"))?;
        let root = if server.has(Capability::ExpandsAliases) {
            root.expanded()?
        } else {
            root
        };
        let mut workflow = root.decode(&shape::WORKFLOW)?.fields();
        let on = workflow.remove("on").and_then(Decoded::raw);
        let on = on.ok_or_else(|| Refused::new(None, "it has no `on`"))?;
        let events = on::parse(on, server)?;
        let mut single = root.decode(&shape::SINGLE_WORKFLOW)?.fields();
        let known = workflow.remove("jobs").unwrap_or(Decoded::Nothing).fields();
        let jobs = jobs(known, single.remove("jobs").and_then(Decoded::raw), server);
        let (jobs, crash) = match jobs {
            // They are made once the workflow starts.
            Err(crash) if crash.by == By::Panic && !server.has(Capability::ValidatesJobs) => {
                (Vec::new(), Some(crash))
            }
            jobs => (jobs?, None),
        };
        Ok(Self {
            name: text(&mut workflow, "name"),
            run_name: text(&mut single, "run-name"),
            events,
            jobs,
            concurrency: workflow.remove("concurrency").and_then(concurrency),
            on: on.clone(),
            crash,
        })
    }

    /// How many nodes of the file it keeps.
    #[must_use]
    pub fn nodes(&self) -> usize {
        let of_jobs = self.jobs.iter().flat_map(|(_, job)| {
            let matrix = job.strategy.iter().flat_map(|strategy| &strategy.matrix);
            let nodes = job.runs_on.iter().chain(&job.continue_on_error);
            nodes.chain(matrix)
        });
        let nodes = of_jobs.chain([&self.on]).map(Node::count);
        nodes.sum::<usize>() + self.jobs.len()
    }
}

/// Gitea since 1.26 reads the first MiB and takes it for the whole (`GetContentFromEntry`); others read
/// on, and we don't.
fn cut(bytes: &[u8], server: Server) -> &[u8] {
    if server.has(Capability::CutsLargeFiles) {
        &bytes[..bytes.len().min(yaml::BYTES_MAX)]
    } else {
        bytes
    }
}

/// The jobs: their ids and order are those of the file as it is written, and what they are comes from
/// the map that was decoded, in which merges are done and null keys are gone. An id that is only in the
/// first is nil to the server's code, and so is a job that is null: it panics on both.
fn jobs(
    mut known: BTreeMap<String, Decoded<'_>>,
    written: Option<&Node>,
    server: Server,
) -> Result<Vec<(String, Job)>, Refused> {
    if let Some(id) = known
        .iter()
        .find(|(_, job)| **job == Decoded::Nothing)
        .map(|(id, _)| id)
    {
        let reason =
            format!("the job `{id}` is empty; the forge stumbles over it, write it or delete it");
        let line = written.map(|node| node.line);
        return Err(if server.has(Capability::RefusesNullJobs) {
            Refused::new(line, reason)
        } else {
            Refused::crash(line, reason)
        });
    }
    let written = written.ok_or_else(|| Refused::new(None, "it has no `jobs`"))?;
    let Kind::Mapping(pairs) = &written.kind else {
        return Err(Refused::new(
            written.line,
            "`jobs` must be a map, written out",
        ));
    };
    let mut singles = Vec::with_capacity(pairs.len());
    for (key, job) in pairs {
        let Kind::Scalar(id) = &key.kind else {
            return Err(Refused::new(key.line, "the id of a job must be a text"));
        };
        singles.push((&id.text, key.line, job.decode(shape::single_job(server))?));
    }
    if let Some((id, line, _)) = singles.iter().find(|(.., job)| *job == Decoded::Nothing) {
        return Err(nil(id, *line));
    }
    let mut jobs = Vec::with_capacity(singles.len());
    for (id, line, single) in singles {
        let decoded = known.remove(id).ok_or_else(|| nil(id, line))?.fields();
        let single = single.fields();
        let written = |has_needs| passing::check(&single, (line, has_needs), server).err();
        let (unwritable, unstorable) = (written(true), written(false));
        let is_lost = !server.has(Capability::StoresAnyText) && passing::is_lost(&single);
        let read = job(id, line, decoded, single);
        let read = Job {
            unwritable,
            unstorable,
            is_lost,
            ..read
        };
        jobs.push((id.clone(), read));
    }
    Ok(jobs)
}

fn nil(id: &str, line: usize) -> Refused {
    let reason = format!(
        "the forge takes `{id}` for a job that is not there, and stumbles over it; write the jobs out"
    );
    Refused::crash(line, reason)
}

/// A job: all but its name and concurrency comes from the runner's struct, as at the server.
fn job(
    id: &str,
    line: usize,
    mut job: BTreeMap<String, Decoded<'_>>,
    mut single: BTreeMap<String, Decoded<'_>>,
) -> Job {
    let mut raw = |field: &str| job.remove(field).and_then(Decoded::raw);
    let needs = raw("needs").map(needs).unwrap_or_default();
    let runs_on = raw("runs-on").cloned();
    let condition = raw("if").and_then(condition);
    let container = raw("container").is_some_and(|node| {
        let value = node.value().unwrap_or(Value::Null);
        value != Value::Null && value != Value::Map(BTreeMap::new())
    });
    let own = text(&mut single, "name");
    Job {
        name: if own.is_empty() { id.to_owned() } else { own },
        needs,
        runs_on,
        condition,
        strategy: job.remove("strategy").and_then(strategy),
        services: job
            .remove("services")
            .is_some_and(|services| !services.fields().is_empty()),
        container,
        uses: text(&mut job, "uses"),
        with: job
            .remove("with")
            .unwrap_or(Decoded::Nothing)
            .fields()
            .into_iter()
            .map(|(name, value)| (name, value.value()))
            .collect(),
        secrets: single.remove("secrets").and_then(Decoded::raw).cloned(),
        continue_on_error: single
            .remove("continue-on-error")
            .and_then(Decoded::raw)
            .cloned(),
        concurrency: single.remove("concurrency").and_then(concurrency),
        unwritable: None,
        unstorable: None,
        is_lost: false,
        line,
    }
}

/// A text or a list of texts; what can't be decoded is none, and only logged (`OnDecodeNodeError`).
fn needs(node: &Node) -> Vec<String> {
    let needs = match &node.kind {
        Kind::Scalar(_) => node.text().map(|need| vec![need]),
        Kind::Sequence(_) => node.texts(),
        Kind::Mapping(_) | Kind::Alias(_) => return Vec::new(),
    };
    needs.unwrap_or_default()
}

/// The text as it is written: of an alias its name, of a list or map nothing (`If.Value`).
fn condition(node: &Node) -> Option<String> {
    let text = match &node.kind {
        Kind::Scalar(scalar) => scalar.text.as_str(),
        Kind::Alias(_) => node.anchor.as_deref().unwrap_or_default(),
        Kind::Sequence(_) | Kind::Mapping(_) => "",
    };
    (!text.is_empty()).then(|| text.to_owned())
}

fn strategy(decoded: Decoded<'_>) -> Option<Strategy> {
    if decoded == Decoded::Nothing {
        return None;
    }
    let mut fields = decoded.fields();
    Some(Strategy {
        fail_fast: text(&mut fields, "fail-fast"),
        max_parallel: text(&mut fields, "max-parallel"),
        matrix: fields.remove("matrix").and_then(Decoded::raw).cloned(),
    })
}

fn concurrency(decoded: Decoded<'_>) -> Option<Concurrency> {
    match decoded {
        Decoded::Nothing => None,
        Decoded::Plain(_) => Some(Concurrency {
            expression: decoded.text(),
            ..Concurrency::default()
        }),
        Decoded::Raw(_) | Decoded::List(_) | Decoded::Map(_) | Decoded::Keyed(_) => {
            let mut fields = decoded.fields();
            Some(Concurrency {
                expression: text(&mut fields, "-"),
                group: text(&mut fields, "group"),
                cancel_in_progress: text(&mut fields, "cancel-in-progress"),
            })
        }
    }
}

fn text(fields: &mut BTreeMap<String, Decoded<'_>>, field: &str) -> String {
    fields.remove(field).unwrap_or(Decoded::Nothing).text()
}

#[cfg(test)]
mod tests;
