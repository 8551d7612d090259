//! A forge answers the same of a repository that it hides from the token's user and of one that is gone. Only who
//! is shown everything of its owner's knows which.

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use dispatcher::forge::{Forge, ForgeConfig};
use dispatcher::model::job::JobKey;
use dispatcher::model::secret::Secret;
use dispatcher::model::world::ForgeJobState;
use stacks::pool::{ForgeKind, Scope};

use crate::support::forge_config;

const ADMINISTRATOR: &str = "/api/v1/admin/orgs";
const OWNER: &str = "/api/v1/orgs/acme/actions/variables";
/// What the user of a token is shown beside `acme/there`.
const USERS: [(&[&str], bool); 3] = [(&[], false), (&[ADMINISTRATOR], true), (&[OWNER], true)];

/// A forge that shows so much, and has nothing else.
async fn showing(kind: ForgeKind, shown: &'static [&'static str]) -> Forge {
    let answer = async move |method: Method, uri: Uri| -> Response {
        let path = uri.path();
        if shown.contains(&path) {
            return "[]".into_response();
        }
        if path == "/api/v1/repos/acme/there" && method == Method::GET {
            return "{}".into_response();
        }
        if path == ADMINISTRATOR {
            let words = r#"{"message":"user should be the site admin"}"#;
            return (StatusCode::FORBIDDEN, words).into_response();
        }
        (StatusCode::NOT_FOUND, r#"{"message":"not found"}"#).into_response()
    };
    let app = Router::new().fallback(answer);
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(socket, app).await });
    let forge = Forge::new(ForgeConfig {
        token: Secret::new("token".to_owned()),
        ..forge_config(kind, &url)
    });
    forge.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_gone_with_its_repository_only_for_who_is_shown_all_of_its_owners() {
    let job = JobKey {
        repository: "acme/secret".to_owned(),
        id: 7,
        attempt: 0,
    };
    for kind in [ForgeKind::Gitea, ForgeKind::Forgejo] {
        for (shown, knows) in USERS {
            let state = showing(kind, shown).await.job_state(&job).await;
            let expected = if knows {
                ForgeJobState::Gone
            } else {
                ForgeJobState::Unknown
            };
            assert_eq!(state, expected, "{kind:?} {shown:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_may_only_be_hidden_is_not_taken_for_deleted() {
    let scopes = [
        (Scope::Repository("acme/secret".to_owned()), false),
        (Scope::Organization("acme".to_owned()), false),
        // These are there, and the registration is not.
        (Scope::Repository("acme/there".to_owned()), true),
        (Scope::Global, true),
    ];
    for (shown, knows) in USERS {
        let forge = showing(ForgeKind::Gitea, shown).await;
        for (scope, is_there) in &scopes {
            let deleted = forge.delete_runner(scope, 7).await;
            assert_eq!(deleted.is_ok(), knows || *is_there, "{shown:?} {scope:?}");
        }
    }
}
