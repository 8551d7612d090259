//! Who looks at the forge's list soon after events were evaluated: one invocation for each scope.

use stacks::pool::Scope;

use super::change::{Change, Key, number, text};
use super::{Ledger, live_key};
use crate::aws::{Failure, WriteResult};

impl Ledger {
    /// Notes that an event of `scope` was evaluated now. [`WriteResult::Written`]: `holder` looks at the
    /// list until then; else another invocation does, and sees by the note that it has to go on.
    pub(crate) async fn begin_looks(
        &self,
        scope: &Scope,
        holder: &str,
        now_ms: u64,
        until_ms: u64,
    ) -> Result<WriteResult, Failure> {
        let evaluated = || update(scope).set("evaluated_ms", number(now_ms));
        let taken = evaluated()
            .set("holder", text(holder))
            .set("until_ms", number(until_ms))
            .only_if("attribute_not_exists(pk) OR until_ms < :evaluated_ms OR holder = :holder");
        let begun = self.write(taken).await?;
        if begun == WriteResult::Refused {
            let _noted = self.write(evaluated().only_if_there()).await?;
        }
        Ok(begun)
    }

    /// Notes that `holder` looks no more, so that the next one who evaluates an event does.
    pub(crate) async fn end_looks(&self, scope: &Scope, holder: &str) -> Result<(), Failure> {
        let ended = update(scope)
            .set("until_ms", number(0))
            .only_from("holder", text(holder));
        self.write(ended).await.map(drop)
    }
}

fn update(scope: &Scope) -> Change {
    Change::update(key_of(scope))
}

/// The key of a scope's note.
pub(super) fn key_of(scope: &Scope) -> Key {
    live_key(match scope {
        Scope::Global => "look#global".to_owned(),
        Scope::Organization(name) => format!("look#organization/{name}"),
        Scope::Repository(name) => format!("look#repository/{name}"),
    })
}
