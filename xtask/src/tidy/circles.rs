//! Files of one crate that import each other in a circle, so that none can be read before the others.
//!
//! A file imports another if it names what that one defines, in a `use`, a re-export or a path in its
//! code. Naming a module is no import, and neither is having one (`mod x;`). What the module around a
//! file defines is the file's own: the two are one subject. The crate's root is around everything, so
//! for it that does not hold. Tests don't count.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::found::Found;
use super::modules::{Module, ModuleTree};
use super::names::{Meaning, resolve};
use super::source::SourceFile;
use super::tokens::{Kind, Token};
use super::tree::Tree;

/// Who imports whom: by file, what it imports, and the names with the line of the first.
type Imports = BTreeMap<usize, BTreeMap<usize, (usize, BTreeSet<String>)>>;

/// One finding per circle.
pub fn check(tree: &Tree) -> Vec<Found> {
    let circles = |target| {
        let imports = imports(target, &tree.files);
        let circles = circles(&imports);
        circles
            .into_iter()
            .map(move |circle| found(&circle, &imports, &tree.files))
    };
    tree.targets.iter().flat_map(circles).collect()
}

fn found(circle: &BTreeSet<usize>, imports: &Imports, files: &[SourceFile]) -> Found {
    let mut advice = format!(
        "{} files import each other in a circle: move what both sides need to a file of its own",
        circle.len()
    );
    let mut first = None;
    for from in circle {
        for (to, (line, names)) in imports.get(from).into_iter().flatten() {
            if circle.contains(to) {
                let (from, to) = (&files[*from].path, &files[*to].path);
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let names = names.join(", ");
                let _ = write!(advice, "\n    {from}:{line} imports {names} of {to}");
                first.get_or_insert((from, *line));
            }
        }
    }
    let (file, line) = first.expect("a circle has an import");
    Found::at(file, line, advice)
}

fn imports(target: &ModuleTree, files: &[SourceFile]) -> Imports {
    let mut imports = Imports::new();
    let mut note = |module: usize, line: usize, path: &[String]| {
        let from = target.modules[module].file;
        let to = match resolve(target, module, path) {
            Some(Meaning::Item(to)) if to != from && !is_around(target, module, to) => to,
            _ => return,
        };
        let edges = imports.entry(from).or_default();
        let (_, names) = edges.entry(to).or_insert((line, BTreeSet::new()));
        names.extend(path.last().cloned());
    };
    for (at, module) in target.modules.iter().enumerate() {
        for import in &module.imports {
            note(at, import.lines.0, &import.path);
        }
        for (line, path) in paths(&files[module.file].tokens) {
            let is_import = module
                .imports
                .iter()
                .any(|import| within(line, import.lines));
            if !is_import && innermost(target, module.file, line) == Some(at) {
                note(at, line, &path);
            }
        }
    }
    imports
}

/// Whether this file is that of a module around this one, the crate's root apart.
fn is_around(target: &ModuleTree, module: usize, file: usize) -> bool {
    let parent = |module: &usize| target.modules[*module].parent;
    let mut around = std::iter::successors(Some(module), parent);
    around.any(|outer| outer != 0 && target.modules[outer].file == file)
}

/// The module of this file that this line is in.
fn innermost(target: &ModuleTree, file: usize, line: usize) -> Option<usize> {
    let has = |module: &Module| module.file == file && within(line, module.lines);
    target.modules.iter().rposition(has)
}

fn within(line: usize, (first, last): (usize, usize)) -> bool {
    (first..=last).contains(&line)
}

/// Every `a::b` of the code, and of strings that hold one (`#[serde(default = "crate::a::b")]`).
fn paths(tokens: &[Token]) -> Vec<(usize, Vec<String>)> {
    let mut paths = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        // The rest of a path with generics in it: `Vec::<u8>::new`.
        let is_rest = at > 1 && tokens[at - 1].is(":") && tokens[at - 2].is(":");
        at += 1;
        if token.kind == Kind::Text && token.text.starts_with("crate::") {
            let path: Vec<String> = token.text.split("::").map(str::to_owned).collect();
            if path.iter().all(|name| is_name(name)) {
                paths.push((token.line, path));
            }
        }
        if token.kind != Kind::Ident || is_rest {
            continue;
        }
        let mut path = vec![token.text.clone()];
        while let [one, two, name, ..] = &tokens[at..]
            && one.is(":")
            && two.is(":")
            && name.kind == Kind::Ident
        {
            path.push(name.text.clone());
            at += 3;
        }
        if path.len() > 1 {
            paths.push((token.line, path));
        }
    }
    paths
}

fn is_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !text.is_empty() && text.bytes().all(is_part)
}

/// The sets of files that reach each other.
fn circles(imports: &Imports) -> BTreeSet<BTreeSet<usize>> {
    let files = imports.keys();
    let reached: BTreeMap<usize, BTreeSet<usize>> =
        files.map(|file| (*file, reached(imports, *file))).collect();
    let leads_back = |from: &usize, to: &usize| reached.get(from).is_some_and(|it| it.contains(to));
    let circles = reached.iter().map(|(file, reached)| {
        let circle = reached.iter().filter(|other| leads_back(other, file));
        circle.copied().collect()
    });
    circles
        .filter(|circle: &BTreeSet<usize>| !circle.is_empty())
        .collect()
}

/// Every file that this one imports, and what those import.
fn reached(imports: &Imports, file: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut open = vec![file];
    while let Some(file) = open.pop() {
        let next = imports.get(&file).into_iter().flat_map(BTreeMap::keys);
        open.extend(next.filter(|next| reached.insert(**next)));
    }
    reached
}
