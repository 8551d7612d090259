//! Machines that nobody needs.

use dispatcher::model::runner::{EndReason, Runner, RunnerState};
use dispatcher::plan::{IDLE_MARGIN_MS, SCALE_IN_MAX, SETTLE_MS, SURPLUS_GRACE_MS};

use super::story::{
    MINUTE_MS, NOW_MS, claimed, ending, in_state, open_launch, runner, told, waiting, world,
};

/// Seen as too many for as long as it takes.
fn surplus(instance: &str) -> Runner {
    Runner {
        surplus_since_ms: Some(NOW_MS - SURPLUS_GRACE_MS),
        ..runner(instance, "a")
    }
}

fn registered(runner: Runner) -> Runner {
    Runner {
        forge_id: Some(7),
        ..in_state(runner, RunnerState::Idle, NOW_MS - 1)
    }
}

fn disabled(instance: &str, ago_ms: u64) -> Runner {
    let runner = registered(runner(instance, "a"));
    in_state(runner, RunnerState::Disabled, NOW_MS - ago_ms)
}

#[test]
fn a_machine_too_many_has_a_grace_for_the_next_job_and_is_ended_while_it_boots() {
    let mut story = world(vec![], vec![runner("i-1", "a")]);
    assert_eq!(told(&story), ["surplus [i-1] needed []"]);

    story.runners[0].surplus_since_ms = Some(NOW_MS - SURPLUS_GRACE_MS + 1);
    assert!(told(&story).is_empty(), "within the grace");

    story.runners[0].surplus_since_ms = Some(NOW_MS - SURPLUS_GRACE_MS);
    assert_eq!(told(&story), ["end i-1 as surplus"]);

    story.jobs = vec![waiting(2)];
    assert_eq!(
        told(&story),
        ["adopt 2 by a", "surplus [] needed [i-1]"],
        "the newer run of a concurrency group takes it over"
    );
}

#[test]
fn every_job_on_the_list_keeps_one_machine_whatever_holds_it() {
    let mut later = waiting(2);
    later.not_before_ms = NOW_MS + 1;
    let machines = vec![surplus("i-1"), surplus("i-2"), surplus("i-3")];
    let story = world(vec![claimed(1, "a", 1), later], machines);
    assert_eq!(
        told(&story),
        ["surplus [] needed [i-2,i-3]", "end i-1 as surplus"]
    );
}

#[test]
fn a_launch_under_way_makes_no_machine_superfluous() {
    let mut story = world(vec![claimed(1, "a", 1)], vec![surplus("i-1")]);
    story.launches = vec![open_launch("b")];
    assert_eq!(told(&story), ["reissue b", "surplus [] needed [i-1]"]);
}

#[test]
fn machines_of_one_pool_are_no_supply_for_the_jobs_of_another() {
    let mut other = waiting(1);
    other.pool = "other".to_owned();
    let mut story = world(vec![other], vec![surplus("i-1")]);
    story.pools.push(super::pool("other", 1000));
    assert_eq!(told(&story), ["launch for 1", "end i-1 as surplus"]);
}

#[test]
fn only_machines_that_boot_are_too_many_and_of_those_the_youngest() {
    let old = Runner {
        launched_ms: NOW_MS - 9 * MINUTE_MS,
        ..runner("i-old", "a")
    };
    let machines = vec![
        registered(runner("i-ready", "a")),
        old,
        runner("i-new", "a"),
    ];
    let mut story = world(vec![claimed(1, "a", 1), claimed(2, "a", 1)], machines);
    assert_eq!(told(&story), ["surplus [i-new] needed []"]);
    story.jobs.pop();
    assert_eq!(told(&story), ["surplus [i-old,i-new] needed []"]);
    story.jobs.pop();
    assert_eq!(
        told(&story),
        ["surplus [i-old,i-new] needed []"],
        "the registered one waits for the next job"
    );
}

#[test]
fn who_was_too_many_before_stays_it_so_that_the_grace_runs_out() {
    let story = world(
        vec![claimed(1, "a", 1)],
        vec![surplus("i-1"), runner("i-younger", "b")],
    );
    assert_eq!(told(&story), ["end i-1 as surplus"]);
}

#[test]
fn a_machine_that_registers_while_it_is_too_many_is_left_alone() {
    let story = world(vec![], vec![registered(surplus("i-1"))]);
    assert_eq!(told(&story), ["surplus [] needed [i-1]"]);
}

#[test]
fn a_runner_that_was_taken_out_is_ended_when_the_forge_had_time_to_settle() {
    let mut story = world(vec![], vec![disabled("i-1", SETTLE_MS - 1)]);
    assert!(told(&story).is_empty());
    story.runners[0] = disabled("i-1", SETTLE_MS);
    assert_eq!(told(&story), ["end if idle i-1"]);

    story.runners[0].state = RunnerState::Busy;
    assert!(told(&story).is_empty(), "it took a job at the last moment");
}

#[test]
fn a_machine_that_was_taken_out_is_no_supply() {
    let story = world(vec![waiting(1)], vec![disabled("i-1", 0)]);
    assert_eq!(told(&story), ["launch for 1"]);
}

#[test]
fn a_runner_idle_beyond_its_limit_is_taken_out_even_while_jobs_wait() {
    let limit_ms = 3 * MINUTE_MS + IDLE_MARGIN_MS;
    let idle_for = |ms| {
        in_state(
            registered(runner("i-1", "a")),
            RunnerState::Idle,
            NOW_MS - ms,
        )
    };
    let mut story = world(vec![claimed(1, "a", 1)], vec![idle_for(limit_ms)]);
    assert!(told(&story).is_empty());

    story.runners[0] = idle_for(limit_ms + 1);
    assert_eq!(told(&story), ["disable i-1"]);

    story.runners[0].surplus_since_ms = Some(NOW_MS - SURPLUS_GRACE_MS + 1);
    assert!(told(&story).is_empty(), "the forge refused just now");
    story.runners[0].surplus_since_ms = Some(NOW_MS - SURPLUS_GRACE_MS);
    assert_eq!(told(&story), ["disable i-1"]);

    story.runners[0].state = RunnerState::Registering;
    story.runners[0].surplus_since_ms = None;
    assert!(told(&story).is_empty(), "it was never registered");
}

#[test]
fn a_machine_whose_end_was_written_down_and_not_done_is_ended_again() {
    for reason in [EndReason::Surplus, EndReason::Idle] {
        let mut marked = runner("i-1", "a");
        marked.ending = Some(ending(Some(reason.clone())));
        let expected = format!("end i-1 as {}", reason.word());
        assert_eq!(told(&world(vec![], vec![marked])), [expected]);
    }
}

#[test]
fn one_round_takes_a_bounded_number_of_steps() {
    let machines = (0..1000).map(|n| surplus(&format!("i-{n}"))).collect();
    let steps = told(&world(vec![], machines));
    assert_eq!(steps.len(), 1);
    assert_eq!(steps[0].split(',').count(), SCALE_IN_MAX);
}

#[test]
fn the_longest_wait_is_counted_from_when_the_job_was_recorded() {
    let mut story = world(vec![], vec![]);
    assert_eq!(story.oldest_waiting_s(), None);
    let (mut held, mut launched) = (waiting(1), claimed(2, "a", 1));
    held.recorded_ms = NOW_MS - 20 * MINUTE_MS;
    launched.recorded_ms = NOW_MS - 5 * MINUTE_MS;
    story.jobs = vec![launched, held];
    assert_eq!(story.oldest_waiting_s(), Some(20 * 60));
}
