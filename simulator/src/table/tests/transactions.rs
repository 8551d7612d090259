use super::*;

/// A put of a key with a number, and perhaps a condition.
fn put(sk: &str, n: u32, condition: Option<&str>) -> Json {
    let item = json!({"pk": {"S": "p"}, "sk": {"S": sk}, "n": {"N": n.to_string()}});
    let put = json!({"Item": item});
    let condition = condition.map(|condition| ("ConditionExpression", condition));
    json!({"Put": with_expressions(&put, condition.as_slice())})
}

fn on(kind: &str, sk: &str, expressions: &[(&str, &str)]) -> Json {
    let key = json!({"Key": {"pk": {"S": "p"}, "sk": {"S": sk}}});
    json!({kind: with_expressions(&key, expressions)})
}

const NEW: &str = "attribute_not_exists(pk)";
const THERE: &str = "attribute_exists(pk)";

fn numbers(tried: &Tried) -> Vec<String> {
    let items = tried.items();
    let numbers = items.iter().map(|item| item["n"]["N"].as_str().unwrap());
    numbers.map(str::to_owned).collect()
}

#[test]
fn all_is_written_or_nothing() {
    let mut tried = Tried::new();
    let actions = json!([put("b", 2, Some(NEW)), put("a", 1, Some(NEW))]);
    let request = json!({"TransactItems": actions});
    assert_eq!(tried.transact(&request["TransactItems"]), ok());
    assert_eq!(numbers(&tried), ["1", "2"]);
    let refused = tried.transact(&json!([
        put("c", 3, Some(NEW)),
        put("a", 7, Some(NEW)),
        on("Delete", "b", &[]),
        on(
            "Update",
            "b2",
            &[
                ("UpdateExpression", "SET n = :1"),
                ("ConditionExpression", THERE)
            ]
        ),
        on("ConditionCheck", "d", &[("ConditionExpression", NEW)]),
    ]));
    assert_eq!(
        refusal(&refused),
        "None, ConditionalCheckFailed, None, ConditionalCheckFailed, None"
    );
    let message = "Transaction cancelled, please refer cancellation reasons for specific reasons \
                   [None, ConditionalCheckFailed, None, ConditionalCheckFailed, None]";
    assert_eq!(refused.1["Message"], message);
    let reason =
        json!({"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"});
    assert_eq!(refused.1["CancellationReasons"][1], reason);
    assert_eq!(numbers(&tried), ["1", "2"]);
}

#[test]
fn what_was_written_is_told_in_the_order_of_the_request() {
    let mut tried = Tried::new();
    assert_eq!(tried.transact(&json!([put("a", 1, None)])), ok());
    let mut request = json!({"TransactItems": [
        put("c", 1, None),
        on("Delete", "a", &[]),
        on("Delete", "gone", &[]),
        on("Update", "b", &[("UpdateExpression", "SET n = :1")]),
        on("ConditionCheck", "d", &[("ConditionExpression", NEW)]),
    ]});
    for action in request["TransactItems"].as_array_mut().unwrap() {
        for action in action.as_object_mut().unwrap().values_mut() {
            action["TableName"] = json!("runs");
        }
    }
    let body = request.to_string();
    let answer = tried.0.answer("TransactWriteItems", body.as_bytes(), 0);
    let key = |sk: &str| ("p".to_owned(), sk.to_owned());
    assert_eq!(answer.written, [key("c"), key("a"), key("b")]);
    assert_eq!(numbers(&tried), ["1", "1"]);
}

#[test]
fn the_item_of_a_condition_that_failed_is_told_where_asked_for() {
    let mut tried = Tried::new();
    assert_eq!(tried.transact(&json!([put("a", 1, None)])), ok());
    let asking = |sk: &str, asked: &str| {
        let mut action = on("Delete", sk, &[("ConditionExpression", "n = :2")]);
        action["Delete"]["ReturnValuesOnConditionCheckFailure"] = json!(asked);
        action
    };
    let refused = tried.transact(&json!([asking("a", "ALL_OLD"), asking("b", "ALL_OLD")]));
    let reasons = &refused.1["CancellationReasons"];
    let item = json!({"pk": {"S": "p"}, "sk": {"S": "a"}, "n": {"N": "1"}});
    assert_eq!(reasons[0]["Item"], item);
    assert_eq!(reasons[1].get("Item"), None);
    let refused = tried.transact(&json!([asking("a", "NONE")]));
    assert_eq!(refused.1["CancellationReasons"][0].get("Item"), None);
    let refused = refusal(&tried.transact(&json!([asking("a", "ALL_NEW")])));
    assert!(refused.contains("[ALL_OLD, NONE]"), "{refused}");
}

