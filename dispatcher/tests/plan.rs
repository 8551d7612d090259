//! The planner, as tables and short stories: given this world, exactly these steps.

use dispatcher::model::job::JobKey;
use dispatcher::model::runner::{EndReason, RunnerState};
use dispatcher::model::world::{ForgeJobState, Launch, Pause, Refusal, WaitingJob};
use dispatcher::plan::{self, ALONE_MAX, Action, Because, LAUNCHES_MAX};

#[path = "plan/put_back.rs"]
mod put_back;
#[path = "plan/scale_in.rs"]
mod scale_in;
#[path = "plan/story.rs"]
mod story;
#[path = "plan/sweep.rs"]
mod sweep;

use story::*;

#[test]
fn each_waiting_job_gets_one_machine_and_a_claimed_one_no_second() {
    assert_eq!(
        told(&world(vec![waiting(1), waiting(2)], vec![])),
        ["launch for 1,2"]
    );
    assert!(told(&world(vec![claimed(1, "a", 1)], vec![runner("i-1", "a")])).is_empty());
}

#[test]
fn jobs_over_the_quota_are_launched_one_by_one_and_none_while_one_was_just_refused() {
    let alone = |id| WaitingJob {
        alone: true,
        ..waiting(id)
    };
    let mut story = world((1..=9).map(alone).collect(), vec![]);
    story.jobs.push(waiting(10));
    let singles = ALONE_MAX as u64;
    let mut expected: Vec<String> = (1..=singles).map(|id| format!("launch for {id}")).collect();
    expected.push("launch for 10".to_owned());
    assert_eq!(told(&story), expected);
    let left: Vec<_> = (singles + 1..=9)
        .map(|id| (id, Because::OverQuota))
        .collect();
    assert_eq!(held(&story), left);

    story.jobs[0].not_before_ms = NOW_MS + 1;
    assert_eq!(told(&story), ["launch for 10"]);
}

#[test]
fn what_is_paused_is_held_its_owner_told_once_and_nothing_else_changes() {
    let mut story = world(
        vec![waiting(1), claimed(2, "a", 1)],
        vec![runner("i-1", "a")],
    );
    story.pauses = vec![Pause {
        pool: Some("go".to_owned()),
        reason: "why".to_owned(),
        ..Pause::default()
    }];
    assert_eq!(told(&story), ["tell 1 why it is held: paused: why"]);
    assert_eq!(held(&story), [(1, Because::Paused)]);
    story.jobs[0].told_paused = true;
    assert!(told(&story).is_empty());

    for (pool, repository, holds) in [
        (None, None, true),
        (Some("other"), None, false),
        (None, Some("ACME/App"), true),
        (None, Some("acme/other"), false),
    ] {
        story.pauses[0].pool = pool.map(str::to_owned);
        story.pauses[0].repository = repository.map(str::to_owned);
        assert_eq!(held(&story).len(), usize::from(holds), "{:?}", story.pauses);
    }
}

#[test]
fn what_the_forge_would_refuse_gets_no_machine_and_is_not_given_up() {
    let mut story = world(vec![waiting(1), claimed(2, "a", LAUNCHES_MAX)], vec![]);
    story.pools.push(pool("other", 10));
    story.jobs.push(WaitingJob {
        pool: "other".to_owned(),
        ..waiting(3)
    });
    story.forge_states.insert(key(2), ForgeJobState::Waiting);
    story.refusals = vec![Refusal {
        pool: "go".to_owned(),
        reason: "why".to_owned(),
    }];
    let held_back = Because::NotRegistered;
    assert_eq!(held(&story), [(1, held_back), (2, held_back)]);
    assert_eq!(
        told(&story),
        [
            "tell 1 why it is held: why",
            "tell 2 why it is held: why",
            "launch for 3"
        ]
    );
    // A machine that is there anyway may be registered after all.
    story.runners = vec![runner("i-1", "b"), runner("i-2", "c")];
    assert_eq!(told(&story), ["adopt 1 by c", "launch for 3"]);

    story.runners.clear();
    story.refusals.clear();
    assert_eq!(told(&story), ["give up 2", "launch for 1", "launch for 3"]);
}

#[test]
fn a_smoke_tests_machine_is_nobodys_and_no_machine_is_its() {
    let smoke = runner("i-1", "smoke-1");
    let idle = in_state(smoke.clone(), RunnerState::Idle, NOW_MS);
    for runner in [smoke.clone(), idle] {
        // Not adopted, and not too many either.
        let mut story = world(vec![], vec![runner]);
        assert!(told(&story).is_empty());
        story.jobs = vec![waiting(1)];
        assert_eq!(told(&story), ["launch for 1"]);
    }
    let mut story = world(vec![waiting(1)], vec![]);
    story.launches = vec![open_launch("smoke-1")];
    assert_eq!(told(&story), ["reissue smoke-1", "launch for 1"]);
    let mut over = smoke;
    over.ending = Some(ending(Some(EndReason::SmokeTest)));
    assert_eq!(told(&world(vec![], vec![over])), ["end i-1 as smoke-test"]);
}

