//! The lab's daemon: starts every part, writes the [`LabFile`] when all of them answer, and ends
//! them in the opposite order.

use std::fs;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::process::Child;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use workflow::ForgeKind;

use crate::cloud::Cloud;
use crate::edge::Edge;
use crate::emulator::Emulator;
use crate::error::chain;
use crate::folder::{ACCOUNT, Folder, LabFile, REGION, WEBHOOK_SECRET};
use crate::forge_program::ForgeProgram;
use crate::front_door::FrontDoor;
use crate::handle::{HOSTILE, Setup, SharedEmulator};
use crate::hostile::{Hostile, as_account};
use crate::ids::secret;
use crate::machine::debian::Debian;
use crate::machine::docker::Docker;
use crate::machine::groups::Groups;
use crate::machine::image::{self, Image};
use crate::machine::{Forwarders, MachineHost, logs_host, user_namespace};
use crate::metadata::{Keys, Notices};
use crate::ministack::Surroundings;
use crate::real_forge::{Programs, RealForge};
use crate::recording::{Recording, key_secret};
use crate::rights::Rights;
use crate::sigv4::Key;
use crate::update::Update;
use crate::{Error, ec2, forge, ministack, tls, update};

/// Machines are cut off, which takes milliseconds each.
const CLOSE_LIMIT: Duration = Duration::from_secs(15);

