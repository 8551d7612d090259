//! How one launch is put together, and where it is tried next. Pure.

use sha2::{Digest, Sha256};
use stacks::pool::{CapacityType, CpuCredits, Pool};

use super::launch_error::Elsewhere;
use crate::model::world::{Candidate, Launch, WaitingJob, World};

/// Most jobs of one launch. Its claim is one transaction of at most 100 actions: one for each job,
/// one for the launch, two for the counters; the transaction that records its instances is alike.
pub const JOBS_MAX: usize = 90;

/// Most candidates of one launch: the row stays small, and a pool that found no capacity in this
/// many places waits. Where both markets are allowed, each has half of them.
pub const CANDIDATES_MAX: usize = 24;

/// How long a launch is tried as Spot where the pool allows On-Demand, in milliseconds: somebody
/// waits, and EC2 takes a second or two for each refusal.
pub const SPOT_PATIENCE_MS: u64 = 10_000;

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
        sent_ms: world.now_ms,
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
    let as_spot: &[bool] = match pool.capacity {
        CapacityType::Spot => &[true],
        CapacityType::SpotThenOnDemand => &[true, false],
        CapacityType::OnDemand => &[false],
    };
    let places = places(pool, CANDIDATES_MAX / as_spot.len());
    let of_market = |&spot: &bool| {
        let candidate = move |&(instance_type, subnet): &(&str, &str)| Candidate {
            instance_type: instance_type.to_owned(),
            subnet: subnet.to_owned(),
            spot,
        };
        places.iter().map(candidate)
    };
    as_spot.iter().flat_map(of_market).collect()
}

/// At most `max` pairs of type and subnet in the pool's order of preference. Where there are more, every
/// type keeps some and so does every subnet: what one lacks, another may have.
fn places(pool: &Pool, max: usize) -> Vec<(&str, &str)> {
    let subnets: Vec<&str> = pool.subnets().collect();
    let mut kept = Vec::new();
    for turn in 0..subnets.len() {
        for at in 0..pool.instance_types.len() {
            kept.push((at, (at + turn) % subnets.len()));
        }
    }
    kept.truncate(max);
    kept.sort_unstable();
    let named = |(at, subnet): (usize, usize)| (pool.instance_types[at].as_str(), subnets[subnet]);
    kept.into_iter().map(named).collect()
}

/// The word of who is at work on a launch no longer.
pub(crate) const NOT_SENT: u64 = 0;
/// Longest time from the word that a launch is sent until the request is, in milliseconds.
pub(crate) const SENT_WITHIN_MS: u64 = 4_000;
/// Longest time from that word until EC2 has answered, in milliseconds: the request itself may take 15 s.
pub(crate) const ANSWERED_WITHIN_MS: u64 = 20_000;

impl Launch {
    /// Whether nobody is at work on it any more. Two who send it at once may be told different things, where
    /// capacity comes or goes between them, and one of them then gives back what the other was given.
    pub(crate) fn is_left(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.sent_ms) > ANSWERED_WITHIN_MS
    }

    /// The candidate to try after the current one was refused and only what is `elsewhere` may help, by
    /// its number; `None` when there is none. Spot is tried for a while only.
    pub(crate) fn next(&self, elsewhere: Elsewhere, now_ms: u64) -> Option<usize> {
        let refused = self.candidate()?;
        let helps = |at: &usize| elsewhere.is(refused, &self.candidates[*at]);
        let mut rest = (self.at + 1..self.candidates.len()).filter(helps);
        let first = rest.next()?;
        let is_over = now_ms.saturating_sub(self.claimed_ms) >= SPOT_PATIENCE_MS;
        if is_over && self.candidates[first].spot {
            return rest.find(|at| !self.candidates[*at].spot).or(Some(first));
        }
        Some(first)
    }
}

impl Elsewhere {
    fn is(self, refused: &Candidate, other: &Candidate) -> bool {
        match self {
            Self::Place => true,
            Self::Type => refused.instance_type != other.instance_type,
            Self::Quota => quota_of(refused) != quota_of(other),
            Self::Market => refused.spot != other.spot,
        }
    }
}

/// The account's quota that a candidate counts towards: each market has one for all standard families
/// together (A, C, D, H, I, M, R, T, Z), and one for each of the others.
fn quota_of(candidate: &Candidate) -> (bool, &str) {
    const STANDARD: [&str; 11] = ["a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"];
    let name = candidate.instance_type.as_str();
    let letters = name.find(|c: char| !c.is_ascii_lowercase());
    let family = &name[..letters.unwrap_or(name.len())];
    let of = if STANDARD.contains(&family) {
        "standard"
    } else {
        family
    };
    (candidate.spot, of)
}

