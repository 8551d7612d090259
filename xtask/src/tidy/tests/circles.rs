//! Import circles, and what only looks like one.

use super::{NOTHING, found, house, write};

/// The rules of these files, which `workflow/src/lib.rs` has as modules.
fn circle(files: &[(&str, &str)]) -> Vec<String> {
    let house = house();
    let mut lib = "//! Rules.\npub(crate) fn say() {}\nmod server;\n".to_owned();
    for (path, text) in files {
        write(house.path(), &format!("workflow/src/{path}"), text);
        if let Some(name) = path.strip_suffix(".rs").filter(|name| !name.contains('/')) {
            lib += "mod ";
            lib += name;
            lib += ";\n";
        }
    }
    write(house.path(), "workflow/src/lib.rs", &lib);
    found(house.path())
}

#[test]
fn files_that_import_each_other_are_a_circle_however_they_name_it() {
    let ways = [
        ("use crate::b::B;", "use super::a::A;"),
        (
            "fn f() { crate::b::g() }",
            "fn g() { let _ = json!({ \"a\": crate::a::f() }); }",
        ),
        (
            "use crate::b;\nfn f(_: b::B) {}",
            "use super::*;\nfn g() { a::f() }",
        ),
        (
            "use crate::b::{self as bee};\nfn f() { bee::deep::h() }",
            "pub(crate) mod deep {\nuse super::super::a::A;\npub(crate) fn h(_: A) {}\n}",
        ),
        (
            "#[serde(default = \"crate::b::g\")]\nstruct A;",
            "use crate::a::{A, f as other};",
        ),
        ("pub(crate) use crate::b::B;", "use crate::a::A;"),
    ];
    for (a, b) in ways {
        let a = format!("{a}\npub(crate) struct A;\npub(crate) fn f() {{}}");
        let b = format!("{b}\npub(crate) struct B;\npub(crate) fn g() {{}}");
        let found = circle(&[("a.rs", &a), ("b.rs", &b), ("push.rs", "")]);
        assert_eq!(found.len(), 1, "{a}\n{b}\n{found:?}");
        assert!(found[0].starts_with("workflow/src/a.rs:"), "{found:?}");
        assert!(found[0].ends_with(": import-circle"), "{found:?}");
    }
}

#[test]
fn a_circle_may_be_long_and_go_through_the_crates_root() {
    let long = circle(&[
        ("a.rs", "use crate::b::B;\npub(crate) struct A;"),
        ("b.rs", "use crate::c::C;\npub(crate) struct B;"),
        ("c.rs", "\nuse crate::a::A;\npub(crate) struct C;"),
    ]);
    assert_eq!(long, ["workflow/src/a.rs:1: import-circle"]);
    let house = house();
    let lib = "//! Rules.\nmod push;\nmod server;\nfn say() { push::f() }\n";
    write(house.path(), "workflow/src/lib.rs", lib);
    write(
        house.path(),
        "workflow/src/push.rs",
        "pub(crate) fn f() { crate::say() }",
    );
    assert_eq!(
        found(house.path()),
        ["workflow/src/lib.rs:4: import-circle"]
    );
}

#[test]
fn what_only_looks_like_a_circle_is_none() {
    // The parent's re-export leads to a sibling; the parent's own types are the child's too.
    let parent =
        "mod one;\nmod two;\npub(crate) use one::One;\npub(crate) struct Own;\nuse two::Two;";
    let files = [
        ("a.rs", parent),
        ("a/one.rs", "use super::Own;\npub(crate) struct One;"),
        ("a/two.rs", "use super::One;\npub(crate) struct Two;"),
    ];
    assert_eq!(circle(&files), NOTHING);
    // A name alone, a test, a comment, a local module of the same name.
    let files = [
        ("a.rs", "use crate::b;\nuse b::B;\npub(crate) struct A;"),
        (
            "b.rs",
            "/// See [`crate::a::A`].\npub(crate) struct B;\n#[cfg(test)]\nmod tests { use crate::a::A; }\nmod a { pub(super) struct A; }\nfn f(_: a::A) {}",
        ),
    ];
    assert_eq!(circle(&files), NOTHING);
}
