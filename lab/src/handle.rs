//! A lab as other programs have it: found, brought up, ended.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::cloud::InstanceReport;
use crate::folder::{ENV_MARK, Folder, LabFile};
use crate::forge::ADMIN;
use crate::forge_program::{ForgeProgram, ForgeQueue};
use crate::http::HttpClient;
use crate::leftovers::{Leftovers, leftovers, processes};
use crate::machine::debian::{Debian, ENV_DEBIAN};
use crate::machine::groups::sweep_groups;
use crate::real_forge::Programs;
use crate::{Calls, Error, ministack, rights};

/// The emulator is the slowest part of the start.
const UP_LIMIT: Duration = Duration::from_secs(90);
/// Instances are cut off at once; the rest is closing files.
const DOWN_LIMIT: Duration = Duration::from_secs(30);
/// A forge ends, and another starts and migrates its database.
const UPDATE_LIMIT: Duration = Duration::from_mins(2);
/// A page of the forge.
const PAGE_LIMIT: Duration = Duration::from_secs(10);
/// A look into the daemon's memory.
const ASK_LIMIT: Duration = Duration::from_secs(10);
/// Between two looks at something that is about to change.
const LOOK: Duration = Duration::from_millis(50);
/// How the daemon is told of an account that can be hostile.
pub(crate) const HOSTILE: &str = "hostile";
/// What instances need of the host.
const PROGRAMS: [&str; 5] = ["bash", "curl", "git", "ip", "sed"];

/// A running lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lab {
    folder: Folder,
    file: LabFile,
}

/// What a lab is started with.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Its forge.
    pub forge: ForgeProgram,
    /// The queue of a real one.
    pub queue: ForgeQueue,
    /// Somebody else's emulator; it has one of its own without.
    pub emulator: Option<SharedEmulator>,
    /// Whether its account can be told to be a hostile one: [`crate::HostileAccount`]. Not with somebody
    /// else's emulator, which is nobody's alone.
    pub hostile: bool,
    /// What machines of Ubuntu's stock images are instead of the host's programs.
    pub debian: Option<Debian>,
}

impl From<ForgeProgram> for Setup {
    fn from(forge: ForgeProgram) -> Self {
        Self {
            forge,
            ..Self::default()
        }
    }
}

/// An emulator that several labs use.
#[derive(Debug, Clone)]
pub struct SharedEmulator {
    /// Where it answers.
    pub endpoint: String,
    /// The account of this lab alone, 12 digits.
    pub account: String,
}

/// What runs in a lab.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// Its instances, ended ones too, the oldest first.
    pub instances: Vec<InstanceReport>,
    /// What the machine holds of it.
    pub there: Leftovers,
}

impl Lab {
    /// Starts the lab in `folder` with this setup, or finds the one that runs there.
    /// `progress` hears of every step that takes a while.
    pub async fn up(
        folder: &Folder,
        setup: &Setup,
        progress: impl FnMut(&str),
    ) -> Result<Self, Error> {
        let program = std::env::current_exe().map_err(|error| Error::bug(&error))?;
        Self::up_with(folder, &program, setup, progress).await
    }

    /// The same for callers that have no `internal` commands: `program` has them.
    pub async fn up_with(
        folder: &Folder,
        program: &Path,
        setup: &Setup,
        mut progress: impl FnMut(&str),
    ) -> Result<Self, Error> {
        if let Some(lab) = Self::find(folder) {
            return if lab.file.forge_program == setup.forge {
                Ok(lab)
            } else {
                Err(Error::OtherForge(lab.file.forge_program))
            };
        }
        check_machine(program)?;
        rights::check()?;
        ministack::install(&mut progress)?;
        Programs::of(&setup.forge, &mut progress)?;
        sweep(folder).await?;
        progress("starting the lab");
        let mut daemon = spawn(folder, program, setup)?;
        let deadline = Instant::now() + UP_LIMIT;
        loop {
            if let Some(lab) = Self::find(folder) {
                return Ok(lab);
            }
            let ended = daemon.try_wait();
            if ended.is_ok_and(|status| status.is_some()) {
                return Err(Error::Died {
                    words: last_words(&folder.log()),
                    log: folder.log(),
                });
            }
            if Instant::now() > deadline {
                let _ = daemon.kill();
                return Err(Error::NotReady {
                    what: "the lab",
                    limit_s: UP_LIMIT.as_secs(),
                    log: folder.log(),
                });
            }
            sleep(LOOK).await;
        }
    }

    /// The lab that runs in `folder`.
    #[must_use]
    pub fn find(folder: &Folder) -> Option<Self> {
        let file = LabFile::read(folder)?;
        let command = fs::read(format!("/proc/{}/cmdline", file.pid)).ok()?;
        let words: Vec<&[u8]> = command.split(|byte| *byte == 0).collect();
        let path = folder.path().as_os_str().as_encoded_bytes();
        let is_daemon = words.contains(&b"serve".as_slice()) && words.contains(&path);
        is_daemon.then(|| Self {
            folder: folder.clone(),
            file,
        })
    }

    /// How it is reached.
    #[must_use]
    pub fn file(&self) -> &LabFile {
        &self.file
    }

    /// Where it keeps its things.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// What runs in it.
    pub async fn status(&self) -> Result<Status, Error> {
        let url = format!("{}/_lab/instances", self.file.ec2_endpoint);
        Ok(Status {
            instances: HttpClient::plain().get_json(&url, ASK_LIMIT).await?,
            there: leftovers(&self.folder),
        })
    }

