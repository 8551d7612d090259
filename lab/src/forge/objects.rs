//! Objects of a repository as the API shows them: trees, blobs and commits, read by git.

use std::path::Path;

use bytes::Bytes;

use super::git_command::{command, git, run};

/// What stands in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TreeLine {
    pub(super) mode: String,
    /// `tree`, `blob` or `commit`.
    pub(super) kind: String,
    pub(super) id: String,
    /// 0 for anything but a blob.
    pub(super) size: u64,
    pub(super) path: String,
}

/// A commit's own lines and words.
#[derive(Debug)]
pub(super) struct CommitText {
    pub(super) parents: Vec<String>,
    pub(super) message: String,
}

/// Whether `text` is the whole name of an object. Only such texts, and [`tip`]'s, reach git.
fn is_object(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The commit of a branch or tag, or the object itself.
pub(super) async fn tip(folder: &Path, name: &str) -> Option<String> {
    if is_object(name) {
        return Some(name.to_owned());
    }
    for kind in ["heads", "tags"] {
        let list = git(
            folder,
            &["for-each-ref", "--format=%(objectname) %(refname)"],
        )
        .await;
        let wanted = format!("refs/{kind}/{name}");
        let found = list.ok()?.lines().find_map(|line| {
            let (id, name) = line.split_once(' ')?;
            (name == wanted).then(|| id.to_owned())
        });
        if found.is_some() {
            return found;
        }
    }
    None
}

/// What a tag's object leads to; any other object itself.
pub(super) async fn peeled(folder: &Path, id: &str) -> Option<String> {
    if !is_object(id) {
        return None;
    }
    let peeled = git(folder, &["rev-parse", "--verify", &format!("{id}^{{}}")]).await;
    peeled.ok().map(|id| id.trim().to_owned())
}

/// The tree of a tree or commit: its own entries, or all below it, folders too.
pub(super) async fn tree(folder: &Path, id: &str, recursive: bool) -> Option<Vec<TreeLine>> {
    if !is_object(id) {
        return None;
    }
    let mut args = vec!["ls-tree", "-z", "-l"];
    args.extend(if recursive { &["-r", "-t"][..] } else { &[] });
    args.push(id);
    let list = git(folder, &args).await.ok()?;
    list.split_terminator('\0').map(tree_line).collect()
}

/// `MODE TYPE ID SIZE\tPATH`, where the size stands right.
fn tree_line(line: &str) -> Option<TreeLine> {
    let (head, path) = line.split_once('\t')?;
    let mut words = head.split_whitespace();
    let mut next = || words.next().map(str::to_owned);
    Some(TreeLine {
        mode: next()?,
        kind: next()?,
        id: next()?,
        size: next()?.parse().unwrap_or_default(),
        path: path.to_owned(),
    })
}

/// The bytes of a blob.
pub(super) async fn blob(folder: &Path, id: &str) -> Option<Vec<u8>> {
    if !is_object(id) {
        return None;
    }
    let show = command(folder, &["cat-file", "blob", id]);
    run(show, "cat-file", Bytes::new()).await.ok()
}

/// The text of a commit.
pub(super) async fn commit(folder: &Path, id: &str) -> Option<CommitText> {
    if !is_object(id) {
        return None;
    }
    let raw = git(folder, &["cat-file", "commit", id]).await.ok()?;
    let (head, message) = raw.split_once("\n\n")?;
    let parents = head.lines().filter_map(|line| line.strip_prefix("parent "));
    Some(CommitText {
        parents: parents.map(str::to_owned).collect(),
        message: message.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_tree_has_any_path() {
        let id = "440b1e226ee8459abc1a4deb1f9612a387a78859";
        let line = tree_line(&format!("100644 blob {id}     126\ta b+\tä.yml")).unwrap();
        assert_eq!((line.size, line.path.as_str()), (126, "a b+\tä.yml"));
        let line = tree_line(&format!("040000 tree {id}       -\tdeep")).unwrap();
        assert_eq!((line.size, line.kind.as_str()), (0, "tree"));
        assert_eq!(tree_line("040000 tree"), None);
    }
}
