//! From bytes to characters: UTF-8, or UTF-16 if a byte-order mark says so, without the characters that
//! YAML does not know.

use super::Refused;

/// Go's reader takes this many bytes at a time, and finds a bad one when it takes that piece: a document
/// that ends in an earlier piece is read all the same.
const PIECE_BYTES: usize = 512;

/// Characters up to the first bad one, and what is wrong with that.
pub(super) struct Text {
    pub(super) chars: Vec<char>,
    pub(super) bad: Option<Refused>,
}

pub(super) fn text(bytes: &[u8]) -> Text {
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest, 3),
        _ => utf8(bytes, 0),
    }
}

fn utf8(bytes: &[u8], before: usize) -> Text {
    let (good, is_bad) = match str::from_utf8(bytes) {
        Ok(text) => (text, false),
        Err(error) => {
            let good = &bytes[..error.valid_up_to()];
            (str::from_utf8(good).expect("it is valid up to there"), true)
        }
    };
    let stop = good.char_indices().find(|(_, char)| !is_known(*char));
    let (end, reason) = match stop {
        Some((end, char)) => (end, Some(unknown(char))),
        None if is_bad => (
            good.len(),
            Some("it is not UTF-8; save it as UTF-8".to_owned()),
        ),
        None => (good.len(), None),
    };
    let bad = reason.map(|reason| Refused::new(good[..end].matches('\n').count() + 1, reason));
    let mut kept = end;
    if bad.is_some() {
        let piece = (before + end) / PIECE_BYTES * PIECE_BYTES;
        kept = piece.saturating_sub(before);
        while !good.is_char_boundary(kept) {
            kept -= 1;
        }
    }
    Text {
        chars: good[..kept].chars().collect(),
        bad,
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Text {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|pair| unit(*pair));
    let mut chars = Vec::with_capacity(pairs.len());
    let mut bad =
        (!rest.is_empty()).then(|| Refused::new(None, "it ends in half a character of UTF-16"));
    for char in char::decode_utf16(units) {
        match char {
            Ok(char) if is_known(char) => chars.push(char),
            _ => {
                bad = Some(Refused::new(
                    None,
                    "it is not UTF-16, as its first bytes say; save it as UTF-8",
                ));
                break;
            }
        }
    }
    if bad.is_some() {
        chars.truncate(chars.len() * 2 / PIECE_BYTES * PIECE_BYTES / 2);
    }
    Text { chars, bad }
}

/// YAML's characters: no controls but tab and line breaks.
fn is_known(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..)
}

fn unknown(char: char) -> String {
    format!(
        "the character U+{:04X} is not allowed; write it as an escape in quotes",
        u32::from(char)
    )
}

pub(super) fn is_blank(char: char) -> bool {
    matches!(char, ' ' | '\t')
}

pub(super) fn is_break(char: char) -> bool {
    matches!(char, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// NUL stands for the end of the text.
pub(super) fn is_break_or_end(char: char) -> bool {
    is_break(char) || char == '\0'
}

pub(super) fn is_blank_or_end(char: char) -> bool {
    is_blank(char) || is_break_or_end(char)
}
