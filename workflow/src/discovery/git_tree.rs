//! Trees of files, and what differs between two of them, as the forge lists it for `paths`.

use std::collections::BTreeMap;

/// What an entry of a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A folder.
    Tree,
    /// A file, executable or not.
    File,
    /// A symbolic link.
    Link,
    /// A commit of another repository.
    Submodule,
}

/// One entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// Its path below the tree that was listed, or from the root.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Its mode, `0o100644` for most files.
    pub mode: u32,
    /// The object's name.
    pub sha: String,
    /// How long a file is; of what is none, and where nobody asked, 0.
    pub size_bytes: u64,
}

/// The paths of files that are not the same on both sides, in git's order. A file that was moved is two of
/// them (Gitea 1.26 and Forgejo: `diff-tree -r --root`, without a look for renames).
#[must_use]
pub fn changed(before: &[TreeEntry], after: &[TreeEntry]) -> Vec<String> {
    let side = |entries: &[TreeEntry]| -> BTreeMap<String, (u32, String)> {
        let files = entries
            .iter()
            .map(|entry| (entry.path.clone(), (entry.mode, entry.sha.clone())));
        files.collect()
    };
    let (mut before, after) = (side(before), side(after));
    let mut paths: Vec<String> = after
        .into_iter()
        .filter_map(|(path, file)| (before.remove(&path) != Some(file)).then_some(path))
        .collect();
    paths.extend(before.into_keys());
    paths.sort_unstable();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_change_is_one() {
        let entry = |path: &str, mode, sha: &str| TreeEntry {
            path: path.to_owned(),
            kind: EntryKind::File,
            mode,
            sha: sha.to_owned(),
            size_bytes: 1,
        };
        let before = [
            entry("same", 0o100_644, "1"),
            entry("mode", 0o100_644, "1"),
            entry("text", 0o100_644, "1"),
            entry("old/name", 0o100_644, "3"),
            entry("a.b", 0o100_644, "4"),
            entry("a/b", 0o100_644, "4"),
        ];
        let after = [
            entry("same", 0o100_644, "1"),
            entry("mode", 0o100_755, "1"),
            entry("text", 0o100_644, "2"),
            entry("new/name", 0o100_644, "3"),
        ];
        let expected = ["a.b", "a/b", "mode", "new/name", "old/name", "text"];
        assert_eq!(changed(&before, &after), expected);
        assert_eq!(changed(&after, &before), expected);
        assert_eq!(changed(&after, &after), [""; 0]);
    }
}
