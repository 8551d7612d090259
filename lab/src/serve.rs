//! The lab's daemon: starts every part, writes the [`LabFile`] when all of them answer, and ends
//! them in the opposite order.

use std::fs;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::cloud::Cloud;
use crate::emulator::Emulator;
use crate::error::chain;
use crate::folder::{ACCOUNT, FORGE_URL, Folder, LabFile, REGION, WEBHOOK_SECRET};
use crate::forge_program::ForgeProgram;
use crate::front_door::FrontDoor;
use crate::gitea::{Gitea, Programs};
use crate::ids::secret;
use crate::machine::{Forwarders, MachineHost, image, user_namespace};
use crate::metadata::Keys;
use crate::sigv4::Key;
use crate::{Error, ec2, forge, ministack, tls};

/// Machines are cut off, which takes milliseconds each.
const CLOSE_LIMIT: Duration = Duration::from_secs(15);

/// Runs the daemon of the lab in the folder and with the forge that the arguments name, until
/// SIGTERM or Ctrl-C.
#[must_use]
pub fn main(args: &[String]) -> ExitCode {
    let _ = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(false)
        .try_init();
    let outcome = match args {
        [folder, forge] => match forge.parse() {
            Ok(program) => start(&Folder::at(Path::new(folder)), program),
            Err(unknown) => Err(Error::bug(&unknown)),
        },
        _ => Err(Error::Bug("usage: internal serve FOLDER FORGE".to_owned())),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn start(folder: &Folder, program: ForgeProgram) -> Result<(), Error> {
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
    let outcome = runtime.block_on(run(folder, program));
    runtime.shutdown_timeout(Duration::from_secs(1));
    folder.clear().map_err(failed)?;
    outcome
}

async fn run(folder: &Folder, program: ForgeProgram) -> Result<(), Error> {
    let failed = |error: io::Error| Error::file(folder.path(), error);
    let names = vec![format!("*.execute-api.{REGION}.amazonaws.com")];
    let (authority, tls) = tls::make(names)?;
    let programs = match program {
        ForgeProgram::StandIn(_) => None,
        // Built by whoever starts the daemon, who can say how long it takes.
        ForgeProgram::Gitea => Some(Programs::build(&mut |_| ())?),
    };
    let runner = programs.as_ref().map(Programs::runner);
    image::build(folder, &authority, runner.as_deref())?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;

    let ec2_listener = listen().await.map_err(failed)?;
    let door_listener = listen().await.map_err(failed)?;
    let ec2_address = ec2_listener.local_addr().map_err(failed)?;
    let door_address = door_listener.local_addr().map_err(failed)?;
    let key = Key {
        id: ACCOUNT.to_owned(),
        secret: secret(),
        token: None,
    };
    let mut forge = Forge::start(folder, program, programs.as_ref()).await?;
    let forge_url = format!("http://{}", forge.address());
    let ec2_url = format!("http://{ec2_address}");
    let (mut child, emulator_address) =
        ministack::start(folder, &ec2_url, &forge_url, &key).await?;

    let emulator = Emulator::new(format!("http://{emulator_address}"), key.clone());
    let keys = Keys::default();
    let door = FrontDoor {
        emulator: emulator.clone(),
        keys: keys.clone(),
        journal: crate::journal::Journal::default(),
    }
    .router();
    let forwarders = Forwarders {
        forge: forge.address(),
        door: door.clone(),
        tls,
    };
    let cloud = Cloud::new(emulator, MachineHost::new(folder.clone(), keys, forwarders));
    let router = ec2::endpoint::router(std::sync::Arc::clone(&cloud), key.clone());
    tokio::spawn(async move { axum::serve(ec2_listener, router).await });
    tokio::spawn(async move { axum::serve(door_listener, door).await });

    let pid = i32::try_from(std::process::id()).map_err(|error| Error::bug(&error))?;
    LabFile {
        pid,
        aws_endpoint: format!("http://{emulator_address}"),
        ec2_endpoint: ec2_url,
        front_door: format!("http://{door_address}"),
        forge_program: program,
        forge: forge_url,
        access_key_id: key.id,
        secret_access_key: key.secret,
        account: ACCOUNT.to_owned(),
        region: REGION.to_owned(),
        forge_token: forge.token().to_owned(),
        forge_password: forge.password().to_owned(),
        registration_token: forge.registration_token().to_owned(),
        webhook_secret: WEBHOOK_SECRET.to_owned(),
    }
    .write(folder)?;
    tracing::info!(folder = %folder.path().display(), "the lab is up");

    let outcome = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        ended = child.wait() => Err(Error::request(
            "ministack",
            format!("it ended by itself ({ended:?}); see {}", folder.emulator_log().display()),
        )),
        how = forge.ended() => Err(Error::Gitea { step: "run", output: how }),
    };
    tracing::info!("going down");
    let left = cloud.close(CLOSE_LIMIT).await;
    if left > 0 {
        tracing::error!(left, "instances did not end");
    }
    let _ = child.kill().await;
    outcome
}

/// The lab's forge, of either kind.
enum Forge {
    StandIn {
        forge: forge::Forge,
        config: forge::Config,
    },
    Gitea(Gitea),
}

impl Forge {
    /// Starts the real one if there are `programs`, else the stand-in.
    async fn start(
        folder: &Folder,
        program: ForgeProgram,
        programs: Option<&Programs>,
    ) -> Result<Self, Error> {
        if let Some(programs) = programs {
            return Gitea::start(folder, programs).await.map(Self::Gitea);
        }
        let version = match program {
            ForgeProgram::StandIn(version) => version,
            ForgeProgram::Gitea => forge::Version::default(),
        };
        let config = forge::Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            root_url: FORGE_URL.to_owned(),
            data: folder.forge(),
            admin_token: secret(),
            admin_password: secret(),
            registration_token: secret(),
            zombie_after: forge::ZOMBIE_AFTER,
            version,
        };
        let forge = forge::start(config.clone())
            .await
            .map_err(|error| Error::Forge(chain(&error)))?;
        Ok(Self::StandIn { forge, config })
    }

    fn address(&self) -> SocketAddr {
        match self {
            Self::StandIn { forge, .. } => forge.address(),
            Self::Gitea(gitea) => gitea.address(),
        }
    }

    fn token(&self) -> &str {
        match self {
            Self::StandIn { config, .. } => &config.admin_token,
            Self::Gitea(gitea) => &gitea.admin_token,
        }
    }

    fn password(&self) -> &str {
        match self {
            Self::StandIn { config, .. } => &config.admin_password,
            Self::Gitea(gitea) => &gitea.password,
        }
    }

    fn registration_token(&self) -> &str {
        match self {
            Self::StandIn { config, .. } => &config.registration_token,
            Self::Gitea(gitea) => &gitea.registration_token,
        }
    }

    /// Ends when a process of it ends; the stand-in is a part of this one.
    async fn ended(&mut self) -> String {
        match self {
            Self::StandIn { .. } => std::future::pending().await,
            Self::Gitea(gitea) => gitea.ended().await,
        }
    }
}

async fn listen() -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
}
