//! What the lab's EC2 sells: a few real types with their prices in eu-west-1, so that bills look as they
//! would.

/// A type's name, what an hour of it costs On-Demand, and Spot as a part of that in the zones a, b and c.
type Type = (&'static str, f64, [f64; 3]);

/// Every type on offer.
const TYPES: [Type; 26] = [
    ("t3.micro", 0.0114, [0.31, 0.33, 0.32]),
    ("t3.small", 0.0228, [0.32, 0.31, 0.35]),
    ("t3.medium", 0.0456, [0.34, 0.33, 0.36]),
    ("t3.large", 0.0912, [0.35, 0.36, 0.34]),
    ("t3.xlarge", 0.1824, [0.36, 0.38, 0.37]),
    ("t3a.small", 0.0204, [0.36, 0.38, 0.37]),
    ("t3a.medium", 0.0408, [0.38, 0.36, 0.40]),
    ("t3a.large", 0.0816, [0.40, 0.41, 0.39]),
    ("c6i.large", 0.0912, [0.42, 0.41, 0.44]),
    ("c6i.xlarge", 0.1824, [0.43, 0.42, 0.41]),
    ("c7a.large", 0.1171, [0.39, 0.40, 0.38]),
    ("c7i.large", 0.0955, [0.43, 0.44, 0.42]),
    ("c7i.xlarge", 0.1911, [0.44, 0.43, 0.45]),
    ("m6i.large", 0.1070, [0.40, 0.42, 0.41]),
    ("m6i.xlarge", 0.2140, [0.41, 0.40, 0.43]),
    ("m7a.large", 0.1293, [0.38, 0.39, 0.37]),
    ("m7i.large", 0.1124, [0.41, 0.42, 0.43]),
    ("m7i-flex.large", 0.1068, [0.40, 0.41, 0.39]),
    ("t4g.micro", 0.0092, [0.30, 0.32, 0.31]),
    ("t4g.small", 0.0184, [0.31, 0.30, 0.33]),
    ("t4g.medium", 0.0368, [0.33, 0.32, 0.34]),
    ("t4g.large", 0.0736, [0.34, 0.35, 0.33]),
    ("c7g.large", 0.0779, [0.39, 0.38, 0.40]),
    ("c7g.xlarge", 0.1558, [0.40, 0.41, 0.39]),
    ("m7g.large", 0.0910, [0.38, 0.39, 0.40]),
    ("m7g.xlarge", 0.1820, [0.39, 0.40, 0.38]),
];

/// The image whose content is the lab's own.
pub const IMAGE: &str = "ami-0c1ab00000000c1ab";

/// An image: its id, its architecture, and the device and size in GB of its root volume.
pub(crate) type Image = (&'static str, &'static str, &'static str, u32);

/// The images that are not this account's: the lab's own, the same with another root and for another
/// processor, and the stock images that the public parameters name.
pub(crate) const IMAGES: [Image; 7] = [
    (IMAGE, "x86_64", "/dev/xvda", 8),
    ("ami-0c1ab00000000c1ac", "x86_64", "/dev/sda1", 20),
    ("ami-0c1ab00000000c1ad", "arm64", "/dev/xvda", 8),
    ("ami-0c2023a1b2c3d4e5f", "x86_64", "/dev/xvda", 8),
    ("ami-0c2023a1b2c3d4e60", "arm64", "/dev/xvda", 8),
    ("ami-0c2404a1b2c3d4e5f", "x86_64", "/dev/sda1", 8),
    ("ami-0c2404a1b2c3d4e60", "arm64", "/dev/sda1", 8),
];

/// Whether `id` is one of Canonical's stock images.
pub(crate) fn is_ubuntu(id: &str) -> bool {
    id.starts_with("ami-0c2404")
}

/// The image called `id`.
pub(crate) fn image(id: &str) -> Option<&'static Image> {
    IMAGES.iter().find(|image| image.0 == id)
}

/// What an hour of the type `name` costs On-Demand in eu-west-1, in dollars, as far as that is known here.
#[must_use]
pub fn on_demand_usd_per_hour(name: &str) -> Option<f64> {
    named(name).map(|(_, on_demand, _)| *on_demand)
}

fn named(name: &str) -> Option<&'static Type> {
    TYPES.iter().find(|(offered, ..)| *offered == name)
}

/// Whether `name` is sold here.
pub(crate) fn offers(name: &str) -> bool {
    named(name).is_some()
}

/// The processor that the type `name` has.
pub(crate) fn arch(name: &str) -> &'static str {
    let family = name.split('.').next().unwrap_or_default();
    if matches!(family, "t4g" | "c7g" | "m7g") {
        "arm64"
    } else {
        "x86_64"
    }
}

/// Whether an account on the free plan may launch `name` (aws-samples/eks-workshop-v2 issue 1644).
pub(crate) fn is_free(name: &str) -> bool {
    const FREE: [&str; 6] = [
        "c7i-flex.large",
        "m7i-flex.large",
        "t3.micro",
        "t3.small",
        "t4g.micro",
        "t4g.small",
    ];
    FREE.contains(&name)
}

/// Whether `name` is of a burstable family, which alone has a credit mode.
pub(crate) fn burstable(name: &str) -> bool {
    let family = name.split('.').next().unwrap_or_default();
    matches!(family, "t2" | "t3" | "t3a" | "t4g")
}

/// What an hour of `name` costs in `zone`, in dollars; nothing for types that are not sold.
pub(crate) fn usd_per_hour(name: &str, zone: &str, spot: bool) -> f64 {
    let index = ["a", "b", "c"]
        .iter()
        .position(|letter| zone.ends_with(letter));
    named(name).map_or(0.0, |(_, on_demand, parts)| {
        let part = index.filter(|_| spot).map_or(1.0, |index| parts[index]);
        on_demand * part
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_known_by_its_name_and_is_cheaper_as_spot() {
        for offered @ (name, _, spot) in &TYPES {
            assert_eq!(named(name), Some(offered));
            assert!(spot.iter().all(|part| *part < 1.0));
        }
        assert!(burstable("t4g.small") && !burstable("c7g.large"));
        assert!(!offers("t3.nosuch"));
    }
}
