//! YAML as people write it, and as they should not: one tree, written in many styles, then spoiled.

use std::fmt::Write as _;

use fastrand::Rng;

use super::pick;

/// What stands where something else was meant. Each is read in its own way by some parser.
pub(crate) const ODD: [&str; 44] = [
    "",
    "~",
    "null",
    "true",
    "no",
    "on",
    "3",
    "0o17",
    "017",
    "0x1F",
    "0b11",
    "1_000",
    "1e3",
    "1.50",
    ".inf",
    "-.INF",
    ".nan",
    "12345678901234567890123",
    "2024-01-01",
    "12:30:45",
    "!!str 1",
    "!!int \"3\"",
    "!!bool yes",
    "!!null x",
    "!!binary aGVsbG8=",
    "!custom x",
    "! 7",
    "[]",
    "{}",
    "[null]",
    "[[a], [b]]",
    "{a: b}",
    "{? a : b}",
    "{[a]: b}",
    "[a: b]",
    "\"\"",
    "'it''s'",
    "\"\\u00fc\\x41\\n\"",
    "|\n            block\n            text",
    ">-\n            folded\n            text",
    "\"a\n              b\"",
    "*nowhere",
    "- a",
    "@at",
];

/// Keys that are no plain words.
const ODD_KEYS: [&str; 10] = [
    "1",
    "null",
    "true",
    "'quoted'",
    "\"on\"",
    "On",
    "? [a]\n",
    "!!str name",
    "~",
    "<<",
];

#[derive(Debug, Clone)]
pub(crate) enum Yaml {
    /// A text, in whatever quotes it needs or likes.
    Text(String),
    /// Characters that are written as they are.
    Raw(String),
    List(Vec<Yaml>),
    /// Pairs; keys are written as they are.
    Map(Vec<(String, Yaml)>),
    Anchored(String, Box<Yaml>),
}

impl Yaml {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn raw(text: impl Into<String>) -> Self {
        Self::Raw(text.into())
    }

