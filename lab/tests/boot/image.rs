//! What an image has to have, and what boot installs on a stock one.

use serde_json::json;

use crate::rendered::{AL2023, UBUNTU};
use crate::support::Bench;
use crate::{Forge, PLAIN, prepared, user_data};

/// What an image lacks is said on the console: without a curl that signs, nothing else hears of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_lacks_something_says_what_before_it_asks_for_anything() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let old_curl = "printf '#!/bin/sh\\n[ \"$1\" != --version ] || echo curl 7.61.1\\n' >/usr/local/bin/curl\n\
                    chmod +x /usr/local/bin/curl\n";
    let no_runner = "rm /usr/local/bin/gitea-runner /usr/local/bin/act_runner\n";
    for (spoil, said) in [
        (
            old_curl,
            "the image needs curl 7.75 or newer, which signs, and has curl 7.61.1",
        ),
        (
            no_runner,
            "phase image (exit 1) the image has no gitea-runner",
        ),
    ] {
        let boot_file = PLAIN.boot_file();
        let boot_file = boot_file.strip_prefix("#!/bin/sh\n").unwrap();
        let id = bench.boot(&format!("#!/bin/sh\n{spoil}{boot_file}")).await;
        bench.wait_for(&id, "terminated").await;
        let console = bench.console(&id);
        assert!(console.contains(said), "{console}");
        assert!(!console.contains("phase credential"), "{console}");
    }
    bench.down().await;
}

/// A program of the image that says how it is called, and does what `does` says.
fn says(program: &str, does: &str) -> String {
    format!(
        "cat >/usr/local/bin/{program} <<'SAYS'\n#!/bin/sh\necho {program} \"$@\" >>/run/calls\n\
         {does}\nSAYS\nchmod +x /usr/local/bin/{program}\n"
    )
}

/// What was called, told on the console as the runner starts.
const TELLS: (&str, &str) = (
    "mark online &",
    "sed 's/^/called: /' /run/calls\nmark online &",
);

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_machine_gets_what_actions_need() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    Forge(&bench).job("stock", "echo done").await;
    let answers = json!([Forge(&bench).credential("stock").await]);
    // The host has a Node, and no dnf.
    let boot_file = AL2023.boot_file();
    let boot_file = boot_file.replace("command -v node", "command -v no-node");
    let boot_file = boot_file.replace(TELLS.0, TELLS.1);
    let id = bench
        .boot(&prepared(&says("dnf", ""), &boot_file, &answers))
        .await;
    bench.wait_for(&id, "terminated").await;
    let console = bench.console(&id);
    let call = "called: dnf -q -y install nodejs24";
    assert!(console.contains(call), "{console}");
    let standing = Forge(&bench).standing("stock").await;
    assert_eq!(standing, "completed/success", "{console}");
    bench.down().await;
}

/// What the vendor publishes, here: an archive with a `node`.
const ARCHIVE: &str = "mkdir -p /srv/node/bin && echo '#!/bin/sh' >/srv/node/bin/lab-node &&\n\
     chmod 755 /srv/node/bin/lab-node && tar -czf /srv/node.tar.gz -C /srv node\n";

#[tokio::test(flavor = "multi_thread")]
async fn ubuntu_waits_for_apts_lock_and_gets_node_docker_and_sudo() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    Forge(&bench).job("ubuntu", "echo done").await;
    let answers = json!([Forge(&bench).credential("ubuntu").await]);
    // The first look at the lists meets the daily upgrade.
    let apt = says(
        "apt-get",
        "case \"$*\" in\n\
         *update) [ -e /run/second ] || { touch /run/second; exit 100; } ;;\n\
         *install*) echo \"noninteractive: $DEBIAN_FRONTEND\" >>/run/calls; groupadd docker\n\
         printf '#!/bin/sh\\n' >/usr/local/bin/no-docker\n\
         chmod +x /usr/local/bin/no-docker ;;\nesac",
    );
    // The lab's units are those that systemd-run makes.
    let systemctl = says(
        "systemctl",
        "[ \"$1\" != start ] || exit 0\nexec /usr/bin/systemctl \"$@\"",
    );
    let prepare = format!(
        "{ARCHIVE}{apt}{systemctl}{}mkdir -p /etc/sudoers.d\n",
        says("sudo", "")
    );
    let boot_file = UBUNTU.boot_file();
    let boot_file = boot_file
        .replace("command -v node", "command -v no-node")
        .replace("command -v docker", "command -v no-docker")
        .replace("command -v git", "command -v no-git")
        .replace(TELLS.0, TELLS.1);
    // Nothing is downloaded here, and another archive has another checksum.
    let download = "curl -fsSL --proto '=https' -m 120 -o \"/root/$1\" \"$2\"";
    assert!(boot_file.contains(download));
    let boot_file = boot_file.replace(download, "cp /srv/node.tar.gz \"/root/$1\"");
    let id = bench.boot(&prepared(&prepare, &boot_file, &answers)).await;
    bench.wait_for(&id, "terminated").await;
    let console = bench.console(&id);
    assert!(
        console.contains("has another checksum than the pinned one"),
        "{console}"
    );
    assert!(!console.contains("reached job"), "{console}");

    let check = "echo \"$3  /root/$1\" | sha256sum -c -";
    assert!(boot_file.contains(check));
    let boot_file = boot_file.replace(check, "cmp /srv/node.tar.gz \"/root/$1\"");
    let id = bench.boot(&prepared(&prepare, &boot_file, &answers)).await;
    bench.wait_for(&id, "terminated").await;
    let console = bench.console(&id);
    for call in [
        "called: systemctl stop apt-daily.timer apt-daily-upgrade.timer",
        "called: apt-get -qq update\ncalled: apt-get -qq update\n",
        "--no-install-recommends install git docker.io docker-buildx docker-compose-v2\n",
        "called: noninteractive: noninteractive",
        "called: systemctl start docker.socket",
    ] {
        assert!(console.contains(call), "no {call}: {console}");
    }
    let standing = Forge(&bench).standing("ubuntu").await;
    assert_eq!(standing, "completed/success", "{console}");
    bench.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_a_credential_is_no_credential() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let answers = json!([[200, "clone-token 0123456789\n"]]);
    let id = bench.boot(&user_data(&PLAIN.boot_file(), &answers)).await;
    bench.wait_for(&id, "terminated").await;
    let console = bench.console(&id);
    let words = "credential: the answer holds no runner document";
    assert!(console.contains(words), "{console}");
    bench.down().await;
}
