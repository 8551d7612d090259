//! DynamoDB as the ledger needs it: one consistent query, single writes, transactions.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};

use super::Shell;

/// One item.
pub type Item = HashMap<String, AttributeValue>;

/// The call's name in failures.
const QUERY: &str = "dynamodb:Query";
/// Most tries of a transaction that lost against another one: each wait doubles, so the last is
/// well under the time that a delivery may take.
const CONFLICT_TRIES: u32 = 8;
/// First wait after such a loss.
const CONFLICT_WAIT: Duration = Duration::from_millis(15);
/// Most pages of one query: a megabyte each, hence some 20,000 waiting jobs.
const PAGES_MAX: usize = 16;

/// One write, alone or in a transaction.
#[derive(Debug, Clone)]
pub enum Change {
    /// Put the item where there is none.
    PutNew(Item),
    /// Put the item, whatever is there.
    Put(Item),
    /// Delete under a condition (empty: none).
    Delete {
        /// Partition and sort key.
        key: (String, String),
        /// Condition expression.
        condition: String,
        /// Values in it.
        values: Item,
    },
    /// Update under a condition (empty: none).
    Update {
        /// Partition and sort key.
        key: (String, String),
        /// Update expression.
        update: String,
        /// Condition expression.
        condition: String,
        /// Values in both.
        values: Item,
    },
}

/// What became of conditional writes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// All were written.
    Written,
    /// Nothing was: the conditions of the changes with these indexes did not hold.
    Refused(Vec<usize>),
}

/// A call to AWS that failed, without the request's contents.
#[derive(Debug, thiserror::Error)]
#[error("{call} failed: {code}: {message}")]
pub struct Failure {
    /// Which call.
    pub call: &'static str,
    /// AWS's error code, or the kind of failure when there was no answer.
    pub code: String,
    /// AWS's words.
    pub message: String,
}

impl Failure {
    pub(super) fn of<E, R>(call: &'static str, error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: fmt::Debug,
    {
        let (code, message) = if let Some(answer) = error.as_service_error() {
            (
                answer.code().unwrap_or("unknown"),
                answer.message().unwrap_or_default(),
            )
        } else if matches!(error, SdkError::TimeoutError(_)) {
            ("timeout", "no answer in time")
        } else if matches!(error, SdkError::DispatchFailure(_)) {
            ("no-connection", "could not connect")
        } else {
            ("bad-answer", "the answer can't be read")
        };
        Self {
            call,
            code: code.to_owned(),
            message: message.to_owned(),
        }
    }
}

impl Shell {
    /// Every item of one partition, consistently, in the order of the sort key.
    pub(crate) async fn partition(&self, pk: &str) -> Result<Vec<Item>, Failure> {
        let mut items = Vec::new();
        let mut start = None;
        for _ in 0..PAGES_MAX {
            let page = self.page(pk, None, start).await?;
            items.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(items);
            }
        }
        // Half a world would have its machines ended as orphans.
        Err(Failure {
            call: QUERY,
            code: "too-much".to_owned(),
            message: format!("more than {PAGES_MAX} pages in partition {pk}"),
        })
    }

    /// One item, consistently. By a query, which costs the same: an operation of the SDK less.
    pub(crate) async fn item(&self, pk: &str, sk: &str) -> Result<Option<Item>, Failure> {
        let page = self.page(pk, Some(sk), None).await?;
        Ok(page.items.unwrap_or_default().pop())
    }

    /// At most `limit` items of one partition below the sort key `below`, the last ones first.
    pub(crate) async fn newest(
        &self,
        pk: &str,
        below: &str,
        limit: i32,
    ) -> Result<Vec<Item>, Failure> {
        let values = Item::from([
            (":pk".to_owned(), AttributeValue::S(pk.to_owned())),
            (":sk".to_owned(), AttributeValue::S(below.to_owned())),
        ]);
        let page = self
            .dynamo()
            .query()
            .table_name(&self.names.table)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND sk < :sk")
            .set_expression_attribute_values(Some(values))
            .scan_index_forward(false)
            .limit(limit)
            .send()
            .await
            .map_err(|error| Failure::of(QUERY, &error))?;
        Ok(page.items.unwrap_or_default())
    }

    async fn page(
        &self,
        pk: &str,
        sk: Option<&str>,
        start: Option<Item>,
    ) -> Result<QueryOutput, Failure> {
        let condition = match sk {
            Some(_) => "pk = :pk AND sk = :sk",
            None => "pk = :pk",
        };
        let sk = sk.map(|sk| (":sk".to_owned(), AttributeValue::S(sk.to_owned())));
        let values = Item::from([(":pk".to_owned(), AttributeValue::S(pk.to_owned()))]);
        self.dynamo()
            .query()
            .table_name(&self.names.table)
            .consistent_read(true)
            .key_condition_expression(condition)
            .set_expression_attribute_values(Some(values.into_iter().chain(sk).collect()))
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(|error| Failure::of(QUERY, &error))
    }

