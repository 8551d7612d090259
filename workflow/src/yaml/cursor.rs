//! The scanner's place in the text, and what it passes over: blanks, line breaks, comments.

use super::read::{is_blank, is_break, is_break_or_end};
use super::scan::Scanner;

/// Blanks that a comment on the same line may stand behind (Go's scanner looks no further).
const COMMENT_BLANKS: usize = 512;

impl Scanner {
    /// Tabs are blanks where no key can begin.
    pub(super) fn skip_to_token(&mut self) {
        loop {
            if self.at == 0 && self.peek(0) == '\u{feff}' {
                self.skip(1);
            }
            while self.peek(0) == ' '
                || (self.peek(0) == '\t' && (self.flow > 0 || !self.key_allowed))
            {
                self.skip(1);
            }
            if self.peek(0) == '#' {
                self.skip_comments();
            }
            if !is_break(self.peek(0)) {
                return;
            }
            self.skip_break();
            self.key_allowed |= self.flow == 0;
        }
    }

    /// A comment, and further ones on the next lines: Go's scanner takes them in one go, and minds no
    /// tabs before them.
    fn skip_comments(&mut self) {
        loop {
            self.skip_line();
            let mut ahead = 1;
            while ahead < COMMENT_BLANKS
                && (is_blank(self.peek(ahead)) || is_break(self.peek(ahead)))
            {
                ahead += 1;
            }
            if self.peek(0) == '\0' || self.peek(ahead) != '#' {
                return;
            }
            let comment = self.at + ahead;
            while self.at < comment {
                if is_break(self.peek(0)) {
                    self.skip_break();
                } else {
                    self.skip(1);
                }
            }
        }
    }

    /// A comment behind a token on its line.
    pub(super) fn skip_line_comment(&mut self) {
        if self.newlines > 0 {
            return;
        }
        let blanks = (0..COMMENT_BLANKS).take_while(|ahead| is_blank(self.peek(*ahead)));
        let ahead = blanks.count();
        if ahead < COMMENT_BLANKS && self.peek(ahead) == '#' {
            self.skip_line();
        }
    }

    /// To the end of the line.
    pub(super) fn skip_line(&mut self) {
        while !is_break_or_end(self.peek(0)) {
            self.skip(1);
        }
    }

    /// The character so many places ahead; NUL, which is none of YAML's, behind the end.
    pub(super) fn peek(&self, ahead: usize) -> char {
        self.text
            .chars
            .get(self.at + ahead)
            .copied()
            .unwrap_or_else(|| {
                self.looked_behind.set(true);
                '\0'
            })
    }

    pub(super) fn skip(&mut self, chars: usize) {
        for _ in 0..chars {
            if !is_blank(self.peek(0)) {
                self.newlines = 0;
            }
            self.at += 1;
            self.column += 1;
        }
    }

    pub(super) fn read(&mut self, into: &mut String) {
        into.push(self.peek(0));
        self.skip(1);
    }

    pub(super) fn skip_break(&mut self) {
        self.at += if [self.peek(0), self.peek(1)] == ['\r', '\n'] {
            2
        } else {
            1
        };
        self.line += 1;
        self.column = 0;
        self.newlines += 1;
    }

    /// The line break: all are the same in the text but Unicode's own separators. Nothing at the end.
    pub(super) fn read_break(&mut self, into: &mut String) {
        let char = self.peek(0);
        if is_break(char) {
            into.push(if matches!(char, '\u{2028}' | '\u{2029}') {
                char
            } else {
                '\n'
            });
            self.skip_break();
        }
    }
}
