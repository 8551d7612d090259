//! One write, alone or in a transaction, in DynamoDB's own words.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem, Update};

/// One item.
pub(super) type Item = HashMap<String, AttributeValue>;

/// Partition and sort key.
pub(super) type Key = (String, String);

/// One write, under the conditions that it collects. A name that may be a reserved word is written
/// `#name`.
#[derive(Debug, Clone)]
pub(super) struct Change {
    write: Write,
    sets: Vec<String>,
    removes: Vec<&'static str>,
    conditions: Vec<String>,
    values: Item,
}

#[derive(Debug, Clone)]
enum Write {
    Put(Item),
    Delete(Key),
    Update(Key),
}

impl Change {
    fn of(write: Write) -> Self {
        Self {
            write,
            sets: Vec::new(),
            removes: Vec::new(),
            conditions: Vec::new(),
            values: Item::new(),
        }
    }

    /// Puts the item, whatever is there.
    pub(super) fn put(item: Item) -> Self {
        Self::of(Write::Put(item))
    }

    pub(super) fn delete(key: Key) -> Self {
        Self::of(Write::Delete(key))
    }

    pub(super) fn update(key: Key) -> Self {
        Self::of(Write::Update(key))
    }

    /// Sets `name` to `value`, which conditions may call `:name`.
    pub(super) fn set(self, name: &str, value: AttributeValue) -> Self {
        let placeholder = format!(":{}", name.trim_start_matches('#'));
        self.assign(format!("{name} = {placeholder}"))
            .value(&placeholder, value)
    }

    /// Sets something to what an expression says.
    pub(super) fn assign(mut self, assignment: String) -> Self {
        self.sets.push(assignment);
        self
    }

    pub(super) fn remove(mut self, name: &'static str) -> Self {
        self.removes.push(name);
        self
    }

    /// Has the item removed by itself `seconds` after now.
    pub(super) fn kept_for(self, seconds: u64, now_ms: u64) -> Self {
        self.set("#ttl", number(now_ms / 1000 + seconds))
    }

    pub(super) fn only_if(mut self, condition: &str) -> Self {
        self.conditions.push(condition.to_owned());
        self
    }

    pub(super) fn only_if_new(self) -> Self {
        self.only_if("attribute_not_exists(pk)")
    }

    pub(super) fn only_if_there(self) -> Self {
        self.only_if("attribute_exists(pk)")
    }

    /// Only where `name` was `value` until now.
    pub(super) fn only_from(self, name: &str, value: AttributeValue) -> Self {
        self.only_if(&format!("{name} = :from_{name}"))
            .value(&format!(":from_{name}"), value)
    }

    /// Only where `name` was one of `words`; with `or_new` also where there is no item.
    pub(super) fn only_from_any(mut self, name: &str, words: &[&str], or_new: bool) -> Self {
        let mut admitted = Vec::new();
        for (index, word) in words.iter().enumerate() {
            admitted.push(format!("{name} = :from{index}"));
            self = self.value(&format!(":from{index}"), text(word));
        }
        if or_new {
            admitted.push("attribute_not_exists(pk)".to_owned());
        }
        self.only_if(&format!("({})", admitted.join(" OR ")))
    }

    /// What expressions call `name`.
    pub(super) fn value(mut self, name: &str, value: AttributeValue) -> Self {
        self.values.insert(name.to_owned(), value);
        self
    }

    /// As a part of a transaction on `table`.
    pub(super) fn in_transaction(self, table: &str) -> TransactWriteItem {
        const KNOWN: &str = "table and item are set";
        let mut update = String::new();
        if !self.sets.is_empty() {
            update = format!("SET {}", self.sets.join(", "));
        }
        if !self.removes.is_empty() {
            update = format!("{update} REMOVE {}", self.removes.join(", "));
        }
        let condition = self.conditions.join(" AND ");
        let names = names_in(&format!("{update} {condition}"));
        let condition = (!condition.is_empty()).then_some(condition);
        let values = (!self.values.is_empty()).then_some(self.values);
        let item = TransactWriteItem::builder();
        match self.write {
            Write::Put(new) => item.put(
                Put::builder()
                    .table_name(table)
                    .set_item(Some(new))
                    .set_condition_expression(condition)
                    .build()
                    .expect(KNOWN),
            ),
            Write::Delete(key) => item.delete(
                Delete::builder()
                    .table_name(table)
                    .set_key(Some(key_item(key)))
                    .set_expression_attribute_names(names)
                    .set_condition_expression(condition)
                    .set_expression_attribute_values(values)
                    .build()
                    .expect(KNOWN),
            ),
            Write::Update(key) => item.update(
                Update::builder()
                    .table_name(table)
                    .set_key(Some(key_item(key)))
                    .set_expression_attribute_names(names)
                    .set_condition_expression(condition)
                    .set_expression_attribute_values(values)
                    .update_expression(update)
                    .build()
                    .expect(KNOWN),
            ),
        }
        .build()
    }
}

/// An item that has nothing but its key yet.
pub(super) fn key_item((partition, sort): Key) -> Item {
    Item::from([
        ("pk".to_owned(), AttributeValue::S(partition)),
        ("sk".to_owned(), AttributeValue::S(sort)),
    ])
}

/// A number as DynamoDB has it.
pub(super) fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// A text as DynamoDB has it.
pub(super) fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

/// What the `#names` of an expression stand for: themselves.
fn names_in(expression: &str) -> Option<HashMap<String, String>> {
    let names: HashMap<String, String> = expression
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '#'))
        .filter_map(|word| Some((word.to_owned(), word.strip_prefix('#')?.to_owned())))
        .collect();
    (!names.is_empty()).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_may_be_reserved_stands_for_itself() {
        let names = names_in("SET #pool = :pool, timeline.#online = :now, a = :b").unwrap();
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort();
        let pair = |name: &str| (format!("#{name}"), name.to_owned());
        assert_eq!(names, [pair("online"), pair("pool")]);
        assert_eq!(names_in("SET a = :b"), None);
    }
}
