//! The boot file on real systemd, booted for each test: Debian 12 and 13 in containers, with their own
//! logind, journald and shutdown. Their curl signs what is asked of AWS; the judges compare it with botocore's
//! signatures (`cargo xtask test boot-suite`).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/boot_file.rs"]
mod boot_file;
mod machine;

use std::time::Duration;

use boot_file::{PLAIN, Wanted};
use machine::{Boot, Ended, Root, TOKEN};
use serde_json::{Value, json};

/// Each test once on each system.
macro_rules! on_both {
    ($($name:ident)*) => {
        mod debian_12 { $(#[test] fn $name() { super::$name(super::Root::Debian12); })* }
        mod debian_13 { $(#[test] fn $name() { super::$name(super::Root::Debian13); })* }
    };
}

on_both! {
    what_a_job_leaves_ends_with_it_and_root_reads_nothing_of_it
    what_a_job_starts_outside_of_its_unit_is_killed_before_the_last_mark
    metadata_stays_closed_when_networkd_drops_what_it_does_not_know
    a_machine_runs_its_job_where_nothing_in_run_is_executable
    a_hung_job_is_ended_by_the_deadline_and_never_told_to_stop
    an_orderly_shutdown_in_the_middle_of_a_job_kills_the_runner_outright
    a_boot_script_that_is_told_to_stop_ends_the_machine
    a_machine_without_a_job_ends_itself
    a_job_that_ec2_takes_the_machine_of_is_reported_as_failed
    a_runner_that_goes_on_after_its_job_is_over_at_the_forge_is_killed
    metadata_that_fails_at_first_is_asked_again_and_one_that_never_answers_ends_the_boot
}

/// Boots `wanted` with this job; `edit` changes the boot file.
fn machine(
    root: Root,
    wanted: &Wanted,
    job: &str,
    plan: Value,
    edit: impl FnOnce(String) -> String,
) -> Option<Ended> {
    let folder = root.folder()?;
    let boot_file = edit(wanted.boot_file());
    let boot = Boot {
        user_data: &boot_file,
        job,
        has_job: !job.is_empty(),
        plan,
    };
    Some(boot.run(root, &folder))
}

/// Replaces what must be there.
fn with(from: &'static str, to: &'static str) -> impl FnOnce(String) -> String {
    move |script| {
        assert!(script.contains(from), "no {from}: {script}");
        script.replace(from, to)
    }
}

fn as_it_is(script: String) -> String {
    script
}

fn what_a_job_leaves_ends_with_it_and_root_reads_nothing_of_it(root: Root) {
    let wanted = Wanted {
        keys: "sudo = true",
        tables: "[pool.base.env]\nGREETING = \"two $words\"\n",
        ..PLAIN
    };
    // What is no service of the machine's is killed with the runner's; what root made one is killed with
    // the machine, which asks nobody to stop.
    let job = "setsid sh -c 'trap : TERM HUP; exec sleep 600' &\n\
        nohup sleep 600 &\n\
        (exec 9</proc/$PPID/fd/1; exec sleep 600) &\n\
        sudo -n systemd-run --quiet --unit=evil sh -c 'trap : TERM; while :; do sleep 1; done'\n\
        rm -rf /run/ci/*\n\
        mkfifo /run/ci/runner.log && echo 'made a pipe'\n\
        rm -f .runner config.yaml; ln -s /etc/shadow .runner; mkfifo config.yaml\n\
        env | cut -d= -f1 | sort | tr '\\n' ' '; echo\n\
        echo \"$GREETING\"; sudo -n id -un\n\
        ls /run/ci || echo 'is closed'\n\
        curl -s -m 2 http://169.254.169.254/ || echo 'metadata is closed'\n\
        sudo -n curl -s -m 2 -o /dev/null http://169.254.169.254/ && echo 'not to root'\n";
    let Some(ended) = machine(root, &wanted, job, json!({}), as_it_is) else {
        return;
    };
    assert_eq!(ended.marks(), ["ending", "online", "started"]);
    let lines: Vec<&str> = ended.job.lines().collect();
    for line in [
        // The shell's own is PWD.
        "GREETING HOME LANG PATH PWD USER ",
        "two $words",
        "root",
        "is closed",
        "metadata is closed",
        "not to root",
        "job ended with 0",
    ] {
        assert!(lines.contains(&line), "no {line}: {}", ended.job);
    }
    assert!(!ended.job.contains("made a pipe"), "{}", ended.job);
    assert!(!ended.job.contains("told to stop"), "{}", ended.job);
    let told = ended.told();
    assert!(!told.contains("root:"), "{told}");
    assert!(!told.contains(TOKEN), "{told}");
    let shipped = format!("{:?}", ended.of_kind("logs"));
    for words in [
        "reached boot after",
        "reached end after",
        "runner: level=info",
    ] {
        assert!(shipped.contains(words), "no {words}: {shipped}");
    }
    // A minute is promised.
    assert!(ended.took < Duration::from_secs(30), "{:?}", ended.took);
}

/// A user manager that lingers takes no rights. A unit of the system's is root's to make, and stands for every
/// other place; what runs in it has root as its effective user.
fn what_a_job_starts_outside_of_its_unit_is_killed_before_the_last_mark(root: Root) {
    let wanted = Wanted {
        keys: "sudo = true",
        ..PLAIN
    };
    let job = "soon() { for i in $(seq 100); do ! \"$@\" >/dev/null || return 0; sleep 0.1; done; return 1; }\n\
        echo true | at now || echo 'no at'\n\
        echo '* * * * * true' | crontab - || echo 'no cron'\n\
        loginctl enable-linger ci\n\
        export XDG_RUNTIME_DIR=/run/user/$(id -u)\n\
        soon test -e $XDG_RUNTIME_DIR/systemd/private\n\
        systemd-run --quiet --user sh -c 'trap : TERM; exec sleep 601'\n\
        sudo -n install -m 4755 /usr/bin/sleep /usr/local/bin/set-uid\n\
        sudo -n systemd-run --quiet --uid=ci set-uid 602\n\
        soon pgrep -x -f '.*sleep 601' && soon pgrep -u root -U ci -x set-uid && echo 'both run'\n";
    let Some(ended) = machine(root, &wanted, job, json!({}), as_it_is) else {
        return;
    };
    let lines: Vec<&str> = ended.job.lines().collect();
    for line in ["no at", "no cron", "both run", "job ended with 0"] {
        assert!(lines.contains(&line), "no {line}: {}", ended.job);
    }
    let alive = ended.of_kind("alive");
    let last = alive.iter().find(|one| one["mark"] == "ending").unwrap();
    assert_eq!(last["processes"], json!([]), "{}", ended.job);
}

/// Whatever makes it do so: systemd 257 does as it starts, 252 when a link is configured again.
fn metadata_stays_closed_when_networkd_drops_what_it_does_not_know(root: Root) {
    let wanted = Wanted {
        keys: "sudo = true",
        ..PLAIN
    };
    let job = "sudo -n sh -c 'ip link add lab0 type veth peer name lab1\n\
        echo \"[Match]\nName=lab0\n[Network]\nAddress=10.9.0.1/24\" >/etc/systemd/network/lab.network\n\
        ip rule add pref 99 to 192.0.2.1 prohibit\n\
        systemctl restart systemd-networkd; networkctl reconfigure lab0\n\
        for i in $(seq 100); do ip rule | grep -q ^99: || break; sleep 0.1; done'\n\
        ip rule | grep -q ^99: || echo 'dropped what it does not know'\n\
        curl -s -m 2 -o /dev/null http://169.254.169.254/ || echo 'metadata is closed'\n\
        sudo -n curl -s -m 2 -o /dev/null http://169.254.169.254/ && echo 'not to root'\n";
    let Some(ended) = machine(root, &wanted, job, json!({}), as_it_is) else {
        return;
    };
    let lines: Vec<&str> = ended.job.lines().collect();
    for line in [
        "dropped what it does not know",
        "metadata is closed",
        "not to root",
        "job ended with 0",
    ] {
        assert!(lines.contains(&line), "no {line}: {}", ended.job);
    }
}

fn a_machine_runs_its_job_where_nothing_in_run_is_executable(root: Root) {
    let noexec = with("#!/bin/sh\n", "#!/bin/sh\nmount -o remount,noexec /run\n");
    let job = "grep -o ' /run tmpfs .*noexec' /proc/mounts | cut -d' ' -f2\n";
    let Some(ended) = machine(root, &PLAIN, job, json!({}), noexec) else {
        return;
    };
    assert_eq!(ended.job, "/run\njob ended with 0\n", "{}", ended.console);
    assert_eq!(ended.marks(), ["ending", "online", "started"]);
}

fn a_hung_job_is_ended_by_the_deadline_and_never_told_to_stop(root: Root) {
    let deadline = with("--on-active=10min", "--on-active=3s");
    let job = "trap 'echo heard' TERM\necho begun\nwhile :; do sleep 1; done";
    let Some(ended) = machine(root, &PLAIN, job, json!({}), deadline) else {
        return;
    };
    assert_eq!(ended.job, "begun\n");
    // The boot script sees that the runner is gone, and may come to say so before the power is.
    let mut marks = ended.marks();
    marks.retain(|mark| *mark != "ending");
    assert_eq!(marks, ["online", "started"]);
    assert!(ended.took < Duration::from_secs(30), "{:?}", ended.took);
}

fn an_orderly_shutdown_in_the_middle_of_a_job_kills_the_runner_outright(root: Root) {
    let job = "echo begun\nwhile :; do sleep 1; done";
    let plan = json!({"shut_down_at": "started"});
    let Some(ended) = machine(root, &PLAIN, job, plan, as_it_is) else {
        return;
    };
    assert_eq!(ended.job, "begun\n", "{}", ended.console);
}

fn a_boot_script_that_is_told_to_stop_ends_the_machine(root: Root) {
    let stop = with("started() {\n", "started() {\n(sleep 1; kill -TERM $$) &\n");
    let job = "echo begun\nwhile :; do sleep 1; done";
    let Some(ended) = machine(root, &PLAIN, job, json!({}), stop) else {
        return;
    };
    assert_eq!(ended.job, "begun\n");
    assert!(
        ended.console.contains("(exit 143) told to stop"),
        "{}",
        ended.console
    );
    assert_eq!(ended.marks(), ["ending", "online", "started"]);
}

fn a_machine_without_a_job_ends_itself(root: Root) {
    let soon = with("idle_timeout_s=$((1 * 60))", "idle_timeout_s=2");
    let Some(ended) = machine(root, &PLAIN, "", json!({}), soon) else {
        return;
    };
    assert!(
        ended.console.contains("no job within 2 s"),
        "{}",
        ended.console
    );
    assert_eq!(ended.marks(), ["ending", "online"]);
}

fn a_job_that_ec2_takes_the_machine_of_is_reported_as_failed(root: Root) {
    let plan = json!({"notice": {"after_s": 1, "left_s": 19}});
    let job = "echo begun\nwhile :; do sleep 1; done";
    let Some(ended) = machine(root, &PLAIN, job, plan, as_it_is) else {
        return;
    };
    assert_eq!(ended.job, "begun\n");
    assert_eq!(ended.marks(), ["interrupted", "online", "started"]);
    let calls = ended.of_kind("forge");
    assert!(calls.iter().all(|call| call["token"] == TOKEN), "{calls:?}");
    // Without rows it is a question: whether the job is over, every 15 seconds, and how long its log is.
    let told: Vec<&Value> = calls
        .iter()
        .filter(|call| call["body"]["rows"] != json!([]))
        .copied()
        .collect();
    let methods: Vec<&str> = told.iter().filter_map(|it| it["method"].as_str()).collect();
    assert_eq!(methods, ["UpdateLog", "UpdateTask"]);
    let row = &told[0]["body"];
    assert_eq!(row["index"], "3", "behind what the log has already");
    let words = row["rows"][0]["content"].as_str().unwrap();
    assert!(words.contains("interrupted: EC2 took"), "{words}");
    let state = &told[1]["body"]["state"];
    assert_eq!(
        (&state["id"], &state["result"]),
        (&json!("7"), &json!("RESULT_FAILURE"))
    );
    let told = ended.told();
    assert!(!told.contains(TOKEN), "{told}");
}

/// Its job stopped it, or the forge could not tell it that the job was cancelled.
fn a_runner_that_goes_on_after_its_job_is_over_at_the_forge_is_killed(root: Root) {
    let plan = json!({"job_is_over": true});
    let job = "echo begun\nkill -STOP $PPID\nwhile :; do sleep 1; done";
    let soon = |script: String| {
        let script = with("ask_at_s=$(($(now_s) + 15))", "ask_at_s=$(($(now_s) + 1))")(script);
        with("$(($(now_s) + 30))", "$(($(now_s) + 2))")(script)
    };
    let Some(ended) = machine(root, &PLAIN, job, plan, soon) else {
        return;
    };
    assert_eq!(ended.job, "begun\n");
    assert_eq!(ended.marks(), ["ending", "online", "started"]);
    let words = "the job is over at the forge, and its runner was not";
    assert!(ended.console.contains(words), "{}", ended.console);
    let calls = ended.of_kind("forge");
    assert!(calls.len() > 1, "asked twice at least: {calls:?}");
    assert!(
        calls.iter().all(|call| call["method"] == "UpdateLog"),
        "{calls:?}"
    );
}

fn metadata_that_fails_at_first_is_asked_again_and_one_that_never_answers_ends_the_boot(
    root: Root,
) {
    let plan = json!({"metadata_failures": 3});
    let Some(ended) = machine(root, &PLAIN, "echo done", plan, as_it_is) else {
        return;
    };
    assert_eq!(ended.job, "done\njob ended with 0\n", "{}", ended.console);

    let plan = json!({"metadata_failures": 1_000_000});
    let soon = with("boot_timeout_s=$((1 * 60))", "boot_timeout_s=3");
    let ended = machine(root, &PLAIN, "echo done", plan, soon).unwrap();
    assert_eq!(ended.job, "");
    assert!(
        ended
            .console
            .contains("boot timeout of 3 s reached: metadata service does not answer"),
        "{}",
        ended.console
    );
    assert!(!ended.of_kind("metadata").is_empty());
}
