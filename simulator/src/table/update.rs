//! Updates: what becomes of an item. Every value is taken from the item before the update.

use super::condition::{operand_count, operand_type};
use super::path::{Part, Path, refuse_overlaps};
use super::placeholders::Placeholders;
use super::references::References;
use super::tokens::Tokens;
use super::value::{Item, Type, Value};

const NO_SUCH_PLACE: &str =
    "The document path provided in the update expression is invalid for update";
const NOT_THERE: &str =
    "The provided expression refers to an attribute that does not exist in the item";
const WRONG_TYPE: &str = "An operand in the update expression has an incorrect data type";

/// An update.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Update {
    actions: Vec<Action>,
    pub(super) references: References,
}

#[derive(Debug, Clone, PartialEq)]
enum Action {
    Set(Path, Assigned),
    Remove(Path),
    Add(Path, String),
    Delete(Path, String),
}

/// What is assigned.
#[derive(Debug, Clone, PartialEq)]
enum Assigned {
    Operand(Operand),
    Sum(Operand, Operand),
    Difference(Operand, Operand),
}

#[derive(Debug, Clone, PartialEq)]
enum Operand {
    Path(Path),
    Value(String),
    IfNotExists(Path, Box<Operand>),
    ListAppend(Box<Operand>, Box<Operand>),
}

impl Update {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        const SECTIONS: [&str; 4] = ["SET", "REMOVE", "ADD", "DELETE"];
        let mut tokens = Tokens::of(text)?;
        let mut actions = Vec::new();
        let mut seen = Vec::new();
        while !tokens.is_at_end() {
            let section = SECTIONS.into_iter().find(|one| tokens.takes_keyword(one));
            let section = section.ok_or_else(|| tokens.syntax_error())?;
            if seen.contains(&section) {
                return Err(format!(
                    "The \"{section}\" section can only be used once in an update expression;"
                ));
            }
            seen.push(section);
            loop {
                actions.push(action(&mut tokens, section)?);
                if !tokens.takes(",") {
                    break;
                }
            }
        }
        let references = tokens.finished()?;
        Ok(Self {
            actions,
            references,
        })
    }

    /// Refuses what can't be right whatever the item is.
    pub(super) fn check(&self, given: &Placeholders) -> Result<(), String> {
        given.refuse_undefined(&self.references)?;
        refuse_overlaps(self.actions.iter().map(Action::path), given)?;
        self.actions.iter().try_for_each(|one| one.check(given))
    }

    /// Whether it changes an attribute of this name.
    pub(super) fn changes(&self, name: &str, given: &Placeholders) -> bool {
        let mut paths = self.actions.iter().map(Action::path);
        paths.any(|path| path.starts_with(name, given))
    }

    /// What becomes of `before`.
    pub(super) fn applied(&self, before: &Item, given: &Placeholders) -> Result<Item, String> {
        let mut item = before.clone();
        let mut removed = Vec::new();
        let mut values = Vec::new();
        for action in &self.actions {
            match action {
                Action::Set(path, assigned) => {
                    values.push((path, Some(assigned.value(before, given)?)));
                }
                Action::Remove(path) => removed.push(path.parts(given)),
                Action::Add(path, name) => {
                    let sum = added(path.find(before, given), given.value(name))?;
                    values.push((path, Some(sum)));
                }
                Action::Delete(path, name) => {
                    let rest = without(path.find(before, given), given.value(name))?;
                    values.push((path, rest));
                }
            }
        }
        for (path, value) in values {
            let place = Place::of(&mut item, &path.parts(given))?;
            match value {
                Some(value) => place.set(value),
                None => place.remove(),
            }
        }
        // The last members of a list first: the others keep their places.
        removed.sort_unstable();
        for path in removed.iter().rev() {
            Place::of(&mut item, path)?.remove();
        }
        Ok(item)
    }
}

fn action(tokens: &mut Tokens<'_>, section: &str) -> Result<Action, String> {
    let path = tokens.path()?;
    if section == "SET" {
        tokens.expect("=")?;
        return Ok(Action::Set(path, assigned(tokens)?));
    }
    if section == "REMOVE" {
        return Ok(Action::Remove(path));
    }
    let value = tokens.takes_value();
    let value = value.ok_or_else(|| tokens.syntax_error())?;
    Ok(if section == "ADD" {
        Action::Add(path, value)
    } else {
        Action::Delete(path, value)
    })
}

