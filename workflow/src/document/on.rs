//! What starts a workflow: its `on`.
//!
//! `jobparser.ParseRawOn` of Gitea (1.26 and later) and of Forgejo's runner library. A text is one event,
//! a list several, a map several with what narrows each down. Gitea looks at nodes, to which an alias is
//! none of these; Forgejo below the map at values, whose types it minds.

use crate::server::{Capability, ForgeKind, Server};
use crate::yaml::{Kind, Node, Refused, Shape, Value};

/// One event that starts the workflow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OnEvent {
    /// Its name: `push`, or anything else that somebody wrote.
    pub name: String,
    /// Its filters in the file's order, each once: `branches`, `types`, or whatever was written.
    pub filters: Vec<(String, Vec<String>)>,
    /// Of `schedule`: each entry's pairs, `cron` among them. With any the clock starts it, and nothing
    /// else does; with none it is an event like any other.
    pub schedules: Vec<Vec<(String, String)>>,
    /// Of `workflow_dispatch`: the names of its inputs.
    pub dispatch_inputs: Vec<String>,
}

/// Another workflow's `uses:` starts it, no event does.
const CALL: &str = "workflow_call";

const INPUT: Shape = Shape::Record(&[
    ("name", Shape::Text),
    ("description", Shape::Text),
    ("required", Shape::Flag),
    ("default", Shape::Text),
    ("type", Shape::Text),
    ("options", Shape::List(&Shape::Text)),
]);

/// The events of an `on`.
pub fn parse(on: &Node, server: Server) -> Result<Vec<OnEvent>, Refused> {
    let mut events = match &on.kind {
        Kind::Scalar(_) => vec![named(on.text()?)],
        Kind::Sequence(_) => list(on)?,
        Kind::Mapping(pairs) => {
            let mut events = Vec::with_capacity(pairs.len());
            for (key, how) in pairs {
                let name = key_text(key)?;
                if name == CALL && server.has(Capability::SkipsWorkflowCall) {
                    continue;
                }
                events.push(match server.kind {
                    ForgeKind::Gitea => event(name, how)?,
                    ForgeKind::Forgejo => event_of_value(name, how)?,
                });
            }
            events
        }
        Kind::Alias(_) => return Err(refuse(on, "`on` can't be an alias; write it out")),
    };
    // Before 1.27 Gitea does look at it, and `inputs` in there make the whole file invalid; it starts
    // nothing anywhere.
    events.retain(|event| event.name != CALL);
    Ok(events)
}

fn named(name: impl Into<String>) -> OnEvent {
    OnEvent {
        name: name.into(),
        ..OnEvent::default()
    }
}

/// Only texts: `on: [push, 7]` is refused, and `null` too.
fn list(on: &Node) -> Result<Vec<OnEvent>, Refused> {
    let Value::List(items) = on.value()? else {
        return Ok(Vec::new());
    };
    let names = items.into_iter().map(|item| match item {
        Value::Text(name) => Ok(named(name)),
        other => Err(refuse(
            on,
            format!("`on` lists names of events, and `{other}` is none"),
        )),
    });
    names.collect()
}

fn event(name: &str, how: &Node) -> Result<OnEvent, Refused> {
    match &how.kind {
        // Null, or anything: `push: main` is `push`.
        Kind::Scalar(_) => Ok(named(name)),
        Kind::Sequence(_) => Ok(OnEvent {
            schedules: schedules(name, how)?,
            ..named(name)
        }),
        Kind::Mapping(pairs) => filters(name, pairs),
        Kind::Alias(_) => Err(refuse(
            how,
            format!("`{name}` can't be an alias; write it out"),
        )),
    }
}

/// A list makes an event the clock's, whatever its name: `push: [main]` is started by no push. What its
/// entries say is read for `schedule` alone.
fn schedules(name: &str, how: &Node) -> Result<Vec<Vec<(String, String)>>, Refused> {
    match how.value()? {
        Value::List(entries) if name == "schedule" => entries
            .into_iter()
            .map(|entry| schedule(how, entry))
            .collect(),
        Value::List(entries) => Ok(vec![Vec::new(); entries.len()]),
        _ => Ok(Vec::new()),
    }
}

fn schedule(how: &Node, entry: Value) -> Result<Vec<(String, String)>, Refused> {
    let Value::Map(pairs) = entry else {
        let reason = format!("`schedule` lists maps like `cron: '0 4 * * *'`, not `{entry}`");
        return Err(refuse(how, reason));
    };
    let pairs = pairs.into_iter().map(|(key, value)| match value {
        Value::Text(text) => Ok((key, text)),
        other => {
            let reason = format!("`{key}: {other}` in `schedule` must be a text; put it in quotes");
            Err(refuse(how, reason))
        }
    });
    pairs.collect()
}

