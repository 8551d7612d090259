//! One job, or two, from push to nothing, with the function in a process of its own that dies once. Forge,
//! EC2 and machines go on meanwhile as they would: what they don't say twice is not said twice.

use std::collections::BTreeSet;

use lab::{Capacity, FaultInjection};
use serde_json::{Value, json};
use stacks::route::REFUSED;

use super::state::State;
use super::story::{Event, Story};
use crate::delivery::{self, Job, Runner, delivery};
use crate::process::Function;
use crate::replaced::{ONE_JOB, TWO_JOBS};
use crate::support::tap::INVOKE;
use crate::world::{ROLE, Reply, World, document, entries, now_ms};

/// Most ticks until all is at rest: a machine that is lost is replaced by the next, and its row closed by the
/// one after that.
const TICKS_MAX: usize = 8;
/// How often a machine asks for its credential between two ticks; it goes on after the next.
const ASKS: usize = 2;
/// Ages at which a machine is over its pool's time to boot, one without a launch over its grace, and any over
/// its limit, in seconds.
const OVER_BOOT_S: u32 = 2 * 60 + 1;
const OVER_GRACE_S: u32 = 5 * 60 + 1;
const OVER_LIMIT_S: u32 = 10 * 60 + 1;

/// How it went.
#[derive(Debug)]
pub(super) struct Played {
    /// The calls of the handler that was to be killed.
    pub(super) calls: Vec<String>,
    /// Whether it was.
    pub(super) is_killed: bool,
    pub(super) state: State,
}

pub(super) struct Play<'a> {
    world: &'a World,
    function: &'a mut Function,
    story: Story,
    /// The event that is handled in a process of its own, which is killed at that call if there is one.
    watched: Option<(Event, Option<usize>)>,
    calls: Vec<String>,
    is_killed: bool,
    nudges: usize,
    jobs: Vec<Job>,
    /// Machines of before.
    others: BTreeSet<String>,
    /// Machines that do nothing by themselves.
    silent: BTreeSet<String>,
    /// Machines of whose end EC2 has told.
    gone: BTreeSet<String>,
    has_lost: bool,
    served: usize,
    /// A job that nobody will report the end of.
    abandoned: Option<Running>,
}

/// A job on a machine.
struct Running {
    job: Job,
    runner: Runner,
    credential: Value,
    task: u64,
}

impl<'a> Play<'a> {
    /// Plays `story` to its end; the first `event` is killed after call number `at`.
    pub(super) async fn of(
        world: &'a World,
        function: &'a mut Function,
        story: Story,
        event: Event,
        at: Option<usize>,
    ) -> Played {
        let others = world.instances().await.into_iter().map(|one| one.id);
        let mut play = Self {
            others: others.collect(),
            world,
            function,
            story,
            watched: None,
            calls: Vec::new(),
            is_killed: false,
            nudges: 0,
            jobs: Vec::new(),
            silent: BTreeSet::new(),
            gone: BTreeSet::new(),
            has_lost: false,
            served: 0,
            abandoned: None,
        };
        let watched = Some((event, at));
        // All that was before is over, leases too.
        play.wait_a_minute().await;
        play.push().await;
        match story {
            Story::Overdue => {
                play.prepare_overdue().await;
                play.watched = watched;
            }
            Story::Cancelled => {
                let running = play.until_it_runs().await;
                play.watched = watched;
                play.cancel(running).await;
            }
            Story::OverLimit => {
                play.aged(OVER_LIMIT_S);
                play.abandoned = Some(play.until_it_runs().await);
                play.watched = watched;
            }
            Story::NoCapacity => {
                play.watched = watched;
                play.no_capacity();
                play.queue().await;
            }
            Story::Served | Story::LostIdle => {
                play.watched = watched;
                play.queue().await;
            }
        }
        play.go_on().await;
        let machines = play.machines().await.into_iter().map(|(id, _)| id);
        Played {
            state: State::of(world, &play.jobs, &machines.collect(), play.served).await,
            calls: play.calls,
            is_killed: play.is_killed,
        }
    }

    async fn push(&mut self) {
        let workflow = match self.story {
            Story::Overdue => TWO_JOBS,
            Story::Served
            | Story::LostIdle
            | Story::NoCapacity
            | Story::Cancelled
            | Story::OverLimit => ONE_JOB,
        };
        let name = format!("r{}", fastrand::u64(..));
        self.jobs = self.world.push_to(&name, workflow).await;
    }

    async fn queue(&mut self) {
        for job in self.jobs.clone() {
            self.deliver(Event::Queued, &job.queued()).await;
        }
    }

