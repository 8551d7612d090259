//! One Rust file: its syntax tree, and its tokens.

use std::fs;
use std::path::Path;

use proc_macro2::TokenStream;

use super::found::{Error, Found};
use super::tokens::{self, Token};

/// One Rust file.
pub struct SourceFile {
    /// From the root, with `/`.
    pub path: String,
    /// How many lines it has.
    pub lines: usize,
    /// Its syntax tree.
    pub syntax: syn::File,
    /// Its tokens without comments and tests.
    pub tokens: Vec<Token>,
    /// Whether a library or program has it, and not for its tests alone.
    pub is_product: bool,
}

impl SourceFile {
    /// Reads and parses it.
    pub fn read(root: &Path, path: String) -> Result<Self, Error> {
        let text = fs::read_to_string(root.join(&path)).map_err(|source| Error::Read {
            path: path.clone(),
            source,
        })?;
        let parse = |path: &str, source: syn::Error| Error::Parse {
            path: path.to_owned(),
            line: source.span().start().line,
            source,
        };
        let stream: TokenStream = text
            .parse()
            .map_err(|error: proc_macro2::LexError| parse(&path, error.into()))?;
        Ok(Self {
            lines: text.lines().count(),
            syntax: syn::parse2(stream.clone()).map_err(|error| parse(&path, error))?,
            tokens: tokens::flat(stream),
            is_product: false,
            path,
        })
    }

    /// Where a rule is broken by a token, of all that there are the one at this place.
    pub fn broken(&self, advice: impl Fn(&[Token], usize) -> Option<String>) -> Vec<Found> {
        let places = self.tokens.iter().enumerate();
        places
            .filter_map(|(at, token)| {
                let advice = advice(&self.tokens, at)?;
                Some(Found::at(&self.path, token.line, advice))
            })
            .collect()
    }

    /// Whether it is one of these files, or below one of these folders.
    pub fn is_within(&self, places: &[&str]) -> bool {
        let is_below = |place: &&str| {
            if place.ends_with('/') {
                self.path.starts_with(*place)
            } else {
                self.path == *place
            }
        };
        places.iter().any(is_below)
    }
}
