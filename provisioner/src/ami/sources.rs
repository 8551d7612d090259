//! What the scripts are made of: the steps of `ami/steps`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::AmiError;

/// Files of a folder, and folders in each other, before something is wrong with it.
const FILES_MAX: usize = 200;
/// A file that is no script of ours, in bytes: all of them have to fit into 16 KB of user-data.
const FILE_MAX_BYTES: u64 = 64 * 1024;

/// The steps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// Texts of scripts by name, without `.sh`.
    pub steps: BTreeMap<String, String>,
}

impl Sources {
    /// Those of the checkout at `root`.
    pub fn read(root: &Path) -> Result<Self, AmiError> {
        let mut steps = BTreeMap::new();
        let folder = root.join("ami/steps");
        for path in files(&folder)? {
            if path.extension().is_none_or(|extension| extension != "sh") {
                continue;
            }
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let text = String::from_utf8_lossy(&bytes(&path)?).into_owned();
            steps.insert(name.into_owned(), text);
        }
        Ok(Self { steps })
    }
}

/// Every file below a folder, sorted.
fn files(folder: &Path) -> Result<Vec<PathBuf>, AmiError> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(unreadable(&folder))? {
            let path = entry.map_err(unreadable(&folder))?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
            if found.len() + folders.len() > FILES_MAX {
                let problem = format!("{} holds more than {FILES_MAX} files", folder.display());
                return Err(AmiError::Invalid(vec![problem]));
            }
        }
    }
    found.sort();
    Ok(found)
}

fn bytes(path: &Path) -> Result<Vec<u8>, AmiError> {
    let length = fs::metadata(path).map_err(unreadable(path))?.len();
    if length > FILE_MAX_BYTES {
        let problem = format!("{} has more than {FILE_MAX_BYTES} bytes", path.display());
        return Err(AmiError::Invalid(vec![problem]));
    }
    fs::read(path).map_err(unreadable(path))
}

pub(super) fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> AmiError {
    move |source| AmiError::Unreadable {
        path: path.to_owned(),
        source,
    }
}
