//! A refresh by the files of a mirror on this machine, in the vendors' own formats.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;

use jiff::civil::{Date, date};
use provisioner::ami::{Manifest, PATH, Sum, Tool, lab_runner};
use provisioner::environment::Arch;
use stacks::pool::ForgeKind;
use tempfile::TempDir;

use super::pins::{Error, refresh, table};

const TODAY: Date = date(2027, 1, 2);
/// What the lines that a tool follows are at in the mirror.
const NEWER: [(&str, &str); 5] = [
    ("go-1-26", "1.26.12"),
    ("go-1-27", "1.27.5"),
    ("node-24", "24.30.1"),
    ("node-26", "26.20.0"),
    ("kubectl", "1.37.8"),
];

/// What is at an address: a status, and a body or where it leads.
type Files = BTreeMap<String, (u16, String)>;

/// A checkout that has the manifest and what it needs, and nothing else.
fn checkout() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::create_dir_all(folder.path().join("ami/steps")).unwrap();
    fs::copy(root.join(PATH), folder.path().join(PATH)).unwrap();
    for step in fs::read_dir(root.join("ami/steps")).unwrap() {
        let step = step.unwrap();
        fs::copy(
            step.path(),
            folder.path().join("ami/steps").join(step.file_name()),
        )
        .unwrap();
    }
    folder
}

/// Every vendor's files: the pinned checksums for what stays, others for what is newer.
fn vendors(manifest: &Manifest) -> Files {
    let mut files = Files::new();
    for (version, url) in [
        (
            r#"[{"version":"go1.27.5","stable":true},{"version":"go1.26.12","stable":true}]"#,
            "go.dev/dl/?mode=json",
        ),
        (
            r#"[{"version":"v26.20.0","lts":"X"},{"version":"v24.30.1","lts":"Y"}]"#,
            "nodejs.org/dist/index.json",
        ),
        ("v1.37.8\n", "dl.k8s.io/release/stable-1.37.txt"),
    ] {
        files.insert(format!("/{url}"), (200, version.to_owned()));
    }
    for tool in manifest.tools() {
        let version = now(tool);
        for (arch, pin) in &tool.pins {
            let Some(url) = tool.checksums(&version, *arch) else {
                continue;
            };
            let made_up = "ab".repeat(if tool.name.starts_with("godot") {
                64
            } else {
                32
            });
            let stays = pin.sum.as_ref().filter(|_| version == tool.version);
            let digits = stays.map_or(made_up, |sum| sum.digits().to_owned());
            let file = tool.url(&version, *arch).unwrap();
            let file = file.rsplit('/').next().unwrap();
            // Go's and Kubernetes' say the checksum alone.
            let is_bare = tool.name.starts_with("go-") || tool.name == "kubectl";
            let line = if is_bare {
                digits
            } else {
                format!("{digits}  {file}\n")
            };
            let at = files
                .entry(url.replacen("https:/", "", 1))
                .or_insert((200, String::new()));
            at.1.push_str(&line);
        }
    }
    files
}

fn now(tool: &Tool) -> String {
    let newer = NEWER.iter().find(|(name, _)| *name == tool.name);
    newer.map_or_else(
        || tool.version.clone(),
        |(_, version)| (*version).to_owned(),
    )
}

/// Serves them until the test ends.
fn serve(files: Files) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client may go away.
            let _ = answer(&stream, &files);
        }
    });
    url
}

fn answer(mut stream: &TcpStream, files: &Files) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    while lines
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}
    let path = first.split(' ').nth(1).unwrap_or_default();
    let (status, body) = files
        .get(path)
        .cloned()
        .unwrap_or((404, "not here".to_owned()));
    let location = if status == 302 {
        format!("Location: {body}\r\n")
    } else {
        String::new()
    };
    write!(
        stream,
        "HTTP/1.1 {status} X\r\n{location}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn tool<'a>(manifest: &'a Manifest, name: &str) -> &'a Tool {
    manifest.tools().find(|tool| tool.name == name).unwrap()
}

