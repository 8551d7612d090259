//! The emulator: its private virtualenv, and its process with a clean environment. Functions
//! inherit that environment, so it holds the endpoints, and templates hold nothing of the lab.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Error;
use crate::folder::{ACCOUNT, Folder, REGION, cache_folder};
use crate::machine::image;
use crate::recording::FUNCTION_TOKEN;
use crate::sigv4::Key;
use crate::supervised::{self, STARTS_MAX, free_address};

/// The version that all measurements were made with.
const VERSION: &str = "1.5.33";
/// What starts it: with what it lets pass and AWS refuses.
const START: &str = include_str!("emulator/strict.py");
/// Lines of pip's output that are shown when it fails.
const TAIL_LINES: usize = 8;

/// Where its virtualenv is, shared by all checkouts.
fn home() -> PathBuf {
    cache_folder().join(format!("ministack-{VERSION}"))
}

/// Installs the emulator unless it is there. `progress` hears about what takes seconds.
pub(crate) fn install(progress: &mut dyn FnMut(&str)) -> Result<(), Error> {
    let home = home();
    let done = home.join("installed");
    let cache = cache_folder();
    let failed = |error| Error::file(&cache, error);
    fs::create_dir_all(&cache).map_err(failed)?;
    // Two labs that start at once (tests do) must not both install: the second waits and finds it.
    let lock = fs::File::create(cache.join("ministack.lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    if done.exists() {
        return Ok(());
    }
    if !runs("python3", &["--version"]) {
        return Err(Error::Missing {
            program: "python3",
            hint: "the lab's AWS emulator is a Python package; `apt-get install python3 \
                   python3-venv`",
        });
    }
    // A half-made one is of no use to anybody.
    let _ = fs::remove_dir_all(&home);
    progress(&format!(
        "installing ministack {VERSION} (once, about 10 s and 90 MB)"
    ));
    fs::create_dir_all(&home).map_err(|error| Error::file(&home, error))?;
    let venv = home.display().to_string();
    step("python3 -m venv", "python3", &["-m", "venv", &venv])?;
    let pip = home.join("bin/pip").display().to_string();
    let package = format!("ministack=={VERSION}");
    step("pip install", &pip, &["install", "--quiet", &package])?;
    fs::write(&done, "").map_err(|error| Error::file(&done, error))
}

/// The Python that has the emulator, for who asks it without a lab; installed unless it is there.
pub fn emulator_python(mut progress: impl FnMut(&str)) -> Result<PathBuf, Error> {
    install(&mut progress)?;
    Ok(home().join("bin/python3"))
}

/// Where the emulator's functions find what it has not itself.
pub(crate) struct Surroundings<'a> {
    /// All of AWS but EC2, where that is not the emulator's own address.
    pub(crate) aws: Option<&'a str>,
    /// The lab's EC2.
    pub(crate) ec2: &'a str,
    /// The lab's forge.
    pub(crate) forge: &'a str,
    /// The account's key.
    pub(crate) key: &'a Key,
}

/// Starts the emulator and waits until it answers. Its functions have only what `surroundings` say.
pub(crate) async fn start(
    folder: &Folder,
    surroundings: Option<&Surroundings<'_>>,
) -> Result<(tokio::process::Child, SocketAddr), Error> {
    for _ in 0..STARTS_MAX {
        let Some(listen) = free_address() else {
            continue;
        };
        let mut child = spawn(folder, listen, surroundings)?;
        let health = format!("http://{listen}/_ministack/health");
        if supervised::answers("ministack", &health, &mut child, &folder.emulator_log()).await? {
            return Ok((child, listen));
        }
    }
    Err(Error::request(
        "the start of ministack",
        format!("it ends at once, see {}", folder.emulator_log().display()),
    ))
}

fn spawn(
    folder: &Folder,
    listen: SocketAddr,
    surroundings: Option<&Surroundings<'_>>,
) -> Result<tokio::process::Child, Error> {
    let home_folder = folder.emulator();
    let temporary = home_folder.join("tmp");
    fs::create_dir_all(&temporary).map_err(|error| Error::file(&temporary, error))?;
    let log = folder.emulator_log();
    let out = fs::File::create(&log).map_err(|error| Error::file(&log, error))?;
    let err = out.try_clone().map_err(|error| Error::file(&log, error))?;
    let program = home().join("bin/python3");
    let start = home_folder.join("start.py");
    fs::write(&start, START).map_err(|error| Error::file(&start, error))?;
    let mut command = supervised::command(folder, &program);
    command
        .arg(&start)
        .env("HOME", &home_folder)
        .env("TMPDIR", &temporary)
        .env("PYTHONUNBUFFERED", "1")
        .env("BIND_HOST", listen.ip().to_string())
        .env("GATEWAY_PORT", listen.port().to_string())
        .env("MINISTACK_ACCOUNT_ID", ACCOUNT)
        .env("MINISTACK_REGION", REGION)
        .env("AWS_DEFAULT_REGION", REGION)
        .env("AWS_REGION", REGION)
        .env("AWS_ENDPOINT_URL", format!("http://{listen}"))
        .current_dir(&home_folder)
        .stdout(out)
        .stderr(err);
    if let Some(Surroundings {
        aws,
        ec2,
        forge,
        key,
    }) = surroundings
    {
        command
            .env("AWS_ACCESS_KEY_ID", &key.id)
            .env("AWS_SECRET_ACCESS_KEY", &key.secret)
            .env("AWS_SESSION_TOKEN", FUNCTION_TOKEN)
            .env("AWS_ENDPOINT_URL_EC2", ec2)
            .env("CI_FORGE_ENDPOINT", forge);
        if let Some(aws) = aws {
            command.env("AWS_ENDPOINT_URL", aws);
        }
    }
    command
        .spawn()
        .map_err(|error| Error::file(&program, error))
}

/// An emulator without the rest of a lab, for labs that share it: each has an account of its own
/// there, and no functions, which would not know whose they are. It ends with this value, and with
/// the thread that started it.
pub struct StandaloneEmulator {
    address: SocketAddr,
    _process: tokio::process::Child,
}

impl StandaloneEmulator {
    /// Starts one that keeps its things in `folder`, which is nobody else's. `program` has the
    /// `internal` commands. `progress` hears of every step that takes a while.
    pub async fn start(
        folder: &Folder,
        program: &Path,
        mut progress: impl FnMut(&str),
    ) -> Result<Self, Error> {
        install(&mut progress)?;
        image::install_program(folder, program)?;
        let (process, address) = start(folder, None).await?;
        Ok(Self {
            address,
            _process: process,
        })
    }

    /// Where it answers.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn step(name: &'static str, program: &str, arguments: &[&str]) -> Result<(), Error> {
    let failed = |output: String| Error::Install { step: name, output };
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    if text.contains("ensurepip is not available") {
        return Err(Error::Missing {
            program: "python3-venv",
            hint: "`apt-get install python3-venv`, then again",
        });
    }
    let lines: Vec<&str> = text.lines().collect();
    let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join(" | ");
    Err(failed(tail))
}
