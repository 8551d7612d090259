//! The Giteas that the lab builds.

/// A Gitea that the lab builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// What people install today.
    Gitea1_27,
    /// The last one of the line before.
    Gitea1_26,
}

impl Release {
    /// What is built where none is named.
    pub const NEWEST: Self = Self::Gitea1_27;
    /// Every release, the newest first.
    pub const ALL: [Self; 2] = [Self::Gitea1_27, Self::Gitea1_26];

    /// Its version, as its `go.mod` pins it.
    #[must_use]
    pub const fn version(self) -> &'static str {
        match self {
            Self::Gitea1_27 => "1.27.3",
            Self::Gitea1_26 => "1.26.4",
        }
    }

    /// Its word on command lines.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Gitea1_27 => "gitea",
            Self::Gitea1_26 => "gitea@1.26.4",
        }
    }

    /// The release of that version.
    pub(crate) fn of(version: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|release| release.version() == version)
    }

    /// What can be asked for, for people.
    pub(crate) fn list() -> String {
        Self::ALL
            .map(|release| match release {
                Self::NEWEST => format!("{} ({})", release.word(), release.version()),
                Self::Gitea1_26 => release.word().to_owned(),
            })
            .join(", ")
    }
}