#[tokio::test]
async fn a_refresh_reads_the_vendors_own_files_and_takes_newer_patches() {
    let checkout = checkout();
    let before = Manifest::read(checkout.path()).unwrap();
    let mut files = vendors(&before);
    // As Go's download page does, and GitHub: what is asked for is elsewhere.
    let at = "/go.dev/dl/go1.27.5.linux-amd64.tar.gz.sha256";
    let moved = "/dl.google.com/go/go1.27.5.linux-amd64.tar.gz.sha256";
    let sum = files
        .insert(at.to_owned(), (302, moved.to_owned()))
        .unwrap();
    files.insert(moved.to_owned(), sum);
    let mirror = serve(files);
    let whole = refresh(checkout.path(), &before, Some(&mirror), TODAY)
        .await
        .unwrap();
    assert!(whole);
    let after = Manifest::read(checkout.path()).unwrap();
    for (name, version) in NEWER {
        assert_eq!(tool(&after, name).version, version);
        assert_eq!(
            tool(&after, name).pins[&Arch::Arm64].sum,
            Some(Sum::Sha256("ab".repeat(32)))
        );
    }
    assert_eq!(tool(&after, "gitea-runner").version, "3.3.2");
    assert!(
        tool(&after, "gitea-runner").pins[&Arch::Arm64]
            .sum
            .is_some()
    );
    assert!(
        tool(&after, "forgejo-runner").pins[&Arch::X86_64]
            .sum
            .is_some()
    );
    // What was read at second hand was read at the vendor's now, and is told by the vendor's own address.
    let table = table(&after, date(2027, 1, 5)).join("\n");
    let second_hand: Vec<&str> = table
        .lines()
        .filter(|line| line.contains("second hand"))
        .collect();
    let unpublished =
        |line: &&str| line.starts_with("aws-cli") || line.starts_with("session-manager");
    assert_eq!(second_hand.len(), 4, "{table}");
    assert!(second_hand.iter().all(unpublished), "{table}");
    let line = table
        .lines()
        .find(|line| line.starts_with("go-1-27"))
        .unwrap();
    assert!(line.contains("sha256 abababababab  3 days"), "{line}");
    assert!(
        line.ends_with("https://go.dev/dl/go1.27.5.linux-amd64.tar.gz.sha256"),
        "{line}"
    );
    assert!(
        !table.contains("unpinned") && !table.contains("127.0.0.1"),
        "{table}"
    );
    assert!(!checkout.path().join("ami/images.toml.new").exists());
}

#[tokio::test]
async fn what_a_vendor_does_not_say_stays_as_it_was_and_the_rest_is_refreshed() {
    let checkout = checkout();
    let before = Manifest::read(checkout.path()).unwrap();
    let mut files = vendors(&before);
    let mut put = |url: &str, status: u16, body: &str| {
        assert!(
            files
                .insert(url.to_owned(), (status, body.to_owned()))
                .is_some(),
            "{url}"
        );
    };
    // Away, broken, a page instead of a file, led to where anybody could answer, in circles.
    put(
        "/get.helm.sh/helm-v4.3.0-linux-arm64.tar.gz.sha256sum",
        404,
        "",
    );
    put("/nodejs.org/dist/index.json", 500, "");
    put(
        "/dl.k8s.io/release/stable-1.37.txt",
        200,
        "<html>maintenance</html>",
    );
    let buildx = "/github.com/docker/buildx/releases/download/v0.34.1/checksums.txt";
    put(buildx, 302, "http://files.example/checksums.txt");
    let runner = "/dl.gitea.com/gitea-runner/3.3.2/gitea-runner-3.3.2-linux-amd64.sha256";
    put(runner, 302, runner);
    // Another checksum for what is pinned.
    let compose =
        "/github.com/docker/compose/releases/download/v5.1.4/docker-compose-linux-x86_64.sha256";
    put(
        compose,
        200,
        &format!("{} *docker-compose-linux-x86_64\n", "ee".repeat(32)),
    );
    let mirror = serve(files);
    let whole = refresh(checkout.path(), &before, Some(&mirror), TODAY)
        .await
        .unwrap();
    assert!(!whole);
    let after = Manifest::read(checkout.path()).unwrap();
    let stay = [
        "helm",
        "node-24",
        "node-26",
        "kubectl",
        "docker-buildx",
        "gitea-runner",
        "docker-compose",
        "aws-cli",
    ];
    for name in stay {
        assert_eq!(tool(&after, name), tool(&before, name));
    }
    assert_eq!(tool(&after, "go-1-27").version, "1.27.5");
    assert_eq!(
        tool(&after, "git-lfs").pins[&Arch::X86_64].date,
        "2027-01-02"
    );
}

#[tokio::test]
async fn with_nobody_there_the_manifest_is_the_same_to_the_byte() {
    let checkout = checkout();
    let manifest = Manifest::read(checkout.path()).unwrap();
    let text = fs::read_to_string(checkout.path().join(PATH)).unwrap();
    // Bound and let go again: nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let nobody = format!("http://127.0.0.1:{port}");
    let whole = refresh(checkout.path(), &manifest, Some(&nobody), TODAY)
        .await
        .unwrap();
    assert!(!whole);
    assert_eq!(
        fs::read_to_string(checkout.path().join(PATH)).unwrap(),
        text
    );
    for mirror in [
        "http://mirror.example",
        "http://127.0.0.1.example",
        "ftp://127.0.0.1",
    ] {
        let refused = refresh(checkout.path(), &manifest, Some(mirror), TODAY).await;
        assert!(matches!(refused, Err(Error::Mirror(_))), "{mirror}");
    }
}

#[test]
fn the_manifest_names_the_runner_that_the_lab_builds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let modules = fs::read_to_string(root.join("lab/gitea/runner/go.mod")).unwrap();
    let version = lab_runner(ForgeKind::Gitea).unwrap();
    assert!(
        modules.contains(&format!("gitea.com/gitea/runner v{version}\n")),
        "{modules}"
    );
}
