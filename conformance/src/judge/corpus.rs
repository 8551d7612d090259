//! Every workflow file that the checkout holds, and every piece of YAML that the tests of the rules have.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::Error;
use super::case::File;
use super::literals::literals;

/// Most files: so many that a run is over in seconds.
const FILES_MAX: usize = 20_000;
/// Longest piece, in bytes. The tests of limits have longer ones, which take seconds each.
const PIECE_MAX_BYTES: usize = 16 * 1024;
/// Folders without anything of ours.
const SKIPPED: [&str; 3] = ["target", ".git", ".lab"];
/// Where the rules' own tests are.
const RULES: &str = "workflow";
/// What is in the place of a piece that is no whole file.
const PLACES: [(&str, &str); 9] = [
    ("on", "on: PIECE\njobs: {a: {runs-on: base}}\n"),
    ("runs-on", "on: push\njobs:\n  a:\n    runs-on: PIECE\n"),
    (
        "name",
        "on: push\njobs:\n  a:\n    runs-on: base\n    name: PIECE\n    strategy: {matrix: {os: [x]}}\n",
    ),
    (
        "needs",
        "on: push\njobs:\n  b: {runs-on: base}\n  a:\n    runs-on: base\n    needs: PIECE\n",
    ),
    (
        "if",
        "on: push\njobs:\n  a:\n    runs-on: base\n    if: PIECE\n",
    ),
    (
        "matrix",
        "on: push\njobs:\n  a:\n    runs-on: base\n    strategy:\n      matrix: PIECE\n",
    ),
    (
        "concurrency",
        "on: push\nconcurrency: PIECE\njobs:\n  a:\n    runs-on: base\n",
    ),
    (
        "branches",
        "on:\n  push:\n    branches: [PIECE]\njobs:\n  a:\n    runs-on: base\n",
    ),
    (
        "env",
        "on: push\nenv:\n  A: PIECE\njobs:\n  a:\n    runs-on: base\n",
    ),
];

/// The corpus of the checkout at `root`.
pub(super) fn corpus(root: &Path) -> Result<Vec<File>, Error> {
    let mut corpus = Corpus::default();
    let mut paths = Vec::new();
    walk(root, &mut paths).map_err(|source| Error::file(root, source))?;
    for path in paths {
        let extension = path
            .extension()
            .and_then(|it| it.to_str())
            .unwrap_or_default();
        let name = path
            .strip_prefix(root)
            .unwrap_or(&path)
            .display()
            .to_string();
        match extension {
            "yml" | "yaml" => corpus.add(name, read(&path)?),
            "bundle" => corpus.add_bundle(&name, &path)?,
            "rs" if name.starts_with(RULES) => corpus.add_pieces(&name, &read(&path)?),
            "json" if name.ends_with("cases/triggers.json") => {
                corpus.add_cases(&name, &read(&path)?);
            }
            _ => {}
        }
    }
    Ok(corpus.files)
}

#[derive(Default)]
struct Corpus {
    files: Vec<File>,
    seen: BTreeSet<Vec<u8>>,
}

impl Corpus {
    fn add(&mut self, name: String, bytes: Vec<u8>) {
        let is_new = self.files.len() < FILES_MAX && self.seen.insert(bytes.clone());
        if is_new && bytes.len() <= PIECE_MAX_BYTES {
            self.files.push((name, bytes));
        }
    }

    /// A file if it may be one, else in one place and another.
    fn add_pieces(&mut self, name: &str, source: &[u8]) {
        for (line, piece) in literals(&String::from_utf8_lossy(source)) {
            let name = format!("{name}:{line}");
            if piece.contains("jobs") && piece.contains("on") {
                self.add(name, piece.into_bytes());
                continue;
            }
            let is_yaml = piece.contains([':', '[', '{', '*', '&', '!', '$', '\'', '"', '~', '|']);
            if !is_yaml || piece.contains('\n') {
                continue;
            }
            for (place, file) in PLACES {
                self.add(
                    format!("{name} as {place}"),
                    file.replace("PIECE", &piece).into_bytes(),
                );
            }
        }
    }

    fn add_cases(&mut self, name: &str, bytes: &[u8]) {
        let cases: Vec<Value> = serde_json::from_slice(bytes).unwrap_or_default();
        for case in cases {
            let name = format!("{name} {}", case["id"]);
            if let Some(on) = case["yaml_on"].as_str() {
                let file = format!("{on}\njobs: {{a: {{runs-on: base}}}}\n");
                self.add(name.clone(), file.into_bytes());
            }
            if let Some(jobs) = case["jobs_in"]
                .as_array()
                .and_then(|jobs| crate::cases::workflow_of(jobs))
            {
                self.add(name, jobs.into_bytes());
            }
        }
    }

    /// The workflow files of every commit in a bundle.
    fn add_bundle(&mut self, name: &str, bundle: &Path) -> Result<(), Error> {
        let folder = tempfile::tempdir().map_err(|source| Error::file(bundle, source))?;
        let git = |args: &[&str]| -> Result<Vec<u8>, Error> {
            let mut command = Command::new("git");
            command
                .arg("-C")
                .arg(folder.path())
                .args(args)
                .stdin(Stdio::null());
            let output = command
                .output()
                .map_err(|source| Error::file(bundle, source))?;
            Ok(output.stdout)
        };
        let source = bundle.display().to_string();
        git(&["clone", "--quiet", "--mirror", &source, "."])?;
        let objects = git(&["rev-list", "--objects", "--all"])?;
        for line in String::from_utf8_lossy(&objects).lines() {
            let Some((id, path)) = line.split_once(' ') else {
                continue;
            };
            if [".yml", ".yaml"].iter().any(|end| path.ends_with(end)) {
                self.add(format!("{name}: {path}"), git(&["cat-file", "blob", id])?);
            }
        }
        Ok(())
    }
}

fn walk(folder: &Path, paths: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let is_skipped = SKIPPED.iter().any(|skipped| name == *skipped);
        if entry.file_type()?.is_dir() && !is_skipped {
            walk(&entry.path(), paths)?;
        } else if entry.file_type()?.is_file() {
            paths.push(entry.path());
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::file(path, source))
}
