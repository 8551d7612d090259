//! The tick's sweep.

use dispatcher::model::runner::{EndReason, RunnerState};
use dispatcher::model::world::{Instance, World};
use dispatcher::plan::{self, UNKNOWN_GRACE_MS};

use super::story::{MINUTE_MS, NOW_MS, in_state, open_launch, runner, world};

fn instance(id: &str, age_minutes: u64) -> Instance {
    Instance {
        id: id.to_owned(),
        pool: "go".to_owned(),
        launch: Some("a".to_owned()),
        image: None,
        max_lifetime_minutes: Some(30),
        expires_ms: None,
        ended: false,
        state_reason: None,
        launched_ms: NOW_MS - age_minutes * MINUTE_MS,
    }
}

fn ended(instances: &[Instance], ledger: Option<&World>) -> Vec<(String, EndReason)> {
    plan::sweep(NOW_MS, instances, ledger).end
}

fn end(id: &str, reason: EndReason) -> (String, EndReason) {
    (id.to_owned(), reason)
}

#[test]
fn nothing_outlives_its_limit_even_without_a_ledger() {
    let old = [instance("i-1", 31)];
    assert_eq!(ended(&old, None), [end("i-1", EndReason::MaxLifetime)]);
    let young = [instance("i-1", 29)];
    assert!(ended(&young, None).is_empty(), "29 of 30 minutes live");
    let mut unlabelled = instance("i-2", 61);
    unlabelled.max_lifetime_minutes = None;
    assert_eq!(
        ended(&[unlabelled], None),
        [end("i-2", EndReason::MaxLifetime)]
    );
}

#[test]
fn what_no_launch_of_ours_made_is_never_ended() {
    let mut foreign = instance("i-1", 600);
    foreign.launch = None;
    assert!(ended(std::slice::from_ref(&foreign), None).is_empty());
    assert!(ended(&[foreign], Some(&world(vec![], vec![]))).is_empty());
}

#[test]
fn a_machine_that_makes_an_image_lives_to_its_own_moment_and_is_no_orphan() {
    let builder = |expires_in_minutes: Option<i64>, age_minutes| {
        let now_ms = i64::try_from(NOW_MS).unwrap();
        let minute_ms = i64::try_from(MINUTE_MS).unwrap();
        let moment = expires_in_minutes.map(|minutes| now_ms + minutes * minute_ms);
        Instance {
            launch: Some("ami:0a1b2c".to_owned()),
            max_lifetime_minutes: None,
            expires_ms: moment.map(|ms| ms.try_into().unwrap()),
            ..instance("i-1", age_minutes)
        }
    };
    let empty = world(vec![], vec![]);
    for ledger in [None, Some(&empty)] {
        // Older than an orphan may be, and than what has no limit.
        assert!(ended(&[builder(Some(1), 90)], ledger).is_empty());
        assert!(ended(&[builder(None, 59)], ledger).is_empty());
        let over = [end("i-1", EndReason::MaxLifetime)];
        assert_eq!(ended(&[builder(Some(-1), 10)], ledger), over);
        assert_eq!(ended(&[builder(None, 61)], ledger), over);
    }
}

#[test]
fn a_tracked_machine_lives_to_its_limit_unless_it_never_boots() {
    let busy = in_state(
        runner("i-1", "a"),
        RunnerState::Busy,
        NOW_MS - 28 * MINUTE_MS,
    );
    let booting = runner("i-2", "a");
    let ledger = world(vec![], vec![busy, booting]);
    let instances = [instance("i-1", 29), instance("i-2", 6)];
    assert_eq!(
        ended(&instances, Some(&ledger)),
        [end("i-2", EndReason::BootTimeout)]
    );
}

#[test]
fn an_untracked_machine_is_an_orphan_only_after_its_grace_and_without_an_open_launch() {
    let empty = world(vec![], vec![]);
    assert!(ended(&[instance("i-1", 4)], Some(&empty)).is_empty());
    assert_eq!(
        ended(&[instance("i-1", 6)], Some(&empty)),
        [end("i-1", EndReason::Orphan)]
    );
    let mut open = world(vec![], vec![]);
    open.launches = vec![open_launch("a")];
    assert!(ended(&[instance("i-1", 6)], Some(&open)).is_empty());
}

#[test]
fn a_row_whose_machine_is_gone_is_closed_but_not_before_ec2_can_show_it() {
    let mut old = runner("i-1", "a");
    old.launched_ms = NOW_MS - UNKNOWN_GRACE_MS - 1;
    let young = runner("i-2", "a");
    let ended = runner("i-3", "a");
    let ledger = world(vec![], vec![old, young, ended]);
    let mut shown_ended = instance("i-3", 1);
    shown_ended.ended = true;
    shown_ended.state_reason = Some("Server.InternalError".to_owned());
    let shown = [shown_ended];
    let sweep = plan::sweep(NOW_MS, &shown, Some(&ledger));
    let closed = sweep.close.iter();
    let closed: Vec<_> = closed
        .map(|(runner, code)| (runner.instance.as_str(), *code))
        .collect();
    let why = Some("Server.InternalError");
    assert_eq!(closed, [("i-1", None), ("i-3", why)]);
    assert_eq!(sweep.end, []);
}
