//! DynamoDB: one table in memory, as strict as the real one.
//!
//! Its partition key is `pk`, its sort key `sk`, and `ttl` says when an item expires. What a request has
//! and this table does not know is refused by name, never passed over. Nothing here has a clock, chance or
//! an order of its own: the same requests have the same answers.

mod condition;
mod failure;
mod members;
mod number;
mod parsed;
mod path;
mod placeholders;
mod projection;
mod query;
mod read;
mod references;
mod reserved;
#[cfg(test)]
mod tests;
mod tokens;
mod transaction;
mod update;
mod value;

use std::collections::BTreeMap;

use serde_json::Value as Json;

pub use failure::{Failure, Reason};
pub use number::Number;
pub use value::{Item, Value};

use parsed::Parsed;
use transaction::ClientTokens;
use value::{bytes_of, write_item};

/// Attribute of an item: its partition.
const PK: &str = "pk";
/// Attribute of an item: its place in the partition.
const SK: &str = "sk";
/// Attribute of an item: when it expires, in seconds since 1970.
const TTL: &str = "ttl";

/// How long ago an item may have expired and still be removed, in seconds: DynamoDB takes what is older for
/// a mistake.
const EXPIRED_MAX_S: u64 = 5 * 365 * 24 * 3600;

/// Partition and sort key of an item.
pub type Key = (String, String);

/// What comes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Of HTTP.
    pub status: u16,
    /// JSON.
    pub body: String,
    /// The items that were put, updated or deleted, in the order of the request.
    pub written: Vec<Key>,
}

/// A table.
#[derive(Debug, Clone)]
pub struct Table {
    name: String,
    partitions: BTreeMap<String, BTreeMap<String, Row>>,
    parsed: Parsed,
    tokens: ClientTokens,
    page_items: usize,
}

/// An item as it is kept.
#[derive(Debug, Clone)]
struct Row {
    item: Item,
    bytes: usize,
    /// As queries give it: it is read far more often than written.
    json: String,
}

impl Row {
    fn of(item: Item) -> Self {
        let (bytes, json) = (bytes_of(&item), json_of(&item));
        Self { item, bytes, json }
    }
}

impl Table {
    /// An empty one.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            partitions: BTreeMap::new(),
            parsed: Parsed::default(),
            tokens: ClientTokens::default(),
            page_items: usize::MAX,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Answers a request. `operation`: what follows the dot in its `X-Amz-Target`. `now_ms`: the world's
    /// clock.
    pub fn answer(&mut self, operation: &str, body: &[u8], now_ms: u64) -> Answer {
        self.answered(operation, body, now_ms)
            .unwrap_or_else(Answer::from)
    }

    fn answered(&mut self, operation: &str, body: &[u8], now_ms: u64) -> Result<Answer, Failure> {
        let read = || {
            serde_json::from_slice::<Json>(body)
                .map_err(|error| Failure::Serialization(format!("the body is not JSON: {error}")))
        };
        let (body, written) = match operation {
            "TransactWriteItems" => {
                let written = self.transact(body, &read()?, now_ms)?;
                ("{}".to_owned(), written)
            }
            "Query" => (self.query(&read()?)?, Vec::new()),
            other => return Err(Failure::Operation(other.to_owned())),
        };
        Ok(Answer {
            status: 200,
            body,
            written,
        })
    }

    /// Every item, in the order of the keys.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        let partitions = self.partitions.values();
        partitions.flat_map(|rows| rows.values().map(|row| &row.item))
    }

    /// Removes one item, whoever wrote it.
    pub fn remove(&mut self, pk: &str, sk: &str) {
        if let Some(rows) = self.partitions.get_mut(pk) {
            rows.remove(sk);
        }
    }

    /// Removes what has expired, and says how much that was. DynamoDB does so late, within days: it is done
    /// when the world says.
    pub fn expire(&mut self, now_ms: u64) -> usize {
        let seconds = now_ms / 1000;
        let has_expired = |end: u64| end <= seconds && seconds - end < EXPIRED_MAX_S;
        let mut expired = 0;
        for rows in self.partitions.values_mut() {
            rows.retain(|_, row| {
                let expires_s = row.item.get(TTL).and_then(Value::as_number);
                let expires_s = expires_s.and_then(Number::as_u64);
                let is_over = expires_s.is_some_and(has_expired);
                expired += usize::from(is_over);
                !is_over
            });
        }
        self.partitions.retain(|_, rows| !rows.is_empty());
        expired
    }

    /// Has a query look at `n` items at most before its page ends, whatever it finds of them: a page may be
    /// empty and not the last.
    pub fn set_page_items(&mut self, n: usize) {
        self.page_items = n.max(1);
    }

    fn row(&self, (pk, sk): &Key) -> Option<&Row> {
        self.partitions.get(pk)?.get(sk)
    }

    fn refuse_other_table(&self, name: &str) -> Result<(), Failure> {
        if name == self.name {
            Ok(())
        } else {
            Err(Failure::Table)
        }
    }
}

/// An item as DynamoDB writes it.
#[must_use]
pub fn json_of(item: &Item) -> String {
    let mut json = String::new();
    write_item(item, &mut json);
    json
}

/// That a key attribute is an empty text.
fn empty_key(name: &str) -> Failure {
    Failure::Validation(format!(
        "One or more parameter values are not valid. The AttributeValue for a key attribute cannot \
         contain an empty string value. Key: {name}"
    ))
}
