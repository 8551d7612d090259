//! Instances are real: what they may see, how they end, that nothing stays.

mod support;

use std::net::TcpListener;

use lab::Lab;
use support::Bench;

/// Waits for the power button in a unit with `property`, tells what it was sent.
fn listening_unit(property: &str) -> String {
    format!(
        "#!/bin/sh\nsystemd-run --unit=job {property} sh -c \
         'trap \"echo heard TERM; exit 0\" TERM; echo listening; while :; do sleep 0.1; done'\n\
         sleep 60\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_boots_runs_its_user_data_and_is_gone_after_its_own_shutdown() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let id = bench
        .boot("#!/bin/bash\necho \"user $(id -un) in $HOME\"\nenv | sort\nsystemctl poweroff\n")
        .await;
    let ended = bench.wait_for(&id, "terminated").await;
    assert_eq!(
        ended.reason.as_deref(),
        Some("Client.InstanceInitiatedShutdown")
    );
    let console = bench.console(&id);
    assert!(console.contains("user root in /root"), "{console}");
    for line in console.lines() {
        let name = line.split_once('=').map_or("", |(name, _)| name);
        assert!(
            !name.starts_with("CI_LAB") && !name.starts_with("CARGO"),
            "{line}"
        );
    }
    assert_eq!(bench.left().of_instances(), 0, "{:?}", bench.left());
    bench.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_inside_the_host_is_out_of_reach() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let open = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = open.local_addr().unwrap().port();
    let program = env!("CARGO_BIN_EXE_lab-internal");
    let user_data = format!(
        "#!/bin/bash\n\
         say() {{ if eval \"$2\"; then echo \"$1: yes\"; else echo \"$1: no\"; fi; }}\n\
         say host-port 'curl -s -m 2 http://127.0.0.1:{port}/'\n\
         say internet-name 'getent hosts example.com'\n\
         say route 'curl -s -m 2 http://192.0.2.1/'\n\
         say checkout '[ -e {program} ]'\n\
         say homes '[ \"$(ls -A /root)\" ] || [ \"$(ls /home)\" != ci ]'\n\
         say run '[ \"$(ls /run)\" != systemd ]'\n\
         say shadow '[ -e /etc/shadow ]'\n\
         say host-init '[ \"$(tr \"\\0\" \" \" </proc/1/cmdline | grep -c \"internal init\")\" != 1 ]'\n\
         say other-processes '[ \"$(ls -d /proc/[0-9]* | wc -l)\" -gt 12 ]'\n\
         say forge 'curl -fsS -o /dev/null -m 5 http://forge.lab:3000/api/v1/version'\n\
         say metadata '! curl -fs -m 2 http://169.254.169.254/latest/meta-data/'\n\
         echo all told\n"
    );
    let id = bench.boot(&user_data).await;
    let console = bench.wait_for_words(&id, "all told").await;
    for (what, expected) in [
        ("host-port", "no"),
        ("internet-name", "no"),
        ("route", "no"),
        ("checkout", "no"),
        ("homes", "no"),
        ("run", "no"),
        ("shadow", "no"),
        ("host-init", "no"),
        ("other-processes", "no"),
        ("forge", "yes"),
        ("metadata", "yes"),
    ] {
        let line = format!("{what}: {expected}");
        assert!(console.contains(&line), "not \"{line}\":\n{console}");
    }
    bench.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graceful_stop_sends_each_unit_its_own_kill_signal() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    for (property, heard) in [("", true), ("--property=KillSignal=SIGKILL", false)] {
        let id = bench.boot(&listening_unit(property)).await;
        bench.wait_for_words(&id, "listening").await;
        let ending = bench.ec2.terminate_instances().instance_ids(&id);
        ending.send().await.unwrap();
        bench.wait_for(&id, "terminated").await;
        let console = bench.console(&id);
        assert_eq!(
            console.contains("heard TERM"),
            heard,
            "{property}: {console}"
        );
        assert!(console.contains("power button"), "{console}");
    }
    bench.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_termination_that_skips_the_shutdown_sends_nothing() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let id = bench.boot(&listening_unit("")).await;
    bench.wait_for_words(&id, "listening").await;
    let ending = bench.ec2.terminate_instances().instance_ids(&id);
    ending.skip_os_shutdown(true).send().await.unwrap();
    let ended = bench.wait_for(&id, "terminated").await;
    assert_eq!(
        ended.reason.as_deref(),
        Some("Client.UserInitiatedShutdown")
    );
    let console = bench.console(&id);
    assert!(!console.contains("heard TERM"), "{console}");
    assert_eq!(bench.left().of_instances(), 0);
    bench.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_power_off_signals_what_the_real_one_signals() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let shielded = "--property=KillSignal=SIGKILL";
    for (how, property, heard) in [
        ("systemctl poweroff", shielded, false),
        ("shutdown -h now", shielded, false),
        // No unit is stopped: the unit's own signal does not protect it, SIGTERM goes to all.
        ("systemctl poweroff --force", shielded, true),
        (
            "systemctl kill --signal=SIGKILL job; systemctl poweroff --force",
            shielded,
            false,
        ),
        ("poweroff -f", "", false),
        ("systemctl poweroff", "", true),
    ] {
        let unit = listening_unit(property).replace("sleep 60", &format!("sleep 0.5; {how}"));
        let id = bench.boot(&unit).await;
        bench.wait_for(&id, "terminated").await;
        let console = bench.console(&id);
        assert!(console.contains("listening"), "{how}: {console}");
        assert_eq!(console.contains("heard TERM"), heard, "{how}: {console}");
    }
    bench.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn units_and_timers_behave_as_systemds() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let user_data = "#!/bin/bash\n\
        systemd-run --quiet --collect --unit=long --uid=ci sh -c 'sleep 30 & setsid sleep 30 & wait'\n\
        sleep 0.3; echo \"long $(systemctl is-active long)\"\n\
        systemd-run --unit=long true; echo \"again $?\"\n\
        systemctl kill --signal=SIGKILL long; sleep 0.3\n\
        echo \"killed $(systemctl is-active long) $? $(pgrep -c sleep)\"\n\
        systemctl kill --signal=SIGKILL nothing; echo \"kill $?\"\n\
        systemd-run --on-active=1s --unit=later sh -c 'echo timer fired'\n\
        runuser -u ci -- systemctl poweroff; echo \"ci poweroff $?\"\n\
        sleep 1.5; echo all told\n";
    let id = bench.boot(user_data).await;
    let console = bench.wait_for_words(&id, "all told").await;
    for line in [
        "long active",
        "again 1",
        "killed inactive 3 0",
        "kill 1",
        "timer fired",
        "ci poweroff 1",
    ] {
        assert!(console.contains(line), "no \"{line}\":\n{console}");
    }
    bench.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_host_and_a_spot_interruption_end_instances_as_on_ec2() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    for (what, reason, heard) in [
        ("crash", "Server.InternalError", false),
        ("interrupt", "Server.SpotInstanceTermination", true),
    ] {
        let id = bench.boot(&listening_unit("")).await;
        bench.wait_for_words(&id, "listening").await;
        bench.strike(&id, what);
        let ended = bench.wait_for(&id, "terminated").await;
        assert_eq!(ended.reason.as_deref(), Some(reason));
        assert_eq!(bench.console(&id).contains("heard TERM"), heard, "{what}");
    }
    bench.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_daemon_takes_everything_with_it_and_the_next_one_starts_afresh() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let id = bench
        .boot("#!/bin/sh\nsetsid sleep 300 &\necho up\nsleep 300\n")
        .await;
    bench.wait_for_words(&id, "up").await;
    let there = bench.left();
    assert!(
        there.processes >= 4 && there.mounts > 0 && there.namespaces == 1,
        "{there:?}"
    );
    assert!(there.services >= 3, "{there:?}");
    let pid = nix::unistd::Pid::from_raw(bench.lab.file().pid);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    let folder = bench.lab.folder().clone();
    // A killed process is there until the kernel has taken all of it down.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while Lab::find(&folder).is_some() {
        assert!(std::time::Instant::now() < deadline, "it does not die");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_lab-internal"));
    let again = Lab::up_with(&folder, program, &lab::Setup::default(), |_| {})
        .await
        .unwrap();
    assert_ne!(again.file().pid, pid.as_raw());
    assert!(again.status().await.unwrap().instances.is_empty());
    assert_eq!(bench.left().of_instances(), 0);
    bench.down().await;
}
