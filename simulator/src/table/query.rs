//! Queries: items of one partition in the order of their sort keys, page by page.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use serde_json::Value as Json;

use super::condition::{Comparator, Condition, Node, Operand};
use super::failure::Failure;
use super::members::Members;
use super::parsed::refused;
use super::path::Path;
use super::placeholders::Placeholders;
use super::projection::Projection;
use super::value::{Item, Value, write_item, write_text, written};
use super::{PK, Row, SK, Table, empty_key};

/// Most that one page reads.
const PAGE_BYTES_MAX: usize = 1024 * 1024;

const KEY_CONDITION: &str = "KeyConditionExpression";
const FILTER: &str = "FilterExpression";
const PROJECTION: &str = "ProjectionExpression";
const START: &str = "ExclusiveStartKey";

/// The keys that a query is about.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    pk: String,
    low: Bound<String>,
    high: Bound<String>,
}

/// What a query asks for.
struct Query {
    range: Range,
    filter: Option<Arc<Condition>>,
    projection: Option<Projection>,
    given: Placeholders,
    forward: bool,
    limit: usize,
}

impl Table {
    /// The JSON that answers a query.
    pub(super) fn query(&mut self, request: &Json) -> Result<String, Failure> {
        let query = self.read_query(request)?;
        let nothing = BTreeMap::new();
        let rows = self.partitions.get(&query.range.pk).unwrap_or(&nothing);
        let rows = rows.range::<String, _>(query.range.bounds());
        let rows: Box<dyn Iterator<Item = _>> = if query.forward {
            Box::new(rows)
        } else {
            Box::new(rows.rev())
        };
        Ok(query.page(rows, query.limit.min(self.page_items)))
    }

    fn read_query(&mut self, request: &Json) -> Result<Query, Failure> {
        let known = [
            "TableName",
            "ConsistentRead",
            "ScanIndexForward",
            "Limit",
            "ExpressionAttributeNames",
            "ExpressionAttributeValues",
            KEY_CONDITION,
            FILTER,
            PROJECTION,
            START,
        ];
        let members = Members::of(request, "Query", &known)?;
        let name = members.needed("TableName", members.text("TableName")?)?;
        // What was written some time ago is no answer of this table.
        if members.flag("ConsistentRead")? != Some(true) {
            return Err(Failure::validation(
                "queries are answered consistently here: ConsistentRead has to be true",
            ));
        }
        let forward = members.flag("ScanIndexForward")?.unwrap_or(true);
        let limit = limit(&members)?;
        let given = Placeholders::read(&members)?;
        let condition = members.needed(KEY_CONDITION, members.text(KEY_CONDITION)?)?;
        let condition = self.parsed.condition(condition, KEY_CONDITION)?;
        checked(KEY_CONDITION, condition.check(&given))?;
        let mut used = vec![&condition.references];
        let filter = members.text(FILTER)?;
        let filter = filter.map(|text| self.parsed.condition(text, FILTER));
        let filter = filter.transpose()?;
        if let Some(filter) = &filter {
            checked(FILTER, filter.check(&given))?;
            used.push(&filter.references);
        }
        let projection = members.text(PROJECTION)?.map(Projection::parse);
        let projection = checked(PROJECTION, projection.transpose())?;
        if let Some(projection) = &projection {
            checked(PROJECTION, projection.check(&given))?;
            used.push(&projection.references);
        }
        given.refuse_unused(&used)?;
        self.refuse_other_table(name)?;
        let mut range = Range::of(&condition.root, &given)?;
        if let Some(filter) = &filter {
            refuse_keys(filter, &given)?;
        }
        if let Some(start) = members.item(START)? {
            range.start_after(&start, forward)?;
        }
        Ok(Query {
            range,
            filter,
            projection,
            given,
            forward,
            limit,
        })
    }
}

impl Query {
    /// One page of `rows`, which ends after `limit` of them or at its most bytes. That it ended early, it
    /// says by the key of the last row that it looked at; there need be nothing after it.
    fn page<'a>(&self, rows: impl Iterator<Item = (&'a String, &'a Row)>, limit: usize) -> String {
        let mut body = "{\"Items\":[".to_owned();
        let (mut scanned, mut count, mut bytes) = (0, 0, 0);
        let mut last = None;
        let mut ends_early = false;
        for (sk, row) in rows {
            if scanned > 0 && bytes + row.bytes > PAGE_BYTES_MAX {
                ends_early = true;
                break;
            }
            scanned += 1;
            bytes += row.bytes;
            last = Some(sk);
            if self.finds(&row.item) {
                if count > 0 {
                    body.push(',');
                }
                self.write(row, &mut body);
                count += 1;
            }
            // Here DynamoDB does not look whether there is more.
            ends_early = scanned == limit;
            if ends_early {
                break;
            }
        }
        written(
            &mut body,
            format_args!("],\"Count\":{count},\"ScannedCount\":{scanned}"),
        );
        if let Some(sk) = last.filter(|_| ends_early) {
            body.push_str(",\"LastEvaluatedKey\":{\"pk\":{\"S\":");
            write_text(&self.range.pk, &mut body);
            body.push_str("},\"sk\":{\"S\":");
            write_text(sk, &mut body);
            body.push_str("}}");
        }
        body.push('}');
        body
    }

    fn finds(&self, item: &Item) -> bool {
        let filter = self.filter.as_ref();
        filter.is_none_or(|filter| filter.holds(item, &self.given))
    }

    fn write(&self, row: &Row, to: &mut String) {
        match &self.projection {
            None => to.push_str(&row.json),
            Some(projection) => write_item(&projection.of(&row.item, &self.given), to),
        }
    }
}

