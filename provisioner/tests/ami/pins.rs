//! The vendors' files, in their own formats, and what they make of a pin.

use std::collections::BTreeMap;

use provisioner::ami::pins::{Change, Kept, change, files, rewrite, version};
use provisioner::ami::{FollowFormat, Manifest, Sum, Tool};
use provisioner::environment::Arch;

use super::{ours, sources, text};

const TODAY: &str = "2027-01-02";

fn tool(name: &str) -> Tool {
    ours()
        .tools()
        .find(|tool| tool.name == name)
        .unwrap()
        .clone()
}

/// The change by one file for each architecture.
fn by(tool: &Tool, version: &str, x86_64: &str, arm64: &str) -> Result<Change, Kept> {
    let urls = files(tool, version)?;
    let texts = [(Arch::X86_64, x86_64), (Arch::Arm64, arm64)];
    let texts = texts.map(|(arch, text)| (arch, (urls[&arch].clone(), text.to_owned())));
    change(tool, version, &BTreeMap::from(texts))
}

fn digits(letter: char) -> String {
    letter.to_string().repeat(64)
}

fn sum(change: &Change, arch: Arch) -> &str {
    change.pins[&arch].0.digits()
}

#[test]
fn checksums_are_read_in_every_form_in_which_vendors_publish_them() {
    let (a, b) = (digits('a'), digits('b'));
    // One file beside each: `sha256sum`'s line, text and binary, and the bare checksum with and without a
    // newline, in capitals too.
    let runner = tool("gitea-runner");
    let found = by(
        &runner,
        "4.0.0",
        &format!("{a}  gitea-runner-4.0.0-linux-amd64\n"),
        &format!("{b} *gitea-runner-4.0.0-linux-arm64\n"),
    )
    .unwrap();
    assert_eq!(
        (sum(&found, Arch::X86_64), sum(&found, Arch::Arm64)),
        (a.as_str(), b.as_str())
    );
    let kubectl = tool("kubectl");
    let found = by(&kubectl, "1.37.9", &a, &format!("{}\n", b.to_uppercase())).unwrap();
    assert_eq!(sum(&found, Arch::Arm64), b);
    // One file for all: SHASUMS256.txt, and a signed one as git-lfs has it.
    let node = format!(
        "{b}  node-v24.22.0-linux-arm64.tar.xz\n{c}  node-v24.22.0-linux-x64.tar.gz\n\
         {a}  node-v24.22.0-linux-x64.tar.xz\n{c}  win-x64/node.exe\n",
        c = digits('c')
    );
    let found = by(&tool("node-24"), "24.22.0", &node, &node).unwrap();
    assert_eq!(
        (sum(&found, Arch::X86_64), sum(&found, Arch::Arm64)),
        (a.as_str(), b.as_str())
    );
    let lfs = format!(
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{a} *git-lfs-linux-amd64-v3.8.0.tar.gz\n\
         {b} *git-lfs-linux-arm64-v3.8.0.tar.gz\n-----BEGIN PGP SIGNATURE-----\n\niQIz\n"
    );
    assert_eq!(
        sum(
            &by(&tool("git-lfs"), "3.8.0", &lfs, &lfs).unwrap(),
            Arch::Arm64
        ),
        b
    );
    // SHA512-SUMS.txt: its checksums are longer, and said so.
    let godot = format!(
        "{0}  Godot_v4.8-stable_linux.x86_64.zip\n{1}  Godot_v4.8-stable_linux.arm64.zip\n",
        a.repeat(2),
        b.repeat(2)
    );
    let found = by(&tool("godot"), "4.8", &godot, &godot).unwrap();
    assert_eq!(found.pins[&Arch::X86_64].0, Sum::Sha512(a.repeat(2)));
    assert!(
        found.pins[&Arch::X86_64]
            .1
            .ends_with("/4.8-stable/SHA512-SUMS.txt")
    );
}

#[test]
fn the_newest_patch_is_taken_where_the_manifest_says_so_and_nothing_else() {
    let go = tool("go-1-27");
    let follow = go.follow.clone().unwrap();
    assert_eq!(follow.format, FollowFormat::Go);
    let releases = |versions: &[(&str, bool)]| {
        let releases: Vec<String> = versions
            .iter()
            .map(|(version, stable)| {
                format!(r#"{{"version":"{version}","stable":{stable},"files":[]}}"#)
            })
            .collect();
        format!("[{}]", releases.join(","))
    };
    let newest = |versions: &[(&str, bool)]| version(&go, &follow, &releases(versions));
    assert_eq!(
        newest(&[
            ("go1.28.1", true),
            ("go1.27.9", true),
            ("go1.27.10", true),
            ("go1.27.11", false)
        ]),
        Ok("1.27.10".to_owned())
    );
    assert_eq!(
        newest(&[("go1.28rc1", true), ("go1.27.2", true)]),
        Ok("1.27.2".to_owned())
    );
    // A document that is behind moves nobody back.
    assert_eq!(newest(&[("go1.27.1", true)]), Ok("1.27.2".to_owned()));
    let over = newest(&[("go1.29.1", true), ("go1.28.4", true)])
        .unwrap_err()
        .to_string();
    assert_eq!(
        over,
        "https://go.dev/dl/?mode=json names no version 1.27.x (any more)"
    );
    assert!(version(&go, &follow, "<html>503</html>").is_err());

    let node = tool("node-26");
    let index = r#"[{"version":"v27.0.0","date":"2026-10-20","files":["linux-x64"],"lts":false},
                    {"version":"v26.11.0","date":"2026-11-20","files":["linux-x64"],"lts":"Name"}]"#;
    let follow = node.follow.clone().unwrap();
    assert_eq!(version(&node, &follow, index), Ok("26.11.0".to_owned()));

    let kubectl = tool("kubectl");
    let follow = kubectl.follow.clone().unwrap();
    assert_eq!(
        version(&kubectl, &follow, "v1.37.4\n"),
        Ok("1.37.4".to_owned())
    );
    assert!(version(&kubectl, &follow, "v1.38.0").is_err());
    assert_eq!(tool("helm").follow, None);
}

