//! Takes out of a report what tells whose account and forge it was: what is left can be shown to anybody.

use std::collections::BTreeMap;

/// What ids that AWS makes up begin with, before a hyphen and hexadecimal digits.
const AWS_IDS: [&str; 12] = [
    "ami", "eni", "i", "igw", "key", "lt", "r", "sg", "sir", "subnet", "vol", "vpc",
];
/// Fewest digits of such an id.
const ID_MIN_DIGITS: usize = 8;
/// Digits of an account.
const ACCOUNT_DIGITS: usize = 12;
/// Letters of an access key's or a role's id, which begins with `A`.
const KEY_LETTERS: [usize; 2] = [20, 21];

/// Replaces words, the same word always by the same.
#[derive(Debug, Default)]
pub struct Redactor {
    /// Texts that are known to tell, and what stands for each; the longest first.
    known: Vec<(String, &'static str)>,
    /// Ids that were met, by what they are.
    met: BTreeMap<String, String>,
}

impl Redactor {
    /// One that knows these texts, such as the forge's address, beside what has the shape of an id.
    pub fn knowing(texts: impl IntoIterator<Item = (String, &'static str)>) -> Self {
        let mut known: Vec<_> = texts
            .into_iter()
            .filter(|(text, _)| !text.is_empty())
            .collect();
        known.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        Self {
            known,
            met: BTreeMap::new(),
        }
    }

    /// The text without what tells.
    pub fn redact(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for (known, stands) in &self.known {
            text = text.replace(known, stands);
        }
        let mut redacted = String::with_capacity(text.len());
        let mut word = String::new();
        for letter in text.chars().chain(['\0']) {
            if letter.is_ascii_alphanumeric() || letter == '-' {
                word.push(letter);
                continue;
            }
            redacted.push_str(&self.word(&word));
            word.clear();
            if letter != '\0' {
                redacted.push(letter);
            }
        }
        addresses_out(&redacted)
    }

    fn word(&mut self, word: &str) -> String {
        let Some(kind) = kind_of(word) else {
            return word.to_owned();
        };
        let next = self.met.len() + 1;
        let named = || format!("{kind}({next})");
        self.met
            .entry(word.to_owned())
            .or_insert_with(named)
            .clone()
    }
}

/// What `word` is an id of, if it has the shape of one.
fn kind_of(word: &str) -> Option<&str> {
    let is_hex = |digits: &str| {
        digits.len() >= ID_MIN_DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    };
    if word.len() == ACCOUNT_DIGITS && word.bytes().all(|digit| digit.is_ascii_digit()) {
        return Some("account");
    }
    let is_capital = |letter: u8| letter.is_ascii_uppercase() || letter.is_ascii_digit();
    if KEY_LETTERS.contains(&word.len()) && word.starts_with('A') && word.bytes().all(is_capital) {
        return Some("key");
    }
    let (kind, digits) = word.split_once('-')?;
    let is_id = AWS_IDS.contains(&kind) && is_hex(digits);
    // A request's or an error's id.
    let is_uuid = word.len() == 36
        && word
            .split('-')
            .all(|part| part.bytes().all(|c| c.is_ascii_hexdigit()));
    match (is_id, is_uuid) {
        (true, _) => Some(kind),
        (false, true) => Some("uuid"),
        (false, false) => None,
    }
}

/// The text without addresses of networks (IPv4).
fn addresses_out(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_digit() || c == '.';
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(is_part) {
        let (before, from) = rest.split_at(at);
        let end = from.find(|c| !is_part(c)).unwrap_or(from.len());
        let (number, after) = from.split_at(end);
        out.push_str(before);
        let bare = number.trim_end_matches('.');
        if bare.parse::<std::net::Ipv4Addr>().is_ok() {
            out.push_str("(address)");
            out.push_str(&number[bare.len()..]);
        } else {
            out.push_str(number);
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tells_whose_it_is_goes_and_the_same_is_the_same_again() {
        let known = [
            ("https://git.acme.example".to_owned(), "(forge)"),
            ("git.acme.example".to_owned(), "(forge host)"),
            ("acme-ci".to_owned(), "(name)"),
        ];
        let mut redactor = Redactor::knowing(known);
        let text = "acme-ci i-0123456789abcdef0 in subnet-01234567 of 123456789012: \
                    https://git.acme.example/x, git.acme.example, 10.1.2.3. \
                    arn:aws:sts::123456789012:assumed-role/acme-ci-dispatch/i-0123456789abcdef0 \
                    AROAABCDEFGHIJKLMNOPQ 6f1c8c9e-0a1b-4c2d-8e3f-0123456789ab";
        assert_eq!(
            redactor.redact(text),
            "(name) i(1) in subnet(2) of account(3): (forge)/x, (forge host), (address). \
             arn:aws:sts::account(3):assumed-role/(name)-dispatch/i(1) key(4) uuid(5)"
        );
        assert_eq!(redactor.redact("i-0123456789abcdef0"), "i(1)");
    }

    #[test]
    fn what_tells_nothing_stays() {
        let text = "t3.small, ec2:RunInstances, 12.5 s, 0.041 cents, v1.0.8, spot-then-on-demand, i-am, 252.23";
        assert_eq!(Redactor::default().redact(text), text);
    }
}
