//! What stands for API Gateway. `POST /dispatch` goes to the emulator's HTTP API as it came.
//! `POST /runner` has IAM authorization, which the emulator does not enforce: here the signature is
//! verified against the keys that the lab's metadata services issued, the role's policies must allow
//! the call, and the caller's identity is put into the event by us alone.

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRef, Request, State};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};
use stacks::names::{Names, ROUTE_DISPATCH, ROUTE_RUNNER};

use crate::Error;
use crate::emulator::{Api, Emulator, Invoked};
use crate::error::chain;
use crate::folder::REGION;
use crate::ids::hex_id;
use crate::journal::{self, Entry, Journal};
use crate::machine::logs_host;
use crate::metadata::{Issued, Keys};
use crate::recording::Recording;
use crate::rights::{Rights, Session};
use crate::sigv4::Claim;

/// API Gateway's limit on a payload.
const BODY_MAX_BYTES: usize = 10 * 1024 * 1024;
/// The deployment that is meant when several exist and none is named.
const DEFAULT_API: &str = "lab-ci-api";

/// The front door, for the host and for instances.
#[derive(Clone)]
pub(crate) struct FrontDoor {
    pub(crate) emulator: Emulator,
    pub(crate) keys: Keys,
    pub(crate) journal: Journal,
    pub(crate) recording: Recording,
    pub(crate) rights: Rights,
}

impl FromRef<FrontDoor> for Journal {
    fn from_ref(door: &FrontDoor) -> Self {
        door.journal.clone()
    }
}

pub(crate) type Answer = Response<Bytes>;

