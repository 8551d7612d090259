//! What only pools together, or a pool and the rest of the file, can get wrong.

use std::collections::BTreeMap;

use stacks::names::{PERMISSIONS_RUNNER, logical_id, role_id};
use stacks::pool::{ForgeKind, Scope};

use super::pool::Found;
use super::read::Problems;
use super::{Environment, Image, POOLS_MAX, Users, repositories};

pub(super) fn pools(problems: &Problems<'_>, environment: &Environment, pools: &[Found]) {
    if pools.len() > POOLS_MAX {
        problems.add(
            pools[POOLS_MAX].line,
            format!("pool: {} pools, and {POOLS_MAX} are the most", pools.len()),
        );
    }
    for found in pools {
        permissions(problems, environment, found);
        reach(problems, environment, found);
        stock_runner(problems, environment, found);
        stock_containers(problems, found);
        unlabelled_at_forgejo(problems, environment, found);
    }
    one_stock(problems, pools);
    shared_role(problems, pools);
    same_ids(problems, pools);
    same_role_ids(problems, pools);
    for (index, one) in pools.iter().enumerate() {
        for other in &pools[..index] {
            served_twice(problems, other, one);
        }
    }
}

fn permissions(problems: &Problems<'_>, environment: &Environment, found: &Found) {
    let granted = found.pool.permissions.as_ref();
    let granted = granted.map(|name| (name, environment.permissions.get(name)));
    if let Some((name, None)) = granted {
        let message = format_args!("there is no [permissions.{name}]");
        found.problem(problems, "permissions", message);
    }
    for pattern in granted
        .into_iter()
        .filter_map(|(_, set)| set)
        .flat_map(|set| &set.ssm)
    {
        if reaches(pattern, &environment.names().parameters) {
            let message = format_args!(
                "its permissions name the parameters {pattern}, which reaches the deployment's own \
                 secrets; name narrower paths"
            );
            found.problem(problems, "", message);
        }
    }
    if !environment.trust_all_repositories {
        untrusted_users(problems, found);
    }
}

/// What a pool holds is for the repositories that it names, and for no others.
fn untrusted_users(problems: &Problems<'_>, found: &Found) {
    const TRUST: &str = "say trust_all_repositories = true at the top of the file";
    let Some(holdings) = found.pool.holdings() else {
        return;
    };
    let document = &found.pool.document;
    let scope = match &document.scope {
        Scope::Global => "the forge",
        Scope::Organization(name) | Scope::Repository(name) => name,
    };
    match found.pool.users() {
        Users::AsNamed => {}
        Users::Everybody => found.problem(
            problems,
            "",
            format_args!(
                "holds {holdings} and serves every repository: whoever can push a workflow anywhere \
                 gets them. Give it a scope (scope = \"organization:NAME\"), or {TRUST}"
            ),
        ),
        // That the list is outside the scope is said already.
        Users::WholeScope if repositories::is_empty(&document.scope, &document.repositories) => {}
        Users::WholeScope => found.problem(
            problems,
            "repositories",
            format_args!(
                "names less than the pool's scope, and the pool holds {holdings}. `repositories` says \
                 for whose jobs machines are launched; who can use them is `scope` alone: any job of \
                 {scope} may take one. Leave `repositories` out, narrow the scope (scope = \
                 \"repository:OWNER/NAME\", one pool for each), or {TRUST}"
            ),
        ),
    }
}

/// Whether the parameters of `pattern` and those below `root` have any in common: also a path above
/// the root has, since a path can be read with everything below it.
fn reaches(pattern: &str, root: &str) -> bool {
    let fixed = pattern.split(['*', '?']).next().unwrap_or_default();
    let open = fixed.len() < pattern.len() || fixed.ends_with('/');
    let below = fixed == root || fixed.starts_with(&format!("{root}/"));
    let above = format!("{root}/").starts_with(&format!("{}/", fixed.trim_end_matches('/')));
    below || above || (open && root.starts_with(fixed))
}

fn reach(problems: &Problems<'_>, environment: &Environment, found: &Found) {
    let document = &found.pool.document;
    if repositories::is_empty(&document.scope, &document.repositories) {
        let message = "none of them is within the pool's scope";
        found.problem(problems, "repositories", message);
    }
    let (own, all) = (document.max_runners, environment.max_runners);
    if own > all {
        let message = format_args!("is {own}, above the deployment's own max_runners ({all})");
        found.problem(problems, "max_runners", message);
    }
}

fn stock_runner(problems: &Problems<'_>, environment: &Environment, found: &Found) {
    let (pool, runner) = (&found.pool, &environment.runner);
    let installs = pool.image.installs_on().is_some();
    if installs && !runner.sha256.contains_key(&pool.arch) {
        let message = format_args!(
            "no checksum is known of runner {} for {arch}; write it as {arch} in [runner.sha256]",
            runner.version,
            arch = pool.arch.name()
        );
        found.problem(problems, "image", message);
    }
}

