//! Which environment a command is about, when it is named and when it isn't.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::terminal::consent;

/// The environment that is meant where none is named.
const DEFAULT: &str = "tinqs";
/// The lab's own, which is meant with `--lab` where none is named.
pub const LAB: &str = "lab";

/// What a command does when no environment is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unnamed {
    /// It only looks, or writes a file: the default is meant.
    Default,
    /// It deploys: the default is meant, once somebody has read which one that is.
    Ask {
        /// Whether `--yes` answers in advance.
        yes: bool,
    },
    /// It destroys: nothing is meant.
    Refuse,
}

/// The environment that `command` is about. Where one is named, that one.
pub fn choose(
    root: &Path,
    named: Option<String>,
    lab: bool,
    command: &'static str,
    unnamed: Unnamed,
) -> Result<String, Error> {
    if let Some(name) = named {
        return Ok(name);
    }
    if lab {
        return Ok(LAB.to_owned());
    }
    match unnamed {
        Unnamed::Default => {}
        Unnamed::Ask { yes } if std::io::stdin().is_terminal() => {
            eprintln!(
                "No environment is named, so {DEFAULT} is taken: stacks/environments/{DEFAULT}.toml"
            );
            consent(&format!("Go on with {DEFAULT}?"), yes)?;
        }
        Unnamed::Ask { .. } | Unnamed::Refuse => {
            return Err(Error::Unnamed {
                command,
                known: all(root).join(", "),
            });
        }
    }
    Ok(DEFAULT.to_owned())
}

/// The file of the environment called `env`: a path as it is, a name in `stacks/environments`.
#[must_use]
pub fn path(root: &Path, env: &str) -> PathBuf {
    let is_path = Path::new(env).extension().is_some_and(|end| end == "toml");
    if is_path {
        return PathBuf::from(env);
    }
    folder(root).join(format!("{env}.toml"))
}

/// The names of all environments, sorted.
fn all(root: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder(root)).into_iter().flatten();
    let paths = entries.flatten().map(|entry| entry.path());
    let mut names: Vec<String> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "toml"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    names
}

fn folder(root: &Path) -> PathBuf {
    root.join("stacks/environments")
}
