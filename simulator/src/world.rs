//! The world around the function: AWS, the forge, machines and messages, behind one lock, in virtual
//! time. Nothing here decides; what happens follows from the story and from what the function does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use lab::in_process::{Ec2, Forge, Outgoing};
use stacks::names::Names;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::account;
use crate::machine::Machine;
use crate::process::{Fleet, Wires};
use crate::story::{Act, CallFault, Message, Passage, Step, Story};
use crate::table::Table;
use crate::watch::Watch;

/// When every story begins, in milliseconds since 1970.
pub(crate) const BEGINS_MS: u64 = 1_790_000_000_000;
/// Most lines of a trace: what goes on for longer goes in circles.
const TRACE_MAX: usize = 20_000;

/// Everything that there is.
pub(crate) struct World {
    pub(crate) story: Story,
    pub(crate) names: Names,
    pub(crate) fleet: Fleet,
    /// That the forge has something to deliver.
    pub(crate) announced: Notify,
    begun: Instant,
    state: Mutex<State>,
}

/// What changes.
pub(crate) struct State {
    pub(crate) table: Table,
    pub(crate) ec2: Ec2,
    pub(crate) forge: Forge,
    /// The forge's numbers of its repositories, by their names.
    pub(crate) repositories: BTreeMap<String, i64>,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) machines: Vec<Machine>,
    /// The forge's ids of the runs, in the order in which they started.
    pub(crate) runs: Vec<i64>,
    /// The deliveries that told that a job waits, in the order in which they were sent.
    pub(crate) queued: Vec<Outgoing>,
    pub(crate) watch: Watch,
    pub(crate) trace: Vec<(u64, String)>,
    /// Until when the forge answers nobody.
    pub(crate) forge_down_until_ms: u64,
    /// From when on it registers runners.
    pub(crate) registers_from_ms: u64,
    pub(crate) no_spot_until_ms: u64,
    pub(crate) no_capacity_until_ms: u64,
    /// What is on its way: messages, invocations, what somebody is about to do.
    pub(crate) under_way: u32,
    /// The processes that serve an event now, by their numbers.
    pub(crate) running: BTreeMap<u32, Weak<Wires>>,
    /// Whether what goes wrong does so by now.
    has_begun: bool,
    calls: BTreeMap<String, u32>,
    messages: BTreeMap<Message, u32>,
}

