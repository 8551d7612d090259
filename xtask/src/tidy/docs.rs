//! Public items say what they are. rustc's `missing_docs` knows best what is public, so it may not be
//! off anywhere; what anybody can see without it, an item with `pub` and no word, is found here too.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "syn's enums are open: what they have more of is nothing to us"
)]

use syn::visit::{self, Visit};
use toml::Value;

use super::found::Found;
use super::items::{is_for_tests, parts};
use super::modules::ModuleTree;
use super::source::SourceFile;
use super::tokens::Token;
use super::tree::Tree;

/// Every item without a word, and every place where the compiler is told not to look.
pub fn check(tree: &Tree) -> Vec<Found> {
    let mut found = lints(tree);
    for (place, file) in tree
        .files
        .iter()
        .enumerate()
        .filter(|(_, it)| it.is_product)
    {
        found.extend(file.broken(silenced));
        // A program has no public items.
        let is_library = |target: &ModuleTree| {
            let root = &tree.files[target.modules[0].file];
            let mut modules = target.modules.iter();
            root.path.ends_with("/lib.rs") && modules.any(|module| module.file == place)
        };
        if tree.targets.iter().any(is_library) {
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

fn silenced(tokens: &[Token], at: usize) -> Option<String> {
    let [level, open, lint] = tokens.get(at..at + 3)? else {
        return None;
    };
    let is_off = level.is_ident("allow") || level.is_ident("expect");
    let is_silenced = is_off && open.is("(") && lint.is_ident("missing_docs");
    is_silenced.then(|| "write the docs instead of silencing `missing_docs`".to_owned())
}

struct Reader<'a> {
    file: &'a SourceFile,
    found: Vec<Found>,
}

impl Reader<'_> {
    fn public(&mut self, vis: &syn::Visibility, attributes: &[syn::Attribute], name: &syn::Ident) {
        if matches!(vis, syn::Visibility::Public(_)) {
            self.named(attributes, name);
        }
    }

    fn named(&mut self, attributes: &[syn::Attribute], name: &syn::Ident) {
        let mut attributes = attributes.iter();
        if !attributes.any(|attribute| attribute.path().is_ident("doc")) {
            let advice = format!("`{name}` is public: say what it is (`///`)");
            let line = name.span().start().line;
            self.found.push(Found::at(&self.file.path, line, advice));
        }
    }

    fn fields(&mut self, fields: &syn::Fields, is_of_variant: bool) {
        for field in fields {
            match &field.ident {
                Some(name) if is_of_variant => self.named(&field.attrs, name),
                Some(name) => self.public(&field.vis, &field.attrs, name),
                None => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let Some(parts) = parts(item).filter(|parts| !is_for_tests(parts.attributes)) else {
            return;
        };
        if let (Some(vis), Some(name)) = (parts.visibility, parts.name) {
            self.public(vis, parts.attributes, name);
        }
        let is_public = matches!(parts.visibility, Some(syn::Visibility::Public(_)));
        match item {
            syn::Item::Struct(item) if is_public => self.fields(&item.fields, false),
            syn::Item::Enum(item) if is_public => {
                for variant in &item.variants {
                    self.named(&variant.attrs, &variant.ident);
                    self.fields(&variant.fields, true);
                }
            }
            syn::Item::Impl(_) => visit::visit_item(self, item),
            syn::Item::Mod(module) => {
                if module.content.is_some() {
                    self.public(&module.vis, &module.attrs, &module.ident);
                }
                visit::visit_item(self, item);
            }
            _ => {}
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_for_tests(&item.attrs) {
            self.public(&item.vis, &item.attrs, &item.sig.ident);
        }
    }
}
