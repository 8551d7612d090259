//! Images as machines make them: built from the manifest, tried, put forward, put back, taken away. What is in them
//! is said in [`crate::ami`].

mod asked;
mod build;
mod built;
mod keys;
mod machine;
mod made;
mod publish;

pub use self::asked::Asked;
pub use self::build::{Outcome, build, take_away};
pub(crate) use self::built::ImageStatus;
pub use self::built::{BuiltImage, Came, KEPT, KeptBecause, Listed, Role};
pub(crate) use self::keys::Keys;
pub use self::machine::Patience;
pub use self::made::Made;
pub(crate) use self::publish::place;
pub use self::publish::{Moved, Retired, list, promote, retire, rollback};
