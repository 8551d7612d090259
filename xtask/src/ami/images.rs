//! `cargo xtask ami build|list|promote|rollback|retire`: images by one command each, built, tried, put forward,
//! put back, and cleared away.

use std::fmt::Write as _;

use clap::{Subcommand, ValueEnum};
use provisioner::ami::Manifest;
use provisioner::environment::Arch;
use provisioner::images::{self, Asked, BuiltImage, Listed, Made, Moved, Outcome, Patience, Role};
use stacks::images::OLD_DAYS;

use crate::env_arg::EnvArg;
use crate::error::Error;
use crate::output::say;
use crate::target::Target;
use crate::terminal::{OnStderr, Stop};

/// What can be done with images in an account.
#[derive(Debug, Subcommand)]
pub enum ImagesCommand {
    /// Build an image with what it descends from, try it, and have machines start from it.
    Build {
        /// Which one, of ami/images.toml.
        #[arg(value_name = "IMAGE", required_unless_present = "all")]
        image: Option<String>,
        /// Every image, parents first.
        #[arg(long, conflicts_with = "image")]
        all: bool,
        /// For these machines alone; else for those of the pools that use it.
        #[arg(long)]
        arch: Option<ArchArg>,
        /// On a machine of this type.
        #[arg(long, value_name = "TYPE")]
        instance_type: Option<String>,
        #[command(flatten)]
        of: OfArg,
    },
    /// Show the images, which of them machines start from, and how old they are.
    List {
        #[command(flatten)]
        env: EnvArg,
        /// Print them as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Have machines start from another image that was built here.
    Promote {
        /// The image.
        image: String,
        /// EC2's id of it, as `list` shows it.
        #[arg(value_name = "AMI")]
        id: String,
        #[command(flatten)]
        of: OfArg,
    },
    /// Have machines start from the image before the current one.
    Rollback {
        /// The image.
        image: String,
        /// For these machines alone.
        #[arg(long)]
        arch: Option<ArchArg>,
        #[command(flatten)]
        of: OfArg,
    },
    /// Delete images with their snapshots: all but the two newest, the current one and what is in use.
    Retire {
        /// This one alone.
        #[arg(value_name = "AMI")]
        id: Option<String>,
        #[command(flatten)]
        of: OfArg,
    },
}

/// The deployment that an image is of, where the first word is the image.
#[derive(Debug, clap::Args)]
pub struct OfArg {
    /// The environment: a name in stacks/environments, or a path.
    #[arg(short, long = "env", value_name = "ENV")]
    env: Option<String>,
}

/// Processor architectures, as AWS calls them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ArchArg {
    /// Intel and AMD.
    #[value(name = "x86_64")]
    X86_64,
    /// Graviton.
    Arm64,
}

impl ArchArg {
    const fn arch(self) -> Arch {
        match self {
            Self::X86_64 => Arch::X86_64,
            Self::Arm64 => Arch::Arm64,
        }
    }
}

impl ImagesCommand {
    /// The environment that it is about, and its own name.
    pub fn about(&mut self) -> (EnvArg, &'static str) {
        let of = |of: &mut OfArg| EnvArg::named(of.env.take());
        match self {
            Self::Build { of: it, .. } => (of(it), "ami build"),
            Self::List { env, .. } => (env.take(), "ami list"),
            Self::Promote { of: it, .. } => (of(it), "ami promote"),
            Self::Rollback { of: it, .. } => (of(it), "ami rollback"),
            Self::Retire { of: it, .. } => (of(it), "ami retire"),
        }
    }
}

/// Does it with the images of `target`.
pub async fn run(target: &Target, command: ImagesCommand) -> Result<(), Error> {
    let progress = OnStderr::default();
    let deployment = &target.deployment;
    match command {
        ImagesCommand::Build {
            image,
            arch,
            instance_type,
            all: _,
            of: _,
        } => {
            let manifest = manifest(target)?;
            let asked = Asked {
                manifest: &manifest,
                image: image.as_deref(),
                arch: arch.map(ArchArg::arch),
                instance_type: instance_type.as_deref(),
                patience: Patience::default(),
            };
            for outcome in build(target, &asked).await? {
                let BuiltImage { image, arch, .. } = &outcome.built;
                say(&format!("{image} {arch}: {}", outcome.words()));
            }
        }
        ImagesCommand::List { json, env: _ } => {
            let listed = images::list(deployment, &progress).await?;
            if json {
                say(&serde_json::to_string(&listed).unwrap_or_default());
            } else {
                say(&table(&listed));
            }
        }
        ImagesCommand::Promote { image, id, of: _ } => {
            say(&moved(
                &images::promote(deployment, &image, &id, &progress).await?,
            ));
        }
        ImagesCommand::Rollback { image, arch, of: _ } => {
            let arch = arch.map(ArchArg::arch);
            for one in images::rollback(deployment, &image, arch, &progress).await? {
                say(&moved(&one));
            }
        }
        ImagesCommand::Retire { id, of: _ } => {
            let retired = images::retire(deployment, id.as_deref(), &progress).await?;
            for one in &retired.gone {
                say(&format!("gone: {} {}", one.id, one.name));
            }
            for (one, because) in &retired.kept {
                say(&format!(
                    "kept: {} {}: {}",
                    one.id,
                    one.name,
                    because.words()
                ));
            }
        }
    }
    Ok(())
}

