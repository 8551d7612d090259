use super::*;

/// What becomes of an item, or why it can't be updated.
fn updated(item: &Json, update: &str) -> Result<Json, String> {
    let mut tried = Tried::with(item);
    let update = with_expressions(&json!({"Key": key()}), &[("UpdateExpression", update)]);
    let answer = tried.transact(&json!([{"Update": update}]));
    let items = tried.items();
    if answer == ok() {
        return Ok(items[0].clone());
    }
    assert_eq!(
        items,
        std::slice::from_ref(item),
        "a refused update changes nothing"
    );
    Err(refusal(&answer))
}

fn item() -> Json {
    json!({
        "n": {"N": "5"},
        "s": {"S": "x"},
        "many": {"L": [{"S": "x"}, {"S": "y"}, {"S": "z"}]},
        "tree": {"M": {"x": {"N": "1"}, "in": {"M": {}}}},
        "texts": {"SS": ["b", "c"]},
        "numbers": {"NS": ["2", "3"]},
    })
}

#[test]
fn updates_make_of_an_item_what_they_say() {
    let many = |texts: &[&str]| {
        let texts: Vec<Json> = texts.iter().map(|text| json!({"S": text})).collect();
        json!({"L": texts})
    };
    for (update, changed) in [
        ("SET n = :1", json!({"n": {"N": "1"}})),
        ("set n = :1", json!({"n": {"N": "1"}})),
        (
            "SET fresh = :map",
            json!({"fresh": {"M": {"x": {"N": "1"}}}}),
        ),
        ("SET n = n + :1", json!({"n": {"N": "6"}})),
        ("SET n = n - :10", json!({"n": {"N": "-5"}})),
        ("SET n = :1 - n", json!({"n": {"N": "-4"}})),
        ("SET n = (n + :1)", json!({"n": {"N": "6"}})),
        (
            "SET n = if_not_exists(n, :0) + :1",
            json!({"n": {"N": "6"}}),
        ),
        (
            "SET c = if_not_exists(c, :0) + :1",
            json!({"c": {"N": "1"}}),
        ),
        (
            "SET c = if_not_exists(c, :0) - :1",
            json!({"c": {"N": "-1"}}),
        ),
        (
            "SET c = if_not_exists(c, if_not_exists(n, :1))",
            json!({"c": {"N": "5"}}),
        ),
        ("SET c = s", json!({"c": {"S": "x"}})),
        (
            "SET n = s, s = n",
            json!({"n": {"S": "x"}, "s": {"N": "5"}}),
        ),
        (
            "SET tree.x = tree.x + n",
            json!({"tree": {"M": {"x": {"N": "6"}, "in": {"M": {}}}}}),
        ),
        (
            "SET tree.y = if_not_exists(tree.y, :1), tree.x = if_not_exists(tree.x, :2)",
            json!({"tree": {"M": {"x": {"N": "1"}, "y": {"N": "1"}, "in": {"M": {}}}}}),
        ),
        (
            "SET #tree.#ttl = :1",
            json!({"tree": {"M": {"x": {"N": "1"}, "ttl": {"N": "1"}, "in": {"M": {}}}}}),
        ),
        ("SET #dotted = :1", json!({"a.b": {"N": "1"}})),
        ("SET many[1] = :a", json!({"many": many(&["x", "a", "z"])})),
        (
            "SET many[9] = :a",
            json!({"many": many(&["x", "y", "z", "a"])}),
        ),
        (
            "SET many = list_append(many, :list)",
            json!({"many": {"L": [{"S": "x"}, {"S": "y"}, {"S": "z"}, {"N": "1"}, {"S": "b"}]}}),
        ),
        (
            "SET fresh = list_append(if_not_exists(fresh, :list), :list)",
            json!({"fresh": {"L": [{"N": "1"}, {"S": "b"}, {"N": "1"}, {"S": "b"}]}}),
        ),
        ("REMOVE gone", json!({})),
        ("REMOVE tree.gone", json!({})),
        ("REMOVE many[0]", json!({"many": many(&["y", "z"])})),
        (
            "REMOVE many[0], many[2], many[7]",
            json!({"many": many(&["y"])}),
        ),
        ("REMOVE tree.x", json!({"tree": {"M": {"in": {"M": {}}}}})),
        ("ADD n :2", json!({"n": {"N": "7"}})),
        ("ADD c :2", json!({"c": {"N": "2"}})),
        (
            "ADD tree.x :2",
            json!({"tree": {"M": {"x": {"N": "3"}, "in": {"M": {}}}}}),
        ),
        (
            "ADD texts :texts",
            json!({"texts": {"SS": ["a", "b", "c"]}}),
        ),
        ("ADD fresh :texts", json!({"fresh": {"SS": ["a", "b"]}})),
        ("DELETE texts :texts", json!({"texts": {"SS": ["c"]}})),
        ("DELETE numbers :numbers", json!({"numbers": {"NS": ["3"]}})),
        ("DELETE gone :texts", json!({})),
        (
            "SET c = :1 ADD n :1 DELETE numbers :numbers",
            json!({"c": {"N": "1"}, "n": {"N": "6"}, "numbers": {"NS": ["3"]}}),
        ),
    ] {
        let mut expected = item();
        merge(&mut expected, &changed);
        assert_eq!(updated(&item(), update), Ok(expected), "{update}");
    }
    let mut without = item();
    without.as_object_mut().unwrap().remove("n");
    assert_eq!(updated(&item(), "REMOVE n"), Ok(without.clone()));
    merge(&mut without, &json!({"c": {"N": "5"}}));
    assert_eq!(updated(&item(), "REMOVE n SET c = n"), Ok(without));
    let sets = json!({"texts": {"SS": ["b"]}});
    assert_eq!(updated(&sets, "DELETE texts :texts"), Ok(json!({})));
}

