//! Tables of what expressions give, from answers of the forge's own evaluator, and what must hold of any
//! text.

use proptest::prelude::*;

use super::*;

fn scope() -> Scope {
    let text = |text: &str| Value::text(text);
    let event = serde_json::json!({"list": [1, "b", {"a": 2}], "odd": "<&>"});
    let github = vec![
        ("event", Value::json(&event)),
        ("event_name", text("push")),
        ("ref", text("refs/heads/main")),
    ];
    let github = Value::record(RecordKind::Github, github);
    let matrix = Value::map(BTreeMap::from([
        ("n".to_owned(), Value::Int(5)),
        ("os".to_owned(), text("ubuntu")),
        ("self".to_owned(), text("matrix.self == 1")),
    ]));
    let state = |needs: &[&str], result: &str| JobState {
        needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        result: text(result),
    };
    let twice = BTreeMap::from([("A".to_owned(), text("1")), ("a".to_owned(), text("2"))]);
    Scope {
        contexts: BTreeMap::from([
            ("github", github),
            ("matrix", matrix),
            ("vars", Value::unknown("not fetched")),
            ("inputs", Value::map(twice)),
        ]),
        history: Some(History {
            job: "me".to_owned(),
            jobs: Arc::new(BTreeMap::from([
                ("a".to_owned(), state(&[], "success")),
                ("b".to_owned(), state(&["a"], "failure")),
                ("me".to_owned(), state(&["a", "b"], "")),
            ])),
        }),
        cancelled: None,
        by_parts: false,
        budget: Arc::default(),
    }
}

fn said(text: &str) -> String {
    match scope().interpolate(text) {
        Ok(Resolved::Known(text)) => text,
        Ok(Resolved::Unknown(because)) => format!("? {because}"),
        Err(stop) => format!("! {stop:?}"),
    }
}

fn check(table: &[(&str, &str)]) {
    for (expression, expected) in table {
        let text = format!("${{{{ {expression} }}}}");
        assert_eq!(said(&text), *expected, "{expression}");
    }
}

#[test]
fn contexts_are_read_as_the_forge_reads_them() {
    check(&[
        ("github.ref", "refs/heads/main"),
        ("GITHUB.EventName", "push"),
        ("github['event_name']", "push"),
        ("github['EVENT_NAME']", ""),
        ("github.nope", ""),
        ("github", "<*model.GithubContext Value>"),
        ("github && 'yes' || 'no'", "no"),
        ("github.event.list", "Array"),
        ("github.event.list[2].a", "2"),
        ("github.event.list[1.0]", ""),
        ("join(github.event.list.*.a, '-')", "--2"),
        ("matrix", "Object"),
        ("env.X", ""),
        ("secrets.TOKEN", ""),
        ("nope.x", ""),
    ]);
}

#[test]
fn operators_compare_and_choose_as_the_forge_does_it() {
    check(&[
        ("1 < 2 == true", "false"),
        ("'A' == 'a'", "true"),
        ("'' == 0", "true"),
        ("'0x10' == 16", "true"),
        ("'1 == 1' == 1", "false"),
        ("null != null", "true"),
        ("github.event.list == github.event.list", ""),
        ("matrix.n == '5' && matrix.os", "ubuntu"),
        ("!matrix.nope", "true"),
        ("0x7fffffff", "2147483647"),
        ("0xffffffff", ""),
        ("01", ""),
        ("TRUE", ""),
    ]);
}

#[test]
fn functions_give_what_the_forge_s_give() {
    check(&[
        ("format('{{{0}}}', 1)", "{1}"),
        ("format('{0}')", ""),
        ("contains('Hello', 'ELL')", "true"),
        ("contains(github.event.list, 'B')", "true"),
        ("startsWith(github.ref, 'refs/tags')", "false"),
        ("endsWith(github.ref, 'MAIN')", "true"),
        ("join(fromJSON('[1,2.5,null]'))", "1,2.5,"),
        ("fromJSON('[]')", "Array"),
        ("fromJSON('{')", ""),
        ("fromJSON('1e3')", "1000"),
        ("toJSON(github.event.odd)", "\"\\u003c\\u0026\\u003e\""),
        ("toJSON(env)", "null"),
        ("hashFiles('x')", ""),
        ("success()", "false"),
        ("failure()", "true"),
        ("always(1, 2)", "true"),
        ("nope()", ""),
    ]);
}

#[test]
fn what_is_not_known_is_said_unless_it_does_not_matter() {
    let either = "? two keys differ only in their case, and the forge takes either";
    check(&[
        ("vars.A", "? not fetched"),
        ("vars.A == 'x'", "? not fetched"),
        ("!vars.A", "? not fetched"),
        ("format('{0}', vars.A)", "? not fetched"),
        ("format('{1}', vars.A, 1)", "1"),
        ("true || vars.A", "true"),
        ("false && vars.A", "false"),
        ("vars.A || true", "? not fetched"),
        ("contains(fromJSON('[\"a\"]'), vars.A)", "? not fetched"),
        ("contains(github.event.list, 'b') || vars.A", "true"),
        ("inputs.a", either),
    ]);
}

