//! Environment files that are wrong: every problem is said, with its line and what to do.

mod pools;

use std::path::Path;

use provisioner::environment::{self, Environment, Problem, RunAs};

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
    assert_eq!(environment.pools[0].document.max_runners, 5);
    assert_eq!(environment.pools[0].document.repositories, ["*"]);
}

#[test]
fn what_jobs_are_on_their_machine_is_as_the_pool_says_and_nothing_by_default() {
    let parse = |source: &str| {
        let environment = Environment::parse(source, Path::new(".")).unwrap();
        environment.pools[0].clone()
    };
    let plain = parse(RIGHT);
    assert_eq!((plain.host.run_as, plain.host.sudo), (RunAs::Ci, false));
    assert!(!plain.host.docker && plain.host.env.is_empty());

    let labels = "[pool.base.labels]";
    let more = "sudo = true\ndocker = true\nrun_as = \"root\"\n[pool.base.env]\n\
                PATH = \"/opt/bin:/bin\"\nRUNNER_TOOL_CACHE = \"/opt/tools\"\nA_1 = \"two $words \\\"\"\n";
    let rich = parse(&changed(labels, &format!("{more}{labels}")));
    let host = &rich.host;
    assert!(host.sudo && host.docker);
    assert_eq!(host.run_as.home(), "/root");
    assert_eq!(host.env["A_1"], "two $words \"");
    assert_eq!(host.env.len(), 3);

    let many = (0..33).map(|at| format!("V{at} = \"x\"\n"));
    let many = many.collect::<Vec<_>>().concat();
    let found = problems(&changed(
        labels,
        &format!("[pool.base.env]\n{many}{labels}"),
    ));
    assert_eq!(found[0].message, "pool.base.env: may have 32 at most");
}

#[test]
fn docker_on_a_stock_image_serves_labels_in_containers() {
    let label = "linux = \"docker://node:24\"";
    let source = changed("linux = \"host\"", label);
    let source = source.replace("[pool.base.labels]", "docker = true\n[pool.base.labels]");
    assert!(Environment::parse(&source, Path::new(".")).is_ok());
}

/// The line of `RIGHT` where something is wrong, what stands there instead (or before it, if that is
/// another key), and how the problem begins that is found there.
const MISTAKES: &str = r#"
3  | max_runners = "5"                       | max_runners: must be a whole number, and is of type string
3  | max_runners = 0                         | max_runners: must be from 1 to 1000
4  | tick_minute = 1                         | tick_minute: unknown key
4  | account_id = 111111111111               | account_id: must be a string in quotes
4  | account_id = "1234"                     | account_id: must be the twelve digits
5  | urI = "https://git.example.com"         | forge.urI: unknown key
5  | url = "https://me:token@git.example.com" | forge.url: must be
5  | root_url = "git.example.com"            | forge.root_url: must be
5  | kind = "github"                         | forge.kind: must be gitea or forgejo
5  | ca = "nowhere.pem"                      | forge.ca: cannot read
1  | name = "a-name-that-is-much-too-long-for-aws" | name: has 36 characters and may have 24
1  | name = "My CI"                          | name: must be lower-case
1  | name = "aws-ci"                         | name: may not begin with aws
2  | region = "ireland"                      | region: must be a region
8  | instance_types = []                     | pool.base.instance_types: must be from 1 to
8  | instance_types = "m7a.medium"           | pool.base.instance_types: must be a list
8  | instance_types = ["m7g.medium"]         | pool.base.instance_types: `m7g.medium` is not x86_64
9  | cpu_credits = "standard"                | pool.base.cpu_credits: is for T types only
9  | boot_timeout_minutes = 3 ↵ idle_timeout_minutes = 3 ↵ max_lifetime_minutes = 5 | pool.base.max_lifetime_minutes: is 5, which
9  | capacity = "reserved"                   | pool.base.capacity: must be
9  | scope = "everyone"                      | pool.base.scope: must be
9  | sudo = "yes"                            | pool.base.sudo: must be true or false
9  | run_as = "nobody"                       | pool.base.run_as: must be ci or root
9  | env.HOME = "/x"                         | pool.base.env.HOME: is set by the runner
9  | env.GITHUB_SHA = "x"                    | pool.base.env.GITHUB_SHA: is set by the runner
9  | env.1ST = "x"                           | pool.base.env.1ST: must be letters, digits
9  | env."A B" = "x"                         | pool.base.env.A B: must be letters, digits
9  | env.NPM_TOKEN = "x"                     | pool.base.env.NPM_TOKEN: sounds like a secret
9  | env.db_password = "x"                   | pool.base.env.db_password: sounds like a secret
9  | env.A = "it's"                          | pool.base.env.A: must be at most 256 printable
9  | env.A = "a\nb"                          | pool.base.env.A: must be at most 256 printable
9  | env.A = "ü"                             | pool.base.env.A: must be at most 256 printable
9  | env.A = 1                               | pool.base.env.A: must be a string
7  | image = { stock = "debian" }            | pool.base.image: must be one of
7  | image = { ami = "ami-0123456789abcdef0", ssm = "/x" } | pool.base.image: must be one of
7  | image = { name = "go", ami = "ami-0123456789abcdef0" } | pool.base.image: must be one of
7  | image = { name = "Go" }                 | pool.base.image: must be one of
7  | image = { name = "go", stock = "debian" } | pool.base.image: must be one of
10 | linux = "vm"                            | pool.base.labels.linux: must be served as
10 | linux = "docker://node:24"              | pool.base.labels.linux: a stock image has no Docker
10 | "linux:host" = "host"                   | pool.base.labels.linux:host: must be letters
6  | [network] ↵ egress = [0]                | network.egress: must be numbers from 1 to 65535
6  | [network] ↵ egress = [{ port = 22, cidr = "everywhere" }] | network.egress.cidr: must be a network
6  | [network] ↵ subnets = ["mine"]          | network.subnets: must be ids
2  | region = "cn-north-1"                   | region: is in China
6  | [tags] ↵ team = "R&D"                   | tags.team: must be at most 256 letters
6  | [tags] ↵ team = "a\nb"                 | tags.team: must be at most 256 letters
6  | [tags] ↵ my-ci = "x"                    | tags.my-ci: is the deployment's own tag
"#;