    /// Writes one change.
    pub(crate) async fn write(&self, change: Change) -> Result<Outcome, Failure> {
        self.write_all(vec![change]).await
    }

    /// Writes all of `changes` or none. A single change goes the same way: the plain writes are three
    /// more operations of the SDK in every byte count of the function, for half a millionth of a
    /// dollar each.
    pub(crate) async fn write_all(&self, changes: Vec<Change>) -> Result<Outcome, Failure> {
        let items: Vec<TransactWriteItem> = changes
            .into_iter()
            .map(|change| self.transact_item(change))
            .collect();
        let mut wait = CONFLICT_WAIT;
        for attempt in 1..=CONFLICT_TRIES {
            let sent = self
                .dynamo()
                .transact_write_items()
                .set_transact_items(Some(items.clone()))
                .send()
                .await;
            let Err(error) = sent else {
                return Ok(Outcome::Written);
            };
            match refusals(&error) {
                Some(refused) if !refused.is_empty() => return Ok(Outcome::Refused(refused)),
                Some(_) if attempt < CONFLICT_TRIES => {
                    tokio::time::sleep(wait.mul_f64(0.5 + fastrand::f64())).await;
                    wait *= 2;
                }
                _ => return Err(Failure::of("dynamodb:TransactWriteItems", &error)),
            }
        }
        unreachable!("the last try returns")
    }

    fn transact_item(&self, change: Change) -> TransactWriteItem {
        const KNOWN: &str = "table and item are set";
        let table = &self.names.table;
        let item = TransactWriteItem::builder();
        match change {
            Change::PutNew(new) => item.put(
                Put::builder()
                    .table_name(table)
                    .set_item(Some(new))
                    .condition_expression("attribute_not_exists(pk)")
                    .build()
                    .expect(KNOWN),
            ),
            Change::Put(new) => item.put(
                Put::builder()
                    .table_name(table)
                    .set_item(Some(new))
                    .build()
                    .expect(KNOWN),
            ),
            Change::Delete {
                key,
                condition,
                values,
            } => item.delete(
                Delete::builder()
                    .table_name(table)
                    .set_key(Some(key_item(&key)))
                    .set_condition_expression(some(condition))
                    .set_expression_attribute_values(some_item(values))
                    .build()
                    .expect(KNOWN),
            ),
            Change::Update {
                key,
                update,
                condition,
                values,
            } => item.update(
                Update::builder()
                    .table_name(table)
                    .set_key(Some(key_item(&key)))
                    .set_condition_expression(some(condition))
                    .set_expression_attribute_names(reserved_names(&update))
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

fn key_item(key: &(String, String)) -> Item {
    Item::from([
        ("pk".to_owned(), AttributeValue::S(key.0.clone())),
        ("sk".to_owned(), AttributeValue::S(key.1.clone())),
    ])
}

/// Some of our attributes are reserved words of expressions and are written `#ttl` there.
fn reserved_names(expression: &str) -> Option<HashMap<String, String>> {
    let names: HashMap<String, String> = ["pool", "ttl"]
        .into_iter()
        .map(|name| (format!("#{name}"), name.to_owned()))
        .filter(|(placeholder, _)| expression.contains(placeholder))
        .collect();
    (!names.is_empty()).then_some(names)
}

fn some(expression: String) -> Option<String> {
    (!expression.is_empty()).then_some(expression)
}

fn some_item(values: Item) -> Option<Item> {
    (!values.is_empty()).then_some(values)
}

/// The changes whose conditions did not hold; empty when the transaction only lost a race and may
/// be sent again; `None` for every other error.
fn refusals<R>(error: &SdkError<TransactWriteItemsError, R>) -> Option<Vec<usize>> {
    let SdkError::ServiceError(answer) = error else {
        return None;
    };
    if let TransactWriteItemsError::TransactionCanceledException(cancelled) = answer.err() {
        let codes: Vec<&str> = cancelled
            .cancellation_reasons()
            .iter()
            .map(|reason| reason.code().unwrap_or("None"))
            .collect();
        let refused: Vec<usize> = codes
            .iter()
            .enumerate()
            .filter(|(_, code)| **code == "ConditionalCheckFailed")
            .map(|(index, _)| index)
            .collect();
        let retriable = codes.iter().all(|code| {
            matches!(
                *code,
                "None" | "TransactionConflict" | "ThrottlingError" | "ConditionalCheckFailed"
            )
        });
        return retriable.then_some(refused);
    }
    matches!(
        answer.err(),
        TransactWriteItemsError::TransactionInProgressException(_)
    )
    .then(Vec::new)
}
