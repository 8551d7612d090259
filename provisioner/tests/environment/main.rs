//! Environment files that are wrong: every problem is said, with its line and what to do.

mod pools;

use std::path::Path;

use provisioner::environment::{self, Environment, Problem};

const RIGHT: &str = r#"name = "my-ci"
region = "eu-west-1"
max_runners = 5
[forge]
url = "https://git.example.com"
[pool.base]
image = { stock = "al2023" }
instance_types = ["m7a.medium"]
[pool.base.labels]
linux = "host"
"#;

fn problems(source: &str) -> Vec<Problem> {
    Environment::parse(source, Path::new(".")).expect_err("the file is wrong")
}

/// `RIGHT` with `from` replaced by `to`.
fn changed(from: &str, to: &str) -> String {
    assert!(RIGHT.contains(from), "{from}");
    RIGHT.replace(from, to)
}

#[test]
fn the_right_one_is_right() {
    let environment = Environment::parse(RIGHT, Path::new(".")).unwrap();
    assert_eq!(environment.name, "my-ci");
    assert_eq!(environment.pools[0].max_runners, 5);
    assert_eq!(environment.pools[0].repositories, ["*"]);
}

/// What is replaced, by what, the line of the problem, and how it begins.
const MISTAKES: &[(&str, &str, usize, &str)] = &[
    // Types, unknown keys, missing ones.
    (
        "max_runners = 5",
        "max_runners = \"5\"",
        3,
        "max_runners: must be a whole number, and is of type string",
    ),
    (
        "max_runners = 5",
        "max_runners = 0",
        3,
        "max_runners: must be from 1 to 1000",
    ),
    (
        "max_runners = 5",
        "max_runners = 5\ntick_minute = 1",
        4,
        "tick_minute: unknown key",
    ),
    (
        "max_runners = 5",
        "max_runners = 5\naccount_id = 111111111111",
        4,
        "account_id: must be a string in quotes",
    ),
    (
        "max_runners = 5",
        "max_runners = 5\naccount_id = \"1234\"",
        4,
        "account_id: must be the twelve digits",
    ),
    ("max_runners = 5\n", "", 1, "max_runners: is missing"),
    ("[forge]\nurl", "[forge]\nurI", 5, "forge.uri: unknown key"),
    (
        "url = \"https://git.example.com\"",
        "url = \"https://me:token@git.example.com\"",
        5,
        "forge.url: must be",
    ),
    (
        "url = ",
        "root_url = \"git.example.com\"\nurl = ",
        5,
        "forge.root_url: must be",
    ),
    (
        "url = ",
        "kind = \"github\"\nurl = ",
        5,
        "forge.kind: must be gitea or forgejo",
    ),
    (
        "url = ",
        "ca = \"nowhere.pem\"\nurl = ",
        5,
        "forge.ca: cannot read",
    ),
    // Names that AWS does not take.
    (
        "\"my-ci\"",
        "\"a-name-that-is-much-too-long-for-aws\"",
        1,
        "name: has 36 characters and may have 24",
    ),
    ("\"my-ci\"", "\"My CI\"", 1, "name: must be lower-case"),
    ("\"my-ci\"", "\"aws-ci\"", 1, "name: may not begin with aws"),
    (
        "\"eu-west-1\"",
        "\"ireland\"",
        2,
        "region: must be a region",
    ),
    // Pools.
    (
        "instance_types = [\"m7a.medium\"]",
        "instance_types = []",
        8,
        "pool.base.instance_types: must be from 1 to",
    ),
    (
        "instance_types = [\"m7a.medium\"]",
        "instance_types = \"m7a.medium\"",
        8,
        "pool.base.instance_types: must be a list",
    ),
    (
        "instance_types = [\"m7a.medium\"]",
        "instance_types = [\"t3.small\"]",
        6,
        "pool.base.cpu_credits: is missing",
    ),
    (
        "instance_types = [\"m7a.medium\"]",
        "instance_types = [\"m7a.medium\"]\ncpu_credits = \"standard\"",
        9,
        "pool.base.cpu_credits: is for T types only",
    ),
    (
        "instance_types = [\"m7a.medium\"]",
        "instance_types = [\"m7g.medium\"]",
        8,
        "pool.base.instance_types: `m7g.medium` is not x86_64",
    ),
    (
        "instance_types = [\"m7a.medium\"]",
        "instance_types = [\"m7a.medium\"]\nmax_lifetime_minutes = 5\nboot_timeout_minutes = 3\nidle_timeout_minutes = 3",
        9,
        "pool.base.max_lifetime_minutes: is 5, which",
    ),
    (
        "instance_types = [\"m7a.medium\"]",
        "instance_types = [\"m7a.medium\"]\ncapacity = \"reserved\"",
        9,
        "pool.base.capacity: must be",
    ),
    (
        "instance_types = [\"m7a.medium\"]",
        "instance_types = [\"m7a.medium\"]\nscope = \"everyone\"",
        9,
        "pool.base.scope: must be",
    ),
    (
        "instance_types = [\"m7a.medium\"]",
        "instance_types = [\"m7a.medium\"]\nmax_runners = 6",
        6,
        "pool.base.max_runners: is 6, above",
    ),
    (
        "instance_types = [\"m7a.medium\"]",
        "instance_types = [\"m7a.medium\"]\npermissions = \"release\"\nscope = \"organization:acme\"",
        6,
        "pool.base.permissions: there is no [permissions.release]",
    ),
    (
        "{ stock = \"al2023\" }",
        "{ stock = \"ubuntu\" }",
        7,
        "pool.base.image: must be one of",
    ),
    (
        "{ stock = \"al2023\" }",
        "{ ami = \"ami-0123456789abcdef0\", ssm = \"/x\" }",
        7,
        "pool.base.image: must be one of",
    ),
    (
        "linux = \"host\"",
        "linux = \"vm\"",
        10,
        "pool.base.labels.linux: must be served as",
    ),
    (
        "linux = \"host\"",
        "\"linux:host\" = \"host\"",
        10,
        "pool.base.labels.linux:host: must be letters",
    ),
    // Networks.
    (
        "[pool.base]",
        "[network]\negress = [0]\n[pool.base]",
        7,
        "network.egress: must be numbers from 1 to 65535",
    ),
    (
        "[pool.base]",
        "[network]\negress = [{ port = 22, cidr = \"everywhere\" }]\n[pool.base]",
        7,
        "network.egress.cidr: must be a network",
    ),
    (
        "[pool.base]",
        "[network]\nsubnets = [\"mine\"]\n[pool.base]",
        7,
        "network.subnets: must be ids",
    ),
    (
        "[pool.base]",
        "[tags]\nmy-ci = \"x\"\n[pool.base]",
        7,
        "tags.my-ci: is the deployment's own tag",
    ),
];