impl World {
    pub(crate) fn new(story: &Story) -> Arc<Self> {
        let names = Names::of("sim");
        let (forge, repositories) = account::forge(story.forge, BEGINS_MS);
        let state = State {
            table: Table::new(&names.table),
            ec2: account::ec2(&names, BEGINS_MS),
            forge,
            repositories,
            parameters: account::parameters(&names, story),
            machines: Vec::new(),
            runs: Vec::new(),
            queued: Vec::new(),
            watch: Watch::default(),
            trace: Vec::new(),
            forge_down_until_ms: 0,
            registers_from_ms: 0,
            no_spot_until_ms: 0,
            no_capacity_until_ms: 0,
            under_way: 0,
            running: BTreeMap::new(),
            has_begun: false,
            calls: BTreeMap::new(),
            messages: BTreeMap::new(),
        };
        Arc::new(Self {
            story: story.clone(),
            names,
            fleet: Fleet::default(),
            announced: Notify::new(),
            begun: Instant::now(),
            state: Mutex::new(state),
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came before was no part of the story: calls and processes are counted from here.
    pub(crate) fn start(&self) {
        let mut state = self.state();
        state.has_begun = true;
        state.calls.clear();
        state.trace.clear();
    }

    /// Milliseconds since the story began.
    pub(crate) fn passed_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The true time, in milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> u64 {
        BEGINS_MS + self.passed_ms()
    }

    /// Writes down what happened.
    pub(crate) fn tell(&self, what: impl Into<String>) {
        let at_ms = self.passed_ms();
        let trace = &mut self.state().trace;
        if trace.len() < TRACE_MAX {
            trace.push((at_ms, what.into()));
        }
    }

    /// A number that follows from the seed, `what` and `nth` alone: the same whatever else happens.
    pub(crate) fn chance(&self, what: &str, nth: u32, below: u64) -> u64 {
        let mut hash = self.story.seed ^ 0x9e37_79b9_7f4a_7c15;
        for byte in what.bytes().chain(nth.to_le_bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            hash ^= hash >> 29;
        }
        hash % below.max(1)
    }

    /// Counts a call; what goes wrong with it.
    pub(crate) fn count_call(&self, name: &str) -> (u32, Option<CallFault>) {
        let nth = {
            let mut state = self.state();
            let has_begun = state.has_begun;
            let counted = state.calls.entry(name.to_owned()).or_default();
            *counted += 1;
            if !has_begun {
                return (*counted, None);
            }
            *counted
        };
        let fault = self.story.steps.iter().find_map(|step| match step {
            Step::Call(call, number, fault) if call == name && *number == nth => Some(*fault),
            Step::At(..)
            | Step::Call(..)
            | Step::Machine(..)
            | Step::Message(..)
            | Step::Clock(..) => None,
        });
        (nth, fault)
    }

    /// Counts a message; how it comes over if not as it should.
    pub(crate) fn count_message(&self, message: Message) -> (u32, Option<Passage>) {
        let nth = {
            let mut state = self.state();
            let counted = state.messages.entry(message).or_default();
            *counted += 1;
            *counted
        };
        let passage = self.story.steps.iter().find_map(|step| match step {
            Step::Message(own, number, passage) if *own == message && *number == nth => {
                Some(*passage)
            }
            Step::At(..)
            | Step::Call(..)
            | Step::Machine(..)
            | Step::Message(..)
            | Step::Clock(..) => None,
        });
        (nth, passage)
    }

    /// Does `work` beside everything else; until it is over, nothing has settled.
    pub(crate) fn spawn(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        let world = Arc::clone(self);
        world.state().under_way += 1;
        tokio::spawn(async move {
            work.await;
            world.state().under_way -= 1;
        });
    }

    /// Sends a message to the function, as the story has it come over.
    pub(crate) fn send<F>(
        self: &Arc<Self>,
        message: Message,
        after_ms: u64,
        arrive: impl Fn(Arc<Self>) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let (nth, passage) = self.count_message(message);
        let word = message.word();
        let delays_ms = match passage {
            // Nobody waits for an answer.
            None | Some(Passage::AnswerLost) => vec![after_ms],
            Some(Passage::Lost) => {
                self.tell(format!("{word} {nth} is lost"));
                return;
            }
            Some(Passage::Twice) => vec![after_ms, after_ms + 400],
            Some(Passage::Late(seconds)) => vec![after_ms + u64::from(seconds) * 1000],
        };
        for delay_ms in delays_ms {
            let arrival = arrive(Arc::clone(self));
            self.spawn(async move {
                tokio::time::sleep(Duration::from_millis(delay_ms)).await;
                arrival.await;
            });
        }
    }

    /// Does what the story's people do, each at its time.
    pub(crate) fn begin(self: &Arc<Self>) {
        for step in &self.story.steps {
            let Step::At(at, act) = step else { continue };
            let (world, act) = (Arc::clone(self), act.clone());
            let at = Duration::from_secs((*at).into());
            self.spawn(async move {
                tokio::time::sleep(at).await;
                world.act(&act);
            });
        }
    }

    fn act(self: &Arc<Self>, act: &Act) {
        self.tell(act.to_string());
        let now_ms = self.now_ms();
        self.state().watch.disturbed_ms = now_ms;
        let until = |seconds: &u32| now_ms + u64::from(*seconds) * 1000;
        match act {
            Act::ForgeDown(seconds) => self.state().forge_down_until_ms = until(seconds),
            Act::RegistersNobody(seconds) => self.state().registers_from_ms = until(seconds),
            Act::NoSpot(seconds) => self.state().no_spot_until_ms = until(seconds),
            Act::NoCapacity(seconds) => self.state().no_capacity_until_ms = until(seconds),
            Act::SpotTakes(nth) => self.spot_takes(*nth),
            Act::HostDies(nth) => self.host_dies(*nth),
            Act::Foreign => {
                let id = self.state().ec2.add_foreign(BTreeMap::new(), now_ms);
                self.state().watch.foreign.insert(id);
            }
            Act::Run { .. }
            | Act::Cancel(_)
            | Act::Rerun(_)
            | Act::Rename(..)
            | Act::Delete(_)
            | Act::Impostor(_)
            | Act::Redeliver(_) => self.act_at_forge(act),
            // That is the story's epilogue.
            Act::RedeliverLater(_) => {}
        }
    }
}
