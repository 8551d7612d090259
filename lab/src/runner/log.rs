//! The log of the runner.

use std::io::Write as _;

/// One line in the real one's format: what watches a runner reads these.
pub(super) fn log(level: &str, message: &str) {
    let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
    let line = format!("time=\"{time}\" level={level} msg={message:?}\n");
    // A closed standard error must not end a job.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