fn checked<T>(what: &str, result: Result<T, String>) -> Result<T, Failure> {
    result.map_err(|why| refused(what, &why))
}

/// A filter is of what the key condition is not.
fn refuse_keys(filter: &Condition, given: &Placeholders) -> Result<(), Failure> {
    match [PK, SK].iter().find(|name| filter.asks_for(name, given)) {
        None => Ok(()),
        Some(name) => Err(Failure::Validation(format!(
            "Filter Expression can only contain non-primary key attributes: Primary key attribute: \
             {name}"
        ))),
    }
}

fn limit(members: &Members<'_>) -> Result<usize, Failure> {
    match members.integer("Limit")? {
        None => Ok(usize::MAX),
        Some(limit) if limit < 1 => Err(Failure::constraint(
            "Limit",
            "Member must have value greater than or equal to 1",
        )),
        Some(limit) => Ok(usize::try_from(limit).unwrap_or(usize::MAX)),
    }
}

impl Range {
    /// The keys that a key condition admits.
    fn of(root: &Node, given: &Placeholders) -> Result<Self, Failure> {
        let mut parts = Vec::new();
        take_apart(root, &mut parts);
        let mut pk = None;
        let mut sk = None;
        for part in &parts {
            let (path, bounds) = bounds_of(part, given)?;
            if path.0.len() > 1 {
                return Err(Failure::validation(
                    "KeyConditionExpressions cannot have conditions on nested attributes",
                ));
            }
            let (slot, name) = if path.is(PK, given) {
                (&mut pk, PK)
            } else if path.is(SK, given) {
                (&mut sk, SK)
            } else {
                let missed = if pk.is_some() { SK } else { PK };
                return Err(Failure::Validation(format!(
                    "Query condition missed key schema element: {missed}"
                )));
            };
            let bounds = bounds.texts(name)?;
            if slot.replace(bounds).is_some() {
                return Err(refused(
                    KEY_CONDITION,
                    "KeyConditionExpressions must only contain one condition per key",
                ));
            }
        }
        let pk = pk.ok_or_else(|| {
            Failure::validation(format!("Query condition missed key schema element: {PK}"))
        })?;
        let Some(pk) = pk.as_equal() else {
            return Err(Failure::validation("Query key condition not supported"));
        };
        let (low, high) = sk.map_or((Bound::Unbounded, Bound::Unbounded), Bounds::range);
        Ok(Self { pk, low, high })
    }

    fn bounds(&self) -> (Bound<&String>, Bound<&String>) {
        (self.low.as_ref(), self.high.as_ref())
    }

    /// Leaves out what comes before `start`, and that itself.
    fn start_after(&mut self, start: &Item, forward: bool) -> Result<(), Failure> {
        let text = |name| start.get(name).and_then(Value::as_text);
        let (Some(pk), Some(sk), 2) = (text(PK), text(SK), start.len()) else {
            return Err(Failure::validation("The provided starting key is invalid"));
        };
        if pk != self.pk {
            return Err(Failure::validation(
                "The provided starting key is outside query boundaries based on provided conditions",
            ));
        }
        if !RangeBounds::<String>::contains(&self.bounds(), &sk.to_owned()) {
            return Err(Failure::validation(
                "The provided starting key does not match the range key predicate",
            ));
        }
        let side = if forward {
            &mut self.low
        } else {
            &mut self.high
        };
        *side = Bound::Excluded(sk.to_owned());
        Ok(())
    }
}

/// What a condition wants of a key.
enum Bounds<T> {
    Equal(T),
    Less(T),
    LessOrEqual(T),
    Greater(T),
    GreaterOrEqual(T),
    Between(T, T),
    BeginsWith(T),
}

