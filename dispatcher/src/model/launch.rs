//! How one launch is put together, and what EC2's answers mean. Pure.

use sha2::{Digest, Sha256};
use stacks::pool::{CapacityType, CpuCredits, Pool};

use crate::model::world::{Candidate, Launch, WaitingJob, World};

/// Most jobs of one launch. Its claim is one transaction of at most 100 actions: one for each job,
/// one for the launch, two for the counters; the transaction that records its instances is alike.
pub const JOBS_MAX: usize = 90;

/// Most candidates of one launch: the row stays small, and a pool that found no capacity in this
/// many places waits.
pub const CANDIDATES_MAX: usize = 24;

/// The launch of one instance per job of `jobs` from `pool`.
pub(crate) fn launch(world: &World, pool: &Pool, jobs: &[&WaitingJob]) -> Launch {
    Launch {
        id: id_of(jobs),
        pool: pool.name.clone(),
        jobs: jobs.iter().map(|job| job.key.clone()).collect(),
        count: u32::try_from(jobs.len()).expect("at most JOBS_MAX"),
        candidates: candidates(pool),
        at: 0,
        template_id: pool.template_id.clone(),
        template_version: pool.template_version.clone(),
        credit: pool.cpu_credits.map(|credit| {
            match credit {
                CpuCredits::Standard => "standard",
                CpuCredits::Unlimited => "unlimited",
            }
            .to_owned()
        }),
        max_lifetime_minutes: pool.max_lifetime_minutes,
        tags: world.tags.clone(),
        claimed_ms: world.now_ms,
        tried: Vec::new(),
    }
}

/// The id is derived from what is claimed, so two drains that decide the same collide in the
/// ledger instead of launching twice.
fn id_of(jobs: &[&WaitingJob]) -> String {
    let mut hash = Sha256::new();
    for job in jobs {
        let key = &job.key;
        hash.update(format!(
            "{}\n{}\n{}\n{}\n{}\n",
            key.repository, key.id, key.attempt, job.launches, job.not_before_ms
        ));
    }
    hex::encode(&hash.finalize()[..12])
}

/// Types × subnets in the pool's order of preference, Spot before On-Demand where both are allowed.
fn candidates(pool: &Pool) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    let as_spot: &[bool] = match pool.capacity {
        CapacityType::Spot => &[true],
        CapacityType::SpotThenOnDemand => &[true, false],
        CapacityType::OnDemand => &[false],
    };
    for &spot in as_spot {
        for instance_type in &pool.instance_types {
            for subnet in pool.subnets() {
                candidates.push(Candidate {
                    instance_type: instance_type.clone(),
                    subnet: subnet.to_owned(),
                    spot,
                });
            }
        }
    }
    candidates.truncate(CANDIDATES_MAX);
    candidates
}

/// Whether `instance_type` is burstable: a credit mode with any other type is refused by EC2.
pub(crate) fn is_burstable(instance_type: &str) -> bool {
    let family = instance_type.split('.').next().unwrap_or_default();
    family.starts_with('t') && family.as_bytes().get(1).is_some_and(u8::is_ascii_digit)
}

/// EC2's code for an empty bucket of requests.
pub const REQUESTS_EXCEEDED: &str = "RequestLimitExceeded";

/// What an error code of `RunInstances` asks us to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaunchErrorClass {
    /// No machine here now: try the next candidate.
    NextCandidate,
    /// Nothing was decided: ask again for the same, a little later.
    AskAgain,
    /// The token is in use with other parameters: find out what exists under it.
    LookUp,
    /// The request is wrong or forbidden, wherever it is sent: hold the jobs and say why.
    Hold,
}

/// Reads an EC2 error code (classes as the facts of six public dispatchers have them).
pub(crate) fn class_of(code: &str) -> LaunchErrorClass {
    match code {
        "InsufficientInstanceCapacity"
        | "InsufficientHostCapacity"
        | "InsufficientReservedInstanceCapacity"
        | "InsufficientFreeAddressesInSubnet"
        | "UnfulfillableCapacity"
        | "SpotMaxPriceTooLow"
        | "MaxSpotInstanceCountExceeded"
        | "VcpuLimitExceeded"
        | "InstanceLimitExceeded"
        | "Unsupported"
        | "InvalidSubnetID.NotFound" => LaunchErrorClass::NextCandidate,
        REQUESTS_EXCEEDED
        | "ResourceLimitExceeded"
        | "Throttling"
        | "ThrottlingException"
        | "InternalError"
        | "InternalFailure"
        | "ServiceUnavailable"
        | "Unavailable"
        | "RequestTimeout" => LaunchErrorClass::AskAgain,
        "IdempotentParameterMismatch" | "IdempotentInstanceTerminated" => LaunchErrorClass::LookUp,
        _ => LaunchErrorClass::Hold,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burstable_types_are_the_t_families_only() {
        for (instance_type, burstable) in [
            ("t3.small", true),
            ("t4g.medium", true),
            ("trn1.2xlarge", false),
            ("m7a.medium", false),
        ] {
            assert_eq!(is_burstable(instance_type), burstable, "{instance_type}");
        }
    }

    #[test]
    fn an_unknown_code_holds_the_jobs_instead_of_burning_candidates() {
        assert_eq!(class_of("SomethingNew"), LaunchErrorClass::Hold);
        assert_eq!(class_of("UnauthorizedOperation"), LaunchErrorClass::Hold);
    }
}
