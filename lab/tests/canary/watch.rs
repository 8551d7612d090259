//! Every process of the machine as anybody there sees it, looked at again and again: its arguments and its
//! environment. And the credentials that machines were given, which nobody else tells.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(30);
/// Where a machine keeps its runner's credential.
const CREDENTIAL: &str = "root/run/ci-runner/.runner";

/// What was seen.
#[derive(Default)]
pub(crate) struct Seen {
    /// Arguments and environments, with what they are.
    pub(crate) texts: BTreeMap<Vec<u8>, String>,
    /// Tokens of runners on machines.
    pub(crate) credentials: BTreeSet<String>,
}

/// Looks until it is asked what it saw.
pub(crate) struct Watch {
    is_over: Arc<AtomicBool>,
    looking: JoinHandle<Seen>,
}

impl Watch {
    pub(crate) fn begin() -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&is_over);
        let looking = std::thread::spawn(move || {
            let mut seen = Seen::default();
            while !until.load(Ordering::Relaxed) {
                seen.look();
                std::thread::sleep(LOOK);
            }
            seen
        });
        Self { is_over, looking }
    }

    pub(crate) fn end(self) -> Seen {
        self.is_over.store(true, Ordering::Relaxed);
        self.looking.join().unwrap()
    }
}

impl Seen {
    fn look(&mut self) {
        // Processes come and go between the list and the look.
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let is_process = process.file_name().as_encoded_bytes()[0].is_ascii_digit();
            if is_process {
                self.look_at(&process.path());
            }
        }
    }

    fn look_at(&mut self, process: &Path) {
        let read = |name: &str| fs::read(process.join(name)).unwrap_or_default();
        let command = read("cmdline");
        let name = String::from_utf8_lossy(&command).replace('\0', " ");
        for what in ["cmdline", "environ"] {
            let text = if what == "cmdline" {
                command.clone()
            } else {
                read(what)
            };
            let name = || format!("{what} of {}", name.chars().take(80).collect::<String>());
            self.texts.entry(text).or_insert_with(name);
        }
        let Ok(credential) = fs::read(process.join(CREDENTIAL)) else {
            return;
        };
        // It may be half written.
        let credential: Value = serde_json::from_slice(&credential).unwrap_or_default();
        if let Some(token) = credential["token"].as_str() {
            self.credentials.insert(token.to_owned());
        }
    }
}
