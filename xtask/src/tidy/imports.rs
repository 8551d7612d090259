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
    let mut leaf = |name: Option<String>, last: Option<String>| {
        let path = path.iter().cloned().chain(last).collect();
        imports.push(Import { name, path, lines });
    };
    match tree {
        syn::UseTree::Path(next) => {
            path.push(next.ident.to_string());
            leaves(&next.tree, path, lines, imports);
            path.pop();
        }
        syn::UseTree::Name(name) if name.ident == "self" => leaf(path.last().cloned(), None),
        syn::UseTree::Name(name) => {
            leaf(Some(name.ident.to_string()), Some(name.ident.to_string()));
        }
        syn::UseTree::Rename(name) if name.ident == "self" => {
            leaf(Some(name.rename.to_string()), None);
        }
        syn::UseTree::Rename(name) => {
            leaf(Some(name.rename.to_string()), Some(name.ident.to_string()));
        }
        syn::UseTree::Glob(_) => leaf(None, None),
        syn::UseTree::Group(group) => {
            for tree in &group.items {
                leaves(tree, path, lines, imports);
            }
        }
    }
}
