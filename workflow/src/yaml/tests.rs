use proptest::prelude::*;

use super::*;

fn value(text: &str) -> Result<String, String> {
    told(text.as_bytes())
}

fn told(bytes: &[u8]) -> Result<String, String> {
    match parse(bytes).and_then(|node| node.map(|node| node.value()).transpose()) {
        Ok(Some(value)) => Ok(value.to_string()),
        Ok(None) => Ok("(nothing)".to_owned()),
        Err(refused) => Err(refused.to_string()),
    }
}

/// Every line was printed by Go's `yaml` v4 rc.3 and `fmt.Sprint`.
#[test]
fn values_are_what_go_makes_of_them() {
    for (text, expected) in [
        (
            "[~, null, Null, NULL, '', '~', nULL]",
            "[<nil> <nil> <nil> <nil>  ~ nULL]",
        ),
        (
            "[true, TRUE, yes, on, Off, y, tRUE]",
            "[true true yes on Off y tRUE]",
        ),
        ("['\u{2028} ', 'a\u{2029} b']", "[\u{2028} a\u{2029}b]"),
        (
            "[1, +1, -1, 01, 08, 0o7, 0O7, 0o8, 0x1F, 0b11, 1_000, _1]",
            "[1 1 -1 1 8 7 7 0o8 31 3 1000 _1]",
        ),
        (
            "[18446744073709551615, 18446744073709551616]",
            "[18446744073709551615 1.8446744073709552e+19]",
        ),
        (
            "[1.5, .5, .5_0, 1., 1e3, 1e6, 123456789.0, 0.0001, 0.00001]",
            "[1.5 0.5 0.5 1 1000 1e+06 1.23456789e+08 0.0001 1e-05]",
        ),
        (
            "[.inf, -.INF, .nan, -0, 1e999, ., .e1, 5e]",
            "[+Inf -Inf NaN -0 1e999 . .e1 5e]",
        ),
        (
            "[2020-1-2, 2020-02-30, 2020-01-02 3:4:5.50]",
            "[2020-01-02 00:00:00 +0000 UTC 2020-02-30 2020-01-02 03:04:05.5 +0000 UTC]",
        ),
        (
            "[2020-01-02T03:04:05Z, 2020-01-02t03:04:05+02:30]",
            "[2020-01-02 03:04:05 +0000 UTC 2020-01-02 03:04:05 +0230 +0230]",
        ),
        (
            "[12:30, 190:20:30, 2001-12-14 21:59:43.10 -5]",
            "[12:30 190:20:30 2001-12-14 21:59:43.10 -5]",
        ),
        (
            "[!!str 1, !!int '5', !!float 3, !!binary aGVsbG8=, !Foo 1, ! 5, ! '5']",
            "[1 5 3 hello 1 5 5]",
        ),
        ("{b: 1, a: [x, {c: }]}", "map[a:[x map[c:<nil>]] b:1]"),
        ("{10: a, 9: b, x: c}", "map[x:c 9:b 10:a]"),
        (
            "{a: &a {x: 1, y: 2}, b: {<<: *a, y: 3}}",
            "map[a:map[x:1 y:2] b:map[x:1 y:3]]",
        ),
        ("{<<: [{x: 1}, {x: 2, y: 2}], z: 3}", "map[x:1 y:2 z:3]"),
        ("{'<<': 1}", "map[<<:1]"),
        ("a: |\n  x\n\n  y", "map[a:x\n\ny]"),
        ("a: >-\n  x\n  y\n\n  z\n", "map[a:x y\nz]"),
        ("a: |2\n   x\n", "map[a: x\n]"),
        ("\"\\x41\\u00e9\\/\"", "refused"),
        ("\"\\x41\\u00e9\\'\"", "Aé'"),
        ("'it''s'", "it's"),
        ("a\n---\n[", "a"),
        ("a\n--- b\n--- c\n--- [", "a"),
        ("a: 1 # c\n#\t# d\n\t# e\nb: 2", "map[a:1 b:2]"),
        ("- a\n -b", "[a -b]"),
        ("[a: b, c]", "[map[a:b] c]"),
        ("? a\n: b\n? c", "map[a:b c:<nil>]"),
        ("# nothing", "(nothing)"),
        ("---\n...", "<nil>"),
        ("%YAML 1.1\n--- a", "a"),
        ("%YAML 1.2\n--- a", "refused"),
        ("%TAG !e! tag:yaml.org,2002:\n--- !e!str 1", "1"),
    ] {
        let told = value(text);
        assert_eq!(
            told.as_deref().unwrap_or("refused"),
            expected,
            "{text:?}: {told:?}"
        );
    }
}

#[test]
fn what_is_refused_has_its_line_and_what_to_do() {
    for (text, expected) in [
        ("a: 1\na: 2", "line 2: the key `a` is there twice"),
        ("{1: a, '1': b}", "line 1: the key `1` is there twice"),
        (
            "a: b: c",
            "line 1: a second `:` can't stand here; put the text in quotes",
        ),
        (
            "a:\n\t- b",
            "line 2: nothing can begin with a tab here; put it in quotes",
        ),
        (
            "a: @b",
            "line 1: nothing can begin with `@` here; put it in quotes",
        ),
        (
            "a: 'b",
            "line 1: the text that begins here has no ' at its end",
        ),
        ("a: [b", "line 2: `,` or `]` must stand here"),
        ("a: *b", "line 1: nothing before `*b` is marked `&b`"),
        (
            "a: &a [*a]",
            "line 1: an alias stands inside what it repeats; write it out",
        ),
        ("{<<: 1}", "line 1: `<<` merges maps, and this is none"),
        ("{[a]: b}", "line 1: a list or map can't be a key"),
        ("a: !!int x", "line 1: `x` is no !!int"),
        (
            "a: \"\\q\"",
            "line 1: `\\q` means nothing; write `\\\\` for a `\\`",
        ),
        (
            "a: 1\nb\nc: 2",
            "line 2: a `:` is missing behind the key, or it is indented wrongly",
        ),
        (
            "a\u{1}",
            "line 1: the character U+0001 is not allowed; write it as an escape in quotes",
        ),
    ] {
        assert_eq!(value(text), Err(expected.to_owned()), "{text:?}");
    }
}

