//! Process 1's side of the conversation with the commands.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

use crate::init::unit::{Reply, Request};

/// Where process 1 listens, for root alone.
pub(super) const SOCKET: &str = "/run/systemd/private";
/// Longest request: an environment and a command line.
const REQUEST_MAX_BYTES: u64 = 1024 * 1024;

/// Where an answer is awaited.
pub(super) type ReplyTo = oneshot::Sender<Reply>;

/// Listens for root; requests go to `sender`.
pub(super) fn listen(sender: mpsc::Sender<(Request, ReplyTo)>) -> io::Result<()> {
    if let Some(folder) = Path::new(SOCKET).parent() {
        fs::create_dir_all(folder)?;
    }
    let listener = UnixListener::bind(SOCKET)?;
    fs::set_permissions(SOCKET, fs::Permissions::from_mode(0o600))?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, sender.clone()));
        }
    });
    Ok(())
}

async fn converse(stream: UnixStream, sender: mpsc::Sender<(Request, ReplyTo)>) {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut read = BufReader::new(read.take(REQUEST_MAX_BYTES));
    if read.read_line(&mut line).await.is_err() {
        return;
    }
    let reply = match serde_json::from_str(&line) {
        Err(error) => Reply::error(format!("{error}\n")),
        Ok(request) => {
            let (reply, answered) = oneshot::channel();
            if sender.send((request, reply)).await.is_err() {
                return;
            }
            // Nobody answers when the machine goes off meanwhile.
            answered
                .await
                .unwrap_or_else(|_| Reply::error(String::new()))
        }
    };
    if let Ok(mut text) = serde_json::to_vec(&reply) {
        text.push(b'\n');
        let _ = write.write_all(&text).await;
    }
}