    async fn prepare_overdue(&mut self) {
        let (first, second) = (self.jobs[0].clone(), self.jobs[1].clone());
        self.aged(OVER_BOOT_S);
        self.deliver(Event::Queued, &first.queued()).await;
        self.nudged().await;
        self.aged(OVER_GRACE_S);
        let tag = &self.world.names.tag_launch;
        self.world.stranger(tag, "lost").await;
        let machines = self.machines().await;
        assert_eq!(machines.len(), 2, "{machines:?}");
        self.silent = machines.into_iter().map(|(id, _)| id).collect();
        self.aged(0);
        self.deliver(Event::Queued, &second.queued()).await;
        self.nudges = 0;
        let (launch, claims) = self.world.planned(&second).await;
        let ledger = self.world.ledger();
        let claimed = ledger.claim(&launch, &claims, 20, 20).await.unwrap();
        assert_eq!(claimed, dispatcher::aws::WriteResult::Written);
    }

    /// The job on a machine that does nothing more by itself.
    async fn until_it_runs(&mut self) -> Running {
        self.queue().await;
        self.nudged().await;
        let machines = self.machines().await;
        let [(machine, _)] = machines.as_slice() else {
            panic!("{machines:?}");
        };
        let credential = self.ask(machine).await.unwrap();
        let running = self.takes_job(machine, credential).await.unwrap();
        self.silent.insert(machine.clone());
        running
    }

    /// A machine asks the forge for a job, and the forge tells of it.
    async fn takes_job(&mut self, machine: &str, credential: Value) -> Option<Running> {
        let task = self.world.fetch_task(&credential).await;
        let task = task["id"].as_str()?.parse().unwrap();
        self.served += 1;
        let running = Running {
            job: self.job_of(machine).await,
            runner: Runner {
                id: credential["id"].as_u64().unwrap(),
                name: machine.to_owned(),
            },
            credential,
            task,
        };
        let started = running.job.started(running.runner.clone());
        self.deliver(Event::Started, &started).await;
        Some(running)
    }

    /// The job ends at the forge, which tells of it.
    async fn ends(&mut self, running: Running, conclusion: &str) {
        let result = format!("RESULT_{}", conclusion.to_uppercase());
        let (task, credential) = (running.task, &running.credential);
        self.world.end_task(credential, task, &result).await;
        let ended = running.job.ended_on(conclusion, running.runner);
        self.deliver(Event::Ended, &ended).await;
    }

    /// Somebody cancels it, which its machine is not told.
    async fn cancel(&mut self, running: Running) {
        let Running { job, runner, .. } = running;
        let lab = &self.world.bench.lab;
        lab.cancel_run(&job.repository, job.run).await.unwrap();
        let ended = job.ended_on("cancelled", runner);
        self.deliver(Event::Ended, &ended).await;
    }

    /// Until nothing is left to be done.
    async fn go_on(&mut self) {
        for _ in 0..TICKS_MAX {
            self.nudged().await;
            for (id, state) in self.machines().await {
                let is_up = ["pending", "running"].contains(&state.as_str());
                if is_up && !self.silent.contains(&id) {
                    self.boots(&id).await;
                }
                self.ended(id).await;
            }
            self.nudged().await;
            let left = self.left().await;
            if left.is_empty() {
                return;
            }
            if left.len() == 1
                && let Some(running) = self.abandoned.take()
            {
                self.ends(running, "failure").await;
                continue;
            }
            self.wait_a_minute().await;
            let tick = json!({ "action": "cleanup" });
            self.tell(Event::Tick, &tick).await;
        }
        let (left, calls) = (self.left().await, &self.calls);
        panic!("never at rest: {left:#?}; the calls of the one that was killed: {calls:#?}");
    }

    /// One machine, as far as it gets.
    async fn boots(&mut self, id: &str) {
        let Some(credential) = self.ask(id).await else {
            return;
        };
        if self.story == Story::LostIdle && !self.has_lost {
            self.has_lost = true;
        } else if let Some(running) = self.takes_job(id, credential).await {
            self.ends(running, "success").await;
        }
        // After its job, for want of one, or with its host.
        self.world.lose_silently(id).await;
    }

