//! The promises, held against the world at every step. Each has a bound and says what it saw.

use lab::in_process::JobView;

use crate::account::LIMIT_MINUTES;
use crate::process::{Wires, lock};
use crate::story::{Act, Expected, Message, Step};
use crate::table::{Item, Value};
use crate::world::{State, World};

/// From one tick to the next, in seconds.
pub(crate) const TICK_S: u64 = 60;
/// How much later than its limit and one tick a machine may be seen: a tick takes a moment.
const GRACE_MS: u64 = 20_000;
/// How long a job may wait without a machine on its way while nothing is in its way, in seconds: a
/// launch that came to nothing waits a minute, and the tick comes once a minute.
const WITHOUT_MACHINE_MAX_S: u64 = 240;
/// Most violations that are told: the first is what people look at.
const TOLD_MAX: usize = 5;

impl World {
    /// A promise is broken.
    pub(crate) fn violated(&self, what: impl Into<String>) {
        let what = what.into();
        self.tell(format!("BROKEN: {what}"));
        let violations = &mut self.state().watch.violations;
        if violations.len() < TOLD_MAX {
            violations.push(what);
        }
    }

    /// Nothing over the cap.
    pub(crate) fn look_at_cap(&self) {
        let living = self.state().living();
        if living > self.story.machines_max as usize {
            self.violated(format!(
                "{living} machines live at once, and {} may",
                self.story.machines_max
            ));
        }
    }

    /// Nothing killed early, nothing foreign touched.
    pub(crate) fn look_at_ends(&self, body: &[u8]) {
        let body = String::from_utf8_lossy(body);
        let ids = body.split('&').filter_map(|pair| {
            let (name, id) = pair.split_once('=')?;
            name.starts_with("InstanceId").then_some(id)
        });
        let (now_ms, skew_ms) = (self.now_ms(), self.story.skew_ms());
        for id in ids {
            let mut broken = None;
            {
                let mut state = self.state();
                let is_foreign = state.watch.foreign.contains(id);
                let runs = state.forge.jobs().any(|job| {
                    job.status == "in_progress" && job.runner.is_some_and(|(_, name)| name == id)
                });
                if is_foreign {
                    broken = Some(format!("{id} is somebody else's, and was ended"));
                } else if let Some(machine) = state.machine(id) {
                    // Whoever looks knows the time as well as its clock does.
                    let age_ms = (now_ms + skew_ms).saturating_sub(machine.launched_ms);
                    let is_over = age_ms > u64::from(LIMIT_MINUTES) * 60_000;
                    if machine.busy && runs && !is_over && !machine.is_faulty() && !machine.off {
                        broken = Some(format!("{id} was ended in the middle of its job"));
                    }
                }
            }
            if let Some(broken) = broken {
                self.violated(broken);
            }
        }
    }

    /// Nothing twice: one credential a machine, whether or not it came over.
    pub(crate) fn given_credential(&self, id: &str) {
        let given = self.state().machine(id).map(|machine| {
            machine.credentials += 1;
            machine.credentials
        });
        if given > Some(1) {
            self.violated(format!("{id} was given a second credential"));
        }
    }

    /// The ledger's books: what is reserved is what there is.
    pub(crate) fn look_at_table(&self) {
        let (mut counted, mut reserved) = (0, 0);
        {
            let state = self.state();
            for item in state.table.items() {
                if text_of(item, "pk") != "live" {
                    continue;
                }
                // What is below zero is no count, and is told as one that is far off.
                let number = |name: &str| {
                    let number = item.get(name).and_then(Value::as_number);
                    number.map_or(0, |it| it.as_u64().unwrap_or(u64::MAX))
                };
                let sk = text_of(item, "sk");
                if sk == "counter#all" {
                    counted = number("n");
                } else if sk.starts_with("launch#") {
                    reserved += number("count");
                } else if sk.starts_with("runner#") {
                    reserved += 1;
                }
            }
        }
        if counted != reserved {
            self.violated(format!(
                "the counter says {counted}, and {reserved} are launched or run"
            ));
        }
    }

    /// Nothing left: no machine outlives its limit by more than a tick that came over.
    pub(crate) fn look_at_ages(&self) {
        let now_ms = self.now_ms();
        let limit_ms =
            u64::from(LIMIT_MINUTES) * 60_000 + TICK_S * 1000 + GRACE_MS + self.story.skew_ms();
        let old: Vec<String> = {
            let state = self.state();
            let old = state.machines.iter().filter(|machine| {
                !machine.off && now_ms.saturating_sub(machine.launched_ms) > limit_ms
            });
            old.map(|machine| machine.id.clone()).collect()
        };
        for id in old {
            self.violated(format!("{id} lives after its limit and a tick"));
        }
    }

