//! A smaller case with the same difference: files, lines and items are left out as long as it stays.

use super::case::Case;

/// Most cases that are tried: each takes about a millisecond.
const TRIES_MAX: usize = 400;
/// Longest file of which lines are left out.
const LINES_MAX: usize = 400;

/// Leaves out what can be left out; `stays` says whether a case still shows it.
pub(super) fn shrink(case: &Case, mut stays: impl FnMut(&Case) -> bool) -> Case {
    let mut left = TRIES_MAX;
    let mut keeps = |case: &Case| {
        left = left.saturating_sub(1);
        left > 0 && stays(case)
    };
    let mut small = case.clone();
    for of_base in [true, false] {
        let mut at = 0;
        while at < files(&mut small, of_base).len() {
            let mut fewer = small.clone();
            files(&mut fewer, of_base).remove(at);
            if keeps(&fewer) {
                small = fewer;
            } else {
                at += 1;
            }
        }
    }
    if !small.changed.is_empty() {
        let fewer = Case {
            changed: Vec::new(),
            ..small.clone()
        };
        if keeps(&fewer) {
            small = fewer;
        }
    }
    for of_base in [true, false] {
        for at in 0..files(&mut small, of_base).len() {
            shrink_file(&mut small, (of_base, at), &mut keeps);
        }
    }
    small
}

fn files(case: &mut Case, of_base: bool) -> &mut Vec<super::case::File> {
    if of_base {
        &mut case.base
    } else {
        &mut case.files
    }
}

fn shrink_file(
    case: &mut Case,
    (of_base, at): (bool, usize),
    keeps: &mut impl FnMut(&Case) -> bool,
) {
    for split in [lines_of as fn(&str) -> Vec<&str>, items_of] {
        let Ok(text) = String::from_utf8(files(case, of_base)[at].1.clone()) else {
            return;
        };
        let mut parts: Vec<String> = split(&text).into_iter().map(str::to_owned).collect();
        if parts.len() > LINES_MAX {
            return;
        }
        // Large pieces first.
        let mut size = parts.len() / 2;
        while size > 0 {
            let mut from = 0;
            while from < parts.len() {
                let to = (from + size).min(parts.len());
                let mut fewer = parts.clone();
                fewer.drain(from..to);
                let mut smaller = case.clone();
                files(&mut smaller, of_base)[at].1 = fewer.concat().into_bytes();
                if keeps(&smaller) {
                    *case = smaller;
                    parts = fewer;
                } else {
                    from = to;
                }
            }
            size /= 2;
        }
    }
}

fn lines_of(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

fn items_of(text: &str) -> Vec<&str> {
    text.split_inclusive(',').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_difference_needs_is_left() {
        let file = |text: &str| ("a.yml".to_owned(), text.as_bytes().to_vec());
        let case = Case {
            origin: "a test".to_owned(),
            event: workflow::EventKind::Push,
            payload: serde_json::Value::Null,
            files: vec![
                file("on: push\nenv: [a, odd, b]\nname: x\n"),
                file("on: push\n"),
            ],
            base: vec![file("on: push\n")],
            changed: vec!["a".to_owned()],
        };
        let has_it = |case: &Case| {
            let mut files = case.files.iter();
            files.any(|(_, bytes)| String::from_utf8_lossy(bytes).contains("odd"))
        };
        let small = shrink(&case, has_it);
        assert_eq!(small.files, [file(" odd,")]);
        assert!(small.base.is_empty() && small.changed.is_empty());
    }
}