fn assigned(tokens: &mut Tokens<'_>) -> Result<Assigned, String> {
    if tokens.takes("(") {
        let assigned = assigned(tokens)?;
        tokens.expect(")")?;
        return Ok(assigned);
    }
    let left = operand(tokens)?;
    if tokens.takes("+") {
        return Ok(Assigned::Sum(left, operand(tokens)?));
    }
    if tokens.takes("-") {
        return Ok(Assigned::Difference(left, operand(tokens)?));
    }
    Ok(Assigned::Operand(left))
}

fn operand(tokens: &mut Tokens<'_>) -> Result<Operand, String> {
    if let Some(value) = tokens.takes_value() {
        return Ok(Operand::Value(value));
    }
    let Some(function) = tokens.takes_function() else {
        return tokens.path().map(Operand::Path);
    };
    if !["if_not_exists", "list_append"].contains(&function) {
        return Err(format!("Invalid function name; function: {function}"));
    }
    let mut operands = vec![operand(tokens)?];
    while tokens.takes(",") {
        operands.push(operand(tokens)?);
    }
    tokens.expect(")")?;
    let [one, two] = <[Operand; 2]>::try_from(operands)
        .map_err(|operands| operand_count(function, operands.len()))?;
    let two = Box::new(two);
    if function == "list_append" {
        return Ok(Operand::ListAppend(Box::new(one), two));
    }
    let Operand::Path(path) = one else {
        return Err(format!(
            "Operator or function requires a document path; operator or function: {function}"
        ));
    };
    Ok(Operand::IfNotExists(path, two))
}

impl Action {
    const fn path(&self) -> &Path {
        match self {
            Self::Set(path, _)
            | Self::Remove(path)
            | Self::Add(path, _)
            | Self::Delete(path, _) => path,
        }
    }

    fn check(&self, given: &Placeholders) -> Result<(), String> {
        let (section, name, is_right): (_, _, fn(Type) -> bool) = match self {
            Self::Set(_, assigned) => return assigned.check(given),
            Self::Remove(_) => return Ok(()),
            Self::Add(_, name) => ("ADD", name, |kind| {
                matches!(kind, Type::N | Type::Ss | Type::Ns)
            }),
            Self::Delete(_, name) => ("DELETE", name, |kind| matches!(kind, Type::Ss | Type::Ns)),
        };
        let kind = given.value(name).kind();
        if is_right(kind) {
            return Ok(());
        }
        Err(format!(
            "Incorrect operand type for operator or function; operator: {section}, operand type: \
             {}, typeSet: ALLOWED_FOR_ADD_OPERAND",
            kind.long_word()
        ))
    }
}

impl Assigned {
    fn check(&self, given: &Placeholders) -> Result<(), String> {
        let (operator, one, two) = match self {
            Self::Operand(one) => return one.check(given),
            Self::Sum(one, two) => ("+", one, two),
            Self::Difference(one, two) => ("-", one, two),
        };
        for operand in [one, two] {
            operand.check(given)?;
            operand.refuse_other_than(Type::N, operator, given)?;
        }
        Ok(())
    }

    fn value(&self, item: &Item, given: &Placeholders) -> Result<Value, String> {
        let (one, two) = match self {
            Self::Operand(one) => return one.value(item, given),
            Self::Sum(one, two) | Self::Difference(one, two) => (one, two),
        };
        let one = one.value(item, given)?.as_number().ok_or(WRONG_TYPE)?;
        let two = two.value(item, given)?.as_number().ok_or(WRONG_TYPE)?;
        let number = if matches!(self, Self::Sum(..)) {
            one.add(two)
        } else {
            one.subtract(two)
        };
        number.map(Value::N).map_err(|error| error.to_string())
    }
}

