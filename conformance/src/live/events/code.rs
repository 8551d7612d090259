//! What is done to the code: commits, branches, tags, releases, pages of the wiki.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};
use workflow::event::EventKind;

use super::super::generator::{DEFAULT, pick, some};
use super::history::History;
use super::operation::{After, GUEST, Operation};
use super::workflows::workflow;

const BRANCHES: [&str; 4] = ["dev", "feature/x", "feature/deep/y", "v2"];
const WORKFLOWS: [&str; 4] = ["first", "second", "third", "fourth"];
const PLAIN: [&str; 4] = ["src/a.txt", "src/b/c.txt", "docs/d.md", "README.md"];
const TAGS: [&str; 4] = ["v1.0", "v1.1", "v2.0", "odd+tag"];
const PAGES: [&str; 3] = ["Home", "Other", "Third page"];

impl History {
    pub(super) fn begin(&mut self) -> Operation {
        let mut files: Vec<Value> = WORKFLOWS[..3]
            .iter()
            .map(|name| self.workflow_file(name))
            .collect();
        files.extend(PLAIN.iter().map(|path| file(path, "plain\n")));
        let body = json!({"files": files, "branch": DEFAULT, "message": "begin"});
        let operation = Operation::new("begins", Method::POST, "contents", body);
        operation
            .telling(&[EventKind::Push])
            .then(After::Branch(DEFAULT.to_owned()))
    }

    fn workflow_file(&mut self, name: &str) -> Value {
        let text = workflow(&mut self.rng, name);
        self.changes += 1;
        let text = format!("{text}# change {}\n", self.changes);
        file(&format!(".gitea/workflows/{name}.yml"), &text)
    }

    /// The changes of one commit.
    fn files(&mut self) -> Vec<Value> {
        let mut files = Vec::new();
        if self.rng.bool() {
            let name = pick(&mut self.rng, &WORKFLOWS);
            files.push(self.workflow_file(name));
        }
        if files.is_empty() || self.rng.bool() {
            self.changes += 1;
            let path = pick(&mut self.rng, &PLAIN);
            files.push(file(path, &format!("change {}\n", self.changes)));
        }
        files
    }

