//! The lab's EC2 as data: instances, tokens, buckets, faults. No clock, no process: `now` comes in,
//! what is to be booted goes out.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::ec2::api_error::ApiError;
use crate::ec2::calls::Calls;
use crate::ec2::catalog;
use crate::ec2::images::Images;
use crate::ec2::injection::FaultInjection;
use crate::ec2::instance::{Blueprint, Change, Instance, InstanceState};
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

/// Everything that the endpoint knows.
pub(crate) struct Ec2State {
    pub(crate) instances: BTreeMap<String, Instance>,
    pub(crate) images: Images,
    pub(crate) faults: FaultInjection,
    pub(crate) calls: Calls,
    /// By token and zone, where a token counts.
    tokens: BTreeMap<(String, String), Launched>,
    /// Tokens whose launch found no capacity, with its fingerprint: EC2 may remember those as well.
    spent: BTreeMap<(String, String), (String, Timestamp)>,
    requests: Bucket,
    resources: Bucket,
    describes: Bucket,
    terminates: Bucket,
}

/// What a launch made, for the next request with its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Launched {
    pub(crate) ids: Vec<String>,
    fingerprint: String,
    at: Timestamp,
}

/// A launch whose parameters are resolved and good.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) token: String,
    pub(crate) fingerprint: String,
    pub(crate) min: u32,
    pub(crate) max: u32,
    pub(crate) blueprint: Blueprint,
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
            images: Images::default(),
            faults: FaultInjection::default(),
            calls: Calls::default(),
            tokens: BTreeMap::new(),
            spent: BTreeMap::new(),
            requests: Bucket::full(REQUESTS, now),
            resources: Bucket::full(RESOURCES, now),
            describes: Bucket::full(DESCRIBES, now),
            terminates: Bucket::full(TERMINATES, now),
        }
    }

    /// Whether one of these has ended, and nobody may end it by its tags any more.
    pub(crate) fn denies_end_of(&mut self, ids: &[String]) -> bool {
        let mut instances = ids.iter().filter_map(|id| self.instances.get(id));
        instances.any(|one| one.state == InstanceState::Terminated) && self.faults.denies_end()
    }

    /// Takes one call from its bucket.
    pub(crate) fn admit(&mut self, call: Call, now: Timestamp) -> Result<(), ApiError> {
        let bucket = match call {
            Call::Run => &mut self.requests,
            Call::Describe => &mut self.describes,
            Call::Terminate => &mut self.terminates,
        };
        if bucket.take(1.0, now) || self.faults.unthrottled {
            Ok(())
        } else {
            Err(ApiError::with(
                http::StatusCode::SERVICE_UNAVAILABLE,
                "RequestLimitExceeded",
                "Request limit exceeded.",
            ))
        }
    }

    /// Makes the instances of `plan`, or finds those that its token made. The second value says
    /// whether they are new, hence to be booted.
    pub(crate) fn launch(
        &mut self,
        plan: &Plan,
        now: Timestamp,
    ) -> Result<(Launched, bool), ApiError> {
        self.forget(now);
        let blueprint = &plan.blueprint;
        let key = (plan.token.clone(), blueprint.zone.clone());
        let launched = self.tokens.get(&key);
        let spent = self.spent.get(&key).map(|(of, _)| of);
        let of = launched.map(|launched| &launched.fingerprint).or(spent);
        if of.is_some_and(|of| *of != plan.fingerprint) {
            return Err(ApiError::client(
                "IdempotentParameterMismatch",
                "The request uses the same client token as a previous, but non-identical request.",
            ));
        }
        if let Some(launched) = launched {
            return Ok((launched.clone(), false));
        }
        if let Some(error) = self.faults.next_run_error() {
            return Err(error);
        }
        if self.faults.free_plan && !catalog::is_free(&blueprint.instance_type) {
            return Err(ApiError::combination(
                "The specified instance type is not eligible for Free Tier. For a list of Free \
                 Tier instance types, run 'describe-instance-types' with the filter \
                 'free-tier-eligible=true'.",
            ));
        }
        // Before EC2 looks for capacity, and for all that is asked for: whether it would give a part
        // is not documented.
        let over = InstanceState::Terminated;
        let living = self.instances.values().filter(|one| one.state != over);
        if living.count() + plan.max as usize > self.faults.quota as usize {
            return Err(if blueprint.spot {
                ApiError::client(
                    "MaxSpotInstanceCountExceeded",
                    "Max spot instance count exceeded",
                )
            } else {
                ApiError::client(
                    "VcpuLimitExceeded",
                    "You have requested more vCPU capacity than your current vCPU limit allows for \
                     the instance bucket that the specified instance type belongs to.",
                )
            });
        }
        let sold = (
            blueprint.instance_type.as_str(),
            blueprint.subnet.as_str(),
            blueprint.spot,
        );
        let capacity = self.faults.capacity(sold);
        if capacity < plan.min {
            self.spent.insert(key, (plan.fingerprint.clone(), now));
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
        if !self.resources.take(f64::from(count), now) {
            return Err(ApiError::with(
                http::StatusCode::SERVICE_UNAVAILABLE,
                "ResourceLimitExceeded",
                "The resource rate limit of RunInstances is exceeded.",
            ));
        }
        self.faults.use_capacity(sold, count);
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
        let state = instance.state.after(change)?;
        instance.state = state;
        match change {
            Change::Booted => instance.running = Some(now),
            Change::Stop(reason) | Change::Terminate(reason) => instance.reason = Some(reason),
            Change::Gone => {
                instance.halted.get_or_insert(now);
                if state == InstanceState::Terminated {
                    instance.ended = Some(now);
                }
            }
        }
        Some(state)
    }

    /// Whether EC2 would stop the instance, which the caller has found.
    pub(crate) fn check_stoppable(&self, id: &str) -> Result<(), ApiError> {
        let Some(instance) = self.instances.get(id) else {
            return Ok(());
        };
        if instance.blueprint.spot {
            let words = format!(
                "You can't stop the Spot Instance '{id}' because it is associated with a one-time Spot \
                 Instance request. You can only stop Spot Instances associated with persistent Spot \
                 Instance requests."
            );
            return Err(ApiError::client("UnsupportedOperation", words));
        }
        match instance.state {
            InstanceState::Running | InstanceState::Stopping | InstanceState::Stopped => Ok(()),
            InstanceState::Pending | InstanceState::ShuttingDown | InstanceState::Terminated => {
                let words =
                    format!("This instance '{id}' is not in a state from which it can be stopped.");
                Err(ApiError::client("IncorrectInstanceState", words))
            }
        }
    }

    fn create(&mut self, plan: &Plan, count: u32, now: Timestamp) -> Launched {
        let visible = now + self.faults.visible_after();
        let launched = now - self.faults.launched_ago();
        let mut ids = Vec::new();
        for _ in 0..count {
            let id = format!("i-{}", hex_id());
            let instance = Instance {
                id: id.clone(),
                token: plan.token.clone(),
                blueprint: plan.blueprint.clone(),
                state: InstanceState::Pending,
                reason: None,
                launched,
                visible,
                running: None,
                halted: None,
                ended: None,
            };
            self.instances.insert(id.clone(), instance);
            ids.push(id);
        }
        let made = Launched {
            ids,
            fingerprint: plan.fingerprint.clone(),
            at: now,
        };
        let key = (plan.token.clone(), plan.blueprint.zone.clone());
        self.tokens.insert(key, made.clone());
        made
    }

    fn forget(&mut self, now: Timestamp) {
        let old = |at: Timestamp| now.duration_since(at) > REMEMBERED;
        self.instances.retain(|_, one| !one.ended.is_some_and(old));
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
