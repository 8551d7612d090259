//! What a job finds on its machine, and what it can't reach there.

use serde_json::json;

use crate::support::Bench;
use crate::{Forge, PLAIN, Wanted, marks, prepared, user_data};

/// The page that promises it.
const PAGE: &str = include_str!("../../../docs/machines.md");

/// An image's own variables, in the ways in which people write them.
const IMAGE: &str = r#"cat >/etc/environment <<'IMAGE'
# of the image
PATH="/opt/tool/bin:/usr/local/bin:/usr/bin:/bin"
export JAVA_HOME='/opt/java'
RUNNER_TOOL_CACHE=/opt/hostedtoolcache
ODD=it's "$HOME" \ and `id`
GREETING=of the image
not a variable
IMAGE
mkdir -p /opt/tool/bin && printf '#!/bin/sh\necho the tool runs\n' >/opt/tool/bin/tool
chmod +x /opt/tool/bin/tool
"#;

const WITH_ENV: Wanted = Wanted {
    tables: "[pool.base.env]\nGREETING = \"two $words and a \\\"\"\nRUNNER_TOOL_CACHE = \"/opt/pool tools\"\n",
    ..PLAIN
};

#[tokio::test(flavor = "multi_thread")]
async fn it_asks_again_runs_its_one_job_in_a_clean_environment_and_powers_off() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let forge = Forge(&bench);
    let script = "env | cut -d= -f1 | sort | tr '\\n' ' '; echo\n\
        env | grep -e ^ODD -e ^GREETING -e ^JAVA -e ^PATH -e ^HOME -e ^USER -e ^LANG\n\
        echo \"tools in $(readlink -f \"$RUNNER_TOOL_CACHE\")\"\n\
        tool\n\
        git clone -q http://forge.lab:3000/labadmin/good.git copy && ls -A copy\n\
        cat /proc/*/cmdline /proc/*/environ 2>/dev/null | tr '\\0' ' ' >all || true\n\
        grep -c x-amz-security-token all || true\n\
        id -un";
    forge.job("good", script).await;
    let credential = forge.credential("good").await;
    let answers = json!([[503, "not yet"], credential]);
    let boot_file = WITH_ENV.boot_file();
    let id = bench.boot(&prepared(IMAGE, &boot_file, &answers)).await;
    bench.wait_for(&id, "terminated").await;
    let console = bench.console(&id);
    assert_eq!(
        forge.standing("good").await,
        "completed/success",
        "{console}"
    );
    let asked = console.matches("{\"ask\": \"credential\"}").count();
    assert_eq!(asked, 2, "{console}");
    assert!(!console.contains("UNSIGNED"), "{console}");
    let mut told = marks(&console);
    // Two are sent in the background, so in any order.
    told.sort_unstable();
    assert_eq!(told, ["ending", "online", "started"], "{console}");
    says_its_phases_and_no_secret(&console, credential[1].as_str().unwrap());

    let log = forge.log("good").await;
    // The real forge writes a time before each line.
    let log: String = log.lines().map(without_time).collect();
    let is_line = |text: &str| log.lines().any(|line| line == text);
    let names = log
        .lines()
        .find(|line| line.contains("GITHUB_SHA"))
        .unwrap();
    let own: Vec<&str> = names
        .split(' ')
        .filter(|name| !["PWD", "OLDPWD", "SHLVL", "_", ""].contains(name) && !of_runner(name))
        .collect();
    let of_image_and_pool = ["GREETING", "JAVA_HOME", "ODD"];
    let mut promised: Vec<&str> = promised().into_iter().chain(of_image_and_pool).collect();
    promised.sort_unstable();
    assert_eq!(own, promised);
    for line in [
        "PATH=/opt/tool/bin:/usr/local/bin:/usr/bin:/bin",
        "JAVA_HOME=/opt/java",
        "ODD=it's \"$HOME\" \\ and `id`",
        // What the pool says wins.
        "GREETING=two $words and a \"",
        "HOME=/home/ci",
        "USER=ci",
        "LANG=C.UTF-8",
        "tools in /opt/pool tools",
        "the tool runs",
    ] {
        assert!(is_line(line), "no {line}: {log}");
    }
    assert!(
        log.contains("\n.gitea\n"),
        "a private clone by the clone token: {log}"
    );
    assert!(is_line("0"), "no key in a command line: {log}");
    assert!(is_line("ci"), "{log}");
    assert_eq!(bench.left().of_instances(), 0);
    bench.down().await;
}

/// The variables that the page promises to every job, those that are written as code in its list.
fn promised() -> Vec<&'static str> {
    let (_, list) = PAGE.split_once("exactly these variables:\n").unwrap();
    let (list, _) = list.split_once("\n\n##").unwrap();
    let lines = list.lines().filter(|line| line.starts_with("- `"));
    let names = lines.filter_map(|line| line.split('`').nth(1));
    names.collect()
}

