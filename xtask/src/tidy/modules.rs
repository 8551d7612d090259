//! Which modules a library or program has, which file each is in, and what each defines and imports.

use std::collections::{HashMap, HashSet};

use syn::visit::{self, Visit};

use super::imports::{Import, leaves};
use super::items::{explicit_path, is_for_tests, parts};
use super::source::SourceFile;

/// One library or program.
pub struct ModuleTree {
    /// Its modules; the first is its root.
    pub modules: Vec<Module>,
}

/// One module.
pub struct Module {
    /// The file that it is in, as its place in the list of files.
    pub file: usize,
    /// The module that it is in.
    pub parent: Option<usize>,
    /// Its first and last line in that file.
    pub lines: (usize, usize),
    /// Names of the types, functions and so on that it defines.
    pub items: HashSet<String>,
    /// Its modules by name.
    pub children: HashMap<String, usize>,
    /// What it imports.
    pub imports: Vec<Import>,
}

/// The libraries and programs among these files.
pub fn of(files: &[SourceFile]) -> Vec<ModuleTree> {
    let is_root = |file: &SourceFile| {
        let (folder, name) = split(&file.path);
        let is_main = matches!(name, "lib.rs" | "main.rs") && folder.ends_with("src/");
        is_main || folder.ends_with("src/bin/")
    };
    let places: HashMap<&str, usize> = (0..).zip(files).map(|(n, f)| (&*f.path, n)).collect();
    let roots = (0..files.len()).filter(|&file| is_root(&files[file]));
    roots
        .map(|root| {
            let mut reader = Reader {
                files,
                places: &places,
                modules: Vec::new(),
                here: 0,
                folder: String::new(),
            };
            let (folder, _) = split(&files[root].path);
            reader.file(root, None, folder);
            ModuleTree {
                modules: reader.modules,
            }
        })
        .collect()
}

/// Folder (with `/`) and name.
fn split(path: &str) -> (&str, &str) {
    path.split_at(path.rfind('/').map_or(0, |slash| slash + 1))
}

/// Goes through one library or program from its root.
struct Reader<'a> {
    files: &'a [SourceFile],
    places: &'a HashMap<&'a str, usize>,
    modules: Vec<Module>,
    /// The module that is being read.
    here: usize,
    /// Where the files of its modules are.
    folder: String,
}

impl Reader<'_> {
    /// A module that is a file.
    fn file(&mut self, file: usize, parent: Option<usize>, folder: &str) -> usize {
        let files = self.files;
        self.module(file, parent, (1, usize::MAX), folder, |reader| {
            reader.visit_file(&files[file].syntax);
        })
    }

    fn module(
        &mut self,
        file: usize,
        parent: Option<usize>,
        lines: (usize, usize),
        folder: &str,
        read: impl FnOnce(&mut Self),
    ) -> usize {
        let module = self.modules.len();
        self.modules.push(Module {
            file,
            parent,
            lines,
            items: HashSet::new(),
            children: HashMap::new(),
            imports: Vec::new(),
        });
        let outer = std::mem::replace(&mut self.here, module);
        let outer_folder = std::mem::replace(&mut self.folder, folder.to_owned());
        read(self);
        (self.here, self.folder) = (outer, outer_folder);
        module
    }

    /// The file of `mod name;`.
    fn find(&self, name: &str, item: &syn::ItemMod) -> Option<usize> {
        let own = &self.files[self.modules[self.here].file].path;
        let paths = match explicit_path(item) {
            Some(path) => vec![format!("{}{path}", split(own).0)],
            None => vec![
                format!("{}{name}.rs", self.folder),
                format!("{}{name}/mod.rs", self.folder),
            ],
        };
        paths
            .iter()
            .find_map(|path| self.places.get(&**path))
            .copied()
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if let Some(parts) = parts(item) {
            if is_for_tests(parts.attributes) {
                return;
            }
            let name = parts.name.map(ToString::to_string);
            self.modules[self.here].items.extend(name);
        }
        visit::visit_item(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let name = item.ident.to_string();
        let parent = self.here;
        let child = if let Some((brace, items)) = &item.content {
            let span = brace.span;
            let lines = (span.open().start().line, span.close().start().line);
            let (file, folder) = (self.modules[parent].file, format!("{}{name}/", self.folder));
            self.module(file, Some(parent), lines, &folder, |reader| {
                for item in items {
                    reader.visit_item(item);
                }
            })
        } else if let Some(file) = self.find(&name, item) {
            let (folder, own) = split(&self.files[file].path);
            let stem = own.trim_end_matches(".rs");
            let folder = match stem {
                "mod" => folder.to_owned(),
                stem => format!("{folder}{stem}/"),
            };
            self.file(file, Some(parent), &folder)
        } else {
            return;
        };
        self.modules[parent].children.insert(name, child);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let lines = (
            item.use_token.span.start().line,
            item.semi_token.span.start().line,
        );
        let imports = &mut self.modules[self.here].imports;
        leaves(&item.tree, &mut Vec::new(), lines, imports);
    }
}
