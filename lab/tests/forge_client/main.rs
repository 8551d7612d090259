//! What the dispatcher asks a forge, against the stand-in as each forge that it plays, and against a
//! real Gitea where `CI_TEST_FORGE` says so: the answers are compared with git's own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bounds;
mod changes;
mod files;
mod hidden;
mod jobs;
mod site;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;

use dispatcher::forge::Known;
use lab::forge::Version;
use serde_json::json;
use site::Site;
use stacks::pool::{Pool, Scope};
use workflow::ForgeKind;
use workflow::Server;

/// One forge for all: a real one takes seconds to start.
#[tokio::test(flavor = "multi_thread")]
async fn the_forge_answers_what_the_dispatcher_asks() {
    let Some(site) = Site::tested().await else {
        return;
    };
    assert_eq!(site.client().server().await.unwrap(), site.server());
    commits(&site).await;
    variables(&site).await;
    files::are_those_of_the_first_folder_that_there_is(&site).await;
    files::of_all_sorts_are_read_or_refused_with_a_reason(&site).await;
    files::that_are_called_are_read_wherever_they_are(&site).await;
    files::are_refused_by_their_list_when_they_are_too_many(&site).await;
    changes::are_those_of_git(&site).await;
    changes::in_large_trees_are_found_by_what_differs(&site).await;
    changes::of_random_commits_are_those_of_git(&site).await;
    jobs::are_listed_until_they_end(&site).await;
    jobs::are_told_by_the_checks_of_their_commit(&site).await;
    jobs::of_several_pages_are_all_listed(&site).await;
    site.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_forge_is_asked_what_it_can_answer() {
    for version in Version::ALL {
        let site = Site::playing(version).await;
        let server = site.client().server().await.unwrap();
        let told = Server::parse(version.told()).unwrap();
        assert_eq!(server, told, "{version:?}");
        commits(&site).await;
        variables(&site).await;
        files::are_those_of_the_first_folder_that_there_is(&site).await;
        files::of_all_sorts_are_read_or_refused_with_a_reason(&site).await;
        files::that_are_called_are_read_wherever_they_are(&site).await;
        changes::are_those_of_git(&site).await;
        jobs::are_told_by_the_checks_of_their_commit(&site).await;
        if jobs::can_be_listed_by(server) {
            jobs::are_listed_until_they_end(&site).await;
        } else {
            jobs::are_no_list(&site).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_forge_may_say_of_the_last_page_too_that_it_is_not_all() {
    for version in [Version::Gitea1_23, Version::Forgejo15] {
        let site = Site::playing(version).await;
        changes::in_large_trees_are_found_by_what_differs(&site).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn which_forge_it_is_stays_known_while_the_forge_is_down() {
    let site = Site::playing(Version::Forgejo15).await;
    let known = Arc::<Known>::default();
    let client = || site.client().with_known(Arc::clone(&known));
    let told = client().server().await.unwrap();
    assert_eq!(told, Server::forgejo(15, 0, 3));
    let elsewhere = site.client_at("http://127.0.0.1:1");
    let elsewhere = elsewhere.with_known(Arc::clone(&known));
    assert!(elsewhere.server().await.is_ok(), "it is known");
    // What is known of one forge is not believed of another.
    let another = site.client_of("http://other.lab:3000", "http://127.0.0.1:1");
    let another = another.with_known(Arc::clone(&known));
    assert!(another.server().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_gitea_registers_runners_where_it_is_asked_to_and_old_ones_keep_them() {
    for version in Version::ALL {
        if version.kind() != ForgeKind::Gitea {
            continue;
        }
        let site = Site::playing(version).await;
        site.repository("pools").await;
        for scope in [
            Scope::Global,
            Scope::Organization("acme".to_owned()),
            Scope::Repository("acme/pools".to_owned()),
        ] {
            let client = site.client();
            let registered = client.register(&pool(&scope), "i-1").await;
            let registered = registered.unwrap_or_else(|error| panic!("{version:?}: {error}"));
            // There is no list to take it off before 1.24, and nothing is tried for ever.
            client.delete_runner(&scope, registered.id).await.unwrap();
            let left = client.runners_named(&scope, "i-1").await;
            match left {
                Ok(left) => assert!(left.is_empty() && version >= Version::Gitea1_24),
                Err(_) => assert_eq!(version, Version::Gitea1_23),
            }
        }
    }
}

fn pool(scope: &Scope) -> Pool {
    Pool {
        scope: scope.clone(),
        ..support::pool("base", &["base"], "lt-1")
    }
}

async fn commits(site: &Site) {
    let work = site.repository("commits").await;
    let first = work.commit("first\n\nbody [skip ci]", &[("a", "1")]);
    let second = work.commit("second", &[("a", "2")]);
    work.git(&["checkout", "-q", "-b", "side/x#y", &first]);
    let third = work.commit("third", &[("b", "1")]);
    work.git(&["checkout", "-q", "main"]);
    work.git(&["merge", "-q", "--no-ff", "-m", "merged", &third]);
    let merge = work.head();
    site.push(&work, &["main", "side/x#y"]).await;

    let client = site.client();
    let commit = async |sha: &str| client.commit("acme/commits", sha).await.unwrap();
    let root = commit(&first).await;
    assert_eq!(root.message.trim_end(), "first\n\nbody [skip ci]");
    assert!(root.parents.is_empty());
    assert_eq!(commit(&merge).await.parents, [second, third]);
    let missing = client.commit("acme/commits", &"1".repeat(40)).await;
    assert!(missing.unwrap_err().to_string().contains("404"));
}

async fn variables(site: &Site) {
    site.repository("variables").await;
    for (place, value) in [
        ("repos/acme/variables/actions/variables/one", "repository"),
        ("orgs/acme/actions/variables/one", "organization"),
        ("orgs/acme/actions/variables/two", "organization"),
    ] {
        site.post(place, &json!({ "value": value })).await;
    }
    let client = site.client();
    let variables = client.variables("acme/variables").await.unwrap().unwrap();
    let expected = [("ONE", "repository"), ("TWO", "organization")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(variables, expected.into());
    // A person's, who owns the token.
    site.post("user/repos", &json!({"name": "own"})).await;
    let own = client.variables("labadmin/own").await.unwrap();
    assert!(own.unwrap().is_empty());
    assert_eq!(client.variables("acme/nowhere").await.unwrap(), None);
}
