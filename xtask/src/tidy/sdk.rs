//! Where AWS's SDK may be called, and where its types may be named. The lab stands in for AWS and is
//! free of both.

use super::found::Found;
use super::source::SourceFile;
use super::tokens::{Kind, Token};
use super::tree::Tree;

/// Who calls AWS.
const CALLERS: [&str; 4] = [
    "dispatcher/src/aws/",
    "provisioner/src/aws.rs",
    "provisioner/src/shell/",
    "lab/",
];
/// Who knows the values that calls are made of, without calling.
const LEDGER: &str = "dispatcher/src/ledger/";

/// `.send()`, which is how every call of the SDK ends. A channel's takes an argument.
pub fn calls(tree: &Tree) -> Vec<Found> {
    let is_call = |tokens: &[Token]| {
        let [dot, name, open, close] = tokens else {
            return None;
        };
        let is_send = dot.is(".") && name.is_ident("send") && open.is("(") && close.is(")");
        is_send.then_some(name.line)
    };
    let calls = |file: &SourceFile| -> Vec<Found> {
        let advice = "an SDK call: make it in a function of the crate's AWS folder (dispatcher/src/aws/, provisioner/src/shell/) and call that";
        let lines = file.tokens.windows(4).filter_map(is_call);
        lines
            .map(|line| Found::at(&file.path, line, advice))
            .collect()
    };
    outside(tree, &CALLERS).flat_map(calls).collect()
}

/// A name of the SDK's crates.
pub fn types(tree: &Tree) -> Vec<Found> {
    let types = |file: &SourceFile| -> Vec<Found> {
        let mut found: Vec<Found> = Vec::new();
        for token in file.tokens.iter().filter(|token| is_sdk(token)) {
            if found.last().is_none_or(|last| last.line != token.line) {
                let advice = format!(
                    "`{}` is the SDK's: turn it into a type of ours where AWS is called",
                    token.text
                );
                found.push(Found::at(&file.path, token.line, advice));
            }
        }
        found
    };
    let knowing: Vec<&str> = CALLERS.into_iter().chain([LEDGER]).collect();
    outside(tree, &knowing).flat_map(types).collect()
}

fn is_sdk(token: &Token) -> bool {
    let is_of = |prefix| token.text.starts_with(prefix);
    token.kind == Kind::Ident && (is_of("aws_sdk_") || is_of("aws_smithy_"))
}

fn outside<'a>(tree: &'a Tree, places: &'a [&str]) -> impl Iterator<Item = &'a SourceFile> {
    let product = tree.files.iter().filter(|file| file.is_product);
    product.filter(move |file| !file.is_within(places))
}
