use super::*;

/// What a condition says of an item, or why it is refused.
fn said(item: &Json, condition: &str) -> Result<bool, String> {
    let mut tried = Tried::with(item);
    let check = with_expressions(
        &json!({"Key": key()}),
        &[("ConditionExpression", condition)],
    );
    let answer = tried.transact(&json!([{"ConditionCheck": check}]));
    if answer == ok() {
        return Ok(true);
    }
    let refused = refusal(&answer);
    match refused.as_str() {
        "ConditionalCheckFailed" => Ok(false),
        _ => Err(refused),
    }
}

fn item() -> Json {
    json!({
        "n": {"N": "1.0"},
        "big": {"N": "10"},
        "s": {"S": "ab"},
        "twin": {"S": "ab"},
        "umlaut": {"S": "ä😀"},
        "flag": {"BOOL": true},
        "nothing": {"NULL": true},
        "many": {"L": [{"N": "1"}, {"S": "b"}, {"M": {"x": {"N": "1"}}}]},
        "tree": {"M": {"x": {"N": "1"}, "y": {"L": [{"L": [{"S": "a"}]}]}}},
        "texts": {"SS": ["a", "b"]},
        "numbers": {"NS": ["1", "2"]},
        "ttl": {"N": "1"},
        "a.b": {"S": "a"},
    })
}

#[test]
fn conditions_say_what_holds() {
    for (condition, holds) in [
        ("n = :1", true),
        ("n = :2", false),
        ("n <> :2", true),
        (":1 = n", true),
        ("n = :a", false),
        ("n <> :a", true),
        ("n < :2", true),
        ("n < :1", false),
        ("n <= :1", true),
        ("n > :0", true),
        ("big > :2", true),
        ("n >= :1", true),
        ("n < :a", false),
        ("n >= :a", false),
        ("s < :b", true),
        ("s > :a", true),
        ("s = twin", true),
        ("flag = :yes", true),
        ("nothing = :null", true),
        ("tree = :map", false),
        ("many[2] = :map", true),
        ("texts = :texts", true),
        ("numbers = :numbers", true),
        // What is not there.
        ("gone = :1", false),
        ("gone <> :1", true),
        ("gone < :1", false),
        ("gone >= :1", false),
        ("NOT gone = :1", true),
        ("gone BETWEEN :1 AND :2", false),
        ("gone IN (:1, :2)", false),
        // Between, in.
        ("n BETWEEN :1 AND :2", true),
        ("n BETWEEN :2 AND :10", false),
        ("big BETWEEN n AND :10", true),
        ("s BETWEEN :a AND :b", true),
        ("n IN (:2)", false),
        ("n IN (:a, :2, :1)", true),
        ("n in (:1)", true),
        // How they go together.
        ("n = :1 AND s = :a", false),
        ("n = :1 OR s = :a", true),
        ("n = :2 AND n = :2 OR n = :1", true),
        ("n = :1 OR n = :2 AND n = :2", true),
        ("(n = :1 OR n = :2) AND n = :2", false),
        ("NOT n = :2 AND n = :1", true),
        ("NOT (n = :2 AND n = :1)", true),
        ("NOT NOT n = :1", true),
        ("n = :1 and not s = :a or gone = :1", true),
        ("n BETWEEN :0 AND :2 AND s = :a", false),
        ("(n = :1)", true),
        ("(n = :1) AND ((s = :ab) OR s = :a)", true),
        ("  n\n=\t:1 ", true),
        ("n=:1", true),
        // Names.
        ("#ttl = :1", true),
        ("#dotted = :a", true),
        ("#tree.x = :1", true),
        ("many [2] . x = :1", true),
    ] {
        assert_eq!(said(&item(), condition), Ok(holds), "{condition}");
    }
}

#[test]
fn functions_say_what_holds() {
    for (condition, holds) in [
        ("attribute_exists(n)", true),
        ("attribute_exists(nothing)", true),
        ("attribute_exists(gone)", false),
        ("attribute_not_exists(gone)", true),
        ("attribute_not_exists(pk)", false),
        ("attribute_exists(tree.x)", true),
        ("attribute_exists(tree.z)", false),
        ("attribute_exists(tree.x.y)", false),
        ("attribute_exists(many[2].x)", true),
        ("attribute_exists(many[3])", false),
        ("attribute_exists(s[0])", false),
        ("attribute_exists(tree.y[0][0])", true),
        ("attribute_type(n, :N)", true),
        ("attribute_type(s, :N)", false),
        ("attribute_type(tree, :M)", true),
        ("attribute_type(gone, :N)", false),
        ("begins_with(s, :a)", true),
        ("begins_with(s, :ab)", true),
        ("begins_with(s, :b)", false),
        ("begins_with(s, :empty)", true),
        ("begins_with(n, :a)", false),
        ("begins_with(gone, :a)", false),
        ("begins_with(s, twin)", true),
        ("contains(s, :b)", true),
        ("contains(s, :1)", false),
        ("contains(texts, :a)", true),
        ("contains(texts, :ab)", false),
        ("contains(numbers, :1)", true),
        ("contains(numbers, :10)", false),
        ("contains(many, :1)", true),
        ("contains(many, :map)", true),
        ("contains(many, :2)", false),
        ("contains(tree, :a)", false),
        ("contains(gone, :a)", false),
        ("size(s) = :2", true),
        ("size(umlaut) > :2", true),
        ("size(many) BETWEEN :2 AND :10", true),
        ("size(tree) = :2", true),
        ("size(texts) = :2", true),
        ("size(n) = :1", false),
        ("size(gone) < :10", false),
        (":1 < size(s)", true),
    ] {
        assert_eq!(said(&item(), condition), Ok(holds), "{condition}");
    }
}

