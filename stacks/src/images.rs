//! What is written down beside the parameter of an image: which AMI it names, how old that is, and which was
//! before it. The function reads it with the other parameters, so it need not ask EC2.

use serde::{Deserialize, Serialize};

/// How old an image may be before it is worth a word, in days: its packages have had a month of security updates.
pub const OLD_DAYS: u64 = 30;
/// How long an image is new, in milliseconds: one whose machines have come up for a day is not what is wrong.
pub const NEW_MS: u64 = 24 * 3600 * 1000;
/// So many machines of a new image that did not come up, before one did, have the one before it put back. One may
/// be bad luck, and each costs its job a launch, of which it has three.
pub const BOOT_FAILURES_MAX: u32 = 2;

/// The document at [`crate::names::Names::image_record`]. It is written before the image's own parameter; where the
/// two do not agree, the parameter is right and the document says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// The AMI that the parameter names.
    pub current: Made,
    /// The one to go back to: of this deployment, tried, and named by the parameter before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Made>,
}

/// An AMI and when it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// EC2's id.
    pub ami: String,
    /// When it was made, in seconds since 1970.
    pub made_s: u64,
}
