//! One job: its steps in order, each decided by its `if`, in the environment that the real runner
//! gives them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::config::Config;
use super::expressions::{fill, holds};
use super::payload::{Job, Step, Task, scalar};
use super::progress::Progress;
use super::step::{Files, Script, run_script};
use crate::forge::Conclusion;

/// What the steps of a job share and change.
struct Context<'a> {
    job: &'a Job,
    progress: &'a Progress,
    cancelled: watch::Receiver<bool>,
    workspace: PathBuf,
    /// What expressions see; `env` and `steps` grow.
    contexts: Value,
    /// Variables of every step, beside the daemon's own environment.
    env: BTreeMap<String, String>,
    files: Files,
    state: Conclusion,
}

pub(super) async fn execute(
    config: &Config,
    runner: &str,
    task: &Task,
    job: &Job,
    progress: &Progress,
    cancelled: watch::Receiver<bool>,
) -> Conclusion {
    let folder = config.work_folder.join(format!("task-{}", task.id));
    let fail = |error: String| {
        progress.log(&format!("##[error]{error}"));
        Conclusion::Failure
    };
    let workspace = folder.join("workspace");
    if let Err(error) = tokio::fs::create_dir_all(&workspace).await {
        return fail(format!("cannot make {}: {error}", workspace.display()));
    }
    let files = Files::new(&folder);
    let mut context = Context {
        contexts: contexts(task, job, runner, &workspace),
        env: environment(task, config, &workspace, &files),
        job,
        progress,
        cancelled,
        workspace,
        files,
        state: Conclusion::Success,
    };
    let timeout = job
        .timeout_minutes
        .filter(|minutes| minutes.is_finite() && *minutes > 0.0)
        .map_or(config.timeout, |minutes| {
            Duration::from_secs_f64(minutes * 60.0)
        })
        .min(config.timeout);
    let outcome = match tokio::time::timeout(timeout, context.run()).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => fail(error),
        Err(_) => fail(format!("the job took longer than {} s", timeout.as_secs())),
    };
    // What a job left there is nobody's; the machine ends anyway.
    let _ = tokio::fs::remove_dir_all(&folder).await;
    outcome
}

impl Context<'_> {
    async fn run(&mut self) -> Result<Conclusion, String> {
        if !self.job.container.is_null() || !self.job.services.is_null() {
            return Err(
                "the stand-in runner has no containers; use a real runner for \
                        `container:` and `services:`"
                    .to_owned(),
            );
        }
        self.state = state_after(&self.contexts["needs"]);
        if !self.holds(self.job.condition.as_ref())? {
            (0..self.job.steps.len())
                .for_each(|at| self.progress.end_step(at, Conclusion::Skipped));
            return Ok(Conclusion::Skipped);
        }
        self.state = Conclusion::Success;
        let env = self.job.env.clone().unwrap_or_default();
        for (key, value) in &env {
            let value = self.fill(&scalar(value))?;
            self.set_env(key, value);
        }
        for (at, step) in self.job.steps.iter().enumerate() {
            if *self.cancelled.borrow() {
                break;
            }
            let failed = self.step(at, step).await;
            if failed == Conclusion::Failure && step.continue_on_error != json!(true) {
                self.state = Conclusion::Failure;
            }
        }
        self.outputs()?;
        Ok(self.state)
    }

    /// Runs one step; what goes wrong around its script is its failure.
    async fn step(&mut self, at: usize, step: &Step) -> Conclusion {
        let outcome = match self.holds(step.condition.as_ref()) {
            Ok(false) => Conclusion::Skipped,
            Ok(true) => {
                self.progress.start_step(at);
                match self.script(at, step).await {
                    Ok(outcome) => outcome,
                    Err(error) => {
                        self.progress.log(&format!("##[error]{error}"));
                        Conclusion::Failure
                    }
                }
            }
            Err(error) => {
                self.progress.log(&format!("##[error]{error}"));
                Conclusion::Failure
            }
        };
        let outputs = self.collect();
        self.progress.end_step(at, outcome);
        if let Some(id) = &step.id {
            let word = outcome.word();
            self.contexts["steps"][id] =
                json!({"outputs": outputs, "outcome": word, "conclusion": word});
        }
        outcome
    }

    async fn script(&mut self, at: usize, step: &Step) -> Result<Conclusion, String> {
        let run = match (&step.run, &step.uses) {
            (Some(run), _) => run,
            (None, Some(uses)) => {
                return Err(format!(
                    "the stand-in runner executes run: steps only, this one uses {uses}; \
                     do it in a run: step, or use a real runner"
                ));
            }
            (None, None) => return Err("a step needs run: or uses:".to_owned()),
        };
        let text = self.fill(run)?;
        let mut env = self.env.clone();
        for (key, value) in &step.env {
            env.insert(key.clone(), self.fill(&scalar(value))?);
        }
        let default = |key: &str| self.job.defaults["run"][key].as_str();
        let folder = step
            .working_directory
            .as_deref()
            .or(default("working-directory"));
        let folder = self.fill(folder.unwrap_or_default())?;
        let title = step
            .name
            .as_deref()
            .unwrap_or(run)
            .lines()
            .next()
            .unwrap_or_default();
        self.progress
            .log(&format!("⭐ Run Main {}", self.fill(title)?));
        let script = Script {
            number: at,
            text: &text,
            shell: step.shell.as_deref().or(default("shell")).unwrap_or("bash"),
            folder: self.workspace.join(folder),
            env: &env,
        };
        let outcome = run_script(&script, &self.files, self.progress, &mut self.cancelled).await?;
        self.progress.log(match outcome {
            Conclusion::Success => "✅ Success",
            Conclusion::Failure | Conclusion::Cancelled | Conclusion::Skipped => "❌ Failure",
        });
        Ok(outcome)
    }

    /// What the step wrote into the files that `GITHUB_ENV` and its kin name.
    fn collect(&mut self) -> BTreeMap<String, String> {
        let (env, path, outputs) = self.files.take();
        for (key, value) in env {
            self.set_env(&key, value);
        }
        if !path.is_empty() {
            let known = self.env.get("PATH").cloned();
            let known = known
                .or_else(|| std::env::var("PATH").ok())
                .unwrap_or_default();
            let newest_first: Vec<String> = path.into_iter().rev().chain([known]).collect();
            self.env.insert("PATH".to_owned(), newest_first.join(":"));
        }
        outputs
    }

    fn set_env(&mut self, key: &str, value: String) {
        self.contexts["env"][key] = json!(value);
        self.env.insert(key.to_owned(), value);
    }

    /// The job's declared outputs, for the jobs that need it.
    fn outputs(&mut self) -> Result<(), String> {
        let outputs = self
            .job
            .outputs
            .iter()
            .map(|(key, value)| Ok((key.clone(), self.fill(value)?)))
            .collect::<Result<_, String>>()?;
        self.progress.set_outputs(outputs);
        Ok(())
    }

    fn fill(&self, text: &str) -> Result<String, String> {
        fill(text, &self.contexts, self.state)
    }

    fn holds(&self, text: Option<&Value>) -> Result<bool, String> {
        let text = text.map(scalar).unwrap_or_default();
        holds(&text, &self.contexts, self.state)
    }
}

