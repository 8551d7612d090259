//! Transactions: all actions or none. Conditions and updates see the items from before the transaction.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::Value as Json;

use super::condition::Condition;
use super::failure::{Failure, Reason};
use super::members::Members;
use super::parsed::{Parsed, refused};
use super::placeholders::Placeholders;
use super::update::Update;
use super::value::{Item, bytes_of, is_too_deep};
use super::{Key, PK, Row, SK, Table, empty_key};

/// Most actions of a transaction.
const ACTIONS_MAX: usize = 100;
/// Largest item.
const ITEM_BYTES_MAX: usize = 400 * 1024;
/// Most that all items of a transaction are together.
const TRANSACTION_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest partition key.
const PK_BYTES_MAX: usize = 2048;
/// Longest sort key.
const SK_BYTES_MAX: usize = 1024;
/// Longest token.
const TOKEN_CHARS_MAX: usize = 36;
/// How long a token is one request's.
const TOKEN_MS: u64 = 10 * 60_000;

/// Tokens of the requests that were done in the last ten minutes.
#[derive(Debug, Clone, Default)]
pub(super) struct ClientTokens {
    requests: BTreeMap<String, Vec<u8>>,
    /// In the order in which they run out.
    until_ms: VecDeque<(u64, String)>,
}

impl ClientTokens {
    /// Whether the request of this token was done already. The token of another request is refused.
    fn is_done(
        &mut self,
        token: &str,
        (body, request): (&[u8], &Json),
        now_ms: u64,
    ) -> Result<bool, Failure> {
        while let Some((_, over)) = self.until_ms.pop_front_if(|(until, _)| *until <= now_ms) {
            self.requests.remove(&over);
        }
        let Some(done) = self.requests.get(token) else {
            return Ok(false);
        };
        // Its members may be in another order.
        let is_same =
            |done| serde_json::from_slice::<Json>(done).is_ok_and(|done| done == *request);
        if done == body || is_same(done) {
            return Ok(true);
        }
        Err(Failure::Token)
    }

    fn done(&mut self, token: &str, body: &[u8], now_ms: u64) {
        self.requests.insert(token.to_owned(), body.to_vec());
        let until_ms = now_ms + TOKEN_MS;
        self.until_ms.push_back((until_ms, token.to_owned()));
    }
}

/// One action of a transaction.
struct Action<'a> {
    table: &'a str,
    write: Write,
    condition: Option<Arc<Condition>>,
    given: Placeholders,
    /// Whether the item is told if the condition does not hold.
    tells_item: bool,
}

/// What an action does with the item of its key.
enum Write {
    Check(Item),
    Put(Item),
    Delete(Item),
    Update(Item, Arc<Update>),
}

/// What becomes of an item.
enum Effect {
    Nothing,
    Put(Row),
    Delete,
}

impl Table {
    /// Does all of a request, or nothing; the keys of what it wrote.
    pub(super) fn transact(
        &mut self,
        body: &[u8],
        request: &Json,
        now_ms: u64,
    ) -> Result<Vec<Key>, Failure> {
        let known = ["TransactItems", "ClientRequestToken"];
        let members = Members::of(request, "TransactWriteItems", &known)?;
        let token = members.text("ClientRequestToken")?;
        if let Some(token) = token {
            refuse_count("ClientRequestToken", token.chars().count(), TOKEN_CHARS_MAX)?;
        }
        let list = members.list("TransactItems")?;
        let list = members.needed("TransactItems", list)?;
        refuse_count("TransactItems", list.len(), ACTIONS_MAX)?;
        let mut actions = Vec::with_capacity(list.len());
        for action in list {
            actions.push(Action::read(action, &mut self.parsed)?);
        }
        for action in &actions {
            self.refuse_other_table(action.table)?;
        }
        if let Some(token) = token
            && self.tokens.is_done(token, (body, request), now_ms)?
        {
            return Ok(Vec::new());
        }
        let keys = keys_of(&actions)?;
        let effects = self.effects(actions, &keys)?;
        if let Some(token) = token {
            self.tokens.done(token, body, now_ms);
        }
        let mut written = Vec::with_capacity(keys.len());
        for (key, effect) in keys.into_iter().zip(effects) {
            if self.write(&key, effect) {
                written.push(key);
            }
        }
        Ok(written)
    }

