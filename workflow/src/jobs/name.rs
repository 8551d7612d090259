//! How long a job's name may be (Gitea 1.26, `util.EllipsisDisplayString`).

/// Columns of a name.
const NAME_COLUMNS_MAX: usize = 255;
/// Columns that are kept free for what says that something is cut.
const CUT_COLUMNS: usize = 3;
/// Letters that are not worth a cut, and bytes that they may have.
const REST_LETTERS_MAX: usize = 3;
const REST_BYTES_MAX: usize = 12;

/// The name, cut if it is too long: letters beyond Latin-1 count twice.
#[must_use]
pub fn cut(name: &str) -> String {
    if name.len() <= NAME_COLUMNS_MAX {
        return name.to_owned();
    }
    let (mut at, mut end, mut used) = (0, 0, 0);
    for (place, letter) in name.char_indices() {
        at = place;
        if used + columns(letter) + CUT_COLUMNS > NAME_COLUMNS_MAX {
            break;
        }
        used += columns(letter);
        end += letter.len_utf8();
    }
    let rest = &name[at..];
    let letters = rest.chars().count();
    let more: usize = rest.chars().take(REST_LETTERS_MAX + 1).map(columns).sum();
    if rest.len() <= REST_BYTES_MAX
        && letters <= REST_LETTERS_MAX
        && used + more <= NAME_COLUMNS_MAX
    {
        return name.to_owned();
    }
    let has_broken = name[..at].contains(char::REPLACEMENT_CHARACTER)
        || rest.starts_with(char::REPLACEMENT_CHARACTER);
    let mark = if has_broken { "..." } else { "…" };
    format!("{}{mark}", &name[..end])
}

/// Marks, signs without a form and spaces count once: the blocks that names have them from.
const NARROW: [std::ops::RangeInclusive<char>; 12] = [
    '\u{300}'..='\u{36f}',
    '\u{483}'..='\u{489}',
    '\u{591}'..='\u{5bd}',
    '\u{600}'..='\u{605}',
    '\u{610}'..='\u{61a}',
    '\u{64b}'..='\u{65f}',
    '\u{1680}'..='\u{1680}',
    '\u{2000}'..='\u{200f}',
    '\u{2028}'..='\u{202f}',
    '\u{205f}'..='\u{206f}',
    '\u{20d0}'..='\u{20f0}',
    '\u{fe00}'..='\u{fe0f}',
];

fn columns(letter: char) -> usize {
    let is_narrow = u32::from(letter) <= 0xff || NARROW.iter().any(|block| block.contains(&letter));
    if is_narrow { 1 } else { 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_at_255_columns() {
        assert_eq!(cut(&"a".repeat(255)), "a".repeat(255));
        assert_eq!(cut(&"a".repeat(256)), format!("{}…", "a".repeat(252)));
        assert_eq!(cut(&"é".repeat(200)), "é".repeat(200));
        assert_eq!(cut(&"字".repeat(200)), format!("{}…", "字".repeat(126)));
    }
}
