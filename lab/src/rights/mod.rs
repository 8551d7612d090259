//! What roles may do, decided live where [`ENV_RIGHTS`] asks for it: a call by a session of a role goes to the
//! judge in `judges/` before it has an effect, with the role's policies as the emulator's IAM has them at
//! that moment; what they do not allow is refused as AWS refuses it. The account's own key may do
//! everything, and a handler that runs in a test's own process has no role: neither is judged.

mod denial;
mod judge;
mod message;

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use serde_json::Value;

use crate::Error;
use crate::emulator::Emulator;
use crate::folder::Folder;
use crate::recording::{function_of, line};

pub(crate) use self::denial::Denial;
use self::denial::{query_answer, query_error};
use self::judge::{Judge, Programs, Question};
use self::message::Seal;

/// Has the lab refuse what roles may not do. It needs the judge of `cargo xtask test rights`.
pub const ENV_RIGHTS: &str = "CI_TEST_RIGHTS";
/// STS's operation that makes a denial readable.
const DECODE: &str = "DecodeAuthorizationMessage";

/// Whether roles are judged.
fn is_asked_for() -> bool {
    std::env::var_os(ENV_RIGHTS).is_some_and(|value| !value.is_empty())
}

/// Whether the judge is there, if it is asked for.
pub(crate) fn check() -> Result<(), Error> {
    if is_asked_for() {
        Programs::find()?;
    }
    Ok(())
}

/// The judge, if it is asked for.
#[derive(Clone, Default)]
pub(crate) struct Rights(Option<Arc<Live>>);

struct Live {
    judge: Judge,
    seal: Seal,
}

/// Who calls: a session of a role.
pub(crate) struct Session {
    pub(crate) role: String,
    /// The function's name, or the instance's id.
    pub(crate) name: String,
}

impl Session {
    /// Of the deployed function that sent this, if one did.
    async fn of_function(emulator: &Emulator, parts: &Parts) -> Result<Option<Self>, Error> {
        let Some(name) = function_of(parts) else {
            return Ok(None);
        };
        let role = emulator.role_of_function(name).await?;
        Ok(role.map(|role| Self {
            role,
            name: name.to_owned(),
        }))
    }
}

impl Rights {
    /// As the environment says; the judge runs for the lab in `folder`.
    pub(crate) async fn of_environment(folder: &Folder) -> Result<Self, Error> {
        if !is_asked_for() {
            return Ok(Self::default());
        }
        let judge = Judge::start(folder, &Programs::find()?).await?;
        let seal = Seal::new();
        Ok(Self(Some(Arc::new(Live { judge, seal }))))
    }

    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Why the function that sent this may not; `None` if it may, or if it was sent by nobody who is judged.
    /// `about` is what AWS knows of the resources that it names.
    pub(crate) async fn refusal_of_function(
        &self,
        emulator: &Emulator,
        parts: &Parts,
        body: &[u8],
        about: &Value,
    ) -> Result<Option<Denial>, Error> {
        if !self.is_on() {
            return Ok(None);
        }
        match Session::of_function(emulator, parts).await? {
            Some(session) => self.refusal(emulator, &session, parts, body, about).await,
            None => Ok(None),
        }
    }

    /// Why `session` may not do this; `None` if it may, or if nobody is judged.
    pub(crate) async fn refusal(
        &self,
        emulator: &Emulator,
        session: &Session,
        parts: &Parts,
        body: &[u8],
        about: &Value,
    ) -> Result<Option<Denial>, Error> {
        let Some(live) = &self.0 else {
            return Ok(None);
        };
        let account = emulator.account();
        let role = emulator.role(&session.role).await?.unwrap_or_default();
        let question = Question {
            line: line((account, &session.role), parts, body, None, about),
            role: &session.role,
            policies: &role.policies,
        };
        let denied = live.judge.ask(&question).await?;
        Ok(denied.map(|denied| Denial::new(&denied, account, session, &role.id, &live.seal)))
    }

    /// STS's answer to [`DECODE`], if this is that operation.
    pub(crate) fn decoded(&self, parts: &Parts, body: &[u8]) -> Option<Response<Bytes>> {
        let live = self.0.as_ref()?;
        if parts.uri.path() != "/" {
            return None;
        }
        let field = |name: &str| {
            let mut fields = form_urlencoded::parse(body);
            fields.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
        };
        if field("Action")? != DECODE {
            return None;
        }
        let encoded = field("EncodedMessage").unwrap_or_default();
        Some(match live.seal.open(&encoded) {
            Some(message) => query_answer(DECODE, "DecodedMessage", &message),
            None => query_error(
                StatusCode::BAD_REQUEST,
                "InvalidAuthorizationMessageException",
                "The message was not encoded here, or not as a whole.",
            ),
        })
    }
}
