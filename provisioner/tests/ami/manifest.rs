//! What is read, and what is refused.

use provisioner::ami::{AmiError, Manifest, Parent, Stock, lab_runner, pinned_runner, script};
use provisioner::environment::Arch;
use stacks::pool::ForgeKind;

use super::{changed, ours, problems, sources, text};

#[test]
fn the_manifest_of_this_checkout_has_the_six_images_parents_first() {
    let manifest = ours();
    let mut seen: Vec<&str> = Vec::new();
    for image in manifest.images() {
        match &image.parent {
            Parent::Stock => {}
            Parent::Image(parent) => assert!(seen.contains(&parent.as_str()), "{}", image.name),
        }
        seen.push(&image.name);
    }
    seen.sort_unstable();
    assert_eq!(seen, ["base", "deploy", "docker", "go", "godot", "node"]);
    let deploy = manifest.image("deploy").unwrap();
    let lineage: Vec<&str> = manifest
        .lineage(deploy)
        .iter()
        .map(|it| it.name.as_str())
        .collect();
    assert_eq!(lineage, ["base", "docker", "deploy"]);
    let missing = manifest.image("windows").unwrap_err().to_string();
    assert!(
        missing.contains("there is no image windows; ami/images.toml has base, "),
        "{missing}"
    );
}

#[test]
fn both_runners_are_read_from_the_manifest() {
    let gitea = pinned_runner(ForgeKind::Gitea);
    assert_eq!(
        (gitea.name.as_str(), gitea.version.as_str()),
        ("gitea-runner", "3.3.2")
    );
    assert!(gitea.pins[&Arch::X86_64].sum.is_some());
    assert_eq!(lab_runner(ForgeKind::Gitea).as_deref(), Some("1.0.8"));
    assert_eq!(pinned_runner(ForgeKind::Forgejo).name, "forgejo-runner");
    assert_eq!(lab_runner(ForgeKind::Forgejo), None);
}

#[test]
fn stock_images_are_found_by_public_parameters() {
    assert_eq!(
        Stock::Al2023.parameter(Arch::Arm64),
        "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
    );
    assert_eq!(
        Stock::Ubuntu.parameter(Arch::X86_64),
        "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id"
    );
    assert_eq!(Stock::parse("ubuntu"), Some(Stock::Ubuntu));
    assert_eq!(Stock::parse("debian"), None);
}

#[test]
fn addresses_follow_from_the_version_and_what_the_vendor_calls_the_architecture() {
    let manifest = ours();
    let tool = |name: &str| {
        manifest
            .tools()
            .find(|tool| tool.name == name)
            .unwrap()
            .clone()
    };
    assert_eq!(
        tool("docker-compose")
            .checksums("5.1.4", Arch::Arm64)
            .unwrap(),
        "https://github.com/docker/compose/releases/download/v5.1.4/docker-compose-linux-aarch64.sha256"
    );
    assert_eq!(
        tool("node-24").url("24.22.0", Arch::X86_64).unwrap(),
        "https://nodejs.org/dist/v24.22.0/node-v24.22.0-linux-x64.tar.xz"
    );
    assert_eq!(tool("aws-cli").checksums("2.36.31", Arch::X86_64), None);
}

#[test]
fn an_image_with_an_unpinned_tool_is_refused_with_the_tool_and_the_command() {
    let manifest = ours();
    let base = manifest.image("base").unwrap();
    let refused = script::builder(&manifest, base, Stock::Ubuntu, Arch::Arm64, 45).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "image base can't be built for arm64: gitea-runner 3.3.2 is without a checksum, and nothing \
         unchecked is installed; `cargo xtask ami pins --refresh` takes it from the vendor"
    );
    // Nor is one that stands on it, in either of its scripts.
    let deploy = manifest.image("deploy").unwrap();
    let tried = script::self_test(&manifest, deploy, Stock::Ubuntu, Arch::Arm64, 45);
    assert!(matches!(tried, Err(AmiError::Unpinned { .. })));
    let digest = manifest.digest(deploy, Stock::Ubuntu, Arch::Arm64);
    assert!(matches!(digest, Err(AmiError::Unpinned { .. })));
    // One that is optional is left out, and can be said.
    let left: Vec<&str> = manifest
        .left_out(base, Arch::X86_64)
        .iter()
        .map(|tool| tool.name.as_str())
        .collect();
    assert_eq!(left, ["forgejo-runner"]);
}

