//! Where a launch goes when EC2 has no machine for it. Times are printed here and never asserted closely:
//! the lab's EC2 answers at once, the real one takes a second or two for each refusal.

use std::time::{Duration, Instant};

use lab::{Capacity, FaultInjection};
use stacks::pool::{CapacityType, Pool};

use crate::delivery::Job;
use crate::support::{SUBNET_A, SUBNET_B};
use crate::world::{Shape, World, entries};

/// What EC2 takes for a refusal, in milliseconds.
const REFUSAL_MS: u32 = 1_000;
/// Longest from the delivery to the On-Demand machine: the patience with Spot, and what is under way then.
const FALLBACK_MAX: Duration = Duration::from_secs(20);

/// All types that the lab sells for x86, in three subnets.
fn wide(pool: &mut Pool) {
    const TYPES: &str =
        "t3.small t3.medium t3.large t3a.small t3a.medium c6i.large c7i.large m6i.large";
    pool.instance_types = TYPES.split(' ').map(str::to_owned).collect();
    pool.subnets = format!("{SUBNET_A},{SUBNET_B},subnet-00000003");
    pool.capacity = CapacityType::SpotThenOnDemand;
}

fn three_by_three(pool: &mut Pool) {
    wide(pool);
    pool.instance_types.truncate(3);
}

fn without_spot() -> FaultInjection {
    FaultInjection {
        capacity: vec![Capacity {
            instance_type: None,
            subnet: None,
            spot: Some(true),
            left: 0,
        }],
        latency_ms: REFUSAL_MS,
        ..entries()
    }
}

/// A job in a region without any Spot machine: how long until it has another.
async fn falls_back(what: &str, pool: fn(&mut Pool)) {
    let shape = Shape {
        pool,
        ..Shape::default()
    };
    let Some(world) = World::of(shape).await else {
        return;
    };
    world.bench.faults(&without_spot());
    world.queue(&[Job::new(1)]).await;
    let begun = Instant::now();
    // One drain, and no tick after it.
    world.drain().await;
    let took = begun.elapsed();
    let machine = world.the_instance().await;
    assert_eq!(world.runner(&machine).await["spot"], false);
    let calls = world.bench.lab.calls().await.unwrap();
    let refused = calls.with("RunInstances", "InsufficientInstanceCapacity");
    eprintln!("{what}: {refused} refusals of {REFUSAL_MS} ms, On-Demand after {took:.1?}");
    assert!(took < FALLBACK_MAX, "{took:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_spot_three_types_in_three_subnets_get_an_on_demand_machine_in_seconds() {
    falls_back("3 x 3", three_by_three).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_spot_eight_types_in_three_subnets_get_one_as_fast() {
    falls_back("8 x 3", wide).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_on_the_free_plan_gets_the_type_that_it_may_have() {
    let shape = Shape {
        pool: |pool| {
            wide(pool);
            pool.instance_types = ["m6i.large", "t3.medium", "t3.small"]
                .map(str::to_owned)
                .into();
        },
        ..Shape::default()
    };
    let Some(world) = World::of(shape).await else {
        return;
    };
    world.bench.faults(&FaultInjection {
        free_plan: true,
        ..entries()
    });
    world.queue(&[Job::new(1)]).await;
    world.drain().await;
    let machine = world.the_instance().await;
    assert_eq!(world.runner(&machine).await["instance_type"], "t3.small");
    // A type that is refused in one subnet is not asked for in the others.
    let calls = world.bench.lab.calls().await.unwrap();
    assert_eq!(calls.attempts("RunInstances"), 3);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_batch_over_the_quota_as_many_get_a_machine_as_there_is_room_for() {
    for (capacity, code) in [
        (CapacityType::Spot, "MaxSpotInstanceCountExceeded"),
        (CapacityType::OnDemand, "VcpuLimitExceeded"),
    ] {
        let Some(world) = World::up().await else {
            return;
        };
        let forge = world.bench.lab.file().forge.clone();
        world
            .change_pool("base", |pool| pool.capacity = capacity)
            .await;
        let handler = world.cold(&forge);
        let quota = |quota| FaultInjection {
            quota,
            unthrottled: true,
            ..entries()
        };
        world.bench.faults(&quota(4));
        let jobs: Vec<Job> = (1..=15).map(Job::new).collect();
        world.queue(&jobs).await;
        world.drain_by(&handler).await;
        assert_eq!(world.living().await.len(), 4, "{code}");
        assert_eq!(world.counters().await["all"], 4);
        assert!(world.live("launch").await.is_empty());
        let calls = world.bench.lab.calls().await.unwrap();
        // The batch, and then one by one until some are refused: not every job of the list.
        let refused = calls.with("RunInstances", code);
        assert!((2..=7).contains(&refused), "{refused} refusals");
        let mut told = 0;
        for job in &jobs {
            told += usize::from(world.standing(job).await.1.contains(code));
        }
        assert!(told > 0, "its owner reads why");

        // Meanwhile nothing is asked for; when there is room again, all get theirs.
        world.drain_by(&handler).await;
        let again = world.bench.lab.calls().await.unwrap();
        assert_eq!(
            again.attempts("RunInstances"),
            calls.attempts("RunInstances")
        );
        world.bench.faults(&quota(100));
        world.expire_holds().await;
        world.drain_by(&handler).await;
        assert_eq!(world.living().await.len(), jobs.len());
        world.end().await;
    }
}
