//! Conditions: what has to hold of an item. A key condition and a filter are read in the same way.

use std::cmp::Ordering;

use super::path::{Path, shown};
use super::placeholders::Placeholders;
use super::references::References;
use super::tokens::Tokens;
use super::value::{Item, Type, Value};

/// Most values that `IN` has.
const IN_MAX: usize = 100;
/// The types that `attribute_type` asks for.
const TYPES: [&str; 10] = ["B", "NULL", "SS", "BOOL", "L", "BS", "N", "NS", "S", "M"];

/// A condition.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition {
    pub(super) root: Node,
    pub(super) references: References,
}

/// One part of a condition.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Not(Box<Node>),
    Compare(Operand, Comparator, Operand),
    Between(Operand, Operand, Operand),
    In(Operand, Vec<Operand>),
    Exists(Path),
    NotExists(Path),
    HasType(Path, Operand),
    BeginsWith(Operand, Operand),
    Contains(Operand, Operand),
}

/// What is compared.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Path(Path),
    Value(String),
    Size(Path),
}

/// How two are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparator {
    const ALL: [Self; 6] = [
        Self::Equal,
        Self::NotEqual,
        Self::Less,
        Self::LessOrEqual,
        Self::Greater,
        Self::GreaterOrEqual,
    ];

    pub(super) const fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// Whether it wants an order.
    const fn orders(self) -> bool {
        !matches!(self, Self::Equal | Self::NotEqual)
    }

    fn admits(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

impl Condition {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut tokens = Tokens::of(text)?;
        tokens.refuse_redundant_parentheses()?;
        let root = or(&mut tokens)?;
        let references = tokens.finished()?;
        Ok(Self { root, references })
    }

    /// Refuses what can't be right whatever the item is.
    pub(super) fn check(&self, given: &Placeholders) -> Result<(), String> {
        given.refuse_undefined(&self.references)?;
        self.root.check(given)
    }

    /// Whether it holds of `item`.
    pub(super) fn holds(&self, item: &Item, given: &Placeholders) -> bool {
        self.root.holds(item, given)
    }

    /// Whether it asks for an attribute of this name.
    pub(super) fn asks_for(&self, name: &str, given: &Placeholders) -> bool {
        self.root.asks_for(name, given)
    }
}

fn or(tokens: &mut Tokens<'_>) -> Result<Node, String> {
    let mut node = and(tokens)?;
    while tokens.takes_keyword("OR") {
        node = Node::Or(Box::new(node), Box::new(and(tokens)?));
    }
    Ok(node)
}

fn and(tokens: &mut Tokens<'_>) -> Result<Node, String> {
    let mut node = not(tokens)?;
    while tokens.takes_keyword("AND") {
        node = Node::And(Box::new(node), Box::new(not(tokens)?));
    }
    Ok(node)
}

fn not(tokens: &mut Tokens<'_>) -> Result<Node, String> {
    if tokens.takes_keyword("NOT") {
        return Ok(Node::Not(Box::new(not(tokens)?)));
    }
    if tokens.takes("(") {
        let node = or(tokens)?;
        tokens.expect(")")?;
        return Ok(node);
    }
    match tokens.takes_function() {
        None => {
            let left = operand(tokens)?;
            comparison(tokens, left)
        }
        Some("size") => {
            let left = size(tokens)?;
            comparison(tokens, left)
        }
        Some(name) => function(tokens, name),
    }
}

fn comparison(tokens: &mut Tokens<'_>, left: Operand) -> Result<Node, String> {
    for comparator in Comparator::ALL {
        if tokens.takes(comparator.symbol()) {
            return Ok(Node::Compare(left, comparator, operand(tokens)?));
        }
    }
    if tokens.takes_keyword("BETWEEN") {
        let low = operand(tokens)?;
        if !tokens.takes_keyword("AND") {
            return Err(tokens.syntax_error());
        }
        return Ok(Node::Between(left, low, operand(tokens)?));
    }
    if tokens.takes_keyword("IN") {
        tokens.expect("(")?;
        let values = operands(tokens)?;
        if values.len() > IN_MAX {
            return Err(format!(
                "The IN operator is provided with too many operands; number of operands: {}",
                values.len()
            ));
        }
        return Ok(Node::In(left, values));
    }
    Err(match left {
        Operand::Size(_) => misused("size"),
        Operand::Path(_) | Operand::Value(_) => tokens.syntax_error(),
    })
}

fn function(tokens: &mut Tokens<'_>, name: &str) -> Result<Node, String> {
    const KNOWN: [(&str, usize); 5] = [
        ("attribute_exists", 1),
        ("attribute_not_exists", 1),
        ("attribute_type", 2),
        ("begins_with", 2),
        ("contains", 2),
    ];
    let Some((_, count)) = KNOWN.iter().find(|(known, _)| *known == name) else {
        return Err(format!("Invalid function name; function: {name}"));
    };
    let mut operands = operands(tokens)?;
    if operands.len() != *count {
        return Err(operand_count(name, operands.len()));
    }
    let last = operands.pop().expect("there are one or two");
    Ok(match (name, operands.pop()) {
        ("attribute_exists", _) => Node::Exists(path(last, name)?),
        ("attribute_not_exists", _) => Node::NotExists(path(last, name)?),
        ("attribute_type", Some(first)) => Node::HasType(path(first, name)?, last),
        ("begins_with", Some(first)) => Node::BeginsWith(first, last),
        (_, first) => Node::Contains(first.expect("there are two"), last),
    })
}