#[test]
fn a_failed_condition_comes_before_an_update_that_can_not_be() {
    let mut tried = Tried::new();
    let update = |condition| {
        on(
            "Update",
            "a",
            &[
                ("UpdateExpression", "SET n = n + :1"),
                ("ConditionExpression", condition),
            ],
        )
    };
    let refused = tried.transact(&json!([update(THERE)]));
    assert_eq!(refusal(&refused), "ConditionalCheckFailed");
    let refused = tried.transact(&json!([update(NEW)]));
    assert!(refusal(&refused).starts_with("ValidationError"));
}

#[test]
fn one_item_has_one_action() {
    let mut tried = Tried::new();
    let message = "ValidationException: Transaction request cannot include multiple operations on \
                   one item";
    for other in [
        put("a", 2, None),
        on("Delete", "a", &[]),
        on("Update", "a", &[("UpdateExpression", "SET n = :1")]),
        on("ConditionCheck", "a", &[("ConditionExpression", NEW)]),
    ] {
        let refused = tried.transact(&json!([put("a", 1, None), put("b", 1, None), other]));
        assert_eq!(refusal(&refused), message);
    }
    assert_eq!(numbers(&tried), [""; 0]);
}

#[test]
fn a_transaction_has_up_to_100_actions() {
    let mut tried = Tried::new();
    let puts = |count: u32| -> Json {
        (0..count)
            .map(|n| put(&format!("{n:03}"), n, None))
            .collect()
    };
    assert_eq!(tried.transact(&puts(100)), ok());
    let refused = refusal(&tried.transact(&puts(101)));
    assert!(
        refused.ends_with("length less than or equal to 100"),
        "{refused}"
    );
    let refused = refusal(&tried.transact(&puts(0)));
    assert!(
        refused.ends_with("length greater than or equal to 1"),
        "{refused}"
    );
}

fn tokened(token: &str, n: u32) -> Json {
    let mut put = put("a", n, None);
    put["Put"]["TableName"] = json!("runs");
    json!({"TransactItems": [put], "ClientRequestToken": token})
}

#[test]
fn a_token_is_one_request_for_ten_minutes() {
    let mut tried = Tried::new();
    let send = |tried: &mut Tried, token: &str, n, now_ms| {
        tried.send("TransactWriteItems", &tokened(token, n), now_ms)
    };
    assert_eq!(send(&mut tried, "one", 1, 1_000), ok());
    assert_eq!(send(&mut tried, "two", 2, 2_000), ok());
    assert_eq!(send(&mut tried, "one", 1, 600_999), ok());
    assert_eq!(numbers(&tried), ["2"], "what was done is not done again");
    let other = send(&mut tried, "one", 3, 600_999);
    assert!(refusal(&other).starts_with("IdempotentParameterMismatchException"));
    assert_eq!(numbers(&tried), ["2"]);
    assert_eq!(send(&mut tried, "one", 3, 601_000), ok());
    assert_eq!(numbers(&tried), ["3"]);
    let body = tokened("one", 3).to_string().replace(
        r#""n":{"N":"3"},"pk":{"S":"p"}"#,
        r#""pk":{"S":"p"},"n":{"N":"3"}"#,
    );
    let again = tried
        .0
        .answer("TransactWriteItems", body.as_bytes(), 602_000);
    assert_eq!(
        (again.status, again.written.len()),
        (200, 0),
        "in another order"
    );
}

#[test]
fn what_was_refused_may_be_sent_again_with_its_token() {
    let mut tried = Tried::new();
    let mut request = tokened("one", 1);
    request["TransactItems"][0]["Put"]["ConditionExpression"] = json!(THERE);
    let refused = tried.send("TransactWriteItems", &request, 0);
    assert_eq!(refusal(&refused), "ConditionalCheckFailed");
    assert_eq!(
        tried.send("TransactWriteItems", &tokened("two", 7), 0),
        ok()
    );
    assert_eq!(tried.send("TransactWriteItems", &request, 0), ok());
    assert_eq!(numbers(&tried), ["1"]);
    for token in ["", &"x".repeat(37)] {
        let refused = refusal(&tried.send("TransactWriteItems", &tokened(token, 1), 0));
        assert!(refused.contains("'ClientRequestToken'"), "{refused}");
    }
}

