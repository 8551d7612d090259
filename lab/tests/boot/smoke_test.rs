//! The machine of a smoke test: it looks at what a job would find, in the runner's place, and takes none.

use serde_json::json;
use stacks::route::LINE_SMOKE_TEST;

use crate::support::Bench;
use crate::{Forge, PLAIN, marks, user_data};

#[tokio::test(flavor = "multi_thread")]
async fn it_says_what_a_job_would_find_takes_none_and_waits_for_its_end() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let forge = Forge(&bench);
    // It waits at the forge, and the machine's credential is good for it.
    forge.job("tempting", "echo taken").await;
    let given = forge.credential("tempting").await;
    let lines = given[1].as_str().unwrap();
    let answers = json!([[200, format!("{lines}{LINE_SMOKE_TEST}\n")]]);
    let id = bench.boot(&user_data(&PLAIN.boot_file(), &answers)).await;
    let console = bench.wait_for_words(&id, "\"mark\": \"found\"").await;
    let found = console
        .lines()
        .find_map(|line| line.split_once("smoke test: "))
        .unwrap()
        .1;
    for word in [
        "boot=",
        ";online=",
        "forge=200;user=ci;",
        ";metadata=closed;",
        ";curl=curl ",
        ";path=/usr/local/sbin:",
        "systemd=systemd ",
        "runner=",
    ] {
        assert!(found.contains(word), "{word}: {found}");
    }
    assert!(found.len() < stacks::route::TEXT_MAX_CHARS, "{found}");
    assert_eq!(marks(&console), ["found"], "{console}");
    assert_eq!(forge.standing("tempting").await, "queued");
    let end = bench.ec2.terminate_instances().instance_ids(&id);
    end.skip_os_shutdown(true).send().await.unwrap();
    bench.wait_for(&id, "terminated").await;
    assert_eq!(forge.standing("tempting").await, "queued");
    bench.down().await;
}