#[test]
fn an_image_is_built_only_for_its_own_architectures() {
    let manifest = changed(
        "[images.godot]\nparent = \"base\"\narchitectures = [\"x86_64\", \"arm64\"]",
        "[images.godot]\nparent = \"base\"\narchitectures = [\"x86_64\"]",
    )
    .unwrap();
    let godot = manifest.image("godot").unwrap();
    let refused = manifest
        .digest(godot, Stock::Al2023, Arch::Arm64)
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("is not made for arm64") || refused.contains("can't be built for arm64")
    );
}

/// A piece of the manifest, what stands there instead, and what its reader is told.
const WRONG: &[(&str, &str, &str)] = &[
    // A cycle, and parents that are not there.
    (
        "[images.docker]\nparent = \"base\"",
        "[images.docker]\nparent = \"deploy\"",
        "images.deploy: parent docker leads to no stock image",
    ),
    (
        "[images.base]\nparent = \"stock\"",
        "[images.base]\nparent = \"base\"",
        "images.base: parent base leads to no stock image",
    ),
    (
        "[images.go]\nparent = \"base\"",
        "[images.go]\nparent = \"gone\"",
        "there is no image gone to start from",
    ),
    // Steps.
    (
        "steps = [\"go\"]",
        "steps = [\"go\", \"rust\"]",
        "images.go: there is no step rust",
    ),
    (
        "steps = [\"go\"]",
        "steps = [\"../../etc/passwd\"]",
        "there is no step ../../etc/passwd",
    ),
    (
        "steps = [\"go\"]",
        "steps = [\"go\", \"go\"]",
        "step go is none to name, or named twice",
    ),
    (
        "steps = [\"go\"]",
        "steps = [\"go\", \"frame\"]",
        "step frame is none to name",
    ),
    ("steps = [\"go\"]", "steps = []", "a step at least"),
    (
        "steps = [\"godot\"]",
        "steps = [\"node\"]",
        "tool godot is installed by step godot, which is none of its own",
    ),
    // Names that are paths, or words of a shell.
    (
        "[images.go]",
        "[images.\"../go\"]",
        "images.../go: a name is small letters, digits and dashes",
    ),
    (
        "[images.go]",
        "[images.\"go;reboot\"]",
        "a name is small letters, digits and dashes",
    ),
    (
        "[tools.helm]",
        "[tools.\"helm$(id)\"]",
        "tools.helm$(id): a name is",
    ),
    (
        "version = \"3.3.2\"",
        "version = \"3.3.2/../../x\"",
        "tools.gitea-runner: 3.3.2/../../x is no version",
    ),
    (
        "version = \"3.3.2\"",
        "version = \"'; reboot; '\"",
        "tools.gitea-runner: '; reboot; ' is no version",
    ),
    (
        "arch = { x86_64 = \"amd64\", arm64 = \"arm64\" }",
        "arch = { x86_64 = \"../amd64\", arm64 = \"arm64\" }",
        "../amd64 is no word of an address",
    ),
    // Addresses.
    (
        "https://dl.gitea.com/gitea-runner/{version}",
        "http://dl.gitea.com/gitea-runner/{version}",
        "tools.gitea-runner: http://dl.gitea.com",
    ),
    (
        "https://dl.gitea.com/gitea-runner/{version}",
        "https://user:secret@dl.gitea.com/{version}",
        "is no https address",
    ),
    (
        "https://dl.gitea.com/gitea-runner/{version}",
        "https://dl.gitea.com/'$(reboot)'/{version}",
        "is no https address",
    ),
    (
        "https://dl.gitea.com/gitea-runner/{version}",
        "https://dl.gitea.com/../{version}",
        "is no https address",
    ),
    (
        "https://dl.gitea.com/gitea-runner/{version}",
        "file:///etc/shadow",
        "file:///etc/shadow",
    ),
    (
        "checksums = \"{url}.sha256\"",
        "checksums = \"http://dl.gitea.com/sums\"",
        "http://dl.gitea.com/sums is no https address",
    ),
    (
        "url = \"https://nodejs.org/dist/index.json\"",
        "url = \"http://nodejs.org/dist/index.json\"",
        "tools.node-24: http://nodejs.org/dist/index.json is no https address",
    ),
    // Checksums and what stands beside them.
    (
        "sha256 = \"38b73d0d",
        "sha256 = \"38b73d0",
        "tools.gitea-runner: x86_64: \"38b73d082172",
    ),
    (
        "sha256 = \"38b73d0d",
        "sha256 = \"zzb73d0d",
        "neither 64 hexadecimal digits nor \"unpinned\"",
    ),
    (
        "sha256 = \"38b73d0d",
        "sha512 = \"38b73d0d",
        "neither 128 hexadecimal digits nor \"unpinned\"",
    ),
    (
        "date = \"2026-11-23\"",
        "date = \"yesterday\"",
        "a pin says its source, and its date",
    ),
    (
        "source = \"a public install script that checks this file against it\"",
        "source = \"\"",
        "a pin says its source",
    ),
    (
        "arm64 = { sha256 = \"unpinned\" }",
        "arm64 = { }",
        "a pin is a sha256 or a sha512",
    ),
    (
        "arm64 = { sha256 = \"unpinned\" }",
        "",
        "arm64 and arch.arm64 go together",
    ),
    // Versions that are followed.
    (
        "format = \"go\", within = \"1.26.\"",
        "format = \"rss\", within = \"1.26.\"",
        "there is no format rss",
    ),
    (
        "within = \"1.26.\"",
        "within = \"1.2\"",
        "version 1.26.9 is not within \"1.2\"",
    ),
    // What images and parents must agree on.
    (
        "[images.base]\nparent = \"stock\"\narchitectures = [\"x86_64\", \"arm64\"]",
        "[images.base]\nparent = \"stock\"\narchitectures = [\"x86_64\"]",
        "its parent is not made for all its architectures",
    ),
    (
        "architectures = [\"x86_64\", \"arm64\"]",
        "architectures = [\"x86_64\", \"riscv64\"]",
        "there is no architecture riscv64",
    ),
    (
        "tools = [\"node-26\"]\nroot_volume_gb = 10",
        "tools = [\"node-26\"]\nroot_volume_gb = 4",
        "root_volume_gb must be 8 to 200",
    ),
    (
        "tools = [\"docker-buildx\", \"docker-compose\"]\nroot_volume_gb = 12",
        "tools = [\"docker-buildx\", \"docker-compose\"]\nroot_volume_gb = 20",
        "images.deploy: its volume is smaller than its parent's",
    ),
    (
        "tools = [\"node-26\"]",
        "tools = [\"node-27\"]",
        "images.node: there is no tool node-27",
    ),
    // Words that nobody knows.
    (
        "[images.go]\n",
        "[images.go]\nsudo = true\n",
        "unknown field `sudo`",
    ),
    (
        "pinned = \"gitea-runner\"",
        "pinned = \"act\"",
        "runners.gitea: there is no tool act",
    ),
];

