//! What pools may not say together, or about what their jobs can reach.

use std::path::Path;

use provisioner::ami::Stock;
use provisioner::environment::{Environment, Image};

use crate::{RIGHT, changed, problems};

fn second_pool(lines: &str, label: &str) -> String {
    format!(
        "{RIGHT}[pool.second]\nimage = {{ stock = \"al2023\" }}\ninstance_types = [\"m7a.medium\"]\n{lines}\n[pool.second.labels]\n{label} = \"host\"\n"
    )
}

/// What is said first of a wrong file.
fn first(source: &str) -> String {
    problems(source).swap_remove(0).message
}

#[test]
fn a_label_has_one_pool_unless_no_repository_can_reach_both() {
    let found = problems(&second_pool("", "linux"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].message.contains("pool.second.labels.linux")
            && found[0].message.contains("`base`")
    );
    assert_eq!(found[0].line, 16);

    let apart = second_pool("scope = \"organization:acme\"", "linux").replacen(
        "instance_types = [\"m7a.medium\"]",
        "instance_types = [\"m7a.medium\"]\nrepositories = [\"other/*\"]",
        1,
    );
    assert!(Environment::parse(&apart, Path::new(".")).is_ok());
    assert!(Environment::parse(&second_pool("", "other"), Path::new(".")).is_ok());
}

#[test]
fn an_image_of_ours_is_named_and_all_are_built_on_one_system() {
    let named = |image: &str| changed("{ stock = \"al2023\" }", image);
    let image = |source: &str| {
        let environment = Environment::parse(source, Path::new(".")).unwrap();
        (environment.stock(), environment.pools[0].image.clone())
    };
    for (text, stock) in [
        ("{ name = \"go\" }", Stock::Al2023),
        ("{ name = \"go\", stock = \"ubuntu\" }", Stock::Ubuntu),
    ] {
        let name = "go".to_owned();
        assert_eq!(image(&named(text)), (stock, Image::Built { name, stock }));
    }
    let two = second_pool("", "other")
        .replacen("{ stock = \"al2023\" }", "{ name = \"go\" }", 1)
        .replace(
            "{ stock = \"al2023\" }",
            "{ name = \"node\", stock = \"ubuntu\" }",
        );
    let said = first(&two);
    assert!(
        said.starts_with("pool.second.image: its image is built on ubuntu"),
        "{said}"
    );
}

#[test]
fn a_global_pool_with_permissions_or_clone_token_needs_consent() {
    let permissions = "permissions = \"release\"\n";
    let set = "[permissions.release]\ns3 = [\"bucket/*\"]\n";
    for (lines, set) in [(permissions, set), ("clone_token = true\n", "")] {
        let source = format!("{}{set}", second_pool(lines, "release"));
        let found = problems(&source);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].line, 11);
        assert!(
            found[0].message.contains("scope = \"organization:NAME\"")
                && found[0].message.contains("trust_all_repositories = true")
        );

        let trusted = source.replace(
            "max_runners = 5",
            "max_runners = 5\ntrust_all_repositories = true",
        );
        assert!(Environment::parse(&trusted, Path::new(".")).is_ok());
        let scoped = source.replace(lines, &format!("{lines}scope = \"organization:acme\"\n"));
        assert!(Environment::parse(&scoped, Path::new(".")).is_ok());
    }
}

#[test]
fn a_scope_that_is_wider_than_the_repositories_of_a_pool_with_permissions_needs_consent() {
    const PERMISSIONS: &str = "permissions = \"release\"";
    const TOKEN: &str = "clone_token = true";
    const ONE: &str = "repositories = [\"acme/release\"]";
    let set = "[permissions.release]\ns3 = [\"bucket/*\"]\n";
    let with = |scope: &str, repositories: &str, holds: &str| {
        let lines = format!("scope = \"{scope}\"\n{repositories}\n{holds}\n");
        format!("{}{set}", second_pool(&lines, "release"))
    };
    for holds in [PERMISSIONS, TOKEN] {
        let source = with("organization:acme", ONE, holds);
        let found = problems(&source);
        assert_eq!(found.len(), 1, "{found:?}");
        let message = &found[0].message;
        for words in [
            "pool.second.repositories: names less than the pool's scope",
            "any job of acme may take one",
            "scope = \"repository:OWNER/NAME\"",
            "trust_all_repositories = true",
        ] {
            assert!(message.contains(words), "{words}: {message}");
        }
        let trusted = source.replace(
            "max_runners = 5",
            "max_runners = 5\ntrust_all_repositories = true",
        );
        assert!(Environment::parse(&trusted, Path::new(".")).is_ok());
    }
    for (scope, repositories, holds) in [
        ("repository:acme/release", ONE, PERMISSIONS),
        ("repository:acme/release", "", TOKEN),
        ("organization:acme", "repositories = [\"*\"]", PERMISSIONS),
        (
            "organization:acme",
            "repositories = [\"acme/*\"]",
            PERMISSIONS,
        ),
        ("organization:acme", "", PERMISSIONS),
        // Nothing is given away.
        ("organization:acme", ONE, ""),
    ] {
        let parsed = Environment::parse(&with(scope, repositories, holds), Path::new("."));
        assert!(parsed.is_ok(), "{scope} {repositories} {holds}: {parsed:?}");
    }
}

