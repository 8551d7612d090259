//! Which files are workflows, which events they have, and which of them start one.

use serde_json::{Map, Value, json};
use workflow::budget::Budget;
use workflow::discovery;
use workflow::document::on::{self, OnEvent};
use workflow::event::EventKind;
use workflow::trigger::{self, Changed, Outcome, TriggerInputs};
use workflow::yaml;

use super::{server, texts};

/// What a text with an `on:` says; `None` where it can't be read.
fn events(case: &Value) -> Option<Vec<OnEvent>> {
    let document = yaml::parse(case["yaml_on"].as_str()?.as_bytes()).ok()??;
    on::parse(document.get("on")?, server(case)).ok()
}

pub(super) fn on(case: &Value) -> Option<Value> {
    case["yaml_on"].as_str()?;
    let Some(events) = events(case) else {
        return Some(json!("error"));
    };
    Some(events.iter().map(event_json).collect())
}

fn event_json(event: &OnEvent) -> Value {
    let mut object = Map::from_iter([("name".to_owned(), json!(event.name))]);
    if !event.filters.is_empty() {
        let filters = event.filters.iter();
        let filters = filters.map(|(name, values)| (name.clone(), json!(values)));
        object.insert("filters".to_owned(), Value::Object(filters.collect()));
    }
    if !event.schedules.is_empty() {
        let pairs = |entry: &Vec<(String, String)>| -> Map<String, Value> {
            let pairs = entry.iter().cloned();
            pairs.map(|(key, text)| (key, json!(text))).collect()
        };
        let schedules: Vec<_> = event.schedules.iter().map(pairs).collect();
        object.insert("schedules".to_owned(), json!(schedules));
    }
    if !event.dispatch_inputs.is_empty() {
        object.insert("dispatch_inputs".to_owned(), json!(event.dispatch_inputs));
    }
    Value::Object(object)
}

pub(super) fn trigger(case: &Value) -> Option<Value> {
    let hook = EventKind::parse(case["hook_event"].as_str()?)?;
    let server = server(case);
    let mut best = Outcome::NotApplicable;
    for event in events(case)? {
        let given = TriggerInputs {
            kind: hook,
            payload: &case["payload"],
            changed: &Changed::NotFetched,
            server,
            budget: &Budget::default(),
        };
        let outcome = trigger::judge(&event, given).outcome;
        best = match (best, outcome) {
            (Outcome::Matched, _) | (_, Outcome::Matched) => Outcome::Matched,
            (Outcome::NotApplicable, other) => other,
            (kept, _) => kept,
        };
    }
    Some(json!(best.word()))
}

pub(super) fn event_match(case: &Value) -> Option<Value> {
    let on = case["on_event"].as_str()?;
    // A word that no server sends starts nothing.
    let hook = EventKind::parse(case["hook_event"].as_str()?);
    Some(json!(hook.is_some_and(|hook| trigger::can_match(on, hook))))
}

pub(super) fn workflow_path(case: &Value) -> Option<Value> {
    let dirs = texts(&case["workflow_dirs"])?;
    Some(json!(discovery::is_workflow(case["path"].as_str()?, &dirs)))
}

pub(super) fn workflow_dirs(case: &Value) -> Option<Value> {
    let setting = case["setting"].as_str()?;
    Some(match discovery::dirs_of_setting(setting) {
        Some(dirs) => json!(dirs),
        None => json!("error"),
    })
}
