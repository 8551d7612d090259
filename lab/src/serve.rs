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
use crate::front_door::FrontDoor;
use crate::machine::{Ways, Yard, enclosure, image};
use crate::metadata::{Keys, secret};
use crate::sigv4::Key;
use crate::{Error, ec2, forge, ministack, tls};

/// Machines are cut off, which takes milliseconds each.
const CLOSE_LIMIT: Duration = Duration::from_secs(15);

/// Runs the daemon of the lab whose folder is the only argument, until SIGTERM or Ctrl-C.
#[must_use]
pub fn main(args: &[String]) -> ExitCode {
    let _ = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(false)
        .try_init();
    let outcome = match args {
        [folder] => start(&Folder::at(Path::new(folder))),
        _ => Err(Error::Bug("usage: internal serve FOLDER".to_owned())),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn start(folder: &Folder) -> Result<(), Error> {
    let failed = |error: io::Error| Error::file(folder.path(), error);
    // Its own session: Ctrl-C in the terminal of `up` is not meant for it.
    let _ = nix::unistd::setsid();
    enclosure::enter_user_namespace().map_err(failed)?;
    let lock = folder.path().join("lock");
    let lock = fs::File::create(&lock).map_err(failed)?;
    lock.try_lock()
        .map_err(|_| Error::Bug("another daemon holds this folder".to_owned()))?;
    folder.clear().map_err(failed)?;
    fs::create_dir_all(folder.instances()).map_err(failed)?;
    let runtime = tokio::runtime::Runtime::new().map_err(failed)?;
    let outcome = runtime.block_on(run(folder));
    runtime.shutdown_timeout(Duration::from_secs(1));
    folder.clear().map_err(failed)?;
    outcome
}

async fn run(folder: &Folder) -> Result<(), Error> {
    let failed = |error: io::Error| Error::file(folder.path(), error);
    let names = vec![format!("*.execute-api.{REGION}.amazonaws.com")];
    let (authority, tls) = tls::make(names)?;
    image::build(folder, &authority)?;
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
    let (forge, forge_token, registration_token) = start_forge(folder).await?;
    let ec2_url = format!("http://{ec2_address}");
    let (mut child, emulator_address) =
        ministack::start(folder, &ec2_url, &forge.url(), &key).await?;

    let emulator = Emulator::new(format!("http://{emulator_address}"), key.clone());
    let keys = Keys::default();
    let door = FrontDoor {
        emulator: emulator.clone(),
        keys: keys.clone(),
        journal: crate::journal::Journal::default(),
    }
    .router();
    let ways = Ways {
        forge: forge.address(),
        door: door.clone(),
        tls,
    };
    let cloud = Cloud::new(emulator, Yard::new(folder.clone(), keys, ways));
    let router = ec2::router(std::sync::Arc::clone(&cloud), key.clone());
    tokio::spawn(async move { axum::serve(ec2_listener, router).await });
    tokio::spawn(async move { axum::serve(door_listener, door).await });

    let pid = i32::try_from(std::process::id()).map_err(|error| Error::bug(&error))?;
    LabFile {
        pid,
        aws_endpoint: format!("http://{emulator_address}"),
        ec2_endpoint: ec2_url,
        front_door: format!("http://{door_address}"),
        forge: forge.url(),
        access_key_id: key.id,
        secret_access_key: key.secret,
        account: ACCOUNT.to_owned(),
        region: REGION.to_owned(),
        forge_token,
        registration_token,
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
    };
    tracing::info!("going down");
    let left = cloud.close(CLOSE_LIMIT).await;
    if left > 0 {
        tracing::error!(left, "instances did not end");
    }
    let _ = child.kill().await;
    outcome
}

async fn start_forge(folder: &Folder) -> Result<(forge::Forge, String, String), Error> {
    let (admin_token, registration_token) = (secret(), secret());
    let forge = forge::start(forge::Config {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        root_url: FORGE_URL.to_owned(),
        data: folder.forge(),
        admin_token: admin_token.clone(),
        registration_token: registration_token.clone(),
        zombie_after: forge::ZOMBIE_AFTER,
    })
    .await
    .map_err(|error| Error::Forge(chain(&error)))?;
    Ok((forge, admin_token, registration_token))
}

async fn listen() -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
}
