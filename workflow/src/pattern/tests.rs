use super::*;

const BOTH: [Dialect; 2] = [Dialect::Nektos, Dialect::Gitea];

/// (skipped as a list to include, skipped as a list to ignore)
fn skips(dialect: Dialect, patterns: &[impl AsRef<str>], inputs: &[&str]) -> (bool, bool) {
    let list = PatternList::compile(dialect, patterns).unwrap();
    (
        list.skips(Way::Include, inputs),
        list.skips(Way::Ignore, inputs),
    )
}

#[test]
fn most_patterns_mean_the_same_in_both_dialects() {
    for dialect in BOTH {
        for (pattern, yes, no) in [
            ("main", &["main"][..], &["Main", "main2", "a/main", ""][..]),
            ("*", &["a", "", ".x"], &["a/b"]),
            ("**", &["a/b", ""], &["a\nb"]),
            (
                "feature/*",
                &["feature/a", "feature/"],
                &["feature", "feature/a/b"],
            ),
            ("*.jsx?", &["a.js", "a.jsx"], &["b/a.js"]),
            ("**/a.md", &["a.md", "x/a.md", "x/y/a.md"], &["a.mdx"]),
            ("v[12].[0-9]+", &["v1.10", "v2.0"], &["v1", "v3.1"]),
            ("\\!a\\*", &["!a*"], &["a*", "!ab"]),
            ("a,b|c^$(.)", &["a,b|c^$(.)"], &["a"]),
            ("ünï*", &["ünïcode"], &["uni"]),
            ("ü+", &["üü"], &["u"]),
            ("", &[""], &["a"]),
            ("a/**/**/b", &["a/b", "a/x/y/b"], &["a/x"]),
        ] {
            for input in yes {
                assert_eq!(
                    skips(dialect, &[pattern], &[input]),
                    (false, true),
                    "{pattern} {input}"
                );
            }
            for input in no {
                assert_eq!(
                    skips(dialect, &[pattern], &[input]),
                    (true, false),
                    "{pattern} {input}"
                );
            }
        }
    }
}

/// Beside those that are among the cases of `conformance`.
#[test]
fn where_the_dialects_differ() {
    let is_in = |dialect, pattern, input| !skips(dialect, &[pattern], &[input]).0;
    for (pattern, input, nektos, gitea) in [
        ("a**/b", "ab", true, false),
        ("{a,b}", "a", false, true),
        ("{a,b}", "{a,b}", true, false),
        ("a\\db", "a1b", false, true),
        ("?x", "yx", false, true),
        ("a}", "a}", true, true),
        ("\\Q{a", "Q{a", true, false),
        ("\\Q{a", "(a$", false, true),
    ] {
        assert_eq!(
            is_in(Dialect::Nektos, pattern, input),
            nektos,
            "{pattern} {input}"
        );
        assert_eq!(
            is_in(Dialect::Gitea, pattern, input),
            gitea,
            "{pattern} {input}"
        );
    }
}

#[test]
fn a_pattern_that_the_forge_refuses_spoils_its_list() {
    use Dialect::{Gitea, Nektos};
    for (dialect, pattern) in [
        (Nektos, "[]"),
        (Nektos, "[abc"),
        (Nektos, "[!a]"),
        (Nektos, "[a-c-]x"),
        (Nektos, "[z-a]"),
        (Nektos, "[A-\\d]"),
        (Nektos, "*+"),
        (Nektos, "a???"),
        (Nektos, "a\\"),
        (Gitea, "[]"),
        (Gitea, "{a"),
        (Gitea, "*+"),
        (Gitea, "a\\y"),
        (Gitea, "{+a}"),
    ] {
        let fault = PatternList::compile(dialect, &["main", pattern]).unwrap_err();
        assert!(fault.is_refused_by_the_forge(), "{fault}");
        let begin = format!("the forge refuses the pattern `{pattern}`: ");
        assert!(fault.to_string().starts_with(&begin), "{fault}");
    }
}

#[test]
fn the_last_pattern_decides_what_is_included_and_the_first_what_is_ignored() {
    for dialect in BOTH {
        let list = ["*.md", "!README.md", "README*"];
        assert_eq!(
            skips(dialect, &["docs/**"], &["docs/a", "src/b"]),
            (false, false)
        );
        let list = PatternList::compile(dialect, &list).unwrap();
        let by = |by| Decision {
            holds: true,
            by: Some(by),
        };
        assert_eq!(list.decide(Way::Include, "README.md"), by("README*"));
        assert_eq!(list.decide(Way::Ignore, "README.md"), by("*.md"));
        assert_eq!(list.decide(Way::Ignore, "other"), by("!README.md"));
        let out = Decision {
            holds: false,
            by: None,
        };
        assert_eq!(list.decide(Way::Include, "src/a"), out);
    }
}

#[test]
fn a_list_over_a_limit_says_which() {
    let long = "a".repeat(PATTERN_MAX_BYTES + 1);
    let many = vec!["a"; LIST_MAX + 1];
    let heavy = vec!["a".repeat(PATTERN_MAX_BYTES); LIST_MAX_BYTES / PATTERN_MAX_BYTES + 1];
    let long = PatternList::compile(Dialect::Nektos, &[long]).unwrap_err();
    let many = PatternList::compile(Dialect::Nektos, &many).unwrap_err();
    let heavy = PatternList::compile(Dialect::Nektos, &heavy).unwrap_err();
    assert_eq!(long, BadPattern::Long { bytes: 1025 });
    assert_eq!(
        many,
        BadPattern::Many {
            count: 1001,
            bytes: 1001
        }
    );
    assert_eq!(
        heavy,
        BadPattern::Many {
            count: 33,
            bytes: 33 * 1024
        }
    );
    for limit in [long, many, heavy] {
        assert!(!limit.is_refused_by_the_forge());
    }
    for pattern in ["\\pL", "{?i}a"] {
        let unfollowed = PatternList::compile(Dialect::Gitea, &[pattern]).unwrap_err();
        assert!(!unfollowed.is_refused_by_the_forge(), "{unfollowed}");
    }
}

#[test]
fn a_pattern_that_backtracking_would_not_survive_is_answered() {
    let input = format!("{}b", "a".repeat(5_000));
    for (dialect, pattern) in [
        (Dialect::Nektos, "a?".repeat(400)),
        (Dialect::Nektos, "**/".repeat(300)),
        (Dialect::Gitea, "{a,aa}+".repeat(140)),
        (
            Dialect::Gitea,
            format!("{}a{}", "{".repeat(300), "}+".repeat(300)),
        ),
    ] {
        assert_eq!(skips(dialect, &[pattern], &[&input]), (true, false));
    }
}

proptest::proptest! {
    #[test]
    fn no_text_is_too_odd(
        pattern in "[\\[\\]{}()*+?!^$|\\\\a-cQEdwxpP0-9:,/.é😀-]{0,24}",
        input in "\\PC{0,24}",
    ) {
        for dialect in BOTH {
            if let Ok(list) = PatternList::compile(dialect, &[&pattern]) {
                let decision = list.decide(Way::Include, &input);
                proptest::prop_assert_eq!(list.skips(Way::Include, &[&input]), !decision.holds);
            }
        }
    }

    #[test]
    fn a_name_matches_itself(name in "[a-zA-Z0-9_ ./ü-]{0,40}") {
        for dialect in BOTH {
            proptest::prop_assert_eq!(skips(dialect, &[&name], &[&name]), (false, true));
        }
    }
}
