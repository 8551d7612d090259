//! What runs as root on the machine that becomes an image.

use std::collections::BTreeSet;

use provisioner::ami::script::{Verdict, builder, self_test, steps_done, verdict};
use provisioner::ami::{AmiError, Manifest, Stock};
use provisioner::environment::Arch;

use super::{changed, ours, sources, text};

/// What user-data may have, with room for what the engine adds.
const MOST_BYTES: usize = 15_360;

/// Every script that builds an image, with what it builds.
fn builders(manifest: &Manifest) -> Vec<(String, Arch, String)> {
    let mut scripts = Vec::new();
    for image in manifest.images() {
        for stock in Stock::ALL {
            for arch in image.architectures.iter().copied() {
                match builder(manifest, image, stock, arch, 45) {
                    Ok(script) => scripts.push((image.name.clone(), arch, script)),
                    Err(error) => assert!(matches!(error, AmiError::Unpinned { .. }), "{error}"),
                }
            }
        }
    }
    assert!(scripts.len() >= 12, "two for each image at least");
    scripts
}

/// The lines of one step: from its name to the call that runs it.
fn step<'s>(script: &'s str, name: &str) -> Vec<&'s str> {
    let lines = script
        .lines()
        .skip_while(|line| *line != format!("step={name}"));
    lines.take_while(|line| *line != "run_step").collect()
}

#[test]
fn no_step_installs_a_tool_whose_checksum_it_does_not_verify() {
    let manifest = ours();
    for (image, arch, script) in builders(&manifest) {
        let image = manifest.image(&image).unwrap();
        for (tool, url, sum) in manifest.pinned(image, arch).unwrap() {
            let (name, version) = (&tool.name, &tool.version);
            let call = format!(
                "tool {name} {version} '{url}' {} {}",
                sum.algorithm(),
                sum.digits()
            );
            let step = step(&script, &tool.step);
            let call_at = step.iter().position(|line| *line == call);
            let install_at = step
                .iter()
                .position(|line| *line == "provision() {")
                .unwrap();
            assert!(
                call_at.is_some_and(|at| at < install_at),
                "{}: {call}",
                image.name
            );
        }
        // Every file that a step uses is one that was checked, and nothing else downloads.
        let downloads = script.lines().filter(|line| line.contains("curl -f"));
        assert_eq!(downloads.count(), 1, "only `tool` downloads");
        assert!(script.contains("| \"$4sum\" -c - >/dev/null ||"));
        for used in script.split("$(file ").skip(1) {
            let name = used.split(')').next().unwrap();
            let known = manifest.tools().any(|tool| tool.name == name);
            assert!(
                known || name.contains("name") || name.contains('$'),
                "{name}"
            );
        }
    }
}

#[test]
fn what_a_step_downloads_is_named_in_the_manifest() {
    for (name, step) in sources().steps {
        let is_frame = name == "frame";
        for word in [
            "curl -f",
            "wget",
            "git clone",
            "http://",
            "https://",
            "pip install",
            "npm install",
        ] {
            assert!(is_frame || !step.contains(word), "{name}: {word}");
        }
    }
}

#[test]
fn scripts_fit_into_user_data_and_arm_their_deadline_first() {
    let manifest = ours();
    for (name, _, script) in builders(&manifest) {
        assert!(script.len() <= MOST_BYTES, "{name}: {} bytes", script.len());
        assert!(script.starts_with("#!/bin/sh\nmode=build\n"), "{name}");
        let first = script
            .lines()
            .skip(1)
            .find(|line| !line.contains('=') || line.contains(' '))
            .unwrap();
        assert!(
            first.starts_with("if ! systemd-run ") && first.contains("--on-active="),
            "{first}"
        );
        assert!(
            !script
                .lines()
                .any(|line| line.starts_with('#') && line != "#!/bin/sh")
        );
    }
    for image in manifest.images() {
        let tried = self_test(&manifest, image, Stock::Al2023, Arch::X86_64, 10).unwrap();
        assert!(
            tried.len() <= MOST_BYTES,
            "{}: {} bytes",
            image.name,
            tried.len()
        );
        assert!(tried.starts_with("#!/bin/sh\nmode=check\n"));
    }
}

#[test]
fn a_script_that_is_too_long_is_refused_with_what_to_do() {
    let mut much = sources();
    let long = ":\n".repeat(MOST_BYTES / 2);
    much.steps.get_mut("user").unwrap().push_str(&long);
    let manifest = Manifest::parse(&text(), much).unwrap();
    let base = manifest.image("base").unwrap();
    let refused = builder(&manifest, base, Stock::Ubuntu, Arch::X86_64, 45)
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("user-data takes 15360") && refused.contains("ami/steps"),
        "{refused}"
    );
}

