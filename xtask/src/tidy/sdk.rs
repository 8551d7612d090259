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
const CALL_ADVICE: &str = "an SDK call: make it in a function of the crate's AWS folder \
                           (dispatcher/src/aws/, provisioner/src/shell/) and call that";

/// `.send()`, which is how every call of the SDK ends. A channel's takes an argument.
pub fn calls(tree: &Tree) -> Vec<Found> {
    let advice = |tokens: &[Token], at: usize| {
        let [name, open, close] = tokens.get(at..at + 3)? else {
            return None;
        };
        let is_method = at > 0 && tokens[at - 1].is(".");
        let is_send = is_method && name.is_ident("send") && open.is("(") && close.is(")");
        is_send.then(|| CALL_ADVICE.to_owned())
    };
    let files = outside(tree, &CALLERS);
    files.flat_map(|file| file.broken(advice)).collect()
}

/// A name of the SDK's crates.
pub fn types(tree: &Tree) -> Vec<Found> {
    let advice = |tokens: &[Token], at: usize| {
        let name = Some(&tokens[at]).filter(|token| is_sdk(token))?;
        let name = &name.text;
        Some(format!(
            "`{name}` is the SDK's: turn it into a type of ours where AWS is called"
        ))
    };
    let knowing: Vec<&str> = CALLERS.into_iter().chain([LEDGER]).collect();
    let mut found: Vec<Found> = outside(tree, &knowing)
        .flat_map(|file| file.broken(advice))
        .collect();
    // One line, one finding.
    found.dedup_by(|next, last| (&next.file, next.line) == (&last.file, last.line));
    found
}

fn is_sdk(token: &Token) -> bool {
    let is_of = |prefix| token.text.starts_with(prefix);
    token.kind == Kind::Ident && (is_of("aws_sdk_") || is_of("aws_smithy_"))
}

fn outside<'a>(tree: &'a Tree, places: &'a [&str]) -> impl Iterator<Item = &'a SourceFile> {
    let product = tree.files.iter().filter(|file| file.is_product);
    product.filter(move |file| !file.is_within(places))
}
