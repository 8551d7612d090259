//! One filter of an event and what it said.

/// One rule and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The rule as it stands in the file.
    pub rule: String,
    /// Whether it holds; `None`: that can't be known.
    pub holds: Option<bool>,
    /// Why.
    pub why: String,
}

/// A filter as it stands in the file.
pub(super) fn rule(name: &str, values: &[String]) -> String {
    format!("{name}: [{}]", values.join(", "))
}

/// A key that the forge does not know for this event.
pub(super) fn unknown_key(one: &(String, Vec<String>)) -> Step {
    let why = format!(
        "the forge knows no {} here, and then never starts it",
        one.0
    );
    said(one, Some(false), why)
}

/// What a filter said.
pub(super) fn said(
    (name, values): &(String, Vec<String>),
    holds: Option<bool>,
    why: String,
) -> Step {
    Step {
        rule: rule(name, values),
        holds,
        why,
    }
}
