//! Why no pool serves a job, for the person who wrote its `runs-on`: the actual cause, and the cure.

use stacks::pool::Pool;

use crate::model::job::Job;

/// Longest list of labels in a reason, in characters: a line in the forge's delivery log.
const LIST_MAX_CHARS: usize = 300;
/// What Gitea makes of an expression in `runs-on` that yields a list or a map (measured for lists).
const NOT_SPREAD: [&str; 2] = ["Array", "Object"];

/// Why none of `pools` serves `job`.
#[must_use]
pub fn why_no_pool(pools: &[Pool], job: &Job) -> String {
    let labels = list(job.labels.iter().map(String::as_str));
    if pools.iter().any(|pool| pool.serves_labels(&job.labels)) {
        return format!(
            "no pool serves {labels} for {}: see the pools' scope and repositories",
            job.key.repository
        );
    }
    if job.labels.is_empty() {
        return "the job has no runs-on, and no pool takes such jobs: name a label in runs-on, or \
                say accepts_unlabelled = true in a pool"
            .to_owned();
    }
    let known = known(pools);
    if job.labels.iter().any(|label| label.trim().is_empty()) {
        return format!(
            "runs-on [{labels}] holds an empty label, which no runner has: an expression in it \
             yields nothing, such as ${{{{ vars.NAME }}}} where NAME is not defined for this \
             repository; define it, or write a label; there is {known}"
        );
    }
    let is_not_spread = |label: &String| NOT_SPREAD.contains(&label.as_str());
    if let Some(label) = job.labels.iter().find(|label| is_not_spread(label)) {
        return format!(
            "runs-on [{labels}]: the forge makes the one word {label} of an expression that yields \
             several, such as ${{{{ fromJSON('[\"a\",\"b\"]') }}}}; write the labels one by one, \
             as runs-on: [a, b]; there is {known}"
        );
    }
    format!("no pool serves runs-on [{labels}]; there is {known}")
}

fn known(pools: &[Pool]) -> String {
    let mut known: Vec<&str> = pools
        .iter()
        .flat_map(|pool| pool.labels.iter().map(|label| label.name.as_str()))
        .collect();
    known.sort_unstable();
    known.dedup();
    list(known)
}

fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let quoted = |word: &'a str| if word.trim().is_empty() { "\"\"" } else { word };
    let words: Vec<&str> = words.into_iter().map(quoted).collect();
    let all = words.join(", ");
    match all.char_indices().nth(LIST_MAX_CHARS) {
        Some((end, _)) => format!("{}…", &all[..end]),
        None => all,
    }
}
