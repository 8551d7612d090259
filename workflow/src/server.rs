//! Which forge it is, and every rule that depends on it.
//!
//! A forge tells its version at `GET /api/v1/version`: Gitea as `1.26.0` (also `1.27.0-rc0`,
//! `1.28.0+dev-…`), Forgejo as its own with the Gitea that it is compatible with, `12.0.1+gitea-1.22.0`.

use serde::{Deserialize, Serialize};

/// One forge: what it is and how old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Server {
    /// Gitea or Forgejo.
    pub kind: ForgeKind,
    /// Its own version: major and minor number.
    pub version: (u32, u32),
}

/// The forges that we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForgeKind {
    /// Gitea.
    Gitea,
    /// Forgejo.
    Forgejo,
}

/// The two pattern engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// That of nektos/act: Gitea up to 1.26, and Forgejo.
    Nektos,
    /// That of Gitea 1.27 and later (its `modules/glob`, #37717).
    Gitea,
}

impl Server {
    /// The Gitea that we know best: what is measured is measured on it.
    pub const GITEA_1_26: Self = Self {
        kind: ForgeKind::Gitea,
        version: (1, 26),
    };

    /// Reads what a forge says of its version.
    #[must_use]
    pub fn parse(version: &str) -> Option<Self> {
        let version = version.trim().trim_start_matches('v');
        let kind = if version.contains("+gitea-") {
            ForgeKind::Forgejo
        } else {
            ForgeKind::Gitea
        };
        let mut numbers = version.split(['.', '-', '+']);
        let mut next = || numbers.next()?.parse().ok();
        Some(Self {
            kind,
            version: (next()?, next()?),
        })
    }

    /// How its `branches`, `tags` and `paths` are read.
    #[must_use]
    pub fn dialect(self) -> Dialect {
        match self.kind {
            ForgeKind::Gitea if self.version >= (1, 27) => Dialect::Gitea,
            ForgeKind::Gitea | ForgeKind::Forgejo => Dialect::Nektos,
        }
    }
}
