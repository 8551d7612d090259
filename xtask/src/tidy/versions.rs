//! What differs between versions of the forges stands in one table. A version that stands elsewhere
//! is a rule that nobody finds when the next version comes.

use super::found::Found;
use super::tokens::{Kind, Token};
use super::tree::Tree;

/// Whose code goes by versions.
const CODE: [&str; 2] = ["workflow/src/", "dispatcher/src/"];
/// The table.
const TABLE: [&str; 2] = ["workflow/src/server.rs", "workflow/src/server/"];
/// What stands before a pair of numbers that is compared or kept as a version.
const BEFORE: [&str; 5] = ["=", "<", ">", ":", "."];
/// Functions that take a version's numbers.
const ASKING: [&str; 6] = ["at_least", "before", "since", "until", "version", "new"];

/// Every version outside the table.
pub fn check(tree: &Tree) -> Vec<Found> {
    let files = tree.product(&CODE);
    let outside = files.filter(|file| !file.is_within(&TABLE));
    let advice = |tokens: &[Token], at| {
        let version = version(tokens, at)?;
        Some(format!(
            "{version} is a version: make it a capability in workflow/src/server"
        ))
    };
    outside.flat_map(|file| file.broken(advice)).collect()
}

fn version(tokens: &[Token], at: usize) -> Option<String> {
    let token = &tokens[at];
    if token.kind == Kind::Text {
        let is_one = is_version(&token.text) || names_version(&token.text);
        return is_one.then(|| format!("\"{}\"", shortened(&token.text)));
    }
    let numbers = numbers(&tokens[at + 1..]).filter(|_| token.is("("))?;
    let is_one = is_asked(&tokens[..at]) || is_compared(tokens, at, numbers.len());
    is_one.then(|| format!("({})", numbers.join(", ")))
}

/// As much of a text as finds it again.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(40) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// Two or three numbers up to the closing bracket.
fn numbers(tokens: &[Token]) -> Option<Vec<&str>> {
    let end = tokens.iter().position(|token| token.is(")"))?;
    let is_list = tokens[..end]
        .iter()
        .enumerate()
        .all(|(n, token)| match n % 2 {
            0 => token.kind == Kind::Number,
            _ => token.is(","),
        });
    let numbers: Vec<&str> = tokens[..end]
        .iter()
        .step_by(2)
        .map(|token| &*token.text)
        .collect();
    let is_some = numbers.first().is_some_and(|major| *major != "0");
    (is_list && is_some && (2..=3).contains(&numbers.len())).then_some(numbers)
}

/// `Version::new(`, `at_least(`.
fn is_asked(before: &[Token]) -> bool {
    let Some((name, before)) = before.split_last() else {
        return false;
    };
    let is_versions = || {
        before
            .iter()
            .rev()
            .take(3)
            .any(|token| token.is_ident("Version"))
    };
    ASKING.iter().any(|asking| name.is_ident(asking)) && (name.text != "new" || is_versions())
}

/// `version >= (1, 26)`, `SINCE: (u32, u32) = (1, 26)`, `version: (1, 26)`, `(1, 26) => `.
fn is_compared(tokens: &[Token], at: usize, numbers: usize) -> bool {
    let is_one_of =
        |token: Option<&Token>| token.is_some_and(|token| BEFORE.iter().any(|sign| token.is(sign)));
    let before = at.checked_sub(1).and_then(|before| tokens.get(before));
    let is_name = before.is_some_and(|before| before.kind == Kind::Ident);
    let after = tokens.get(at + 2 * numbers + 1);
    is_one_of(before) || (!is_name && is_one_of(after))
}

/// `1.26`, `v1.26.4`, `15.0.3+gitea-1.22.0`.
fn is_version(text: &str) -> bool {
    let text = text.strip_prefix('v').unwrap_or(text);
    let (core, rest) = text.split_at(text.find(['-', '+']).unwrap_or(text.len()));
    let parts: Vec<&str> = core.split('.').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let is_suffix = rest
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-+.".contains(&b));
    (2..=3).contains(&parts.len()) && parts.iter().all(is_number) && is_suffix
}

/// `Gitea 1.26`, `Forgejo 15` in a sentence.
fn names_version(text: &str) -> bool {
    ["Gitea ", "Forgejo "].iter().any(|forge| {
        let mut rest = text.split(forge).skip(1);
        rest.any(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
    })
}
