//! A file as a flat list of tokens, without its comments and tests: macros hide their content from a
//! syntax tree, and hide nothing here.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "syn's enums are open: what they have more of is nothing to us"
)]

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Its text; of a string its value, of a bracket the bracket.
    pub text: String,
    /// Where it starts.
    pub line: usize,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A name or keyword.
    Ident,
    /// One character of an operator.
    Punct,
    /// A bracket.
    Bracket,
    /// A string.
    Text,
    /// A number.
    Number,
    /// Anything else.
    Other,
}

impl Token {
    /// Whether it is this name.
    pub fn is_ident(&self, name: &str) -> bool {
        self.kind == Kind::Ident && self.text == name
    }

    /// Whether it is this bracket or character.
    pub fn is(&self, sign: &str) -> bool {
        matches!(self.kind, Kind::Punct | Kind::Bracket) && self.text == sign
    }
}

/// The tokens of `stream`.
pub fn flat(stream: TokenStream) -> Vec<Token> {
    let mut tokens = Vec::new();
    flatten(stream, &mut tokens);
    tokens
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    let mut trees = stream.into_iter().peekable();
    while let Some(tree) = trees.next() {
        if is_sign(&tree, '#') {
            trees.next_if(|next| is_sign(next, '!'));
            if let Some(TokenTree::Group(attribute)) = trees.peek() {
                let (is_doc, is_test) = (is_doc(attribute), is_test(attribute.stream()));
                if is_doc || is_test {
                    trees.next();
                }
                if is_test {
                    skip_item(&mut trees);
                }
                if is_doc || is_test {
                    continue;
                }
            }
        }
        push(tree, tokens);
    }
}

/// Over the rest of an item: up to its body or its semicolon.
fn skip_item(trees: &mut impl Iterator<Item = TokenTree>) {
    for tree in trees {
        let is_body = matches!(&tree, TokenTree::Group(g) if g.delimiter() == Delimiter::Brace);
        if is_body || is_sign(&tree, ';') {
            return;
        }
    }
}

fn push(tree: TokenTree, tokens: &mut Vec<Token>) {
    let line = tree.span().start().line;
    let mut put = |kind, text: String, line| tokens.push(Token { kind, text, line });
    match tree {
        TokenTree::Ident(ident) => put(Kind::Ident, ident.to_string(), line),
        TokenTree::Punct(punct) => put(Kind::Punct, punct.as_char().to_string(), line),
        TokenTree::Literal(literal) => match syn::Lit::new(literal) {
            syn::Lit::Str(text) => put(Kind::Text, text.value(), line),
            syn::Lit::Int(number) => put(Kind::Number, number.base10_digits().to_owned(), line),
            _ => put(Kind::Other, String::new(), line),
        },
        TokenTree::Group(group) => {
            let (open, close) = brackets(&group);
            put(Kind::Bracket, open.to_owned(), line);
            flatten(group.stream(), tokens);
            tokens.push(Token {
                kind: Kind::Bracket,
                text: close.to_owned(),
                line: group.span_close().start().line,
            });
        }
    }
}

fn brackets(group: &Group) -> (&'static str, &'static str) {
    match group.delimiter() {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}

fn is_sign(tree: &TokenTree, sign: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == sign)
}

fn is_doc(attribute: &Group) -> bool {
    let first = attribute.stream().into_iter().next();
    matches!(first, Some(TokenTree::Ident(name)) if name == "doc")
}

/// Whether what stands in an attribute's brackets keeps an item for tests: `test`, `tokio::test`,
/// `cfg(test)`, `cfg(all(test, …))`.
pub fn is_test(attribute: TokenStream) -> bool {
    let words: Vec<Token> = {
        let mut words = Vec::new();
        for tree in attribute {
            push(tree, &mut words);
        }
        words
    };
    let has = |name: &str| words.iter().any(|word| word.is_ident(name));
    let is_cfg = words.first().is_some_and(|word| word.is_ident("cfg"));
    let is_test = words.last().is_some_and(|word| word.is_ident("test"));
    is_test || (is_cfg && has("test") && !has("not"))
}
