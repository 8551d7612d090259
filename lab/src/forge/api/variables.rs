//! Variables of a repository and of an owner. Those of the whole forge have no API.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::super::model::Scope;
use super::super::reply::bare;
use super::super::state::State;
use super::request::{Answer, Refusal, Request};

/// Names are kept in capitals, and a name belongs to one variable of its place.
pub(super) fn answer(
    state: &mut State,
    request: &Request<'_>,
    scope: Scope,
    rest: &[&str],
) -> Answer {
    let (owner, repository) = match scope {
        Scope::Global => return Err(Refusal::NoRoute),
        Scope::Owner(owner) => (owner, 0),
        Scope::Repository(repository) => (0, repository),
    };
    let body = |name: &str, data: &str| {
        json!({
            "owner_id": owner, "repo_id": repository,
            "name": name, "data": data, "description": "",
        })
    };
    match (request.method, rest) {
        (&Method::GET, []) => {
            let own = state.variables.iter().filter(|((of, _), _)| *of == scope);
            let own: Vec<Value> = own.map(|((_, name), data)| body(name, data)).collect();
            Ok(request.list(&own))
        }
        (&Method::POST, [name]) => {
            let key = (scope, name.to_uppercase());
            if state.variables.contains_key(&key) {
                let message = format!("variable name {name} already exists");
                return Err(Refusal::Conflict(message));
            }
            let value = request.json()?["value"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            state.variables.insert(key, value);
            Ok(bare(StatusCode::CREATED))
        }
        _ => Err(Refusal::NoRoute),
    }
}
