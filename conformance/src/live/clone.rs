//! The repository that is pushed from, and read where the forge would read it: a bare clone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use git::{LocalClone, Settings};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use workflow::Server;
use workflow::discovery::{FoundFiles, workflow_dirs};

use super::Error;
use super::stream::{Mark, Stream};

/// Where the numbers of made objects are kept between imports.
const MARKS: &str = "marks";

#[derive(Debug)]
pub(crate) struct Clone {
    folder: PathBuf,
    remote: String,
    authorization: String,
}

impl Clone {
    /// A new one in `folder`, which pushes to `remote` as `user`.
    pub(crate) async fn new(
        folder: &Path,
        remote: &str,
        user: &str,
        token: &str,
    ) -> Result<Self, Error> {
        std::fs::create_dir_all(folder)?;
        let credentials = STANDARD.encode(format!("{user}:{token}"));
        let clone = Self {
            folder: folder.to_owned(),
            remote: remote.to_owned(),
            authorization: format!("Authorization: Basic {credentials}"),
        };
        clone.git(&["init", "--bare", "--quiet", "."], b"").await?;
        Ok(clone)
    }

    /// What it holds, as a source of facts of a forge with these settings.
    pub(crate) fn local<'a>(&'a self, settings: Settings<'a>) -> Result<LocalClone<'a>, Error> {
        Ok(LocalClone::open(&self.folder, settings)?)
    }

    /// The commit that `id` leads to; a tag's object is none.
    pub(crate) fn peeled(&self, id: &str) -> Option<String> {
        let local = self.local(Settings::default()).ok()?;
        local.commit_of(id).ok()
    }

    pub(crate) fn workflows(&self, commit: &str) -> Result<FoundFiles, Error> {
        let dirs = workflow_dirs(Server::GITEA_1_26);
        Ok(self.local(Settings::default())?.files(commit, &dirs)?)
    }

    /// Makes the objects of `stream`, and gives every object that was made so far.
    pub(crate) async fn import(&self, stream: Stream) -> Result<BTreeMap<Mark, String>, Error> {
        let import = format!("--import-marks-if-exists={MARKS}");
        let export = format!("--export-marks={MARKS}");
        self.git(
            &["fast-import", "--quiet", "--force", &import, &export],
            &stream.into_bytes(),
        )
        .await?;
        let marks = match std::fs::read_to_string(self.folder.join(MARKS)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            read => read?,
        };
        Ok(marks
            .lines()
            .filter_map(|line| line.strip_prefix(':')?.split_once(' '))
            .filter_map(|(mark, id)| Some((Mark(mark.parse().ok()?), id.to_owned())))
            .collect())
    }

    /// Sends refs to the forge in one push: `+ID:NAME` each, or `:NAME` to delete.
    pub(crate) async fn push(&self, refs: &[String]) -> Result<(), Error> {
        let mut args = vec!["push", "--quiet", "--force", &self.remote];
        args.extend(refs.iter().map(String::as_str));
        self.git(&args, b"").await.map(drop)
    }

    /// Runs git without the user's settings; the token travels in the environment.
    async fn git(&self, args: &[&str], input: &[u8]) -> Result<Vec<u8>, Error> {
        let mut git = Command::new("git")
            .args(args)
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "http.extraHeader")
            .env("GIT_CONFIG_VALUE_0", &self.authorization)
            .kill_on_drop(true)
            .spawn()?;
        let mut stdin = git.stdin.take().expect("it is piped");
        let write = async move {
            // git says itself what it does not want to read.
            let _ = stdin.write_all(input).await;
        };
        let ((), output) = tokio::join!(write, git.wait_with_output());
        let output = output?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(Error::Git {
            command: args.first().copied().unwrap_or_default().to_owned(),
            words: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }
}
