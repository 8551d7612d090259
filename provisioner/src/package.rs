//! The function's code: from a `bootstrap` binary to a zip whose bytes depend on nothing else.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use tokio::process::Command;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::environment::Arch;

/// Lambda takes 50 MB in a zip by API and 250 MB unpacked; from S3 only the second counts.
const BOOTSTRAP_MAX_BYTES: usize = 250 * 1024 * 1024;

/// What Lambda runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// The zip.
    pub zip: Vec<u8>,
    /// Digest of what is in it. The zip follows from that, so the digest is its address as well.
    pub sha256: String,
}

impl Code {
    /// Its key in the bucket: another content is another key.
    #[must_use]
    pub fn key(&self) -> String {
        format!("dispatch/{}.zip", self.sha256)
    }
}

/// How the binary is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// For Lambda: optimised and static.
    Lambda(Arch),
    /// For the lab, which runs on this machine: the debug build that tests use, without its symbols.
    Lab,
}

/// Why there is no code.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The binary can't be read.
    #[error("cannot read {path}; build it with `cargo build --bin bootstrap`")]
    Unreadable {
        /// The binary.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is too large for Lambda.
    #[error("{path} has {bytes} bytes and may have {BOOTSTRAP_MAX_BYTES}")]
    TooLarge {
        /// The binary.
        path: PathBuf,
        /// Its size.
        bytes: usize,
    },
    /// The zip can't be written.
    #[error("cannot write the zip")]
    Zip(#[from] zip::result::ZipError),
    /// A program can't be started.
    #[error("cannot start {program}; is it installed?")]
    Start {
        /// The program.
        program: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// A program failed.
    #[error(
        "{program} failed ({status}); its own messages are above. For the other architecture it \
         needs a C compiler: apt-get install gcc-aarch64-linux-gnu or gcc-x86-64-linux-gnu"
    )]
    Failed {
        /// The program and its arguments.
        program: String,
        /// How it ended.
        status: std::process::ExitStatus,
    },
}

/// Zips the binary at `bootstrap`: fixed time and mode, so that the same binary gives the same bytes.
pub fn package(bootstrap: &Path) -> Result<Code, PackageError> {
    let binary = read(bootstrap)?;
    Ok(Code {
        sha256: hex::encode(Sha256::digest(&binary)),
        zip: zip(&binary)?,
    })
}

/// Builds the binary in the checkout `root` and zips it. Cargo's own messages go to standard error.
/// A zip that was made of the same binary is taken from the target folder: a debug build takes
/// seconds to deflate what a debug build has.
pub async fn build(root: &Path, profile: Profile) -> Result<Code, PackageError> {
    let bootstrap = build_bootstrap(root, profile).await?;
    let binary = read(&bootstrap)?;
    let sha256 = hex::encode(Sha256::digest(&binary));
    let folder = root.join("target/package");
    let cached = folder.join(format!("{sha256}.zip"));
    if let Ok(zip) = std::fs::read(&cached) {
        return Ok(Code { zip, sha256 });
    }
    let zip = zip(&binary)?;
    // Without a cache it only takes longer.
    let aside = aside(&cached);
    let stored = std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(&aside, &zip))
        .and_then(|()| std::fs::rename(&aside, &cached));
    drop(stored);
    Ok(Code { zip, sha256 })
}

/// A file of this call alone, to be renamed to `path`: others never see half of it.
fn aside(path: &Path) -> PathBuf {
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
    path.with_extension(format!("{}-{number}.new", std::process::id()))
}

fn read(bootstrap: &Path) -> Result<Vec<u8>, PackageError> {
    let binary = std::fs::read(bootstrap).map_err(|source| PackageError::Unreadable {
        path: bootstrap.to_owned(),
        source,
    })?;
    if binary.len() > BOOTSTRAP_MAX_BYTES {
        return Err(PackageError::TooLarge {
            path: bootstrap.to_owned(),
            bytes: binary.len(),
        });
    }
    Ok(binary)
}

fn zip(binary: &[u8]) -> Result<Vec<u8>, PackageError> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o755);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("bootstrap", options)?;
    writer
        .write_all(binary)
        .map_err(zip::result::ZipError::from)?;
    Ok(writer.finish()?.into_inner())
}