#[test]
fn what_is_wrong_with_a_manifest_is_said_with_its_place() {
    for (from, to, expected) in WRONG {
        let said = problems(changed(from, to));
        assert!(said.contains(expected), "{to}: {said}");
        assert!(
            said.starts_with("ami/images.toml can't be used:\n  "),
            "{said}"
        );
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let bad = text()
        .replacen("version = \"3.3.2\"", "version = \"new\"", 1)
        .replacen(
            "[images.go]\nparent = \"base\"",
            "[images.go]\nparent = \"gone\"",
            1,
        );
    let said = problems(Manifest::parse(&bad, sources()));
    assert!(
        said.contains("new is no version") && said.contains("no image gone"),
        "{said}"
    );
}

#[test]
fn a_step_without_a_check_is_none() {
    let mut unchecked = sources();
    let go = unchecked.steps.get_mut("go").unwrap();
    *go = go.replace("check() {", "inspect() {");
    let said = problems(Manifest::parse(&text(), unchecked));
    assert!(
        said.contains("step go has no function `check() {`"),
        "{said}"
    );
}

#[test]
fn a_mirror_is_asked_by_https() {
    assert!(ours().mirrored("https://mirror.example/files/").is_ok());
    assert!(ours().mirrored("http://mirror.example").is_err());
}
