//! `on: push` and its filters, as far as demos use them: names, `*`, `**` and `!`. The exact engines
//! of the forges are the dispatcher's business, not the stand-in's.

use serde_json::Value;

use super::strings;

/// What was pushed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Push<'a> {
    /// The full ref.
    pub(crate) reference: &'a str,
    pub(crate) files: &'a [String],
}

/// Whether `on` starts for this push.
pub(super) fn matches(on: &Value, push: &Push<'_>) -> bool {
    let Some(events) = on.as_object() else {
        return strings(Some(on)).iter().any(|event| event == "push");
    };
    let Some(filters) = events.get("push") else {
        return false;
    };
    let list = |key: &str| filters.get(key).map(|value| strings(Some(value)));
    let side = |name: Option<&str>, include: &str, ignore: &str| match name {
        Some(name) => {
            list(include).is_none_or(|patterns| selected(&patterns, name))
                && list(ignore).is_none_or(|patterns| !selected(&patterns, name))
        }
        // Filters of one kind of ref only exclude the other kind.
        None => list(include).is_none() && list(ignore).is_none(),
    };
    let branch = push.reference.strip_prefix("refs/heads/");
    let tag = push.reference.strip_prefix("refs/tags/");
    let on_branches = side(branch, "branches", "branches-ignore");
    let on_tags = side(tag, "tags", "tags-ignore");
    let has_both = (list("branches").is_some() || list("branches-ignore").is_some())
        && (list("tags").is_some() || list("tags-ignore").is_some());
    let refs = if has_both {
        (branch.is_some() && on_branches) || (tag.is_some() && on_tags)
    } else {
        on_branches && on_tags
    };
    let any_file = |patterns: Vec<String>| push.files.iter().any(|file| selected(&patterns, file));
    let not_all = |patterns: Vec<String>| push.files.iter().any(|file| !selected(&patterns, file));
    let paths = tag.is_some()
        || (list("paths").is_none_or(any_file) && list("paths-ignore").is_none_or(not_all));
    refs && paths
}

/// The last pattern that hits decides; `!` takes back.
fn selected(patterns: &[String], text: &str) -> bool {
    patterns
        .iter()
        .fold(false, |selected, pattern| match pattern.strip_prefix('!') {
            Some(pattern) if glob(pattern, text) => false,
            None if glob(pattern, text) => true,
            Some(_) | None => selected,
        })
}

/// `*` matches within one segment, `**` across them.
fn glob(pattern: &str, text: &str) -> bool {
    let Some(star) = pattern.find('*') else {
        return pattern == text;
    };
    let (literal, rest) = pattern.split_at(star);
    let Some(text) = text.strip_prefix(literal) else {
        return false;
    };
    let (across, rest) = match rest.strip_prefix("**") {
        Some(rest) => (true, rest),
        None => (false, &rest[1..]),
    };
    // `**/` also stands for no folder at all.
    if across && rest.strip_prefix('/').is_some_and(|rest| glob(rest, text)) {
        return true;
    }
    text.char_indices()
        .map(|(at, letter)| (at, Some(letter)))
        .chain([(text.len(), None)])
        .take_while({
            let mut inside = true;
            move |(_, letter)| {
                let take = inside;
                inside = across || *letter != Some('/');
                take
            }
        })
        .any(|(at, _)| glob(rest, &text[at..]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn filters_decide_which_pushes_start_a_workflow() {
        let files = ["src/a.rs".to_owned(), "docs/b.md".to_owned()];
        for (on, reference, expected) in [
            (json!("push"), "refs/heads/main", true),
            (json!(["pull_request"]), "refs/heads/main", false),
            (json!({"push": null}), "refs/tags/v1", true),
            (json!({"workflow_dispatch": null}), "refs/heads/main", false),
            (
                json!({"push": {"branches": ["main"]}}),
                "refs/heads/main",
                true,
            ),
            (
                json!({"push": {"branches": ["main"]}}),
                "refs/heads/x",
                false,
            ),
            (
                json!({"push": {"branches": ["main"]}}),
                "refs/tags/v1",
                false,
            ),
            (
                json!({"push": {"branches": ["rel/*"]}}),
                "refs/heads/rel/1",
                true,
            ),
            (
                json!({"push": {"branches": ["*"]}}),
                "refs/heads/rel/1",
                false,
            ),
            (
                json!({"push": {"branches": ["**", "!x"]}}),
                "refs/heads/x",
                false,
            ),
            (
                json!({"push": {"branches-ignore": ["x"]}}),
                "refs/heads/y",
                true,
            ),
            (
                json!({"push": {"branches": ["main"], "tags": ["v*"]}}),
                "refs/tags/v1",
                true,
            ),
            (
                json!({"push": {"paths": ["**/*.rs"]}}),
                "refs/heads/x",
                true,
            ),
            (json!({"push": {"paths": ["*.rs"]}}), "refs/heads/x", false),
            (
                json!({"push": {"paths-ignore": ["src/**", "docs/**"]}}),
                "refs/heads/x",
                false,
            ),
        ] {
            let push = Push {
                reference,
                files: &files,
            };
            assert_eq!(matches(&on, &push), expected, "{on} {reference}");
        }
    }
}
