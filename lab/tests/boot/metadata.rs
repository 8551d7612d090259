//! Who reaches the metadata service, where the role of the machine lies.

use serde_json::json;

use crate::support::Bench;
use crate::{Forge, PLAIN, Wanted, prepared};

/// A role of its own for jobs of the pool.
const WITH_PERMISSIONS: Wanted = Wanted {
    keys: "permissions = \"deploy\"",
    tables: "[permissions.deploy]\necr = [\"team/*\"]\n",
    ..PLAIN
};

/// Metadata by IPv6, and a container: a network of its own behind the machine, which forwards for it. Either is
/// reached before the boot file runs. On AWS neither address is the machine's own, so own addresses come last.
const PREPARE: &str = r"ip -6 address add fd00:ec2::254/128 dev lo noprefixroute
ip -6 rule add pref 32767 lookup local && ip -6 rule del pref 0
ip -6 rule add pref 0 not to fd00:ec2::254 lookup local
systemd-run --quiet --unit=metadata6 python3 -m http.server 80 --bind fd00:ec2::254
until curl -s -m 2 -o /dev/null 'http://[fd00:ec2::254]/'; do sleep 0.1; done
systemd-run --quiet --unit=box unshare --net sh -c 'echo $$ >/run/box; exec sleep 300'
until [ -s /run/box ]; do sleep 0.1; done
box=$(cat /run/box)
ip link add box0 type veth peer name box1 netns $box
ip address add 10.9.0.1/24 dev box0 && ip link set box0 up
in_box() { nsenter --net --target $box -- $*; }
in_box ip address add 10.9.0.2/24 dev box1 && in_box ip link set box1 up
in_box ip route add default via 10.9.0.1
from_box() { echo $1: container $(in_box curl -s -m 2 -o /dev/null -w %{http_code} http://169.254.169.254/); }
from_box before
";

/// What a job finds, each a line of its log.
const LOOKS: &str = "status() { curl -s -g -m 2 -o /dev/null -w '%{http_code}\\n' $*; }\n\
    echo metadata $(status -X PUT -H X-aws-ec2-metadata-token-ttl-seconds:60 http://169.254.169.254/latest/api/token)\n\
    echo metadata6 $(status http://[fd00:ec2::254]/)\n\
    ip rule del pref 101 2>/dev/null && echo opened it || echo can not open it";

#[tokio::test(flavor = "multi_thread")]
async fn jobs_and_containers_reach_no_metadata_unless_their_pool_has_permissions() {
    let Some(bench) = Bench::up().await else {
        return;
    };
    let forge = Forge(&bench);
    for (name, wanted, status) in [("closed", PLAIN, "000"), ("open", WITH_PERMISSIONS, "200")] {
        forge.job(name, LOOKS).await;
        let answers = json!([forge.credential(name).await]);
        let boot_file = wanted.boot_file();
        assert_eq!(
            boot_file.contains("lab-ci-runner-deploy"),
            status == "200",
            "its role is asked for by name"
        );
        // The bench's machines have one role.
        let boot_file = boot_file
            .replace("lab-ci-runner-deploy", "lab-ci-runner")
            .replace("mark online &", "from_box after\nmark online &");
        let id = bench.boot(&prepared(PREPARE, &boot_file, &answers)).await;
        bench.wait_for(&id, "terminated").await;
        let console = bench.console(&id);
        let standing = forge.standing(name).await;
        assert_eq!(standing, "completed/success", "{console}");
        let log = forge.log(name).await;
        for line in [
            format!("metadata {status}"),
            format!("metadata6 {status}"),
            "can not open it".to_owned(),
        ] {
            let is_there = log.lines().any(|one| one.ends_with(&line));
            assert!(is_there, "{name}, no {line}: {log}");
        }
        // Without a token nobody is told anything: that is an answer.
        assert!(console.contains("before: container 401"), "{console}");
        let after = if status == "000" { "000" } else { "401" };
        let words = format!("after: container {after}");
        assert!(console.contains(&words), "{name}: {console}");
        // Root's own calls are signed with what lies there, to the last.
        assert!(console.contains("shipped signed"), "{console}");
        assert!(!console.contains("UNSIGNED"), "{console}");
    }
    bench.down().await;
}