    pub(crate) fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::List(texts.into_iter().map(Self::text).collect())
    }

    pub(crate) fn map<K: Into<String>>(pairs: impl IntoIterator<Item = (K, Yaml)>) -> Self {
        Self::Map(
            pairs
                .into_iter()
                .map(|(key, to)| (key.into(), to))
                .collect(),
        )
    }

    /// The whole document.
    pub(crate) fn written(&self, rng: &mut Rng) -> String {
        match self {
            Self::Map(pairs) if !pairs.is_empty() => block(self, 0, rng),
            Self::Map(_) | Self::List(_) | Self::Text(_) | Self::Raw(_) | Self::Anchored(..) => {
                flow(self, rng) + "\n"
            }
        }
    }

    fn size(&self) -> usize {
        1 + match self {
            Self::Text(_) | Self::Raw(_) => 0,
            Self::List(items) => items.iter().map(Self::size).sum(),
            Self::Map(pairs) => pairs.iter().map(|(_, to)| to.size()).sum(),
            Self::Anchored(_, node) => node.size(),
        }
    }

    /// The node that is `at`th from here, in the order of the text.
    fn nth(&mut self, at: &mut usize) -> Option<&mut Self> {
        if *at == 0 {
            return Some(self);
        }
        *at -= 1;
        match self {
            Self::Text(_) | Self::Raw(_) => None,
            Self::List(items) => items.iter_mut().find_map(|item| item.nth(at)),
            Self::Map(pairs) => pairs.iter_mut().find_map(|(_, to)| to.nth(at)),
            Self::Anchored(_, node) => node.nth(at),
        }
    }

    fn any(&mut self, rng: &mut Rng) -> &mut Self {
        let mut at = rng.usize(..self.size());
        self.nth(&mut at).expect("there are `size` nodes")
    }

    /// Makes one thing of it odd, as a tree.
    pub(crate) fn spoil(&mut self, rng: &mut Rng) {
        match rng.u8(..9) {
            0 | 1 => *self.any(rng) = odd(rng),
            2 => self.alias(rng),
            3 => self.merge(rng),
            4 => {
                let node = self.any(rng);
                *node = Self::List(vec![node.clone()]);
            }
            5 => self.on_pairs(rng, |pairs, rng| {
                let pair = pairs[rng.usize(..pairs.len())].clone();
                pairs.push(pair);
            }),
            6 => self.on_pairs(rng, |pairs, rng| {
                pairs.remove(rng.usize(..pairs.len()));
            }),
            7 => self.on_pairs(rng, |pairs, rng| {
                let value = odd(rng);
                pairs.push((pick(rng, &ODD_KEYS).to_owned(), value));
            }),
            _ => self.on_pairs(rng, |pairs, rng| {
                let at = rng.usize(..pairs.len());
                pick(rng, &ODD_KEYS).clone_into(&mut pairs[at].0);
            }),
        }
    }

    fn on_pairs(&mut self, rng: &mut Rng, change: impl FnOnce(&mut Vec<(String, Self)>, &mut Rng)) {
        if let Self::Map(pairs) = self.any(rng)
            && !pairs.is_empty()
        {
            change(pairs, rng);
        }
    }

    /// Anchors one node and puts an alias of it somewhere: behind it, in front of it or inside.
    fn alias(&mut self, rng: &mut Rng) {
        let node = self.any(rng);
        *node = Self::Anchored("a".to_owned(), Box::new(node.clone()));
        *self.any(rng) = Self::raw("*a");
    }

    /// Merges an anchored map, or what is none, into a later one.
    fn merge(&mut self, rng: &mut Rng) {
        let value = match rng.u8(..4) {
            0 => Self::raw("{runs-on: merged, name: merged}"),
            1 => Self::raw("[{branches: merged}, {paths: ['**']}]"),
            2 => odd(rng),
            _ => {
                let node = self.any(rng);
                *node = Self::Anchored("a".to_owned(), Box::new(node.clone()));
                Self::raw("*a")
            }
        };
        self.on_pairs(rng, |pairs, rng| {
            pairs.insert(rng.usize(..=pairs.len()), ("<<".to_owned(), value));
        });
    }
}

fn odd(rng: &mut Rng) -> Yaml {
    Yaml::raw(pick(rng, &ODD))
}

/// Lines with this indent, the last one ended.
fn block(node: &Yaml, indent: usize, rng: &mut Rng) -> String {
    let pad = " ".repeat(indent);
    let mut out = String::new();
    match node {
        Yaml::Map(pairs) => {
            for (key, value) in pairs {
                let _ = write!(out, "{pad}{key}:{}", behind(value, indent, rng));
            }
        }
        Yaml::List(items) => {
            for item in items {
                let is_map = matches!(item, Yaml::Map(pairs) if !pairs.is_empty());
                if is_map && rng.u8(..4) > 0 {
                    let lines = block(item, indent + 2, rng);
                    let _ = write!(out, "{pad}- {}", lines.trim_start_matches(' '));
                } else {
                    let _ = writeln!(out, "{pad}- {}", flow(item, rng));
                }
            }
        }
        Yaml::Text(_) | Yaml::Raw(_) | Yaml::Anchored(..) => {
            let _ = writeln!(out, "{pad}{}", flow(node, rng));
        }
    }
    out
}

/// What stands behind `key:`, on its line or below it.
fn behind(value: &Yaml, indent: usize, rng: &mut Rng) -> String {
    match value {
        Yaml::Raw(text) => format!(" {text}\n"),
        Yaml::Text(text) => format!(" {}\n", scalar(text, false, rng)),
        Yaml::Anchored(name, node) => format!(" &{name}{}", behind(node, indent, rng)),
        Yaml::List(items) if !items.is_empty() && rng.u8(..3) > 0 => {
            // Both ways are common.
            let deeper = indent + if rng.bool() { 2 } else { 0 };
            format!("\n{}", block(value, deeper, rng))
        }
        Yaml::Map(pairs) if !pairs.is_empty() && rng.u8(..8) > 0 => {
            format!("\n{}", block(value, indent + 2, rng))
        }
        Yaml::List(_) | Yaml::Map(_) => format!(" {}\n", flow(value, rng)),
    }
}

