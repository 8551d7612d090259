use super::*;

/// A table with the partitions `p`, of these sort keys, and `q`.
fn filled(sks: &[&str]) -> Tried {
    let mut tried = Tried::new();
    for (index, sk) in sks.iter().enumerate() {
        let item = json!({
            "pk": {"S": "p"}, "sk": {"S": sk}, "n": {"N": index.to_string()},
            "tree": {"M": {"x": {"N": "1"}, "y": {"L": [{"S": "a"}, {"S": "b"}]}}},
        });
        assert_eq!(tried.transact(&json!([{"Put": {"Item": item}}])), ok());
    }
    let item = json!({"pk": {"S": "q"}, "sk": {"S": "a"}});
    assert_eq!(tried.transact(&json!([{"Put": {"Item": item}}])), ok());
    tried
}

fn values(values: &[(&str, &str)]) -> Json {
    let values = values
        .iter()
        .map(|(name, text)| ((*name).to_owned(), json!({"S": text})));
    Json::Object(values.collect())
}

fn sks(body: &Json) -> Vec<String> {
    let items = body["Items"].as_array().unwrap().iter();
    items
        .map(|item| item["sk"]["S"].as_str().unwrap().to_owned())
        .collect()
}

fn key_of(sk: &str) -> Json {
    json!({"pk": {"S": "p"}, "sk": {"S": sk}})
}

#[test]
fn key_conditions_find_what_they_say_in_order() {
    let mut tried = filled(&["b", "a#2", "a", "c", "a#1", "A", "ä", "a\u{10ffff}"]);
    for (condition, found) in [
        ("pk = :p", "A a a#1 a#2 a\u{10ffff} b c ä"),
        ("(pk = :p)", "A a a#1 a#2 a\u{10ffff} b c ä"),
        ("pk = :p AND sk = :a", "a"),
        ("sk = :a AND pk = :p", "a"),
        ("pk = :p AND (sk = :a)", "a"),
        ("pk = :p AND sk < :b", "A a a#1 a#2 a\u{10ffff}"),
        ("pk = :p AND sk <= :b", "A a a#1 a#2 a\u{10ffff} b"),
        ("pk = :p AND sk > :b", "c ä"),
        ("pk = :p AND sk >= :b", "b c ä"),
        (
            "pk = :p AND sk BETWEEN :a AND :b",
            "a a#1 a#2 a\u{10ffff} b",
        ),
        ("pk = :p AND begins_with(sk, :a)", "a a#1 a#2 a\u{10ffff}"),
        ("pk = :p AND begins_with(sk, :last)", "a\u{10ffff}"),
        ("#pk = :p and #sk = :a", "a"),
        ("pk = :none", ""),
    ] {
        let all = [
            (":p", "p"),
            (":a", "a"),
            (":b", "b"),
            (":last", "a\u{10ffff}"),
            (":none", "x"),
        ];
        let used: Vec<_> = all
            .into_iter()
            .filter(|(name, _)| {
                condition
                    .split([' ', '(', ')', ','])
                    .any(|word| word == *name)
            })
            .collect();
        let mut request = json!({
            "KeyConditionExpression": condition, "ExpressionAttributeValues": values(&used),
        });
        if condition.contains('#') {
            request["ExpressionAttributeNames"] = json!({"#pk": "pk", "#sk": "sk"});
        }
        let found: Vec<&str> = found.split_whitespace().collect();
        let (status, body) = tried.query(&request);
        assert_eq!(status, 200, "{condition}: {body}");
        assert_eq!(sks(&body), found, "{condition}");
        assert_eq!(body["Count"], found.len());
        assert_eq!(body["ScannedCount"], found.len());
        assert_eq!(body.get("LastEvaluatedKey"), None);
        request["ScanIndexForward"] = json!(false);
        let back: Vec<&str> = found.into_iter().rev().collect();
        assert_eq!(sks(&tried.query(&request).1), back, "{condition}");
    }
}

