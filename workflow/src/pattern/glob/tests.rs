use super::*;

#[test]
fn a_glob_stays_between_separators() {
    for (pattern, separators, yes, no) in [
        ("", "", &[""][..], &["a"][..]),
        (
            "* ?at * eyes",
            "",
            &["my cat has very bright eyes"],
            &["eyes"],
        ),
        ("*", ".", &["a", ""], &["a.b"]),
        ("a.**", ".", &["a.b.c"], &["a"]),
        ("a.?.?", ".", &["a.b.c"], &["a.b.", "a...c"]),
        ("{abc,abcd}a", "", &["abca", "abcda"], &["abcd"]),
        (
            "/{rate,[a-z][!a-z][a-z]}*",
            "",
            &["/rate", "/a1b"],
            &["/abc"],
        ),
        (
            "*//{,*.}example.com",
            "",
            &["https://example.com", "x//y.example.com"],
            &["x//yexample.com"],
        ),
        ("{{a,b},{c,}}x", "", &["ax", "cx", "x"], &["dx"]),
        ("a+(b)", "", &["a+(b)"], &["aa(b)"]),
        ("*", "a-c", &["d"], &["b"]),
    ] {
        let separators: Vec<char> = separators.chars().collect();
        let glob = Glob::compile(GlobDialect::Strict, pattern, &separators).unwrap();
        for text in yes {
            assert!(glob.matches(text), "{pattern} {text}");
        }
        for text in no {
            assert!(!glob.matches(text), "{pattern} {text}");
        }
    }
}

#[test]
fn an_open_group_was_overlooked_before_1_27() {
    let of = |minor| GlobDialect::of(Server::gitea(1, minor, 0));
    assert!(Glob::compile(of(27), "{ab", &['/']).is_err());
    let lenient = Glob::compile(of(26), "{a{b,c}d", &['/']).unwrap();
    assert!(lenient.matches("abd") && !lenient.matches("ad"));
    let split = Glob::compile(of(26), "{ab,c", &['/']).unwrap();
    assert!(split.matches("abx") && split.matches("xc") && !split.matches("xab"));
}

#[test]
fn a_hook_is_sent_for_the_refs_that_its_filter_names() {
    for (filter, ref_name, sent) in [
        ("*", "any", true),
        ("feature*", "refs/heads/feature/a/b", true),
        ("refs/heads/**", "refs/heads/x", true),
        ("{main", "refs/heads/main", false),
    ] {
        assert_eq!(
            branch_filter_passes(filter, ref_name),
            sent,
            "{filter} {ref_name}"
        );
    }
}
