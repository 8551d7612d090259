//! Predicts and compares in the same way for everything else that happens at a forge: pull requests and their reviews, issues,
//! comments, releases, wikis, forks, references that are made with buttons. The facts come from the
//! live forge, in the way that the Lambda asks for them.

mod code;
mod discussion;
mod history;
mod operation;
mod workflows;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dispatcher::forge::{Forge, ForgeConfig};
use dispatcher::model::secret::Secret;
use dispatcher::webhook::delivery::Delivery;
use http::Method;
use lab::real_forge::StandaloneForge;
use serde_json::{Value, json};
use tokio::sync::RwLock;
use tokio::sync::mpsc::UnboundedSender;
use workflow::event::EventKind;
use workflow::{ForgeKind, gather};

use self::history::History;
use self::operation::{GUEST, Operation};
use super::compare::{Compared, abstract_of, compare, without_open};
use super::predict::Prediction;
use super::receiver::{Received, Receiver};
use super::report::{Difference, strings};
use super::site::{Queued, Read, Site};
use super::{Error, StepResult, answered};

const NAME: &str = "events";
/// What the hook is told to send. `pull_request` and `issues` are all that are of one.
const HOOK_EVENTS: [&str; 8] = [
    "push",
    "create",
    "delete",
    "fork",
    "issues",
    "pull_request",
    "release",
    "wiki",
];
/// Longest wait for the deliveries and jobs of an operation; a second is usual.
const LIMIT: Duration = Duration::from_secs(30);
/// How long one look waits for deliveries.
const STEP: Duration = Duration::from_millis(100);

/// One repository and the people around it.
pub(crate) struct Events {
    site: Site,
    receiver: Receiver,
    forge: Forge,
    hook: u64,
    history: History,
    read: Read,
    /// Held while something is done: some pushes are to be made alone.
    turns: Arc<RwLock<()>>,
}

/// What was told and queued since the last operation.
#[derive(Default)]
struct Seen {
    deliveries: Vec<Received>,
    prediction: Prediction,
    queued: Vec<Queued>,
    runs: usize,
}

impl Events {
    pub(crate) async fn new(
        seed: u64,
        site: &Site,
        receiver: &Receiver,
        gitea: &StandaloneForge,
        turns: &Arc<RwLock<()>>,
    ) -> Result<Self, Error> {
        let user = json!({
            "username": GUEST,
            "email": "guest@forge.lab",
            "password": "differential-guest",
            "must_change_password": false,
        });
        site.call(Method::POST, "/admin/users", user).await?;
        let hook = site
            .make_repository(NAME, &receiver.hook(NAME), &HOOK_EVENTS)
            .await?;
        let repository = site.repository(NAME);
        let mut labels = Vec::new();
        for name in ["red", "green", "blue"] {
            let label = json!({"name": name, "color": "#00aabb"});
            let path = format!("{repository}/labels");
            labels.push(id(&site.call(Method::POST, &path, label).await?)?);
        }
        let path = format!("{repository}/milestones");
        let milestone = json!({"title": "someday"});
        let milestone = id(&site.call(Method::POST, &path, milestone).await?)?;
        let config = ForgeConfig {
            kind: ForgeKind::Gitea,
            labels: Vec::new(),
            url: gitea.url(),
            endpoint: None,
            ca: None,
            token: Secret::new(gitea.token().to_owned()),
            registration_token: None,
        };
        Ok(Self {
            site: site.clone(),
            receiver: receiver.clone(),
            forge: Forge::new(config).map_err(answered)?,
            hook,
            history: History::new(seed, gitea.user(), NAME, labels, milestone),
            read: Read::default(),
            turns: Arc::clone(turns),
        })
    }

    /// Does `count` things, and tells of each.
    pub(crate) async fn play(
        mut self,
        count: usize,
        tell: &UnboundedSender<StepResult>,
    ) -> Result<(), Error> {
        for number in 0..count {
            let result = self.step(number).await?;
            let _ = tell.send(result);
        }
        Ok(())
    }