#[test]
fn bytes_are_read_in_their_encoding() {
    let utf16 = |unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
        "\u{feff}a: é😀".encode_utf16().flat_map(unit).collect()
    };
    for bytes in [
        b"\xef\xbb\xbfa: \xc3\xa9\xf0\x9f\x98\x80".to_vec(),
        utf16(u16::to_le_bytes),
        utf16(u16::to_be_bytes),
    ] {
        assert_eq!(told(&bytes), Ok("map[a:é😀]".to_owned()));
    }
    for bytes in [
        b"a: \xff".as_slice(),
        b"\xff\xfe\x00\xd8",
        b"\xff\xfea",
        b"\xfe\xff\xdc\x00",
    ] {
        assert!(told(bytes).is_err(), "{bytes:?}");
    }
    // A bad byte behind the document, and behind the piece that the reader took, is nobody's.
    let behind = format!("a\n---\nb\n---\nc\n---\nd\n{}", " ".repeat(600));
    let behind = [behind.as_bytes(), b"\xff"].concat();
    assert_eq!(told(&behind), Ok("a".to_owned()));
}

#[test]
fn texts_are_decoded_as_strings_are() {
    let node = |text: &str| parse(text.as_bytes()).unwrap().unwrap();
    for (text, expected) in [
        ("a", Some("a")),
        ("0x10", Some("0x10")),
        ("~", Some("")),
        ("[a]", None),
        ("{}", None),
    ] {
        assert_eq!(node(text).text().ok().as_deref(), expected, "{text}");
    }
    for (text, expected) in [
        ("[a, 1, ~, '']", Some(["a", "1", ""].as_slice())),
        ("~", Some(&[])),
        ("a", None),
        ("[[a]]", None),
    ] {
        let expected = expected.map(|texts| texts.iter().map(ToString::to_string).collect());
        assert_eq!(node(text).texts().ok(), expected, "{text}");
    }
}

#[test]
fn hostile_texts_end_at_a_limit_with_its_reason() {
    let level = |n: usize| format!("a{n}: &a{n} [{}]", format!("*a{}, ", n - 1).repeat(9));
    let levels: Vec<String> = (1..40).map(level).collect();
    let bomb = format!("a0: &a0 [x, x, x]\n{}", levels.join("\n"));
    let chain = |n: usize| format!("a{n}: &a{n} [*a{}]\n", n - 1);
    let chain: String = (1..200).map(chain).collect();
    let anchors = (0..90).fold(vec!["x"; 2_000].join(","), |inner, n| {
        format!("&a{n} [{inner}]")
    });
    for (text, expected) in [
        ("[".repeat(100_000), "levels deep"),
        ("{a: ".repeat(100_000), "levels deep"),
        ("- ".repeat(100_000), "levels deep"),
        ("? ".repeat(100_000), "levels deep"),
        ("a: [".repeat(100_000), "levels deep"),
        (format!("a0: &a0 x\n{chain}"), "levels deep"),
        ("x,".repeat(500_000), "(taken)"),
        (format!("[{}]", "x,".repeat(500_000)), "values"),
        (anchors, "values"),
        (bomb, "repeat too much"),
        ("x".repeat(BYTES_MAX + 1), "bytes"),
        (format!("&{}", "!".repeat(1_000_000)), "(taken)"),
        (format!("\"{}", "\\".repeat(1_000_000)), "at its end"),
        ("\n".repeat(BYTES_MAX), "(taken)"),
        ("# \n".repeat(300_000), "(taken)"),
        ("'a'\n".repeat(200_000), "(taken)"),
    ] {
        let told = value(&text).map_or_else(|reason| reason, |_| "(taken)".to_owned());
        assert!(told.contains(expected), "{text:.20}: {told}");
    }
}

/// Pieces that YAML is made of, so that what is put together from them gets far.
const PIECES: &str = concat!(
    r"(a|b: |- |\? |: |\n|\n  |\n    | |\t|\[|\]|\{|\}|,|&a |\*a|!!str |!x|!<y>|\||>-|\|2\+|'|\x22",
    r"|\\|\\u00|#|%YAML 1.1|---|\.\.\.|<<: |~|1|é|\u{feff}|\u{2028}|\r|%TAG ! x|0x1){0,80}",
);

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = told(&bytes);
    }

    #[test]
    fn any_pieces_are_read_or_refused(text in PIECES) {
        if let Ok(Some(node)) = parse(text.as_bytes()) {
            let _ = (node.value(), node.text(), node.texts());
        }
    }

    #[test]
    fn what_is_quoted_comes_back(text in r"[\PC&&[^\x{2028}\x{2029}]]{0,40}") {
        let quoted = format!("'{}'", text.replace('\'', "''"));
        if let Ok(Some(node)) = parse(quoted.as_bytes()) {
            prop_assert_eq!(node.text(), Ok(text));
        }
    }
}
