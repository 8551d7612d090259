//! Builds that break off: whatever ends one, nothing is left that costs money or that machines could start from.

use std::sync::Mutex;
use std::time::Duration;

use lab::{FaultInjection, RunError};
use provisioner::ami::Manifest;
use provisioner::images::{self, Asked, Made};
use provisioner::progress::{Event, Silent};
use provisioner::teardown::Kind;
use provisioner::{Deployment, Error};
use stacks::names::Names;
use tokio::sync::Notify;

use super::images::{PATIENCE, build, manifest, no_machine_is_left, with_image};
use super::support::{self, Bench, forge};
use super::{code, down, up};

/// Nothing of a build is there: no machine, no image, no snapshot, and the parameter says what it said.
async fn nothing_is_left(bench: &Bench, deployment: &Deployment, images: usize, parameter: &str) {
    no_machine_is_left(bench).await;
    let found = provisioner::survey(deployment).await.unwrap();
    for kind in [Kind::Image, Kind::Snapshot] {
        assert_eq!(found.of(kind).count(), images, "{kind}: {found:?}");
    }
    assert_eq!(found.of(Kind::Instance).count(), 0, "{found:?}");
    let lab = bench.lab.file();
    let ssm = aws_sdk_ssm::Client::new(&support::sdk_config(lab, &lab.aws_endpoint));
    let path = deployment.environment.names().image("go", "x86_64");
    let value = ssm.get_parameter().name(path).send().await.unwrap();
    assert_eq!(value.parameter.unwrap().value.as_deref(), Some(parameter));
}