/// Whether `instance_type` is burstable: a credit mode with any other type is refused by EC2.
pub(crate) fn is_burstable(instance_type: &str) -> bool {
    let family = instance_type.split('.').next().unwrap_or_default();
    family.starts_with('t') && family.as_bytes().get(1).is_some_and(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::world::World;
    use stacks::pool::Scope;

    fn pool(types: usize, subnets: usize, capacity: CapacityType) -> Pool {
        let names = |kind: &str, count: usize| -> Vec<String> {
            (0..count).map(|at| format!("{kind}{at}")).collect()
        };
        Pool {
            name: "base".to_owned(),
            labels: Vec::new(),
            accepts_unlabelled: false,
            scope: Scope::Global,
            repositories: Vec::new(),
            instance_types: names("t", types),
            subnets: names("subnet-", subnets).join(","),
            capacity,
            cpu_credits: None,
            max_runners: 1,
            max_lifetime_minutes: 1,
            boot_timeout_minutes: 1,
            idle_timeout_minutes: 1,
            clone_token: false,
            template_id: String::new(),
            template_version: String::new(),
        }
    }

    fn launch_of(pool: &Pool) -> Launch {
        launch(&World::default(), pool, &[])
    }

    #[test]
    fn however_many_types_and_subnets_there_are_both_markets_have_their_candidates() {
        for (types, subnets) in [(1, 1), (3, 3), (4, 6), (8, 3), (20, 6), (30, 1)] {
            let candidates = candidates(&pool(types, subnets, CapacityType::SpotThenOnDemand));
            let spot = candidates.iter().filter(|one| one.spot).count();
            assert_eq!(spot * 2, candidates.len());
            assert_eq!(candidates.len(), (types * subnets * 2).min(CANDIDATES_MAX));
            assert!(candidates.is_sorted_by_key(|one| !one.spot));
        }
    }

    #[test]
    fn where_there_are_too_many_every_type_and_every_subnet_keeps_some() {
        let pool = pool(8, 3, CapacityType::SpotThenOnDemand);
        let places = places(&pool, 12);
        for name in &pool.instance_types {
            assert!(
                places.iter().any(|(of, _)| of == name),
                "{name}: {places:?}"
            );
        }
        for subnet in pool.subnets() {
            assert!(places.iter().any(|(_, of)| *of == subnet), "{subnet}");
        }
        assert!(places.is_sorted(), "the order of preference: {places:?}");
    }

    #[test]
    fn spot_is_left_after_a_while_where_on_demand_is_allowed_and_only_there() {
        let both = launch_of(&pool(8, 3, CapacityType::SpotThenOnDemand));
        assert_eq!(both.next(Elsewhere::Place, 0), Some(1));
        assert_eq!(both.next(Elsewhere::Place, SPOT_PATIENCE_MS), Some(12));
        let spot = launch_of(&pool(8, 3, CapacityType::Spot));
        assert_eq!(spot.next(Elsewhere::Place, SPOT_PATIENCE_MS), Some(1));
    }

    #[test]
    fn what_can_not_help_is_passed_over() {
        let mut pool = pool(0, 2, CapacityType::SpotThenOnDemand);
        pool.instance_types = ["c7i.large", "m7i.large", "g5.xlarge"]
            .map(str::to_owned)
            .into();
        let launch = launch_of(&pool);
        assert_eq!(launch.next(Elsewhere::Place, 0), Some(1));
        assert_eq!(launch.next(Elsewhere::Type, 0), Some(2));
        assert_eq!(
            launch.next(Elsewhere::Quota, 0),
            Some(4),
            "a GPU has its own"
        );
        assert_eq!(launch.next(Elsewhere::Market, 0), Some(6));
        let last = Launch { at: 11, ..launch };
        assert_eq!(last.next(Elsewhere::Place, 0), None);
    }

    #[test]
    fn standard_families_share_a_quota_and_others_have_their_own() {
        let of = |name: &str| {
            let candidate = Candidate {
                instance_type: name.to_owned(),
                subnet: String::new(),
                spot: true,
            };
            quota_of(&candidate).1.to_owned()
        };
        for name in [
            "t3.small",
            "m7i-flex.large",
            "c6gn.large",
            "is4gen.large",
            "im4gn.large",
        ] {
            assert_eq!(of(name), "standard", "{name}");
        }
        for name in [
            "g5.xlarge",
            "p4d.24xlarge",
            "inf2.xlarge",
            "trn1.2xlarge",
            "dl1.24xlarge",
        ] {
            assert_ne!(of(name), "standard", "{name}");
        }
    }

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
}