#[test]
fn a_refresh_never_makes_a_pin_weaker() {
    let runner = tool("gitea-runner");
    let arm = digits('b');
    // Another checksum for the version that is pinned.
    let kept = by(&runner, "3.3.2", &digits('a'), &arm).unwrap_err();
    assert!(
        matches!(kept, Kept::Changed { arch: "x86_64", .. }),
        "{kept}"
    );
    assert!(kept.to_string().contains("38b73d0d") && kept.to_string().contains("find out why"));
    // A weaker kind.
    let godot = tool("godot");
    let line = |file: &str| format!("{}  {file}\n", digits('a'));
    let weaker =
        line("Godot_v4.7.2-stable_linux.x86_64.zip") + &line("Godot_v4.7.2-stable_linux.arm64.zip");
    let kept = by(&godot, "4.7.2", &weaker, &weaker).unwrap_err();
    assert_eq!(
        kept,
        Kept::Weaker {
            now: "sha256",
            pinned: "sha512"
        }
    );
    // A file that says nothing of ours, half of a checksum, two checksums, a page that says sorry.
    for said in [
        String::new(),
        format!("{}  gitea-runner-3.3.2-linux-amd64\n", &digits('a')[1..]),
        format!("{}  gitea-runner-3.3.2-linux-amd64.xz\n", digits('a')),
        format!(
            "{0}  gitea-runner-3.3.2-linux-amd64\n{1}  gitea-runner-3.3.2-linux-amd64\n",
            digits('a'),
            digits('b')
        ),
        "<!doctype html><p>Not found".to_owned(),
    ] {
        let kept = by(&runner, "3.3.2", &said, &arm).unwrap_err();
        assert!(matches!(kept, Kept::NotHad(_)), "{said}: {kept}");
    }
    // A tool changes whole: what is said of one architecture alone changes neither.
    let urls = files(&runner, "4.0.0").unwrap();
    let half = BTreeMap::from([(Arch::X86_64, (urls[&Arch::X86_64].clone(), digits('a')))]);
    assert!(matches!(
        change(&runner, "4.0.0", &half),
        Err(Kept::NotHad(_))
    ));
    assert_eq!(
        files(&tool("aws-cli"), "2.36.31"),
        Err(Kept::NothingPublished)
    );
}

#[test]
fn the_manifest_keeps_its_comments_and_everything_that_did_not_change() {
    let runner = tool("gitea-runner");
    let pinned = runner.pins[&Arch::X86_64].sum.clone().unwrap();
    let refreshed = by(&runner, "3.3.2", pinned.digits(), &digits('b')).unwrap();
    assert!(refreshed.is_first);
    let godot = format!(
        "{0}  Godot_v4.8-stable_linux.x86_64.zip\n{0}  Godot_v4.8-stable_linux.arm64.zip\n",
        digits('c').repeat(2)
    );
    let newer = by(&tool("godot"), "4.8", &godot, &godot).unwrap();
    let before = text();
    let after = rewrite(&before, &[refreshed, newer], TODAY, sources()).unwrap();
    let manifest = Manifest::parse(&after, sources()).unwrap();
    let tool = |name: &str| manifest.tools().find(|tool| tool.name == name).unwrap();
    let arm = &tool("gitea-runner").pins[&Arch::Arm64];
    assert_eq!(arm.sum, Some(Sum::Sha256(digits('b'))));
    assert_eq!(arm.date, TODAY);
    assert_eq!(
        arm.source,
        "https://dl.gitea.com/gitea-runner/3.3.2/gitea-runner-3.3.2-linux-arm64.sha256"
    );
    assert_eq!(tool("godot").version, "4.8");
    // Five lines: of one tool the two pins, of the other the two pins and the version.
    let changed = before
        .lines()
        .zip(after.lines())
        .filter(|(before, after)| before != after);
    assert_eq!(changed.count(), 5);
    assert_eq!(before.lines().count(), after.lines().count());
    assert_eq!(rewrite(&before, &[], TODAY, sources()).unwrap(), before);
}

#[test]
fn what_is_no_manifest_any_more_is_not_written() {
    let mut change = by(&tool("helm"), "4.4.0", &digits('a'), &digits('b')).unwrap();
    change.version = "4.4.0/../..".to_owned();
    assert!(rewrite(&text(), &[change], TODAY, sources()).is_err());
}