    /// Cancels a run of `repository` as a person does, on the forge's web page: its API can't.
    pub async fn cancel_run(&self, repository: &str, run: u64) -> Result<(), Error> {
        let file = &self.file;
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("user_name", ADMIN)
            .append_pair("password", &file.forge_password)
            .finish();
        let page = |path: &str| http::Request::post(format!("{}{path}", file.forge));
        let sign_in = page("/user/login")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Bytes::from(form))
            .map_err(|error| Error::bug(&error))?;
        let client = HttpClient::plain();
        let signed_in = client.send(sign_in, PAGE_LIMIT).await?;
        // The session changes its name in the same answer, as it should: the last one holds.
        let cookies: BTreeMap<&str, &str> = signed_in
            .headers()
            .get_all("set-cookie")
            .iter()
            .filter_map(|cookie| cookie.to_str().ok()?.split(';').next()?.split_once('='))
            .collect();
        let cookies: Vec<String> = cookies
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let cancel = page(&format!("/{repository}/actions/runs/{run}/cancel"))
            .header("cookie", cookies.join("; "))
            .body(Bytes::new())
            .map_err(|error| Error::bug(&error))?;
        let answer = client.send(cancel, PAGE_LIMIT).await?;
        if answer.status().is_success() {
            return Ok(());
        }
        let what = format!("cancelling run {run} of {repository}");
        Err(Error::request(what, answer.status()))
    }

    /// Updates its forge, a real one, to `program` over the same data: the lab with it. What was sent to
    /// the forge meanwhile failed.
    pub async fn update_forge(
        &self,
        program: &ForgeProgram,
        mut progress: impl FnMut(&str),
    ) -> Result<Self, Error> {
        Programs::of(program, &mut progress)?;
        let url = format!("{}/_lab/forge", self.file.ec2_endpoint);
        let body = serde_json::to_vec(program).map_err(|error| Error::bug(&error))?;
        let request = http::Request::post(url)
            .header("content-type", "application/json")
            .body(Bytes::from(body))
            .map_err(|error| Error::bug(&error))?;
        let answer = HttpClient::plain().send(request, UPDATE_LIMIT).await?;
        let updated = answer
            .status()
            .is_success()
            .then(|| Self::find(&self.folder));
        updated.flatten().ok_or_else(|| {
            let words = String::from_utf8_lossy(answer.body()).into_owned();
            Error::request(format!("the update to {program}"), words)
        })
    }

    /// What was asked of its EC2 so far.
    pub async fn calls(&self) -> Result<Calls, Error> {
        let url = format!("{}/_lab/calls", self.file.ec2_endpoint);
        Ok(HttpClient::plain().get_json(&url, ASK_LIMIT).await?)
    }

    /// Ends the lab in `folder`, running or crashed, and tells what is left: nothing, or an error.
    pub async fn down(folder: &Folder) -> Result<Leftovers, Error> {
        if let Some(lab) = Self::find(folder) {
            let _ = kill(Pid::from_raw(lab.file.pid), Signal::SIGTERM);
            let deadline = Instant::now() + DOWN_LIMIT;
            while Self::find(folder).is_some() && Instant::now() < deadline {
                sleep(LOOK).await;
            }
        }
        sweep(folder).await?;
        Ok(leftovers(folder))
    }
}

/// Ends what a crashed daemon left and clears its files.
async fn sweep(folder: &Folder) -> Result<(), Error> {
    let deadline = Instant::now() + DOWN_LIMIT;
    loop {
        let left = processes(folder);
        if left.is_empty() {
            break;
        }
        if Instant::now() > deadline {
            let pids: Vec<String> = left.iter().map(|one| one.pid.to_string()).collect();
            return Err(Error::Left {
                count: left.len(),
                detail: pids.join(" "),
            });
        }
        for process in &left {
            let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
        }
        sleep(LOOK).await;
    }
    sweep_groups(folder);
    folder
        .clear()
        .map_err(|error| Error::file(folder.path(), error))
}

/// Whether instances can exist on this machine; tried in a process of its own.
fn check_machine(program: &Path) -> Result<(), Error> {
    for needed in PROGRAMS {
        let there = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(needed).exists());
        if !there.contains(&true) {
            return Err(Error::Missing {
                program: needed,
                hint: "instances use the host's programs; `apt-get install bash curl git iproute2 sed`",
            });
        }
    }
    let output = Command::new(program)
        .args(["internal", "init", "--as", "probe"])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Error::bug(&error))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(Error::NoInstances(words.trim().to_owned()))
}

fn spawn(folder: &Folder, program: &Path, setup: &Setup) -> Result<Child, Error> {
    let failed = |error: io::Error| Error::file(&folder.log(), error);
    fs::create_dir_all(folder.path()).map_err(failed)?;
    let log = fs::File::create(folder.log()).map_err(failed)?;
    let shared = setup
        .emulator
        .iter()
        .map(|own| [&own.endpoint, &own.account]);
    let debian = setup.debian.iter().map(|debian| {
        let text = serde_json::to_string(debian).map_err(|error| Error::bug(&error));
        Ok((ENV_DEBIAN, text?))
    });
    let debian: Vec<_> = debian.collect::<Result<_, Error>>()?;
    Command::new(program)
        .args(["internal", "serve"])
        .arg(folder.path())
        .arg(setup.forge.to_string())
        .arg(setup.queue.word())
        .args(shared.flatten())
        .args(setup.hostile.then_some(HOSTILE))
        .env(ENV_MARK, folder.path())
        .envs(debian)
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(failed)?)
        .stderr(log)
        .spawn()
        .map_err(failed)
}

fn last_words(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    last.unwrap_or("it said nothing").to_owned()
}
