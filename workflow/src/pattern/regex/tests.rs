use super::{Fault, Regex};

#[test]
fn an_expression_means_what_it_means_to_go() {
    for (text, yes, no) in [
        (
            "^main$",
            &["main"][..],
            &["", "mai", "mainx", "xmain", "main\n"][..],
        ),
        ("^[^/]*$", &["", "a", "a\nb", "ü"], &["/", "a/b"]),
        ("^a.*z$", &["az", "a/z", "aüz"], &["a\nz", "a", "z"]),
        (
            "^(.+/)?docs/.*$",
            &["docs/", "x/docs/a"],
            &["mydocs/x", "/docs/a"],
        ),
        ("^[^/]*\\.jsx?$", &["a.js", ".jsx"], &["a.j", "a/b.js"]),
        ("^v[12]\\.[0-9]+$", &["v1.10"], &["v3.1", "v1."]),
        ("^(a|bc|)x$", &["ax", "bcx", "x"], &["bx", "abcx"]),
        ("^(a|b)+$", &["a", "abba"], &["", "abc"]),
        ("^a+?b??$", &["a", "aab"], &["b", ""]),
        ("^?x$", &["x", "?x", "yx"], &["xy"]),
        ("^+x$", &["x"], &["yx"]),
        ("^a|b$", &["a", "axx", "xxb"], &["xa", "bx"]),
        ("^[a-]$", &["a", "-"], &["b"]),
        ("^[]a]$", &["]", "a"], &["b"]),
        ("^[[:^alpha:]x]$", &["1", "x"], &["a"]),
        ("^\\d\\S\\W$", &["1a-"], &["aa-", "1 -", "1aa"]),
        ("^\\Qa.b\\E+$", &["a.bb"], &["axb", "a."]),
        ("^\\Qa$", &["a$", "a$b"], &["a"]),
        ("^\\ba\\b.*$", &["a", "a-b"], &["ab"]),
        ("^\\x41\\x{00000000000042}\\103$", &["ABC"], &["abc"]),
        ("^[^\\x{0}-\\x{10FFFF}]*$", &[""], &["a"]),
        ("^(a*)*(b+)+$", &["b", "aab"], &["", "a"]),
        ("^x\\By$", &["xy"], &["x y"]),
    ] {
        let regex = Regex::new(text).unwrap();
        for input in yes {
            assert!(regex.matches(input), "{text} {input:?}");
        }
        for input in no {
            assert!(!regex.matches(input), "{text} {input:?}");
        }
    }
}

#[test]
fn what_go_refuses_is_refused() {
    for (text, fault) in [
        ("^[^/]*+$", Fault::RepeatsRepeat),
        ("^a???$", Fault::RepeatsRepeat),
        ("^(+a)$", Fault::NothingToRepeat),
        ("^(a|?)$", Fault::NothingToRepeat),
        ("^[]$", Fault::OpenClass),
        ("^[z-a]$", Fault::BadRange),
        ("^[[:no:]]$", Fault::BadRange),
        ("^\\y$", Fault::BadEscape),
        ("^\\ü$", Fault::BadEscape),
        ("^\\1$", Fault::BadEscape),
        ("^\\x4$", Fault::BadEscape),
        ("^\\x{110000}$", Fault::BadEscape),
        ("^a\\", Fault::OpenEscape),
        ("^(a$", Fault::OpenGroup),
        ("^a)$", Fault::ClosedGroup),
        ("^\\pL$", Fault::UnicodeClass),
    ] {
        assert_eq!(Regex::new(text).unwrap_err(), fault, "{text}");
    }
}

#[test]
fn an_expression_of_more_than_64_places_is_matched_as_well() {
    let regex = Regex::new(&format!("^{}(x|y)$", "a?".repeat(100))).unwrap();
    assert!(regex.matches("aaay") && regex.matches(&format!("{}x", "a".repeat(100))));
    assert!(!regex.matches(&format!("{}x", "a".repeat(101))) && !regex.matches("aaa"));
}
