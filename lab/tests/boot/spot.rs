//! EC2 takes a machine back: what becomes of its job.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::Bench;
use crate::{AT_FORGEJO, Forge, PLAIN, marks, user_data};

/// A boot file that looks for the warning each second: tests wait for it.
fn looking(boot_file: &str) -> String {
    let slow = "look_at_s=$(($(now_s) + 5))";
    assert!(boot_file.contains(slow));
    boot_file.replace(slow, "look_at_s=$(($(now_s) + 1))")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_still_runs_when_ec2_takes_its_machine_is_failed_at_once_and_never_green() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let forge = Forge(&bench);
    for (name, wanted) in [("spot", PLAIN), ("one-job", AT_FORGEJO)] {
        forge.job(name, "echo begun\nexec sleep 90").await;
        let answers = json!([forge.credential(name).await]);
        let boot_file = looking(&wanted.boot_file());
        let id = bench.boot(&user_data(&boot_file, &answers)).await;
        bench.wait_for_words(&id, "reached job").await;
        bench.interrupt(&id, 20);
        bench
            .wait_for_words(&id, "EC2 takes this Spot machine back at")
            .await;
        // 15 seconds before the time that was announced, it is killed. The forge hears of it within two.
        bench.wait_for_words(&id, "reached end").await;
        let killed = Instant::now();
        while forge.standing(name).await != "completed/failure" {
            let late = killed.elapsed() > Duration::from_secs(2);
            assert!(!late, "{}", bench.console(&id));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bench.wait_for(&id, "terminated").await;
        let console = bench.console(&id);
        let mut told = marks(&console);
        told.sort_unstable();
        assert_eq!(told, ["interrupted", "online", "started"], "{console}");
        let log = forge.log(name).await;
        assert!(
            log.contains("interrupted: EC2 took this Spot machine back"),
            "{log}"
        );
    }
    bench.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ends_in_time_has_its_own_result_and_an_idle_machine_takes_none() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let forge = Forge(&bench);
    forge.job("quick", "sleep 3; echo done").await;
    let answers = json!([forge.credential("quick").await]);
    let boot_file = looking(&PLAIN.boot_file());
    let id = bench.boot(&user_data(&boot_file, &answers)).await;
    bench.wait_for_words(&id, "reached job").await;
    bench.interrupt(&id, 120);
    bench
        .wait_for_words(&id, "EC2 takes this Spot machine back at")
        .await;
    bench.wait_for(&id, "terminated").await;
    let console = bench.console(&id);
    assert_eq!(
        forge.standing("quick").await,
        "completed/success",
        "{console}"
    );
    let mut told = marks(&console);
    told.sort_unstable();
    assert_eq!(told, ["ending", "online", "started"], "{console}");

    let answers = json!([forge.credential("nobody").await]);
    let id = bench.boot(&user_data(&boot_file, &answers)).await;
    bench.wait_for_words(&id, "gitea-runner started").await;
    bench.interrupt(&id, 120);
    bench.wait_for(&id, "terminated").await;
    let console = bench.console(&id);
    assert_eq!(marks(&console), ["online", "ending"], "{console}");
    assert!(
        console.contains("ends in phase runner (exit 0) EC2 took this Spot machine back"),
        "{console}"
    );
    bench.down().await;
}
