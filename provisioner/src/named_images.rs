//! Images that pools name: which AMI stands for one, built or not.
//!
//! Launch templates name the parameter of such an image, never an AMI, so `ami build` and `ami rollback` hold for
//! the next machine without an `up`. The parameter has to be there for that: until the image is built for the first
//! time it names the stock image that the build would start from.

use serde::Serialize;
use stacks::images::OLD_DAYS;

/// An image that pools name, for machines of one architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedImage {
    /// Its name.
    pub image: String,
    /// The parameter that launch templates name.
    pub parameter: String,
    /// The distribution that it stems from.
    pub stock: &'static str,
    /// The AMI that this distribution has now.
    pub stock_ami: String,
    /// What the parameter says.
    pub value: Option<String>,
    /// The AMI that the record beside it calls current.
    pub recorded: Option<String>,
    /// What the deployment knows of the image that the parameter names.
    pub known: Known,
    /// The newest that it has built and tried on this distribution.
    pub newest: Option<String>,
}

/// What the deployment knows of the image that a parameter names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// It has built it, and EC2 would launch it.
    Built {
        /// The distribution that it stems from.
        stock: String,
        /// How old it is, in days.
        age_days: u64,
    },
    /// The record calls it current, and EC2 does not show it as one that was tried: not yet, or not any more.
    Recorded,
    /// It is a stock image, or somebody else's, or there is none.
    Foreign,
}

/// A parameter that has to be written, unless somebody has written it since it was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlacedImage {
    /// The parameter.
    pub parameter: String,
    /// The AMI that it is to name.
    pub ami: String,
    /// What it said.
    pub instead_of: Option<String>,
    /// The AMI that the record beside it called current.
    pub recorded: Option<String>,
}

impl NamedImage {
    /// The AMI that machines start from once all is as it should be.
    pub(crate) fn ami(&self) -> &str {
        let ours = self.value.as_ref();
        let ours = ours.filter(|_| self.known != Known::Foreign);
        ours.unwrap_or(&self.stock_ami)
    }

    /// What has to be written, if anything has.
    pub(crate) fn placed(&self) -> Option<PlacedImage> {
        (self.value.as_deref() != Some(self.ami())).then(|| PlacedImage {
            parameter: self.parameter.clone(),
            ami: self.ami().to_owned(),
            instead_of: self.value.clone(),
            recorded: self.recorded.clone(),
        })
    }

    /// What people should know of one that was never built, or a month ago, or on another distribution.
    pub(crate) fn notice(&self) -> Option<String> {
        let Self {
            image,
            stock,
            stock_ami,
            ..
        } = self;
        match &self.known {
            Known::Built { stock: other, .. } if other != stock => Some(format!(
                "image {image} is built on {other}, and its pools say {stock}: they start from it until \
                 `cargo xtask ami build {image}`, after which `cargo xtask up` gives them {stock}'s root volume"
            )),
            Known::Built { age_days, .. } => (*age_days >= OLD_DAYS).then(|| {
                format!(
                    "image {image} is {age_days} days old: `cargo xtask ami build {image}` takes in the \
                     updates since"
                )
            }),
            Known::Recorded => Some(format!(
                "image {image}: EC2 does not show {ami}, which it was built as, among those that were tried; \
                 `cargo xtask ami list` shows what there is, `ami promote` names another",
                ami = self.ami(),
            )),
            Known::Foreign => Some(match &self.newest {
                Some(newest) => format!(
                    "image {image}: its pools start from {stock}'s own image {stock_ami}, though {newest} is \
                     built: `cargo xtask ami promote {image} {newest}` would have them start from that"
                ),
                None => format!(
                    "image {image} was never built: its pools start from {stock}'s own image {stock_ami}, and \
                     each machine installs what it needs, until `cargo xtask ami build {image}`"
                ),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(value: Option<&str>, known: Known) -> NamedImage {
        NamedImage {
            image: "go".to_owned(),
            parameter: "/ci/ami/go/x86_64".to_owned(),
            stock: "al2023",
            stock_ami: "ami-stock".to_owned(),
            value: value.map(str::to_owned),
            recorded: Some("ami-before".to_owned()),
            known,
            newest: None,
        }
    }

    fn built(stock: &str, age_days: u64) -> Known {
        Known::Built {
            stock: stock.to_owned(),
            age_days,
        }
    }

    #[test]
    fn until_it_is_built_the_parameter_follows_the_stock_image() {
        use Known::{Foreign, Recorded};
        for (value, known, written, ami) in [
            (None, Foreign, Some("ami-stock"), "ami-stock"),
            (Some("ami-old"), Foreign, Some("ami-stock"), "ami-stock"),
            (Some("ami-stock"), Foreign, None, "ami-stock"),
            (Some("ami-own"), built("al2023", 29), None, "ami-own"),
            (Some("ami-own"), built("ubuntu", 29), None, "ami-own"),
            (Some("ami-own"), Recorded, None, "ami-own"),
        ] {
            let image = image(value, known);
            let placed = image.placed();
            let to = placed.as_ref().map(|placed| placed.ami.as_str());
            assert_eq!(to, written, "{value:?}");
            assert_eq!(image.ami(), ami, "{value:?}");
            // What was seen goes with it: who writes looks whether it is still so.
            let seen = placed.map(|placed| (placed.instead_of, placed.recorded));
            assert_eq!(seen, written.map(|_| (image.value, image.recorded)));
        }
    }

    #[test]
    fn what_is_not_as_it_should_be_is_said() {
        for (known, said) in [
            (built("al2023", 29), None),
            (built("al2023", 30), Some("30 days old")),
            (
                built("ubuntu", 0),
                Some("built on ubuntu, and its pools say al2023"),
            ),
            (Known::Recorded, Some("EC2 does not show ami-own")),
            (Known::Foreign, Some("was never built")),
        ] {
            let notice = image(Some("ami-own"), known.clone()).notice();
            assert_eq!(notice.is_some(), said.is_some(), "{known:?}");
            let notice = notice.unwrap_or_default();
            assert!(notice.contains(said.unwrap_or_default()), "{notice}");
        }
        let built = NamedImage {
            newest: Some("ami-own".to_owned()),
            ..image(Some("ami-stock"), Known::Foreign)
        };
        let notice = built.notice().unwrap_or_default();
        assert!(notice.contains("ami promote go ami-own"), "{notice}");
    }
}
