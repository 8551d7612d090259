//! Texts of people (branches, paths, owners) as parts of an address that is called with a token: they
//! must lead nowhere else.

use std::fmt::Write as _;

/// `text` as one part of a path or query: whatever has a meaning in an address is escaped.
pub(super) fn part(text: &str) -> String {
    let mut part = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) {
            part.push(char::from(byte));
        } else if byte == b'.' && !matches!(text, "." | "..") {
            part.push('.');
        } else {
            let _ = write!(part, "%{byte:02X}");
        }
    }
    part
}

/// `text` as a path: its slashes stay.
pub(super) fn path(text: &str) -> String {
    let parts: Vec<String> = text.split('/').map(part).collect();
    parts.join("/")
}

/// Whether `text` names a git object: 40 hexadecimal digits, or 64 where repositories use SHA-256.
pub(crate) fn is_object(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether `text` stands for no object, as `before` of what is new.
pub(super) fn is_zero(text: &str) -> bool {
    is_object(text) && text.bytes().all(|byte| byte == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_in_an_address_is_escaped() {
        for (text, escaped) in [
            ("main", "main"),
            ("feat/x#y", "feat/x%23y"),
            ("a b+ä.yml", "a%20b%2B%C3%A4.yml"),
            ("../admin", "%2E%2E/admin"),
            ("a..b/.gitea", "a..b/.gitea"),
            ("x?ref=y&z", "x%3Fref%3Dy%26z"),
            ("%2e\r\n", "%252e%0D%0A"),
        ] {
            assert_eq!(path(text), escaped);
        }
        assert_eq!(part("a/b"), "a%2Fb");
    }

    #[test]
    fn only_whole_names_of_objects_count_as_such() {
        let sha1 = "0123456789abcdef0123456789ABCDEF01234567";
        assert!(is_object(sha1) && !is_zero(sha1) && is_zero(&"0".repeat(64)));
        for text in ["", "main", "0000", &sha1[1..], &format!("{}/", &sha1[1..])] {
            assert!(!is_object(text) && !is_zero(text), "{text}");
        }
    }
}