#[test]
fn keys_have_to_fit_the_table() {
    let mismatch = "One or more parameter values were invalid: Type mismatch for key pk expected: S \
                    actual: N";
    let no_key = "The provided key element does not match the schema";
    for (item, of_put, of_key) in [
        (
            json!({"pk": {"N": "1"}, "sk": {"S": "s"}}),
            mismatch,
            no_key,
        ),
        (
            json!({"pk": {"S": "p"}}),
            "One or more parameter values were invalid: Missing the key sk in the item",
            no_key,
        ),
        (
            json!({"pk": {"S": "p"}, "sk": {"S": "s"}, "n": {"N": "1"}}),
            "",
            no_key,
        ),
    ] {
        let mut tried = Tried::new();
        let update = json!({"Key": item, "UpdateExpression": "REMOVE x"});
        let check = json!({"Key": item, "ConditionExpression": NEW});
        for (action, why) in [
            (json!({"Put": {"Item": item}}), of_put),
            (json!({"Delete": {"Key": item}}), of_key),
            (json!({"Update": update}), of_key),
            (json!({"ConditionCheck": check}), of_key),
        ] {
            let answer = tried.transact(&json!([put("z", 1, Some(THERE)), action]));
            match why {
                // Only then conditions are looked at.
                "" => assert_eq!(refusal(&answer), "ConditionalCheckFailed, None"),
                why => assert_eq!(refusal(&answer), format!("None, ValidationError: {why}")),
            }
        }
    }
    for (pk, sk, why) in [
        ("", "s".to_owned(), "empty string value. Key: pk"),
        ("p", String::new(), "empty string value. Key: sk"),
        ("p", "s".repeat(1025), "size limit of 1024 bytes"),
    ] {
        let key = json!({"pk": {"S": pk}, "sk": {"S": sk}});
        for action in [
            json!({"Put": {"Item": key}}),
            json!({"Delete": {"Key": key}}),
        ] {
            let refused = refusal(&Tried::new().transact(&json!([action])));
            assert!(refused.starts_with("ValidationException"), "{refused}");
            assert!(refused.ends_with(why), "{refused}");
        }
    }
}

#[test]
fn requests_say_only_what_is_known() {
    let mut tried = Tried::new();
    let with = |path: &str, value: Json| {
        let mut request = json!({"TransactItems": [{"Put": {"TableName": "runs", "Item": key()}}]});
        *request
            .pointer_mut(path.rsplit_once('/').unwrap().0)
            .unwrap() = {
            let (of, name) = path.rsplit_once('/').unwrap();
            let mut object = request.pointer(of).unwrap().clone();
            object[name] = value;
            object
        };
        request
    };
    for (path, value, why) in [
        (
            "/ReturnValues",
            json!("NONE"),
            "not known here: ReturnValues",
        ),
        (
            "/TransactItems/0/Put/Expected",
            json!({}),
            "Put has a member that is not known here: Expected",
        ),
        (
            "/TransactItems/0/Put/Key",
            key(),
            "Put has a member that is not known here: Key",
        ),
        ("/TransactItems/0/Get", json!({}), "not known here: Get"),
        (
            "/TransactItems/0/Delete",
            json!({}),
            "one of Check, Put, Update or Delete",
        ),
        (
            "/TransactItems/0/Put/TableName",
            json!("other"),
            "Requested resource not found",
        ),
        (
            "/TransactItems/0/Put/TableName",
            json!(1),
            "Put.TableName is not a string",
        ),
        (
            "/TransactItems/0/Put/TableName",
            json!(null),
            "Put.TableName",
        ),
        ("/TransactItems/0/Put/Item", json!([]), "Item is not a map"),
        ("/TransactItems/0/Put/Item", json!(null), "Put.Item"),
        (
            "/TransactItems/0/Put/ConditionExpression",
            json!(1),
            "is not a string",
        ),
        ("/TransactItems", json!({}), "is not a list"),
    ] {
        let refused = refusal(&tried.send("TransactWriteItems", &with(path, value), 0));
        assert!(refused.contains(why), "{path}: {refused}");
    }
    let request = json!({"TransactItems": [{}]});
    assert!(refusal(&tried.send("TransactWriteItems", &request, 0)).contains("one of"));
    for (action, why) in [
        (
            json!({"Update": {"Key": key()}}),
            "'Update.UpdateExpression'",
        ),
        (
            json!({"ConditionCheck": {"Key": key()}}),
            "'ConditionCheck.ConditionExpression'",
        ),
        (json!({"Delete": {}}), "'Delete.Key'"),
    ] {
        let refused = refusal(&tried.transact(&json!([action])));
        assert!(refused.contains(why), "{refused}");
    }
    assert!(tried.items().is_empty());
}

