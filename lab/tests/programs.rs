//! A lab with ready-made programs: which forge they are is what they answer.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use lab::forge::{self, Version};
use lab::{Folder, ForgeProgram, Lab, Setup};
use support::Bench;
use workflow::ForgeKind;

/// What the program prints as the administrator's token.
const TOKEN: &str = "0123456789abcdef0123456789abcdef01234567";
/// A program with Forgejo's command line, in front of the stand-in at `@ADDRESS@`.
const FORGEJO: &str = r#"#!/usr/bin/python3
import re, socket, sys, threading
words = sys.argv[1:]
def passed_on(source, target):
    while data := source.recv(65536):
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)
if "--version" in words:
    print("forgejo version @VERSION@ (release name 15.0.0) built with go1.26")
elif "create" in words:
    print("generated random password is 'a password'")
elif "generate-access-token" in words:
    print("@TOKEN@")
elif "web" in words:
    host, port = "@ADDRESS@".split(":")
    configuration = open(words[words.index("--config") + 1]).read()
    own = int(re.search("HTTP_PORT = (.*)", configuration).group(1))
    listener = socket.create_server(("127.0.0.1", own))
    while True:
        client, _ = listener.accept()
        server = socket.create_connection((host, int(port)))
        for pair in (client, server), (server, client):
            threading.Thread(target=passed_on, args=pair, daemon=True).start()
elif "migrate" not in words:
    sys.exit(f"unknown: {words}")
"#;
/// forgejo-runner, of a version that the lab's own does not have.
const RUNNER: &str = "#!/bin/sh\necho 'forgejo-runner version v12.8.77'\n";

fn program(address: SocketAddr) -> String {
    FORGEJO
        .replace("@ADDRESS@", &address.to_string())
        .replace("@TOKEN@", TOKEN)
        .replace("@VERSION@", Version::Forgejo15.told())
}

/// Puts everything into `folder`. The server's name says nothing.
fn lay_out(folder: &Path, server: &str, (runner, text): (&str, &str)) {
    for (name, text) in [("gitea", server), (runner, text)] {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    for name in ["templates", "options"] {
        std::fs::create_dir(folder.join(name)).unwrap();
    }
}

async fn stand_in(folder: &Path) -> (forge::Forge, SocketAddr) {
    let config = forge::Config {
        data: folder.join("forge"),
        admin_token: TOKEN.to_owned(),
        admin_password: "a password".to_owned(),
        registration_token: "a registration token".to_owned(),
        zombie_after: forge::ZOMBIE_AFTER,
        version: Version::Forgejo15,
    };
    let forge = forge::start(config).await.unwrap();
    let address = forge.address();
    (forge, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgejo_is_known_by_its_answers_and_its_machines_have_its_runner() {
    let folder = tempfile::tempdir().unwrap();
    let (_forge, address) = stand_in(folder.path()).await;
    lay_out(folder.path(), &program(address), ("forgejo-runner", RUNNER));
    let Some(bench) = Bench::sharing(ForgeProgram::ready(folder.path())).await else {
        return;
    };
    let file = bench.lab.file();
    assert_eq!(file.forge_kind, ForgeKind::Forgejo);
    assert_eq!(file.forge_version, Version::Forgejo15.told());
    assert_eq!(file.forge_token, TOKEN);
    // Asked for at the server: Forgejo takes none from its environment.
    assert_eq!(file.registration_token, "a registration token");
    let machine = bench.boot("#!/bin/sh\nforgejo-runner --version\n").await;
    bench.wait_for_words(&machine, "v12.8.77").await;
    bench.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_another_than_its_program_says_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (_forge, address) = stand_in(folder.path()).await;
    let program = program(address).replace("forgejo version ", "gitea version 1.27.3 not ");
    let runner = RUNNER.replace("forgejo-runner", "gitea-runner");
    lay_out(
        folder.path(),
        &program.replace("+gitea-1.22.0", ""),
        ("gitea-runner", &runner),
    );
    let setup = Setup::from(ForgeProgram::ready(folder.path()));
    let at = tempfile::tempdir().unwrap();
    let internal = Path::new(env!("CARGO_BIN_EXE_lab-internal"));
    let up = Lab::up_with(&Folder::at(at.path()), internal, &setup, |_| ()).await;
    let error = up.unwrap_err();
    if error.is_lack() {
        return support::skipped(&error.to_string());
    }
    let told = Version::Forgejo15.told();
    assert!(error.to_string().contains(told), "{error}");
}
