//! Which files are workflows, and how many of them are read.
//!
//! Of the folders of workflows the first that the commit has counts, even if it has no file (Gitea 1.26
//! and Forgejo, `ListWorkflows`); below it, every file whose name ends in `.yml` or `.yaml`.

pub mod git_tree;

use crate::discovery::git_tree::{EntryKind, TreeEntry};
use crate::server::{ForgeKind, Server};

/// How the names of workflow files end; capitals are others.
const ENDINGS: [&str; 2] = [".yml", ".yaml"];
/// Most workflow files of a repository: large ones have some dozens.
pub const FILES_MAX: usize = 200;
/// Largest workflow file, in bytes: as much as the forge reads of one (Gitea 1.26).
pub const FILE_MAX_BYTES: u64 = 1024 * 1024;
/// Most bytes of all of them: the function has 256 MB, and their YAML takes a multiple of this.
pub const ALL_MAX_BYTES: u64 = 4 * 1024 * 1024;

/// The folders in force where nobody has set others, the first one first. Gitea has had two since
/// 1.19; an administrator can set others since 1.26 (`WORKFLOW_DIRS`), which no API tells.
#[must_use]
pub fn workflow_dirs(server: Server) -> Vec<String> {
    let dirs: &[&str] = match server.kind {
        ForgeKind::Gitea => &[".gitea/workflows", ".github/workflows"],
        ForgeKind::Forgejo => &[
            ".forgejo/workflows",
            ".gitea/workflows",
            ".github/workflows",
        ],
    };
    dirs.iter().map(|&dir| dir.to_owned()).collect()
}

/// The folders that a setting `WORKFLOW_DIRS` puts in force (Gitea 1.26, `modules/setting`): separated
/// by commas, blank ones left out, `\\` read as `/`, no `/` at the end. `None` of one without any, with
/// which the forge does not start.
#[must_use]
pub fn dirs_of_setting(setting: &str) -> Option<Vec<String>> {
    let dirs: Vec<String> = setting
        .split(',')
        .map(str::trim)
        .filter(|dir| !dir.is_empty())
        .map(|dir| dir.replace('\\', "/").trim_end_matches('/').to_owned())
        .collect();
    (!dirs.is_empty()).then_some(dirs)
}

/// Whether a path is that of a workflow, if its folder counts (Gitea 1.26, `IsWorkflow`).
#[must_use]
pub fn is_workflow(path: &str, dirs: &[String]) -> bool {
    let is_below = |dir: &String| {
        path.strip_prefix(dir.as_str())
            .is_some_and(|rest| rest.starts_with('/'))
    };
    ENDINGS.iter().any(|ending| path.ends_with(ending)) && dirs.iter().any(is_below)
}

/// What a repository has of workflows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundFiles {
    /// The folder that counts; `None` where there is none.
    pub dir: Option<String>,
    /// Its files, in the order of git.
    pub files: Vec<FoundFile>,
    /// Why none of them is read.
    pub refused: Option<String>,
}

impl FoundFiles {
    /// The files of `dir`, each with its path below it.
    #[must_use]
    pub fn of(dir: &str, files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let files = files.into_iter().map(|(name, bytes)| FoundFile {
            path: format!("{dir}/{name}"),
            bytes: Ok(bytes),
        });
        Self {
            dir: Some(dir.to_owned()),
            files: files.collect(),
            refused: None,
        }
    }
}

/// One workflow file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFile {
    /// Its path in the repository.
    pub path: String,
    /// Its bytes, or why they are not read.
    pub bytes: Result<Vec<u8>, String>,
}

/// What the forge takes for workflows of `entries` below `dir`, with their whole paths.
#[must_use]
pub fn workflows_in(dir: &str, entries: Vec<TreeEntry>) -> Vec<TreeEntry> {
    let is_one = |entry: &TreeEntry| {
        entry.kind != EntryKind::Tree && ENDINGS.iter().any(|ending| entry.path.ends_with(ending))
    };
    let workflows = entries.into_iter().filter(is_one).map(|entry| TreeEntry {
        path: format!("{dir}/{}", entry.path),
        ..entry
    });
    workflows.collect()
}

