//! How long a file may be, and which may be longer and why.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::found::Found;
use super::tree::Tree;

/// A file is read in one sitting; where most stay well below, a longer one has two subjects.
const LINES_MAX: usize = 450;
/// Where the reasons stand.
const REASONS: &str = "xtask/tidy.toml";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reasons {
    /// Path and reason.
    #[serde(default)]
    long_files: BTreeMap<String, String>,
}

/// Every file that is too long without a reason, and every reason without such a file.
pub fn check(tree: &Tree) -> Vec<Found> {
    let text = tree.text(REASONS).unwrap_or_default();
    let reasons: Reasons = match toml::from_str(&text) {
        Ok(reasons) => reasons,
        Err(error) => {
            return vec![Found::at(
                REASONS,
                1,
                format!("can't be read: {}", error.message()),
            )];
        }
    };
    let is_long = |path: &str| {
        tree.files
            .iter()
            .any(|file| file.path == path && file.lines > LINES_MAX)
    };
    let mut found = Vec::new();
    for (path, reason) in &reasons.long_files {
        let line = (1..)
            .zip(text.lines())
            .find(|(_, line)| line.contains(path));
        let at = line.map_or(1, |(line, _)| line);
        if !is_long(path) {
            let advice =
                format!("{path} is gone or within {LINES_MAX} lines: take it off the list");
            found.push(Found::at(REASONS, at, advice));
        } else if reason.trim().is_empty() {
            found.push(Found::at(REASONS, at, format!("say why {path} is so long")));
        }
    }
    let long = tree.files.iter().filter(|file| file.lines > LINES_MAX);
    for file in long.filter(|file| !reasons.long_files.contains_key(&file.path)) {
        let advice = format!(
            "{} lines, more than {LINES_MAX}: split it by subject, or say in {REASONS} why not",
            file.lines
        );
        found.push(Found::at(&file.path, LINES_MAX + 1, advice));
    }
    found
}