impl Operand {
    fn check(&self, given: &Placeholders) -> Result<(), String> {
        match self {
            Self::Path(_) | Self::Value(_) => Ok(()),
            Self::IfNotExists(_, other) => other.check(given),
            Self::ListAppend(one, two) => {
                for operand in [one, two] {
                    operand.check(given)?;
                    operand.refuse_other_than(Type::L, "list_append", given)?;
                }
                Ok(())
            }
        }
    }

    fn refuse_other_than(
        &self,
        wanted: Type,
        operator: &str,
        given: &Placeholders,
    ) -> Result<(), String> {
        let kind = match self {
            Self::Value(name) => given.value(name).kind(),
            Self::ListAppend(..) => Type::L,
            Self::Path(_) | Self::IfNotExists(..) => return Ok(()),
        };
        if kind == wanted {
            Ok(())
        } else {
            Err(operand_type(operator, kind))
        }
    }

    fn value(&self, item: &Item, given: &Placeholders) -> Result<Value, String> {
        match self {
            Self::Path(path) => Ok(path.find(item, given).ok_or(NOT_THERE)?.clone()),
            Self::Value(name) => Ok(given.value(name).clone()),
            Self::IfNotExists(path, other) => match path.find(item, given) {
                Some(value) => Ok(value.clone()),
                None => other.value(item, given),
            },
            Self::ListAppend(one, two) => {
                match (one.value(item, given)?, two.value(item, given)?) {
                    (Value::L(mut one), Value::L(two)) => {
                        one.extend(two);
                        Ok(Value::L(one))
                    }
                    _ => Err(WRONG_TYPE.to_owned()),
                }
            }
        }
    }
}

fn added(there: Option<&Value>, value: &Value) -> Result<Value, String> {
    match (there, value) {
        (None, value) => Ok(value.clone()),
        (Some(Value::N(one)), Value::N(two)) => {
            let sum = one.add(*two);
            sum.map(Value::N).map_err(|error| error.to_string())
        }
        (Some(Value::Ss(one)), Value::Ss(two)) => Ok(Value::Ss(one | two)),
        (Some(Value::Ns(one)), Value::Ns(two)) => Ok(Value::Ns(one | two)),
        _ => Err(WRONG_TYPE.to_owned()),
    }
}

/// What remains of a set: a set is never empty.
fn without(there: Option<&Value>, value: &Value) -> Result<Option<Value>, String> {
    let rest = match (there, value) {
        (None, _) => return Ok(None),
        (Some(Value::Ss(one)), Value::Ss(two)) => Value::Ss(one - two),
        (Some(Value::Ns(one)), Value::Ns(two)) => Value::Ns(one - two),
        _ => return Err(WRONG_TYPE.to_owned()),
    };
    Ok((rest.size() > Some(0)).then_some(rest))
}

/// A place of an item that can be written; there may be nothing in it yet.
enum Place<'a> {
    Map(&'a mut Item, &'a str),
    List(&'a mut Vec<Value>, usize),
}

impl<'a> Place<'a> {
    fn of(item: &'a mut Item, path: &[Part<'a>]) -> Result<Self, String> {
        let Some((Part::Name(name), rest)) = path.split_first() else {
            return Err(NO_SUCH_PLACE.to_owned());
        };
        let mut place = Self::Map(item, name);
        for part in rest {
            let value = match place {
                Self::Map(map, name) => map.get_mut(name),
                Self::List(list, index) => list.get_mut(index),
            };
            place = match (value, *part) {
                (Some(Value::M(map)), Part::Name(name)) => Self::Map(map, name),
                (Some(Value::L(list)), Part::Index(index)) => Self::List(list, index),
                _ => return Err(NO_SUCH_PLACE.to_owned()),
            };
        }
        Ok(place)
    }

    /// Behind the end of a list is its end.
    fn set(self, value: Value) {
        match self {
            Self::Map(map, name) => {
                map.insert(name.to_owned(), value);
            }
            Self::List(list, index) => match list.get_mut(index) {
                Some(there) => *there = value,
                None => list.push(value),
            },
        }
    }

    fn remove(self) {
        match self {
            Self::Map(map, name) => {
                map.remove(name);
            }
            Self::List(list, index) => {
                if index < list.len() {
                    list.remove(index);
                }
            }
        }
    }
}
