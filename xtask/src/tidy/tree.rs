//! The checkout as the rules see it: its folders, its Rust files, and what of them is product.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::found::Error;
use super::modules::{self, ModuleTree};
use super::source::SourceFile;

/// A checkout, parsed.
pub struct Tree {
    /// Where it is.
    pub root: PathBuf,
    /// Every Rust file, by path.
    pub files: Vec<SourceFile>,
    /// Every folder that holds a file, as `path/`.
    pub folders: BTreeSet<String>,
    /// The crates' libraries and programs.
    pub targets: Vec<ModuleTree>,
}

impl Tree {
    /// Reads and parses everything below `root`, hidden folders and build output apart.
    pub fn load(root: &Path) -> Result<Self, Error> {
        let mut tree = Self {
            root: root.to_owned(),
            files: Vec::new(),
            folders: BTreeSet::new(),
            targets: Vec::new(),
        };
        tree.folder("")?;
        tree.files.sort_by(|one, other| one.path.cmp(&other.path));
        tree.targets = modules::of(&tree.files);
        for module in tree.targets.iter().flat_map(|target| &target.modules) {
            tree.files[module.file].is_product = true;
        }
        Ok(tree)
    }

    /// The product's files below one of these folders (or files).
    pub fn product<'a>(&'a self, within: &'a [&str]) -> impl Iterator<Item = &'a SourceFile> {
        let product = self.files.iter().filter(|file| file.is_product);
        product.filter(|file| file.is_within(within))
    }

    /// A file's text, if it is there.
    pub fn text(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.root.join(path)).ok()
    }

    fn folder(&mut self, folder: &str) -> Result<(), Error> {
        let unread = |source| Error::Read {
            path: folder.to_owned(),
            source,
        };
        for entry in fs::read_dir(self.root.join(folder)).map_err(unread)? {
            let entry = entry.map_err(unread)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{folder}{name}");
            if name.starts_with('.') || path == "target" {
                continue;
            }
            if entry.file_type().map_err(unread)?.is_dir() {
                self.folder(&format!("{path}/"))?;
                continue;
            }
            self.folders.insert(folder.to_owned());
            if Path::new(&name).extension().is_some_and(|own| own == "rs") {
                self.files.push(SourceFile::read(&self.root, path)?);
            }
        }
        Ok(())
    }
}
