//! Why a request has no effect, in DynamoDB's words.

use super::Answer;
use super::value::{Item, write_item, write_text};

/// Why a request has no effect.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The request can't be read, or has what this table does not know.
    #[error("{0}")]
    Serialization(String),
    /// The request is none that DynamoDB takes.
    #[error("{0}")]
    Validation(String),
    /// There is no such operation here.
    #[error("The operation {0} is not known here")]
    Operation(String),
    /// There is no such table.
    #[error("Requested resource not found")]
    Table,
    /// The token of the request is another one's.
    #[error("Request token already in use for another request with a different payload")]
    Token,
    /// The request of this token is being done.
    #[error("The transaction with the given request token is already in progress")]
    InProgress,
    /// A transaction wrote nothing: a reason for each of its actions, in their order.
    #[error(
        "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
        codes(.0)
    )]
    Cancelled(Vec<Reason>),
}

/// What an action has to do with a transaction that wrote nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// Nothing.
    None,
    /// Its condition did not hold, for this item if that was asked for.
    ConditionalCheckFailed(Option<Item>),
    /// It can't be done with the item as it is.
    ValidationError(String),
    /// Another transaction was at its item.
    TransactionConflict,
}

impl Failure {
    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::Validation(message.into())
    }

    /// A parameter has a value that it can't have.
    pub(super) fn invalid(why: &str) -> Self {
        Self::Validation(format!("One or more parameter values were invalid: {why}"))
    }

    /// A member of the request breaks a constraint.
    pub(super) fn constraint(member: &str, why: &str) -> Self {
        Self::Validation(format!(
            "1 validation error detected: Value at '{member}' failed to satisfy constraint: {why}"
        ))
    }

    pub(super) fn not_a(what: &str, kind: &str) -> Self {
        Self::Serialization(format!("{what} is not {kind}"))
    }

    pub(super) fn unknown(what: &str, member: &str) -> Self {
        Self::Serialization(format!(
            "{what} has a member that is not known here: {member}"
        ))
    }

    const fn code(&self) -> &'static str {
        match self {
            Self::Serialization(_) => "com.amazon.coral.service#SerializationException",
            Self::Validation(_) => "com.amazon.coral.validate#ValidationException",
            Self::Operation(_) => "com.amazon.coral.service#UnknownOperationException",
            Self::Table => "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException",
            Self::Token => "com.amazonaws.dynamodb.v20120810#IdempotentParameterMismatchException",
            Self::InProgress => "com.amazonaws.dynamodb.v20120810#TransactionInProgressException",
            Self::Cancelled(_) => "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        }
    }
}

impl Reason {
    const fn code(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::ConditionalCheckFailed(_) => "ConditionalCheckFailed",
            Self::ValidationError(_) => "ValidationError",
            Self::TransactionConflict => "TransactionConflict",
        }
    }

    fn message(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::ConditionalCheckFailed(_) => Some("The conditional request failed"),
            Self::ValidationError(message) => Some(message),
            Self::TransactionConflict => Some("Transaction is ongoing for the item"),
        }
    }

    fn write_json(&self, to: &mut String) {
        to.push_str("{\"Code\":");
        write_text(self.code(), to);
        if let Self::ConditionalCheckFailed(Some(item)) = self {
            to.push_str(",\"Item\":");
            write_item(item, to);
        }
        if let Some(message) = self.message() {
            to.push_str(",\"Message\":");
            write_text(message, to);
        }
        to.push('}');
    }
}

fn codes(reasons: &[Reason]) -> String {
    let codes: Vec<&str> = reasons.iter().map(Reason::code).collect();
    codes.join(", ")
}

impl From<Failure> for Answer {
    fn from(failure: Failure) -> Self {
        let mut body = "{\"__type\":".to_owned();
        write_text(failure.code(), &mut body);
        if let Failure::Cancelled(reasons) = &failure {
            body.push_str(",\"CancellationReasons\":[");
            for (index, reason) in reasons.iter().enumerate() {
                if index > 0 {
                    body.push(',');
                }
                reason.write_json(&mut body);
            }
            body.push_str("],\"Message\":");
        } else {
            body.push_str(",\"message\":");
        }
        write_text(&failure.to_string(), &mut body);
        body.push('}');
        Self {
            status: 400,
            body,
            written: Vec::new(),
        }
    }
}