#[test]
fn where_the_forge_panics_we_say_so() {
    for text in [
        "a }} ${{ bad",
        "${{ contains('a') }}",
        "${{ format() }}",
        "${{ format('}x') }}",
        "${{ format('{-1}', 1) }}",
        "${{ cancelled() }}",
        "${{ 1) == format('x' }}",
    ] {
        assert!(said(text).starts_with("! "), "{text}: {}", said(text));
    }
}

#[test]
fn a_newer_gitea_refuses_mistakes_and_evaluates_each_expression_by_itself() {
    let scope = Scope {
        by_parts: true,
        cancelled: Some(Value::Bool(false)),
        ..scope()
    };
    let fails = |text: &str| matches!(scope.interpolate(text), Err(Stop::Fails(_)));
    for (text, expected) in [
        ("a}${{ 1 }}{b", "a}1{b"),
        ("${{ 'it''s' }}!", "it's!"),
        ("${{ cancelled() }} ${{ null }}", "false "),
        ("${{ github }}", "Object"),
        ("${{ job }}", "Object"),
        ("none", "none"),
    ] {
        let known = Ok(Resolved::Known(expected.to_owned()));
        assert_eq!(scope.interpolate(text), known, "{text}");
    }
    let jobless = Scope {
        cancelled: None,
        ..scope.clone()
    };
    let known = Ok(Resolved::Known("()".to_owned()));
    assert_eq!(jobless.interpolate("(${{ job }})"), known);
    for text in [
        "a }} ${{ bad",
        "${{ nosuch }}",
        "${{ fromJSON('[') }}",
        "${{ vars.A }} ${{ nosuch }}",
        "${{ 1) == format('x' }}",
    ] {
        assert!(fails(text), "{text}");
    }
    for (condition, expected) in [
        ("matrix.os == 'linux' && success()", false),
        ("${{ true }} and more", false),
        ("${{ always() }} and more", true),
        ("always() && !cancelled()", true),
    ] {
        let known = Ok(Resolved::Known(expected));
        assert_eq!(scope.condition(condition), known, "{condition}");
    }
}

#[test]
fn a_text_that_is_an_expression_of_itself_ends() {
    let answer = said("${{ matrix.self == 1 }}");
    assert!(answer.starts_with("? a text is compared"), "{answer}");
}

#[test]
fn an_expression_over_a_limit_is_unknown() {
    let deep = format!("${{{{ {}1{} }}}}", "(".repeat(10_000), ")".repeat(10_000));
    let nots = format!("${{{{ {}1 }}}}", "!".repeat(10_000));
    let chain = format!("${{{{ a{} }}}}", ".a".repeat(10_000));
    let long = format!("${{{{ '{}' }}}}", "a".repeat(100_000));
    let mut grows = "'aaaaaaaaaaaaaaaa'".to_owned();
    for _ in 0..8 {
        grows = format!("format('{{0}}{{0}}{{0}}{{0}}{{0}}{{0}}{{0}}{{0}}', {grows})");
    }
    for text in [deep, nots, chain, long, format!("${{{{ {grows} }}}}")] {
        assert!(said(&text).starts_with("? "), "{}", &text[..40]);
    }
}

#[test]
fn an_if_asks_for_success_unless_it_asks_how_others_ended() {
    for (condition, expected) in [
        ("", Some(false)),
        ("true", Some(false)),
        ("${{ true }}", Some(false)),
        ("always()", Some(true)),
        ("${{ failure() && matrix.n == 5 }}", Some(true)),
        ("!success()", Some(true)),
        ("always() && vars.A", None),
        // A text with something around is never empty.
        ("x ${{ always() && false }}", Some(true)),
    ] {
        let got = scope().condition(condition).unwrap();
        assert_eq!(got.known(), expected, "{condition}");
    }
}

#[test]
fn jobs_that_need_each_other_panic_the_forge() {
    let mut scope = scope();
    let history = scope.history.as_mut().unwrap();
    Arc::make_mut(&mut history.jobs).get_mut("a").unwrap().needs = vec!["me".to_owned()];
    assert!(scope.interpolate("${{ success() }}").is_err());
}

const PIECES: &str = concat!(
    r"(\$\{\{|\}\}|github|matrix|\.|\*|\[|\]|\(|\)|'|''|a|0|1\.5|-|==|<|!=|&&|\|\||!|,| |format|toJSON",
    r"|fromJSON|join|contains|\{0\}|\{|\}|success\(\)|vars|self|é|\x00|x){0,60}",
);

proptest! {
    #[test]
    fn no_text_panics_or_hangs(text in ".{0,200}") {
        let _ = scope().interpolate(&text);
        let _ = scope().condition(&text);
    }

    #[test]
    fn nothing_that_looks_like_an_expression_panics_or_hangs(text in PIECES) {
        let _ = scope().interpolate(&text);
        let _ = scope().condition(&text);
    }
}
