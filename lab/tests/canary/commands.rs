//! The command line, as somebody types it in a checkout, and everything that it says.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// The commands for one lab.
pub(crate) struct Commands {
    program: PathBuf,
    lab: PathBuf,
    /// What they said, by command.
    pub(crate) said: Vec<(String, Vec<u8>)>,
}

impl Commands {
    /// Builds the program, which is there already where this test is one of `cargo xtask test`.
    pub(crate) async fn of(lab: &Path) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .current_dir(root)
            .args(["build", "--quiet", "--bin", "xtask"])
            .stdin(Stdio::null())
            .status();
        assert!(built.await.unwrap().success());
        // Beside the folder of tests.
        let tests = std::env::current_exe().unwrap();
        let target = tests.parent().unwrap().parent().unwrap();
        Self {
            program: target.join("xtask"),
            lab: lab.to_owned(),
            said: Vec::new(),
        }
    }

    /// Runs one, and says whether it was content.
    pub(crate) async fn run(&mut self, args: &[&str]) -> bool {
        self.run_with(args, "").await
    }

    /// The same with something to read.
    pub(crate) async fn run_with(&mut self, args: &[&str], input: &str) -> bool {
        let mut child = Command::new(&self.program)
            .args(args)
            .env(lab::ENV_FOLDER, &self.lab)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // One that reads nothing may be gone before it is written.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let Output {
            status,
            stdout,
            stderr,
        } = child.wait_with_output().await.unwrap();
        let name = args.join(" ");
        eprintln!("{name}: {status}");
        if !status.success() {
            eprintln!("{}", String::from_utf8_lossy(&stderr));
        }
        self.said.push((format!("output of {name}"), stdout));
        self.said.push((format!("errors of {name}"), stderr));
        status.success()
    }

    /// Everything that was said so far, as text.
    pub(crate) fn text(&self) -> String {
        let said = self.said.iter();
        let said = said.map(|(_, text)| String::from_utf8_lossy(text));
        said.collect::<Vec<_>>().join("\n")
    }
}
