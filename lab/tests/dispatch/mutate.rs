//! Deliveries with something wrong in them. What is wrong is data, so that a failing case can be
//! shrunk and printed.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

/// What the product reads of a body, and two fields that it passes over.
const FIELDS: [&str; 18] = [
    "/action",
    "/workflow_job",
    "/workflow_job/id",
    "/workflow_job/run_id",
    "/workflow_job/run_attempt",
    "/workflow_job/name",
    "/workflow_job/labels",
    "/workflow_job/labels/0",
    "/workflow_job/head_sha",
    "/workflow_job/html_url",
    "/workflow_job/created_at",
    "/workflow_job/conclusion",
    "/workflow_job/runner_id",
    "/workflow_job/runner_name",
    "/workflow_job/steps",
    "/repository",
    "/repository/full_name",
    "/sender",
];

/// Those of them that hold text.
const TEXTS: [&str; 9] = [
    "/action",
    "/workflow_job/name",
    "/workflow_job/labels/0",
    "/workflow_job/head_sha",
    "/workflow_job/html_url",
    "/workflow_job/created_at",
    "/workflow_job/conclusion",
    "/workflow_job/runner_name",
    "/repository/full_name",
];

/// One thing that is wrong.
#[derive(Debug, Clone)]
pub(crate) enum Mutation {
    /// A field holds something else.
    Says(&'static str, Value),
    /// A field is missing.
    Lacks(&'static str),
    /// A bit is another.
    Flips(Index, u8),
    /// Bytes are missing.
    Cuts(Index, u8),
    /// Bytes come twice.
    Doubles(Index, u8),
    /// Bytes that nobody wrote.
    Inserts(Index, Vec<u8>),
}

/// One or two things that are wrong, mostly such that the body can still be read.
pub(crate) fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let one = prop_oneof![
        12 => (select(&TEXTS[..]), text()).prop_map(|(field, value)| Mutation::Says(field, value)),
        4 => (select(&FIELDS[..]), value()).prop_map(|(field, value)| Mutation::Says(field, value)),
        2 => select(&FIELDS[..]).prop_map(Mutation::Lacks),
        1 => (any::<Index>(), 0..8_u8).prop_map(|(at, bit)| Mutation::Flips(at, bit)),
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, length)| Mutation::Cuts(at, length)),
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, length)| Mutation::Doubles(at, length)),
        1 => (any::<Index>(), prop::collection::vec(any::<u8>(), 1..8))
            .prop_map(|(at, bytes)| Mutation::Inserts(at, bytes)),
    ];
    prop::collection::vec(one, 1..3)
}

/// `body` with all of `mutations`, those of its fields first.
pub(crate) fn mutated(body: &[u8], mutations: &[Mutation]) -> Vec<u8> {
    let mut document: Value = serde_json::from_slice(body).unwrap();
    for mutation in mutations {
        mutate_field(&mut document, mutation);
    }
    let mut bytes = document.to_string().into_bytes();
    for mutation in mutations {
        mutate_bytes(&mut bytes, mutation);
    }
    bytes
}

fn mutate_field(document: &mut Value, mutation: &Mutation) {
    let (Mutation::Says(field, _) | Mutation::Lacks(field)) = mutation else {
        return;
    };
    let (parent, name) = field.rsplit_once('/').unwrap();
    let Some(parent) = document.pointer_mut(parent) else {
        return;
    };
    match (parent, mutation) {
        (Value::Object(parent), Mutation::Says(_, value)) => {
            parent.insert(name.to_owned(), value.clone());
        }
        (Value::Object(parent), _) => {
            parent.remove(name);
        }
        (Value::Array(parent), Mutation::Says(_, value)) if !parent.is_empty() => {
            parent[0] = value.clone();
        }
        _ => {}
    }
}

fn mutate_bytes(bytes: &mut Vec<u8>, mutation: &Mutation) {
    if bytes.is_empty() {
        return;
    }
    let range = |at: &Index, length: u8| {
        let start = at.index(bytes.len());
        start..(start + usize::from(length)).min(bytes.len())
    };
    match mutation {
        Mutation::Says(..) | Mutation::Lacks(_) => {}
        Mutation::Flips(at, bit) => {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        Mutation::Cuts(at, length) => {
            let cut = range(at, *length);
            bytes.drain(cut);
        }
        Mutation::Doubles(at, length) => {
            let part = range(at, *length);
            bytes.extend_from_within(part);
        }
        Mutation::Inserts(at, more) => {
            let at = at.index(bytes.len());
            bytes.splice(at..at, more.iter().copied());
        }
    }
}

/// Texts that something once stumbled over.
fn text() -> impl Strategy<Value = Value> {
    let words = [
        "",
        " ",
        "queued",
        "in_progress",
        "completed",
        "cancelled",
        "base",
        "Array",
        "acme/app",
        "acme/other",
        "../..",
        "acme/app?token=x#y",
        "\u{0}",
        "\u{202e}gnp.exe",
        "i-0123456789abcdef0",
        "i-",
        "https://git.example.org/acme/app",
        "http://127.0.0.1:3300/acme/app",
        "http://[::1",
        "1970-01-01T00:00:00Z",
        "-009999-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
    ];
    prop_oneof![
        6 => select(words.map(|word| json!(word)).to_vec()),
        1 => (select(&["x", "é", "\u{1f600}"][..]), select(&[200, 256, 961, 1025, 5000][..]))
            .prop_map(|(letter, times)| json!(letter.repeat(times))),
        1 => any::<String>().prop_map(|text| json!(text)),
    ]
}

/// Values of any type.
fn value() -> impl Strategy<Value = Value> {
    let odd = vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(1.5),
        json!(1e308),
        json!([]),
        json!([""]),
        json!(["base", ""]),
        json!(["Array"]),
        json!(["base"]),
        json!(vec!["base"; 33]),
        json!({}),
        json!({"full_name": "acme/app"}),
        (0..100).fold(json!(0), |inner, _| json!([inner])),
    ];
    prop_oneof![
        4 => text(),
        4 => select(odd),
        1 => any::<u64>().prop_map(|number| json!(number)),
    ]
}
