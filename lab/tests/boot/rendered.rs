//! What holds of the boot file however it is rendered.

use crate::{AT_FORGEJO, PLAIN, Wanted};

/// Ubuntu with everything that a pool can ask for.
pub(crate) const UBUNTU: Wanted = Wanted {
    image: r#"{ stock = "ubuntu" }"#,
    keys: "sudo = true\ndocker = true",
    ..PLAIN
};

pub(crate) const AL2023: Wanted = Wanted {
    image: r#"{ stock = "al2023" }"#,
    ..PLAIN
};

const AS_ROOT: Wanted = Wanted {
    keys: "run_as = \"root\"\ncapacity = \"on-demand\"",
    ..PLAIN
};

const WITH_ENV: Wanted = Wanted {
    kind: "forgejo",
    tables: "[pool.base.env]\nPATH = \"/opt/go/bin:/usr/bin\"\nGREETING = \"two $words\"\n",
    ..UBUNTU
};

#[test]
fn every_kind_of_pool_has_a_short_script_that_a_shell_can_read() {
    for wanted in [PLAIN, AT_FORGEJO, UBUNTU, AL2023, AS_ROOT, WITH_ENV] {
        let script = wanted.boot_file();
        // EC2 takes 16 KB; the API's id is longer than what these tests have in its place.
        assert!(script.len() < 15_000, "{} bytes", script.len());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("user-data.sh");
        std::fs::write(&file, &script).unwrap();
        let read = std::process::Command::new("sh")
            .arg("-n")
            .arg(&file)
            .status();
        assert!(read.unwrap().success());
        // The deadline is the first command of all.
        let mut lines = script.lines().skip(1);
        assert!(lines.next().unwrap().starts_with("systemd-run"), "{script}");
        let is_stock = wanted.image.contains("stock");
        assert_eq!(script.contains("sha256sum -c"), is_stock);
        assert_eq!(script.contains("NOPASSWD"), wanted.keys.contains("sudo"));
        // Where jobs are root there is nothing to close.
        assert_eq!(
            script.contains("ip \"$1\" rule add"),
            !wanted.keys.contains("run_as")
        );
        // Its end kills all that is of the job's user, which must not be root.
        assert_eq!(
            script.contains("/proc/[0-9]*/status"),
            !wanted.keys.contains("run_as")
        );
        assert_eq!(
            script.contains("spot/instance-action"),
            !wanted.keys.contains("on-demand")
        );
    }
}

/// A word that root reads or writes once the runner runs, and that its user could replace.
#[test]
fn once_the_runner_runs_no_line_of_roots_names_a_path_of_its_users() {
    let script = WITH_ENV.boot_file();
    let (_, after) = script.split_once("mark online &").unwrap();
    for path in ["$own", "$home", "/home/ci", "/run/ci-"] {
        assert!(!after.contains(path), "{path}:\n{after}");
    }
    // What ends the machine stands before, as functions.
    for function in [
        "finish() {",
        "kill_runner() {",
        "ship() {",
        "mark() {",
        "route() {",
        "signed() (",
        "metadata() {",
        "reached() {",
        "say() {",
    ] {
        let (_, rest) = script.split_once(function).unwrap();
        let mut body = rest.lines().take_while(|line| !["}", ")"].contains(line));
        let named = body.find(|line| line.contains("$own") || line.contains("$home"));
        assert_eq!(named, None, "{function}");
    }
}