    /// Nothing silent, in time: a job that waits has a machine on its way soon after nothing is in the way.
    pub(crate) fn look_at_waiting(&self) {
        let now_ms = self.now_ms();
        let broken = {
            let mut state = self.state();
            let waiting = state.forge.jobs().filter(|job| {
                let is_ours = job.labels.iter().all(|label| label == "base");
                job.status == "queued" && is_ours && reason_of(&state, job.id).is_none()
            });
            let waiting: Vec<i64> = waiting.map(|job| job.id).collect();
            let on_their_way = state
                .machines
                .iter()
                .filter(|it| !it.off && it.job.is_none())
                .count();
            let is_full = state.living() >= self.story.machines_max as usize;
            let is_hindered = now_ms < state.forge_down_until_ms
                || now_ms < state.registers_from_ms
                || now_ms < state.no_spot_until_ms
                || now_ms < state.no_capacity_until_ms;
            if waiting.len() <= on_their_way || is_full || is_hindered {
                state.watch.stalled_since_ms = None;
                None
            } else {
                let disturbed_ms = state.watch.disturbed_ms;
                let since_ms = *state.watch.stalled_since_ms.get_or_insert(now_ms);
                let for_s = now_ms.saturating_sub(since_ms.max(disturbed_ms)) / 1000;
                (for_s > WITHOUT_MACHINE_MAX_S).then(|| {
                    format!(
                        "job {} has waited {for_s} s without a machine or a reason",
                        waiting[0]
                    )
                })
            }
        };
        if let Some(broken) = broken {
            self.violated(broken);
        }
    }

    /// Whether nothing is to be done any more.
    pub(crate) fn is_settled(&self) -> bool {
        let under_way = self.state().under_way;
        under_way == 0 && self.has_nothing_to_do()
    }

    /// Whether every job has ended or has its reason, and nothing is left.
    pub(crate) fn has_nothing_to_do(&self) -> bool {
        let mut state = self.state();
        let runs = state.forge.jobs().any(|job| job.status == "in_progress");
        !runs && state.living() == 0 && unsettled(&state).is_empty()
    }

    /// Bounded: a process that finds nothing to do, and nothing new since it last did, writes nothing.
    pub(crate) fn look_at_idle_tick(&self, wires: &Wires) {
        let jobs = {
            let mut state = self.state();
            state.watch.idle_ticks += 1;
            state.queued.len()
        };
        let before = lock(&wires.idle_at).replace(jobs);
        let writes = *lock(&wires.writes);
        if before == Some(jobs) && writes > 0 {
            self.violated(format!(
                "a tick that had nothing to do changed something {writes} times"
            ));
        }
    }

    /// Whether a job waits at the forge, for a runner of others or in vain.
    pub(crate) fn some_wait(&self) -> bool {
        self.state().forge.jobs().any(|job| job.status == "queued")
    }

    /// What must hold when everything has come to its end, or should have.
    pub(crate) fn look_at_the_end(&self, settled: bool) {
        let (left, launched, attempts, lost) = {
            let state = self.state();
            let left = if settled {
                Vec::new()
            } else {
                unsettled(&state)
            };
            let lost = state.machines.iter().filter(|it| it.is_lost()).count();
            (left, state.machines.len(), state.queued_for_us(), lost)
        };
        for left in left {
            self.violated(left);
        }
        // Where the forge can't say whether a job waits still, one is launched for it.
        let doubts = self.story.steps.iter().filter(|it| leaves_in_doubt(it));
        let doubts = doubts.count() + self.deliveries_of_old_names();
        if launched > attempts + lost + doubts {
            self.violated(format!(
                "{launched} machines were launched for {attempts} attempts of jobs, {lost} were lost, and \
                 {doubts} times the forge did not say whether a job waits"
            ));
        }
        for (expected, broken) in self
            .story
            .expect
            .iter()
            .filter_map(|one| Some((one, self.unmet(one)?)))
        {
            self.violated(format!("expected: {expected}; there are {broken}"));
        }
    }