/// Operands up to the parenthesis that closes.
fn operands(tokens: &mut Tokens<'_>) -> Result<Vec<Operand>, String> {
    let mut operands = vec![operand(tokens)?];
    while tokens.takes(",") {
        operands.push(operand(tokens)?);
    }
    tokens.expect(")")?;
    Ok(operands)
}

fn operand(tokens: &mut Tokens<'_>) -> Result<Operand, String> {
    if let Some(value) = tokens.takes_value() {
        return Ok(Operand::Value(value));
    }
    match tokens.takes_function() {
        None => tokens.path().map(Operand::Path),
        Some("size") => size(tokens),
        Some(name) => Err(misused(name)),
    }
}

fn size(tokens: &mut Tokens<'_>) -> Result<Operand, String> {
    let path = tokens.path()?;
    tokens.expect(")")?;
    Ok(Operand::Size(path))
}

fn path(operand: Operand, function: &str) -> Result<Path, String> {
    match operand {
        Operand::Path(path) => Ok(path),
        Operand::Value(_) | Operand::Size(_) => Err(format!(
            "Operator or function requires a document path; operator or function: {function}"
        )),
    }
}

fn misused(function: &str) -> String {
    format!(
        "The function is not allowed to be used this way in an expression; function: {function}"
    )
}

pub(super) fn operand_count(function: &str, count: usize) -> String {
    format!(
        "Incorrect number of operands for operator or function; operator or function: {function}, \
         number of operands: {count}"
    )
}

pub(super) fn operand_type(function: &str, kind: Type) -> String {
    format!(
        "Incorrect operand type for operator or function; operator or function: {function}, operand \
         type: {}",
        kind.word()
    )
}

impl Node {
    fn check(&self, given: &Placeholders) -> Result<(), String> {
        match self {
            Self::And(one, two) | Self::Or(one, two) => {
                one.check(given)?;
                two.check(given)
            }
            Self::Not(one) => one.check(given),
            Self::Compare(one, comparator, two) => {
                if comparator.orders() {
                    one.refuse_unordered(comparator.symbol(), given)?;
                    two.refuse_unordered(comparator.symbol(), given)?;
                }
                refuse_same(comparator.symbol(), one, two, given)
            }
            Self::Between(one, low, high) => {
                for operand in [one, low, high] {
                    operand.refuse_unordered("BETWEEN", given)?;
                }
                check_bounds(low, high, given)
            }
            Self::In(..) | Self::Exists(_) | Self::NotExists(_) => Ok(()),
            Self::HasType(_, name) => check_type_name(name, given),
            Self::BeginsWith(one, two) => {
                for operand in [one, two] {
                    match operand.literal(given).map(Value::kind) {
                        None | Some(Type::S) => {}
                        Some(kind) => return Err(operand_type("begins_with", kind)),
                    }
                }
                refuse_same("begins_with", one, two, given)
            }
            Self::Contains(one, two) => refuse_same("contains", one, two, given),
        }
    }

    fn holds(&self, item: &Item, given: &Placeholders) -> bool {
        let value = |operand: &Operand| operand.value(item, given);
        match self {
            Self::And(one, two) => one.holds(item, given) && two.holds(item, given),
            Self::Or(one, two) => one.holds(item, given) || two.holds(item, given),
            Self::Not(one) => !one.holds(item, given),
            Self::Compare(one, comparator, two) => {
                compares(value(one).as_ref(), *comparator, value(two).as_ref())
            }
            Self::Between(one, low, high) => {
                let one = value(one);
                compares(
                    one.as_ref(),
                    Comparator::GreaterOrEqual,
                    value(low).as_ref(),
                ) && compares(one.as_ref(), Comparator::LessOrEqual, value(high).as_ref())
            }
            Self::In(one, values) => {
                let one = value(one);
                values
                    .iter()
                    .any(|other| compares(one.as_ref(), Comparator::Equal, value(other).as_ref()))
            }
            Self::Exists(path) => path.find(item, given).is_some(),
            Self::NotExists(path) => path.find(item, given).is_none(),
            Self::HasType(path, name) => {
                let name = value(name);
                let found = path.find(item, given);
                found.map(|found| found.kind().word())
                    == name.as_ref().and_then(|name| name.get().as_text())
            }
            Self::BeginsWith(one, two) => value(one).zip(value(two)).is_some_and(|(one, two)| {
                let texts = one.get().as_text().zip(two.get().as_text());
                texts.is_some_and(|(text, start)| text.starts_with(start))
            }),
            Self::Contains(one, two) => value(one)
                .zip(value(two))
                .is_some_and(|(one, two)| contains(one.get(), two.get())),
        }
    }

