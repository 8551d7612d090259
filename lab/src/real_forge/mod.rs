//! The real forge: Gitea or Forgejo as its own process, with a database in a file, with the real runner in the instances.
//!
//! It is what the stand-in is judged by. Like the emulator it dies with the daemon, and it calls
//! itself by the name under which instances reach it.

mod build;
mod programs;
mod release;
mod server;
mod standalone;

pub use self::programs::Programs;
pub(crate) use self::programs::RealRunner;
pub use self::release::Release;
pub(crate) use self::server::RealForge;
pub use self::standalone::StandaloneForge;
