//! Takes out of a report what tells whose account and forge it was: what is left can be shown to anybody.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Digits of an id that AWS makes up, behind its kind and a hyphen: old ones and new ones.
const ID_DIGITS: [usize; 2] = [8, 17];
/// A Spot request's id has as many letters and digits, which are not hexadecimal.
const SPOT_REQUEST: &str = "sir-";
/// What ids of the Fault Injection Service begin with, and how short none is.
const EXPERIMENTS: [&str; 2] = ["EXP", "EXT"];
const EXPERIMENT_MIN_LETTERS: usize = 12;
/// Digits of an account.
const ACCOUNT_DIGITS: usize = 12;
/// Letters of an access key's or a role's id, which begins with `A`.
const KEY_LETTERS: [usize; 2] = [20, 21];
/// Letters of a UUID.
const UUID_LETTERS: usize = 36;
/// What private and public host names of machines begin with, before the four numbers of an address.
const HOSTS: [&str; 2] = ["ip-", "ec2-"];
/// What stands before a name that people gave: AWS's denials tell who asked by it.
const NAMED: [&str; 6] = [
    "assumed-role/",
    "federated-user/",
    "instance-profile/",
    "policy/",
    "role/",
    "user/",
];
/// The path of roles that are named by AWS.
const OF_AWS: &str = "aws-service-role/";

