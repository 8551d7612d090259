//! DynamoDB's words in the dispatcher: which attributes a row has and how an expression is written is
//! the ledger's to know, so that a row's shape can change in one folder.

use super::found::Found;
use super::tokens::{Kind, Token};
use super::tree::Tree;

/// Who speaks it.
const LEDGER: [&str; 1] = ["dispatcher/src/ledger/"];
/// Who hands on the values of rows without reading them.
const AWS: [&str; 1] = ["dispatcher/src/aws/"];
/// How expressions begin, and what functions they have.
const EXPRESSIONS: [&str; 6] = [
    "attribute_exists",
    "attribute_not_exists",
    "begins_with(",
    "SET ",
    "REMOVE ",
    " = :",
];
/// Attributes of every row.
const ATTRIBUTES: [&str; 3] = ["pk", "sk", "ttl"];

/// Every such word outside the ledger.
pub fn check(tree: &Tree) -> Vec<Found> {
    let files = tree.product(&["dispatcher/src/"]);
    let outside = files.filter(|file| !file.is_within(&LEDGER));
    outside
        .flat_map(|file| file.broken(|tokens, at| advice(&tokens[at], file.is_within(&AWS))))
        .collect()
}

fn advice(token: &Token, may_hand_on: bool) -> Option<String> {
    let text = &*token.text;
    let (is_text, is_name) = (token.kind == Kind::Text, token.kind == Kind::Ident);
    let is_expression = is_text && EXPRESSIONS.iter().any(|words| text.contains(words));
    let is_attribute = is_text && is_attribute(text) || is_name && text.starts_with("ATTRIBUTE_");
    if is_expression {
        let advice = "an expression of DynamoDB's: make it an operation of the ledger";
        Some(format!("\"{text}\" is {advice}"))
    } else if is_attribute {
        let advice = "an attribute of a row: make this an operation of the ledger";
        Some(format!("`{text}` is {advice}"))
    } else if is_name && text == "AttributeValue" && !may_hand_on {
        let advice = "DynamoDB's: the ledger turns rows into types of ours";
        Some(format!("`{text}` is {advice}"))
    } else {
        None
    }
}

/// Moments are what rows have most of, and nothing else is called so in a string.
fn is_attribute(text: &str) -> bool {
    let is_word = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    ATTRIBUTES.contains(&text) || (text.ends_with("_ms") && is_word(text))
}
