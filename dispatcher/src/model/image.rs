//! Images that machines start from, and how their machines fare.

use serde::{Deserialize, Serialize};
use stacks::images::{ImageRecord, NEW_MS};

/// An image that machines start from, of those that this deployment makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The parameter that names it.
    pub parameter: String,
    /// The AMI that it is now.
    pub ami: String,
    /// When that was made, in milliseconds since 1970.
    pub made_ms: u64,
    /// The AMI to go back to, if there is one.
    pub previous: Option<String>,
}

/// How often machines of one AMI did not come up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootFailures {
    /// The AMI.
    pub ami: String,
    /// How many did not.
    #[serde(rename = "boot_failures", default)]
    pub count: u32,
    /// The last one's id; empty where there is none.
    #[serde(default)]
    pub instance: String,
    /// When one was closed that did come up, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub came_up_ms: Option<u64>,
    /// When it was acted on, in milliseconds since 1970. From then on it is for people to decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_ms: Option<u64>,
}

impl Image {
    /// The image of `parameter`, which names `ami`. `None` where the record says nothing of that AMI: somebody
    /// else has written the parameter.
    pub(crate) fn of(parameter: &str, ami: &str, record: ImageRecord) -> Option<Self> {
        let ImageRecord { current, previous } = record;
        // After the one before was put back it is the current one, and nobody knows of one before that.
        let (made, previous) = if current.ami == ami {
            (current, previous.map(|previous| previous.ami))
        } else {
            (previous.filter(|previous| previous.ami == ami)?, None)
        };
        Some(Self {
            parameter: parameter.to_owned(),
            ami: made.ami,
            made_ms: made.made_s * 1000,
            previous,
        })
    }

    /// Whether it is so new that what goes wrong with its machines may be its fault.
    pub(crate) fn is_new(&self, now_ms: u64) -> bool {
        self.age_ms(now_ms) < NEW_MS
    }

    /// How old it is, in days.
    pub(crate) fn age_days(&self, now_ms: u64) -> u64 {
        self.age_ms(now_ms) / (24 * 3600 * 1000)
    }

    fn age_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.made_ms)
    }
}

#[cfg(test)]
mod tests {
    use stacks::images::Made;

    use super::*;

    #[test]
    fn the_record_says_nothing_of_an_ami_that_it_does_not_name() {
        let made = |ami: &str, made_s| Made {
            ami: ami.to_owned(),
            made_s,
        };
        let record = ImageRecord {
            current: made("ami-2", 20),
            previous: Some(made("ami-1", 10)),
        };
        let image = |ami: &str| Image::of("/ci/ami/go/x86_64", ami, record.clone());
        let now = image("ami-2").unwrap();
        assert_eq!(
            (now.made_ms, now.previous.as_deref()),
            (20_000, Some("ami-1"))
        );
        let put_back = image("ami-1").unwrap();
        assert_eq!((put_back.made_ms, put_back.previous), (10_000, None));
        assert_eq!(image("ami-stock"), None);
    }
}
