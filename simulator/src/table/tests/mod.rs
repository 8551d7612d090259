mod conditions;
mod queries;
mod transactions;
mod updates;

use serde_json::{Value as Json, json};

use super::*;

/// A table with one page after the other as requests need it.
struct Tried(Table);

impl Tried {
    fn new() -> Self {
        Self(Table::new("runs"))
    }

    /// One with `item`, whose key is `p`, `s`.
    fn with(item: &Json) -> Self {
        let mut tried = Self::new();
        let item = keyed(item);
        assert_eq!(tried.transact(&json!([{"Put": {"Item": item}}])), ok());
        tried
    }

    /// What comes of these actions, each of which gets the table's name.
    fn transact(&mut self, actions: &Json) -> (u16, Json) {
        let mut request = json!({"TransactItems": actions});
        for action in request["TransactItems"].as_array_mut().unwrap() {
            for action in action.as_object_mut().unwrap().values_mut() {
                action["TableName"] = json!("runs");
            }
        }
        self.send("TransactWriteItems", &request, 0)
    }

    fn query(&mut self, members: &Json) -> (u16, Json) {
        let mut request = json!({"TableName": "runs", "ConsistentRead": true});
        merge(&mut request, members);
        self.send("Query", &request, 0)
    }

    fn send(&mut self, operation: &str, request: &Json, now_ms: u64) -> (u16, Json) {
        let body = request.to_string();
        let answer = self.0.answer(operation, body.as_bytes(), now_ms);
        let body = serde_json::from_str(&answer.body).expect("an answer is JSON");
        (answer.status, body)
    }

    /// Its items without their keys.
    fn items(&self) -> Vec<Json> {
        let items = self.0.items().map(|item| {
            let mut item: Json = serde_json::from_str(&json_of(item)).unwrap();
            let object = item.as_object_mut().unwrap();
            object.remove("pk");
            object.remove("sk");
            item
        });
        items.collect()
    }
}

fn ok() -> (u16, Json) {
    (200, json!({}))
}

fn key() -> Json {
    json!({"pk": {"S": "p"}, "sk": {"S": "s"}})
}

fn keyed(item: &Json) -> Json {
    let mut keyed = key();
    merge(&mut keyed, item);
    keyed
}

fn merge(to: &mut Json, more: &Json) {
    let to = to.as_object_mut().unwrap();
    for (name, value) in more.as_object().unwrap() {
        to.insert(name.clone(), value.clone());
    }
}

/// What an answer refuses, in short: its code, and the message or the reasons of all actions.
fn refusal((status, body): &(u16, Json)) -> String {
    assert_eq!(*status, 400, "{body}");
    let (_, code) = body["__type"].as_str().unwrap().split_once('#').unwrap();
    let Some(reasons) = body["CancellationReasons"].as_array() else {
        return format!("{code}: {}", body["message"].as_str().unwrap());
    };
    let reasons = reasons.iter().map(|reason| {
        let code = reason["Code"].as_str().unwrap();
        match reason["Message"].as_str() {
            Some(message) if code == "ValidationError" => format!("{code}: {message}"),
            _ => code.to_owned(),
        }
    });
    reasons.collect::<Vec<_>>().join(", ")
}

/// The values of expressions in these tests.
fn values() -> Json {
    json!({
        ":null": {"NULL": true},
        ":yes": {"BOOL": true},
        ":0": {"N": "0"},
        ":1": {"N": "1"},
        ":2": {"N": "2"},
        ":10": {"N": "10"},
        ":a": {"S": "a"},
        ":b": {"S": "b"},
        ":ab": {"S": "ab"},
        ":empty": {"S": ""},
        ":N": {"S": "N"},
        ":M": {"S": "M"},
        ":X": {"S": "X"},
        ":list": {"L": [{"N": "1"}, {"S": "b"}]},
        ":map": {"M": {"x": {"N": "1"}}},
        ":texts": {"SS": ["a", "b"]},
        ":numbers": {"NS": ["1", "2"]},
    })
}

/// The names of expressions in these tests.
fn names() -> Json {
    json!({"#ttl": "ttl", "#dotted": "a.b", "#tree": "tree", "#pk": "pk"})
}