#[test]
fn an_update_of_nothing_makes_an_item_of_its_key() {
    let mut tried = Tried::new();
    let update = with_expressions(
        &json!({"Key": key()}),
        &[("UpdateExpression", "SET n = if_not_exists(n, :0) + :1")],
    );
    assert_eq!(tried.transact(&json!([{"Update": update}])), ok());
    let made = tried.0.items().next().unwrap();
    assert_eq!(made.len(), 3);
    assert_eq!(made["pk"], Value::S("p".to_owned()));
    assert_eq!(made["n"].as_number().unwrap().as_u64(), Some(1));
}

#[test]
fn updates_that_can_not_be_right_are_refused() {
    for (update, why) in [
        ("", "The expression can not be empty;"),
        ("n = :1", "Syntax error; token: \"n\", near: \"n =\""),
        (
            "INVALID SYNTAX HERE",
            "token: \"INVALID\", near: \"INVALID SYNTAX\"",
        ),
        ("SET", "Syntax error; token: \"<EOF>\", near: \"SET\""),
        ("SET n", "Syntax error; token: \"<EOF>\""),
        ("SET n = ", "Syntax error; token: \"<EOF>\", near: \"= \""),
        ("SET n = :1,", "Syntax error; token: \"<EOF>\""),
        ("SET n = :1 + :1 + :1", "Syntax error; token: \"+\""),
        ("SET n = 1", "Syntax error; token: \"1\""),
        ("SET n = :1; REMOVE s", "Syntax error; token: \";\""),
        ("SET n := :1", "Syntax error"),
        ("ADD n", "Syntax error"),
        ("ADD n n", "Syntax error"),
        ("REMOVE", "Syntax error"),
        (
            "SET n = :1 SET s = :a",
            "The \"SET\" section can only be used once",
        ),
        (
            "REMOVE n, s REMOVE texts",
            "The \"REMOVE\" section can only be used once",
        ),
        ("SET ttl = :1", "reserved keyword: ttl"),
        ("SET tree.online = :1", "reserved keyword: online"),
        ("REMOVE pool", "reserved keyword: pool"),
        ("SET #gone = :1", "attribute name: #gone"),
        ("SET n = :gone", "attribute value: :gone"),
        ("SET n = size(s)", "Invalid function name; function: size"),
        (
            "SET n = if_not_exists(n)",
            "if_not_exists, number of operands: 1",
        ),
        ("SET n = if_not_exists(:1, :2)", "requires a document path"),
        (
            "SET n = :a + :1",
            "operator or function: +, operand type: S",
        ),
        (
            "SET n = n - :yes",
            "operator or function: -, operand type: BOOL",
        ),
        (
            "SET n = list_append(many, :1)",
            "list_append, operand type: N",
        ),
        ("ADD n :a", "operator: ADD, operand type: STRING"),
        ("ADD n :list", "operator: ADD, operand type: LIST"),
        ("DELETE n :1", "operator: DELETE, operand type: NUMBER"),
        (
            "SET n = :1, n = :2",
            "overlap with each other; must remove or rewrite one of these paths; path one: [n], path two: [n]",
        ),
        (
            "SET tree = :map, tree.x = :1",
            "path one: [tree], path two: [tree, x]",
        ),
        (
            "SET #tree.x = :1 REMOVE tree.x",
            "path one: [tree, x], path two: [tree, x]",
        ),
        (
            "SET many[0] = :1, many[0] = :1",
            "path one: [many, [0]], path two: [many, [0]]",
        ),
        ("SET tree.x = :1, tree[0] = :1", "conflict with each other"),
    ] {
        let refused = updated(&item(), update).unwrap_err();
        let start = "ValidationException: Invalid UpdateExpression: ";
        assert!(refused.starts_with(start), "{update}: {refused}");
        assert!(refused.contains(why), "{update}: {refused}");
    }
}

