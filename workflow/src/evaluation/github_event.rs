//! `github.event`, of which only what rules look at is kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::EventKind;
use crate::expression::Value;
use crate::server::{ForgeKind, Server};

/// Why a value of a delivery is not known.
const NOT_KEPT: &str = "only what rules look at is kept of a delivery";

/// `github.event` of what was kept of a delivery: which fields it has is known, and some of them.
pub(super) fn of(kept: &Value, kind: EventKind, server: Server) -> Value {
    let Value::Map(Some(map)) = kept else {
        return kept.clone();
    };
    if server.kind == ForgeKind::Forgejo {
        return partial(kept);
    }
    let unknown = kind.fields().iter();
    let mut fields: BTreeMap<String, Value> = unknown
        .map(|field| ((*field).to_owned(), Value::unknown(NOT_KEPT)))
        .collect();
    fields.extend(map.iter().map(|(key, value)| (key.clone(), partial(value))));
    Value::map(fields)
}

/// What is known of a part of a delivery.
fn partial(value: &Value) -> Value {
    let Value::Map(Some(map)) = value else {
        return value.clone();
    };
    let fields = map.iter().map(|(key, value)| (key.clone(), partial(value)));
    Value::Part(Arc::new(fields.collect()), NOT_KEPT.into())
}
