//! How every part says that it failed.

use std::io::Write as _;
use std::process::ExitCode;

/// Says why on standard error.
pub(super) fn complain(words: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{words}");
    ExitCode::FAILURE
}