    /// What comes of each action, if all can be done.
    fn effects(&self, actions: Vec<Action<'_>>, keys: &[Key]) -> Result<Vec<Effect>, Failure> {
        let nothing = Item::new();
        let mut effects = Vec::with_capacity(keys.len());
        let mut reasons = Vec::with_capacity(keys.len());
        let mut bytes = 0;
        for (action, key) in actions.into_iter().zip(keys) {
            let row = self.row(key);
            let before = row.map(|row| &row.item);
            if let Some(condition) = &action.condition
                && !condition.holds(before.unwrap_or(&nothing), &action.given)
            {
                let told = before.filter(|_| action.tells_item).cloned();
                reasons.push(Reason::ConditionalCheckFailed(told));
                continue;
            }
            match action.effect(before) {
                Err(why) => reasons.push(Reason::ValidationError(why)),
                Ok(effect) => {
                    bytes += match &effect {
                        Effect::Put(row) => row.bytes,
                        Effect::Nothing | Effect::Delete => row.map_or(0, |row| row.bytes),
                    };
                    effects.push(effect);
                    reasons.push(Reason::None);
                }
            }
        }
        refuse_cancelled(reasons)?;
        if bytes > TRANSACTION_BYTES_MAX {
            return Err(Failure::validation(
                "Transaction request exceeds the 4MB transaction size limit",
            ));
        }
        Ok(effects)
    }

    /// Whether something was written.
    fn write(&mut self, (pk, sk): &Key, effect: Effect) -> bool {
        match effect {
            Effect::Nothing => false,
            Effect::Put(row) => {
                let rows = self.partitions.entry(pk.clone()).or_default();
                rows.insert(sk.clone(), row);
                true
            }
            Effect::Delete => {
                let Some(rows) = self.partitions.get_mut(pk) else {
                    return false;
                };
                let was_there = rows.remove(sk).is_some();
                if rows.is_empty() {
                    self.partitions.remove(pk);
                }
                was_there
            }
        }
    }
}

impl<'a> Action<'a> {
    fn read(json: &'a Json, parsed: &mut Parsed) -> Result<Self, Failure> {
        const KINDS: [&str; 4] = ["ConditionCheck", "Put", "Delete", "Update"];
        let actions = Members::of(json, "TransactItems", &KINDS)?;
        let mut given = KINDS
            .into_iter()
            .filter_map(|kind| Some((kind, actions.get(kind)?)));
        let (Some((kind, json)), None) = (given.next(), given.next()) else {
            return Err(Failure::validation(
                "TransactItems can only contain one of Check, Put, Update or Delete",
            ));
        };
        let mut known = vec![
            "TableName",
            CONDITION,
            "ExpressionAttributeNames",
            "ExpressionAttributeValues",
            "ReturnValuesOnConditionCheckFailure",
        ];
        known.extend(match kind {
            "Put" => vec!["Item"],
            "Update" => vec!["Key", UPDATE],
            _ => vec!["Key"],
        });
        let members = Members::of(json, kind, &known)?;
        let table = members.needed("TableName", members.text("TableName")?)?;
        let of_item = if kind == "Put" { "Item" } else { "Key" };
        let item = members.needed(of_item, members.item(of_item)?)?;
        let condition = members.text(CONDITION)?;
        let condition = condition.map(|text| parsed.condition(text, CONDITION));
        let condition = condition.transpose()?;
        let write = match kind {
            "Put" => Write::Put(item),
            "Delete" => Write::Delete(item),
            "Update" => {
                let update = members.needed(UPDATE, members.text(UPDATE)?)?;
                Write::Update(item, parsed.update(update)?)
            }
            _ => {
                members.needed(CONDITION, condition.as_ref())?;
                Write::Check(item)
            }
        };
        let action = Self {
            table,
            write,
            condition,
            given: Placeholders::read(&members)?,
            tells_item: tells_item(&members)?,
        };
        action.check_expressions()?;
        Ok(action)
    }

    fn check_expressions(&self) -> Result<(), Failure> {
        let mut used = Vec::new();
        if let Some(condition) = &self.condition {
            let checked = condition.check(&self.given);
            checked.map_err(|why| refused(CONDITION, &why))?;
            used.push(&condition.references);
        }
        if let Write::Update(_, update) = &self.write {
            let checked = update.check(&self.given);
            checked.map_err(|why| refused(UPDATE, &why))?;
            used.push(&update.references);
        }
        self.given.refuse_unused(&used)
    }

