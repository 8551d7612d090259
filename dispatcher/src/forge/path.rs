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

/// Where `path`, which is of a repository, is at the forge at `url` by `to`: the same of a repository with another
/// name. Who is sent on to anything else is not at the forge any more.
pub(super) fn renamed(path: &str, to: &str, url: &str) -> Option<String> {
    const REPOSITORIES: &str = "/api/v1/repos/";
    let (_, below) = url.split_once("://")?;
    let below = below.find('/').map_or("", |at| &below[at..]);
    let to = to.strip_prefix(url).or_else(|| to.strip_prefix(below))?;
    let (old, rest) = owner_and_name(path.strip_prefix(REPOSITORIES)?)?;
    let (new, same) = owner_and_name(to.strip_prefix(REPOSITORIES)?)?;
    (new != old && same == rest).then(|| to.to_owned())
}

/// `OWNER/NAME` at the beginning of `text`, and what follows.
fn owner_and_name(text: &str) -> Option<(&str, &str)> {
    let slash = text.find('/')?;
    let name = &text[slash + 1..];
    let length = name.find(['/', '?']).unwrap_or(name.len());
    let (repository, rest) = text.split_at(slash + 1 + length);
    let is_plain = |part: &str| {
        let mut bytes = part.bytes();
        !matches!(part, "" | "." | "..")
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    repository
        .split('/')
        .all(is_plain)
        .then_some((repository, rest))
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
    fn a_redirect_is_a_renaming_only_where_nothing_but_the_name_of_a_repository_differs() {
        let path = "/api/v1/repos/acme/app/actions/jobs/7?a=b";
        let new = "/api/v1/repos/acme/web/actions/jobs/7?a=b";
        for (url, to) in [
            ("https://git", new.to_owned()),
            ("https://git", format!("https://git{new}")),
            ("https://git/sub", format!("/sub{new}")),
            ("https://git/sub", format!("https://git/sub{new}")),
        ] {
            assert_eq!(renamed(path, &to, url).as_deref(), Some(new), "{to}");
        }
        let whole = renamed("/api/v1/repos/a/b", "/api/v1/repos/c/b", "http://git:3000");
        assert_eq!(whole.as_deref(), Some("/api/v1/repos/c/b"));
        for to in [
            "",
            "/",
            "/user/login",
            path,
            "https://git.evil/api/v1/repos/acme/web/actions/jobs/7?a=b",
            "https://evil/api/v1/repos/acme/web/actions/jobs/7?a=b",
            "//evil/api/v1/repos/acme/web/actions/jobs/7?a=b",
            "/api/v1/repos/acme/web/actions/jobs/8?a=b",
            "/api/v1/repos/acme/web/actions/jobs/7",
            "/api/v1/repos/acme/../actions/jobs/7?a=b",
            "/api/v1/repos/acme/%2e%2e/actions/jobs/7?a=b",
            "/api/v1/repos/acme",
            "/api/v1/admin/web/actions/jobs/7?a=b",
        ] {
            assert_eq!(renamed(path, to, "https://git"), None, "{to}");
        }
        assert_eq!(renamed("/api/v1/version", new, "https://git"), None);
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
