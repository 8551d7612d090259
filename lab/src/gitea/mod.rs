//! The real forge: Gitea as its own process, with a database in a file, with the real runner in the instances.
//!
//! It is what the stand-in is judged by. Like the emulator it dies with the daemon, and it calls
//! itself by the name under which instances reach it.

mod build;
mod server;
mod standalone;

pub use self::build::Programs;
pub(crate) use self::server::Gitea;
pub use self::standalone::StandaloneGitea;
