//! Sets of characters: `.`, `[a-z]`, `\d`, `[[:alpha:]]`.

use super::Fault;

/// The last character that there is (Go's `unicode.MaxRune`).
pub(super) const LAST: u32 = 0x0010_FFFF;

/// A set of characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Set {
    /// Sorted, apart from each other, both ends included.
    ranges: Vec<(u32, u32)>,
    /// Those below 128, one bit each: nearly all that is ever asked for.
    ascii: u128,
}

impl Set {
    pub(super) fn new(mut ranges: Vec<(u32, u32)>, negated: bool) -> Self {
        ranges.sort_unstable();
        let mut apart: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
        for (from, to) in ranges {
            match apart.last_mut() {
                Some(last) if from <= last.1.saturating_add(1) => last.1 = last.1.max(to),
                Some(_) | None => apart.push((from, to)),
            }
        }
        let ranges = if negated { others(&apart) } else { apart };
        let within = |c: u32| ranges.iter().any(|&(from, to)| from <= c && c <= to);
        let ascii = (0..128).fold(0, |bits, c| bits | (u128::from(within(c)) << c));
        Self { ranges, ascii }
    }

    /// `.`: anything but the end of a line.
    pub(super) fn dot() -> Self {
        Self::new(vec![(0x0A, 0x0A)], true)
    }

    pub(super) fn has(&self, c: u32) -> bool {
        if c < 128 {
            return (self.ascii >> c) & 1 == 1;
        }
        let at = self.ranges.partition_point(|&(_, to)| to < c);
        self.ranges.get(at).is_some_and(|&(from, _)| from <= c)
    }

    /// The one ASCII character that it lacks, if it has all others.
    pub(super) fn only_gap(&self) -> Option<u8> {
        let [(0, before), (after, LAST)] = self.ranges[..] else {
            return None;
        };
        let gap = u8::try_from(before + 1).ok()?;
        (gap.is_ascii() && u32::from(gap) + 1 == after).then_some(gap)
    }
}

fn others(apart: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let mut next = 0;
    let mut others = Vec::with_capacity(apart.len() + 1);
    for &(from, to) in apart {
        if from > next {
            others.push((next, from - 1));
        }
        next = to + 1;
    }
    if next <= LAST {
        others.push((next, LAST));
    }
    others
}

/// `\s`: unlike `[:space:]` without the vertical tab.
const PERL_SPACE: &[(u32, u32)] = &[(0x09, 0x0A), (0x0C, 0x0D), (0x20, 0x20)];

/// Adds to `ranges` what `\d`, `\s`, `\w` or their opposites stand for; `false` if it is none of them.
pub(super) fn add_perl(ranges: &mut Vec<(u32, u32)>, letter: char) -> bool {
    let named = match letter.to_ascii_lowercase() {
        'd' => named_ranges("digit"),
        'w' => named_ranges("word"),
        's' => PERL_SPACE,
        _ => return false,
    };
    add(ranges, named, letter.is_ascii_uppercase());
    true
}

/// Adds to `ranges` what `[:name:]` or `[:^name:]` stands for.
pub(super) fn add_posix(ranges: &mut Vec<(u32, u32)>, name: &str) -> Result<(), Fault> {
    let (name, negated) = match name.strip_prefix('^') {
        Some(name) => (name, true),
        None => (name, false),
    };
    let named = named_ranges(name);
    if named.is_empty() {
        return Err(Fault::BadRange);
    }
    add(ranges, named, negated);
    Ok(())
}

fn add(ranges: &mut Vec<(u32, u32)>, named: &[(u32, u32)], negated: bool) {
    if negated {
        ranges.extend(others(named));
    } else {
        ranges.extend_from_slice(named);
    }
}

/// The classes of POSIX as RE2 has them: ASCII only, sorted.
fn named_ranges(name: &str) -> &'static [(u32, u32)] {
    match name {
        "alnum" => &[(0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A)],
        "alpha" => &[(0x41, 0x5A), (0x61, 0x7A)],
        "ascii" => &[(0x00, 0x7F)],
        "blank" => &[(0x09, 0x09), (0x20, 0x20)],
        "cntrl" => &[(0x00, 0x1F), (0x7F, 0x7F)],
        "digit" => &[(0x30, 0x39)],
        "graph" => &[(0x21, 0x7E)],
        "lower" => &[(0x61, 0x7A)],
        "print" => &[(0x20, 0x7E)],
        "punct" => &[(0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E)],
        "space" => &[(0x09, 0x0D), (0x20, 0x20)],
        "upper" => &[(0x41, 0x5A)],
        "word" => &[(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)],
        "xdigit" => &[(0x30, 0x39), (0x41, 0x46), (0x61, 0x66)],
        _ => &[],
    }
}