/// Builds the binary in the checkout `root` and says where it is.
async fn build_bootstrap(root: &Path, profile: Profile) -> Result<PathBuf, PackageError> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(root)
        .args(["build", "--bin", "bootstrap"]);
    match profile {
        Profile::Lab => {
            // The SDK is there already, so there is no progress worth showing.
            cargo.arg("--quiet");
            run(&mut cargo, "cargo").await?;
            // Half the size, and what changes with the machine's paths is gone.
            let stripped = root.join("target/debug/bootstrap.stripped");
            let aside = aside(&stripped);
            let mut strip = Command::new("strip");
            strip
                .current_dir(root)
                .arg("-o")
                .arg(&aside)
                .arg("target/debug/bootstrap");
            run(&mut strip, "strip").await?;
            let renamed = std::fs::rename(&aside, &stripped);
            renamed.map_err(|source| PackageError::Unreadable {
                path: aside,
                source,
            })?;
            Ok(stripped)
        }
        Profile::Lambda(arch) => {
            let triple = triple(arch);
            let mut rustup = Command::new("rustup");
            rustup
                .current_dir(root)
                .args(["--quiet", "target", "add", triple]);
            run(&mut rustup, "rustup").await?;
            // With the features that it needs itself: this build shares nothing with the workspace's.
            cargo.args(["--package", "dispatcher", "--profile", "lambda"]);
            cargo.args(["--target", triple]);
            cargo.env("CARGO_ENCODED_RUSTFLAGS", without_paths());
            for (variable, program) in tools(arch) {
                // A variable that is set already wins.
                if std::env::var_os(&variable).is_none() {
                    cargo.env(variable, program);
                }
            }
            run(&mut cargo, "cargo").await?;
            Ok(root.join(format!("target/{triple}/lambda/bootstrap")))
        }
    }
}

/// Panic messages name source files: without the folder of whoever builds, so that the same commit
/// gives the same bytes everywhere.
fn without_paths() -> String {
    let home = std::env::var_os("CARGO_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo"),
        PathBuf::from,
    );
    format!("--remap-path-prefix={}=/cargo", home.display())
}

/// Compiler and linker: the cryptography has parts in C, which need no libc and so no compiler for
/// musl, only one for the architecture.
fn tools(arch: Arch) -> Vec<(String, &'static str)> {
    let triple = triple(arch).replace('-', "_");
    let compiler = format!("CC_{triple}");
    let linker = format!("CARGO_TARGET_{}_LINKER", triple.to_uppercase());
    let own = match arch {
        Arch::X86_64 => cfg!(target_arch = "x86_64"),
        Arch::Arm64 => cfg!(target_arch = "aarch64"),
    };
    match (arch, own) {
        (Arch::X86_64 | Arch::Arm64, true) => vec![(compiler, "cc")],
        (Arch::X86_64, false) => vec![(compiler, "x86_64-linux-gnu-gcc"), (linker, "rust-lld")],
        (Arch::Arm64, false) => vec![(compiler, "aarch64-linux-gnu-gcc"), (linker, "rust-lld")],
    }
}

/// Static, because Lambda's glibc is older than most build machines'.
const fn triple(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "x86_64-unknown-linux-musl",
        Arch::Arm64 => "aarch64-unknown-linux-musl",
    }
}

async fn run(command: &mut Command, program: &'static str) -> Result<(), PackageError> {
    // What it says is for people, so it may not end up in a command's JSON.
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await
        .map_err(|source| PackageError::Start { program, source })?;
    if status.success() {
        return Ok(());
    }
    Err(PackageError::Failed {
        program: program.to_owned(),
        status,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_binary_gives_the_same_bytes_whenever_it_was_made() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        std::fs::write(&one, b"\x7fELF binary").unwrap();
        std::fs::write(&other, b"\x7fELF binary").unwrap();
        let past =
            std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        std::fs::File::open(&other)
            .unwrap()
            .set_modified(past)
            .unwrap();
        let code = package(&one).unwrap();
        assert_eq!(code, package(&other).unwrap());
        assert_eq!(code.key(), format!("dispatch/{}.zip", code.sha256));
    }

    #[test]
    fn lambda_finds_an_executable_called_bootstrap() {
        let bytes = zip(b"binary").unwrap();
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        assert_eq!(archive.len(), 1);
        let file = archive.by_index(0).unwrap();
        assert_eq!(file.name().unwrap(), "bootstrap");
        assert_eq!(file.unix_mode().unwrap() & 0o777, 0o755);
    }

    #[test]
    fn a_binary_that_is_not_there_is_said_with_the_command_that_makes_it() {
        let error = package(Path::new("/nowhere/bootstrap")).unwrap_err();
        assert!(error.to_string().contains("cargo build --bin bootstrap"));
    }
}