/// What the job's own `if` asks about: how those ended that it needs.
fn state_after(needs: &Value) -> Conclusion {
    let any = |result: &str| {
        let needs = needs.as_object();
        needs.is_some_and(|needs| needs.values().any(|need| need["result"] == result))
    };
    if any("cancelled") {
        Conclusion::Cancelled
    } else if any("failure") {
        Conclusion::Failure
    } else if any("skipped") {
        Conclusion::Skipped
    } else {
        Conclusion::Success
    }
}

fn contexts(task: &Task, job: &Job, runner: &str, workspace: &std::path::Path) -> Value {
    let mut github = task.context.clone();
    github["workspace"] = json!(workspace);
    json!({
        "github": github,
        "gitea": github,
        "matrix": job.matrix(),
        "needs": task.needs(),
        "secrets": task.secrets,
        "vars": {},
        "env": {},
        "steps": {},
        "runner": {"name": runner, "os": std::env::consts::OS, "arch": arch()},
    })
}

/// The word of Go, which the real runner uses.
fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn environment(
    task: &Task,
    config: &Config,
    workspace: &std::path::Path,
    files: &Files,
) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    for name in ["CI", "GITHUB_ACTIONS", "GITEA_ACTIONS"] {
        env.insert(name.to_owned(), "true".to_owned());
    }
    env.insert("RUNNER_OS".to_owned(), std::env::consts::OS.to_owned());
    env.insert("RUNNER_ARCH".to_owned(), arch().to_owned());
    // As runner 1.0.8 does, whatever its configuration says.
    let tools = config.work_folder.join("tool_cache").display().to_string();
    env.insert("RUNNER_TOOL_CACHE".to_owned(), tools);
    for key in [
        "actor",
        "api_url",
        "event_name",
        "job",
        "ref",
        "ref_name",
        "ref_type",
        "repository",
        "repository_owner",
        "run_attempt",
        "run_id",
        "run_number",
        "server_url",
        "sha",
        "workflow",
    ] {
        let value = scalar(&task.context[key]);
        env.insert(format!("GITHUB_{}", key.to_uppercase()), value);
    }
    let workspace = workspace.to_string_lossy().into_owned();
    env.insert("GITHUB_WORKSPACE".to_owned(), workspace);
    for (name, file) in files.variables() {
        env.insert(name.to_owned(), file);
    }
    // The forge's own names for the same.
    let aliases: Vec<(String, String)> = env
        .iter()
        .filter_map(|(name, value)| {
            let rest = name.strip_prefix("GITHUB_")?;
            Some((format!("GITEA_{rest}"), value.clone()))
        })
        .collect();
    env.extend(aliases);
    env
}