impl FrontDoor {
    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/_lab/deliveries", get(journal::list))
            .route("/_lab/witness", post(journal::witness))
            .fallback(async |State(door): State<Self>, request: Request| {
                door.handle(request).await.map(Body::from)
            })
            .with_state(self)
    }

    async fn handle(&self, request: Request) -> Answer {
        let (parts, body) = request.into_parts();
        let Ok(body) = axum::body::to_bytes(body, BODY_MAX_BYTES).await else {
            return message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
        };
        if host_of(&parts) == logs_host() {
            return self.machine_logs(&parts, body).await;
        }
        let route = format!("{} {}", parts.method, parts.uri.path());
        let api = match self.api(&parts).await {
            Ok(Some(api)) => api,
            Ok(None) => return message(StatusCode::NOT_FOUND, "Not Found"),
            Err(error) => return trouble(&error),
        };
        if route == ROUTE_DISPATCH {
            self.dispatch(&api, &parts, body).await
        } else if route == ROUTE_RUNNER {
            self.runner(&api, &parts, &body).await
        } else {
            message(StatusCode::NOT_FOUND, "Not Found")
        }
    }

    async fn dispatch(&self, api: &Api, parts: &Parts, body: Bytes) -> Answer {
        let entry = Entry::of(parts, &body);
        let answer = self.passed_on(api, parts, body).await;
        self.journal.note(entry, &answer);
        answer
    }

    async fn passed_on(&self, api: &Api, parts: &Parts, body: Bytes) -> Answer {
        match self.emulator.execute_api(&api.api_id, parts, body).await {
            Ok(answer) => {
                let mut own = message(answer.status(), "");
                for (name, value) in answer.headers() {
                    let hop = ["connection", "transfer-encoding", "content-length"];
                    if !hop.contains(&name.as_str()) {
                        own.headers_mut().insert(name.clone(), value.clone());
                    }
                }
                *own.body_mut() = answer.into_body();
                own
            }
            Err(error) => trouble(&error),
        }
    }

    async fn runner(&self, api: &Api, parts: &Parts, body: &Bytes) -> Answer {
        match self.ask_function(api, parts, body).await {
            Ok(Ok((answer, caller))) => {
                if let Some(caller) = caller {
                    let caller_is = (self.emulator.account(), Some(caller.role.as_str()));
                    let about = json!({ "api": api.api_id });
                    let status = answer.status();
                    self.recording.note(caller_is, parts, body, status, &about);
                }
                answer
            }
            Ok(Err(words)) => {
                tracing::info!(words, "front door refuses");
                message(StatusCode::FORBIDDEN, words)
            }
            Err(error) => trouble(&error),
        }
    }

    /// The function's answer and who was believed to ask, or the words of a refusal before it was asked.
    async fn ask_function(
        &self,
        api: &Api,
        parts: &Parts,
        body: &Bytes,
    ) -> Result<Result<(Answer, Option<Issued>), &'static str>, Error> {
        let missing = || Ok(Ok((message(StatusCode::NOT_FOUND, "Not Found"), None)));
        let Some(name) = api.name.strip_suffix("-api") else {
            return missing();
        };
        let route = self.emulator.route_asks_iam(&api.api_id, ROUTE_RUNNER);
        let caller = match route.await? {
            None => return missing(),
            // Without authorization on the route, API Gateway says nothing of the caller.
            Some(false) => None,
            Some(true) => match self.authorize("execute-api", parts, body) {
                Err(words) => return Ok(Err(words)),
                Ok(caller) => Some(caller),
            },
        };
        if let Some(caller) = &caller
            && !self.may_ask(caller, api, parts, body).await?
        {
            return Ok(Err("Forbidden"));
        }
        let function = Names::of(name).function;
        let place = (self.emulator.account(), api.api_id.as_str());
        let event = event(place, parts, body, caller.as_ref(), Timestamp::now());
        let invoked = self.emulator.invoke(&function, &event).await?;
        Ok(Ok((respond(&invoked), caller)))
    }

    /// Whether the caller's role allows it.
    async fn may_ask(
        &self,
        caller: &Issued,
        api: &Api,
        parts: &Parts,
        body: &[u8],
    ) -> Result<bool, Error> {
        if self.rights.is_on() {
            let session = Session {
                role: caller.role.clone(),
                name: caller.instance.clone(),
            };
            let about = json!({ "api": api.api_id });
            let refusal = self
                .rights
                .refusal(&self.emulator, &session, parts, body, &about);
            return Ok(refusal.await?.is_none());
        }
        let resource = format!(
            "arn:aws:execute-api:{REGION}:{}:{}/$default/POST/runner",
            self.emulator.account(),
            api.api_id
        );
        self.emulator
            .allows(&caller.role, "execute-api:Invoke", &resource)
            .await
    }

    /// Who calls `service`, or API Gateway's words for a caller that it does not believe.
    pub(crate) fn authorize(
        &self,
        service: &str,
        parts: &Parts,
        body: &[u8],
    ) -> Result<Issued, &'static str> {
        let claim = Claim::of(parts).map_err(|_| "Forbidden")?;
        let holder = self
            .keys
            .holder(&claim.key_id)
            .filter(|_| claim.is_for(service))
            .ok_or("Forbidden")?;
        claim
            .verify(parts, body, &holder.key, Timestamp::now())
            .map_err(|refusal| {
                tracing::info!(%refusal, instance = holder.instance, "signature");
                "Forbidden"
            })?;
        Ok(holder)
    }

    /// The API that the request's host names. To the host's own address, which is what the forge knows,
    /// the query `api=ID` says which; without, it is the default one.
    async fn api(&self, parts: &Parts) -> Result<Option<Api>, Error> {
        let mut apis = self.emulator.apis().await?;
        let asked = parts
            .uri
            .query()
            .and_then(|query| query.strip_prefix("api="));
        let named = host_of(parts).split_once(".execute-api.").map(|(id, _)| id);
        let index = if let Some(id) = named.or(asked) {
            apis.iter().position(|api| api.api_id == id)
        } else if apis.len() == 1 {
            Some(0)
        } else {
            apis.iter().position(|api| api.name == DEFAULT_API)
        };
        Ok(index.map(|index| apis.swap_remove(index)))
    }
}

/// The host that was asked for.
fn host_of(parts: &Parts) -> &str {
    let host = parts.headers.get(http::header::HOST);
    host.and_then(|host| host.to_str().ok()).unwrap_or_default()
}

/// The event as API Gateway makes it, payload format 2.0.
fn event(
    (account, api): (&str, &str),
    parts: &Parts,
    body: &Bytes,
    caller: Option<&Issued>,
    now: Timestamp,
) -> Value {
    let mut headers = serde_json::Map::new();
    for name in parts.headers.keys() {
        let values: Vec<String> = parts
            .headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect();
        headers.insert(name.to_string(), Value::String(values.join(",")));
    }
    let domain = format!("{api}.execute-api.{REGION}.amazonaws.com");
    let (text, encoded) = match std::str::from_utf8(body) {
        Ok(text) => (text.to_owned(), false),
        Err(_) => (STANDARD.encode(body), true),
    };
    let authorizer = caller.map(|caller| {
        let Issued {
            key,
            instance,
            role,
            role_id,
            ..
        } = caller;
        json!({ "iam": {
            "accessKey": key.id,
            "accountId": account,
            "callerId": format!("{role_id}:{instance}"),
            "cognitoIdentity": null,
            "principalOrgId": null,
            "userArn": format!("arn:aws:sts::{account}:assumed-role/{role}/{instance}"),
            "userId": format!("{role_id}:{instance}"),
        }})
    });
    let path = parts.uri.path();
    json!({
        "version": "2.0",
        "routeKey": ROUTE_RUNNER,
        "rawPath": path,
        "rawQueryString": parts.uri.query().unwrap_or_default(),
        "headers": headers,
        "requestContext": {
            "accountId": account,
            "apiId": api,
            "authentication": null,
            "authorizer": authorizer,
            "domainName": domain,
            "domainPrefix": api,
            "http": {
                "method": parts.method.as_str(),
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": headers.get("user-agent"),
            },
            "requestId": hex_id(),
            "routeKey": ROUTE_RUNNER,
            "stage": "$default",
            "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
            "timeEpoch": now.as_millisecond(),
        },
        "body": text,
        "isBase64Encoded": encoded,
    })
}