/// Replaces words, the same word always by the same.
#[derive(Debug, Default)]
pub struct Redactor {
    /// Texts that are known to tell, and what stands for each; the longest first.
    known: Vec<(String, &'static str)>,
    /// Names of roles that are the deployment's own: they are told, but for its name.
    roles: Vec<String>,
    /// Ids that were met, by what they are.
    met: BTreeMap<String, String>,
}

impl Redactor {
    /// One that knows these texts, such as the forge's address, beside what has the shape of an id.
    pub fn knowing(
        texts: impl IntoIterator<Item = (String, &'static str)>,
        roles: Vec<String>,
    ) -> Self {
        let mut known: Vec<_> = texts
            .into_iter()
            .filter(|(text, _)| !text.is_empty())
            .collect();
        known.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        Self {
            known,
            roles,
            met: BTreeMap::new(),
        }
    }

    /// The text without what tells.
    pub fn redact(&mut self, text: &str) -> String {
        let text = self.known_out(&self.people_out(text));
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
        let is_v4 = |c: char| c.is_ascii_digit() || c == '.';
        let is_v6 = |c: char| c.is_ascii_hexdigit() || c == ':';
        let redacted = addresses_out::<Ipv4Addr>(&redacted, is_v4);
        addresses_out::<Ipv6Addr>(&redacted, is_v6)
    }

    /// The text without names that people gave to roles, users and policies, but for the deployment's own roles
    /// and AWS's.
    fn people_out(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        let begins = |text: &str, at: usize| {
            let joined = |c: char| c.is_ascii_alphanumeric() || c == '-';
            !text[..at].ends_with(joined)
        };
        loop {
            let found = NAMED.iter().flat_map(|named| {
                let all = rest.match_indices(named);
                all.filter(move |(at, _)| begins(rest, *at))
            });
            let Some((at, named)) = found.min_by_key(|(at, _)| *at) else {
                return out + rest;
            };
            let (before, from) = rest.split_at(at + named.len());
            let is_end = |c: char| c.is_whitespace() || "\"'`\\()[]{}<>".contains(c);
            let end = from.find(is_end).unwrap_or(from.len());
            let name = from[..end].trim_end_matches(['.', ',', ':', ';']);
            out.push_str(before);
            let first = name.split('/').next().unwrap_or_default();
            let is_told = name.starts_with(OF_AWS) || self.roles.iter().any(|own| own == first);
            out.push_str(if is_told || name.is_empty() {
                name
            } else {
                "(somebody)"
            });
            rest = &from[name.len()..];
        }
    }

    /// The text without what is known to tell, where it is a word of its own: a deployment may be called `ci`.
    /// What stands for it is not looked at again.
    fn known_out(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        while let Some(letter) = text[at..].chars().next() {
            let found = self.known.iter().find(|(known, _)| {
                let here = text.get(at..at + known.len());
                here.is_some_and(|here| here.eq_ignore_ascii_case(known))
                    && is_apart(text, at, known)
            });
            if let Some((known, stands)) = found {
                out.push_str(stands);
                at += known.len();
            } else {
                out.push(letter);
                at += letter.len_utf8();
            }
        }
        out
    }

    fn word(&mut self, word: &str) -> String {
        if let Some(kind) = kind_of(word) {
            return self.numbered(word, kind);
        }
        // Names of buckets hold the account.
        let parts = word.split('-').map(|part| {
            if is_account(part) {
                self.numbered(part, "account")
            } else {
                part.to_owned()
            }
        });
        parts.collect::<Vec<_>>().join("-")
    }

    fn numbered(&mut self, word: &str, kind: &str) -> String {
        let next = self.met.len() + 1;
        let named = || format!("{kind}({next})");
        self.met
            .entry(word.to_owned())
            .or_insert_with(named)
            .clone()
    }
}

/// Whether `known`, which stands at `at`, is no part of a longer word.
fn is_apart(text: &str, at: usize, known: &str) -> bool {
    let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let before = text[..at].chars().next_back();
    let after = text[at + known.len()..].chars().next();
    let (first, last) = (known.chars().next(), known.chars().next_back());
    let is_joined = is_word(before) && is_word(first) || is_word(after) && is_word(last);
    !is_joined
}

fn is_account(word: &str) -> bool {
    word.len() == ACCOUNT_DIGITS && word.bytes().all(|digit| digit.is_ascii_digit())
}

/// What `word` is an id of, if it has the shape of one.
fn kind_of(word: &str) -> Option<&str> {
    let is_hex = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if is_account(word) {
        return Some("account");
    }
    let is_capital = |letter: u8| letter.is_ascii_uppercase() || letter.is_ascii_digit();
    if KEY_LETTERS.contains(&word.len()) && word.starts_with('A') && word.bytes().all(is_capital) {
        return Some("key");
    }
    let is_experiment = EXPERIMENTS.iter().any(|begin| word.starts_with(begin))
        && word.len() >= EXPERIMENT_MIN_LETTERS
        && word.bytes().all(|letter| letter.is_ascii_alphanumeric())
        && !word.bytes().all(|letter| letter.is_ascii_uppercase());
    if is_experiment {
        return Some("experiment");
    }
    // A request's or an error's id.
    if word.len() == UUID_LETTERS && word.split('-').all(is_hex) {
        return Some("uuid");
    }
    for host in HOSTS {
        let numbers = word.strip_prefix(host).map(|rest| rest.replace('-', "."));
        if numbers.is_some_and(|numbers| numbers.parse::<Ipv4Addr>().is_ok()) {
            return Some("host");
        }
    }
    let (kind, digits) = word.rsplit_once('-')?;
    let is_kind = |c: u8| c.is_ascii_lowercase() || c == b'-';
    let is_id = !kind.is_empty()
        && kind.bytes().all(is_kind)
        && ID_DIGITS.contains(&digits.len())
        && (is_hex(digits) || word.starts_with(SPOT_REQUEST));
    is_id.then_some(kind)
}

/// The text without addresses of networks of the kind `A`, whose letters `is_part` admits.
fn addresses_out<A: std::str::FromStr>(text: &str, is_part: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(&is_part) {
        let (before, from) = rest.split_at(at);
        let end = from.find(|c: char| !is_part(c)).unwrap_or(from.len());
        let (address, after) = from.split_at(end);
        out.push_str(before);
        // A sentence or a port may follow. Part of a word is no address: `std::env`.
        let trimmed = address.trim_end_matches(['.', ':']);
        let bare = [address, trimmed].into_iter().find(|bare| {
            bare.contains(|c: char| c.is_ascii_hexdigit()) && bare.parse::<A>().is_ok()
        });
        let is_word = out.ends_with(char::is_alphanumeric)
            || after.starts_with(|c: char| c.is_alphanumeric());
        match bare.filter(|_| !is_word) {
            Some(bare) => {
                out.push_str("(address)");
                out.push_str(&address[bare.len()..]);
            }
            None => out.push_str(address),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor() -> Redactor {
        let known = [
            ("https://git.acme.example:3000", "(forge)"),
            ("git.acme.example:3000", "(forge host)"),
            ("git.acme.example", "(forge host)"),
            ("acme.example", "(forge domain)"),
            ("acme-ci", "(name)"),
            ("ci", "(name)"),
            ("go", "(pool 1)"),
        ];
        let known = known.map(|(text, stands)| (text.to_owned(), stands));
        Redactor::knowing(known, vec!["acme-ci-dispatch".to_owned()])
    }

    #[test]
    fn what_tells_whose_it_is_goes_and_the_same_is_the_same_again() {
        let mut redactor = redactor();
        let text = "acme-ci i-0123456789abcdef0 in subnet-01234567 of 123456789012: \
                    https://git.acme.example:3000/x, git.acme.example, 10.1.2.3. \
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
    fn who_was_denied_is_not_told_and_what_was_is() {
        for (said, told) in [
            (
                "User: arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Admin_0a1b/jane.doe@acme.com \
                 is not authorized to perform: fis:CreateExperimentTemplate",
                "User: arn:aws:sts::account(1):assumed-role/(somebody) is not authorized to perform: \
                 fis:CreateExperimentTemplate",
            ),
            (
                "\"arn:aws:iam::123456789012:user/team/jane\", by policy/Acme.",
                "\"arn:aws:iam::account(1):user/(somebody)\", by policy/(somebody).",
            ),
            // A role whose name only begins like ours is somebody's.
            ("role/acme-ci-dispatcher", "role/(somebody)"),
            ("role/acme-ci-dispatch", "role/(name)-dispatch"),
            (
                "role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot",
                "role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot",
            ),
        ] {
            assert_eq!(redactor().redact(said), told);
        }
    }

    #[test]
    fn names_go_as_words_and_so_do_hosts_ids_and_addresses_of_every_kind() {
        for (said, told) in [
            (
                "InsufficientInstanceCapacity of pool go",
                "InsufficientInstanceCapacity of pool (pool 1)",
            ),
            (
                "template acme-ci-go, docker, ago",
                "template (name)-(pool 1), docker, ago",
            ),
            (
                "Could not resolve host: GIT.acme.example; valid for *.acme.example",
                "Could not resolve host: (forge host); valid for *.(forge domain)",
            ),
            (
                "eipalloc-0123456789abcdef0 rtb-01234567 tgw-attach-0123456789abcdef0 sir-8zx4gk2p",
                "eipalloc(1) rtb(2) tgw-attach(3) sir(4)",
            ),
            (
                "acme-ci-123456789012-eu-west-1 ip-10-1-2-3.ec2.internal EXT2kd9aPfq7VbT",
                "(name)-account(1)-eu-west-1 host(2).ec2.internal experiment(3)",
            ),
            (
                "2001:db8::12:1 [fe80::1]:80 ::1, 10.1.2.3:80",
                "(address) [(address)]:80 (address), (address):80",
            ),
        ] {
            assert_eq!(redactor().redact(said), told);
        }
    }

    #[test]
    fn what_tells_nothing_stays() {
        for text in [
            "t3.small, ec2:RunInstances, 12.5 s, 0.041 cents, v1.0.8, spot-then-on-demand, i-am, 252.23",
            "std::env::args, arn:aws:s3:::bucket, 12:34:56, EXPERIMENTAL_X, self-assessed, é::a",
        ] {
            assert_eq!(Redactor::default().redact(text), text);
        }
    }
}
