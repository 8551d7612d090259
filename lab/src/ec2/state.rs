//! The lab's EC2 as data: instances, tokens, buckets, faults. No clock, no process: `now` comes in,
//! what is to be booted goes out.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};

use crate::ec2::api_error::ApiError;
use crate::ec2::calls::Calls;
use crate::ec2::injection::FaultInjection;
use crate::emulator::Profile;
use crate::ids::hex_id;

/// Request bucket of `RunInstances` and its refill a second, EC2's defaults.
const REQUESTS: (f64, f64) = (5.0, 2.0);
/// Resource bucket of `RunInstances` and its refill a second, EC2's defaults.
const RESOURCES: (f64, f64) = (1000.0, 2.0);
/// Bucket of each Describe call and its refill a second, as for unfiltered calls of EC2.
const DESCRIBES: (f64, f64) = (50.0, 10.0);
/// Bucket of `TerminateInstances` and its refill a second, EC2's defaults.
const TERMINATES: (f64, f64) = (100.0, 5.0);
/// How long ended instances and tokens are remembered: EC2 shows them for about an hour.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(1);
/// Instances that exist at once, ended ones not counted: more than any test starts.
const INSTANCES_MAX: usize = 2000;

/// Everything that the endpoint knows.
pub(crate) struct Ec2State {
    pub(crate) instances: BTreeMap<String, Instance>,
    pub(crate) faults: FaultInjection,
    pub(crate) calls: Calls,
    tokens: HashMap<(String, String), Launched>,
    /// Tokens whose launch found no capacity, with its fingerprint: EC2 may remember those as well.
    spent: HashMap<(String, String), (String, Timestamp)>,
    requests: Bucket,
    resources: Bucket,
    describes: Bucket,
    terminates: Bucket,
}

/// What a launch made, for the next request with its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Launched {
    pub(crate) reservation: String,
    pub(crate) ids: Vec<String>,
    fingerprint: String,
    at: Timestamp,
}

/// A launch whose parameters are resolved and good.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) token: Option<String>,
    /// Where the token counts: a zone once a subnet is given, else the region.
    pub(crate) token_scope: String,
    pub(crate) fingerprint: String,
    pub(crate) min: u32,
    pub(crate) max: u32,
    pub(crate) blueprint: Blueprint,
}

/// What every instance of a launch has in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blueprint {
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) zone: String,
    pub(crate) vpc: String,
    pub(crate) subnet: String,
    pub(crate) image: String,
    pub(crate) instance_type: String,
    pub(crate) user_data: Vec<u8>,
    pub(crate) profile: Option<Profile>,
    pub(crate) security_groups: Vec<String>,
    pub(crate) spot: bool,
    pub(crate) credit: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) tokens_required: bool,
    pub(crate) on_shutdown: OnShutdown,
    /// Id and version of the launch template.
    pub(crate) template: Option<(String, String)>,
}

/// What a shutdown from inside does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnShutdown {
    Stop,
    Terminate,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) reservation: String,
    pub(crate) token: Option<String>,
    pub(crate) address: String,
    pub(crate) blueprint: Blueprint,
    pub(crate) state: InstanceState,
    pub(crate) reason: Option<Reason>,
    pub(crate) launched: Timestamp,
    pub(crate) visible: Timestamp,
    pub(crate) running: Option<Timestamp>,
    pub(crate) ended: Option<Timestamp>,
}

/// EC2's states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InstanceState {
    Pending,
    Running,
    ShuttingDown,
    Terminated,
    Stopping,
    Stopped,
}

/// What moves an instance from state to state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Its machine is up.
    Booted,
    /// Someone ends it from outside, for good.
    Terminate(Reason),
    /// It shut itself down.
    PoweredOff,
    /// Its machine is gone.
    Gone,
}

/// Why an instance ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    User,
    Itself,
    Spot,
    Host,
}

impl Reason {
    /// EC2's code for it.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::User => "Client.UserInitiatedShutdown",
            Self::Itself => "Client.InstanceInitiatedShutdown",
            Self::Spot => "Server.SpotInstanceTermination",
            Self::Host => "Server.InternalError",
        }
    }
}

impl InstanceState {
    /// EC2's name for it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }

    /// EC2's number for it.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Pending => "0",
            Self::Running => "16",
            Self::ShuttingDown => "32",
            Self::Terminated => "48",
            Self::Stopping => "64",
            Self::Stopped => "80",
        }
    }

    /// The state after `change`; `None` when it changes nothing.
    fn after(self, change: Change, on_shutdown: OnShutdown) -> Option<Self> {
        match (change, self) {
            (Change::Booted, Self::Pending) => Some(Self::Running),
            (Change::Terminate(_), Self::Pending | Self::Running | Self::Stopping) => {
                Some(Self::ShuttingDown)
            }
            (Change::PoweredOff, Self::Pending | Self::Running) => match on_shutdown {
                OnShutdown::Terminate => Some(Self::ShuttingDown),
                OnShutdown::Stop => Some(Self::Stopping),
            },
            (Change::Gone, Self::Stopping) => Some(Self::Stopped),
            (Change::Gone, Self::Pending | Self::Running | Self::ShuttingDown)
            | (Change::Terminate(_), Self::Stopped) => Some(Self::Terminated),
            (
                Change::Booted,
                Self::Running
                | Self::ShuttingDown
                | Self::Terminated
                | Self::Stopping
                | Self::Stopped,
            )
            | (Change::Terminate(_), Self::ShuttingDown | Self::Terminated)
            | (
                Change::PoweredOff,
                Self::ShuttingDown | Self::Terminated | Self::Stopping | Self::Stopped,
            )
            | (Change::Gone, Self::Terminated | Self::Stopped) => None,
        }
    }

    /// Whether it is over.
    pub(crate) const fn ended(self) -> bool {
        match self {
            Self::Terminated | Self::Stopped => true,
            Self::Pending | Self::Running | Self::ShuttingDown | Self::Stopping => false,
        }
    }
}

/// The calls that have buckets of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Run,
    Describe,
    Terminate,
}