#[test]
fn permissions_never_reach_the_deployments_own_parameters() {
    let with = |pattern: &str| {
        format!(
            "{}[permissions.release]\nssm = [\"{pattern}\"]\n",
            changed(
                "instance_types = [\"m7a.medium\"]",
                "instance_types = [\"m7a.medium\"]\npermissions = \"release\"\nscope = \"organization:acme\"",
            )
        )
    };
    for pattern in [
        "/*",
        "/",
        "/my*",
        "/my-ci",
        "/my-ci/*",
        "/my-ci/secret/webhook",
    ] {
        let found = problems(&with(pattern));
        assert!(
            found[0].message.contains("own secrets"),
            "{pattern}: {found:?}"
        );
    }
    for pattern in ["/team/*", "/my/*", "/my-city/key"] {
        let parsed = Environment::parse(&with(pattern), Path::new("."));
        assert!(parsed.is_ok(), "{pattern}: {parsed:?}");
    }
}

#[test]
fn a_pool_without_permissions_does_not_get_those_of_another() {
    let source = format!(
        "{}[permissions.runner]\ns3 = [\"bucket/*\"]\n",
        second_pool(
            "permissions = \"runner\"\nscope = \"organization:acme\"",
            "release"
        )
    );
    let found = problems(&source);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].message.contains("pool.base: has no permissions"));
}

#[test]
fn a_runner_without_a_known_checksum_is_not_installed() {
    let arm = changed(
        "instance_types = [\"m7a.medium\"]",
        "instance_types = [\"m7g.medium\"]\narch = \"arm64\"",
    );
    assert!(first(&arm).contains("no checksum is known of runner 3.3.2"));
    let sum = "a".repeat(64);
    let known = arm.replace(
        "[pool.base]\n",
        &format!("[runner.sha256]\narm64 = \"{sum}\"\n[pool.base]\n"),
    );
    assert!(Environment::parse(&known, Path::new(".")).is_ok());
    let other = changed(
        "[pool.base]\n",
        "[runner]\nversion = \"4.0.0\"\n[pool.base]\n",
    );
    assert!(first(&other).contains("no checksum is known of runner 4.0.0"));
}

#[test]
fn a_forgejo_has_a_runner_of_its_own_and_no_pool_for_jobs_without_labels() {
    let forgejo = changed("[pool.base]\n", "kind = \"forgejo\"\n[pool.base]\n");
    assert!(first(&forgejo).contains("no checksum is known of runner 12.8.2 for x86_64"));
    let sum = "a".repeat(64);
    let with = |version: &str| {
        let runner =
            format!("[runner]\nversion = \"{version}\"\n[runner.sha256]\nx86_64 = \"{sum}\"\n");
        forgejo.replace("[pool.base]\n", &format!("{runner}[pool.base]\n"))
    };
    for (version, is_right) in [
        ("12.8.0", true),
        ("12.10.1", true),
        ("13.0.0", true),
        ("12.7.3", false),
        ("9.1.1", false),
    ] {
        let parsed = Environment::parse(&with(version), Path::new("."));
        assert_eq!(parsed.is_ok(), is_right, "{version}: {parsed:?}");
    }
    let default = with("12.8.0").replace(
        "instance_types =",
        "accepts_unlabelled = true\ninstance_types =",
    );
    assert!(first(&default).contains(
        "pool.base.accepts_unlabelled: a Forgejo gives jobs without labels to no runner"
    ));
}

#[test]
fn there_are_not_more_pools_than_a_policy_can_name() {
    use std::fmt::Write;
    let mut source = RIGHT.to_owned();
    for number in 0..16 {
        write!(source, "[pool.p{number}]\nimage = {{ stock = \"al2023\" }}\ninstance_types = [\"m7a.medium\"]\n[pool.p{number}.labels]\nl{number} = \"host\"\n").unwrap();
    }
    assert!(first(&source).contains("17 pools, and 16 are the most"));
}