/// Whether the page says that the runner sets it, by its name or by how that begins.
fn of_runner(name: &str) -> bool {
    let (_, list) = PAGE.split_once("The runner adds its own (").unwrap();
    let (list, _) = list.split_once(')').unwrap();
    let mut said = list.split('`').skip(1).step_by(2);
    said.any(|one| match one.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == one,
    })
}

fn says_its_phases_and_no_secret(console: &str, given: &str) {
    let shipped: Vec<&str> = console
        .lines()
        .filter_map(|line| line.strip_prefix("shipped signed "))
        .collect();
    let mut places = Vec::new();
    for phase in ["boot", "credential", "registered", "online", "job", "end"] {
        let words = format!("reached {phase} after ");
        let place = shipped.iter().position(|line| line.contains(&words));
        places.push(place.unwrap_or_else(|| panic!("{phase} is not shipped: {console}")));
    }
    assert!(places.is_sorted(), "{shipped:?}");
    let of_runner = shipped.iter().filter(|line| line.contains(" runner: "));
    assert!(of_runner.count() > 1, "{shipped:?}");
    for secret in given.split(['"', ' ', '\n']) {
        if secret.len() >= 40 {
            assert!(!console.contains(secret), "{secret}: {console}");
        }
    }
}

/// A line of a log, without the time that may stand before it.
fn without_time(line: &str) -> String {
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    let is_time = first.ends_with('Z') && first.starts_with("20");
    format!("{}\n", if is_time { rest } else { line })
}

/// What a job puts where root once looked, and what it leaves running, keeps no machine and tells it nothing.
#[tokio::test(flavor = "multi_thread")]
async fn no_pipe_link_or_process_that_a_job_leaves_keeps_its_machine_or_is_read_by_root() {
    const SECRET: &str = "only-root-reads-this";
    let Some(bench) = Bench::up().await else {
        return;
    };
    let forge = Forge(&bench);
    let script = "exec 2>&1\n\
        rm -rf /run/ci /run/ci/* || true\n\
        mkdir -p /run/ci/log || true\n\
        for log in /run/ci/runner.log /run/ci/log/runner.log; do mkfifo $log || true; done\n\
        cd /run/ci-runner\n\
        for file in .runner config.yaml runner.log token; do rm -f $file; ln -s /root/secret $file; done\n\
        mkdir log && mkfifo log/runner.log\n\
        rm -rf ~/.gitconfig && ln -s /root/secret ~/.gitconfig\n\
        cat /root/secret /run/ci/runner.log || true\n\
        setsid sh -c 'trap : TERM HUP INT; exec sleep 300' >/dev/null 2>&1 </dev/null &\n\
        nohup sleep 300 >/dev/null 2>&1 &\n\
        (exec 9</proc/$PPID/fd/1; sleep 300) >/dev/null 2>&1 &\n\
        echo begun";
    forge.job("hostile", script).await;
    let answers = json!([forge.credential("hostile").await]);
    let secret = format!("echo {SECRET} >/root/secret; chmod 600 /root/secret");
    let boot_file = PLAIN.boot_file();
    let id = bench.boot(&prepared(&secret, &boot_file, &answers)).await;
    bench.wait_for_words(&id, "reached job").await;
    // Within half of the minute that is promised, at the most.
    bench.wait_for(&id, "terminated").await;
    let console = bench.console(&id);
    let standing = forge.standing("hostile").await;
    assert_eq!(standing, "completed/success", "{console}");
    let log = forge.log("hostile").await;
    assert!(log.contains("begun"), "{log}");
    assert!(!log.contains(SECRET), "{log}");
    assert!(!console.contains(SECRET), "{console}");
    let mut told = marks(&console);
    told.sort_unstable();
    assert_eq!(told, ["ending", "online", "started"], "{console}");
    assert_eq!(bench.left().of_instances(), 0);
    bench.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_stays_failed_and_one_of_roots_is_root() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let forge = Forge(&bench);
    forge.job("red", "exit 7").await;
    let answers = json!([forge.credential("red").await]);
    let id = bench.boot(&user_data(&PLAIN.boot_file(), &answers)).await;
    bench.wait_for(&id, "terminated").await;
    let console = bench.console(&id);
    assert_eq!(
        forge.standing("red").await,
        "completed/failure",
        "{console}"
    );

    let script = "id -un; echo $HOME $USER; ls /run/ci; grep -c '\"token\"' /run/ci/* || true";
    forge.job("root", script).await;
    let as_root = Wanted {
        keys: "run_as = \"root\"",
        ..PLAIN
    };
    let answers = json!([forge.credential("root").await]);
    let id = bench.boot(&user_data(&as_root.boot_file(), &answers)).await;
    bench.wait_for(&id, "terminated").await;
    let console = bench.console(&id);
    let log = forge.log("root").await;
    assert_eq!(
        forge.standing("root").await,
        "completed/success",
        "{console}"
    );
    let log: String = log.lines().map(without_time).collect();
    assert!(log.contains("\nroot\n/root root\n"), "{log}");
    // The answer with the credential is gone before a job begins.
    assert!(log.contains("runner.log"), "{log}");
    assert!(!log.lines().any(|line| line == "answer"), "{log}");
    bench.down().await;
}
