//! Tokens, buckets and states, as tables.

use super::*;
use crate::ec2::injection::{Capacity, RunError};

fn start() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn later(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

fn plan(token: &str, zone: &str, fingerprint: &str) -> Plan {
    Plan {
        token: Some(token.to_owned()),
        token_scope: zone.to_owned(),
        fingerprint: fingerprint.to_owned(),
        min: 1,
        max: 1,
        blueprint: Blueprint {
            account: "111111111111".to_owned(),
            region: "eu-west-1".to_owned(),
            zone: zone.to_owned(),
            vpc: "vpc-1".to_owned(),
            subnet: format!("subnet-{zone}"),
            image: "ami-1".to_owned(),
            instance_type: "t3.small".to_owned(),
            user_data: Vec::new(),
            profile: None,
            security_groups: Vec::new(),
            spot: true,
            credit: None,
            tags: BTreeMap::new(),
            tokens_required: true,
            on_shutdown: OnShutdown::Terminate,
            template: None,
        },
    }
}

#[test]
fn the_same_token_with_the_same_parameters_gives_the_same_instances_even_ended_ones() {
    let mut world = World::new(start());
    let (first, new) = world.launch(&plan("t", "a", "x"), start()).unwrap();
    assert!(new);
    world.change(&first.ids[0], Change::Terminate(Reason::User), later(1));
    world.change(&first.ids[0], Change::Gone, later(2));
    let (second, new) = world.launch(&plan("t", "a", "x"), later(3)).unwrap();
    assert!(!new);
    assert_eq!(first, second);
    assert_eq!(world.instances.len(), 1);
    assert_eq!(world.instances[&first.ids[0]].state, State::Terminated);
}

#[test]
fn the_same_token_with_other_parameters_is_a_mismatch_and_in_another_zone_a_new_launch() {
    let mut world = World::new(start());
    world.launch(&plan("t", "a", "x"), start()).unwrap();
    let error = world.launch(&plan("t", "a", "y"), start()).unwrap_err();
    assert_eq!(error.code, "IdempotentParameterMismatch");
    let (_, new) = world.launch(&plan("t", "b", "y"), start()).unwrap();
    assert!(new);
    assert_eq!(world.instances.len(), 2);
}

#[test]
fn a_token_whose_launch_found_no_capacity_is_good_for_the_same_request_only() {
    let mut world = World::new(start());
    world.faults.capacity = vec![Capacity {
        instance_type: None,
        subnet: None,
        left: 0,
    }];
    let error = world.launch(&plan("t", "a", "x"), start()).unwrap_err();
    assert_eq!(error.code, "InsufficientInstanceCapacity");
    world.faults.capacity.clear();
    let error = world.launch(&plan("t", "a", "y"), start()).unwrap_err();
    assert_eq!(error.code, "IdempotentParameterMismatch");
    let (_, new) = world.launch(&plan("t", "a", "x"), start()).unwrap();
    assert!(new);
}

#[test]
fn five_requests_come_at_once_and_two_more_each_second() {
    let mut world = World::new(start());
    for _ in 0..5 {
        world.admit(Call::Run, start()).unwrap();
    }
    let error = world.admit(Call::Run, start()).unwrap_err();
    assert_eq!(error.code, "RequestLimitExceeded");
    world.admit(Call::Run, later(1)).unwrap();
    world.admit(Call::Run, later(1)).unwrap();
    assert!(world.admit(Call::Run, later(1)).is_err());
    world.admit(Call::Describe, later(1)).unwrap();
}

#[test]
fn a_thousand_instances_come_at_once_and_then_the_resources_are_out() {
    let mut world = World::new(start());
    let mut many = plan("t1", "a", "x");
    (many.min, many.max) = (1, 1000);
    let (launched, _) = world.launch(&many, start()).unwrap();
    assert_eq!(launched.ids.len(), 1000);
    let error = world.launch(&plan("t2", "a", "x"), start()).unwrap_err();
    assert_eq!(error.code, "ResourceLimitExceeded");
    world.launch(&plan("t2", "a", "x"), later(1)).unwrap();
}

#[test]
fn short_capacity_gives_fewer_instances_and_less_than_the_minimum_gives_none() {
    let mut world = World::new(start());
    world.faults.capacity = vec![Capacity {
        instance_type: Some("t3.small".to_owned()),
        subnet: None,
        left: 3,
    }];
    let mut five = plan("t1", "a", "x");
    (five.min, five.max) = (1, 5);
    assert_eq!(world.launch(&five, start()).unwrap().0.ids.len(), 3);
    let error = world.launch(&plan("t2", "a", "x"), start()).unwrap_err();
    assert_eq!(error.code, "InsufficientInstanceCapacity");
    assert_eq!(world.instances.len(), 3);
}

#[test]
fn an_injected_error_is_used_up_and_makes_nothing() {
    let mut world = World::new(start());
    world.faults.run_error = Some(RunError {
        code: "SpotMaxPriceTooLow".to_owned(),
        count: 1,
    });
    let error = world.launch(&plan("t", "a", "x"), start()).unwrap_err();
    assert_eq!(error.code, "SpotMaxPriceTooLow");
    assert!(world.instances.is_empty());
    assert!(world.launch(&plan("t", "a", "x"), start()).unwrap().1);
}

#[test]
fn an_instance_goes_through_ec2s_states_and_never_back() {
    let by_user = Change::Terminate(Reason::User);
    let (stop, end) = (OnShutdown::Stop, OnShutdown::Terminate);
    for (behaviour, changes, last) in [
        (end, vec![Change::Booted], State::Running),
        (end, vec![Change::Booted, by_user], State::ShuttingDown),
        (
            end,
            vec![Change::Booted, Change::PoweredOff, Change::Gone],
            State::Terminated,
        ),
        (end, vec![by_user, Change::Booted], State::ShuttingDown),
        (
            stop,
            vec![Change::Booted, Change::PoweredOff, Change::Gone],
            State::Stopped,
        ),
        (
            stop,
            vec![Change::PoweredOff, Change::Gone, by_user],
            State::Terminated,
        ),
        (end, vec![Change::Gone, by_user], State::Terminated),
    ] {
        let mut world = World::new(start());
        let mut one = plan("t", "a", "x");
        one.blueprint.on_shutdown = behaviour;
        let (launched, _) = world.launch(&one, start()).unwrap();
        for change in &changes {
            world.change(&launched.ids[0], *change, start());
        }
        let state = world.instances[&launched.ids[0]].state;
        assert_eq!(state, last, "{behaviour:?} {changes:?}");
    }
}

#[test]
fn ended_instances_are_forgotten_after_an_hour() {
    let mut world = World::new(start());
    let (launched, _) = world.launch(&plan("t", "a", "x"), start()).unwrap();
    world.change(&launched.ids[0], Change::Gone, start());
    world.launch(&plan("t2", "a", "x"), later(3601)).unwrap();
    assert!(!world.instances.contains_key(&launched.ids[0]));
}
