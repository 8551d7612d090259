//! The older dialect: act's, as Gitea up to 1.26 and Forgejo have it (`pkg/workflowpattern`).
//!
//! `*` stays within a directory, `**` does not, `**/` at any place is "nothing or some directories". `+`
//! and `?` repeat what stands before them, but are themselves at the very beginning. `[…]` holds letters,
//! digits and what lies between `Z` and `a`. A `\` makes the next character itself; all else is itself.

use std::iter::Peekable;
use std::slice::Iter;

use super::error::Fault;

/// The expression that a pattern stands for, without its leading `!`.
pub(super) fn expression(pattern: &str) -> Result<String, Fault> {
    let pattern: Vec<char> = pattern.chars().collect();
    let mut rest = pattern.iter().peekable();
    let mut text = String::from("^");
    while let Some(&c) = rest.next() {
        match c {
            '*' => star(&mut rest, &mut text),
            '+' | '?' if text.len() > 1 => text.push(c),
            '[' => class(&mut rest, &mut text)?,
            '\\' => quote(*rest.next().ok_or(Fault::OpenEscape)?, &mut text),
            _ => quote(c, &mut text),
        }
    }
    text.push('$');
    Ok(text)
}

fn star(rest: &mut Peekable<Iter<char>>, text: &mut String) {
    if rest.next_if_eq(&&'*').is_none() {
        text.push_str("[^/]*");
    } else if rest.next_if_eq(&&'/').is_some() {
        text.push_str("(.+/)?");
    } else {
        text.push_str(".*");
    }
}

/// `[…]`: a range is judged by the characters on its two sides, whatever else they belong to, and what
/// follows the `-` goes through unquoted.
fn class(rest: &mut Peekable<Iter<char>>, text: &mut String) -> Result<(), Fault> {
    if rest.next_if_eq(&&']').is_some() {
        return Err(Fault::EmptyClass);
    }
    text.push('[');
    let mut before = None;
    loop {
        let c = *rest.next().ok_or(Fault::OpenClass)?;
        match (c, before) {
            (']', _) => break,
            ('-', Some(from)) => {
                let to = *rest.next().ok_or(Fault::OpenClass)?;
                if !is_range(from, to) {
                    return Err(Fault::ClassMember);
                }
                text.push('-');
                text.push(to);
                before = Some(to);
            }
            ('A'..='z' | '0'..='9', _) => {
                quote(c, text);
                before = Some(c);
            }
            _ => return Err(Fault::ClassMember),
        }
    }
    text.push(']');
    Ok(())
}

fn is_range(from: char, to: char) -> bool {
    let within = |all: std::ops::RangeInclusive<char>| all.contains(&from) && all.contains(&to);
    from <= to && (within('A'..='z') || within('0'..='9'))
}

/// Adds a character that means itself.
pub(super) fn quote(c: char, text: &mut String) {
    if "\\.+*?()|[]{}^$".contains(c) {
        text.push('\\');
    }
    text.push(c);
}
