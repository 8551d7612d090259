//! Who looks at the forge's list soon after events were evaluated: one invocation for each scope.

use stacks::pool::Scope;

use super::change::{Change, Item};
use super::{Ledger, live_key, number, text};
use crate::aws::{Failure, WriteResult};

impl Ledger {
    /// Notes that an event of `scope` was evaluated now. [`WriteResult::Written`]: `holder` looks at the
    /// list until then; else another invocation does, and sees by the note that it has to go on.
    pub async fn begin_looks(
        &self,
        scope: &Scope,
        holder: &str,
        now_ms: u64,
        until_ms: u64,
    ) -> Result<WriteResult, Failure> {
        let begun = self
            .write(Change::Update {
                key: live_key(&look_sk(scope)),
                update: "SET evaluated_ms = :now, holder = :holder, until_ms = :until".to_owned(),
                condition: "attribute_not_exists(pk) OR until_ms < :now OR holder = :holder"
                    .to_owned(),
                values: Item::from([
                    (":now".to_owned(), number(now_ms)),
                    (":holder".to_owned(), text(holder)),
                    (":until".to_owned(), number(until_ms)),
                ]),
            })
            .await?;
        if begun == WriteResult::Refused {
            let _noted = self
                .write(Change::Update {
                    key: live_key(&look_sk(scope)),
                    update: "SET evaluated_ms = :now".to_owned(),
                    condition: "attribute_exists(pk)".to_owned(),
                    values: Item::from([(":now".to_owned(), number(now_ms))]),
                })
                .await?;
        }
        Ok(begun)
    }

    /// Notes that `holder` looks no more, so that the next one who evaluates an event does.
    pub async fn end_looks(&self, scope: &Scope, holder: &str) -> Result<(), Failure> {
        let _result = self
            .write(Change::Update {
                key: live_key(&look_sk(scope)),
                update: "SET until_ms = :zero".to_owned(),
                condition: "holder = :holder".to_owned(),
                values: Item::from([
                    (":holder".to_owned(), text(holder)),
                    (":zero".to_owned(), number(0)),
                ]),
            })
            .await?;
        Ok(())
    }
}

/// Sort key of a scope's note.
pub(super) fn look_sk(scope: &Scope) -> String {
    match scope {
        Scope::Global => "look#global".to_owned(),
        Scope::Organization(name) => format!("look#organization/{name}"),
        Scope::Repository(name) => format!("look#repository/{name}"),
    }
}
