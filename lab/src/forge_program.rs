//! Which program a lab runs as its forge.

use serde::{Deserialize, Serialize};

use crate::forge::Version;

/// There is no such forge.
#[derive(Debug, thiserror::Error)]
#[error(
    "there is no forge {0}; there are gitea, stand-in, and stand-ins of others: stand-in-gitea-1.23, -1.24, -1.25, stand-in-forgejo-11, -14, -15"
)]
pub struct UnknownForge(String);

/// Which program a lab runs as its forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum ForgeProgram {
    /// Our own, as strict as the recordings; there in no time. It plays one of several forges.
    StandIn(Version),
    /// A real Gitea with the real runner, which are built once.
    Gitea,
}

impl Default for ForgeProgram {
    fn default() -> Self {
        Self::StandIn(Version::default())
    }
}

impl ForgeProgram {
    /// Its word on command lines.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::StandIn(version) => version.word(),
            Self::Gitea => "gitea",
        }
    }
}

impl std::str::FromStr for ForgeProgram {
    type Err = UnknownForge;

    fn from_str(word: &str) -> Result<Self, UnknownForge> {
        let programs = Version::ALL.map(Self::StandIn).into_iter();
        programs
            .chain([Self::Gitea])
            .find(|program| program.word() == word)
            .ok_or_else(|| UnknownForge(word.to_owned()))
    }
}

impl TryFrom<String> for ForgeProgram {
    type Error = UnknownForge;

    fn try_from(word: String) -> Result<Self, UnknownForge> {
        word.parse()
    }
}

impl From<ForgeProgram> for String {
    fn from(program: ForgeProgram) -> Self {
        program.word().to_owned()
    }
}

impl std::fmt::Display for ForgeProgram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}
