//! Patterns of filters, and plain globs.

use serde_json::{Value, json};
use workflow::pattern::glob::{Glob, GlobDialect, branch_filter_passes};
use workflow::pattern::{PatternList, Way};
use workflow::server::Dialect;

use super::texts;

/// A case on which both dialects agree: the answer if they do, else both.
pub(super) fn both_alike(case: &Value) -> Option<Value> {
    let (gitea, nektos) = (
        verdict(case, Dialect::Gitea)?,
        verdict(case, Dialect::Nektos)?,
    );
    Some(if gitea == nektos {
        gitea
    } else {
        json!({ "gitea_1_27": gitea, "nektos": nektos })
    })
}

/// Both dialects, each with its answer.
pub(super) fn each(case: &Value) -> Option<Value> {
    Some(json!({
        "gitea_1_27": verdict(case, Dialect::Gitea)?,
        "nektos": verdict(case, Dialect::Nektos)?,
    }))
}

fn verdict(case: &Value, dialect: Dialect) -> Option<Value> {
    let patterns = texts(&case["patterns"])?;
    let inputs = texts(&case["inputs"])?;
    Some(match PatternList::compile(dialect, &patterns) {
        Ok(list) => json!({
            "skip_by_include_list": list.skips(Way::Include, &inputs),
            "skip_by_ignore_list": list.skips(Way::Ignore, &inputs),
        }),
        Err(_) => json!("compile_error"),
    })
}

pub(super) fn glob(case: &Value) -> Option<Value> {
    let separators: Vec<char> = case["separators"].as_str()?.chars().collect();
    let input = case["input"].as_str()?;
    let pattern = case["pattern"].as_str()?;
    Some(
        match Glob::compile(GlobDialect::Strict, pattern, &separators) {
            Ok(glob) => json!(glob.matches(input)),
            Err(_) => json!("error"),
        },
    )
}

pub(super) fn branch_filter(case: &Value) -> Option<Value> {
    let filter = case["branch_filter"].as_str()?;
    Some(json!(branch_filter_passes(filter, case["ref"].as_str()?)))
}
