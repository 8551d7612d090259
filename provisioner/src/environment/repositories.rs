//! Sets of repositories (`*`, `owner/*`, `owner/name`) and whether two of them meet.

use stacks::pool::Scope;

/// A pattern is a scope. Forges compare names without case, so they are kept in lower case.
fn pattern(text: &str) -> Scope {
    let text = text.to_lowercase();
    match text.split_once('/') {
        None => Scope::Global,
        Some((owner, "*")) => Scope::Organization(owner.to_owned()),
        Some(_) => Scope::Repository(text),
    }
}

fn lower(scope: &Scope) -> Scope {
    match scope {
        Scope::Global => Scope::Global,
        Scope::Organization(name) => Scope::Organization(name.to_lowercase()),
        Scope::Repository(name) => Scope::Repository(name.to_lowercase()),
    }
}

/// What is in both.
fn meet<'s>(one: &'s Scope, other: &'s Scope) -> Option<&'s Scope> {
    match (one, other) {
        (Scope::Global, all) | (all, Scope::Global) => Some(all),
        (Scope::Organization(owner), one @ Scope::Repository(name))
        | (one @ Scope::Repository(name), Scope::Organization(owner)) => {
            let of = name.split('/').next().unwrap_or_default();
            (of == owner).then_some(one)
        }
        (Scope::Organization(_), Scope::Organization(_))
        | (Scope::Repository(_), Scope::Repository(_)) => (one == other).then_some(one),
    }
}

/// What a pool of that scope and those repositories serves.
fn served(scope: &Scope, repositories: &[String]) -> Vec<Scope> {
    let scope = lower(scope);
    let patterns = repositories.iter().map(|text| pattern(text));
    patterns
        .filter_map(|pattern| meet(&scope, &pattern).cloned())
        .collect()
}

/// Whether the scope leaves none of the repositories.
pub(super) fn is_empty(scope: &Scope, repositories: &[String]) -> bool {
    served(scope, repositories).is_empty()
}

/// Whether the list names less than the scope: the forge gives a job of any repository of the scope
/// to the pool's runners, whatever the list says.
pub(super) fn are_fewer_than(scope: &Scope, repositories: &[String]) -> bool {
    !served(scope, repositories).contains(&lower(scope))
}

/// Whether some repository is served by both.
pub(super) fn overlap(a: (&Scope, &[String]), b: (&Scope, &[String])) -> bool {
    let (a, b) = (served(a.0, a.1), served(b.0, b.1));
    let meets_b = |one: &Scope| b.iter().any(|other| meet(one, other).is_some());
    a.iter().any(meets_b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_repositories_meet_where_one_repository_is_in_both() {
        let org = |name: &str| Scope::Organization(name.to_owned());
        let repo = |name: &str| Scope::Repository(name.to_owned());
        let table: &[(Scope, &str, Scope, &str, bool)] = &[
            (Scope::Global, "*", Scope::Global, "*", true),
            (Scope::Global, "*", org("acme"), "*", true),
            (org("acme"), "*", org("ACME"), "*", true),
            (org("acme"), "*", org("other"), "*", false),
            (Scope::Global, "acme/app", org("acme"), "*", true),
            (Scope::Global, "acme/app", Scope::Global, "acme/web", false),
            (Scope::Global, "acme/*", repo("acme/app"), "*", true),
            (repo("acme/app"), "*", repo("acme/web"), "*", false),
        ];
        for (a, a_repositories, b, b_repositories, expected) in table {
            let a_repositories = [(*a_repositories).to_owned()];
            let b_repositories = [(*b_repositories).to_owned()];
            assert_eq!(
                overlap((a, &a_repositories), (b, &b_repositories)),
                *expected,
                "{a:?} {a_repositories:?} and {b:?} {b_repositories:?}"
            );
        }
    }

    #[test]
    fn a_list_says_the_same_as_a_scope_when_it_names_all_of_it() {
        let acme = || Scope::Organization("acme".to_owned());
        let release = || Scope::Repository("acme/release".to_owned());
        let table: &[(Scope, &[&str], bool)] = &[
            (acme(), &["acme/release"], true),
            (acme(), &["acme/release", "acme/app"], true),
            (acme(), &["other/*", "acme/app"], true),
            (Scope::Global, &["acme/*"], true),
            (acme(), &["*"], false),
            (acme(), &["ACME/*"], false),
            (acme(), &["acme/release", "acme/*"], false),
            (release(), &["*"], false),
            (release(), &["acme/*"], false),
            (release(), &["Acme/Release"], false),
            (Scope::Global, &["*"], false),
        ];
        for (scope, repositories, expected) in table {
            let repositories: Vec<String> = repositories.iter().map(|&name| name.into()).collect();
            assert_eq!(
                are_fewer_than(scope, &repositories),
                *expected,
                "{scope:?} {repositories:?}"
            );
        }
    }

    #[test]
    fn a_scope_can_leave_nothing_of_its_repositories() {
        let scope = Scope::Organization("acme".to_owned());
        assert!(is_empty(&scope, &["other/*".to_owned()]));
        assert!(!is_empty(&scope, &["acme/app".to_owned()]));
    }
}