    async fn step(&mut self, number: usize) -> Result<StepResult, Error> {
        let turns = Arc::clone(&self.turns);
        let _beside_others = turns.read().await;
        let operation = self.history.operation();
        let mut did = vec![operation.words.clone()];
        let mut tells = Vec::new();
        match self.act(&operation).await {
            Ok(answer) => {
                tells.clone_from(&operation.tells);
                self.history.is_done(operation, &answer);
            }
            // Many things can't be done twice, or by everybody.
            Err(error) => did.push(format!("the forge refuses: {error}")),
        }
        let is_refused = did.len() > 1;
        let (seen, compared, silent) = self.settle(&tells).await?;
        let difference = (!compared.is_equal() || !silent.is_empty()).then(|| Difference {
            number,
            again: format!("--pushes 0 --events {}", number + 1),
            repository: NAME.to_owned(),
            did,
            deliveries: seen
                .deliveries
                .iter()
                .map(|it| {
                    let action = &it.body["action"];
                    format!("{} {action} {}", it.event, abstract_of(&it.body))
                })
                .collect(),
            silent,
            said: seen.prediction.words,
            missing: strings(&compared.missing),
            unforeseen: strings(&compared.unforeseen),
            files: BTreeMap::new(),
        });
        Ok(StepResult {
            is_operation: true,
            is_withheld: is_refused,
            deliveries: seen.deliveries.len(),
            runs: seen.runs,
            compared,
            difference,
        })
    }

    async fn act(&self, operation: &Operation) -> Result<Value, Error> {
        let place = match operation.path.strip_prefix('/') {
            Some(_) => String::new(),
            None => format!("{}/", self.site.repository(NAME)),
        };
        let sudo = if operation.by_guest {
            format!("?sudo={GUEST}")
        } else {
            String::new()
        };
        let path = format!("{place}{}{sudo}", operation.path);
        self.site
            .call(operation.method.clone(), &path, operation.body.clone())
            .await
    }

    /// Waits until what must be told is told, then for a test delivery, which comes behind all that
    /// was told before, and then until what is foretold is queued and the other way round.
    async fn settle(
        &mut self,
        tells: &[EventKind],
    ) -> Result<(Seen, Compared, Vec<String>), Error> {
        let start = Instant::now();
        let mut seen = Seen::default();
        let mut is_fenced = false;
        loop {
            self.look(&mut seen).await?;
            let silent = silent(tells, &seen.deliveries);
            let queued = without_open(seen.queued.clone(), &seen.prediction.aside);
            let compared = compare(seen.prediction.jobs.clone(), queued);
            let is_behind = seen.deliveries.iter().any(is_test);
            if (silent.is_empty() && compared.is_equal() && is_behind) || start.elapsed() > LIMIT {
                return Ok((seen, compared, silent));
            }
            if silent.is_empty() && !is_fenced {
                let path = format!("{}/hooks/{}/tests", self.site.repository(NAME), self.hook);
                self.site.call(Method::POST, &path, json!({})).await?;
                is_fenced = true;
            }
        }
    }

    async fn look(&mut self, seen: &mut Seen) -> Result<(), Error> {
        let some = self
            .receiver
            .take(NAME, STEP, |some| !some.is_empty())
            .await;
        for received in some {
            self.foretell(&received, &mut seen.prediction).await?;
            seen.deliveries.push(received);
        }
        let (queued, runs) = self.site.new_jobs(NAME, &mut self.read).await?;
        seen.queued.extend(queued);
        seen.runs += runs;
        Ok(())
    }

    async fn foretell(&self, received: &Received, to: &mut Prediction) -> Result<(), Error> {
        let Some(event) = EventKind::parse(&received.event) else {
            to.words
                .push(format!("{:?} is no event of workflows", received.event));
            return Ok(());
        };
        let body = serde_json::to_vec(&received.body).map_err(answered)?;
        let read = Delivery::of_event(event, &body).map_err(answered)?;
        // The hook tells of new and deleted references by themselves.
        let Delivery::Event { event, .. } = read else {
            return Ok(());
        };
        if let Some(why) = event.starts_nothing() {
            to.words.push(format!("{}: nothing: {why}", received.event));
            return Ok(());
        }
        let facts = match self.forge.server().await {
            Ok(server) => gather(&self.forge, &event, server).await,
            Err(error) => Err(error),
        };
        match facts {
            Ok(facts) => to.add_verdict(&event, &facts),
            Err(error) => to.words.push(format!("{}: {error}", received.event)),
        }
        Ok(())
    }
}

/// A delivery that the hook's test button sends.
fn is_test(received: &Received) -> bool {
    received.event == "push" && received.body["before"] == received.body["after"]
}

/// Those of `tells` that are not among `deliveries`, as often as they should be.
fn silent(tells: &[EventKind], deliveries: &[Received]) -> Vec<String> {
    let mut told: Vec<&str> = deliveries
        .iter()
        .filter(|it| !is_test(it))
        .map(|it| it.event.as_str())
        .collect();
    let mut silent = Vec::new();
    for event in tells {
        match told.iter().position(|it| *it == event.word()) {
            Some(at) => {
                told.swap_remove(at);
            }
            None => silent.push(event.word().to_owned()),
        }
    }
    silent
}

fn id(made: &Value) -> Result<u64, Error> {
    made["id"]
        .as_u64()
        .ok_or_else(|| answered("what was made has no id"))
}