fn manifest(target: &Target) -> Result<Manifest, Error> {
    Ok(Manifest::read(&target.root).map_err(provisioner::Error::from)?)
}

/// Builds; what Ctrl-C breaks off is taken away.
pub async fn build(target: &Target, asked: &Asked<'_>) -> Result<Vec<Outcome>, Error> {
    let progress = OnStderr::default();
    let made = Made::default();
    let told = made.clone();
    let stop = Stop::listen_telling(move || {
        let left = told.left();
        (!left.is_empty()).then(|| format!("left in the account: {}", left.join(", ")))
    })?;
    let deployment = &target.deployment;
    let build = async {
        let built = images::build(deployment, asked, &made, &progress).await;
        built.map_err(Error::from)
    };
    match stop.unless(build).await {
        Err(Error::Stopped(_)) => {
            images::take_away(deployment, &made, &progress).await?;
            let left = made.left();
            Err(Error::Stopped(if left.is_empty() {
                "nothing of what was under way is left".to_owned()
            } else {
                format!("left in the account: {}", left.join(", "))
            }))
        }
        other => other,
    }
}

fn moved(moved: &Moved) -> String {
    let from = moved.from.as_deref().unwrap_or("nothing");
    format!(
        "{} names {} ({}) instead of {from}: the next machine starts from it",
        moved.parameter, moved.to.id, moved.to.name
    )
}

/// The images, one line each.
fn table(listed: &[Listed]) -> String {
    if listed.is_empty() {
        return "No image was built yet: `cargo xtask ami build --all`.".to_owned();
    }
    let head = [
        "IMAGE", "ARCH", "AMI", "VERSION", "AGE", "IS", "BUILT ON", "DIGEST",
    ];
    let rows = listed.iter().map(|one| {
        let built = &one.built;
        [
            built.image.clone(),
            built.arch.clone(),
            built.id.clone(),
            format!("v{}", built.version),
            format!("{} d", one.age_days),
            one.role.word().to_owned(),
            format!("{} ({})", built.parent, built.stock),
            built.digest.chars().take(12).collect(),
        ]
    });
    let rows: Vec<[String; 8]> = std::iter::once(head.map(str::to_owned))
        .chain(rows)
        .collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = rows.iter().map(|row| row[column].chars().count()).max();
            let _ = write!(line, "{cell:<width$}  ", width = width.unwrap_or(0));
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    for one in listed {
        if one.role == Role::Current && one.age_days >= OLD_DAYS {
            let _ = writeln!(
                text,
                "! {} {} is {} days old: `cargo xtask ami build {}` takes in a month of updates",
                one.built.image, one.built.arch, one.age_days, one.built.image
            );
        }
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_is_current_and_what_is_old() {
        let listed = |version, role, age_days| Listed {
            built: BuiltImage {
                id: format!("ami-{version}"),
                name: format!("ci-runner-go-v{version}"),
                image: "go".to_owned(),
                arch: "x86_64".to_owned(),
                stock: "al2023".to_owned(),
                version,
                digest: "0123456789abcdef".to_owned(),
                parent: "ami-0".to_owned(),
                created_s: 0,
                tested: true,
                published: true,
                available: true,
                snapshots: Vec::new(),
            },
            role,
            age_days,
        };
        let text = table(&[listed(2, Role::Current, 31), listed(1, Role::Previous, 40)]);
        let expected = "IMAGE  ARCH    AMI    VERSION  AGE   IS        BUILT ON        DIGEST\n\
                        go     x86_64  ami-2  v2       31 d  current   ami-0 (al2023)  0123456789ab\n\
                        go     x86_64  ami-1  v1       40 d  previous  ami-0 (al2023)  0123456789ab\n\
                        ! go x86_64 is 31 days old: `cargo xtask ami build go` takes in a month of updates";
        assert_eq!(text, expected);
        assert!(table(&[]).contains("ami build --all"));
    }
}
