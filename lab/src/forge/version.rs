//! Which forge the stand-in plays, and what that one lacks or does otherwise. Everything that it
//! answers to is 1.26's of Gitea, as strict as its recordings. Gitea 1.27 and Forgejo 15 do what 1.27.3 and
//! 15.0.3 were seen to do; others are known from their source.

use workflow::ForgeKind;
use workflow::server::Server;

/// The forges that the stand-in plays: each brought or took something that a dispatcher sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// The last one without `workflow_job`.
    Gitea1_23,
    /// The first one with it; jobs can't be listed yet.
    Gitea1_24,
    /// Jobs and runs are listed, files are read in bulk.
    Gitea1_25,
    /// Runners can be disabled, jobs run again, tokens come by POST alone. The one that is measured.
    #[default]
    Gitea1_26,
    /// Attempts count from 1, and a rerun makes new jobs. Its other rules are those of 1.27.3.
    Gitea1_27,
    /// An old one that is still looked after: runners register with a token alone.
    Forgejo11,
    /// The last one without one-job runners; registrations can be listed and deleted.
    Forgejo14,
    /// The first one that makes one-job runners by its API.
    Forgejo15,
}

impl Version {
    /// Every version, for tables.
    pub const ALL: [Self; 8] = [
        Self::Gitea1_23,
        Self::Gitea1_24,
        Self::Gitea1_25,
        Self::Gitea1_26,
        Self::Gitea1_27,
        Self::Forgejo11,
        Self::Forgejo14,
        Self::Forgejo15,
    ];

    /// Gitea or Forgejo.
    #[must_use]
    pub const fn kind(self) -> ForgeKind {
        match self {
            Self::Gitea1_23
            | Self::Gitea1_24
            | Self::Gitea1_25
            | Self::Gitea1_26
            | Self::Gitea1_27 => ForgeKind::Gitea,
            Self::Forgejo11 | Self::Forgejo14 | Self::Forgejo15 => ForgeKind::Forgejo,
        }
    }

    /// What `GET /api/v1/version` says: Forgejo tells which Gitea it is compatible with.
    #[must_use]
    pub const fn told(self) -> &'static str {
        match self {
            Self::Gitea1_23 => "1.23.8",
            Self::Gitea1_24 => "1.24.7",
            Self::Gitea1_25 => "1.25.4",
            Self::Gitea1_26 => "1.26.0",
            Self::Gitea1_27 => "1.27.3",
            Self::Forgejo11 => "11.0.7+gitea-1.22.0",
            Self::Forgejo14 => "14.0.1+gitea-1.22.0",
            Self::Forgejo15 => "15.0.3+gitea-1.22.0",
        }
    }

    /// Its word on command lines: the measured one is simply the stand-in.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Gitea1_23 => "stand-in-gitea-1.23",
            Self::Gitea1_24 => "stand-in-gitea-1.24",
            Self::Gitea1_25 => "stand-in-gitea-1.25",
            Self::Gitea1_26 => "stand-in",
            Self::Gitea1_27 => "stand-in-gitea-1.27",
            Self::Forgejo11 => "stand-in-forgejo-11",
            Self::Forgejo14 => "stand-in-forgejo-14",
            Self::Forgejo15 => "stand-in-forgejo-15",
        }
    }

    /// Its trigger rules.
    #[must_use]
    pub fn server(self) -> Server {
        Server::parse(self.told()).expect("every version is told as forges tell theirs")
    }

    /// Whether hooks hear of `event`. Elsewhere one can ask for it, and it never comes.
    #[must_use]
    pub fn sends(self, event: &str) -> bool {
        match event {
            "workflow_job" => self.is_gitea_since(Self::Gitea1_24),
            "workflow_run" => self.is_gitea_since(Self::Gitea1_25),
            _ => true,
        }
    }

    /// Whether a rerun makes new jobs, all with the number of their attempt, which is told from 1 on. Others
    /// run the same jobs again, and count when a runner takes one.
    #[must_use]
    pub fn remakes_jobs(self) -> bool {
        self.is_gitea_since(Self::Gitea1_27)
    }

    /// Whether a runner can be registered for one job. Older servers read past the wish.
    #[must_use]
    pub fn has_one_job_runners(self) -> bool {
        self.is_gitea_since(Self::Gitea1_24) || self == Self::Forgejo15
    }

    /// Whether a job without labels goes to any runner, or to none.
    #[must_use]
    pub fn gives_unlabelled_jobs(self) -> bool {
        self.kind() == ForgeKind::Gitea
    }

    /// Most commits of a push that its delivery lists: five (`FEED_MAX_COMMIT_NUM`), or all (eight of eight
    /// were seen), which a stand-in ends somewhere.
    #[must_use]
    pub fn commits_max(self) -> usize {
        match self.kind() {
            ForgeKind::Gitea => 5,
            ForgeKind::Forgejo => 1_000,
        }
    }

    /// Whether this is Gitea, and not older than `first`.
    #[must_use]
    pub fn is_gitea_since(self, first: Self) -> bool {
        self.kind() == ForgeKind::Gitea && self >= first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_is_told_as_the_rules_read_it() {
        for version in Version::ALL {
            let read = version.server().version.to_string();
            assert!(version.told().starts_with(&read), "{version:?}");
        }
    }

    #[test]
    fn jobs_are_told_by_the_giteas_that_have_learned_to() {
        use Version::{Gitea1_24, Gitea1_25, Gitea1_26, Gitea1_27};
        let told = |event| {
            let sending = Version::ALL.into_iter().filter(move |one| one.sends(event));
            sending.collect::<Vec<_>>()
        };
        let since_1_25 = [Gitea1_25, Gitea1_26, Gitea1_27];
        assert_eq!(told("workflow_job")[1..], since_1_25);
        assert_eq!(told("workflow_job")[0], Gitea1_24);
        assert_eq!(told("workflow_run"), since_1_25);
        assert_eq!(told("push"), Version::ALL);
    }
}