#[test]
fn one_mistake_gives_one_problem_at_its_line() {
    for (from, to, line, message) in MISTAKES {
        let source = changed(from, to);
        // Where a key is misspelt, the right one is missing as well.
        let found = problems(&source);
        assert!(
            found.iter().any(|problem| {
                problem.line == *line
                    && problem
                        .message
                        .to_lowercase()
                        .starts_with(&message.to_lowercase())
            }),
            "{to}\nfound: {found:#?}"
        );
        assert!(found.len() <= 2, "{found:#?}");
    }
}

/// Old keys by the line that holds them, what that line stands below, and how they are called now.
const RENAMED: &[(&str, &str, &str)] = &[
    (
        "account = \"1\"",
        "max_runners = 5",
        "account: is called account_id now",
    ),
    (
        "[lambda]\nmemory_mb = 256",
        "linux = \"host\"",
        "lambda: is called [dispatcher] now",
    ),
    (
        "[rights.release]\ns3 = [\"bucket/*\"]",
        "linux = \"host\"",
        "rights: is called [permissions.NAME] now",
    ),
    (
        "[permissions.x]\nmanaged_policies = [\"ReadOnlyAccess\"]",
        "linux = \"host\"",
        "permissions.x.managed_policies: is called policy_arns now",
    ),
    (
        "[permissions.x]\npass_roles = [\"task\"]",
        "linux = \"host\"",
        "permissions.x.pass_roles: is called pass_role_arns now",
    ),
    (
        "[network]\npublic_address = false",
        "linux = \"host\"",
        "network.public_address: is called assign_public_ip now",
    ),
    (
        "[network]\nports = [22]",
        "linux = \"host\"",
        "network.ports: is called egress now",
    ),
    (
        "types = []",
        "[pool.base]",
        "pool.base.types: is called instance_types now",
    ),
    (
        "disk_gb = 9",
        "[pool.base]",
        "pool.base.disk_gb: is called root_volume_gb now",
    ),
    (
        "credit = \"x\"",
        "[pool.base]",
        "pool.base.credit: is called cpu_credits now",
    ),
    (
        "market = \"spot\"",
        "[pool.base]",
        "pool.base.market: is called capacity now",
    ),
    (
        "limit_minutes = 9",
        "[pool.base]",
        "pool.base.limit_minutes: is called max_lifetime_minutes now",
    ),
    (
        "boot_limit_minutes = 9",
        "[pool.base]",
        "pool.base.boot_limit_minutes: is called boot_timeout_minutes now",
    ),
    (
        "idle_limit_minutes = 9",
        "[pool.base]",
        "pool.base.idle_limit_minutes: is called idle_timeout_minutes now",
    ),
    (
        "default = true",
        "[pool.base]",
        "pool.base.default: is called accepts_unlabelled now",
    ),
    (
        "git_token = true",
        "[pool.base]",
        "pool.base.git_token: is called clone_token now",
    ),
    (
        "rights = \"x\"",
        "[pool.base]",
        "pool.base.rights: is called permissions now",
    ),
];

