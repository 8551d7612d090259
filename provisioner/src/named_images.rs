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
    /// Whether that is an image which this deployment has built and EC2 would launch.
    pub is_built: bool,
    /// How old that image is, in days.
    pub age_days: u64,
}

/// A parameter that has to be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlacedImage {
    /// The parameter.
    pub parameter: String,
    /// The AMI that it is to name.
    pub ami: String,
}

impl NamedImage {
    /// The AMI that machines start from once all is as it should be.
    pub(crate) fn ami(&self) -> &str {
        let built = self.value.as_ref().filter(|_| self.is_built);
        built.unwrap_or(&self.stock_ami)
    }

    /// What has to be written, if anything has.
    pub(crate) fn placed(&self) -> Option<PlacedImage> {
        (self.value.as_deref() != Some(self.ami())).then(|| PlacedImage {
            parameter: self.parameter.clone(),
            ami: self.ami().to_owned(),
        })
    }

    /// What people should know of one that was never built, or a month ago.
    pub(crate) fn notice(&self) -> Option<String> {
        if self.is_built {
            return (self.age_days >= OLD_DAYS).then(|| {
                format!(
                    "image {image} is {days} days old: `cargo xtask ami build {image}` takes in the updates \
                     since",
                    image = self.image,
                    days = self.age_days,
                )
            });
        }
        Some(format!(
            "image {image} was never built: its pools start from {stock}'s own image {ami}, and each \
                 machine installs what it needs, until `cargo xtask ami build {image}`",
            image = self.image,
            stock = self.stock,
            ami = self.stock_ami,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn until_it_is_built_the_parameter_follows_the_stock_image() {
        let image = |value: Option<&str>, is_built| NamedImage {
            image: "go".to_owned(),
            parameter: "/ci/ami/go/x86_64".to_owned(),
            stock: "al2023",
            stock_ami: "ami-stock".to_owned(),
            value: value.map(str::to_owned),
            is_built,
            age_days: 29,
        };
        let placed = |image: &NamedImage| image.placed().map(|placed| placed.ami);
        for (value, is_built, written, ami) in [
            (None, false, Some("ami-stock"), "ami-stock"),
            (Some("ami-old-stock"), false, Some("ami-stock"), "ami-stock"),
            (Some("ami-stock"), false, None, "ami-stock"),
            (Some("ami-own"), true, None, "ami-own"),
        ] {
            let image = image(value, is_built);
            assert_eq!(placed(&image).as_deref(), written, "{value:?}");
            assert_eq!(image.ami(), ami, "{value:?}");
            assert_eq!(image.notice().is_some(), !is_built);
        }
        let old = NamedImage {
            age_days: 30,
            ..image(Some("ami-own"), true)
        };
        assert!(old.notice().unwrap().contains("30 days old"));
    }
}
