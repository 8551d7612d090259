//! git's own import format: a push's objects in one process, whatever their number.

use std::fmt::Write as _;

use super::generator::files::Files;

/// Commits need some ref while they are made; no push sends it.
const REF: &str = "refs/scratch/made";
const WHO: &str = "labadmin <labadmin@forge.lab>";
/// The first commit's time; each is a second later, so that a seed makes the same objects.
const BEGIN_S: u64 = 1_700_000_000;

/// An object by the number under which it was made; numbers hold over all streams of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark(pub(crate) u32);

/// What `git fast-import` reads.
#[derive(Debug, Default)]
pub(crate) struct Stream(Vec<u8>);

impl Stream {
    /// Begins a commit; its files follow.
    pub(crate) fn commit(&mut self, mark: Mark, number: u32, message: &str, parents: &[Mark]) {
        // From nothing: the ref may stand where another stream left it.
        let mut head = format!("reset {REF}\n\ncommit {REF}\nmark :{}\n", mark.0);
        let time = BEGIN_S + u64::from(number);
        let _ = writeln!(
            head,
            "author {WHO} {time} +0000\ncommitter {WHO} {time} +0000"
        );
        let _ = writeln!(head, "data {}\n{message}", message.len());
        for (at, parent) in parents.iter().enumerate() {
            let word = if at == 0 { "from" } else { "merge" };
            let _ = writeln!(head, "{word} :{}", parent.0);
        }
        self.0.extend(head.as_bytes());
    }

    /// The files of the commit that was begun: these and no others.
    pub(crate) fn files(&mut self, files: &Files) {
        self.0.extend(b"deleteall\n");
        for (path, file) in files {
            let path = quoted(path);
            if file.mode == "160000" {
                let commit = String::from_utf8_lossy(&file.bytes);
                self.0
                    .extend(format!("M 160000 {commit} {path}\n").as_bytes());
                continue;
            }
            self.0.extend(
                format!("M {} inline {path}\ndata {}\n", file.mode, file.bytes.len()).as_bytes(),
            );
            self.0.extend(&*file.bytes);
            self.0.push(b'\n');
        }
        self.0.push(b'\n');
    }

    /// An annotated tag of `to`, which may be one itself.
    pub(crate) fn tag(&mut self, mark: Mark, name: &str, to: Mark) -> Mark {
        let message = format!("tag {name}");
        let text = format!(
            "tag {name}\nmark :{}\nfrom :{}\ntagger {WHO} {BEGIN_S} +0000\ndata {}\n{message}\n",
            mark.0,
            to.0,
            message.len()
        );
        self.0.extend(text.as_bytes());
        mark
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// A path as the format has it where it is more than plain letters.
fn quoted(path: &str) -> String {
    let mut out = String::from("\"");
    for byte in path.bytes() {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            0x20..0x7f => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\{byte:03o}");
            }
        }
    }
    out.push('"');
    out
}
