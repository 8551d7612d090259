//! What the lab's EC2 sells: a few real types with their prices in eu-west-1, so that candidates
//! order and bills look as they would.

/// One instance type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Type {
    pub(crate) name: &'static str,
    pub(crate) arm: bool,
    /// On-Demand, USD an hour.
    pub(crate) on_demand: f64,
    /// Spot as a part of On-Demand, in the zones a, b and c.
    pub(crate) spot: [f64; 3],
}

const fn amd(name: &'static str, on_demand: f64, spot: [f64; 3]) -> Type {
    Type {
        name,
        arm: false,
        on_demand,
        spot,
    }
}

const fn arm(name: &'static str, on_demand: f64, spot: [f64; 3]) -> Type {
    Type {
        name,
        arm: true,
        on_demand,
        spot,
    }
}

/// Every type on offer.
pub(crate) const TYPES: [Type; 26] = [
    amd("t3.micro", 0.0114, [0.31, 0.33, 0.32]),
    amd("t3.small", 0.0228, [0.32, 0.31, 0.35]),
    amd("t3.medium", 0.0456, [0.34, 0.33, 0.36]),
    amd("t3.large", 0.0912, [0.35, 0.36, 0.34]),
    amd("t3.xlarge", 0.1824, [0.36, 0.38, 0.37]),
    amd("t3a.small", 0.0204, [0.36, 0.38, 0.37]),
    amd("t3a.medium", 0.0408, [0.38, 0.36, 0.40]),
    amd("t3a.large", 0.0816, [0.40, 0.41, 0.39]),
    amd("c6i.large", 0.0912, [0.42, 0.41, 0.44]),
    amd("c6i.xlarge", 0.1824, [0.43, 0.42, 0.41]),
    amd("c7a.large", 0.1171, [0.39, 0.40, 0.38]),
    amd("c7i.large", 0.0955, [0.43, 0.44, 0.42]),
    amd("c7i.xlarge", 0.1911, [0.44, 0.43, 0.45]),
    amd("m6i.large", 0.1070, [0.40, 0.42, 0.41]),
    amd("m6i.xlarge", 0.2140, [0.41, 0.40, 0.43]),
    amd("m7a.large", 0.1293, [0.38, 0.39, 0.37]),
    amd("m7i.large", 0.1124, [0.41, 0.42, 0.43]),
    amd("m7i-flex.large", 0.1068, [0.40, 0.41, 0.39]),
    arm("t4g.micro", 0.0092, [0.30, 0.32, 0.31]),
    arm("t4g.small", 0.0184, [0.31, 0.30, 0.33]),
    arm("t4g.medium", 0.0368, [0.33, 0.32, 0.34]),
    arm("t4g.large", 0.0736, [0.34, 0.35, 0.33]),
    arm("c7g.large", 0.0779, [0.39, 0.38, 0.40]),
    arm("c7g.xlarge", 0.1558, [0.40, 0.41, 0.39]),
    arm("m7g.large", 0.0910, [0.38, 0.39, 0.40]),
    arm("m7g.xlarge", 0.1820, [0.39, 0.40, 0.38]),
];

/// Zones of a region, by their letter.
pub(crate) const ZONES: [&str; 3] = ["a", "b", "c"];

/// The image whose content is the lab's own.
pub(crate) const IMAGE: &str = "ami-0c1ab00000000c1ab";

/// The type called `name`.
pub(crate) fn named(name: &str) -> Option<&'static Type> {
    TYPES.iter().find(|offered| offered.name == name)
}

/// Whether `name` is of a burstable family, which alone has a credit mode.
pub(crate) fn burstable(name: &str) -> bool {
    let family = name.split('.').next().unwrap_or_default();
    matches!(family, "t2" | "t3" | "t3a" | "t4g")
}

/// What an hour of `name` costs in `zone`, in dollars; nothing for types that are not sold.
pub(crate) fn usd_per_hour(name: &str, zone: &str, spot: bool) -> f64 {
    let index = ZONES.iter().position(|letter| zone.ends_with(letter));
    named(name).map_or(0.0, |offered| {
        let part = index.and_then(|index| offered.spot.get(index));
        offered.on_demand * part.filter(|_| spot).copied().unwrap_or(1.0)
    })
}

impl Type {
    /// Spot price in the zone with this index, as EC2 writes it.
    pub(crate) fn spot_price(&self, zone: usize) -> String {
        let part = self.spot.get(zone).copied().unwrap_or(1.0);
        format!("{:.6}", self.on_demand * part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_known_by_its_name_and_is_cheaper_as_spot() {
        for offered in &TYPES {
            assert_eq!(named(offered.name), Some(offered));
            assert!(offered.spot.iter().all(|part| *part < 1.0));
        }
        assert!(burstable("t4g.small") && !burstable("c7g.large"));
        assert!(named("t3.nosuch").is_none());
    }
}