    fn message(&mut self) -> &'static str {
        match self.rng.u8(..10) {
            0 => "[skip ci] a",
            1 => "[no ci] b",
            _ => "c",
        }
    }

    pub(super) fn change(&mut self) -> Operation {
        let on = some(&mut self.rng, &self.branches).unwrap_or_default();
        let new = pick(&mut self.rng, &BRANCHES).to_owned();
        let mut body = json!({"files": self.files(), "branch": on, "message": self.message()});
        if self.rng.u8(..3) == 0 && !self.branches.contains(&new) {
            body["new_branch"] = json!(new);
            let words = format!("commits to the new branch {new} from {on}");
            return Operation::new(words, Method::POST, "contents", body)
                .telling(&[EventKind::Push, EventKind::Create])
                .then(After::Branch(new));
        }
        let words = format!("commits to {on}");
        let mut operation = Operation::new(words, Method::POST, "contents", body);
        operation.tells = vec![EventKind::Push];
        operation.tells.extend(self.syncs(&on, false));
        operation
    }

    pub(super) fn change_fork(&mut self) -> Operation {
        let on = some(&mut self.rng, &self.fork_branches).unwrap_or_default();
        let new = pick(&mut self.rng, &BRANCHES).to_owned();
        let mut body = json!({"files": self.files(), "branch": on, "message": self.message()});
        let path = format!("/repos/{GUEST}/{}/contents", self.name);
        let is_new = self.rng.bool() && !self.fork_branches.contains(&new);
        if is_new {
            body["new_branch"] = json!(new);
        }
        let words = format!("commits to {on} of the fork");
        let mut operation = Operation::new(words, Method::POST, path, body).by_guest();
        if is_new {
            operation.after = After::ForkBranch(new);
        } else {
            operation.tells = self.syncs(&on, true);
        }
        operation
    }

    pub(super) fn release(&mut self) -> Option<Operation> {
        let tag = pick(&mut self.rng, &TAGS).to_owned();
        let at = some(&mut self.rng, &self.branches)?;
        let is_draft = self.rng.u8(..4) == 0;
        let body = json!({
            "tag_name": tag,
            "target_commitish": at,
            "name": self.title(),
            "draft": is_draft,
            "prerelease": self.rng.u8(..4) == 0,
        });
        let words = format!("releases {tag} at {at}, draft: {is_draft}");
        let operation = Operation::new(words, Method::POST, "releases", body);
        Some(operation.then(After::Release))
    }

    pub(super) fn change_release(&mut self) -> Option<Operation> {
        let id = some(&mut self.rng, &self.releases)?;
        let path = format!("releases/{id}");
        Some(match self.rng.u8(..3) {
            0 => Operation::new("deletes a release", Method::DELETE, path, Value::Null)
                .then(After::ReleaseGone(id)),
            1 => {
                let body = json!({"draft": false});
                Operation::new("publishes a release", Method::PATCH, path, body)
            }
            _ => {
                let body = json!({"name": self.title()});
                Operation::new("edits a release", Method::PATCH, path, body)
            }
        })
    }

    pub(super) fn tag(&mut self) -> Option<Operation> {
        if self.rng.u8(..3) == 0 {
            let tag = some(&mut self.rng, &self.tags)?;
            let path = format!("tags/{}", tag.replace('+', "%2B"));
            let words = format!("deletes the tag {tag}");
            let operation = Operation::new(words, Method::DELETE, path, Value::Null);
            return Some(operation.then(After::TagGone(tag)));
        }
        let tag = pick(&mut self.rng, &TAGS).to_owned();
        let at = some(&mut self.rng, &self.branches)?;
        let mut body = json!({"tag_name": tag, "target": at});
        if self.rng.bool() {
            body["message"] = json!("annotated");
        }
        let words = format!("tags {at} as {tag}: {body}");
        let operation = Operation::new(words, Method::POST, "tags", body);
        let tells = [EventKind::Push, EventKind::Create];
        Some(operation.telling(&tells).then(After::Tag(tag)))
    }

    pub(super) fn new_branch(&mut self) -> Option<Operation> {
        let new = pick(&mut self.rng, &BRANCHES).to_owned();
        let from = some(&mut self.rng, &self.branches)?;
        let body = json!({"new_branch_name": new, "old_branch_name": from});
        let words = format!("makes the branch {new} from {from}");
        let operation = Operation::new(words, Method::POST, "branches", body);
        let tells = [EventKind::Push, EventKind::Create];
        let is_new = !self.branches.contains(&new);
        is_new.then(|| operation.telling(&tells).then(After::Branch(new)))
    }

    pub(super) fn delete_branch(&mut self) -> Option<Operation> {
        let name = some(&mut self.rng, &self.branches)?;
        let path = format!("branches/{name}");
        let words = format!("deletes the branch {name}");
        let operation = Operation::new(words, Method::DELETE, path, Value::Null);
        (name != DEFAULT).then(|| {
            operation
                .telling(&[EventKind::Delete])
                .then(After::BranchGone(name))
        })
    }

    pub(super) fn page(&mut self) -> Operation {
        let name = pick(&mut self.rng, &PAGES).to_owned();
        let body = json!({"title": name, "content_base64": STANDARD.encode(self.title())});
        if self.pages.contains(&name) {
            let path = format!("wiki/page/{}", name.replace(' ', "%20"));
            if self.rng.u8(..3) == 0 {
                self.pages.retain(|it| *it != name);
                let operation = Operation::new("deletes a page", Method::DELETE, path, Value::Null);
                return operation.telling(&[EventKind::Wiki]);
            }
            let operation = Operation::new("edits a page", Method::PATCH, path, body);
            return operation.telling(&[EventKind::Wiki]);
        }
        Operation::new("writes a page", Method::POST, "wiki/new", body)
            .telling(&[EventKind::Wiki])
            .then(After::Page(name))
    }
}

fn file(path: &str, text: &str) -> Value {
    json!({"operation": "upload", "path": path, "content": STANDARD.encode(text)})
}
