//! Each rule over a small checkout that keeps them all, with one thing planted that breaks it.

mod circles;

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::check;

const PUSH_FILE: &str = "workflow/src/push.rs";
const NOTHING: [&str; 0] = [];

const ARCHITECTURE: &str = "# Architecture

## Code map
| folder | what |
|---|---|
| `dispatcher/`, `dispatcher/src/`, `dispatcher/src/plan/` | the function |
| `dispatcher/src/aws/`, `dispatcher/src/ledger/` | its calls |
| `workflow/**` | the rules |
| `xtask/` | the reasons |
";
const WORKSPACE: &str = "[workspace]
members = [\"dispatcher\", \"workflow\"]
[workspace.lints.rust]
missing_docs = \"warn\"
";
const CRATE: &str = "[lints]\nworkspace = true\n";
const LIB: &str = "//! A function.
mod aws;
mod ledger;
mod plan;
/// What is shared.
pub fn shared() -> &'static str {
    ledger::row()
}
#[cfg(test)]
mod tests {
    use aws_sdk_ec2::Client;
    async fn calls(client: Client) {
        client.describe().send().await;
        assert_eq!(\"1.26\", \"busy_ms\");
    }
}
";
/// A folder's module may have its parts, and they its types.
const PLAN: &str = "//! Decides.
mod trim;
use self::trim::too_many;
pub(crate) struct Action(u32);
/// Its time is a field, and its result is no `Result`.
fn plan(now: u64, sender: Sender) -> Action {
    let (_some, _pair) = (sender.send(now), (0, 0));
    too_many(now)
}
";
const TRIM: &str = "use super::Action;
pub(super) fn too_many(_: u64) -> Action {
    Action(1)
}
";
const AWS: &str = "use aws_sdk_dynamodb::types::AttributeValue;
async fn put(client: &Client, value: AttributeValue) {
    client.put_item().send().await;
}
";
const LEDGER: &str = "use aws_sdk_dynamodb::types::AttributeValue;
pub(crate) fn row() -> &'static str {
    \"attribute_not_exists(busy_ms)\"
}
";
const SERVER: &str = "//! The table.
const MATRIX: (u32, u32) = (1, 26);
fn name() -> &'static str {
    \"Gitea 1.26.4\"
}
";

/// File, what is put at its end, and which line then breaks which rule.
const PLANTED: &str = r#"
dispatcher/src/plan/trim.rs | fn f(c: C) { join!(c.send()) }                             |  5 | sdk-call
workflow/src/push.rs        | fn f(_: aws_sdk_ec2::Client) {}                            |  2 | sdk-type
dispatcher/src/lib.rs       | fn f() -> aws_smithy_types::Blob {}                        | 17 | sdk-type
dispatcher/src/plan.rs      | fn f() { clock::now(); }                                   | 10 | pure-plan
dispatcher/src/plan.rs      | fn f() -> Result<(), ()> { g() }                           | 10 | pure-plan
dispatcher/src/plan/trim.rs | fn f() { info!("x") }                                      |  5 | pure-plan
dispatcher/src/plan/trim.rs | use tracing::info;                                         |  5 | pure-plan
dispatcher/src/plan/trim.rs | // ↵ use std::time::Instant;                               |  6 | pure-plan
dispatcher/src/plan.rs      | const C: &str = "attribute_exists(a)";                     | 10 | dynamodb
dispatcher/src/aws/mod.rs   | const C: &str = "SET a = :b";                              |  5 | dynamodb
dispatcher/src/lib.rs       | fn f() { set("ending_ms") }                                | 17 | dynamodb
dispatcher/src/lib.rs       | use ledger::AttributeValue;                                | 17 | dynamodb
workflow/src/push.rs        | const SINCE: (u32, u32) = (1, 24);                         |  2 | version
workflow/src/push.rs        | fn f() { matches!(v, Some(w) if w >= (1, 24, 3)) }         |  2 | version
workflow/src/push.rs        | fn f() { s >= Version::new(1, 24, 0) }                     |  2 | version
dispatcher/src/lib.rs       | const V: &str = "1.26";                                    | 17 | version
dispatcher/src/lib.rs       | const V: &str = "needs Gitea 1.26";                        | 17 | version
dispatcher/src/lib.rs       | pub struct Undocumented;                                   | 17 | docs
dispatcher/src/lib.rs       | /// It. ↵ pub enum E { One }                               | 18 | docs
dispatcher/src/lib.rs       | #[expect(missing_docs)] ↵ pub(crate) struct S;             | 17 | docs
"#;

