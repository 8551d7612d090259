//! `cargo xtask ami script`: what makes and tries an image, to be read before it runs.

use std::path::Path;
use std::process::ExitCode;

use provisioner::ami::{AmiError, Manifest, Stock, script};
use provisioner::environment::Arch;

use crate::output::say;

/// What a script is printed with where nobody waits for it, in minutes.
const DEADLINE_MINUTES: u32 = 45;

/// What is asked for.
#[derive(Debug, clap::Args)]
pub struct Asked {
    /// The image, as ami/images.toml has it.
    image: String,
    /// The distribution that it is made on.
    #[arg(long, value_parser = ["al2023", "ubuntu"], default_value = "ubuntu")]
    stock: String,
    /// The machines that it is made for.
    #[arg(long, value_parser = ["x86_64", "arm64"], default_value = "x86_64")]
    arch: String,
    /// The script that tries the finished image.
    #[arg(long)]
    self_test: bool,
}

/// Prints it.
pub fn run(root: &Path, asked: &Asked) -> Result<ExitCode, AmiError> {
    let manifest = Manifest::read(root)?;
    let image = manifest.image(&asked.image)?;
    let stock = Stock::parse(&asked.stock).expect("clap lets only these through");
    let arch = [Arch::X86_64, Arch::Arm64]
        .into_iter()
        .find(|arch| arch.name() == asked.arch);
    let arch = arch.expect("clap lets only these through");
    let make = if asked.self_test {
        script::self_test
    } else {
        script::builder
    };
    say(make(&manifest, image, stock, arch, DEADLINE_MINUTES)?.trim_end());
    Ok(ExitCode::SUCCESS)
}
