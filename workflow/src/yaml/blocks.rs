//! Texts of several lines that the forge writes as blocks, and can't read again (Go's `yaml` v4, rc.3).

/// How far a block in a list is written further in than the forge believes: its texts lose so much.
const LIST_INDENT: usize = 2;

/// Whether Gitea's YAML writes the text as a block that it can't read: one that begins with a tab.
pub(crate) fn breaks_as_block(text: &str) -> bool {
    text.starts_with('\t') && is_block(text)
}

/// The text when it was written as an item of a list, or of something in a list, and read again; `None`:
/// it can't be read. A block that begins with a blank is told to stand further in than it does.
pub(crate) fn in_list(text: &str) -> Option<String> {
    if breaks_as_block(text) {
        return None;
    }
    if !text.starts_with([' ', '\n']) || !is_block(text) {
        return Some(text.to_owned());
    }
    let indent = " ".repeat(LIST_INDENT);
    let lines = text.split('\n').map(|line| {
        if line.is_empty() {
            Some(line)
        } else {
            line.strip_prefix(&indent)
        }
    });
    Some(lines.collect::<Option<Vec<_>>>()?.join("\n"))
}

/// Whether it is written as a block. Texts with a blank before a line break or at the end, or with what is
/// taken for unprintable (emoji are), are written in quotes.
fn is_block(text: &str) -> bool {
    let is_blank = text.chars().all(char::is_whitespace);
    let blank_ends = [" \n", " \u{2028}", " \u{2029}"]
        .iter()
        .any(|end| text.contains(end));
    let is_quoted = text.ends_with(' ') || blank_ends || !text.chars().all(is_printable);
    text.contains('\n') && !is_blank && !is_quoted
}

fn is_printable(char: char) -> bool {
    matches!(char, '\t' | '\n' | ' '..='~' | '\u{a0}'..='\u{fffd}') && char != '\u{feff}'
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `yaml.Node.Encode` of Go's `yaml` v4 rc.3 gives them back.
    #[test]
    fn a_text_in_a_list_is_read_again_as_go_reads_it() {
        for (text, again) in [
            ("a\n b", Some("a\n b")),
            (" a\nb", None),
            ("\na", None),
            ("\ta\nb", None),
            ("  a\n", Some("a\n")),
            ("\n  a", Some("\na")),
            ("  a\n b\n", None),
            (" a \nb", Some(" a \nb")),
            (" a", Some(" a")),
            (" \n ", Some(" \n ")),
        ] {
            assert_eq!(in_list(text).as_deref(), again, "{text:?}");
        }
        assert!(breaks_as_block("\ta\nb") && !breaks_as_block(" a\nb"));
    }
}
