//! Members of a request, each of which has to be known: what this table would pass over is refused.

use serde_json::{Map, Value as Json};

use super::failure::Failure;
use super::read::read_item;
use super::value::Item;

/// The members of one structure of a request.
pub(super) struct Members<'a> {
    what: &'static str,
    object: &'a Map<String, Json>,
}

impl<'a> Members<'a> {
    /// Those of `json`, which has no others than `known`.
    pub(super) fn of(json: &'a Json, what: &'static str, known: &[&str]) -> Result<Self, Failure> {
        let object = json
            .as_object()
            .ok_or_else(|| Failure::not_a(what, "a structure"))?;
        match object.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(Failure::unknown(what, name)),
            None => Ok(Self { what, object }),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a Json> {
        self.object.get(name).filter(|json| !json.is_null())
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, Failure> {
        self.read(name, "a string", Json::as_str)
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Failure> {
        self.read(name, "a boolean", Json::as_bool)
    }

    pub(super) fn integer(&self, name: &str) -> Result<Option<i64>, Failure> {
        self.read(name, "an integer", Json::as_i64)
    }

    pub(super) fn list(&self, name: &str) -> Result<Option<&'a Vec<Json>>, Failure> {
        self.read(name, "a list", Json::as_array)
    }

    pub(super) fn object(&self, name: &str) -> Result<Option<&'a Map<String, Json>>, Failure> {
        self.read(name, "a map", Json::as_object)
    }

    pub(super) fn item(&self, name: &str) -> Result<Option<Item>, Failure> {
        self.get(name).map(|json| read_item(json, name)).transpose()
    }

    /// What has to be there.
    pub(super) fn needed<T>(&self, name: &str, found: Option<T>) -> Result<T, Failure> {
        let member = || format!("{}.{name}", self.what);
        found.ok_or_else(|| Failure::constraint(&member(), "Member must not be null"))
    }

    fn read<T>(
        &self,
        name: &str,
        kind: &str,
        read: impl Fn(&'a Json) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        let Some(json) = self.get(name) else {
            return Ok(None);
        };
        let wrong = || Failure::not_a(&format!("{}.{name}", self.what), kind);
        read(json).map(Some).ok_or_else(wrong)
    }
}
