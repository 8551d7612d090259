//! Kinds of characters. NUL stands for the end of the text.

pub(super) fn is_blank(char: char) -> bool {
    matches!(char, ' ' | '\t')
}

pub(super) fn is_break(char: char) -> bool {
    matches!(char, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

pub(super) fn is_break_or_end(char: char) -> bool {
    is_break(char) || char == '\0'
}

pub(super) fn is_blank_or_end(char: char) -> bool {
    is_blank(char) || is_break_or_end(char)
}
