//! DynamoDB as the ledger needs it: consistent queries, and transactions that are sent again when they
//! lost against another one. What is asked and written, the ledger says.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::TransactWriteItem;

use super::{Aws, Failure};

/// Most tries of a transaction that lost against another one: each wait doubles, so the last is
/// well under the time that a delivery may take.
const CONFLICT_TRIES: u32 = 8;
/// First wait after such a loss.
const CONFLICT_WAIT: Duration = Duration::from_millis(15);

/// One table.
#[derive(Debug)]
pub(crate) struct Table {
    client: Client,
    name: String,
}

/// What became of conditional writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum WriteResult {
    /// All were written.
    Written,
    /// Nothing was: a condition did not hold.
    Refused,
}

impl Aws {
    /// The deployment's table.
    pub(crate) fn table(&self) -> Table {
        Table {
            client: Client::new(&self.config),
            name: self.names.table.clone(),
        }
    }
}

impl Table {
    /// Its name, which every item of a transaction says.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A consistent query of it, without its conditions.
    pub(crate) fn query(&self) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
    }

    /// Sends a query.
    pub(crate) async fn read(&self, query: QueryFluentBuilder) -> Result<QueryOutput, Failure> {
        let sent = query.send().await;
        sent.map_err(|error| Failure::of("dynamodb:Query", &error))
    }

    /// Writes all of `items` or none.
    pub(crate) async fn write(
        &self,
        items: Vec<TransactWriteItem>,
    ) -> Result<WriteResult, Failure> {
        let mut wait = CONFLICT_WAIT;
        for attempt in 1..=CONFLICT_TRIES {
            let sent = self
                .client
                .transact_write_items()
                .set_transact_items(Some(items.clone()))
                .send()
                .await;
            let Err(error) = sent else {
                return Ok(WriteResult::Written);
            };
            match loss(&error) {
                Some(Loss::Condition) => return Ok(WriteResult::Refused),
                Some(Loss::Race) if attempt < CONFLICT_TRIES => {
                    tokio::time::sleep(wait.mul_f64(0.5 + fastrand::f64())).await;
                    wait *= 2;
                }
                Some(Loss::Race) | None => {
                    return Err(Failure::of("dynamodb:TransactWriteItems", &error));
                }
            }
        }
        unreachable!("the last try returns")
    }
}

/// Why a transaction wrote nothing.
enum Loss {
    /// A condition did not hold.
    Condition,
    /// Another transaction was at one of its items, or there were too many requests: it may be sent
    /// again.
    Race,
}

/// `None` for every other error.
fn loss<R>(error: &SdkError<TransactWriteItemsError, R>) -> Option<Loss> {
    let SdkError::ServiceError(answer) = error else {
        return None;
    };
    if let TransactWriteItemsError::TransactionCanceledException(cancelled) = answer.err() {
        let reasons = cancelled.cancellation_reasons();
        let mut codes = reasons.iter().map(|one| one.code().unwrap_or("None"));
        let is_loss = codes.clone().all(|code| {
            matches!(
                code,
                "None"
                    | "TransactionConflict"
                    | "ThrottlingError"
                    | "ProvisionedThroughputExceeded"
                    | "ConditionalCheckFailed"
            )
        });
        let failed = codes.any(|code| code == "ConditionalCheckFailed");
        return is_loss.then_some(if failed { Loss::Condition } else { Loss::Race });
    }
    matches!(
        answer.err(),
        TransactWriteItemsError::TransactionInProgressException(_)
    )
    .then_some(Loss::Race)
}
