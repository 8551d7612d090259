//! ARCHITECTURE.md's code map against the folders that there are.
//!
//! The map is the tables under `## Code map`. The first cell of a row names folders, each in
//! backquotes and from the root: `` `lab/src/forge/` `` is that folder, `` `lab/tests/**` `` that one and
//! everything below it. A folder counts if a file is in it; hidden ones and build output don't.

use super::found::Found;
use super::tree::Tree;

const PAGE: &str = "ARCHITECTURE.md";

/// Every folder that the map does not name, and every one that it names and that is not there.
pub fn check(tree: &Tree) -> Vec<Found> {
    let page = tree.text(PAGE).unwrap_or_default();
    let (at, named) = map(&page);
    let mut found = Vec::new();
    for Named {
        line,
        folder,
        below,
    } in &named
    {
        let is_there = |there: &String| there.starts_with(folder) && (*below || there == folder);
        if !tree.folders.iter().any(is_there) {
            let advice =
                format!("there is no {folder}: take it off the map, or name what it is now");
            found.push(Found::at(PAGE, *line, advice));
        }
    }
    for folder in tree.folders.iter().filter(|folder| !folder.is_empty()) {
        let is_named = |named: &Named| {
            named.folder == *folder || (named.below && folder.starts_with(&named.folder))
        };
        if !named.iter().any(is_named) {
            let advice =
                format!("{folder} is not on the map: say what it is for, in a row of its own");
            found.push(Found::at(PAGE, at, advice));
        }
    }
    found
}

struct Named {
    line: usize,
    folder: String,
    /// And what is below it.
    below: bool,
}

/// Where the map is, and what it names.
fn map(page: &str) -> (usize, Vec<Named>) {
    let mut at = 1;
    let mut is_map = false;
    let mut named = Vec::new();
    for (line, text) in (1..).zip(page.lines()) {
        if text.starts_with("## ") {
            is_map = text == "## Code map";
            at = if is_map { line } else { at };
        }
        let cell = text.strip_prefix('|').and_then(|row| row.split('|').next());
        for word in cell
            .filter(|_| is_map)
            .into_iter()
            .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        {
            let below = word.ends_with("/**");
            let folder = word.trim_end_matches("**").to_owned();
            named.push(Named {
                line,
                folder,
                below,
            });
        }
    }
    (at, named)
}
