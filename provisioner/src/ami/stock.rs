//! The distributions that images are made on.

use crate::arch::Arch;

/// A distribution that images start from. An image is built for each of them on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stock {
    /// Amazon Linux 2023.
    Al2023,
    /// Ubuntu LTS.
    Ubuntu,
}

impl Stock {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Al2023, Self::Ubuntu];

    /// What it is called in the manifest, in scripts and on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Al2023 => "al2023",
            Self::Ubuntu => "ubuntu",
        }
    }

    /// The stock of this name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stock| stock.word() == word)
    }

    /// Path of the public parameter that holds its newest image: AWS's own and Canonical's.
    #[must_use]
    pub fn parameter(self, arch: Arch) -> String {
        match self {
            Self::Al2023 => format!(
                "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{}",
                arch.name()
            ),
            Self::Ubuntu => format!(
                "/aws/service/canonical/ubuntu/server/24.04/stable/current/{}/hvm/ebs-gp3/ami-id",
                arch.download_name()
            ),
        }
    }
}
