//! Why there is no image to build.

use std::path::PathBuf;

/// What can go wrong before a machine is asked for.
#[derive(Debug, thiserror::Error)]
pub enum AmiError {
    /// The manifest can't be read.
    #[error("cannot read {}: {source}; the images' manifest is ami/images.toml of the checkout", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The manifest says something wrong.
    #[error("ami/images.toml can't be used:\n{}", .0.iter().map(|it| format!("  {it}")).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<String>),
    /// No such image.
    #[error("there is no image {name}; ami/images.toml has {known}")]
    NoSuchImage {
        /// What was asked for.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// The image is not made for this architecture.
    #[error(
        "image {image} is not made for {arch}: its `architectures` in ami/images.toml say {known}"
    )]
    NotMadeFor {
        /// The image.
        image: String,
        /// What was asked for.
        arch: &'static str,
        /// What it is made for.
        known: String,
    },
    /// A tool has no checksum.
    #[error(
        "image {image} can't be built for {arch}: {tools} without a checksum, and nothing unchecked is \
         installed; `cargo xtask ami pins --refresh` takes it from the vendor"
    )]
    Unpinned {
        /// The image.
        image: String,
        /// For which machines.
        arch: &'static str,
        /// Which tools, with versions, and `is` or `are`.
        tools: String,
    },
    /// The script is too long for a machine's user-data.
    #[error(
        "the script that builds {image} has {bytes} bytes, and user-data takes {most}: move a step into \
         a child image, or shorten ami/steps"
    )]
    TooLong {
        /// The image.
        image: String,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        most: usize,
    },
}