/// An action with an expression and those names and values that it uses.
fn with_expressions(action: &Json, expressions: &[(&str, &str)]) -> Json {
    let mut action = action.clone();
    let text: Vec<&str> = expressions.iter().map(|(_, text)| *text).collect();
    let text = text.join(" ");
    let words: Vec<&str> = text
        .split(|one: char| !(one.is_ascii_alphanumeric() || "_:#".contains(one)))
        .collect();
    for (member, all) in [
        ("ExpressionAttributeNames", names()),
        ("ExpressionAttributeValues", values()),
    ] {
        let all = all.as_object().unwrap().clone();
        let used = all.into_iter().filter(|(name, _)| words.contains(&&**name));
        let used: serde_json::Map<_, _> = used.collect();
        if !used.is_empty() {
            action[member] = used.into();
        }
    }
    for (member, text) in expressions {
        action[*member] = json!(text);
    }
    action
}

#[test]
fn a_table_goes_from_thread_to_thread() {
    fn goes<T: Send + Sync>() {}
    goes::<Table>();
}

#[test]
fn other_operations_and_bodies_are_refused_by_name() {
    let mut tried = Tried::new();
    let refused = refusal(&tried.send("PutItem", &json!({}), 0));
    assert_eq!(
        refused,
        "UnknownOperationException: The operation PutItem is not known here"
    );
    for body in ["", "{", "[]", "1"] {
        let answer = tried.0.answer("Query", body.as_bytes(), 0);
        assert!(
            answer.body.contains("SerializationException"),
            "{}",
            answer.body
        );
    }
}

#[test]
fn items_expire_when_the_world_says() {
    let mut tried = Tried::new();
    for (index, ttl) in [
        json!({"N": "10"}),
        json!({"N": "11"}),
        json!({"S": "1"}),
        json!({"N": "1.5"}),
        json!({"N": "-1"}),
    ]
    .into_iter()
    .enumerate()
    {
        let item = json!({"pk": {"S": "p"}, "sk": {"S": index.to_string()}, "ttl": ttl});
        assert_eq!(tried.transact(&json!([{"Put": {"Item": item}}])), ok());
    }
    assert_eq!(tried.0.expire(9_999), 0);
    assert_eq!(tried.0.expire(10_000), 1);
    assert_eq!(tried.items().len(), 4);
    let five_years_ms = 5 * 365 * 24 * 3600 * 1000;
    assert_eq!(tried.0.expire(five_years_ms + 11_000), 0);
    assert_eq!(tried.0.expire(five_years_ms + 10_999), 1);
    assert_eq!(tried.items().len(), 3);
}

#[test]
fn whatever_words_an_expression_has_it_is_done_or_refused() {
    const WORDS: [&str; 34] = [
        "SET",
        "REMOVE",
        "ADD",
        "DELETE",
        "AND",
        "OR",
        "NOT",
        "BETWEEN",
        "IN",
        "n",
        "tree",
        "x",
        "pk",
        "sk",
        ":1",
        ":a",
        ":list",
        ":texts",
        "#ttl",
        "[",
        "]",
        "0",
        "9",
        ".",
        "(",
        ")",
        ",",
        "=",
        "<",
        "+",
        "-",
        "size",
        "if_not_exists",
        "contains",
    ];
    let mut tried = Tried::with(&json!({"n": {"N": "1"}, "tree": {"M": {"x": {"L": []}}}}));
    let mut state = 1_u64;
    let mut next = |most: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(state >> 33).unwrap() % most
    };
    let mut done = 0;
    for _ in 0..4_000 {
        let length = 1 + next(8);
        let words: Vec<_> = (0..length).map(|_| WORDS[next(WORDS.len())]).collect();
        let text = words.join(" ");
        for action in [
            json!({"Update": with_expressions(&json!({"Key": key()}), &[("UpdateExpression", &text)])}),
            json!({"Update": with_expressions(
                &json!({"Key": key()}),
                &[("UpdateExpression", &format!("SET n = {text}"))],
            )}),
            json!({"ConditionCheck": with_expressions(
                &json!({"Key": key()}),
                &[("ConditionExpression", &text)],
            )}),
        ] {
            let answer = tried.transact(&json!([action]));
            done += u32::from(answer == ok());
            assert!(answer == ok() || !refusal(&answer).is_empty());
        }
    }
    assert!(done > 20, "{done} were done");
}
