//! A stand-in for Gitea 1.26, as strict as its recordings, which also plays other forges ([`Version`]):
//! repositories over git's smart HTTP, the API's part that we use, workflows, the runner protocol and
//! webhooks.
//!
//! Invariant: all state is in one place behind one lock, changed by functions without I/O or clock;
//! what they announce is delivered by one worker. Nothing survives the process except the bare
//! repositories, which belong to nobody after it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

mod api;
mod checks;
pub(crate) mod deliver;
pub(crate) mod door;
mod engine;
mod git;
mod git_command;
pub(crate) mod model;
mod moves;
mod objects;
mod pages;
pub(crate) mod payload;
pub(crate) mod push;
pub(crate) mod reply;
mod rerun;
mod rpc;
mod runs;
mod serve;
mod shared;
pub(crate) mod state;
mod version;

pub(crate) use model::{ADMIN, Conclusion};
use shared::{Shared, now};
use state::State;
pub use version::Version;

/// After this silence of its runner a job has failed: the forge's `ZOMBIE_TASK_TIMEOUT`.
pub const ZOMBIE_AFTER: Duration = Duration::from_mins(10);
/// How often silence is looked for. The forge looks every five minutes; a demo has less time.
const ZOMBIE_LOOK: Duration = Duration::from_secs(1);

/// What a forge is started with.
pub struct Config {
    /// Folder of its repositories; made when missing.
    pub data: PathBuf,
    /// The administrator's API token.
    pub admin_token: String,
    /// The administrator's password, for the web pages.
    pub admin_password: String,
    /// Registers runners for the whole forge.
    pub registration_token: String,
    /// Usually [`ZOMBIE_AFTER`].
    pub zombie_after: Duration,
    /// Which forge it plays.
    pub version: Version,
}

/// A running forge. It stops when this is dropped.
#[derive(Debug)]
pub struct Forge {
    address: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

impl Forge {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://` and its address: how the host reaches it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Forge {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Starts a forge on the current runtime, on any port of 127.0.0.1. It calls itself [`FORGE_URL`],
/// wherever it listens.
///
/// [`FORGE_URL`]: crate::FORGE_URL
pub async fn start(config: Config) -> io::Result<Forge> {
    tokio::fs::create_dir_all(&config.data).await?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let (queue, waiting) = mpsc::channel(deliver::QUEUE_MAX);
    let mut state = State::new(
        config.version,
        &config.admin_token,
        &config.registration_token,
        now(),
    );
    state.admin_password = config.admin_password;
    let shared = Arc::new(Shared {
        state: Mutex::new(state),
        data: config.data,
        queue,
        pushes: tokio::sync::Mutex::new(()),
    });
    let silent_s = i64::try_from(config.zombie_after.as_secs()).unwrap_or(i64::MAX);
    let tasks = vec![
        tokio::spawn(deliver::work(waiting)),
        tokio::spawn(look_for_zombies(Arc::clone(&shared), silent_s)),
        tokio::spawn(serve::run(listener, shared)),
    ];
    Ok(Forge { address, tasks })
}

async fn look_for_zombies(shared: Arc<Shared>, silent_s: i64) {
    let mut ticks = tokio::time::interval(ZOMBIE_LOOK);
    loop {
        ticks.tick().await;
        shared.with(|state, now| state.fail_zombies(silent_s, now));
    }
}