#[test]
fn queries_that_dynamodb_refuses_are_refused() {
    let mut tried = filled(&["a"]);
    for (condition, why) in [
        ("", "The expression can not be empty"),
        ("sk = :a", "missed key schema element: pk"),
        ("extra = :a", "missed key schema element: pk"),
        ("pk = :a AND extra = :a", "missed key schema element: sk"),
        ("pk > :a", "Query key condition not supported"),
        ("begins_with(pk, :a)", "Query key condition not supported"),
        ("pk = :a AND pk = :a", "only contain one condition per key"),
        (
            "pk = :a AND sk > :a AND sk < :a",
            "only contain one condition per key",
        ),
        (
            "pk = :a OR pk = :a",
            "Invalid operator used in KeyConditionExpression: OR",
        ),
        (
            "pk = :a AND NOT sk = :a",
            "Invalid operator used in KeyConditionExpression: NOT",
        ),
        (
            "pk = :a AND sk <> :a",
            "Invalid operator used in KeyConditionExpression: <>",
        ),
        (
            "pk = :a AND sk IN (:a)",
            "Invalid operator used in KeyConditionExpression: IN",
        ),
        (
            "pk = :a AND attribute_exists(sk)",
            "KeyConditionExpression: attribute_exists",
        ),
        (
            "pk = :a AND contains(sk, :a)",
            "KeyConditionExpression: contains",
        ),
        (
            "pk = :a AND size(sk) = :a",
            "cannot contain nested operations",
        ),
        ("pk = :a AND sk.x = :a", "conditions on nested attributes"),
        ("pk = :a AND sk = pk", "Multiple attribute names"),
        ("pk = :a AND sk = :n", "does not match schema type"),
        ("pk = :a AND sk = :empty", "empty string value. Key: sk"),
        (
            "pk = :a AND begins_with(sk, :n)",
            "begins_with, operand type: N",
        ),
        (
            "pk = :a AND sk BETWEEN :b AND :a",
            "upper bound to be greater",
        ),
        ("pk = :gone", "attribute value: :gone"),
        ("#pk = :a", "attribute name: #pk"),
    ] {
        let all =
            json!({":a": {"S": "a"}, ":b": {"S": "b"}, ":n": {"N": "1"}, ":empty": {"S": ""}});
        let mut used = all.as_object().unwrap().clone();
        used.retain(|name, _| {
            condition
                .split([' ', '(', ')', ','])
                .any(|word| word == name)
        });
        let mut request = json!({"KeyConditionExpression": condition});
        if !used.is_empty() {
            request["ExpressionAttributeValues"] = used.into();
        }
        let refused = refusal(&tried.query(&request));
        assert!(
            refused.starts_with("ValidationException"),
            "{condition}: {refused}"
        );
        assert!(refused.contains(why), "{condition}: {refused}");
    }
}

#[test]
fn queries_say_only_what_is_known() {
    let mut tried = filled(&["a"]);
    let all = json!({
        "KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": values(&[(":p", "p")]),
    });
    assert_eq!(tried.query(&all).0, 200);
    for (name, value, why) in [
        (
            "IndexName",
            json!("x"),
            "Query has a member that is not known here: IndexName",
        ),
        ("Select", json!("COUNT"), "not known here: Select"),
        ("KeyConditions", json!({}), "not known here: KeyConditions"),
        (
            "ConsistentRead",
            json!(false),
            "ConsistentRead has to be true",
        ),
        (
            "ConsistentRead",
            json!(null),
            "ConsistentRead has to be true",
        ),
        ("ConsistentRead", json!("true"), "is not a boolean"),
        ("TableName", json!("other"), "Requested resource not found"),
        ("TableName", json!(null), "Query.TableName"),
        ("Limit", json!(0), "greater than or equal to 1"),
        ("Limit", json!("1"), "is not an integer"),
        (
            "KeyConditionExpression",
            json!(null),
            "KeyConditionExpression",
        ),
        (
            "FilterExpression",
            json!("sk = :p"),
            "Primary key attribute: sk",
        ),
        (
            "FilterExpression",
            json!("pool = :p"),
            "Invalid FilterExpression: Attribute name is a reserved",
        ),
        (
            "ProjectionExpression",
            json!("n, n"),
            "Invalid ProjectionExpression: Two document paths overlap",
        ),
        ("ProjectionExpression", json!("tree.x, tree[0]"), "conflict"),
        ("ProjectionExpression", json!("n,"), "Syntax error"),
        (
            "ProjectionExpression",
            json!("data"),
            "reserved keyword: data",
        ),
        (
            "ExclusiveStartKey",
            json!({"pk": {"S": "p"}}),
            "starting key is invalid",
        ),
        (
            "ExclusiveStartKey",
            json!({"pk": {"S": "p"}, "sk": {"N": "1"}}),
            "starting key is invalid",
        ),
        (
            "ExclusiveStartKey",
            json!({"pk": {"S": "q"}, "sk": {"S": "a"}}),
            "outside query boundaries",
        ),
        (
            "ExpressionAttributeNames",
            json!({"#a": "a"}),
            "unused in expressions: keys: {#a}",
        ),
    ] {
        let mut request = all.clone();
        request[name] = value;
        let refused = refusal(&tried.query(&request));
        assert!(refused.contains(why), "{name}: {refused}");
    }
    let mut within = all.clone();
    merge(
        &mut within,
        &json!({
            "KeyConditionExpression": "pk = :p AND sk < :b",
            "ExpressionAttributeValues": values(&[(":p", "p"), (":b", "b")]),
            "ExclusiveStartKey": key_of("b"),
        }),
    );
    let refused = refusal(&tried.query(&within));
    assert!(
        refused.contains("does not match the range key predicate"),
        "{refused}"
    );
}