/// A checkout that keeps every rule.
fn house() -> TempDir {
    let house = tempfile::tempdir().unwrap();
    let files = [
        ("ARCHITECTURE.md", ARCHITECTURE),
        ("Cargo.toml", WORKSPACE),
        ("dispatcher/Cargo.toml", CRATE),
        ("dispatcher/src/aws/mod.rs", AWS),
        ("dispatcher/src/ledger/mod.rs", LEDGER),
        ("dispatcher/src/lib.rs", LIB),
        ("dispatcher/src/plan.rs", PLAN),
        ("dispatcher/src/plan/trim.rs", TRIM),
        ("workflow/Cargo.toml", CRATE),
        (
            "workflow/src/lib.rs",
            "//! Rules.\nmod push;\nmod server;\n",
        ),
        ("workflow/src/push.rs", "//! Of a push.\n"),
        ("workflow/src/server.rs", SERVER),
        ("xtask/tidy.toml", "[long_files]\n"),
        (".git/config", "[core]\n"),
        ("target/debug/build.rs", "no Rust at all"),
    ];
    for (path, text) in files {
        write(house.path(), path, text);
    }
    house
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// What is found once `text` is put at the end of the file, as `file:line: rule`.
fn with(path: &str, text: &str) -> Vec<String> {
    let house = house();
    let before = fs::read_to_string(house.path().join(path)).unwrap_or_default();
    write(house.path(), path, &format!("{before}{text}"));
    found(house.path())
}

fn found(root: &Path) -> Vec<String> {
    let found = check(root).unwrap();
    let short = |found: &super::Found| format!("{}:{}: {}", found.file, found.line, found.rule);
    found.iter().map(short).collect()
}

#[test]
fn a_house_that_keeps_the_rules_has_nothing_found() {
    assert_eq!(found(house().path()), NOTHING);
}

#[test]
fn each_rule_finds_what_breaks_it_with_file_and_line() {
    for row in PLANTED.trim().lines() {
        let cells: Vec<&str> = row.split(" | ").map(str::trim).collect();
        let [path, text, line, rule] = cells[..] else {
            panic!("four cells: {row}");
        };
        let found = with(path, &text.replace(" ↵ ", "\n"));
        assert_eq!(found, [format!("{path}:{line}: {rule}")], "{text}");
    }
}

#[test]
fn the_code_map_names_what_is_there_and_nothing_else() {
    let not_named = with("dispatcher/src/webhook/body.json", "{}");
    assert_eq!(not_named, ["ARCHITECTURE.md:3: code-map"]);
    let gone = with("ARCHITECTURE.md", "| `dispatcher/src/gone/` | |\n");
    assert_eq!(gone, ["ARCHITECTURE.md:10: code-map"]);
}

#[test]
fn a_file_has_at_most_450_lines_or_a_reason() {
    let path = "workflow/tests/long.rs";
    let long = "//! Long.\n".repeat(451);
    assert_eq!(with(path, &long[10..]), NOTHING);
    assert_eq!(with(path, &long), ["workflow/tests/long.rs:451: length"]);
    let house = house();
    write(house.path(), path, &long);
    let reason = |reason: &str| {
        let text = format!("[long_files]\n\"{path}\" = \"{reason}\"\n");
        write(house.path(), "xtask/tidy.toml", &text);
        found(house.path())
    };
    assert_eq!(reason(""), ["xtask/tidy.toml:2: length"]);
    assert_eq!(reason("one table"), NOTHING);
    for path in [PUSH_FILE, "workflow/src/gone.rs"] {
        let found = with("xtask/tidy.toml", &format!("\"{path}\" = \"why\"\n"));
        assert_eq!(found, ["xtask/tidy.toml:2: length"], "{path}");
    }
}

#[test]
fn a_crate_without_the_workspaces_lints_is_found() {
    let house = house();
    write(house.path(), "workflow/Cargo.toml", "[package]\n");
    assert_eq!(found(house.path()), ["workflow/Cargo.toml:1: docs"]);
    write(house.path(), "workflow/Cargo.toml", CRATE);
    write(
        house.path(),
        "Cargo.toml",
        &WORKSPACE.replace("warn", "allow"),
    );
    assert_eq!(found(house.path()), ["Cargo.toml:1: docs"]);
}