/// Runs the daemon of the lab in the folder, with the forge and the shared emulator that the arguments
/// name, until SIGTERM or Ctrl-C.
#[must_use]
pub fn main(args: &[String]) -> ExitCode {
    close_inherited();
    let _ = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(false)
        .try_init();
    let outcome = parse(args).and_then(|(folder, setup)| start(&folder, &setup));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// Closes what whoever called `up` had open, beside the standard streams: a lock would be held, and a pipe's
/// reader would wait, for as long as the lab runs.
fn close_inherited() {
    let Ok(open) = fs::read_dir("/proc/self/fd") else {
        return;
    };
    let open = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    // The list itself is one of them, and is closed by now.
    let open: Vec<i32> = open.collect();
    for number in open.into_iter().filter(|number| *number > 2) {
        let _ = nix::unistd::close(number);
    }
}

/// `FOLDER FORGE QUEUE [EMULATOR ACCOUNT | hostile]`.
fn parse(args: &[String]) -> Result<(Folder, Setup), Error> {
    let (folder, forge, queue, emulator) = match args {
        [folder, forge, queue] => (folder, forge, queue, None),
        [folder, forge, queue, word] if word == HOSTILE => (folder, forge, queue, None),
        [folder, forge, queue, endpoint, account] => {
            let emulator = SharedEmulator {
                endpoint: endpoint.clone(),
                account: account.clone(),
            };
            (folder, forge, queue, Some(emulator))
        }
        _ => {
            let usage = "usage: internal serve FOLDER FORGE QUEUE [EMULATOR ACCOUNT | hostile]";
            return Err(Error::Bug(usage.to_owned()));
        }
    };
    let setup = Setup {
        forge: forge.parse().map_err(|error| Error::bug(&error))?,
        queue: queue.parse().map_err(|error| Error::bug(&error))?,
        emulator,
        hostile: args.last().is_some_and(|word| word == HOSTILE),
        // By the environment.
        debian: None,
    };
    Ok((Folder::at(Path::new(folder)), setup))
}

fn start(folder: &Folder, setup: &Setup) -> Result<(), Error> {
    let failed = |error: io::Error| Error::file(folder.path(), error);
    // Its own session: Ctrl-C in the terminal of `up` is not meant for it.
    let _ = nix::unistd::setsid();
    user_namespace::enter().map_err(failed)?;
    let lock = folder.path().join("lock");
    let lock = fs::File::create(&lock).map_err(failed)?;
    lock.try_lock()
        .map_err(|_| Error::Bug("another daemon holds this folder".to_owned()))?;
    folder.clear().map_err(failed)?;
    fs::create_dir_all(folder.instances()).map_err(failed)?;
    let runtime = tokio::runtime::Runtime::new().map_err(failed)?;
    let outcome = runtime.block_on(run(folder, setup));
    runtime.shutdown_timeout(Duration::from_secs(1));
    folder.clear().map_err(failed)?;
    outcome
}

async fn run(folder: &Folder, setup: &Setup) -> Result<(), Error> {
    let failed = |error: io::Error| Error::file(folder.path(), error);
    let names = vec![format!("*.execute-api.{REGION}.amazonaws.com"), logs_host()];
    let (authority, tls) = tls::make(names)?;
    // Built by whoever starts the daemon, who can say how long it takes.
    let programs = Programs::of(&setup.forge, &mut |_| ())?;
    let runner = programs.as_ref().map(|it| it.runner().clone());
    let program = std::env::current_exe().map_err(failed)?;
    image::install_program(folder, &program)?;
    let debian = Debian::of_environment(folder, &authority)?;
    let docker = Docker::of_environment()?;
    let wants_groups = debian.is_some() || docker.is_some();
    let image = Image::of(folder, authority, runner)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;

    let ec2_listener = listen().await.map_err(failed)?;
    let door_listener = listen().await.map_err(failed)?;
    let ec2_address = ec2_listener.local_addr().map_err(failed)?;
    let door_address = door_listener.local_addr().map_err(failed)?;
    let key = account_key(setup);
    let mut forge = Forge::start(folder, setup, programs.as_ref()).await?;
    let forge_url = format!("http://{}", forge.address);
    let ec2_url = format!("http://{ec2_address}");
    let hostile = setup.hostile.then(Hostile::default);
    let recording = recording(setup)?;
    let rights = Rights::of_environment(folder).await?;
    let edge = Edge::of(&recording, &rights, hostile.as_ref());
    let edge = edge.await.map_err(failed)?;
    let surroundings = Surroundings {
        aws: edge.as_ref().map(Edge::url),
        ec2: &ec2_url,
        forge: &forge_url,
        key: &key,
    };
    let (mut own_emulator, emulator_url) = start_emulator(folder, setup, &surroundings).await?;
    let emulator = Emulator::new(emulator_url.clone(), key.clone());
    let aws_url = match edge {
        Some(edge) => edge.open(emulator.clone(), emulator_url),
        None => emulator_url,
    };
    let keys = Keys::default();
    let door = FrontDoor {
        emulator: emulator.clone(),
        keys: keys.clone(),
        journal: crate::journal::Journal::default(),
        recording: recording.clone(),
        rights: rights.clone(),
    }
    .router();
    let forwarders = Forwarders {
        forge: forge.address,
        door: door.clone(),
        tls,
    };
    let host = MachineHost {
        folder: folder.clone(),
        image,
        docker,
        debian,
        groups: wants_groups.then(|| Groups::of(folder)).transpose()?,
        keys,
        notices: Notices::default(),
        forwarders,
    };
    let cloud = Cloud::new(emulator, host);
    let (update_route, updates) = update::route();
    let router = ec2::endpoint::router(
        std::sync::Arc::clone(&cloud),
        key.clone(),
        recording,
        rights,
    );
    let router = as_account(hostile.as_ref(), router).merge(update_route);
    tokio::spawn(async move { axum::serve(ec2_listener, router).await });
    tokio::spawn(async move { axum::serve(door_listener, door).await });

    let door_url = format!("http://{door_address}");
    let file = lab_file(setup, &forge, key, (aws_url, ec2_url, door_url))?;
    file.write(folder)?;
    tracing::info!(folder = %folder.path().display(), "the lab is up");

    let outcome = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        ended = ended(own_emulator.as_mut()) => Err(Error::request(
            "ministack",
            format!("it ended by itself ({ended:?}); see {}", folder.emulator_log().display()),
        )),
        how = forge.serve(folder, file, updates) => Err(Error::RealForge { step: "run", output: how }),
    };
    tracing::info!("going down");
    let left = cloud.close(CLOSE_LIMIT).await;
    if left > 0 {
        tracing::error!(left, "instances did not end");
    }
    if let Some(mut emulator) = own_emulator {
        let _ = emulator.kill().await;
    }
    outcome
}

/// How the lab is reached: AWS, its EC2 and its front door are at these addresses.
fn lab_file(
    setup: &Setup,
    forge: &Forge,
    key: Key,
    (aws_endpoint, ec2_endpoint, front_door): (String, String, String),
) -> Result<LabFile, Error> {
    Ok(LabFile {
        pid: i32::try_from(std::process::id()).map_err(|error| Error::bug(&error))?,
        aws_endpoint,
        ec2_endpoint,
        front_door,
        forge_program: setup.forge.clone(),
        forge_version: forge.version.clone(),
        forge_kind: forge.kind,
        forge: format!("http://{}", forge.address),
        account: key.id.clone(),
        access_key_id: key.id,
        secret_access_key: key.secret,
        region: REGION.to_owned(),
        forge_token: forge.token.clone(),
        forge_password: forge.password.clone(),
        registration_token: forge.registration_token.clone(),
        webhook_secret: WEBHOOK_SECRET.to_owned(),
    })
}

