//! What came of a build, image by image.

use super::built::BuiltImage;

/// What came of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The image.
    pub built: BuiltImage,
    /// What that was.
    pub came: Came,
}

impl Outcome {
    /// Whether the image was there already.
    #[must_use]
    pub fn was_there(&self) -> bool {
        self.came != Came::Built
    }

    /// What came of it, for people.
    #[must_use]
    pub fn words(&self) -> String {
        let BuiltImage {
            image, name, id, ..
        } = &self.built;
        match &self.came {
            Came::Built => format!("built, {name} is {id}"),
            Came::Unchanged => format!("unchanged, {name} is {id}"),
            Came::PutForward => {
                format!(
                    "put forward, {name} is {id}: it was there, and nothing of its distribution was named"
                )
            }
            Came::SetAside { named } => format!(
                "there already, {name} is {id}, and machines start from {named}: it was put forward before, and a \
                 person or the function named another, or its build broke off there. `cargo xtask ami promote \
                 {image} {id}` has them start from it"
            ),
        }
    }
}

/// What came of an image that was to be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Came {
    /// It was built, and machines start from it.
    Built,
    /// It was there, and machines start from it.
    Unchanged,
    /// It was there, and its build had broken off before it was put forward, or its parameter was gone or named one on
    /// another distribution. Machines start from it now.
    PutForward,
    /// It was there and had been put forward, and machines start from another since: so it stays.
    SetAside {
        /// The image that they start from.
        named: String,
    },
}

impl Came {
    /// What comes of an image that is there while the parameter says `named`. Who went back from it, a person or the
    /// function, had a reason; nobody goes back to nothing.
    /// But where that is on another distribution, it is the environment that has changed its mind.
    pub(super) fn of_there(there: &BuiltImage, named: Option<&str>, all: &[BuiltImage]) -> Self {
        let is_elsewhere = |named: &str| {
            let mut all = all.iter();
            all.any(|one| one.id == named && one.stock != there.stock)
        };
        match named {
            Some(named) if named == there.id => Self::Unchanged,
            Some(named) if there.published && !is_elsewhere(named) => Self::SetAside {
                named: named.to_owned(),
            },
            Some(_) | None => Self::PutForward,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::built::tests::image;
    use super::*;

    #[test]
    fn one_that_was_put_forward_once_is_not_put_forward_again_unasked() {
        let new = BuiltImage {
            published: false,
            ..image(2)
        };
        let aside = Came::SetAside {
            named: "ami-1".to_owned(),
        };
        for (there, named, came) in [
            (&new, Some("ami-1"), Came::PutForward),
            (&new, None, Came::PutForward),
            (&new, Some("ami-2"), Came::Unchanged),
            (&image(2), Some("ami-2"), Came::Unchanged),
            (&image(2), Some("ami-1"), aside),
            (&image(2), None, Came::PutForward),
        ] {
            assert_eq!(Came::of_there(there, named, &[]), came, "{named:?}");
        }
        // The environment says its distribution again.
        let elsewhere = BuiltImage {
            stock: "ubuntu".to_owned(),
            ..image(1)
        };
        let came = Came::of_there(&image(2), Some("ami-1"), &[elsewhere]);
        assert_eq!(came, Came::PutForward);
    }
}