    /// The credential of a machine; one that is refused gives up.
    async fn ask(&mut self, id: &str) -> Option<Value> {
        let asks = delivery::from_runner(ROLE, id, br#"{"ask":"credential"}"#);
        for _ in 0..ASKS {
            let Some(answer) = self.tell(Event::Ask, &asks).await else {
                continue;
            };
            let reply = Reply::of(&answer);
            if reply.status == u64::from(REFUSED) {
                self.world.lose_silently(id).await;
                return None;
            }
            if let Some(credential) = document(&reply) {
                self.world.was_given(&credential);
                return Some(credential);
            }
        }
        None
    }

    /// EC2 tells of an end, once.
    async fn ended(&mut self, id: String) {
        let is_over = self.world.bench.instance(&id).await.state == "terminated";
        if is_over && self.gone.insert(id.clone()) {
            let event = delivery::state_change(&id, "terminated");
            self.tell(Event::Gone, &event).await;
        }
    }

    /// The drains that were asked for, one after the other.
    async fn nudged(&mut self) {
        while self.nudges > 0 {
            self.nudges -= 1;
            let nudge = json!({ "action": "drain" });
            self.tell(Event::Nudge, &nudge).await;
        }
    }

    /// A delivery. If the function died with it, somebody has it sent again.
    async fn deliver(&mut self, event: Event, body: &Value) {
        let payload = delivery(body);
        let mut answer = self.tell(event, &payload).await;
        if answer.is_none() {
            answer = self.tell(event, &payload).await;
        }
        let reply = Reply::of(&answer.unwrap());
        assert_eq!(reply.status, 202, "{}", reply.body);
    }

    /// The answer to an event, if the function lived to give it.
    async fn tell(&mut self, event: Event, payload: &Value) -> Option<Value> {
        self.function.heard.take();
        let watched = self.watched.take_if(|(watched, _)| *watched == event);
        let answer = match watched {
            None => Some(self.function.invoke(payload).await),
            Some((_, at)) => {
                let at = at.unwrap_or(usize::MAX);
                self.function.invoke_and_kill(payload, at).await
            }
        };
        let calls = self.function.heard.take_names();
        self.nudges += calls.iter().filter(|call| *call == INVOKE).count();
        if watched.is_some() {
            self.calls = calls;
            self.is_killed = answer.is_none();
        }
        answer
    }

    /// The job that runs on a machine, by the forge's word.
    async fn job_of(&self, machine: &str) -> Job {
        let path = format!("repos/{}/actions/jobs", self.jobs[0].repository);
        let answer = self.world.forge("GET", &path, &Value::Null).await;
        let jobs = answer["jobs"].as_array().unwrap();
        let is_here =
            |job: &&Value| job["runner_name"] == machine && job["status"] == "in_progress";
        let id = jobs.iter().find(is_here).unwrap()["id"].as_u64();
        let job = self.jobs.iter().find(|job| Some(job.id) == id);
        job.unwrap().clone()
    }

    /// The machines of this story, and their states.
    async fn machines(&self) -> Vec<(String, String)> {
        let all = self.world.instances().await.into_iter();
        all.filter(|one| !self.others.contains(&one.id))
            .map(|one| (one.id, one.state))
            .collect()
    }

    /// What keeps the story from its end.
    async fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        for (id, state) in self.machines().await {
            if state != "terminated" {
                left.push(format!("{id} is {state}"));
            }
        }
        for job in &self.jobs {
            let standing = self.world.standing_at_forge(job).await;
            if standing != "completed" {
                left.push(format!("job {} is {standing}", job.id));
            }
        }
        for row in self.world.rows().await {
            let sk = row["sk"].as_str().unwrap();
            let kinds = [
                "job#",
                "launch#",
                "runner#",
                "registration#",
                "status-update#",
            ];
            let is_open = kinds.iter().any(|kind| sk.starts_with(kind));
            let is_counted = row["n"].as_u64().is_some_and(|count| count > 0);
            if row["pk"] == "live" && (is_open || is_counted) {
                left.push(row.to_string());
            }
        }
        left
    }

    /// Leases and holds run out, and capacity comes back.
    async fn wait_a_minute(&self) {
        self.aged(0);
        let now_ms = now_ms();
        for row in self.world.rows().await {
            let later = |name: &str| row[name].as_u64().is_some_and(|ms| ms > now_ms);
            let sk = row["sk"].as_str().unwrap();
            if row["pk"] == "live" && later("not_before_ms") {
                self.world.set_time(sk, "not_before_ms", 1).await;
            }
            if row["pk"] == "live" && later("until_ms") {
                self.world.set_time(sk, "until_ms", 1).await;
            }
        }
        self.world.expire_launches().await;
    }

    /// Machines that are launched from now on say that they are so old.
    fn aged(&self, seconds: u32) {
        self.world.bench.faults(&FaultInjection {
            launched_ago_s: seconds,
            ..unthrottled()
        });
    }

    /// There are no machines for now.
    fn no_capacity(&self) {
        let none = Capacity {
            instance_type: None,
            subnet: None,
            spot: None,
            left: 0,
        };
        self.world.bench.faults(&FaultInjection {
            capacity: vec![none],
            ..unthrottled()
        });
    }
}

fn unthrottled() -> FaultInjection {
    FaultInjection {
        unthrottled: true,
        ..entries()
    }
}
