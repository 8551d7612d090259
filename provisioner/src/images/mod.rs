//! Images as machines make them: built from the manifest, tried, put forward, put back, taken away. What is in them
//! is said in [`crate::ami`].

mod asked;
mod build;
mod built;
mod kept;
mod keys;
mod machine;
mod made;
mod outcome;
mod publish;

pub use self::asked::Asked;
pub use self::build::{build, take_away};
pub(crate) use self::built::ImageStatus;
pub use self::built::{BuiltImage, Listed, Role};
pub(crate) use self::kept::Snapshot;
pub use self::kept::{KEPT, KeptBecause};
pub(crate) use self::keys::Keys;
pub use self::machine::Patience;
pub use self::made::Made;
pub use self::outcome::{Came, Outcome};
pub(crate) use self::publish::place;
pub use self::publish::{Moved, Retired, list, promote, retire, rollback};