#[test]
fn a_machine_that_lost_its_job_serves_the_next_one() {
    let free = world(vec![waiting(2)], vec![runner("i-1", "a")]);
    assert_eq!(told(&free), ["adopt 2 by a"]);

    let busy = in_state(runner("i-1", "a"), RunnerState::Busy, NOW_MS);
    assert_eq!(told(&world(vec![waiting(2)], vec![busy])), ["launch for 2"]);

    let mut leaving = runner("i-1", "a");
    leaving.ending = Some(ending(None));
    assert_eq!(
        told(&world(vec![waiting(2)], vec![leaving])),
        ["launch for 2"]
    );
}

#[test]
fn a_machine_that_went_away_is_replaced_once_the_forge_says_the_job_still_waits() {
    let mut story = world(
        vec![claimed(1, "a", 1), claimed(2, "b", 1)],
        vec![runner("i-2", "b")],
    );
    assert_eq!(told(&story), ["verify 1"], "the one whose launch is gone");

    story.forge_states.insert(key(1), ForgeJobState::Waiting);
    assert_eq!(told(&story), ["launch for 1"]);

    story.forge_states.insert(key(1), ForgeJobState::Unknown);
    assert_eq!(
        told(&story),
        ["launch for 1"],
        "a silent forge delays nobody"
    );

    story.forge_states.insert(key(1), ForgeJobState::Gone);
    assert_eq!(told(&story), ["forget 1"]);
}

#[test]
fn a_job_whose_machines_all_went_away_is_given_up() {
    let mut story = world(vec![claimed(1, "a", LAUNCHES_MAX)], vec![]);
    story.forge_states.insert(key(1), ForgeJobState::Waiting);
    assert_eq!(told(&story), ["give up 1"]);
}

#[test]
fn a_silent_forge_is_no_reason_to_give_up_and_none_to_go_on_launching() {
    let mut story = world(vec![claimed(1, "a", 2)], vec![]);
    story.forge_states.insert(key(1), ForgeJobState::Unknown);
    assert!(told(&story).is_empty());
    assert_eq!(held(&story), [(1, Because::ForgeSilent)]);

    // For longer than the forge itself lets a job wait it is one.
    let mut old = story.clone();
    old.now_ms = NOW_MS + 25 * 3600 * 1000;
    assert_eq!(told(&old), ["abandon 1"]);

    story.forge_states.insert(key(1), ForgeJobState::Waiting);
    assert_eq!(told(&story), ["launch for 1"]);
}

#[test]
fn a_runner_whose_own_word_overtakes_the_forges_is_not_missing() {
    let busy_since = |ms| in_state(runner("i-1", "a"), RunnerState::Busy, ms);
    let started = busy_since(NOW_MS - 5_000);
    let mut story = world(vec![claimed(1, "a", 1)], vec![started]);
    assert!(told(&story).is_empty());

    story.runners[0] = busy_since(NOW_MS - 31_000);
    assert_eq!(told(&story), ["verify 1"], "it took somebody else's job");
}

#[test]
fn the_machine_of_an_expected_job_counts_for_it_as_long_as_it_says_that_it_is_busy() {
    let busy = in_state(
        runner("i-1", "a"),
        RunnerState::Busy,
        NOW_MS - 2 * MINUTE_MS,
    );
    let mut job = claimed(1, "a", 1);
    job.key = JobKey::expected("acme/app", 1);
    let story = world(vec![job.clone()], vec![busy.clone()]);
    assert!(told(&story).is_empty());

    // Of a job that the forge tells of, the forge is asked.
    let heard = world(vec![claimed(1, "a", 1)], vec![busy.clone()]);
    assert_eq!(told(&heard), ["verify 1"]);

    // One machine counts for one job, and once it is gone for none.
    let two = world(
        vec![job.clone(), claimed(2, "b", 1)],
        vec![busy, runner("i-2", "b")],
    );
    assert!(told(&two).is_empty());
    let gone = world(vec![job.clone()], vec![]);
    assert_eq!(told(&gone), [format!("verify {}", job.key.id)]);
}

#[test]
fn an_expected_job_of_which_the_forge_has_told_gives_way_to_it_and_its_machine_stays() {
    let mut expected = claimed(1, "a", 1);
    expected.key = JobKey::expected("acme/app", 1);
    let id = expected.key.id;
    let mut story = world(vec![waiting(2)], vec![runner("i-1", "a")]);
    story.superseded = vec![expected];
    assert_eq!(
        told(&story),
        [format!("supersede {id}"), "adopt 2 by a".to_owned()]
    );
}

#[test]
fn a_job_that_is_adopted_has_not_been_launched_for() {
    let story = world(vec![waiting(2)], vec![runner("i-1", "a")]);
    let Some(Action::Adopt { claim, .. }) = plan::drain(&story).actions.pop() else {
        panic!("not adopted");
    };
    assert_eq!(claim.launches, 0);
}

#[test]
fn a_launch_without_an_outcome_is_sent_again_and_counts_as_supply() {
    let mut story = world(vec![claimed(1, "a", 1), waiting(2)], vec![]);
    story.launches = vec![open_launch("a")];
    assert_eq!(told(&story), ["reissue a", "launch for 2"]);
}