#[test]
fn what_an_item_does_not_admit_cancels_the_transaction() {
    let no_place = "The document path provided in the update expression is invalid for update";
    let wrong_type = "An operand in the update expression has an incorrect data type";
    let not_there =
        "The provided expression refers to an attribute that does not exist in the item";
    for (update, why) in [
        ("SET gone.x = :1", no_place),
        ("SET s.x = :1", no_place),
        ("SET tree[0] = :1", no_place),
        ("SET many.x = :1", no_place),
        ("SET many[9].x = :1", no_place),
        ("REMOVE gone.x", no_place),
        ("REMOVE gone[0]", no_place),
        ("ADD gone.x :1", no_place),
        ("SET n = gone", not_there),
        ("SET n = gone + :1", not_there),
        ("SET n = list_append(gone, :list)", not_there),
        ("SET n = s + :1", wrong_type),
        ("SET n = if_not_exists(s, :1) + :1", wrong_type),
        ("SET n = list_append(s, :list)", wrong_type),
        ("ADD s :1", wrong_type),
        ("ADD numbers :1", wrong_type),
        ("ADD numbers :texts", wrong_type),
        ("DELETE numbers :texts", wrong_type),
        ("DELETE n :numbers", wrong_type),
        (
            "SET pk = :a",
            "Cannot update attribute pk. This attribute is part of the key",
        ),
        (
            "SET n = :1 REMOVE sk",
            "Cannot update attribute sk. This attribute is part of the key",
        ),
        (
            "SET #pk.x = :a",
            "Cannot update attribute pk. This attribute is part of the key",
        ),
    ] {
        let refused = updated(&item(), update).unwrap_err();
        assert!(
            refused.starts_with("ValidationError: "),
            "{update}: {refused}"
        );
        assert!(refused.ends_with(why), "{update}: {refused}");
    }
    let most = json!({"n": {"N": "9".repeat(38)}});
    assert!(updated(&most, "SET n = n + :2").is_err());
}
