//! What a `use` brings in.

/// One name, or all of a module's names, that are imported.
pub struct Import {
    /// The name that it has here; none for `*`.
    pub name: Option<String>,
    /// What it is.
    pub path: Vec<String>,
    /// First and last line of the `use`.
    pub lines: (usize, usize),
}

/// Each name of a `use`.
pub fn leaves(
    tree: &syn::UseTree,
    path: &mut Vec<String>,
    lines: (usize, usize),
    imports: &mut Vec<Import>,
) {
    let (name, last) = match tree {
        syn::UseTree::Path(next) => {
            path.push(next.ident.to_string());
            leaves(&next.tree, path, lines, imports);
            path.pop();
            return;
        }
        syn::UseTree::Group(group) => {
            for tree in &group.items {
                leaves(tree, path, lines, imports);
            }
            return;
        }
        syn::UseTree::Name(name) if name.ident == "self" => (path.last().cloned(), None),
        syn::UseTree::Name(name) => (Some(name.ident.to_string()), Some(&name.ident)),
        syn::UseTree::Rename(name) => {
            let last = Some(&name.ident).filter(|ident| *ident != "self");
            (Some(name.rename.to_string()), last)
        }
        syn::UseTree::Glob(_) => (None, None),
    };
    let last = last.map(ToString::to_string);
    let path = path.iter().cloned().chain(last).collect();
    imports.push(Import { name, path, lines });
}