#[test]
fn a_launch_that_somebody_has_just_sent_is_left_to_them_and_counts_as_supply() {
    let mut story = world(vec![claimed(1, "a", 1), waiting(2)], vec![]);
    let sent = |ago_ms: u64| Launch {
        sent_ms: NOW_MS - ago_ms,
        ..open_launch("a")
    };
    story.launches = vec![sent(20_000)];
    assert_eq!(told(&story), ["launch for 2"]);
    story.launches = vec![sent(20_001)];
    assert_eq!(told(&story), ["reissue a", "launch for 2"]);
}

#[test]
fn caps_hold_the_youngest_jobs_and_say_which_cap_it_was() {
    let mut story = world((1..=4).map(waiting).collect(), vec![]);
    story.pools[0].max_runners = 5;
    story.counters.insert("pool#go".to_owned(), 3);
    assert_eq!(told(&story), ["launch for 1,2"]);
    let pool_full = Because::PoolFull;
    assert_eq!(held(&story), [(3, pool_full), (4, pool_full)]);

    story.max_runners = 4;
    story.counters.insert("all".to_owned(), 3);
    assert_eq!(told(&story), ["launch for 1"]);
    let fleet_full = Because::FleetFull;
    assert_eq!(held(&story), [2, 3, 4].map(|job| (job, fleet_full)));
}

#[test]
fn a_job_that_backs_off_is_held_with_that_reason() {
    let mut later = waiting(1);
    later.not_before_ms = NOW_MS + 1;
    let story = world(vec![later], vec![]);
    assert!(told(&story).is_empty());
    assert_eq!(held(&story), [(1, Because::BackingOff)]);
}

#[test]
fn a_job_whose_pool_is_gone_is_moved_or_refused_unless_its_machine_may_still_take_it() {
    let mut job = claimed(1, "a", 1);
    job.pool = "gone".to_owned();
    let mut machine = runner("i-1", "a");
    machine.pool = "gone".to_owned();
    let mut story = world(vec![job], vec![machine]);
    // The runner route refuses a machine of a pool that is gone.
    assert_eq!(told(&story), ["reassign 1"]);

    story.runners[0].state = RunnerState::Idle;
    assert!(told(&story).is_empty());
    assert_eq!(held(&story), [(1, Because::PoolGone)]);

    story.runners.clear();
    assert_eq!(told(&story), ["reassign 1"]);

    // Parameters of before the job, or of before its last move, know nothing of its pool.
    story.jobs[0].reassigned_ms = NOW_MS;
    assert!(told(&story).is_empty());
    assert_eq!(held(&story), [(1, Because::PoolGone)]);
    story.configured_ms = NOW_MS + 1;
    assert_eq!(told(&story), ["reassign 1"]);
}

#[test]
fn a_thousand_jobs_are_a_dozen_launches_each_of_which_fits_a_transaction() {
    let story = world((0..1000).map(waiting).collect(), vec![]);
    let launches: Vec<_> = plan::drain(&story)
        .actions
        .into_iter()
        .map(|action| {
            let Action::Launch { launch, claims } = action else {
                panic!("{action:?}");
            };
            assert_eq!(claims.len(), launch.count as usize);
            assert!(claims.len() + 3 <= 100);
            launch
        })
        .collect();
    assert_eq!(launches.len(), 12);
    let ids: std::collections::BTreeSet<_> = launches.iter().map(|l| &l.id).collect();
    assert_eq!(ids.len(), 12);
}

#[test]
fn every_candidate_has_its_own_token_and_spot_comes_before_on_demand() {
    let story = world(vec![waiting(1)], vec![]);
    let Some(Action::Launch { mut launch, .. }) = plan::drain(&story).actions.pop() else {
        panic!("no launch");
    };
    assert!(launch.token().len() <= 64, "EC2's limit");
    let order: Vec<_> = launch
        .candidates
        .iter()
        .map(|c| (c.spot, c.instance_type.as_str(), c.subnet.as_str()))
        .collect();
    assert_eq!(
        order,
        [
            (true, "m7a.medium", "subnet-a"),
            (true, "m7a.medium", "subnet-b"),
            (true, "c7a.medium", "subnet-a"),
            (true, "c7a.medium", "subnet-b"),
            (false, "m7a.medium", "subnet-a"),
            (false, "m7a.medium", "subnet-b"),
            (false, "c7a.medium", "subnet-a"),
            (false, "c7a.medium", "subnet-b"),
        ]
    );
    let first = launch.token();
    launch.at += 1;
    assert_ne!(launch.token(), first);
}

#[test]
fn the_machine_of_a_cancelled_job_is_ended() {
    let mut cancelled = in_state(runner("i-1", "a"), RunnerState::Busy, NOW_MS);
    cancelled.ending = Some(ending(Some(EndReason::JobCancelled)));
    assert_eq!(
        told(&world(vec![], vec![cancelled])),
        ["end i-1 as job-cancelled"]
    );
}