/// Forgejo (runner library v9 to v12).
fn event_of_value(name: &str, how: &Node) -> Result<OnEvent, Refused> {
    let mut event = named(name);
    match how.value()? {
        Value::Null | Value::Text(_) => {}
        Value::List(entries) if name == "schedule" => {
            let entries = entries.into_iter().map(|entry| schedule(how, entry));
            event.schedules = entries.collect::<Result<_, _>>()?;
        }
        Value::Map(filters) => {
            for (filter, value) in filters {
                if let Some(texts) = filter_of_value(name, &filter, value, how)? {
                    event.filters.push((filter, texts));
                }
            }
            if name == "workflow_dispatch" || name == CALL {
                event.filters.clear();
            }
        }
        other => {
            let reason =
                format!("`{name}` must be a map with texts or lists of them, not `{other}`");
            return Err(refuse(how, reason));
        }
    }
    Ok(event)
}

fn filter_of_value(
    name: &str,
    filter: &str,
    value: Value,
    how: &Node,
) -> Result<Option<Vec<String>>, Refused> {
    let text = |item: Value| match item {
        Value::Text(text) => Ok(text),
        other => {
            let reason = format!("`{other}` in `{filter}` must be a text; put it in quotes");
            Err(refuse(how, reason))
        }
    };
    match value {
        Value::Map(_) if name == CALL || (name == "workflow_dispatch" && filter == "inputs") => {
            Ok(None)
        }
        Value::List(items) => items
            .into_iter()
            .map(text)
            .collect::<Result<_, _>>()
            .map(Some),
        value => Ok(Some(vec![text(value)?])),
    }
}

fn filters(name: &str, pairs: &[(Node, Node)]) -> Result<OnEvent, Refused> {
    let mut event = named(name);
    for (key, value) in pairs {
        let Kind::Scalar(_) = key.kind else {
            return Err(refuse(key, format!("a key under `{name}` must be a text")));
        };
        let filter = key.text()?;
        let texts = match &value.kind {
            Kind::Sequence(_) => value.texts()?,
            Kind::Scalar(_) => vec![value.text()?],
            Kind::Mapping(inputs) if name == "workflow_dispatch" && filter == "inputs" => {
                for (key, input) in inputs {
                    event.dispatch_inputs.push(dispatch_input(key, input)?);
                }
                continue;
            }
            Kind::Mapping(_) => {
                return Err(refuse(
                    value,
                    format!("`{filter}` under `{name}` can't be a map"),
                ));
            }
            Kind::Alias(_) => {
                return Err(refuse(
                    value,
                    format!("`{filter}` can't be an alias; write it out"),
                ));
            }
        };
        // As in a map: the last of equal keys is there, once.
        match event.filters.iter_mut().find(|(known, _)| *known == filter) {
            Some((_, known)) => *known = texts,
            None => event.filters.push((filter, texts)),
        }
    }
    Ok(event)
}

/// The name of an input, whose fields must fit.
fn dispatch_input(key: &Node, input: &Node) -> Result<String, Refused> {
    let Kind::Scalar(_) = key.kind else {
        return Err(refuse(key, "the name of an input must be a text"));
    };
    let name = key.text()?;
    let Kind::Mapping(_) = input.kind else {
        return Err(refuse(input, format!("the input `{name}` must be a map")));
    };
    input.decode(&INPUT)?;
    Ok(name)
}

/// A key as it is written, not resolved.
fn key_text(key: &Node) -> Result<&str, Refused> {
    match &key.kind {
        Kind::Scalar(scalar) => Ok(&scalar.text),
        Kind::Sequence(_) | Kind::Mapping(_) | Kind::Alias(_) => {
            Err(refuse(key, "the name of an event must be a text"))
        }
    }
}