/// The same with keys that had other names once, and all that is said then.
const RENAMED: &str = r#"
4  | account = "1"                           | account: is called account_id now
11 | [lambda] ↵ memory_mb = 256              | lambda: is called [dispatcher] now
11 | [rights.release] ↵ s3 = ["bucket/*"]    | rights: is called [permissions.NAME] now
11 | [permissions.x] ↵ managed_policies = ["ReadOnlyAccess"] | permissions.x.managed_policies: is called policy_arns now
11 | [permissions.x] ↵ pass_roles = ["task"] | permissions.x.pass_roles: is called pass_role_arns now
11 | [network] ↵ public_address = false      | network.public_address: is called assign_public_ip now
11 | [network] ↵ ports = [22]                | network.ports: is called egress now
7  | types = []                              | pool.base.types: is called instance_types now
7  | disk_gb = 9                             | pool.base.disk_gb: is called root_volume_gb now
7  | credit = "x"                            | pool.base.credit: is called cpu_credits now
7  | market = "spot"                         | pool.base.market: is called capacity now
7  | limit_minutes = 9                       | pool.base.limit_minutes: is called max_lifetime_minutes now
7  | boot_limit_minutes = 9                  | pool.base.boot_limit_minutes: is called boot_timeout_minutes now
7  | idle_limit_minutes = 9                  | pool.base.idle_limit_minutes: is called idle_timeout_minutes now
7  | default = true                          | pool.base.default: is called accepts_unlabelled now
7  | git_token = true                        | pool.base.git_token: is called clone_token now
7  | rights = "x"                            | pool.base.rights: is called permissions now
"#;

/// For each row the file that is wrong, the last line of what is wrong there, and what is said.
fn rows(table: &'static str) -> impl Iterator<Item = (String, usize, &'static str)> {
    table.trim().lines().map(|row| {
        let cells: Vec<&str> = row.split(" | ").map(str::trim).collect();
        let [at, text, message] = cells[..] else {
            panic!("three cells: {row}");
        };
        let at: usize = at.parse().expect(row);
        let mut lines: Vec<&str> = RIGHT.lines().collect();
        let key = |line: &str| line.split(" = ").next().map(str::to_owned);
        if lines.get(at - 1).is_some_and(|line| key(line) == key(text)) {
            lines.remove(at - 1);
        }
        let wrong: Vec<&str> = text.split(" ↵ ").collect();
        let last = at + wrong.len() - 1;
        lines.splice(at - 1..at - 1, wrong);
        (lines.join("\n"), last, message)
    })
}

#[test]
fn one_mistake_gives_one_problem_at_its_line() {
    for (source, line, message) in rows(MISTAKES) {
        let found = problems(&source);
        let is_it = |one: &Problem| one.line == line && one.message.starts_with(message);
        assert!(found.iter().any(is_it), "{message}\nfound: {found:#?}");
        // What is of the wrong type is missing as well.
        assert!(found.len() <= 2, "{found:#?}");
    }
}

#[test]
fn what_is_missing_or_fits_nothing_else_is_said_at_the_head_of_its_table() {
    let types = "instance_types = [\"m7a.medium\"]";
    let pool = |key: &str| changed(types, &format!("{types}\n{key}"));
    for (source, line, message) in [
        (
            changed("max_runners = 5\n", ""),
            1,
            "max_runners: is missing",
        ),
        (
            changed("m7a.medium", "t3.small"),
            6,
            "pool.base.cpu_credits: is missing",
        ),
        (
            pool("max_runners = 6"),
            6,
            "pool.base.max_runners: is 6, above",
        ),
        (
            pool("permissions = \"release\"\nscope = \"organization:acme\""),
            6,
            "pool.base.permissions: there is no [permissions.release]",
        ),
    ] {
        let found = problems(&source);
        assert_eq!((found.len(), found[0].line), (1, line), "{found:#?}");
        assert!(found[0].message.starts_with(message), "{found:#?}");
    }
}

#[test]
fn an_old_key_is_refused_with_the_one_that_took_its_place() {
    for (source, _, message) in rows(RENAMED) {
        let found = problems(&source);
        let messages: Vec<&str> = found.iter().map(|problem| &*problem.message).collect();
        assert_eq!(messages, [message], "{source}");
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