#[test]
fn conditions_that_dynamodb_refuses_are_refused() {
    for (condition, why) in [
        ("", "The expression can not be empty;"),
        ("  ", "The expression can not be empty;"),
        ("n", "Syntax error; token: \"<EOF>\", near: \"n\""),
        (
            "attribute_exists(",
            "Syntax error; token: \"<EOF>\", near: \"(\"",
        ),
        ("n = :1 s", "Syntax error; token: \"s\", near: \":1 s\""),
        (
            "n = :1 AND",
            "Syntax error; token: \"<EOF>\", near: \"AND\"",
        ),
        ("n == :1", "Syntax error; token: \"=\", near: \"== :1\""),
        ("n = 1", "Syntax error; token: \"1\""),
        ("n = 'a'", "Syntax error; token: \"'\""),
        ("(n = :1", "Syntax error; token: \"<EOF>\""),
        ("n = :1)", "Syntax error; token: \")\""),
        ("n.1 = :1", "Syntax error"),
        ("many[a] = :1", "Syntax error"),
        ("many[-1] = :1", "Syntax error"),
        ("n + :1 = :2", "Syntax error"),
        ("n BETWEEN :1, :2", "Syntax error"),
        ("n IN :1", "Syntax error"),
        ("n IN ()", "Syntax error"),
        ("ttl = :1", "reserved keyword: ttl"),
        ("tree.Name = :1", "reserved keyword: Name"),
        ("attribute_exists(pool)", "reserved keyword: pool"),
        ("#gone = :1", "attribute name: #gone"),
        ("n = :gone", "attribute value: :gone"),
        ("n = :1 AND many[0] = :none", "attribute value: :none"),
        ("((n = :1))", "redundant parentheses"),
        ("n = :1 AND ((n = :1 OR n = :2))", "redundant parentheses"),
        ("exists(n)", "Invalid function name; function: exists"),
        ("Attribute_Exists(n)", "Invalid function name"),
        ("if_not_exists(n, :1)", "Invalid function name"),
        (
            "size(n)",
            "not allowed to be used this way in an expression; function: size",
        ),
        ("contains(s, :a) = :yes", "Syntax error"),
        (
            "n = contains(s, :a)",
            "this way in an expression; function: contains",
        ),
        (
            "attribute_exists(n, s)",
            "attribute_exists, number of operands: 2",
        ),
        ("begins_with(s)", "begins_with, number of operands: 1"),
        ("attribute_exists(:1)", "requires a document path"),
        ("attribute_type(n, s)", "operand type: {NS"),
        ("attribute_type(n, :1)", "attribute_type, operand type: N"),
        (
            "attribute_type(n, :X)",
            "Invalid attribute type name found; type: X",
        ),
        ("begins_with(n, :1)", "begins_with, operand type: N"),
        ("n < :yes", "operator or function: <, operand type: BOOL"),
        ("n >= :list", "operator or function: >=, operand type: L"),
        ("n BETWEEN :1 AND :a", "same data type"),
        ("n BETWEEN :2 AND :1", "upper bound to be greater"),
        ("n BETWEEN :yes AND :yes", "BETWEEN, operand type: BOOL"),
        ("n = n", "first operand must be distinct"),
        ("many[0] <> many[0]", "first operand: [many, [0]]"),
        (
            "contains(#tree.x, tree.x)",
            "operator: contains, first operand: [tree, x]",
        ),
    ] {
        let refused = said(&item(), condition).unwrap_err();
        let start = "ValidationException: Invalid ConditionExpression: ";
        assert!(refused.starts_with(start), "{condition}: {refused}");
        assert!(refused.contains(why), "{condition}: {refused}");
    }
}

#[test]
fn a_condition_has_at_most_4096_bytes_and_100_values_to_be_in() {
    let long = format!("n = :1{}", " ".repeat(4090));
    assert_eq!(said(&item(), &long), Ok(true));
    let longer = format!("{long} ");
    let refused = said(&item(), &longer).unwrap_err();
    assert!(
        refused.contains("exceeded the maximum allowed size"),
        "{refused}"
    );
    let within = |count| format!("n IN ({})", vec![":1"; count].join(", "));
    assert_eq!(said(&item(), &within(100)), Ok(true));
    assert!(said(&item(), &within(101)).is_err());
}

#[test]
fn an_item_that_is_not_there_has_no_attributes() {
    let mut tried = Tried::new();
    for (condition, code) in [
        ("attribute_not_exists(pk)", ""),
        ("attribute_exists(pk)", "ConditionalCheckFailed"),
        ("pk <> :a", ""),
        ("pk = :a", "ConditionalCheckFailed"),
    ] {
        let check = json!({"Key": key()});
        let check = with_expressions(&check, &[("ConditionExpression", condition)]);
        let answer = tried.transact(&json!([{"ConditionCheck": check}]));
        match code {
            "" => assert_eq!(answer, ok(), "{condition}"),
            code => assert_eq!(refusal(&answer), code, "{condition}"),
        }
    }
}
