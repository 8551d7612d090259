//! Every kind of access to the table, without effect.

use super::change::{Change, number};
use super::{Ledger, key_item};
use crate::aws::Failure;

impl Ledger {
    /// Tries to read and to write what is not there: each action, and what came of it.
    pub(crate) async fn rehearse(&self) -> Vec<(&'static str, Result<(), Failure>)> {
        let key = || ("rehearsal".to_owned(), "nothing".to_owned());
        let put = Change::put(key_item(key()));
        let update = Change::update(key()).set("recorded_ms", number(0));
        let delete = Change::delete(key());
        let mut tried = vec![("dynamodb:Query", self.item(key()).await.map(drop))];
        for (action, change) in [
            ("dynamodb:PutItem", put),
            ("dynamodb:UpdateItem", update),
            ("dynamodb:DeleteItem", delete),
        ] {
            let written = self.write(change.only_if_there()).await;
            tried.push((action, written.map(drop)));
        }
        tried
    }
}
