//! Which program a lab runs as its forge.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::forge::Version;
use crate::real_forge::Release;

/// There is no such forge.
#[derive(Debug, thiserror::Error)]
pub enum UnknownForge {
    /// The lab builds other versions of it.
    #[error(
        "the lab builds no Gitea {0}; it builds {built}; any other comes as ready-made programs: --forge-programs DIR",
        built = Release::list()
    )]
    Release(String),
    /// Nothing of that name.
    #[error(
        "there is no forge {0}; there are stand-in, {built}, and stand-ins of others: stand-in-gitea-1.23, -1.24, -1.25, -1.27, stand-in-forgejo-11, -14, -15; any other comes as ready-made programs: --forge-programs DIR",
        built = Release::list()
    )]
    Name(String),
    /// No queue of that name.
    #[error("the lab's forge has no queue {0}; there are channel and level")]
    Queue(String),
}

/// Which program a lab runs as its forge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum ForgeProgram {
    /// Our own, as strict as the recordings; there in no time. It plays one of several forges.
    StandIn(Version),
    /// A real Gitea with the real runner, which are built once.
    Gitea(Release),
    /// Ready-made programs in a folder, of a Gitea or a Forgejo.
    Ready(PathBuf),
}

/// How a real forge keeps what lies between a push and its hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForgeQueue {
    /// In memory, as an operator should have it.
    #[default]
    Channel,
    /// In a database that is polled, as a forge has it that nobody set up: up to four seconds a job.
    Level,
}

impl ForgeQueue {
    /// Its word, which is the forge's.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Level => "level",
        }
    }
}

impl std::str::FromStr for ForgeQueue {
    type Err = UnknownForge;

    fn from_str(word: &str) -> Result<Self, UnknownForge> {
        let queue = [Self::Channel, Self::Level].into_iter();
        let mut queue = queue.filter(|queue| queue.word() == word);
        queue
            .next()
            .ok_or_else(|| UnknownForge::Queue(word.to_owned()))
    }
}

impl Default for ForgeProgram {
    fn default() -> Self {
        Self::StandIn(Version::default())
    }
}

impl ForgeProgram {
    /// The programs in `folder`, whatever the current folder of the daemon is.
    #[must_use]
    pub fn ready(folder: &Path) -> Self {
        Self::Ready(std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()))
    }
}

/// Its word on command lines, or the folder.
impl std::fmt::Display for ForgeProgram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::StandIn(version) => f.write_str(version.word()),
            Self::Gitea(release) => f.write_str(release.word()),
            Self::Ready(folder) => folder.display().fmt(f),
        }
    }
}

impl std::str::FromStr for ForgeProgram {
    type Err = UnknownForge;

    fn from_str(word: &str) -> Result<Self, UnknownForge> {
        if word.starts_with('/') {
            return Ok(Self::ready(Path::new(word)));
        }
        if let Some(version) = word.strip_prefix("gitea@") {
            let release = Release::of(version).map(Self::Gitea);
            return release.ok_or_else(|| UnknownForge::Release(version.to_owned()));
        }
        if word == Release::NEWEST.word() {
            return Ok(Self::Gitea(Release::NEWEST));
        }
        let mut stand_ins = Version::ALL.into_iter();
        let version = stand_ins.find(|version| version.word() == word);
        let program = version.map(Self::StandIn);
        program.ok_or_else(|| UnknownForge::Name(word.to_owned()))
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
        program.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_forge_is_found_by_its_word() {
        let stand_ins = Version::ALL.map(ForgeProgram::StandIn);
        let built = Release::ALL.map(ForgeProgram::Gitea);
        let ready = ForgeProgram::ready(Path::new("programs"));
        for program in stand_ins.into_iter().chain(built).chain([ready]) {
            assert_eq!(program.to_string().parse().ok(), Some(program));
        }
        let newest = format!("gitea@{}", Release::NEWEST.version());
        assert_eq!(
            newest.parse().ok(),
            Some(ForgeProgram::Gitea(Release::NEWEST))
        );
    }

    #[test]
    fn what_the_lab_does_not_build_is_refused_with_what_there_is() {
        for (word, says) in [
            ("gitea@1.25.1", "builds no Gitea 1.25.1"),
            ("gitea@", "builds no Gitea ;"),
            ("forgejo", "no forge forgejo"),
            ("", "no forge ;"),
        ] {
            let error = word.parse::<ForgeProgram>().expect_err(word).to_string();
            for part in [says, "gitea (1.27.3)", "gitea@1.26.4", "--forge-programs"] {
                assert!(error.contains(part), "{word}: {error}");
            }
        }
    }
}