#[test]
fn projections_keep_what_is_asked_for() {
    let mut tried = filled(&["a"]);
    for (projection, kept) in [
        ("n", json!({"n": {"N": "0"}})),
        ("sk, n", json!({"sk": {"S": "a"}, "n": {"N": "0"}})),
        ("gone", json!({})),
        ("tree.x", json!({"tree": {"M": {"x": {"N": "1"}}}})),
        (
            "tree.y[1], n",
            json!({"tree": {"M": {"y": {"L": [{"S": "b"}]}}}, "n": {"N": "0"}}),
        ),
        (
            "tree.y[1], tree.y[0]",
            json!({"tree": {"M": {"y": {"L": [{"S": "a"}, {"S": "b"}]}}}}),
        ),
        ("tree.gone, n.x, tree.y[7]", json!({})),
    ] {
        let (status, body) = tried.query(&json!({
            "KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": values(&[(":p", "p")]),
            "ProjectionExpression": projection,
        }));
        assert_eq!(status, 200, "{body}");
        assert_eq!(body["Items"], json!([kept]), "{projection}");
    }
}

/// The sort keys of every page, from the first to the last.
fn pages(tried: &mut Tried, request: &Json) -> Vec<Vec<String>> {
    let mut request = request.clone();
    let mut pages = Vec::new();
    loop {
        let (status, body) = tried.query(&request);
        assert_eq!(status, 200, "{body}");
        pages.push(sks(&body));
        match body.get("LastEvaluatedKey") {
            None => return pages,
            Some(last) => request["ExclusiveStartKey"] = last.clone(),
        }
        assert!(pages.len() < 20, "{pages:?}");
    }
}

#[test]
fn pages_go_on_where_the_last_ended() {
    let mut tried = filled(&["k", "l", "m", "q"]);
    let mut request = json!({
        "KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": values(&[(":p", "p")]),
    });
    let texts = |pages: &[&str]| -> Vec<Vec<String>> {
        let page = |page: &&str| page.chars().map(String::from).collect();
        pages.iter().map(page).collect()
    };
    assert_eq!(pages(&mut tried, &request), texts(&["klmq"]));
    request["Limit"] = json!(3);
    assert_eq!(pages(&mut tried, &request), texts(&["klm", "q"]));
    request["Limit"] = json!(2);
    assert_eq!(pages(&mut tried, &request), texts(&["kl", "mq", ""]));
    request["ScanIndexForward"] = json!(false);
    assert_eq!(pages(&mut tried, &request), texts(&["qm", "lk", ""]));
    tried.0.set_page_items(1);
    assert_eq!(
        pages(&mut tried, &request),
        texts(&["q", "m", "l", "k", ""])
    );
    merge(
        &mut request,
        &json!({
            "FilterExpression": "n = :n",
            "ExpressionAttributeValues": {":p": {"S": "p"}, ":n": {"N": "1"}},
        }),
    );
    assert_eq!(pages(&mut tried, &request), texts(&["", "", "l", "", ""]));
    let (_, body) = tried.query(&request);
    assert_eq!(
        (&body["Count"], &body["ScannedCount"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(body["LastEvaluatedKey"], key_of("q"));
}

#[test]
fn a_page_has_at_most_a_megabyte() {
    let mut tried = Tried::new();
    for sk in ["a", "b", "c", "d"] {
        let item = json!({"pk": {"S": "p"}, "sk": {"S": sk}, "t": {"S": "x".repeat(390 * 1024)}});
        assert_eq!(tried.transact(&json!([{"Put": {"Item": item}}])), ok());
    }
    let request = json!({
        "KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": values(&[(":p", "p")]),
        "ProjectionExpression": "sk",
    });
    assert_eq!(pages(&mut tried, &request), [["a", "b"], ["c", "d"]]);
}
