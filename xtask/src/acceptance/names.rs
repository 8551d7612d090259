//! The names that a report must not hold: what somebody called the deployment, its parts and its forge.

use std::net::IpAddr;

use provisioner::environment::{Image, Pool};
use stacks::pool::Scope;

use super::redact::Redactor;
use crate::error::Error;
use crate::target::{self, Target};

/// What stands for pools in a report, the first ones apart.
const POOLS: [&str; 4] = ["(pool 1)", "(pool 2)", "(pool 3)", "(pool 4)"];

/// Knows the names of the deployment, its forge and its API, and those of whoever runs the command.
pub async fn redactor(target: &Target) -> Result<Redactor, Error> {
    let environment = &target.deployment.environment;
    let mut known = vec![(environment.name.clone(), "(name)")];
    let forge = &environment.forge;
    for address in [
        Some(&forge.url),
        forge.root_url.as_ref(),
        target.forge_endpoint.as_ref(),
    ] {
        known.extend(address.into_iter().flat_map(|url| of_forge(url)));
    }
    if let Some(url) = target::hook_url(target).await? {
        for host in hosts_of(&url) {
            // AWS's addresses begin with the API's id.
            let id = host
                .split_once(".execute-api.")
                .map(|(id, _)| id.to_owned());
            known.extend(id.map(|id| (id, "(API)")));
            known.push((host, "(API host)"));
        }
    }
    for (pool, at) in environment.pools.iter().zip(0..) {
        let stands = POOLS.get(at).copied().unwrap_or("(pool)");
        known.extend(of_pool(pool, stands));
    }
    known.extend(environment.notify.clone().map(|mail| (mail, "(mail)")));
    for (variable, stands) in [("AWS_PROFILE", "(profile)"), ("HOME", "~")] {
        let text = std::env::var(variable).ok().filter(|text| text != "/");
        known.extend(text.map(|text| (text, stands)));
    }
    let names = environment.names();
    let mut roles = vec![
        names.function_role.clone(),
        names.schedule_role.clone(),
        names.experiment_role.clone(),
        names.runner_role(None),
    ];
    for set in environment.permissions.keys() {
        let role = names.runner_role(Some(set));
        if !roles.contains(&role) {
            known.push((role.clone(), "(name)-runner-(permissions)"));
            roles.push(role);
        }
    }
    Ok(Redactor::knowing(known, roles))
}

/// What tells which pool it is: its name, its image, and whom it serves.
fn of_pool(pool: &Pool, stands: &'static str) -> Vec<(String, &'static str)> {
    let document = &pool.document;
    let mut known = vec![(document.name.clone(), stands)];
    if let Image::Parameter(path) = &pool.image {
        known.push((path.clone(), "(image)"));
    }
    let scope = match &document.scope {
        Scope::Global => None,
        Scope::Organization(name) | Scope::Repository(name) => Some(name),
    };
    let served = document.repositories.iter().chain(scope);
    for served in served.filter(|served| *served != "*") {
        known.push((served.clone(), "(repository)"));
        let owner = served.split('/').next().unwrap_or_default();
        known.push((owner.to_owned(), "(owner)"));
    }
    known
}

/// An address of the forge: itself, its host, and the domain of that, which certificates name.
fn of_forge(url: &str) -> Vec<(String, &'static str)> {
    let mut known = vec![(url.to_owned(), "(forge)")];
    for host in hosts_of(url) {
        let domain = host.split_once('.').map_or("", |(_, domain)| domain);
        let is_name = !host.contains(':') && host.parse::<IpAddr>().is_err();
        if is_name && domain.contains('.') {
            known.push((domain.to_owned(), "(forge domain)"));
        }
        known.push((host, "(forge host)"));
    }
    known
}

/// The host of an address, with its port and without.
fn hosts_of(url: &str) -> impl Iterator<Item = String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default();
    let is_port = |port: &str| port.bytes().all(|digit| digit.is_ascii_digit());
    let bare = match host.rsplit_once(':') {
        Some((bare, port)) if is_port(port) => bare,
        Some(_) | None => host,
    };
    [host.to_owned(), bare.to_owned()].into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forge_is_known_by_its_address_its_host_with_and_without_port_and_its_domain() {
        let known = of_forge("https://git.acme.example:3000");
        for text in [
            "https://git.acme.example:3000",
            "git.acme.example:3000",
            "git.acme.example",
            "acme.example",
        ] {
            assert!(
                known.iter().any(|(own, _)| own == text),
                "{text}: {known:?}"
            );
        }
        // No domain is made of an address or of a bare name.
        for url in ["http://10.1.2.3:80", "http://git", "http://git.local"] {
            let known = of_forge(url);
            assert!(
                known.iter().all(|(_, stands)| *stands != "(forge domain)"),
                "{known:?}"
            );
        }
    }
}
