//! Tags, and the directives before a document.

use super::Refused;
use super::read::{is_blank, is_blank_or_end, is_break, is_break_or_end};
use super::scan::{Scanner, Token};

impl Scanner {
    pub(super) fn tag(&mut self) -> Result<(), Refused> {
        let (mut handle, suffix);
        if self.peek(1) == '<' {
            self.skip(2);
            handle = String::new();
            suffix = self.uri("")?;
            if self.peek(0) != '>' {
                return Err(self.refuse("a tag that begins with `!<` ends with `>`"));
            }
            self.skip(1);
        } else {
            handle = self.handle(false)?;
            if handle.len() > 1 && handle.ends_with('!') {
                suffix = self.uri("")?;
            } else {
                let rest = self.uri(&handle)?;
                (handle, suffix) = if rest.is_empty() {
                    (rest, "!".to_owned())
                } else {
                    ("!".to_owned(), rest)
                };
            }
        }
        if !is_blank_or_end(self.peek(0)) {
            return Err(self.refuse("a blank must follow a tag; put a text with `!` in quotes"));
        }
        self.push(Token::Tag { handle, suffix });
        Ok(())
    }

    fn handle(&mut self, is_directive: bool) -> Result<String, Refused> {
        let mut handle = String::new();
        if self.peek(0) != '!' {
            return Err(self.refuse("a tag begins with `!`"));
        }
        self.read(&mut handle);
        while is_alpha(self.peek(0)) {
            self.read(&mut handle);
        }
        if self.peek(0) == '!' {
            self.read(&mut handle);
        } else if is_directive && handle != "!" {
            return Err(self.refuse("a tag's handle ends with `!`"));
        }
        Ok(handle)
    }

    /// The rest of a tag, with what of it is known already (`!` and what follows).
    fn uri(&mut self, head: &str) -> Result<String, Refused> {
        let mut bytes = head.as_bytes().get(1..).unwrap_or_default().to_vec();
        let mut is_empty = head.is_empty();
        while is_uri(self.peek(0)) {
            if self.peek(0) == '%' {
                self.uri_escapes(&mut bytes)?;
            } else {
                bytes.extend(u8::try_from(self.peek(0)));
                self.skip(1);
            }
            is_empty = false;
        }
        if is_empty {
            return Err(self.refuse("a tag is empty"));
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn uri_escapes(&mut self, bytes: &mut Vec<u8>) -> Result<(), Refused> {
        let mut left = None;
        while left != Some(0) {
            let octet = (self.peek(0) == '%')
                .then(|| Some(self.peek(1).to_digit(16)? * 16 + self.peek(2).to_digit(16)?))
                .flatten()
                .and_then(|octet| u8::try_from(octet).ok());
            let width = |octet: u8| match octet {
                0x00..0x80 => Some(1),
                0xc0..0xe0 => Some(2),
                0xe0..0xf0 => Some(3),
                0xf0..0xf8 => Some(4),
                0x80..0xc0 | 0xf8..=0xff => None,
            };
            let refuse = || self.refuse("a tag has a `%` that escapes nothing");
            let octet = octet.ok_or_else(refuse)?;
            left = match left {
                None => Some(width(octet).ok_or_else(refuse)? - 1),
                Some(left) if octet & 0xc0 == 0x80 => Some(left - 1),
                Some(_) => return Err(refuse()),
            };
            bytes.push(octet);
            self.skip(3);
        }
        Ok(())
    }

    pub(super) fn directive(&mut self) -> Result<(), Refused> {
        let line = self.line;
        self.skip(1);
        let mut name = String::new();
        while is_alpha(self.peek(0)) {
            self.read(&mut name);
        }
        let is_ended = is_blank_or_end(self.peek(0));
        self.skip_blanks();
        let token = match &*name {
            "YAML" if is_ended => {
                let major = self.version()?;
                if self.peek(0) != '.' {
                    return Err(self.refuse("a YAML version is two numbers with a `.` between"));
                }
                self.skip(1);
                Token::Version(major, self.version()?)
            }
            "TAG" if is_ended => {
                let handle = self.handle(true)?;
                if !is_blank(self.peek(0)) {
                    return Err(self.refuse("a blank must follow a tag's handle"));
                }
                self.skip_blanks();
                let prefix = self.uri("")?;
                Token::TagPrefix { handle, prefix }
            }
            _ => {
                return Err(
                    self.refuse("a line that begins with `%` is a directive, and this is none")
                );
            }
        };
        self.skip_blanks();
        if self.peek(0) == '#' {
            self.skip_line();
        }
        if !is_break_or_end(self.peek(0)) {
            return Err(self.refuse("nothing can follow a directive on its line"));
        }
        if is_break(self.peek(0)) {
            self.skip_break();
        }
        self.push_at(token, line);
        Ok(())
    }

    fn skip_blanks(&mut self) {
        while is_blank(self.peek(0)) {
            self.skip(1);
        }
    }

    fn version(&mut self) -> Result<u32, Refused> {
        /// Digits of a version's number that Go's scanner reads.
        const DIGITS_MAX: usize = 2;
        let mut digits = String::new();
        while self.peek(0).is_ascii_digit() && digits.len() <= DIGITS_MAX {
            self.read(&mut digits);
        }
        match digits.parse() {
            Ok(number) if digits.len() <= DIGITS_MAX => Ok(number),
            _ => Err(self.refuse("a YAML version is two numbers with a `.` between")),
        }
    }
}

fn is_alpha(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '_' | '-')
}

fn is_uri(char: char) -> bool {
    is_alpha(char) || ";/?:@&=+$,.!~*'()[]%".contains(char)
}
