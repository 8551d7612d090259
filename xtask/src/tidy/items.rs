//! What an item says of itself: its name, its attributes.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "syn's enums are open: what they have more of is nothing to us"
)]

use super::tokens::is_test;

/// Whether these attributes keep an item for tests.
pub fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::Path(path) => path
            .segments
            .last()
            .is_some_and(|last| last.ident == "test"),
        syn::Meta::List(list) if list.path.is_ident("cfg") => {
            let text = format!("cfg({})", list.tokens);
            text.parse().is_ok_and(is_test)
        }
        _ => false,
    })
}

/// The file that `#[path = "…"] mod x;` names.
pub fn explicit_path(item: &syn::ItemMod) -> Option<String> {
    item.attrs
        .iter()
        .find_map(|attribute| match &attribute.meta {
            syn::Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
                syn::Expr::Lit(syn::ExprLit {
                    lit: syn::Lit::Str(text),
                    ..
                }) => Some(text.value()),
                _ => None,
            },
            _ => None,
        })
}

/// What most kinds of items have.
pub struct Parts<'a> {
    /// Its attributes.
    pub attributes: &'a [syn::Attribute],
    /// Who may name it.
    pub visibility: Option<&'a syn::Visibility>,
    /// The name that it gives to its module.
    pub name: Option<&'a syn::Ident>,
}

/// What this item has of that.
pub fn parts(item: &syn::Item) -> Option<Parts<'_>> {
    let (attributes, visibility, name) = match item {
        syn::Item::Const(it) => (&it.attrs, Some(&it.vis), Some(&it.ident)),
        syn::Item::Enum(it) => (&it.attrs, Some(&it.vis), Some(&it.ident)),
        syn::Item::Fn(it) => (&it.attrs, Some(&it.vis), Some(&it.sig.ident)),
        syn::Item::Impl(it) => (&it.attrs, None, None),
        syn::Item::Macro(it) => (&it.attrs, None, it.ident.as_ref()),
        syn::Item::Mod(it) => (&it.attrs, Some(&it.vis), None),
        syn::Item::Static(it) => (&it.attrs, Some(&it.vis), Some(&it.ident)),
        syn::Item::Struct(it) => (&it.attrs, Some(&it.vis), Some(&it.ident)),
        syn::Item::Trait(it) => (&it.attrs, Some(&it.vis), Some(&it.ident)),
        syn::Item::TraitAlias(it) => (&it.attrs, Some(&it.vis), Some(&it.ident)),
        syn::Item::Type(it) => (&it.attrs, Some(&it.vis), Some(&it.ident)),
        syn::Item::Union(it) => (&it.attrs, Some(&it.vis), Some(&it.ident)),
        syn::Item::Use(it) => (&it.attrs, None, None),
        _ => return None,
    };
    Some(Parts {
        attributes,
        visibility,
        name,
    })
}
