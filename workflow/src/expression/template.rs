//! Texts with expressions in them (Gitea 1.26, `jobparser`, evaluator; nektos/act has the same).
//!
//! The forge makes one expression of the whole: `a ${{ x }} b` becomes `format('a {0} b', x)`. It copies
//! what stands between `${{` and `}}`, so that an expression which breaks out of its place does so here.

use std::borrow::Cow;
use std::fmt::Write as _;

const OPEN: &str = "${{";
const CLOSE: &str = "}}";

/// What a text is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Template<'a> {
    /// It has no expression: it means itself.
    Plain,
    /// It is one.
    Expression(Cow<'a, str>),
    /// A `${{` that nothing ends: the forge panics.
    Unclosed,
}

/// Whether the forge looks for expressions in a text at all.
pub(crate) fn has_expression(text: &str) -> bool {
    text.contains(OPEN) && text.contains(CLOSE)
}

impl<'a> Template<'a> {
    /// Reads a text. `to_text` makes a text of a single expression too, which else keeps its type.
    pub(super) fn read(text: &'a str, to_text: bool) -> Self {
        if !has_expression(text) {
            return Self::Plain;
        }
        let (mut format, mut parts) = (String::new(), Vec::new());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(OPEN) {
            format.push_str(&escaped(before));
            let end = match end(after) {
                End::At(end) => end,
                End::Never => return Self::Unclosed,
                End::Dropped => {
                    rest = "";
                    break;
                }
                // The forge drops the whole, and evaluates nothing: a mistake, not a panic.
                End::InText => return Self::Expression(Cow::Borrowed("")),
            };
            // Writing to a text can't fail.
            let _ = write!(format, "{{{}}}", parts.len());
            parts.push(after[..end].trim());
            rest = &after[end + CLOSE.len()..];
        }
        format.push_str(&escaped(rest));
        if parts.len() == 1 && format == "{0}" && !to_text {
            return Self::Expression(Cow::Borrowed(text));
        }
        let format = format.replace('\'', "''");
        Self::Expression(Cow::Owned(format!(
            "format('{format}', {})",
            parts.join(", ")
        )))
    }
}

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// It means itself.
    Text(&'a str),
    /// What stands between `${{` and `}}`.
    Expression(&'a str),
}

/// The parts of a text, each read by itself (Gitea from 1.27.2 on, `splitSubExpressions`); `None`: one has
/// no end.
pub(super) fn pieces(text: &str) -> Option<Vec<Piece<'_>>> {
    if !has_expression(text) {
        return Some(vec![Piece::Text(text)]);
    }
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(OPEN) {
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        let end = outside_quotes(after)?;
        pieces.push(Piece::Expression(after[..end].trim()));
        rest = &after[end + CLOSE.len()..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Some(pieces)
}

/// Where the first `}}` is that no quotes are around.
fn outside_quotes(text: &str) -> Option<usize> {
    let mut in_quotes = false;
    let mut places = text.match_indices(['\'', '}']);
    places.find_map(|(at, sign)| {
        in_quotes ^= sign == "'";
        (!in_quotes && text[at..].starts_with(CLOSE)).then_some(at)
    })
}

enum End {
    At(usize),
    Never,
    /// The text is at its end right behind `${{` or a quote: the forge forgets that it was in an
    /// expression.
    Dropped,
    InText,
}

/// Where the `}}` is that ends an expression: not one within quotes.
fn end(text: &str) -> End {
    let mut at = 0;
    loop {
        let rest = &text[at..];
        if rest.is_empty() {
            return End::Dropped;
        }
        match (rest.find(CLOSE), rest.find('\'')) {
            (Some(close), quote) if quote.is_none_or(|quote| close < quote) => {
                return End::At(at + close);
            }
            (_, Some(quote)) if quote + 1 == rest.len() => return End::Dropped,
            (_, Some(quote)) => {
                let Some(length) = quoted(&rest[quote + 1..]) else {
                    return End::InText;
                };
                at += quote + 1 + length;
            }
            (_, None) => return End::Never,
        }
    }
}

/// How long a text is up to and with its closing quote. `''` is a quote in it, but where no other quote
/// follows its first one ends it.
fn quoted(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut last_pair) = (0, None);
    while at < bytes.len() {
        match bytes[at] {
            b'\'' if bytes.get(at + 1) == Some(&b'\'') => {
                last_pair = Some(at + 1);
                at += 2;
            }
            b'\'' => return Some(at + 1),
            _ => at += 1,
        }
    }
    last_pair
}

fn escaped(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_one_expression() {
        for (text, to_text, expected) in [
            ("a", true, None),
            ("a }} ${{ b", true, Some("")),
            ("${{ a }}", true, Some("format('{0}', a)")),
            ("${{ a }}", false, Some("${{ a }}")),
            (
                "it's {${{ a }}} ${{b}}",
                true,
                Some("format('it''s {{{0}}} {1}', a, b)"),
            ),
            ("${{ '}}' }}", true, Some("format('{0}', '}}')")),
            (
                "${{ 'it''s }}' }}!",
                true,
                Some("format('{0}!', 'it''s }}')"),
            ),
            ("${{ '' }}", true, Some("format('{0}', '')")),
            ("a ${{ b }} ${{", true, Some("format('a {0} ', b)")),
            ("${{ b }}${{ '", true, Some("format('{0}', b)")),
        ] {
            let expected = match expected {
                None => Template::Plain,
                Some("") => Template::Unclosed,
                Some(text) => Template::Expression(Cow::Borrowed(text)),
            };
            assert_eq!(Template::read(text, to_text), expected, "{text}");
        }
        assert_eq!(
            pieces("it's ${{ 'a }} b' }}{}${{ c }}"),
            Some(vec![
                Piece::Text("it's "),
                Piece::Expression("'a }} b'"),
                Piece::Text("{}"),
                Piece::Expression("c"),
            ])
        );
        for text in ["a }} ${{ b", "${{ 'a }}", "${{ a }} ${{"] {
            assert_eq!(pieces(text), None, "{text}");
        }
        let unclosed = Template::Expression(Cow::Borrowed(""));
        assert_eq!(Template::read("${{ 'a }}", true), unclosed);
    }
}
