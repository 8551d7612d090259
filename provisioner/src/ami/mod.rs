//! Images: what is in them, and the scripts that make and check them. Pure but for reading files of the
//! checkout: what asks EC2 for machines, and vendors for their files, is elsewhere.
//!
//! `manifest` reads `ami/images.toml` once, into types that hold only what can be built; `script` renders
//! the user-data of the machine that an image is made from, and of the machine that tries it; `pins` reads
//! the vendors' checksum files and rewrites the manifest.

mod error;
mod manifest;
pub mod pins;
mod read;
mod runner;
pub mod script;
mod sources;
mod stock;
mod syntax;

pub use self::error::AmiError;
pub use self::manifest::{Follow, FollowFormat, Image, Manifest, PATH, Parent, Pin, Sum, Tool};
pub use self::runner::{lab_runner, pinned_runner};
pub use self::sources::Sources;
pub use self::stock::Stock;