/// An image has one parameter, whatever it was built on.
fn one_stock(problems: &Problems<'_>, pools: &[Found]) {
    let built = pools.iter().filter_map(|found| match &found.pool.image {
        Image::Built { stock, .. } => Some((found, *stock)),
        Image::Ami(_) | Image::Parameter(_) | Image::Stock(_) => None,
    });
    let mut first = None;
    for (found, stock) in built {
        let other = *first.get_or_insert(stock);
        if stock != other {
            let message = format_args!(
                "its image is built on {}, and that of another pool on {}: all of a deployment's images \
                 are built on one",
                stock.word(),
                other.word()
            );
            found.problem(problems, "image", message);
        }
    }
}

/// A runner with a label for containers does not start where there is no Docker: each job would cost
/// three machines and then be given up.
fn stock_containers(problems: &Problems<'_>, found: &Found) {
    if !matches!(found.pool.image, Image::Stock(_)) || found.pool.host.docker {
        return;
    }
    let document = &found.pool.document;
    for (label, line) in document.labels.iter().zip(&found.label_lines) {
        if label.serve.starts_with("docker://") {
            let message = format!(
                "pool.{}.labels.{}: a stock image has no Docker: say docker = true, serve it as \"host\", \
                 or give the pool an image of your own",
                document.name, label.name
            );
            problems.add(*line, message);
        }
    }
}

/// Forgejo gives a job without labels to no runner.
fn unlabelled_at_forgejo(problems: &Problems<'_>, environment: &Environment, found: &Found) {
    if found.pool.document.accepts_unlabelled && environment.forge.kind == ForgeKind::Forgejo {
        let message = "a Forgejo gives jobs without labels to no runner, so no pool can serve them; \
                       leave it out";
        found.problem(problems, "accepts_unlabelled", message);
    }
}

/// The set of permissions called `runner` has the role that pools without any would have.
fn shared_role(problems: &Problems<'_>, pools: &[Found]) {
    let with = pools
        .iter()
        .find(|found| found.pool.permissions.as_deref() == Some(PERMISSIONS_RUNNER));
    let Some(with) = with else { return };
    for without in pools
        .iter()
        .filter(|found| found.pool.permissions.is_none())
    {
        let message = format_args!(
            "has no permissions, but its role would be the one of [permissions.{PERMISSIONS_RUNNER}] \
             that pool `{}` holds; give that set another name",
            with.pool.document.name
        );
        without.problem(problems, "", message);
    }
}

/// CloudFormation's ids have no dashes.
fn same_ids(problems: &Problems<'_>, pools: &[Found]) {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for found in pools {
        let name = &found.pool.document.name;
        if let Some(other) = seen.insert(logical_id("Pool", name), name) {
            let message = format_args!("differs from pool `{other}` in its dashes alone");
            found.problem(problems, "", message);
        }
    }
}

/// Two roles with names of their own can't have one id.
fn same_role_ids(problems: &Problems<'_>, pools: &[Found]) {
    for (index, found) in pools.iter().enumerate() {
        let Some(set) = found.pool.permissions.as_deref() else {
            continue;
        };
        // Pools without permissions may come later, and their role is not renamed then.
        let plain = set != PERMISSIONS_RUNNER && role_id(Some(set)) == role_id(None);
        let mut others = pools[..index].iter();
        let other = others.find_map(|other| {
            let other = other.pool.permissions.as_deref()?;
            (other != set && role_id(Some(other)) == role_id(Some(set))).then_some(other)
        });
        if plain {
            let message = format_args!("names `{set}`, which stands for no permissions; rename it");
            found.problem(problems, "permissions", message);
        } else if let Some(other) = other {
            let message =
                format_args!("names `{set}`, which differs from `{other}` in its dashes alone");
            found.problem(problems, "permissions", message);
        }
    }
}

fn served_twice(problems: &Problems<'_>, one: &Found, other: &Found) {
    let (a, b) = (&one.pool.document, &other.pool.document);
    if !repositories::overlap((&a.scope, &a.repositories), (&b.scope, &b.repositories)) {
        return;
    }
    for (label, line) in b.labels.iter().zip(&other.label_lines) {
        if a.labels.iter().any(|own| own.name == label.name) {
            let message = format!(
                "pool.{}.labels.{label}: pool `{}` serves `{label}` too, and for some of the same \
                 repositories; a job must have one pool",
                b.name,
                a.name,
                label = label.name
            );
            problems.add(*line, message);
        }
    }
    if a.accepts_unlabelled && b.accepts_unlabelled {
        let message = format_args!(
            "pool `{}` takes jobs without labels too, and for some of the same repositories",
            a.name
        );
        other.problem(problems, "accepts_unlabelled", message);
    }
}