impl Ec2State {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            instances: BTreeMap::new(),
            faults: FaultInjection::default(),
            calls: Calls::default(),
            tokens: HashMap::new(),
            spent: HashMap::new(),
            requests: Bucket::full(REQUESTS, now),
            resources: Bucket::full(RESOURCES, now),
            describes: Bucket::full(DESCRIBES, now),
            terminates: Bucket::full(TERMINATES, now),
        }
    }

    /// Takes one call from its bucket.
    pub(crate) fn admit(&mut self, call: Call, now: Timestamp) -> Result<(), ApiError> {
        let bucket = match call {
            Call::Run => &mut self.requests,
            Call::Describe => &mut self.describes,
            Call::Terminate => &mut self.terminates,
        };
        if bucket.take(1.0, now) {
            Ok(())
        } else {
            Err(ApiError::with(
                http::StatusCode::SERVICE_UNAVAILABLE,
                "RequestLimitExceeded",
                "Request limit exceeded.",
            ))
        }
    }

    /// What a request with this token made before, if it did.
    pub(crate) fn replay(
        &self,
        token: Option<&str>,
        token_scope: &str,
        fingerprint: &str,
    ) -> Result<Option<Launched>, ApiError> {
        let Some(token) = token else { return Ok(None) };
        let key = (token.to_owned(), token_scope.to_owned());
        let launched = self.tokens.get(&key);
        let spent = self.spent.get(&key).map(|(of, _)| of.as_str());
        let of = launched.map(|launched| launched.fingerprint.as_str());
        if of.or(spent).is_some_and(|of| of != fingerprint) {
            return Err(ApiError::client(
                "IdempotentParameterMismatch",
                "The request uses the same client token as a previous, but non-identical request.",
            ));
        }
        Ok(launched.cloned())
    }

    /// Makes the instances of `plan`, or finds those that its token made. The second value says
    /// whether they are new, hence to be booted.
    pub(crate) fn launch(
        &mut self,
        plan: &Plan,
        now: Timestamp,
    ) -> Result<(Launched, bool), ApiError> {
        self.forget(now);
        if let Some(launched) =
            self.replay(plan.token.as_deref(), &plan.token_scope, &plan.fingerprint)?
        {
            return Ok((launched, false));
        }
        if let Some(error) = self.faults.next_run_error() {
            return Err(error);
        }
        let blueprint = &plan.blueprint;
        let capacity = self
            .faults
            .capacity(&blueprint.instance_type, &blueprint.subnet);
        if capacity < plan.min {
            if let Some(token) = &plan.token {
                self.spent.insert(
                    (token.clone(), plan.token_scope.clone()),
                    (plan.fingerprint.clone(), now),
                );
            }
            return Err(ApiError::server(
                "InsufficientInstanceCapacity",
                format!(
                    "We currently do not have sufficient {} capacity in the Availability Zone you \
                     requested ({}).",
                    blueprint.instance_type, blueprint.zone
                ),
            ));
        }
        let count = plan.max.min(capacity);
        let living = self.instances.values().filter(|one| !one.state.ended());
        if living.count() + count as usize > INSTANCES_MAX {
            return Err(ApiError::client(
                "VcpuLimitExceeded",
                "You have requested more vCPU capacity than your current limit allows.",
            ));
        }
        if !self.resources.take(f64::from(count), now) {
            return Err(ApiError::with(
                http::StatusCode::SERVICE_UNAVAILABLE,
                "ResourceLimitExceeded",
                "The resource rate limit of RunInstances is exceeded.",
            ));
        }
        self.faults
            .use_capacity(&blueprint.instance_type, &blueprint.subnet, count);
        Ok((self.create(plan, count, now), true))
    }

    /// Applies `change`; the new state if there is one.
    pub(crate) fn change(
        &mut self,
        id: &str,
        change: Change,
        now: Timestamp,
    ) -> Option<InstanceState> {
        let instance = self.instances.get_mut(id)?;
        let state = instance
            .state
            .after(change, instance.blueprint.on_shutdown)?;
        instance.state = state;
        match change {
            Change::Booted => instance.running = Some(now),
            Change::Terminate(reason) => instance.reason = Some(reason),
            Change::PoweredOff => instance.reason = Some(Reason::Itself),
            Change::Gone => {}
        }
        if state.ended() {
            instance.ended = Some(now);
        }
        Some(state)
    }

    fn create(&mut self, plan: &Plan, count: u32, now: Timestamp) -> Launched {
        let reservation = format!("r-{}", hex_id());
        let visible = now + self.faults.visible_after();
        let launched = now - self.faults.launched_ago();
        let mut ids = Vec::new();
        for _ in 0..count {
            let id = format!("i-{}", hex_id());
            let instance = Instance {
                id: id.clone(),
                reservation: reservation.clone(),
                token: plan.token.clone(),
                address: format!("172.31.{}.{}", fastrand::u8(0..48), fastrand::u8(4..=254)),
                blueprint: plan.blueprint.clone(),
                state: InstanceState::Pending,
                reason: None,
                launched,
                visible,
                running: None,
                ended: None,
            };
            self.instances.insert(id.clone(), instance);
            ids.push(id);
        }
        let made = Launched {
            reservation,
            ids,
            fingerprint: plan.fingerprint.clone(),
            at: now,
        };
        if let Some(token) = &plan.token {
            self.tokens
                .insert((token.clone(), plan.token_scope.clone()), made.clone());
        }
        made
    }

    fn forget(&mut self, now: Timestamp) {
        let old = |at: Timestamp| now.duration_since(at) > REMEMBERED;
        self.instances
            .retain(|_, one| one.state != InstanceState::Terminated || !one.ended.is_some_and(old));
        self.tokens.retain(|_, launched| !old(launched.at));
        self.spent.retain(|_, (_, at)| !old(*at));
    }
}

/// A token bucket.
#[derive(Debug, Clone, PartialEq)]
struct Bucket {
    size: f64,
    refill_per_s: f64,
    left: f64,
    at: Timestamp,
}

impl Bucket {
    fn full((size, refill_per_s): (f64, f64), now: Timestamp) -> Self {
        Self {
            size,
            refill_per_s,
            left: size,
            at: now,
        }
    }

    fn take(&mut self, count: f64, now: Timestamp) -> bool {
        let passed_s = now.duration_since(self.at).as_secs_f64().max(0.0);
        self.left = (self.left + passed_s * self.refill_per_s).min(self.size);
        self.at = now;
        if self.left < count {
            return false;
        }
        self.left -= count;
        true
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
