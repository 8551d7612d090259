//! Secrets looked for in whatever was written, as they are and as they are usually encoded.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Shortest secret that can be told from chance.
const MIN_BYTES: usize = 16;

/// What is looked for.
#[derive(Default)]
pub(crate) struct Search {
    /// Name, form and bytes.
    needles: Vec<(String, &'static str, Vec<u8>)>,
    /// Whether one of them begins with these two bytes.
    begins: Vec<bool>,
}

impl Search {
    /// Looks for this one too.
    pub(crate) fn add(&mut self, name: &str, secret: &str) {
        assert!(secret.len() >= MIN_BYTES, "{name} is too short a canary");
        self.begins.resize(1 << 16, false);
        for (form, needle) in forms(secret) {
            self.begins[beginning(&needle)] = true;
            self.needles.push((name.to_owned(), form, needle));
        }
    }

    /// Which of them are in `text`, and in which form, with what stands before.
    pub(crate) fn find(&self, text: &[u8]) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for at in 0..text.len().saturating_sub(1) {
            if !self.begins[beginning(&text[at..])] {
                continue;
            }
            for (name, form, needle) in &self.needles {
                if text[at..].starts_with(needle) {
                    let before = String::from_utf8_lossy(&text[at.saturating_sub(80)..at]);
                    found.insert(format!("{name} {form}, after {before:?}"));
                }
            }
        }
        found
    }
}

fn beginning(bytes: &[u8]) -> usize {
    usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))
}

/// How a secret may stand somewhere.
fn forms(secret: &str) -> BTreeSet<(&'static str, Vec<u8>)> {
    let bytes = secret.as_bytes();
    let mut forms = BTreeSet::from([
        ("as it is", bytes.to_vec()),
        ("in hex", hex::encode(bytes).into_bytes()),
    ]);
    for encoded in percent(secret) {
        // One that needs no encoding has none.
        if encoded != secret {
            forms.insert(("URL-encoded", encoded.into_bytes()));
        }
    }
    for before in 0..3 {
        forms.insert((
            "in base64",
            within(bytes, before, |all| STANDARD_NO_PAD.encode(all)),
        ));
        forms.insert((
            "in base64",
            within(bytes, before, |all| URL_SAFE_NO_PAD.encode(all)),
        ));
    }
    forms
}

/// In URLs, with capital and with small digits.
fn percent(secret: &str) -> [String; 2] {
    let (mut capital, mut small) = (String::new(), String::new());
    for byte in secret.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            capital.push(char::from(byte));
            small.push(char::from(byte));
        } else {
            write!(capital, "%{byte:02X}").unwrap();
            write!(small, "%{byte:02x}").unwrap();
        }
    }
    [capital, small]
}

/// The letters of base64 that come of `bytes` alone where so many bytes of something else stand before them.
fn within(bytes: &[u8], before: usize, encode: impl Fn(Vec<u8>) -> String) -> Vec<u8> {
    let mut all = vec![0; before];
    all.extend_from_slice(bytes);
    let (first, end) = ((before * 8).div_ceil(6), all.len() * 8 / 6);
    encode(all).as_bytes()[first..end].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "canary+0123456789/ABCDEF==";

    fn found_in(text: &str) -> Vec<String> {
        let mut search = Search::default();
        search.add("the secret", SECRET);
        let found = search.find(text.as_bytes()).into_iter();
        found
            .map(|one| one.split(',').next().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_leak_is_found_wherever_it_stands_and_however_it_is_encoded() {
        assert_eq!(found_in(SECRET), ["the secret as it is"]);
        let line = format!("{{\"token\":\"{SECRET}\"}}\n");
        assert_eq!(found_in(&line), ["the secret as it is"]);
        for before in ["", "a", "ab", "abc", "user:", "a whole script with "] {
            for after in ["", "!", "!!", " and more"] {
                let whole = format!("{before}{SECRET}{after}");
                for encoded in [
                    STANDARD_NO_PAD.encode(&whole),
                    URL_SAFE_NO_PAD.encode(&whole),
                ] {
                    let text = format!("Authorization: Basic {encoded}");
                    assert_eq!(found_in(&text), ["the secret in base64"], "{whole}");
                }
            }
        }
        let encoded: String = form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
        let url = format!("http://ci:{encoded}@forge.lab/");
        assert_eq!(found_in(&url), ["the secret URL-encoded"]);
        let hex = hex::encode(SECRET);
        assert_eq!(found_in(&hex), ["the secret in hex"]);
    }

    #[test]
    fn what_is_no_leak_is_not_found() {
        for text in [
            "",
            "c",
            &SECRET[..25],
            &SECRET[1..],
            "canary of another kind",
        ] {
            assert_eq!(found_in(text), [""; 0], "{text}");
        }
        let other = STANDARD_NO_PAD.encode("canary+0123456789/ABCDEX==");
        assert_eq!(found_in(&other), [""; 0]);
    }

    #[test]
    fn of_several_secrets_each_is_told_by_its_name() {
        let mut search = Search::default();
        search.add("one", "one-secret-0123456789");
        search.add("other", "other-secret-0123456789");
        let found = search.find(b"x other-secret-0123456789 x");
        assert_eq!(found.len(), 1);
        assert!(found.first().unwrap().starts_with("other as it is"));
    }
}