#[test]
fn an_old_key_is_refused_with_the_one_that_took_its_place() {
    for (old, above, message) in RENAMED {
        let found = problems(&changed(above, &format!("{above}\n{old}")));
        let messages: Vec<&str> = found.iter().map(|problem| &*problem.message).collect();
        assert_eq!(messages, [*message], "{old}");
    }
}

#[test]
fn an_unknown_key_is_refused_with_those_that_are_known() {
    let found = problems(&changed(
        "[pool.base]",
        "[network]\nports_open = [1]\n[pool.base]",
    ));
    assert_eq!(
        found[0].message,
        "network.ports_open: unknown key; known here are vpc, subnets, assign_public_ip, egress"
    );
    let found = problems(&changed("[forge]", "[pools.x]\n[forge]"));
    let message = &found[0].message;
    assert!(
        message.contains("[permissions.NAME], [pool.NAME]"),
        "{message}"
    );
}

#[test]
fn all_mistakes_are_said_at_once_in_the_order_of_the_file() {
    let source = RIGHT
        .replace("\"my-ci\"", "\"My CI\"")
        .replace("max_runners = 5", "max_runners = \"five\"\nunknown = 1")
        .replace(
            "instance_types = [\"m7a.medium\"]",
            "instance_types = [7]\nroot_volume_gb = 1",
        );
    let lines: Vec<usize> = problems(&source)
        .iter()
        .map(|problem| problem.line)
        .collect();
    assert_eq!(lines, [1, 3, 4, 9, 9, 10]);
}

#[test]
fn what_is_not_toml_is_said_with_its_line() {
    let found = problems("name = \"x\"\nregion = eu-west-1\n");
    assert!(found.iter().any(|problem| problem.line == 2), "{found:?}");
    let twice = changed("linux = \"host\"", "linux = \"host\"\nlinux = \"host\"");
    assert!(problems(&twice).iter().any(|problem| problem.line == 11));
}

#[test]
fn a_file_names_itself_before_each_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wrong.toml");
    std::fs::write(&path, changed("max_runners = 5", "max_runners = -5")).unwrap();
    let error = environment::load(&path).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("{}:3: max_runners: must be from 1 to 1000", path.display())
    );
    let missing = environment::load(Path::new("nowhere.toml"))
        .unwrap_err()
        .to_string();
    assert!(missing.contains("nowhere.toml") && missing.contains("stacks/environments"));
}
