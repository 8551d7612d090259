//! What a commit changes: workflow files and others, added, deleted, renamed, with other modes.

use std::collections::BTreeMap;
use std::sync::Arc;

use fastrand::Rng;

use super::triggers::Names;
use super::workflow::workflow;
use super::{pick, some};

/// Where workflows lie, or seem to.
const WORKFLOWS: [&str; 14] = [
    "a.yml",
    "b.yml",
    "c.yaml",
    "d.yml",
    "sub/e.yml",
    "sub/deep/f.yaml",
    "G.YML",
    "h.yml.txt",
    "ünï.yml",
    "with space.yml",
    ".yml",
    "i.yml/inner.txt",
    "README.md",
    "quo\"te.yaml",
];
/// The first of them are workflows by any name.
const LIKELY: usize = 6;
/// Other files, with names that git quotes, and some that patterns take for something else.
pub(crate) const OTHERS: [&str; 22] = [
    "README.md",
    "docs/guide.md",
    "docs/deep/er/page.md",
    "src/main.rs",
    "src/lib/a.rs",
    "src/a b.txt",
    "ünï/çödé.md",
    "日本語.txt",
    "quo\"te.txt",
    "back\\slash.txt",
    "tab\there.txt",
    "new\nline.txt",
    "!bang.txt",
    "[x].txt",
    "a+b.txt",
    "star*.txt",
    "UPPER.MD",
    ".hidden",
    "docs/.hidden/x",
    "v1.0",
    "main",
    "mydocs/x.md",
];
const DIRECTORIES: [&str; 3] = [
    ".gitea/workflows",
    ".github/workflows",
    ".forgejo/workflows",
];
/// So many workflows of one branch: more only make more of the same.
const WORKFLOWS_MAX: usize = 8;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    /// As git writes it: `100644`, `100755`, `120000`, `160000`.
    pub(crate) mode: &'static str,
    /// What is in it; a submodule's commit.
    pub(crate) bytes: Arc<[u8]>,
}

pub(crate) type Files = BTreeMap<String, File>;

/// Changes a few.
pub(crate) fn change(rng: &mut Rng, files: &mut Files, refs: &[String]) {
    for _ in 0..rng.usize(1..5) {
        if rng.u8(..5) < 2 {
            change_workflow(rng, files, refs);
        } else {
            change_other(rng, files);
        }
    }
}

/// The name of what is a workflow, if it is there.
pub(crate) fn likely(rng: &mut Rng) -> &'static str {
    WORKFLOWS[rng.usize(..LIKELY)]
}

/// Adds a workflow in every place but the last, so that a first push has something to start.
pub(crate) fn begin(rng: &mut Rng, refs: &[String]) -> Files {
    let mut files = Files::new();
    for other in OTHERS {
        if rng.u8(..3) == 0 {
            put(&mut files, other, regular(rng, some_bytes));
        }
    }
    for _ in 0..6 {
        change_workflow(rng, &mut files, refs);
    }
    files
}

fn change_workflow(rng: &mut Rng, files: &mut Files, refs: &[String]) {
    let there: Vec<String> = files
        .keys()
        .filter(|path| is_workflow(path))
        .cloned()
        .collect();
    let names = Names {
        refs: refs.to_vec(),
        paths: files
            .keys()
            .cloned()
            .chain(OTHERS.map(str::to_owned))
            .collect(),
    };
    let chosen = some(rng, &there);
    match (rng.u8(..10), chosen) {
        (0, Some(path)) => {
            files.remove(&path);
        }
        (1, Some(path)) => rename(files, &path, &workflow_path(rng)),
        (2, Some(path)) => set_mode(rng, files, &path),
        (3..6, Some(path)) => {
            let file = regular(rng, |rng| workflow(rng, &names));
            put(files, &path, file);
        }
        (_, Some(path)) if there.len() >= WORKFLOWS_MAX => {
            files.remove(&path);
        }
        (_, Some(_) | None) => {
            let file = regular(rng, |rng| workflow(rng, &names));
            put(files, &workflow_path(rng), file);
        }
    }
}

/// Mostly in the first directory; what appears there hides the second.
fn workflow_path(rng: &mut Rng) -> String {
    let directory = DIRECTORIES[usize::from(rng.u8(..8) == 0) + usize::from(rng.u8(..30) == 0)];
    let likely = if rng.u8(..4) == 0 {
        &WORKFLOWS[..]
    } else {
        &WORKFLOWS[..LIKELY]
    };
    format!("{directory}/{}", pick(rng, likely))
}

fn is_workflow(path: &str) -> bool {
    DIRECTORIES
        .iter()
        .any(|directory| path.starts_with(directory))
}

fn change_other(rng: &mut Rng, files: &mut Files) {
    let there: Vec<String> = files
        .keys()
        .filter(|path| !is_workflow(path))
        .cloned()
        .collect();
    let chosen = some(rng, &there);
    match (rng.u8(..8), chosen) {
        (0, Some(path)) => {
            files.remove(&path);
        }
        (1, Some(path)) => rename(files, &path, pick(rng, &OTHERS)),
        (2, Some(path)) => set_mode(rng, files, &path),
        (3 | 4, Some(path)) => put(files, &path, regular(rng, some_bytes)),
        (_, Some(_) | None) => put(files, pick(rng, &OTHERS), regular(rng, some_bytes)),
    }
}

fn some_bytes(rng: &mut Rng) -> Vec<u8> {
    format!("{}\n", rng.u32(..)).into_bytes()
}

fn regular(rng: &mut Rng, bytes: impl FnOnce(&mut Rng) -> Vec<u8>) -> File {
    File {
        mode: if rng.u8(..12) == 0 {
            "100755"
        } else {
            "100644"
        },
        bytes: bytes(rng).into(),
    }
}

/// Executable, a link or a submodule, or what it was.
fn set_mode(rng: &mut Rng, files: &mut Files, path: &str) {
    let Some(file) = files.get_mut(path) else {
        return;
    };
    let submodule = || Arc::from(*b"0123456789012345678901234567890123456789");
    *file = match (rng.u8(..8), file.mode) {
        (0 | 1, _) if rng.bool() => File {
            mode: "120000",
            bytes: Arc::from(*b"../somewhere.yml"),
        },
        (2, _) if rng.bool() => File {
            mode: "160000",
            bytes: submodule(),
        },
        (_, "100644") => File {
            mode: "100755",
            bytes: Arc::clone(&file.bytes),
        },
        (_, "160000") => File {
            mode: "100644",
            bytes: Arc::from(*b"on: push\njobs: {was: {runs-on: module}}\n"),
        },
        (_, _) => File {
            mode: "100644",
            bytes: Arc::clone(&file.bytes),
        },
    };
}

fn rename(files: &mut Files, from: &str, to: &str) {
    if let Some(file) = files.remove(from) {
        put(files, to, file);
    }
}

/// A file where a directory was takes its place, and the other way round.
pub(crate) fn put(files: &mut Files, path: &str, file: File) {
    let inside = format!("{path}/");
    files.retain(|other, _| !other.starts_with(&inside) && !path.starts_with(&format!("{other}/")));
    files.insert(path.to_owned(), file);
}
