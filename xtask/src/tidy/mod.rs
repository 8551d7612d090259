//! `cargo xtask tidy`: the rules of the house that no compiler checks, over the sources as they stand.
//!
//! A rule is a row of [`RULES`]: its name, what it says, and a function from the parsed tree to what
//! it finds there. None knows of another, and none changes a file. What is found is printed as
//! `file:line: rule: what to do`.

mod circles;
mod code_map;
mod docs;
mod dynamodb;
mod found;
mod imports;
mod items;
mod length;
mod modules;
mod names;
mod pure;
mod sdk;
mod source;
mod tokens;
mod tree;
mod versions;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::Path;

use self::tree::Tree;
use crate::output::say;

pub use self::found::{Error, Found};

/// One rule.
pub struct Rule {
    /// What it is called in what is printed.
    pub name: &'static str,
    /// What it says.
    pub says: &'static str,
    /// Who breaks it.
    check: fn(&Tree) -> Vec<Found>,
}

/// Every rule.
pub const RULES: [Rule; 9] = [
    Rule {
        name: "sdk-call",
        says: "AWS is called in the dispatcher's aws/, the provisioner's shell/ and aws.rs, and the lab",
        check: sdk::calls,
    },
    Rule {
        name: "sdk-type",
        says: "the SDK's types stay where it is called, and in the dispatcher's ledger/",
        check: sdk::types,
    },
    Rule {
        name: "pure-plan",
        says: "the dispatcher's plan has no clock, log, `async` or `Result`",
        check: pure::check,
    },
    Rule {
        name: "dynamodb",
        says: "the dispatcher's words of DynamoDB (expressions, attribute names) stand in ledger/",
        check: dynamodb::check,
    },
    Rule {
        name: "import-circle",
        says: "files of a crate do not import each other in a circle",
        check: circles::check,
    },
    Rule {
        name: "version",
        says: "a forge's version stands in the rules' table of servers only",
        check: versions::check,
    },
    Rule {
        name: "docs",
        says: "every public item says what it is",
        check: docs::check,
    },
    Rule {
        name: "code-map",
        says: "ARCHITECTURE.md's code map names every folder, and only what is there",
        check: code_map::check,
    },
    Rule {
        name: "length",
        says: "a Rust file has at most 450 lines, or a reason in xtask/tidy.toml",
        check: length::check,
    },
];

/// Everything that breaks a rule, in the order of files and lines.
pub fn check(root: &Path) -> Result<Vec<Found>, Error> {
    let tree = Tree::load(root)?;
    let mut all = Vec::new();
    for rule in &RULES {
        let found = (rule.check)(&tree);
        all.extend(found.into_iter().map(|found| Found {
            rule: rule.name,
            ..found
        }));
    }
    all.sort();
    Ok(all)
}

/// Prints what breaks a rule, and says how much does.
pub fn print(root: &Path) -> Result<usize, Error> {
    let all = check(root)?;
    for found in &all {
        say(&found.to_string());
    }
    let rules: BTreeSet<&str> = all.iter().map(|found| found.rule).collect();
    for rule in RULES.iter().filter(|rule| rules.contains(rule.name)) {
        say(&format!("{}: {}", rule.name, rule.says));
    }
    say(&format!("tidy: {} rules, {} found", RULES.len(), all.len()));
    Ok(all.len())
}
