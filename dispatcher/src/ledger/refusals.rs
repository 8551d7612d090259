//! Pools whose runners the forge refuses to register, whichever machine asks: its token is wrong, or makes no
//! one-job runners. Noted until one is registered.

use super::change::{Change, Key};
use super::{Ledger, item, live_key};
use crate::aws::{Failure, WriteResult};
use crate::model::world::Refusal;

impl Ledger {
    /// Notes that the forge refused a runner; the last reason counts.
    pub(crate) async fn note_refusal(&self, refusal: &Refusal) -> Result<(), Failure> {
        let noted = Change::put(item(key_of(&refusal.pool), refusal));
        self.write(noted).await.map(drop)
    }

    /// The forge registers runners of `pool`; refused if nothing else was noted.
    pub(crate) async fn clear_refusal(&self, pool: &str) -> Result<WriteResult, Failure> {
        let gone = Change::delete(key_of(pool)).only_if_there();
        self.write(gone).await
    }
}

fn key_of(pool: &str) -> Key {
    live_key(format!("refusal#{pool}"))
}
