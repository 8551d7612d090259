//! The command line as people type it, and what they read.

#![expect(clippy::unwrap_used, reason = "a test that can't go on says so")]

use std::process::{Command, Stdio};

/// Exit code, standard output and standard error of the program, run away from any terminal and
/// from AWS.
fn typed(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(args)
        .stdin(Stdio::null())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_PROFILE")
        .output()
        .unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// The names of the commands below `heading` in `help`.
fn listed<'h>(help: &'h str, heading: &str) -> Vec<&'h str> {
    let (_, below) = help.split_once(heading).expect(heading);
    below
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter_map(|line| line.split_whitespace().next())
        .collect()
}

#[test]
fn help_names_the_program_and_lists_developers_commands_by_themselves() {
    let (code, help, _) = typed(&["--help"]);
    assert_eq!(code, 0);
    assert!(
        help.contains("Usage: tinqs-ci [OPTIONS] <COMMAND>"),
        "{help}"
    );
    let everybodys = [
        "demo",
        "render",
        "ami",
        "permissions",
        "diff",
        "up",
        "pause",
        "resume",
        "rehearse",
        "smoke-test",
        "boot-bench",
        "acceptance",
        "down",
        "secret",
        "replay",
        "explain",
        "lab",
        "help",
    ];
    assert_eq!(listed(&help, "Commands:"), everybodys);
    let developers = [
        "soak",
        "docker-jobs",
        "differential",
        "judge",
        "simulate",
        "conformance",
        "test",
        "tidy",
    ];
    assert_eq!(
        listed(&help, "For developers of tinqs-ci:"),
        developers,
        "{help}"
    );
    // They have help of their own all the same.
    let (code, help, _) = typed(&["soak", "--help"]);
    assert_eq!(code, 0);
    assert!(help.contains("Usage: tinqs-ci soak"), "{help}");
}

#[test]
fn every_command_about_an_environment_takes_it_by_position_or_by_option() {
    for command in [
        &["render", "--out", "x"][..],
        &["diff"],
        &["up"],
        &["down"],
        &["smoke-test", "--market", "spot"],
        &["acceptance", "--max-dollars", "1"],
        &["secret", "set", "forge-token"],
        &["replay", "body.json"],
        &["explain", "--event", "body.json"],
    ] {
        for named in [&["nowhere"][..], &["-e", "nowhere"], &["--env", "nowhere"]] {
            let (code, _, error) = typed(&[command, named].concat());
            assert_eq!(code, 1, "{command:?} {named:?}: {error}");
            assert!(
                error.contains("cannot read") && error.contains("stacks/environments/nowhere.toml"),
                "{command:?} {named:?}: {error}"
            );
        }
        let (code, _, error) = typed(&[command, &["one", "-e", "other"]].concat());
        assert_eq!(code, 2, "{command:?}");
        assert!(error.contains("cannot be used with"), "{error}");
    }
}

#[test]
fn what_deploys_or_destroys_is_told_the_environment() {
    for (args, command) in [
        (&["down"][..], "down"),
        (&["down", "--yes"], "down"),
        (&["up"], "up"),
        (&["up", "--yes"], "up"),
        (&["acceptance", "--max-dollars", "1"], "acceptance"),
    ] {
        let (code, output, error) = typed(args);
        assert_eq!((code, &*output), (1, ""), "{args:?}");
        assert_eq!(
            error,
            format!(
                "error: `{command}` has to be told which environment is meant: example, lab, tinqs\n \
                 hint: `cargo xtask {command} NAME`, or `cargo xtask --lab {command}` for the lab's\n"
            ),
            "{args:?}"
        );
    }
}

#[test]
fn a_secret_that_does_not_exist_is_refused_with_those_that_do() {
    let (code, _, error) = typed(&["secret", "set", "git-token", "example"]);
    assert_eq!(code, 1);
    assert_eq!(
        error,
        "error: there is no secret git-token; there are webhook, forge-token, registration-token, \
         clone-token\n"
    );
}

#[test]
fn an_environment_renders_without_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let (code, output, error) = typed(&["render", "example", "--out", out]);
    assert_eq!(code, 0, "{error}");
    for file in [
        "state.json",
        "runner.json",
        "dispatch.json",
        "user-data-base.sh",
    ] {
        assert!(output.contains(file), "{file}: {output}");
    }
    assert!(output.contains("\ndigest "), "{output}");
}
