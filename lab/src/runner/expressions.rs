//! `${{ … }}` as a runner evaluates it: with the contexts of its job, which a server does not have, and
//! with what became of the steps before.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;
use workflow::expression::{self, History, Resolved, Scope, Stop, Value};

use crate::forge::Conclusion;

/// The contexts of a runner.
const CONTEXTS: [&str; 9] = [
    "env", "gitea", "github", "matrix", "needs", "runner", "secrets", "steps", "vars",
];

/// `text` with every `${{ … }}` replaced by its value. A mistake is an error, so that a workflow beyond
/// the stand-in's means fails loudly.
pub(super) fn fill(text: &str, contexts: &Json, state: Conclusion) -> Result<String, String> {
    match scope(contexts, state).evaluate(text) {
        Ok(None) => Ok(text.to_owned()),
        Ok(Some(value)) => value
            .printed()
            .map(|text| text.to_string())
            .map_err(|because| because.to_string()),
        Err(stop) => Err(words(text, stop)),
    }
}

/// Whether an `if:` holds after this, which is what `success()` and its kin ask about. Without a status function it also asks for success.
pub(super) fn holds(text: &str, contexts: &Json, state: Conclusion) -> Result<bool, String> {
    if text.trim().is_empty() {
        return Ok(state == Conclusion::Success);
    }
    match scope(contexts, state).condition(text) {
        Ok(Resolved::Known(holds)) => Ok(holds),
        Ok(Resolved::Unknown(because)) => Err(because),
        Err(stop) => Err(words(text, stop)),
    }
}

fn scope(contexts: &Json, state: Conclusion) -> Scope {
    let of = |name: &'static str| (name, Value::json(&contexts[name]));
    // Status functions ask about what a job needs: to a step that is what came before it.
    let step = |needs: &[&str], result: &'static str| expression::JobState {
        needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        result: Value::text(result),
    };
    let jobs = BTreeMap::from([
        ("now".to_owned(), step(&["before"], "")),
        ("before".to_owned(), step(&[], state.word())),
    ]);
    Scope {
        contexts: CONTEXTS.map(of).into(),
        history: Some(History {
            job: "now".to_owned(),
            jobs: Arc::new(jobs),
        }),
        cancelled: Some(Value::Bool(state == Conclusion::Cancelled)),
        ..Scope::default()
    }
}

fn words(text: &str, stop: Stop) -> String {
    let (Stop::Fails(reason) | Stop::Crashes(reason) | Stop::Unknown(reason)) = stop;
    format!(
        "cannot evaluate {text:?}: {reason}; use a real forge and runner for what the lab has not"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn contexts() -> Json {
        json!({
            "github": {"ref_name": "main", "sha": "abc", "run_id": 7},
            "matrix": {"os": "go", "size": 2},
            "needs": {"build": {"result": "success", "outputs": {"tag": "v1"}}},
            "env": {"A-B": "dash"},
            "vars": {},
        })
    }

    #[test]
    fn texts_are_filled_in() {
        for (text, expected) in [
            ("plain", "plain"),
            ("r-${{ github.ref_name }}-${{matrix.size}}", "r-main-2"),
            ("${{ needs.build.outputs.tag }}", "v1"),
            ("${{ vars.UNDEFINED }}", ""),
            ("${{ env['A-B'] }}", "dash"),
            ("${{ fromJSON('[\"a\",\"b\"]') }}", "Array"),
            ("${{ matrix.os == 'GO' && 'yes' || 'no' }}", "yes"),
            ("${{ github.run_id }} and more", "7 and more"),
        ] {
            let filled = fill(text, &contexts(), Conclusion::Success);
            assert_eq!(filled.as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn conditions_ask_for_success_unless_they_say_otherwise() {
        for (text, success, failure) in [
            ("", true, false),
            ("true", true, false),
            ("false", false, false),
            ("always()", true, true),
            ("failure()", false, true),
            ("${{ success() }}", true, false),
            ("github.ref_name == 'main'", true, false),
            ("always() && matrix.os != 'go'", false, false),
            ("failure() || github.sha == 'abc'", true, true),
            ("matrix.size > 1", true, false),
            ("contains(github.sha, 'b') && !cancelled()", true, true),
        ] {
            for (state, expected) in [
                (Conclusion::Success, success),
                (Conclusion::Failure, failure),
            ] {
                assert_eq!(
                    holds(text, &contexts(), state),
                    Ok(expected),
                    "{text} {state:?}"
                );
            }
        }
    }

    #[test]
    fn what_was_needed_and_skipped_is_neither_success_nor_failure() {
        for (text, expected) in [
            ("success()", false),
            ("failure()", false),
            ("always()", true),
        ] {
            let holds = holds(text, &contexts(), Conclusion::Skipped);
            assert_eq!(holds, Ok(expected), "{text}");
        }
        assert_eq!(
            holds("cancelled()", &contexts(), Conclusion::Cancelled),
            Ok(true)
        );
    }

    #[test]
    fn what_is_beyond_us_is_an_error() {
        for text in ["${{ nothing.x }}", "${{ 1 + 1 }}", "${{ a ${{ b }}"] {
            let filled = fill(text, &contexts(), Conclusion::Success);
            assert!(filled.is_err(), "{text}: {filled:?}");
        }
    }
}