    /// How many deliveries may tell of a job by a name that its repository has no more: that is another job.
    fn deliveries_of_old_names(&self) -> usize {
        let steps = || self.story.steps.iter();
        let is_rename = |step: &Step| matches!(step, Step::At(_, Act::Rename(..)));
        let is_late = |step: &&Step| matches!(step, Step::Message(Message::Delivery, ..));
        if steps().any(is_rename) {
            steps().filter(is_late).count()
        } else {
            0
        }
    }

    fn unmet(&self, expected: &Expected) -> Option<String> {
        let state = self.state();
        match expected {
            Expected::Machines(count) => {
                let launched = state.machines.len();
                (launched != *count as usize).then(|| launched.to_string())
            }
            Expected::Jobs(count, how) => {
                let found = state.forge.jobs().filter(|job| ended(job, how)).count();
                (found != *count as usize).then(|| found.to_string())
            }
            Expected::Says(nth, words) => {
                let job = state.forge.jobs().nth((*nth as usize).wrapping_sub(1));
                let said = job
                    .and_then(|job| reason_of(&state, job.id))
                    .unwrap_or_default();
                (!said.contains(words.as_str())).then_some(said)
            }
        }
    }
}

/// Whether it may keep the forge's word about a job from the function.
fn leaves_in_doubt(step: &Step) -> bool {
    match step {
        Step::Call(name, ..) => ["GET job", "GET jobs"].contains(&name.as_str()),
        Step::At(_, Act::ForgeDown(_)) => true,
        Step::At(..) | Step::Machine(..) | Step::Message(..) | Step::Clock(..) => false,
    }
}

fn ended(job: &JobView<'_>, how: &str) -> bool {
    match how {
        "succeed" => job.conclusion == Some("success"),
        "fail" => job.conclusion == Some("failure"),
        "are cancelled" => job.conclusion == Some("cancelled"),
        _ => job.status == "queued",
    }
}

/// What is left, in words.
fn unsettled(state: &State) -> Vec<String> {
    let mut left = Vec::new();
    for job in state.forge.jobs() {
        let (id, name) = (job.id, job.repository_name);
        if job.status == "in_progress" {
            left.push(format!("job {id} of {name} runs still"));
        } else if job.status == "queued" && reason_of(state, id).is_none() && is_known(state, &job)
        {
            left.push(format!("job {id} of {name} waits, and nothing says why"));
        }
    }
    for item in state.table.items() {
        let (pk, sk) = (text_of(item, "pk"), text_of(item, "sk"));
        let kinds = [
            "job#",
            "launch#",
            "runner#",
            "registration#",
            "status-update#",
        ];
        if pk == "live" && kinds.iter().any(|kind| sk.starts_with(kind)) {
            left.push(format!("{sk} stays in the ledger"));
        }
    }
    for runner in state.forge.runners() {
        // A stranger's may have the name of ours, and other labels.
        let is_ours = runner.labels.iter().any(|label| label == "base");
        if is_ours && state.machines.iter().any(|it| it.id == runner.name) {
            left.push(format!("{} stays registered", runner.name));
        }
    }
    left
}

/// Whether the function has to know of a job. One that no pool serves is its delivery's to refuse, which may
/// be lost: a reconcile has no word about all that waits at a whole forge for runners of others.
fn is_known(state: &State, job: &JobView<'_>) -> bool {
    let is_ours = job.labels.iter().all(|label| label == "base");
    let start = format!("{:012}#", job.id);
    let is_its = |item: &Item| {
        text_of(item, "pk").starts_with("repo#") && text_of(item, "sk").starts_with(&start)
    };
    is_ours || state.table.items().any(is_its)
}

/// Why a job is not served, where its history says that it never will be.
fn reason_of(state: &State, job: i64) -> Option<String> {
    let start = format!("{job:012}#");
    let mut reasons = state.table.items().filter_map(|item| {
        let is_its =
            text_of(item, "pk").starts_with("repo#") && text_of(item, "sk").starts_with(&start);
        // Its commit is marked, whatever became of that job before it was run again.
        let is_marked = item.contains_key("refused_ms");
        let is_told = is_its && (is_marked || text_of(item, "job_status") == "failed");
        is_told.then(|| text_of(item, "reason").to_owned())
    });
    reasons.next()
}

fn text_of<'a>(item: &'a Item, name: &str) -> &'a str {
    match item.get(name) {
        Some(Value::S(text)) => text,
        Some(_) | None => "",
    }
}