/// Stops a build as Ctrl-C does, this long after it says these words of the image `go`, which are its first of a phase.
async fn stopped_at(deployment: &Deployment, manifest: &Manifest, words: &str, after: Duration) {
    let reached = Notify::new();
    let told = Mutex::new(Vec::new());
    let progress = |event: Event| {
        if let Event::Step(step) = event {
            if step.starts_with("go ") && step.contains(words) {
                reached.notify_one();
            }
            told.lock().unwrap().push(step);
        }
    };
    let made = Made::default();
    let asked = Asked {
        manifest,
        image: Some("go"),
        arch: None,
        instance_type: None,
        patience: PATIENCE,
    };
    tokio::select! {
        biased;
        () = async {
            reached.notified().await;
            tokio::time::sleep(after).await;
        } => {}
        done = images::build(deployment, &asked, &made, &progress) => panic!("{done:?} before {words:?}"),
        () = tokio::time::sleep(Duration::from_mins(2)) => panic!("{words:?} was never said: {told:?}"),
    }
    assert!(
        !made.left().is_empty(),
        "nothing was under way at {words:?}"
    );
    images::take_away(deployment, &made, &Silent).await.unwrap();
    assert!(made.left().is_empty(), "{:?}", made.left());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_is_stopped_in_any_phase_leaves_nothing() {
    let Some(bench) = Bench::sharing(forge()).await else {
        return;
    };
    let deployment = with_image(&bench, "stop-ci");
    up(&deployment, &code("binary")).await;
    bench.faults(&FaultInjection {
        denied_ends: 9,
        ..FaultInjection::default()
    });
    // Its parent is built once, and stays.
    let first = build(&deployment, &manifest("first", ":")).await.unwrap();
    bench.faults(&FaultInjection::default());
    let current = first[1].built.id.clone();
    for (number, words) in [
        "starts, and ends at",
        "mark done",
        "making the image",
        "trying a machine of it",
    ]
    .into_iter()
    .enumerate()
    {
        // Slow enough that its steps are seen while they run.
        let manifest = manifest(&format!("stop-{number}"), "sleep 1");
        println!("stopping at {words:?}");
        stopped_at(&deployment, &manifest, words, Duration::ZERO).await;
        nothing_is_left(&bench, &deployment, 2, &current).await;
    }
    // One that is tried is no leftover: the next build puts it forward.
    let tried = manifest("stop-tried", ":");
    stopped_at(&deployment, &tried, "publishing", Duration::ZERO).await;
    nothing_is_left(&bench, &deployment, 3, &current).await;
    let there = build(&deployment, &tried).await.unwrap();
    assert_eq!(there[1].came, images::Came::PutForward, "{there:?}");
    let current = there[1].built.id.clone();
    // EC2 has answered and knows nothing yet of what it made: by its id it is as if it were gone.
    bench.faults(&FaultInjection {
        visible_after_ms: 2500,
        ..FaultInjection::default()
    });
    for words in ["starts, and ends at", "making the image"] {
        println!("stopping after {words:?}");
        let manifest = manifest("unseen", "sleep 1");
        stopped_at(&deployment, &manifest, words, Duration::from_millis(400)).await;
        nothing_is_left(&bench, &deployment, 3, &current).await;
    }
    down(&deployment).await;
    bench.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_fails_says_where_and_leaves_nothing() {
    let Some(bench) = Bench::sharing(forge()).await else {
        return;
    };
    let deployment = with_image(&bench, "fail-ci");
    let none = build(&deployment, &manifest("early", ":"))
        .await
        .unwrap_err();
    assert!(matches!(none, Error::NotDeployed { .. }), "{none}");
    up(&deployment, &code("binary")).await;
    let first = build(&deployment, &manifest("first", ":")).await.unwrap();
    let current = first[1].built.id.clone();
    let answer_lost = FaultInjection {
        lose_answers: 1,
        ..FaultInjection::default()
    };
    let image_fails = FaultInjection {
        failing_images: 1,
        ..FaultInjection::default()
    };
    let refused = FaultInjection {
        run_error: Some(RunError {
            code: "UnauthorizedOperation".to_owned(),
            message: None,
            count: 1,
        }),
        ..FaultInjection::default()
    };
    let crashes = FaultInjection {
        crash_boots: 1,
        ..FaultInjection::default()
    };
    let good = ":";
    for (mark, provision, faults, words) in [
        (
            "step",
            "fail 'the tool is broken'",
            FaultInjection::default(),
            "the tool is broken",
        ),
        // It ends without a word, as one whose deadline came.
        (
            "mute",
            "trap - EXIT\nsystemctl poweroff --force\nsleep 60",
            FaultInjection::default(),
            "ended without a verdict",
        ),
        ("image", good, image_fails, "is failed"),
        ("refused", good, refused, "RunInstances failed"),
        ("crash", good, crashes, "ended without a verdict"),
        // What is in /tmp is not in the image.
        (
            "trial",
            "touch /etc/ci-once /tmp/once",
            FaultInjection::default(),
            "trial: step mark: good on its builder only",
        ),
    ] {
        println!("{mark}");
        bench.faults(&faults);
        let built = build(&deployment, &manifest(mark, provision)).await;
        bench.faults(&FaultInjection::default());
        let failed = built.unwrap_err().to_string();
        assert!(failed.contains(words), "{mark}: {failed}");
        nothing_is_left(&bench, &deployment, 2, &current).await;
    }
    // EC2 launched and nobody heard of it: the same request asks again, and gets the same machine.
    bench.faults(&answer_lost);
    let built = build(&deployment, &manifest("lost", good)).await.unwrap();
    assert!(!built[1].was_there());
    no_machine_is_left(&bench).await;
    let launched = bench.lab.status().await.unwrap().instances;
    let launch = format!("ami:{}", built[1].built.digest);
    let key = Names::of("fail-ci").tag_launch;
    let of_build = launched
        .iter()
        .filter(|one| one.tags.get(&key) == Some(&launch));
    assert_eq!(
        of_build.count(),
        2,
        "one that made it and one that tried it"
    );
    down(&deployment).await;
    bench.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_nobody_heard_of_is_found_and_a_snapshot_that_stays_is_told() {
    let Some(bench) = Bench::sharing(forge()).await else {
        return;
    };
    let deployment = with_image(&bench, "heard-ci");
    up(&deployment, &code("binary")).await;
    build(&deployment, &manifest("first", ":")).await.unwrap();
    // Made and nobody heard of it, and EC2 shows it some seconds later: found again by the build's own word.
    bench.faults(&FaultInjection {
        lose_images: 1,
        visible_after_ms: 3000,
        ..FaultInjection::default()
    });
    let second = build(&deployment, &manifest("second", ":")).await;
    bench.faults(&FaultInjection::default());
    let second = second.unwrap();
    assert_eq!(second[1].built.name, "heard-ci-runner-go-v2");
    nothing_is_left(&bench, &deployment, 3, &second[1].built.id).await;
    build(&deployment, &manifest("third", ":")).await.unwrap();

    // A snapshot that stays is told, by its id.
    bench.faults(&FaultInjection {
        stuck_snapshots: 1,
        ..FaultInjection::default()
    });
    let retired = images::retire(&deployment, None, &Silent).await;
    bench.faults(&FaultInjection::default());
    let stays = retired.unwrap_err().to_string();
    let found = provisioner::survey(&deployment).await.unwrap();
    let left = |kind| found.of(kind).count();
    assert_eq!(
        (left(Kind::Image), left(Kind::Snapshot)),
        (3, 4),
        "{found:?}"
    );
    let mut snapshots = found.of(Kind::Snapshot);
    assert!(
        stays.contains("costs money") && snapshots.any(|one| stays.contains(&one.name)),
        "{stays}"
    );
    // The next retirement goes on, and `down` finds it by its tag.
    images::retire(&deployment, None, &Silent).await.unwrap();
    down(&deployment).await;
    bench.down().await;
}