/// On one line, unless what is raw has more.
fn flow(node: &Yaml, rng: &mut Rng) -> String {
    match node {
        Yaml::Raw(text) => text.clone(),
        Yaml::Text(text) => scalar(text, true, rng),
        Yaml::Anchored(name, node) => format!("&{name} {}", flow(node, rng)),
        Yaml::List(items) => {
            let items: Vec<String> = items.iter().map(|item| flow(item, rng)).collect();
            format!("[{}]", items.join(", "))
        }
        Yaml::Map(pairs) => {
            let pairs: Vec<String> = pairs
                .iter()
                .map(|(key, to)| format!("{key}: {}", flow(to, rng)))
                .collect();
            format!("{{{}}}", pairs.join(", "))
        }
    }
}

fn scalar(text: &str, in_flow: bool, rng: &mut Rng) -> String {
    let is_word = |c: char| c.is_alphanumeric() || "_-./ ".contains(c);
    let can_be_plain = !text.is_empty()
        && text.trim() == text
        && !text.starts_with(['-', '.'])
        && (text.chars().all(is_word)
            || (!in_flow && text.starts_with('$') && !text.contains(['#', '\n', '"', ':'])));
    let can_be_single = !text.contains(['\n', '\r']);
    match rng.u8(..4) {
        0 if can_be_single => format!("'{}'", text.replace('\'', "''")),
        0 | 1 => format!("{text:?}"),
        _ if can_be_plain => text.to_owned(),
        _ if can_be_single => format!("'{}'", text.replace('\'', "''")),
        _ => format!("{text:?}"),
    }
}

/// Makes one thing of a file odd, as bytes.
pub(crate) fn garble(text: String, rng: &mut Rng) -> Vec<u8> {
    let at = |text: &str, rng: &mut Rng| {
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        if places.is_empty() {
            0
        } else {
            places[rng.usize(..places.len())]
        }
    };
    let insert = |mut text: String, what: &str, rng: &mut Rng| {
        let at = at(&text, rng);
        text.insert_str(at, what);
        text.into_bytes()
    };
    match rng.u8(..16) {
        0 => format!("\u{feff}{text}").into_bytes(),
        1 => format!("---\n{text}").into_bytes(),
        2 => format!("%YAML 1.2\n---\n{text}...\n").into_bytes(),
        3 => format!("{text}---\non: push\njobs: {{second: {{runs-on: second}}}}\n").into_bytes(),
        4 => format!("---\n---\n{text}").into_bytes(),
        5 => text.replace('\n', "\r\n").into_bytes(),
        6 => text.replacen("  ", "\t", 1).into_bytes(),
        7 => text
            .encode_utf16()
            .fold(vec![0xff, 0xfe], |mut bytes, unit| {
                bytes.extend(unit.to_le_bytes());
                bytes
            }),
        8 => {
            let mut bytes = text.clone().into_bytes();
            bytes.insert(
                at(&text, rng),
                *rng.choice(&[0x00, 0x07, 0x7f, 0xff, 0xc3])
                    .expect("not empty"),
            );
            bytes
        }
        9 => text.as_bytes()[..at(&text, rng)].to_vec(),
        10 => insert(text, "\n", rng),
        11 => insert(
            text,
            pick(rng, &["\u{85}", "\u{2028}", "\u{200b}", "\u{fffe}"]),
            rng,
        ),
        12 => text
            .lines()
            .rev()
            .fold(String::new(), |out, line| format!("{out}{line}\n"))
            .into_bytes(),
        _ => insert(
            text,
            pick(
                rng,
                &[
                    ":", "#", " #", "'", "\"", "{", "]", "&", "*", "|", "%", "`", " ", ",", "- ",
                    ": ", "!",
                ],
            ),
            rng,
        ),
    }
}
