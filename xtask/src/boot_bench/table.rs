//! Phases and their figures, as a table.

use std::fmt::Write as _;

/// One phase: how long it took each time.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    /// From what to what.
    pub name: String,
    /// Figures, one a run.
    pub values: Vec<f64>,
    /// What they count.
    pub unit: Unit,
    /// Whether it is the sum of those above.
    pub is_sum: bool,
}

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Time.
    Seconds,
    /// Things.
    Count,
    /// Thousands of bytes.
    Kilobytes,
}

impl Phase {
    /// A part of the way.
    pub fn part(name: impl Into<String>, values: Vec<f64>) -> Self {
        Self {
            name: name.into(),
            values,
            unit: Unit::Seconds,
            is_sum: false,
        }
    }

    /// The way that the parts above it make.
    pub fn sum(name: impl Into<String>, values: Vec<f64>) -> Self {
        Self {
            is_sum: true,
            ..Self::part(name, values)
        }
    }

    /// Something that is counted.
    pub fn counted(name: impl Into<String>, unit: Unit, values: Vec<f64>) -> Self {
        Self {
            unit,
            ..Self::part(name, values)
        }
    }

    /// The figure in the middle; of an even number the lower of the two.
    pub fn p50(&self) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len().saturating_sub(1) / 2;
        sorted.get(middle).copied().unwrap_or_default()
    }

    fn least(&self) -> f64 {
        self.values.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn most(&self) -> f64 {
        self.values.iter().copied().fold(0.0, f64::max)
    }
}

/// The table below its title. Phases that were never seen are left out.
pub fn table(title: &str, phases: &[Phase]) -> String {
    let mut text = format!(
        "\n{title}\n  {:<44}{:>9}{:>9}{:>9}\n",
        "", "p50", "min", "max"
    );
    for phase in phases.iter().filter(|phase| !phase.values.is_empty()) {
        let figure = |value: f64| match phase.unit {
            Unit::Seconds => format!("{value:.2} s"),
            Unit::Count => format!("{value:.0}"),
            Unit::Kilobytes => format!("{value:.0} kB"),
        };
        let mark = if phase.is_sum { "= " } else { "  " };
        let [p50, least, most] = [phase.p50(), phase.least(), phase.most()].map(figure);
        let name = &phase.name;
        let _ = writeln!(text, "{mark}{name:<44}{p50:>9}{least:>9}{most:>9}");
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_shows_the_middle_and_both_ends_of_each_phase() {
        let phases = [
            Phase::part("user-data → credential asked", vec![0.3, 0.1, 0.2, 0.9]),
            Phase::sum("user-data → runner online", vec![1.25]),
            Phase::counted("received before that", Unit::Kilobytes, vec![23.4]),
            Phase::part("never seen", Vec::new()),
        ];
        let expected = "\npool base\n                                                    p50      min      max\n  \
            user-data → credential asked                   0.20 s   0.10 s   0.90 s\n= \
            user-data → runner online                      1.25 s   1.25 s   1.25 s\n  \
            received before that                            23 kB    23 kB    23 kB";
        assert_eq!(table("pool base", &phases), expected);
    }
}