/// The function's answer as API Gateway passes it on.
fn respond(invoked: &Invoked) -> Answer {
    let failure = || message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error");
    if invoked.failed {
        return failure();
    }
    let Ok(value) = serde_json::from_slice::<Value>(&invoked.payload) else {
        return failure();
    };
    let Some(status) = value.get("statusCode") else {
        let mut bare = message(StatusCode::OK, "");
        *bare.body_mut() = invoked.payload.clone();
        return bare;
    };
    let status = status
        .as_u64()
        .and_then(|status| u16::try_from(status).ok())
        .and_then(|status| StatusCode::from_u16(status).ok());
    let body = value["body"].as_str().unwrap_or_default();
    let body = if value["isBase64Encoded"] == true {
        STANDARD.decode(body).ok()
    } else {
        Some(body.as_bytes().to_vec())
    };
    let (Some(status), Some(body)) = (status, body) else {
        return failure();
    };
    let mut answer = Response::new(Bytes::from(body));
    *answer.status_mut() = status;
    for (name, text) in value["headers"].as_object().into_iter().flatten() {
        let name = http::HeaderName::from_bytes(name.as_bytes());
        let text = text.as_str().map(http::HeaderValue::from_str);
        if let (Ok(name), Some(Ok(text))) = (name, text) {
            answer.headers_mut().insert(name, text);
        }
    }
    answer
}

pub(crate) fn message(status: StatusCode, words: &str) -> Answer {
    let mut answer = Response::new(Bytes::from(json!({ "message": words }).to_string()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    answer
}

pub(crate) fn trouble(error: &Error) -> Answer {
    tracing::error!(error = chain(error), "front door fails");
    message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(payload: &str, failed: bool) -> (u16, String) {
        let payload = Bytes::from(payload.to_owned());
        let answer = respond(&Invoked { failed, payload });
        let body = String::from_utf8_lossy(answer.body()).into_owned();
        (answer.status().as_u16(), body)
    }

    #[test]
    fn answers_of_functions_are_passed_on_as_api_gateway_does() {
        let error = r#"{"message":"Internal Server Error"}"#;
        for (payload, failed, expected) in [
            (r#"{"statusCode":202,"body":"ok"}"#, false, (202, "ok")),
            (
                r#"{"statusCode":200,"body":"b2s=","isBase64Encoded":true}"#,
                false,
                (200, "ok"),
            ),
            (r#"{"a":1}"#, false, (200, r#"{"a":1}"#)),
            (r#"{"errorType":"x"}"#, true, (500, error)),
            ("not json", false, (500, error)),
            (r#"{"statusCode":"x"}"#, false, (500, error)),
        ] {
            let (status, body) = answer(payload, failed);
            assert_eq!((status, body.as_str()), expected, "{payload}");
        }
    }

    #[tokio::test]
    async fn the_runner_route_believes_no_stranger() {
        let key = crate::sigv4::Key {
            id: "ASIASTRANGER".to_owned(),
            secret: "s".to_owned(),
            token: None,
        };
        let door = FrontDoor {
            emulator: Emulator::new("http://127.0.0.1:9".to_owned(), key.clone()),
            keys: Keys::default(),
            journal: Journal::default(),
            recording: Recording::default(),
            rights: Rights::default(),
        };
        let request = || {
            http::Request::post("http://a.execute-api.eu-west-1.amazonaws.com/runner")
                .body(Bytes::from_static(b"{}"))
                .unwrap()
        };
        let (unsigned, body) = request().into_parts();
        assert_eq!(
            door.authorize("execute-api", &unsigned, &body).err(),
            Some("Forbidden")
        );
        let now = Timestamp::now();
        let signed = crate::sigv4::sign(request(), &key, "execute-api", now).unwrap();
        let (signed, body) = signed.into_parts();
        assert_eq!(
            door.authorize("execute-api", &signed, &body).err(),
            Some("Forbidden")
        );
    }
}