    /// Its key; a text says what the table's schema has against it.
    fn key(&self) -> Result<Result<Key, String>, Failure> {
        const INVALID: &str = "One or more parameter values were invalid:";
        let (Write::Check(item) | Write::Put(item) | Write::Delete(item) | Write::Update(item, _)) =
            &self.write;
        let is_put = matches!(self.write, Write::Put(_));
        let mut texts = Vec::with_capacity(2);
        for name in [PK, SK] {
            let value = item.get(name);
            let text = value.and_then(|value| value.as_text());
            let Some(text) = text else {
                return Ok(Err(match value {
                    _ if !is_put => NO_KEY.to_owned(),
                    None => format!("{INVALID} Missing the key {name} in the item"),
                    Some(value) => format!(
                        "{INVALID} Type mismatch for key {name} expected: S actual: {}",
                        value.kind().word()
                    ),
                }));
            };
            if text.is_empty() {
                return Err(empty_key(name));
            }
            texts.push(text);
        }
        if !is_put && item.len() > texts.len() {
            return Ok(Err(NO_KEY.to_owned()));
        }
        for (text, kind, most) in [
            (texts[0], "hash", PK_BYTES_MAX),
            (texts[1], "range", SK_BYTES_MAX),
        ] {
            if text.len() > most {
                return Err(Failure::invalid(&format!(
                    "Aggregated size of all {kind} keys has exceeded the size limit of {most} bytes"
                )));
            }
        }
        if let Write::Update(_, update) = &self.write
            && let Some(name) = [PK, SK]
                .into_iter()
                .find(|one| update.changes(one, &self.given))
        {
            return Ok(Err(format!(
                "{INVALID} Cannot update attribute {name}. This attribute is part of the key"
            )));
        }
        Ok(Ok((texts[0].to_owned(), texts[1].to_owned())))
    }

    /// What comes of it; a text says why that can't be.
    fn effect(self, before: Option<&Item>) -> Result<Effect, String> {
        match self.write {
            Write::Check(_) => Ok(Effect::Nothing),
            Write::Delete(_) => Ok(Effect::Delete),
            Write::Put(item) => Ok(Effect::Put(Row::of(item))),
            Write::Update(key, update) => {
                let item = update.applied(before.unwrap_or(&key), &self.given)?;
                let row = Row::of(item);
                if row.bytes > ITEM_BYTES_MAX {
                    return Err(
                        "Item size to update has exceeded the maximum allowed size".to_owned()
                    );
                }
                if is_too_deep(&row.item) {
                    return Err("Nesting Levels have exceeded supported limits".to_owned());
                }
                Ok(Effect::Put(row))
            }
        }
    }
}

const CONDITION: &str = "ConditionExpression";
const UPDATE: &str = "UpdateExpression";
const NO_KEY: &str = "The provided key element does not match the schema";

/// The keys of all actions: no two have the same.
fn keys_of(actions: &[Action<'_>]) -> Result<Vec<Key>, Failure> {
    let mut seen = BTreeSet::new();
    let mut keys = Vec::with_capacity(actions.len());
    let mut reasons = Vec::with_capacity(actions.len());
    for action in actions {
        match action.key()? {
            Err(why) => reasons.push(Reason::ValidationError(why)),
            Ok(key) => {
                if !seen.insert(key.clone()) {
                    return Err(Failure::validation(
                        "Transaction request cannot include multiple operations on one item",
                    ));
                }
                keys.push(key);
                reasons.push(Reason::None);
            }
        }
        if let Write::Put(item) = &action.write
            && bytes_of(item) > ITEM_BYTES_MAX
        {
            return Err(Failure::validation(
                "Item size has exceeded the maximum allowed size",
            ));
        }
    }
    refuse_cancelled(reasons)?;
    Ok(keys)
}

fn refuse_cancelled(reasons: Vec<Reason>) -> Result<(), Failure> {
    if reasons.iter().all(|reason| *reason == Reason::None) {
        Ok(())
    } else {
        Err(Failure::Cancelled(reasons))
    }
}

fn refuse_count(member: &str, count: usize, most: usize) -> Result<(), Failure> {
    let which = match count {
        0 => "greater than or equal to 1".to_owned(),
        _ if count > most => format!("less than or equal to {most}"),
        _ => return Ok(()),
    };
    let why = format!("Member must have length {which}");
    Err(Failure::constraint(member, &why))
}

fn tells_item(members: &Members<'_>) -> Result<bool, Failure> {
    const MEMBER: &str = "ReturnValuesOnConditionCheckFailure";
    match members.text(MEMBER)? {
        None | Some("NONE") => Ok(false),
        Some("ALL_OLD") => Ok(true),
        Some(_) => Err(Failure::constraint(
            MEMBER,
            "Member must satisfy enum value set: [ALL_OLD, NONE]",
        )),
    }
}