#[test]
fn names_and_values_are_those_that_expressions_use() {
    let mut tried = Tried::new();
    let update = |names: Json, values: Json| {
        json!([{"Update": {
            "Key": key(),
            "UpdateExpression": "SET #n = :n",
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
        }}])
    };
    let n = json!({"N": "1"});
    assert_eq!(
        tried.transact(&update(json!({"#n": "n"}), json!({":n": n}))),
        ok()
    );
    for (names, values, why) in [
        (
            json!({"#n": "n"}),
            json!({":n": n, ":m": n, ":o": n}),
            "ExpressionAttributeValues unused in expressions: keys: {:m, :o}",
        ),
        (
            json!({"#n": "n", "#m": "m"}),
            json!({":n": n}),
            "ExpressionAttributeNames unused in expressions: keys: {#m}",
        ),
        (
            json!({}),
            json!({":n": n}),
            "ExpressionAttributeNames must not be empty",
        ),
        (
            json!({"#n": "n"}),
            json!({}),
            "ExpressionAttributeValues must not be empty",
        ),
        (json!(null), json!({":n": n}), "attribute name: #n"),
        (json!({"#n": "n"}), json!(null), "attribute value: :n"),
        (
            json!({"n": "n"}),
            json!({":n": n}),
            "ExpressionAttributeNames contains invalid key: Syntax error; key: \"n\"",
        ),
        (
            json!({"#n": "n"}),
            json!({"n": n}),
            "ExpressionAttributeValues contains invalid key",
        ),
        (
            json!({"#n": "n"}),
            json!({":n-m": n}),
            "ExpressionAttributeValues contains invalid key",
        ),
        (json!({"#n": ""}), json!({":n": n}), "Empty attribute name"),
        (json!({"#n": 1}), json!({":n": n}), "not of strings"),
    ] {
        let refused = refusal(&tried.transact(&update(names, values)));
        assert!(refused.contains(why), "{refused}");
    }
    let refused = refusal(&tried.transact(&json!([{"Delete": {
        "Key": key(), "ExpressionAttributeValues": {":n": n},
    }}])));
    assert!(
        refused.contains("can only be specified when using expressions"),
        "{refused}"
    );
}

#[test]
fn items_and_transactions_have_a_largest_size() {
    let item = |sk: &str, bytes: usize| {
        // The names and the keys are part of it.
        let text = "x".repeat(bytes - "pk".len() - "p".len() - "sk".len() - sk.len() - "t".len());
        json!({"Put": {"Item": {"pk": {"S": "p"}, "sk": {"S": sk}, "t": {"S": text}}}})
    };
    let most = 400 * 1024;
    let mut tried = Tried::new();
    assert_eq!(tried.transact(&json!([item("a", most)])), ok());
    let refused = refusal(&tried.transact(&json!([item("b", most + 1)])));
    assert_eq!(
        refused,
        "ValidationException: Item size has exceeded the maximum allowed size"
    );
    let update = on("Update", "a", &[("UpdateExpression", "SET x = :1")]);
    let refused = refusal(&tried.transact(&json!([update])));
    assert!(
        refused.starts_with("ValidationError: Item size to update"),
        "{refused}"
    );
    let items = |count: u32| -> Json { (0..count).map(|n| item(&n.to_string(), most)).collect() };
    assert_eq!(tried.transact(&items(10)), ok());
    let refused = refusal(&tried.transact(&items(11)));
    assert!(refused.contains("4MB"), "{refused}");
    let deep = "SET tree.x = :list";
    let mut value = json!({"S": "x"});
    for _ in 0..30 {
        value = json!({"L": [value]});
    }
    let mut tried = Tried::with(&json!({"tree": {"M": {"x": {"L": []}}}}));
    let update = |value: &Json| {
        json!([{"Update": {
            "Key": key(), "UpdateExpression": deep, "ExpressionAttributeValues": {":list": value},
        }}])
    };
    assert_eq!(tried.transact(&update(&value)), ok());
    let refused = refusal(&tried.transact(&update(&json!({"L": [value]}))));
    assert!(refused.starts_with("ValidationError: Nesting"), "{refused}");
}

#[test]
fn what_the_world_does_to_a_transaction_is_told_in_the_same_words() {
    let conflict = Failure::Cancelled(vec![Reason::None, Reason::TransactionConflict]);
    let answer = Answer::from(conflict);
    let body: Json = serde_json::from_str(&answer.body).unwrap();
    let reason =
        json!({"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"});
    assert_eq!(
        body["CancellationReasons"],
        json!([{"Code": "None"}, reason])
    );
    let answer = Answer::from(Failure::InProgress);
    assert!(answer.body.contains("#TransactionInProgressException"));
}
