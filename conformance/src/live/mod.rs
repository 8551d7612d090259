//! `cargo xtask differential`: random pushes to a real Gitea, and other things that people do there.
//! What it queues is what the dispatcher foretells from their deliveries alone.

mod clone;
mod compare;
mod events;
pub(crate) mod generator;
mod predict;
mod receiver;
mod report;
mod site;
mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lab::ForgeProgram;
use lab::http::HttpError;
use lab::real_forge::StandaloneForge;
use serde_json::Value;
use tokio::sync::RwLock;
use tokio::task::JoinSet;
use workflow::Server;

use self::clone::Clone;
use self::compare::{Aside, Compared, compare, without_beyond};
use self::events::Events;
use self::generator::{DEFAULT, Generator, NOTHING, Push, Switch};
use self::predict::predict;
use self::receiver::{Received, Receiver};
use self::site::{Read, Site};
use self::stream::Mark;

use self::report::{Difference, strings};

pub use self::report::Report;

/// Repositories that are pushed to at the same time: what the forge and git do for a push keeps one
/// core busy half of the time.
const WORLDS: usize = 3;
/// Longest wait for the deliveries and jobs of a push; a second is usual.
const TOLD_LIMIT: Duration = Duration::from_secs(30);
/// Wait after a push on which Gitea's own code panics: no delivery may come of it.
const SILENCE: Duration = Duration::from_secs(5);
/// Time between two lines of progress.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// How much is done, and with which seed.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How many pushes; each moves one to four refs.
    pub pushes: usize,
    /// How many other things are done, in a repository of their own: pull requests, issues, releases…
    pub events: usize,
    /// Seed of the random numbers: the same seed makes the same pushes and operations.
    pub seed: u64,
    /// Leave the forge up afterwards, until Ctrl-C.
    pub keep: bool,
}

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The real forge.
    #[error(transparent)]
    Gitea(#[from] lab::Error),
    /// Its API.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Its API, which said something else than expected.
    #[error("the forge's API answered in an unknown form: {0}")]
    Answer(String),
    /// git.
    #[error("git {command} failed: {words}")]
    Git {
        /// Which of its commands.
        command: String,
        /// What it said.
        words: String,
    },
    /// What is in a clone.
    #[error(transparent)]
    Clone(#[from] git::BadClone),
    /// A file or a port.
    #[error("a file or port of the test can't be used")]
    Io(#[from] std::io::Error),
    /// Somebody pressed Ctrl-C.
    #[error("stopped")]
    Stopped,
}

/// Pushes, foretells and compares; cleans up whatever happens. `print` gets lines for people.
pub async fn run(
    options: Options,
    program: &ForgeProgram,
    mut print: impl FnMut(&str),
) -> Result<Report, Error> {
    let folder = tempfile::tempdir()?;
    let gitea = StandaloneForge::start(program, folder.path(), &mut print).await?;
    let played = tokio::select! {
        played = play(options, &gitea, folder.path(), &mut print) => played,
        _ = tokio::signal::ctrl_c() => Err(Error::Stopped),
    };
    if options.keep {
        print(&format!(
            "Gitea stays at {} (its log: {}; clones: {}) until Ctrl-C",
            gitea.url(),
            gitea.log().display(),
            folder.path().display()
        ));
        let _ = tokio::signal::ctrl_c().await;
    }
    played
}

async fn play(
    options: Options,
    gitea: &StandaloneForge,
    folder: &Path,
    print: &mut impl FnMut(&str),
) -> Result<Report, Error> {
    let start = Instant::now();
    let receiver = Receiver::start().await?;
    let site = Site::new(gitea.url(), gitea.user(), gitea.token());
    let mut worlds = JoinSet::new();
    let turns: Arc<RwLock<()>> = Arc::default();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    for number in 0..WORLDS {
        let mut world = World::new(number, options.seed, &site, &receiver, gitea, folder).await?;
        world.turns = Arc::clone(&turns);
        let tell = tell.clone();
        worlds.spawn(async move { world.play(options.pushes, &tell).await });
    }
    if options.events > 0 {
        let events = Events::new(options.seed, &site, &receiver, gitea, &turns).await?;
        let tell = tell.clone();
        worlds.spawn(async move { events.play(options.events, &tell).await });
    }
    drop(tell);
    let mut report = Report::new(options.seed);
    let mut said = Instant::now();
    while let Some(result) = told.recv().await {
        report.add(result);
        if said.elapsed() > SAY_EVERY {
            said = Instant::now();
            print(&report.progress(options));
        }
    }
    while let Some(ended) = worlds.join_next().await {
        ended.map_err(|_| Error::Stopped)??;
    }
    report.end(start.elapsed(), print);
    Ok(report)
}

/// The result of one push or of one other operation.
#[derive(Debug, Default)]
struct StepResult {
    /// It is no push.
    is_operation: bool,
    /// A push that was not made, or an operation that the forge refused.
    is_withheld: bool,
    deliveries: usize,
    runs: usize,
    compared: Compared,
    difference: Option<Difference>,
}

/// One repository, its clone and its history to be.
struct World {
    number: usize,
    name: String,
    site: Site,
    receiver: Receiver,
    clone: Clone,
    /// What the forge is.
    server: Server,
    generator: Generator,
    /// The refs that the forge has, with what each points to.
    refs: BTreeMap<String, String>,
    read: Read,
    disabled: BTreeSet<String>,
    /// Branches that have a pull request.
    pulled: BTreeSet<String>,
    /// Where the forge's code fails on a push, the pushes that it took from its queue together with
    /// that one are lost too, whosever they are (measured): such a push is made alone.
    turns: Arc<RwLock<()>>,
}

impl World {
    async fn new(
        number: usize,
        seed: u64,
        site: &Site,
        receiver: &Receiver,
        gitea: &StandaloneForge,
        folder: &Path,
    ) -> Result<Self, Error> {
        let name = format!("world-{number}");
        site.make_repository(&name, &receiver.hook(&name), &["push"])
            .await?;
        let clone = folder.join(format!("{name}.git"));
        let clone = Clone::new(&clone, &site.remote(&name), gitea.user(), gitea.token()).await?;
        clone.import(Generator::nothing()).await?;
        Ok(Self {
            number,
            name,
            site: site.clone(),
            receiver: receiver.clone(),
            clone,
            server: Server::parse(gitea.version())
                .ok_or_else(|| Error::Answer(format!("its version is {:?}", gitea.version())))?,
            generator: Generator::new(seed, number as u64),
            refs: BTreeMap::new(),
            read: Read::default(),
            disabled: BTreeSet::new(),
            pulled: BTreeSet::new(),
            turns: Arc::default(),
        })
    }

    /// Makes every [`WORLDS`]th push; skipped pushes don't count, up to twice the share.
    async fn play(
        mut self,
        pushes: usize,
        tell: &tokio::sync::mpsc::UnboundedSender<StepResult>,
    ) -> Result<(), Error> {
        let mut left = (self.number..pushes).step_by(WORLDS).len();
        let numbers = (self.number..).step_by(WORLDS).take(2 * left);
        for number in numbers {
            if left == 0 {
                break;
            }
            let result = self.push(number).await?;
            left -= usize::from(!result.is_withheld);
            let _ = tell.send(result);
        }
        Ok(())
    }

    async fn push(&mut self, number: usize) -> Result<StepResult, Error> {
        let mut push = self.generator.push();
        let stream = std::mem::take(&mut push.stream);
        let marks = self.clone.import(stream).await?;
        let crashes = self.crashes(&push, &marks)?;
        // Of a pull request Gitea reads the workflows where no panic is caught, and those of the default
        // branch whenever a run has come about, of which the rest of the push is lost (both measured).
        let is_read_again = |name: &str| {
            let branch = name.strip_prefix("refs/heads/");
            branch.is_some_and(|branch| branch == DEFAULT || self.pulled.contains(branch))
        };
        if crashes && push.moves.iter().any(|it| is_read_again(&it.name)) {
            return Ok(StepResult {
                is_withheld: true,
                ..StepResult::default()
            });
        }
        self.switch(push.switch, &mut push.words).await;
        let turns = Arc::clone(&self.turns);
        let told = if crashes {
            let _alone = turns.write().await;
            self.send(number, &push, &marks, SILENCE).await?
        } else {
            let _beside_others = turns.read().await;
            self.send(number, &push, &marks, TOLD_LIMIT).await?
        };
        let (queued, runs) = self.site.new_jobs(&self.name, &mut self.read).await?;
        let mut predicted = Vec::new();
        let mut words = Vec::new();
        let mut aside = Aside::default();
        for delivery in &told.deliveries {
            let prediction = predict(
                delivery,
                &self.clone,
                self.server,
                &self.refs,
                &self.disabled,
            )
            .await?;
            predicted.extend(prediction.jobs);
            words.extend(prediction.words);
            aside.add(prediction.aside);
        }
        let queued = without_beyond(queued, &aside, told.branch_gone);
        let compared = compare(predicted, queued);
        // Where the forge's code fails on a file it tells nothing of the push's other refs either.
        let is_told = told.silent.is_empty() || crashes;
        let difference = if compared.is_equal() && is_told {
            None
        } else {
            Some(self.difference(number, &push, &told, words, &compared)?)
        };
        if let Some(branch) = &push.pull {
            self.site.open_pull(&self.name, branch).await;
            self.pulled.insert(branch.clone());
        }
        Ok(StepResult {
            is_operation: false,
            is_withheld: false,
            deliveries: told.deliveries.len(),
            runs,
            compared,
            difference,
        })
    }

    async fn switch(&mut self, switch: Switch, words: &mut Vec<String>) {
        match switch {
            Switch::Off(workflow) => {
                if self.site.switch(&self.name, workflow, true).await {
                    words.push(format!("{workflow} is disabled"));
                    self.disabled.insert(workflow.to_owned());
                }
            }
            Switch::On => {
                for workflow in self.disabled.clone() {
                    if self.site.switch(&self.name, &workflow, false).await {
                        words.push(format!("{workflow} is enabled"));
                        self.disabled.remove(&workflow);
                    }
                }
            }
            Switch::Not => {}
        }
    }

    /// Whether the forge's code fails on a workflow file of something that was pushed.
    fn crashes(&self, push: &Push, marks: &BTreeMap<Mark, String>) -> Result<bool, Error> {
        let ids = push.moves.iter().filter_map(|it| marks.get(&it.to?));
        for sha in ids.filter_map(|id| self.clone.peeled(id)) {
            if predict::crashes(&self.clone, &sha, self.server)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Pushes, with a tag behind all other refs. The forge goes through a push's refs in order and
    /// queues the jobs of each before the next one's delivery: when it tells of the tag, all is queued.
    async fn send(
        &mut self,
        number: usize,
        push: &Push,
        marks: &BTreeMap<Mark, String>,
        limit: Duration,
    ) -> Result<Told, Error> {
        let mut refs = Vec::new();
        let mut expected = Vec::new();
        let mut branch_gone = false;
        for it in &push.moves {
            let to = it.to.and_then(|mark| marks.get(&mark)).cloned();
            if self.refs.get(&it.name) == to.as_ref() {
                continue;
            }
            if let Some(id) = &to {
                refs.push(format!("+{id}:{}", it.name));
                self.refs.insert(it.name.clone(), id.clone());
            } else {
                refs.push(format!(":{}", it.name));
                self.refs.remove(&it.name);
            }
            let is_branch = it.name.starts_with("refs/heads/");
            branch_gone |= is_branch && to.is_none();
            if !is_branch || to.is_some() {
                expected.push(it.name.clone());
            }
        }
        // New each time: git sends new refs last.
        let end = format!("refs/tags/end-{number}");
        refs.push(format!(
            "{}:{end}",
            marks.get(&NOTHING).map_or("", String::as_str)
        ));
        expected.push(end.clone());
        self.clone.push(&refs).await?;
        let has = |deliveries: &[Received], name: &String| {
            deliveries
                .iter()
                .any(|delivery| delivery.body["ref"] == name.as_str())
        };
        let enough = |deliveries: &[Received]| expected.iter().all(|name| has(deliveries, name));
        let mut deliveries = self.receiver.take(&self.name, limit, enough).await;
        let silent = expected
            .iter()
            .filter(|name| !has(&deliveries, name))
            .cloned()
            .collect();
        deliveries.retain(|delivery| delivery.body["ref"] != end.as_str());
        Ok(Told {
            deliveries: deliveries.into_iter().map(|it| it.body).collect(),
            silent,
            branch_gone,
        })
    }

    fn difference(
        &self,
        number: usize,
        push: &Push,
        told: &Told,
        words: Vec<String>,
        compared: &Compared,
    ) -> Result<Difference, Error> {
        let missing = compared.missing.iter();
        let missing = missing.map(|job| (&job.commit, &job.workflow));
        let unforeseen = compared.unforeseen.iter();
        let unforeseen = unforeseen.map(|job| (&job.commit, &job.workflow));
        let mut files = BTreeMap::new();
        for (commit, workflow) in missing.chain(unforeseen) {
            if files.len() >= report::FILES_MAX {
                break;
            }
            let end = format!("/workflows/{workflow}");
            let found = self.clone.workflows(commit)?.files.into_iter();
            files.extend(found.filter(|it| it.path.ends_with(&end)).map(|file| {
                let bytes = file.bytes.unwrap_or_else(String::into_bytes);
                let text = String::from_utf8_lossy(&bytes).into_owned();
                (format!("{} at {commit}", file.path), text)
            }));
        }
        Ok(Difference {
            number,
            again: format!("--pushes {} --events 0", number + 1),
            repository: self.name.clone(),
            did: push.words.clone(),
            deliveries: told.deliveries.iter().map(compare::abstract_of).collect(),
            silent: told.silent.clone(),
            said: words,
            missing: strings(&compared.missing),
            unforeseen: strings(&compared.unforeseen),
            files,
        })
    }
}

/// The forge's API answered in an unknown form.
fn answered(words: impl std::fmt::Display) -> Error {
    Error::Answer(words.to_string())
}

/// What the forge told of one push.
struct Told {
    deliveries: Vec<Value>,
    /// Refs of which it told nothing.
    silent: Vec<String>,
    branch_gone: bool,
}