    fn asks_for(&self, name: &str, given: &Placeholders) -> bool {
        let of_path = |path: &Path| path.starts_with(name, given);
        let of = |operand: &Operand| match operand {
            Operand::Path(path) | Operand::Size(path) => of_path(path),
            Operand::Value(_) => false,
        };
        match self {
            Self::And(one, two) | Self::Or(one, two) => {
                one.asks_for(name, given) || two.asks_for(name, given)
            }
            Self::Not(one) => one.asks_for(name, given),
            Self::Compare(one, _, two) | Self::BeginsWith(one, two) | Self::Contains(one, two) => {
                of(one) || of(two)
            }
            Self::Between(one, low, high) => of(one) || of(low) || of(high),
            Self::In(one, values) => of(one) || values.iter().any(of),
            Self::Exists(path) | Self::NotExists(path) | Self::HasType(path, _) => of_path(path),
        }
    }
}

/// What an operand is for an item.
enum Found<'a> {
    There(&'a Value),
    Counted(Value),
}

impl Found<'_> {
    const fn get(&self) -> &Value {
        match self {
            Self::There(value) => value,
            Self::Counted(value) => value,
        }
    }
}

impl Operand {
    fn value<'a>(&self, item: &'a Item, given: &'a Placeholders) -> Option<Found<'a>> {
        match self {
            Self::Path(path) => path.find(item, given).map(Found::There),
            Self::Value(name) => Some(Found::There(given.value(name))),
            Self::Size(path) => {
                let size = path.find(item, given)?.size()?;
                Some(Found::Counted(Value::count(size)))
            }
        }
    }

    /// Its value, whatever the item is.
    pub(super) fn literal<'a>(&self, given: &'a Placeholders) -> Option<&'a Value> {
        match self {
            Self::Value(name) => Some(given.value(name)),
            Self::Path(_) | Self::Size(_) => None,
        }
    }

    fn refuse_unordered(&self, operator: &str, given: &Placeholders) -> Result<(), String> {
        match self.literal(given).map(Value::kind) {
            Some(kind) if !kind.is_ordered() => Err(operand_type(operator, kind)),
            Some(_) | None => Ok(()),
        }
    }
}

fn refuse_same(
    operator: &str,
    one: &Operand,
    two: &Operand,
    given: &Placeholders,
) -> Result<(), String> {
    let (Operand::Path(one), Operand::Path(two)) = (one, two) else {
        return Ok(());
    };
    let one = one.parts(given);
    if one != two.parts(given) {
        return Ok(());
    }
    Err(format!(
        "The first operand must be distinct from the remaining operands for this operator or \
         function; operator: {operator}, first operand: {}",
        shown(&one)
    ))
}

fn check_bounds(low: &Operand, high: &Operand, given: &Placeholders) -> Result<(), String> {
    let Some((low, high)) = low.literal(given).zip(high.literal(given)) else {
        return Ok(());
    };
    match low.compare(high) {
        None => Err(
            "The BETWEEN operator requires same data type for lower and upper bounds".to_owned(),
        ),
        Some(Ordering::Greater) => Err(
            "The BETWEEN operator requires upper bound to be greater than or equal to lower bound"
                .to_owned(),
        ),
        Some(Ordering::Less | Ordering::Equal) => Ok(()),
    }
}

fn check_type_name(name: &Operand, given: &Placeholders) -> Result<(), String> {
    let Some(value) = name.literal(given) else {
        return Err(
            "Incorrect operand type for operator or function; operator or function: \
             attribute_type, operand type: {NS,SS,L,BS,N,M,B,BOOL,NULL,S}"
                .to_owned(),
        );
    };
    let Some(name) = value.as_text() else {
        return Err(operand_type("attribute_type", value.kind()));
    };
    if TYPES.contains(&name) {
        return Ok(());
    }
    Err(format!(
        "Invalid attribute type name found; type: {name}, valid types: {{{}}}",
        TYPES.join(",")
    ))
}

/// What is not there equals only what is not there either, and has no order.
fn compares(one: Option<&Found<'_>>, comparator: Comparator, two: Option<&Found<'_>>) -> bool {
    let (one, two) = (one.map(Found::get), two.map(Found::get));
    match comparator {
        Comparator::Equal => one == two,
        Comparator::NotEqual => one != two,
        Comparator::Less
        | Comparator::LessOrEqual
        | Comparator::Greater
        | Comparator::GreaterOrEqual => one
            .zip(two)
            .and_then(|(one, two)| one.compare(two))
            .is_some_and(|order| comparator.admits(order)),
    }
}

fn contains(one: &Value, two: &Value) -> bool {
    match one {
        Value::S(text) => two.as_text().is_some_and(|part| text.contains(part)),
        Value::Ss(set) => two.as_text().is_some_and(|member| set.contains(member)),
        Value::Ns(set) => two.as_number().is_some_and(|member| set.contains(&member)),
        Value::L(list) => list.contains(two),
        Value::N(_) | Value::Bool(_) | Value::Null | Value::M(_) => false,
    }
}
