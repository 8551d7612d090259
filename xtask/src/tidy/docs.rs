//! Public items say what they are. rustc's `missing_docs` knows best what is public, so it may not be
//! off anywhere; what anybody can see without it, an item with `pub` and no word, is found here too.

use syn::visit::{self, Visit};
use toml::Value;

use super::found::Found;
use super::items::is_for_tests;
use super::source::SourceFile;
use super::tokens::Kind;
use super::tree::Tree;

/// Every item without a word, and every place where the compiler is told not to look.
pub fn check(tree: &Tree) -> Vec<Found> {
    let mut found = lints(tree);
    for file in tree.files.iter().filter(|file| file.is_product) {
        found.extend(silenced(file));
        if is_library(tree, file) {
            let mut reader = Reader {
                file,
                found: Vec::new(),
            };
            reader.visit_file(&file.syntax);
            found.append(&mut reader.found);
        }
    }
    found
}

/// The workspace asks for docs, and every crate does as the workspace.
fn lints(tree: &Tree) -> Vec<Found> {
    let manifest = |path: &str| -> Option<Value> { toml::from_str(&tree.text(path)?).ok() };
    let Some(workspace) = manifest("Cargo.toml") else {
        return vec![Found::at(
            "Cargo.toml",
            1,
            "the workspace's manifest can't be read",
        )];
    };
    let mut found = Vec::new();
    let lint = workspace["workspace"]
        .get("lints")
        .and_then(|lints| lints.get("rust")?.get("missing_docs"));
    if !matches!(
        lint.and_then(Value::as_str),
        Some("warn" | "deny" | "forbid")
    ) {
        let advice = "set `missing_docs = \"warn\"` in [workspace.lints.rust]: clippy's step denies warnings";
        found.push(Found::at("Cargo.toml", 1, advice));
    }
    let members = workspace["workspace"]
        .get("members")
        .and_then(Value::as_array);
    for member in members.into_iter().flatten().filter_map(Value::as_str) {
        let path = format!("{member}/Cargo.toml");
        let lints = manifest(&path).and_then(|own| own.get("lints")?.get("workspace")?.as_bool());
        if lints != Some(true) {
            let advice = "set `workspace = true` in [lints]: the crate is built without the workspace's rules";
            found.push(Found::at(&path, 1, advice));
        }
    }
    found
}

fn silenced(file: &SourceFile) -> Vec<Found> {
    let lint = file.tokens.windows(3).filter(|tokens| {
        let [level, open, lint] = tokens else {
            return false;
        };
        let is_off = level.is_ident("allow") || level.is_ident("expect");
        is_off && open.is("(") && lint.kind == Kind::Ident && lint.text == "missing_docs"
    });
    let advice = "write the docs instead of silencing `missing_docs`";
    lint.map(|tokens| Found::at(&file.path, tokens[0].line, advice))
        .collect()
}

/// A program has no public items.
fn is_library(tree: &Tree, file: &SourceFile) -> bool {
    tree.targets.iter().any(|target| {
        let is_lib = tree.files[target.modules[0].file].path.ends_with("/lib.rs");
        is_lib
            && target
                .modules
                .iter()
                .any(|module| tree.files[module.file].path == file.path)
    })
}

struct Reader<'a> {
    file: &'a SourceFile,
    found: Vec<Found>,
}

impl Reader<'_> {
    fn item(&mut self, vis: &syn::Visibility, attributes: &[syn::Attribute], name: &syn::Ident) {
        if matches!(vis, syn::Visibility::Public(_)) {
            self.named(attributes, name);
        }
    }

    fn named(&mut self, attributes: &[syn::Attribute], name: &syn::Ident) {
        let is_said = attributes
            .iter()
            .any(|attribute| attribute.path().is_ident("doc"));
        if !is_said && !is_for_tests(attributes) {
            let advice = format!("`{name}` is public: say what it is (`///`)");
            self.found
                .push(Found::at(&self.file.path, name.span().start().line, advice));
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.item(&item.vis, &item.attrs, &item.sig.ident);
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.item(&item.vis, &item.attrs, &item.ident);
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.item(&item.vis, &item.attrs, &item.ident);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.item(&item.vis, &item.attrs, &item.ident);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.item(&item.vis, &item.attrs, &item.ident);
        if matches!(item.vis, syn::Visibility::Public(_)) {
            for field in &item.fields {
                if let Some(name) = &field.ident {
                    self.item(&field.vis, &field.attrs, name);
                }
            }
        }
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.item(&item.vis, &item.attrs, &item.ident);
        if matches!(item.vis, syn::Visibility::Public(_)) {
            for variant in &item.variants {
                self.named(&variant.attrs, &variant.ident);
                for field in &variant.fields {
                    if let Some(name) = &field.ident {
                        self.named(&field.attrs, name);
                    }
                }
            }
        }
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.item(&item.vis, &item.attrs, &item.ident);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.item(&item.vis, &item.attrs, &item.sig.ident);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_for_tests(&item.attrs) {
            if item.content.is_some() {
                self.item(&item.vis, &item.attrs, &item.ident);
            }
            visit::visit_item_mod(self, item);
        }
    }
}
