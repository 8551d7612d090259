//! Tokens, buckets and states, as tables.

use super::*;
use crate::ec2::injection::{Capacity, RunError};
use crate::ec2::instance::Reason;

fn start() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn later(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

fn plan(token: &str, zone: &str, fingerprint: &str) -> Plan {
    Plan {
        token: token.to_owned(),
        fingerprint: fingerprint.to_owned(),
        min: 1,
        max: 1,
        blueprint: Blueprint::example(zone),
    }
}

#[test]
fn the_same_token_with_the_same_parameters_gives_the_same_instances_even_ended_ones() {
    let mut state = Ec2State::new(start());
    let (first, new) = state.launch(&plan("t", "a", "x"), start()).unwrap();
    assert!(new);
    state.change(&first.ids[0], Change::Terminate(Reason::User), later(1));
    state.change(&first.ids[0], Change::Gone, later(2));
    let (second, new) = state.launch(&plan("t", "a", "x"), later(3)).unwrap();
    assert!(!new);
    assert_eq!(first, second);
    assert_eq!(state.instances.len(), 1);
    assert_eq!(
        state.instances[&first.ids[0]].state,
        InstanceState::Terminated
    );
}

#[test]
fn the_same_token_with_other_parameters_is_a_mismatch_and_in_another_zone_a_new_launch() {
    let mut state = Ec2State::new(start());
    state.launch(&plan("t", "a", "x"), start()).unwrap();
    let error = state.launch(&plan("t", "a", "y"), start()).unwrap_err();
    assert_eq!(error.code, "IdempotentParameterMismatch");
    let (_, new) = state.launch(&plan("t", "b", "y"), start()).unwrap();
    assert!(new);
    assert_eq!(state.instances.len(), 2);
}

#[test]
fn a_token_whose_launch_found_no_capacity_is_good_for_the_same_request_only() {
    let mut state = Ec2State::new(start());
    state.faults.capacity = vec![Capacity {
        instance_type: None,
        subnet: None,
        spot: None,
        left: 0,
    }];
    let error = state.launch(&plan("t", "a", "x"), start()).unwrap_err();
    assert_eq!(error.code, "InsufficientInstanceCapacity");
    state.faults.capacity.clear();
    let error = state.launch(&plan("t", "a", "y"), start()).unwrap_err();
    assert_eq!(error.code, "IdempotentParameterMismatch");
    let (_, new) = state.launch(&plan("t", "a", "x"), start()).unwrap();
    assert!(new);
}

#[test]
fn five_requests_come_at_once_and_two_more_each_second() {
    let mut state = Ec2State::new(start());
    for _ in 0..5 {
        state.admit(Call::Run, start()).unwrap();
    }
    let error = state.admit(Call::Run, start()).unwrap_err();
    assert_eq!(error.code, "RequestLimitExceeded");
    state.admit(Call::Run, later(1)).unwrap();
    state.admit(Call::Run, later(1)).unwrap();
    assert!(state.admit(Call::Run, later(1)).is_err());
    state.admit(Call::Describe, later(1)).unwrap();
}

#[test]
fn a_thousand_instances_come_at_once_and_then_the_resources_are_out() {
    let mut state = Ec2State::new(start());
    let mut many = plan("t1", "a", "x");
    (many.min, many.max) = (1, 1000);
    let (launched, _) = state.launch(&many, start()).unwrap();
    assert_eq!(launched.ids.len(), 1000);
    let error = state.launch(&plan("t2", "a", "x"), start()).unwrap_err();
    assert_eq!(error.code, "ResourceLimitExceeded");
    state.launch(&plan("t2", "a", "x"), later(1)).unwrap();
}

#[test]
fn short_capacity_gives_fewer_instances_and_less_than_the_minimum_gives_none() {
    let mut state = Ec2State::new(start());
    state.faults.capacity = vec![Capacity {
        instance_type: Some("t3.small".to_owned()),
        subnet: None,
        spot: None,
        left: 3,
    }];
    let mut five = plan("t1", "a", "x");
    (five.min, five.max) = (1, 5);
    assert_eq!(state.launch(&five, start()).unwrap().0.ids.len(), 3);
    let error = state.launch(&plan("t2", "a", "x"), start()).unwrap_err();
    assert_eq!(error.code, "InsufficientInstanceCapacity");
    assert_eq!(state.instances.len(), 3);
}

#[test]
fn an_injected_error_is_used_up_and_makes_nothing() {
    let mut state = Ec2State::new(start());
    state.faults.run_error = Some(RunError {
        code: "SpotMaxPriceTooLow".to_owned(),
        message: None,
        count: 1,
    });
    let error = state.launch(&plan("t", "a", "x"), start()).unwrap_err();
    assert_eq!(error.code, "SpotMaxPriceTooLow");
    assert!(state.instances.is_empty());
    assert!(state.launch(&plan("t", "a", "x"), start()).unwrap().1);
}

#[test]
fn an_instance_goes_through_ec2s_states_and_never_back() {
    let by_user = Change::Terminate(Reason::User);
    let stops = Change::Stop(Reason::Itself);
    for (changes, last) in [
        (vec![Change::Booted], InstanceState::Running),
        (vec![Change::Booted, by_user], InstanceState::ShuttingDown),
        (
            vec![Change::Booted, by_user, Change::Gone],
            InstanceState::Terminated,
        ),
        (vec![by_user, Change::Booted], InstanceState::ShuttingDown),
        (vec![Change::Gone, by_user], InstanceState::Terminated),
        (vec![Change::Booted, stops], InstanceState::Stopping),
        (
            vec![Change::Booted, stops, Change::Gone],
            InstanceState::Stopped,
        ),
        (
            vec![Change::Booted, stops, Change::Gone, Change::Gone],
            InstanceState::Stopped,
        ),
        (
            vec![Change::Booted, stops, by_user],
            InstanceState::ShuttingDown,
        ),
        (
            vec![Change::Booted, stops, Change::Gone, by_user, Change::Gone],
            InstanceState::Terminated,
        ),
        (vec![by_user, stops], InstanceState::ShuttingDown),
    ] {
        let mut state = Ec2State::new(start());
        let (launched, _) = state.launch(&plan("t", "a", "x"), start()).unwrap();
        for change in &changes {
            state.change(&launched.ids[0], *change, start());
        }
        let state = state.instances[&launched.ids[0]].state;
        assert_eq!(state, last, "{changes:?}");
    }
}

#[test]
fn ended_instances_are_forgotten_after_an_hour() {
    let mut state = Ec2State::new(start());
    let (launched, _) = state.launch(&plan("t", "a", "x"), start()).unwrap();
    state.change(&launched.ids[0], Change::Gone, start());
    state.launch(&plan("t2", "a", "x"), later(3601)).unwrap();
    assert!(!state.instances.contains_key(&launched.ids[0]));
}
