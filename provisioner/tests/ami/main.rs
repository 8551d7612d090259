//! The images' manifest, the scripts that are made of it, and what a refresh makes of its pins.

#![expect(clippy::unwrap_used, reason = "a test that can't go on says so")]

mod manifest;
mod pins;
mod script;

use std::fs;
use std::path::Path;

use provisioner::ami::{AmiError, Manifest, PATH, Sources};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The text of this checkout's manifest.
fn text() -> String {
    fs::read_to_string(root().join(PATH)).unwrap()
}

fn sources() -> Sources {
    Sources::read(root()).unwrap()
}

/// This checkout's manifest.
fn ours() -> Manifest {
    Manifest::read(root()).unwrap()
}

/// This checkout's manifest with one piece of its text put in another's place, which has to be there.
fn changed(from: &str, to: &str) -> Result<Manifest, AmiError> {
    let text = text();
    assert!(text.contains(from), "the manifest has no {from:?}");
    Manifest::parse(&text.replacen(from, to, 1), sources())
}

/// Everything that is wrong with a manifest, as its reader sees it.
fn problems(manifest: Result<Manifest, AmiError>) -> String {
    manifest
        .expect_err("a manifest that is refused")
        .to_string()
}