impl Bounds<&Value> {
    /// The same, for a key that is a text.
    fn texts(self, name: &str) -> Result<Bounds<String>, Failure> {
        let text = |value: &Value| match value.as_text() {
            None => Err(Failure::invalid(
                "Condition parameter type does not match schema type",
            )),
            Some("") => Err(empty_key(name)),
            Some(text) => Ok(text.to_owned()),
        };
        Ok(match self {
            Self::Equal(value) => Bounds::Equal(text(value)?),
            Self::Less(value) => Bounds::Less(text(value)?),
            Self::LessOrEqual(value) => Bounds::LessOrEqual(text(value)?),
            Self::Greater(value) => Bounds::Greater(text(value)?),
            Self::GreaterOrEqual(value) => Bounds::GreaterOrEqual(text(value)?),
            Self::Between(low, high) => Bounds::Between(text(low)?, text(high)?),
            Self::BeginsWith(value) => Bounds::BeginsWith(text(value)?),
        })
    }
}

impl Bounds<String> {
    fn as_equal(&self) -> Option<String> {
        if let Self::Equal(text) = self {
            Some(text.clone())
        } else {
            None
        }
    }

    fn range(self) -> (Bound<String>, Bound<String>) {
        use Bound::{Excluded, Included, Unbounded};
        match self {
            Self::Equal(text) => (Included(text.clone()), Included(text)),
            Self::Less(text) => (Unbounded, Excluded(text)),
            Self::LessOrEqual(text) => (Unbounded, Included(text)),
            Self::Greater(text) => (Excluded(text), Unbounded),
            Self::GreaterOrEqual(text) => (Included(text), Unbounded),
            Self::Between(low, high) => (Included(low), Included(high)),
            Self::BeginsWith(text) => {
                let end = behind(&text);
                (Included(text), end)
            }
        }
    }
}

/// What comes after everything that begins with `prefix`.
fn behind(prefix: &str) -> Bound<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        if let Some(next) = (last..=char::MAX).nth(1) {
            chars.push(next);
            return Bound::Excluded(chars.into_iter().collect());
        }
    }
    Bound::Unbounded
}

fn take_apart<'n>(node: &'n Node, parts: &mut Vec<&'n Node>) {
    if let Node::And(one, two) = node {
        take_apart(one, parts);
        take_apart(two, parts);
    } else {
        parts.push(node);
    }
}

/// The attribute that a condition is about, and what it wants of it.
fn bounds_of<'a>(
    node: &'a Node,
    given: &'a Placeholders,
) -> Result<(&'a Path, Bounds<&'a Value>), Failure> {
    let operator = |word: &str| Err(invalid_operator(word));
    match node {
        Node::Compare(one, comparator, two) => {
            let value = literal(two, given)?;
            let bounds = match comparator {
                Comparator::Equal => Bounds::Equal(value),
                Comparator::Less => Bounds::Less(value),
                Comparator::LessOrEqual => Bounds::LessOrEqual(value),
                Comparator::Greater => Bounds::Greater(value),
                Comparator::GreaterOrEqual => Bounds::GreaterOrEqual(value),
                Comparator::NotEqual => return operator("<>"),
            };
            Ok((attribute(one)?, bounds))
        }
        Node::Between(one, low, high) => {
            let bounds = Bounds::Between(literal(low, given)?, literal(high, given)?);
            Ok((attribute(one)?, bounds))
        }
        Node::BeginsWith(one, start) => {
            let bounds = Bounds::BeginsWith(literal(start, given)?);
            Ok((attribute(one)?, bounds))
        }
        Node::And(..) => operator("AND"),
        Node::Or(..) => operator("OR"),
        Node::Not(_) => operator("NOT"),
        Node::In(..) => operator("IN"),
        Node::Exists(_) => operator("attribute_exists"),
        Node::NotExists(_) => operator("attribute_not_exists"),
        Node::HasType(..) => operator("attribute_type"),
        Node::Contains(..) => operator("contains"),
    }
}

fn invalid_operator(word: &str) -> Failure {
    Failure::Validation(format!(
        "Invalid operator used in KeyConditionExpression: {word}"
    ))
}

fn attribute(operand: &Operand) -> Result<&Path, Failure> {
    match operand {
        Operand::Path(path) => Ok(path),
        Operand::Size(_) => Err(nested()),
        Operand::Value(_) => Err(Failure::validation(
            "Invalid condition in KeyConditionExpression: the key attribute must be the first operand",
        )),
    }
}

fn literal<'a>(operand: &Operand, given: &'a Placeholders) -> Result<&'a Value, Failure> {
    match operand {
        Operand::Value(_) => Ok(operand.literal(given).expect("it is a value")),
        Operand::Size(_) => Err(nested()),
        Operand::Path(_) => Err(Failure::validation(
            "Invalid condition in KeyConditionExpression: Multiple attribute names used in one \
             condition",
        )),
    }
}

fn nested() -> Failure {
    Failure::validation("KeyConditionExpressions cannot contain nested operations")
}
