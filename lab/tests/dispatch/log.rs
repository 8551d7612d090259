//! What the dispatcher logs in this process, kept to be searched.

use std::io;
use std::sync::{LazyLock, Mutex, PoisonError};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// More than a deployment ever writes: what people set when they look for an error.
const FILTER: &str = "debug";

static WRITTEN: LazyLock<Mutex<Vec<u8>>> = LazyLock::new(|| {
    // The format of the function itself.
    let _ = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(EnvFilter::new(FILTER))
        .with_writer(Keep)
        .try_init();
    Mutex::default()
});

/// Begins to keep what is logged; the first call counts.
pub(crate) fn start() {
    LazyLock::force(&WRITTEN);
}

/// Everything so far, of all tests of this process.
pub(crate) fn text() -> String {
    let written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8_lossy(&written).into_owned()
}

/// Keeps what a process of the function logged.
pub(crate) fn keep(bytes: &[u8]) {
    let mut written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
    written.extend_from_slice(bytes);
}

struct Keep;

impl io::Write for Keep {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        keep(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Keep {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}
