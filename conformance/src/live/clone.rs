//! The repository that is pushed from, and read where the forge would read it: a bare clone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::Error;
use super::stream::{Mark, Stream};

/// Where the numbers of made objects are kept between imports.
const MARKS: &str = "marks";

/// One entry of a tree, trees too, by their whole path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// As git writes it: `100644`, `040000`.
    pub(crate) mode: String,
    /// `blob`, `tree` or `commit`.
    pub(crate) kind: String,
    /// The object.
    pub(crate) id: String,
    /// Its path, as it is.
    pub(crate) path: Vec<u8>,
}

/// A bare repository.
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

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The commit that `id` leads to; a tag's object is none.
    pub(crate) fn peeled(&self, id: &str) -> Option<String> {
        let output = std::process::Command::new("git")
            .args([
                "rev-parse",
                "--verify",
                "--quiet",
                &format!("{id}^{{commit}}"),
            ])
            .current_dir(&self.folder)
            .output()
            .ok()?;
        let sha = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(sha)
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

    /// Everything in the tree of `commit`, trees too, in git's order.
    pub(crate) async fn tree(&self, commit: &str) -> Result<Vec<Entry>, Error> {
        let listed = self
            .git(&["ls-tree", "-r", "-t", "-z", commit], b"")
            .await?;
        let entry = |line: &[u8]| {
            let tab = line.iter().position(|byte| *byte == b'\t')?;
            let head = String::from_utf8_lossy(&line[..tab]).into_owned();
            let mut words = head.split(' ').map(str::to_owned);
            Some(Entry {
                mode: words.next()?,
                kind: words.next()?,
                id: words.next()?,
                path: line[tab + 1..].to_vec(),
            })
        };
        Ok(listed.split(|byte| *byte == 0).filter_map(entry).collect())
    }

    /// The bytes of these objects, in this order.
    pub(crate) async fn objects(&self, ids: &[&str]) -> Result<Vec<Vec<u8>>, Error> {
        let asked = ids
            .iter()
            .fold(String::new(), |all, id| format!("{all}{id}\n"));
        let answer = self.git(&["cat-file", "--batch"], asked.as_bytes()).await?;
        let mut rest = answer.as_slice();
        let mut objects = Vec::new();
        for id in ids {
            let object = next_object(&mut rest).ok_or_else(|| Error::Git {
                command: "cat-file".to_owned(),
                words: format!("there is no object {id}"),
            })?;
            objects.push(object);
        }
        Ok(objects)
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

/// Takes `ID KIND SIZE`, a line's end, the bytes and another line's end.
fn next_object(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let head = std::str::from_utf8(&rest[..end]).ok()?;
    let size: usize = head.split(' ').nth(2)?.parse().ok()?;
    let bytes = rest.get(end + 1..end + 1 + size)?.to_vec();
    *rest = rest.get(end + 2 + size..)?;
    Some(bytes)
}
