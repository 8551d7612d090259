//! Words that may stand in a manifest: none of them means anything to a shell, leaves its place in an address
//! or a path, or is somebody else's.

/// Longest name and version, and longest address, in characters.
const WORD_MAX_CHARS: usize = 40;
const URL_MAX_CHARS: usize = 300;

pub(super) fn is_name(text: &str) -> bool {
    let is_inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.len() <= WORD_MAX_CHARS
        && text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_lowercase())
        && text.bytes().all(is_inside)
}

/// A word of an address, which can't leave its place in it.
pub(super) fn is_word(text: &str) -> bool {
    let is_inside = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !text.is_empty()
        && text.len() <= WORD_MAX_CHARS
        && text.bytes().all(is_inside)
        && !text.contains("..")
}

pub(super) fn is_version(text: &str) -> bool {
    is_word(text)
        && text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_digit())
}

/// `https`, a host without a name and password before it, and nothing that a shell or a path reads otherwise.
pub(super) fn is_url(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://") else {
        return false;
    };
    let host = rest.split('/').next().unwrap_or_default();
    let is_inside = |byte: u8| byte.is_ascii_alphanumeric() || b"._~:/?&=%+{}-".contains(&byte);
    text.len() <= URL_MAX_CHARS
        && host
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric())
        && text.bytes().all(is_inside)
        && !text.contains("..")
}

pub(super) fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts.as_slice() else {
        return false;
    };
    let within = |part: &str, digits: usize, range: std::ops::RangeInclusive<u32>| {
        part.len() == digits && part.parse().is_ok_and(|number| range.contains(&number))
    };
    within(year, 4, 2020..=2100) && within(month, 2, 1..=12) && within(day, 2, 1..=31)
}