/// Why none of these files is read.
#[must_use]
pub fn why_refused(entries: &[TreeEntry]) -> Option<String> {
    if let Some(entry) = entries.iter().find(|e| e.kind == EntryKind::Submodule) {
        let path = &entry.path;
        return Some(format!(
            "{path} is a submodule, and with one among its workflows the forge starts none: rename it"
        ));
    }
    let count = entries.len();
    if count > FILES_MAX {
        return Some(format!(
            "there are {count} workflow files, and at most {FILES_MAX} are read: move those that \
             are none out of the folder"
        ));
    }
    let read = entries.iter().filter(|entry| why_unread(entry).is_none());
    let all: u64 = read.map(|entry| entry.size_bytes).sum();
    (all > ALL_MAX_BYTES).then(|| {
        format!("the workflow files have {all} bytes, and at most {ALL_MAX_BYTES} are read")
    })
}

/// Why this one is not.
#[must_use]
pub fn why_unread(entry: &TreeEntry) -> Option<String> {
    match entry.kind {
        EntryKind::Link => Some(
            "it is a symbolic link, of which the forge reads the text of the link: make it a file"
                .to_owned(),
        ),
        EntryKind::File if entry.size_bytes > FILE_MAX_BYTES => Some(format!(
            "it has {} bytes, and the forge reads only the first {FILE_MAX_BYTES}",
            entry.size_bytes
        )),
        EntryKind::File | EntryKind::Tree | EntryKind::Submodule => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, size_bytes: u64) -> TreeEntry {
        TreeEntry {
            path: path.to_owned(),
            kind: EntryKind::File,
            mode: 0o100_644,
            sha: "1".repeat(40),
            size_bytes,
        }
    }

    #[test]
    fn five_hundred_files_of_a_mebibyte_are_refused_by_their_list() {
        let many: Vec<TreeEntry> = (0..500)
            .map(|n| file(&format!("{n}.yml"), FILE_MAX_BYTES))
            .collect();
        assert!(why_refused(&many).unwrap().contains("500 workflow files"));
        assert!(why_refused(&many[..5]).unwrap().contains("5242880 bytes"));
        assert_eq!(why_refused(&many[..4]), None);
        // What is not read does not count.
        assert_eq!(why_refused(&[file("a.yml", u64::MAX)]), None);
    }

    #[test]
    fn only_what_is_called_a_workflow_is_one() {
        let mut link = file("l.yml", 9);
        link.kind = EntryKind::Link;
        let mut folder = file("d.yml", 0);
        folder.kind = EntryKind::Tree;
        let all = vec![
            file("a.yml", 1),
            file("deep/b.yaml", 1),
            file("c.YML", 1),
            file("README", 1),
            folder,
            link,
        ];
        let found = workflows_in(".x/y", all);
        let paths: Vec<&str> = found.iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(paths, [".x/y/a.yml", ".x/y/deep/b.yaml", ".x/y/l.yml"]);
        assert!(why_unread(&found[2]).unwrap().contains("symbolic link"));
    }

    #[test]
    fn a_setting_is_read_as_gitea_reads_it() {
        let dirs = |setting| dirs_of_setting(setting).unwrap_or_default();
        assert_eq!(dirs(" a/b/ ,, c\\d// "), ["a/b", "c/d"]);
        assert_eq!(dirs_of_setting(" , "), None);
        let own = dirs(".gitea/workflows,.github/workflows");
        assert!(is_workflow(".github/workflows/deep/x.yaml", &own));
        assert!(!is_workflow(".gitea/workflows2/x.yml", &own));
        assert!(!is_workflow(".gitea/workflows/x.YML", &own));
    }
}