#[test]
fn a_digest_follows_from_what_is_in_the_image_and_from_nothing_else() {
    let of = |manifest: &Manifest, image: &str, stock: Stock| {
        manifest
            .digest(manifest.image(image).unwrap(), stock, Arch::X86_64)
            .unwrap()
    };
    let manifest = ours();
    let deploy = of(&manifest, "deploy", Stock::Ubuntu);
    assert_eq!(deploy.len(), 64);
    let mut all = BTreeSet::new();
    for image in manifest.images() {
        for stock in Stock::ALL {
            assert!(
                all.insert(of(&manifest, &image.name, stock)),
                "each has its own"
            );
        }
    }
    // When it has to be ready, and where files come from, say nothing of what is in it.
    let mirrored = manifest.mirrored("https://mirror.example").unwrap();
    assert_eq!(of(&mirrored, "deploy", Stock::Ubuntu), deploy);
    let image = manifest.image("deploy").unwrap();
    let script = |manifest: &Manifest, minutes| {
        builder(manifest, image, Stock::Ubuntu, Arch::X86_64, minutes).unwrap()
    };
    assert!(script(&manifest, 5).contains(&deploy) && script(&mirrored, 50).contains(&deploy));
    assert!(script(&mirrored, 5).contains("'https://mirror.example/get.helm.sh/helm-v"));
    // Its own tools and its ancestors' do, and so do steps and volume; a sibling's do not.
    let one = "sha256 = \"86584a54";
    let other = "sha256 = \"96584a54";
    assert_ne!(
        of(&changed(one, other).unwrap(), "deploy", Stock::Ubuntu),
        deploy
    );
    let parents = changed("sha256 = \"f1332ddb", "sha256 = \"e1332ddb").unwrap();
    assert_ne!(of(&parents, "deploy", Stock::Ubuntu), deploy);
    let siblings = changed("sha512 = \"9aa00f7a", "sha512 = \"8aa00f7a").unwrap();
    assert_eq!(of(&siblings, "deploy", Stock::Ubuntu), deploy);
    let mut steps = sources();
    steps.steps.get_mut("user").unwrap().push_str("true\n");
    let steps = Manifest::parse(&text(), steps).unwrap();
    assert_ne!(of(&steps, "deploy", Stock::Ubuntu), deploy);
    // What only people read does not.
    let mut words = sources();
    words.steps.get_mut("user").unwrap().push_str("# why\n\n");
    let words = Manifest::parse(&text(), words).unwrap();
    assert_eq!(of(&words, "deploy", Stock::Ubuntu), deploy);
}

#[test]
fn the_image_is_tried_by_the_checks_of_all_its_ancestors_and_changes_nothing() {
    let manifest = ours();
    let node = manifest.image("node").unwrap();
    let tried = self_test(&manifest, node, Stock::Ubuntu, Arch::X86_64, 10).unwrap();
    assert!(!tried.contains("provision() {") && !tried.contains("install_packages() {"));
    let steps: Vec<&str> = tried
        .lines()
        .filter_map(|line| line.strip_prefix("step="))
        .collect();
    assert_eq!(
        steps,
        [
            "start", "packages", "user", "runner", "boot", "node", "clean"
        ]
    );
    // The step that both run knows the versions of both, the image's own last.
    let tools: Vec<&str> = tried
        .lines()
        .filter(|line| line.starts_with("tool node-"))
        .collect();
    assert_eq!(tools, ["tool node-24 24.21.0", "tool node-26 26.10.0"]);
}

#[test]
fn no_script_holds_a_secret_or_asks_for_one() {
    for (name, _, script) in builders(&ours()) {
        for word in [
            "token",
            "secret",
            "password",
            "AKIA",
            "PRIVATE KEY",
            "169.254.169.254",
        ] {
            assert!(!script.contains(word), "{name}: {word}");
        }
    }
}

#[test]
fn the_verdict_is_the_last_one_that_the_console_shows() {
    let console = "[   12.1] cloud-init[912]: ci-ami step=packages ok\r\n\
                   ci-ami step=packages ok\n\
                   ci-ami step=user ok\n\
                   npm: ci-ami RESULT ok digest=forged\n\
                   [   40.0] cloud-init[912]: ci-ami RESULT fail step=node: could not download node-24 24.21.0 \
                   from https://nodejs.org: x (exit 1)\r\n\
                   [   41.0] reboot: Power down\n";
    assert_eq!(steps_done(console), ["packages", "user"]);
    assert_eq!(
        verdict(console),
        Some(Verdict::Failed {
            step: "node".to_owned(),
            words: "could not download node-24 24.21.0 from https://nodejs.org: x (exit 1)"
                .to_owned(),
        })
    );
    assert_eq!(
        verdict("x\nci-ami RESULT ok digest=abc\n"),
        Some(Verdict::Ok {
            digest: "abc".to_owned()
        })
    );
    assert_eq!(verdict("login: \nci-ami step=user ok\n"), None);
    assert_eq!(verdict(""), None);
}
