//! What jobs are on their machine, and what they find there: keys of `[pool.NAME]` that the boot file
//! alone reads.

use std::collections::BTreeMap;

use super::read::Section;
use super::syntax;

/// Most variables of a pool, and the longest value: all of user-data has 15 KB.
const VARIABLES_MAX: usize = 32;
const VALUE_MAX_CHARS: usize = 256;
/// What boot or the runner itself sets.
const TAKEN: [&str; 4] = ["HOME", "USER", "CI", "PWD"];
/// Beginnings of names that the runner sets in every job. One of the last has a use: with
/// `RUNNER_TOOL_CACHE` actions find what an image brings.
const TAKEN_PREFIXES: [&str; 5] = ["GITHUB_", "GITEA_", "FORGEJO_", "ACTIONS_", "RUNNER_"];
pub(crate) const TOOL_CACHE: &str = "RUNNER_TOOL_CACHE";
/// What names of secrets are made of.
const SECRET_WORDS: [&str; 5] = ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "ACCESS_KEY"];

/// What jobs are on the machine, and what they find there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Whose processes they are.
    pub run_as: RunAs,
    /// Whether they may become root without a password.
    pub sudo: bool,
    /// Whether boot makes Docker theirs, and installs it on a stock image.
    pub docker: bool,
    /// Variables of their environment, beside those of the image's `/etc/environment`. No secrets: they
    /// stand in the launch template.
    pub env: BTreeMap<String, String>,
}

/// Whose processes jobs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunAs {
    /// The user `ci`, which boot makes unless the image has it.
    Ci,
    /// Root: for images that were made for it.
    Root,
}

impl RunAs {
    /// The user's name.
    #[must_use]
    pub const fn user(self) -> &'static str {
        match self {
            Self::Ci => "ci",
            Self::Root => "root",
        }
    }

    /// Its home.
    #[must_use]
    pub const fn home(self) -> &'static str {
        match self {
            Self::Ci => "/home/ci",
            Self::Root => "/root",
        }
    }
}

pub(super) fn of(section: &mut Section<'_, '_>) -> Host {
    let run_as = match section.string("run_as").as_deref() {
        None | Some("ci") => RunAs::Ci,
        Some("root") => RunAs::Root,
        Some(_) => {
            section.problem("run_as", "must be ci or root");
            RunAs::Ci
        }
    };
    Host {
        run_as,
        sudo: section.boolean("sudo", false),
        docker: section.boolean("docker", false),
        env: env(section),
    }
}

fn env(section: &mut Section<'_, '_>) -> BTreeMap<String, String> {
    let Some(mut table) = section.section("env") else {
        return BTreeMap::new();
    };
    let mut env = BTreeMap::new();
    for (name, value) in table.entries() {
        if let Some(wrong) = wrong_name(&name) {
            table.problem(&name, wrong);
        }
        // In single quotes of the shell and of YAML alike.
        let is_plain = |c: char| (c == ' ' || c.is_ascii_graphic()) && c != '\'';
        if value.chars().count() > VALUE_MAX_CHARS || !value.chars().all(is_plain) {
            let message = format_args!(
                "must be at most {VALUE_MAX_CHARS} printable ASCII characters, without single quotes"
            );
            table.problem(&name, message);
        }
        env.insert(name, value);
    }
    if env.len() > VARIABLES_MAX {
        section.problem("env", format_args!("may have {VARIABLES_MAX} at most"));
    }
    env
}

fn wrong_name(name: &str) -> Option<&'static str> {
    let is_name = syntax::is_word(name, "_", 64) && !name.starts_with(|c: char| c.is_ascii_digit());
    let is_taken = TAKEN.contains(&name)
        || TAKEN_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) && name != TOOL_CACHE;
    let upper = name.to_ascii_uppercase();
    let is_secret = SECRET_WORDS.iter().any(|word| upper.contains(word));
    if !is_name {
        Some("must be letters, digits and _, 64 at most, and begin with no digit")
    } else if is_taken {
        Some("is set by the runner itself")
    } else if is_secret {
        Some(
            "sounds like a secret: what is written here stands in the launch template for whoever may \
             read that. Put it into the forge's secrets",
        )
    } else {
        None
    }
}
