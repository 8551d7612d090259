//! The texts in quotes of a Rust file: what the rules' tests are made of.

/// Each with its line.
pub(super) fn literals(source: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(sign) = rest.chars().next() {
        let line = source[..source.len() - rest.len()].matches('\n').count() + 1;
        let end = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if sign == '\'' {
            character(rest)
        } else if sign == '"' {
            let end = quoted(&rest[1..]);
            found.push((line, unescaped(&rest[1..=end])));
            end + 2
        } else if let Some((hashes, inner)) = raw(rest) {
            let close = format!("\"{}", "#".repeat(hashes));
            let end = inner.find(&close).unwrap_or(inner.len());
            found.push((line, inner[..end].to_owned()));
            rest.len() - inner.len() + end + close.len()
        } else if sign.is_alphanumeric() || sign == '_' {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len())
        } else {
            sign.len_utf8()
        };
        rest = rest.get(end..).unwrap_or_default();
    }
    found
}

/// The end of a character in quotes, or of the tick of a lifetime.
fn character(rest: &str) -> usize {
    let inner = &rest[1..];
    let mut signs = inner.char_indices();
    match signs.next() {
        Some((_, '\\')) => {
            let close = inner.char_indices().skip(2).find(|(_, sign)| *sign == '\'');
            close.map_or(1, |(at, _)| at + 2)
        }
        Some((_, sign)) if inner[sign.len_utf8()..].starts_with('\'') => sign.len_utf8() + 2,
        _ => 1,
    }
}

/// `r"…"`, `br#"…"#`: how many hashes, and what follows the quote.
fn raw(rest: &str) -> Option<(usize, &str)> {
    let rest = rest.strip_prefix('b').unwrap_or(rest).strip_prefix('r')?;
    let inner = rest.trim_start_matches('#');
    Some((rest.len() - inner.len(), inner.strip_prefix('"')?))
}

/// Where the text ends, in bytes.
fn quoted(inner: &str) -> usize {
    let mut is_escaped = false;
    for (at, sign) in inner.char_indices() {
        match sign {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at,
            _ => {}
        }
    }
    inner.len()
}

fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut signs = text.chars().peekable();
    while let Some(sign) = signs.next() {
        if sign != '\\' {
            out.push(sign);
            continue;
        }
        match signs.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('0') => out.push('\0'),
            Some('\n') => while signs.next_if(|sign| sign.is_whitespace()).is_some() {},
            Some('x') => {
                let digits: String = signs.by_ref().take(2).collect();
                out.extend(u8::from_str_radix(&digits, 16).ok().map(char::from));
            }
            Some('u') => {
                let digits: String = signs
                    .by_ref()
                    .skip(1)
                    .take_while(|sign| *sign != '}')
                    .collect();
                let code = u32::from_str_radix(&digits, 16).ok();
                out.extend(code.and_then(char::from_u32));
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::literals;

    #[test]
    fn texts_are_found_in_every_way_to_quote_them() {
        let source = "let a = \"x\\n\\u{fc}\"; // \"no\"\nlet b: &'a str = r#\"{\"y\"}\"#; f('\"', b\"z\\\n   q\");";
        let expected = [(1, "x\nü"), (2, "{\"y\"}"), (2, "zq")];
        let found = literals(source);
        let found: Vec<(usize, &str)> = found.iter().map(|(line, text)| (*line, &**text)).collect();
        assert_eq!(found, expected);
    }
}
