//! One write, alone or in a transaction, in DynamoDB's own words.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{
    AttributeValue, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};

/// One item.
pub(super) type Item = HashMap<String, AttributeValue>;

/// Partition and sort key.
pub(super) type Key = (String, String);

/// One write.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// Put the item where there is none.
    PutNew(Item),
    /// Put the item, whatever is there.
    Put(Item),
    /// Delete under a condition (empty: none).
    Delete {
        key: Key,
        condition: String,
        values: Item,
    },
    /// Update under a condition (empty: none). A name that may be a reserved word is written `#name`.
    Update {
        key: Key,
        update: String,
        condition: String,
        values: Item,
    },
}

impl Change {
    /// As a part of a transaction on `table`.
    pub(super) fn in_transaction(self, table: &str) -> TransactWriteItem {
        const KNOWN: &str = "table and item are set";
        let item = TransactWriteItem::builder();
        match self {
            Self::PutNew(new) => item.put(
                Put::builder()
                    .table_name(table)
                    .set_item(Some(new))
                    .condition_expression("attribute_not_exists(pk)")
                    .build()
                    .expect(KNOWN),
            ),
            Self::Put(new) => item.put(
                Put::builder()
                    .table_name(table)
                    .set_item(Some(new))
                    .build()
                    .expect(KNOWN),
            ),
            Self::Delete {
                key,
                condition,
                values,
            } => item.delete(
                Delete::builder()
                    .table_name(table)
                    .set_key(Some(key_item(&key)))
                    .set_expression_attribute_names(names_in(&condition))
                    .set_condition_expression(some(condition))
                    .set_expression_attribute_values(some_item(values))
                    .build()
                    .expect(KNOWN),
            ),
            Self::Update {
                key,
                update,
                condition,
                values,
            } => item.update(
                Update::builder()
                    .table_name(table)
                    .set_key(Some(key_item(&key)))
                    .set_expression_attribute_names(names_in(&format!("{update} {condition}")))
                    .set_condition_expression(some(condition))
                    .set_expression_attribute_values(some_item(values))
                    .update_expression(update)
                    .return_values_on_condition_check_failure(
                        ReturnValuesOnConditionCheckFailure::None,
                    )
                    .build()
                    .expect(KNOWN),
            ),
        }
        .build()
    }
}

fn key_item((partition, sort): &Key) -> Item {
    Item::from([
        ("pk".to_owned(), AttributeValue::S(partition.clone())),
        ("sk".to_owned(), AttributeValue::S(sort.clone())),
    ])
}

/// What the `#names` of an expression stand for: themselves.
fn names_in(expression: &str) -> Option<HashMap<String, String>> {
    let names: HashMap<String, String> = expression
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '#'))
        .filter_map(|word| Some((word.to_owned(), word.strip_prefix('#')?.to_owned())))
        .collect();
    (!names.is_empty()).then_some(names)
}

fn some(expression: String) -> Option<String> {
    (!expression.is_empty()).then_some(expression)
}

fn some_item(values: Item) -> Option<Item> {
    (!values.is_empty()).then_some(values)
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
