//! The emulator that the labs of a test binary share. Each lab has an account of its own in it, so that
//! nobody sees another's tables, parameters or roles.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use lab::{Folder, SharedEmulator, StandaloneEmulator};

/// The account of the first lab.
const FIRST_ACCOUNT: u64 = 200_000_000_000;

/// The emulator for one more lab, or why there is none.
pub fn shared() -> Result<SharedEmulator, String> {
    static ENDPOINT: OnceLock<Result<String, String>> = OnceLock::new();
    static ACCOUNTS: AtomicU64 = AtomicU64::new(FIRST_ACCOUNT);
    let endpoint = ENDPOINT.get_or_init(start).clone()?;
    let account = ACCOUNTS.fetch_add(1, Ordering::Relaxed);
    Ok(SharedEmulator {
        endpoint,
        account: account.to_string(),
    })
}

/// Starts it from a thread that stays: the emulator ends with the thread, hence with this process.
fn start() -> Result<String, String> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
            let place = place.join(format!("emulator-{}", std::process::id()));
            // What a process of this number left.
            let _ = std::fs::remove_dir_all(&place);
            let program = Path::new(env!("CARGO_BIN_EXE_lab-internal"));
            let folder = Folder::at(&place);
            let started = StandaloneEmulator::start(&folder, program, |step| eprintln!("{step}"));
            match started.await {
                Ok(emulator) => {
                    let _ = sender.send(Ok(emulator.endpoint()));
                    std::future::pending::<()>().await;
                }
                Err(error) if error.is_lack() => {
                    let _ = sender.send(Err(error.to_string()));
                }
                Err(error) => panic!("{error}"),
            }
        });
    });
    receiver
        .recv()
        .expect("the emulator's thread says how it went")
}