fn refuse(node: &Node, reason: impl Into<String>) -> Refused {
    Refused::new(node.line, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    const GITEA_1_27: Server = Server::gitea(1, 27, 0);
    const FORGEJO: Server = Server::forgejo(12, 0, 0);

    /// The events, one a line: name, filters, schedules, inputs.
    fn told(on: &str, server: Server) -> Result<Vec<String>, String> {
        let node = yaml::parse(on.as_bytes()).unwrap().unwrap();
        let events = parse(&node, server).map_err(|refused| refused.to_string())?;
        Ok(events.iter().map(line).collect())
    }

    fn line(event: &OnEvent) -> String {
        let filters = event.filters.iter();
        let filters = filters.map(|(filter, texts)| format!("{filter}={}", texts.join("|")));
        let entries = event.schedules.iter().map(|entry| format!("{entry:?}"));
        let inputs = event.dispatch_inputs.iter().cloned();
        let words = std::iter::once(event.name.clone());
        let words: Vec<String> = words.chain(filters).chain(entries).chain(inputs).collect();
        words.join(" ")
    }

    #[test]
    fn every_form_of_on_gives_its_events_in_order() {
        let cases: [(&str, &[&str]); 14] = [
            ("push", &["push"]),
            ("7", &["7"]),
            ("~", &[""]),
            ("[push, pull_request]", &["push", "pull_request"]),
            ("[]", &[]),
            ("{push: , create: x}", &["push", "create"]),
            ("{push: {branches: main}}", &["push branches=main"]),
            (
                "{push: {branches: [a, 1, ~, yes]}}",
                &["push branches=a|1|yes"],
            ),
            ("{push: {branches: }}", &["push branches="]),
            ("{push: {b: [x], a: y, ~: z, '': w}}", &["push b=x a=y =w"]),
            ("{push: [main]}", &["push []"]),
            (
                "{schedule: [{cron: '1 2 * * *'}]}",
                &[r#"schedule [("cron", "1 2 * * *")]"#],
            ),
            ("{schedule: []}", &["schedule"]),
            (
                "{workflow_dispatch: {inputs: {a: {type: choice, required: yes, options: [1]}, b: {}}}}",
                &["workflow_dispatch a b"],
            ),
        ];
        for (on, expected) in cases {
            let told = told(on, Server::GITEA_1_26);
            let told: Result<Vec<_>, _> = told
                .as_ref()
                .map(|events| events.iter().map(String::as_str).collect());
            assert_eq!(told, Ok(expected.to_vec()), "{on}");
        }
    }

    #[test]
    fn what_is_no_on_is_refused_with_its_reason() {
        for (on, expected) in [
            (
                "[push, 7]",
                "line 1: `on` lists names of events, and `7` is none",
            ),
            (
                "[push, ~]",
                "line 1: `on` lists names of events, and `<nil>` is none",
            ),
            (
                "[2020-01-01]",
                "line 1: `on` lists names of events, and `2020-01-01 00:00:00 +0000 UTC` is none",
            ),
            (
                "{push: {branches: {a: b}}}",
                "line 1: `branches` under `push` can't be a map",
            ),
            (
                "{push: {branches: [[a]]}}",
                "line 1: a text must stand here, not a list",
            ),
            (
                "{a: &a x, push: *a}",
                "line 1: `push` can't be an alias; write it out",
            ),
            (
                "{schedule: [{cron: 1}]}",
                "line 1: `cron: 1` in `schedule` must be a text; put it in quotes",
            ),
            (
                "{schedule: [{1: a}]}",
                "line 1: `schedule` lists maps like `cron: '0 4 * * *'`, not `map[1:a]`",
            ),
            (
                "{workflow_dispatch: {inputs: {a: x}}}",
                "line 1: the input `a` must be a map",
            ),
        ] {
            assert_eq!(
                told(on, Server::GITEA_1_26),
                Err(expected.to_owned()),
                "{on}"
            );
        }
    }

    #[test]
    fn a_call_starts_nothing_and_only_newer_servers_leave_it_unread() {
        for on in ["workflow_call", "[workflow_call]", "{workflow_call: }"] {
            for server in [Server::GITEA_1_26, GITEA_1_27, FORGEJO] {
                assert_eq!(told(on, server), Ok(Vec::new()), "{on} {server:?}");
            }
        }
        let on = "{workflow_call: {inputs: {a: {type: string}}}, push: }";
        assert!(told(on, Server::GITEA_1_26).is_err());
        for server in [GITEA_1_27, FORGEJO] {
            assert_eq!(told(on, server), Ok(vec!["push".to_owned()]));
        }
    }

    #[test]
    fn forgejo_minds_the_types_of_filters_and_follows_aliases() {
        for on in [
            "{push: {branches: [1]}}",
            "{push: {branches: }}",
            "{push: [main]}",
            "{push: 7}",
        ] {
            assert!(told(on, FORGEJO).is_err(), "{on}");
        }
        let on = "{a: &a {branches: main}, push: *a}";
        let expected = ["a branches=main", "push branches=main"].map(str::to_owned);
        assert_eq!(told(on, FORGEJO), Ok(expected.to_vec()));
    }
}
