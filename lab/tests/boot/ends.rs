//! Every way in which a machine with a running job can end.

use serde_json::json;

use crate::support::Bench;
use crate::{AT_FORGEJO, Forge, PLAIN, user_data};

/// With and without the boot file's shields. Without them the job turns green: that is what they are for.
#[tokio::test(flavor = "multi_thread")]
async fn no_end_of_a_busy_machine_turns_its_job_green() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let forge = Forge(&bench);
    let shielded = PLAIN.boot_file();
    // The runner alone is signalled: a job that dies by the same signal fails, and the trap is that
    // which wins is chance. So it is whether the script's own trap kills the runner first.
    let bare = shielded
        .replace("--property=KillSignal=SIGKILL", "--property=KillMode=mixed")
        .replace("kill_runner() {", "kill_runner() { return 0;")
        .replace("  shutdown_timeout: 10m\n", "");
    assert_ne!(bare, shielded);
    let script = "echo begun\nexec sleep 60";
    let forgejo = AT_FORGEJO.boot_file();
    for (name, boot_file, end) in [
        ("stopped", &shielded, End::Graceful),
        ("one-job", &forgejo, End::Graceful),
        ("bare", &bare, End::Graceful),
        ("late", &shielded, End::Deadline),
        ("halted", &shielded, End::ScriptToldToStop),
    ] {
        forge.job(name, script).await;
        let mut boot_file = boot_file.clone();
        match end {
            End::Graceful => {}
            End::Deadline => {
                boot_file = boot_file.replace("--on-active=10min", "--on-active=4s");
            }
            // Something tells the script to stop, as the machine's shutdown tells cloud-init.
            End::ScriptToldToStop => {
                let stop = "started() {\n(sleep 1; kill -TERM $$) &\n";
                boot_file = boot_file.replace("started() {\n", stop);
            }
        }
        let answers = json!([forge.credential(name).await]);
        let id = bench.boot(&user_data(&boot_file, &answers)).await;
        bench.wait_for_words(&id, "reached job").await;
        if matches!(end, End::Graceful) {
            let ending = bench.ec2.terminate_instances().instance_ids(&id);
            ending.send().await.unwrap();
        }
        bench.wait_for(&id, "terminated").await;
        let expected = if name == "bare" {
            "completed/success"
        } else {
            "in_progress"
        };
        let console = bench.console(&id);
        assert_eq!(forge.standing(name).await, expected, "{name}: {console}");
    }
    bench.down().await;
}

/// A job that has its result at the forge while its runner goes on: cancelled there, where nobody can tell
/// the runner, or finished by a runner that its own job then stopped.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_whose_job_is_over_at_the_forge_ends_whatever_its_runner_does() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let forge = Forge(&bench);
    let boot_file = PLAIN.boot_file();
    let mut soon = boot_file.clone();
    for (from, to) in [
        ("ask_at_s=$(($(now_s) + 15))", "ask_at_s=$(($(now_s) + 1))"),
        ("$(($(now_s) + 30))", "$(($(now_s) + 3))"),
    ] {
        assert!(soon.contains(from), "no {from}");
        soon = soon.replace(from, to);
    }
    forge.job("over", "echo begun\nexec sleep 90").await;
    let credential = forge.credential("over").await;
    let answers = json!([credential]);
    let id = bench.boot(&user_data(&soon, &answers)).await;
    let console = bench.wait_for_words(&id, "reached job").await;
    // Asked three times and more, the forge still knows it.
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    assert_eq!(forge.standing("over").await, "in_progress", "{console}");
    forge.finish(&credential, 1).await;
    assert_eq!(forge.standing("over").await, "completed/success");
    bench.wait_for(&id, "terminated").await;
    let console = bench.console(&id);
    let words = "the job is over at the forge, and its runner was not";
    assert!(console.contains(words), "{console}");
    bench.down().await;
}

#[derive(Debug, Clone, Copy)]
enum End {
    Graceful,
    Deadline,
    ScriptToldToStop,
}
