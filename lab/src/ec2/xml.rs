//! Writing XML: open, leaf, close, escaped.

use std::fmt::Write as _;

/// A document that grows.
pub(crate) struct Xml(String);

impl Xml {
    pub(crate) fn new() -> Self {
        Self("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned())
    }

    /// The root of EC2's answer to `action`.
    pub(crate) fn answer(action: &str, request_id: &str) -> Self {
        let mut xml = Self::new();
        let _ = write!(
            xml.0,
            "<{action}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">"
        );
        xml.leaf("requestId", request_id);
        xml
    }

    pub(crate) fn open(&mut self, name: &str) -> &mut Self {
        let _ = write!(self.0, "<{name}>");
        self
    }

    pub(crate) fn close(&mut self, name: &str) -> &mut Self {
        let _ = write!(self.0, "</{name}>");
        self
    }

    pub(crate) fn leaf(&mut self, name: &str, text: &str) -> &mut Self {
        self.open(name);
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                other => self.0.push(other),
            }
        }
        self.close(name)
    }

    /// `<name><item>…</item>…</name>`, each item written by `write`.
    pub(crate) fn list<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        self.open(name);
        for item in items {
            self.open("item");
            write(self, item);
            self.close("item");
        }
        self.close(name)
    }

    pub(crate) fn finish(self) -> String {
        self.0
    }
}