/// The lab's forge: a real one, or the stand-in, which is a part of this process.
struct Forge {
    address: SocketAddr,
    /// What it answers at `/api/v1/version`.
    version: String,
    /// What an environment calls it.
    kind: ForgeKind,
    token: String,
    password: String,
    registration_token: String,
    real: Option<RealForge>,
    _stand_in: Option<forge::Forge>,
}

impl Forge {
    /// Starts the real one if there are `programs`, else the stand-in.
    async fn start(
        folder: &Folder,
        setup: &Setup,
        programs: Option<&Programs>,
    ) -> Result<Self, Error> {
        if let Some(programs) = programs {
            let real = RealForge::start(folder, programs, setup.queue).await?;
            return Ok(Self {
                address: real.address(),
                version: real.version.clone(),
                kind: programs.kind(),
                token: real.admin_token.clone(),
                password: real.password.clone(),
                registration_token: real.registration_token.clone(),
                real: Some(real),
                _stand_in: None,
            });
        }
        let version = match setup.forge {
            ForgeProgram::StandIn(version) => version,
            ForgeProgram::Gitea(_) | ForgeProgram::Ready(_) => forge::Version::default(),
        };
        let (token, password, registration_token) = (secret(), secret(), secret());
        let forge = forge::start(forge::Config {
            data: folder.forge(),
            admin_token: token.clone(),
            admin_password: password.clone(),
            registration_token: registration_token.clone(),
            zombie_after: forge::ZOMBIE_AFTER,
            version,
        })
        .await
        .map_err(|error| Error::Forge(error.to_string()))?;
        Ok(Self {
            address: forge.address(),
            version: version.told().to_owned(),
            kind: version.kind(),
            token,
            password,
            registration_token,
            real: None,
            _stand_in: Some(forge),
        })
    }

    /// Goes on as `program`.
    async fn update(&mut self, folder: &Folder, program: &ForgeProgram) -> Result<(), Error> {
        let programs = Programs::of(program, &mut |_| ())?;
        let (Some(real), Some(programs)) = (&mut self.real, programs) else {
            return Err(Error::StandInAlone);
        };
        real.update(folder, &programs).await?;
        self.version.clone_from(&real.version);
        Ok(())
    }

    /// Updates it when somebody asks, and says in `file` what it is then, until a process of it ends by
    /// itself.
    async fn serve(
        &mut self,
        folder: &Folder,
        mut file: LabFile,
        mut updates: mpsc::Receiver<Update>,
    ) -> String {
        loop {
            tokio::select! {
                how = self.ended() => return how,
                Some(Update { program, done }) = updates.recv() => {
                    let mut outcome = self.update(folder, &program).await;
                    if outcome.is_ok() {
                        file.forge_version.clone_from(&self.version);
                        file.forge_program = program;
                        outcome = file.write(folder);
                    }
                    // Who asked may have gone.
                    let _ = done.send(outcome.map_err(|error| chain(&error)));
                }
            }
        }
    }

    /// Ends when a process of it ends.
    async fn ended(&mut self) -> String {
        match &mut self.real {
            Some(real) => real.ended().await,
            None => std::future::pending().await,
        }
    }
}

/// The key of the lab's account, which is that of a shared emulator if it has one.
fn account_key(setup: &Setup) -> Key {
    let shared = setup.emulator.as_ref();
    Key {
        id: shared.map_or(ACCOUNT, |shared| &shared.account).to_owned(),
        secret: key_secret(),
        token: None,
    }
}

/// Deployments in a hostile account have names of their own, and the judges of what is recorded know one.
fn recording(setup: &Setup) -> Result<Recording, Error> {
    if setup.hostile {
        return Ok(Recording::default());
    }
    Recording::of_environment()
}

/// The address of the emulator, and its process if it is ours.
async fn start_emulator(
    folder: &Folder,
    setup: &Setup,
    surroundings: &Surroundings<'_>,
) -> Result<(Option<Child>, String), Error> {
    if let Some(shared) = &setup.emulator {
        return Ok((None, shared.endpoint.clone()));
    }
    let (process, address) = ministack::start(folder, Some(surroundings)).await?;
    Ok((Some(process), format!("http://{address}")))
}

/// Waits for the end of the emulator, if it is ours.
async fn ended(emulator: Option<&mut Child>) -> io::Result<ExitStatus> {
    match emulator {
        Some(process) => process.wait().await,
        None => std::future::pending().await,
    }
}

async fn listen() -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
}
