//! What is done to the code: commits, branches, tags, releases, pages of the wiki.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};
use workflow::event::EventKind;

use super::super::generator::{DEFAULT, pick};
use super::deed::{After, Deed, GUEST};
use super::history::{History, some};
use super::workflows::workflow;

const BRANCHES: [&str; 4] = ["dev", "feature/x", "feature/deep/y", "v2"];
const WORKFLOWS: [&str; 4] = ["first", "second", "third", "fourth"];
const PLAIN: [&str; 4] = ["src/a.txt", "src/b/c.txt", "docs/d.md", "README.md"];
const TAGS: [&str; 4] = ["v1.0", "v1.1", "v2.0", "odd+tag"];
const PAGES: [&str; 3] = ["Home", "Other", "Third page"];

impl History {
    pub(super) fn begin(&mut self) -> Deed {
        let mut files: Vec<Value> = WORKFLOWS[..3]
            .iter()
            .map(|name| self.workflow_file(name))
            .collect();
        files.extend(PLAIN.iter().map(|path| file(path, "plain\n")));
        let body = json!({"files": files, "branch": DEFAULT, "message": "begin"});
        let deed = Deed::new("begins", Method::POST, "contents", body);
        deed.telling(&[EventKind::Push])
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
        pick(
            &mut self.rng,
            &[
                "a",
                "b",
                "c",
                "d",
                "e",
                "f",
                "g",
                "h",
                "[skip ci] i",
                "[no ci] j",
            ],
        )
    }

    pub(super) fn change(&mut self) -> Deed {
        let on = some(&mut self.rng, &self.branches).unwrap_or_default();
        let new = pick(&mut self.rng, &BRANCHES).to_owned();
        let mut body = json!({"files": self.files(), "branch": on, "message": self.message()});
        if self.rng.u8(..3) == 0 && !self.branches.contains(&new) {
            body["new_branch"] = json!(new);
            let words = format!("commits to the new branch {new} from {on}");
            return Deed::new(words, Method::POST, "contents", body)
                .telling(&[EventKind::Push, EventKind::Create])
                .then(After::Branch(new));
        }
        let words = format!("commits to {on}");
        let mut deed = Deed::new(words, Method::POST, "contents", body);
        deed.tells = vec![EventKind::Push];
        deed.tells.extend(self.syncs(&on, false));
        deed
    }

    pub(super) fn change_fork(&mut self) -> Deed {
        let on = some(&mut self.rng, &self.fork_branches).unwrap_or_default();
        let new = pick(&mut self.rng, &BRANCHES).to_owned();
        let mut body = json!({"files": self.files(), "branch": on, "message": self.message()});
        let path = format!("/repos/{GUEST}/{}/contents", self.name);
        let is_new = self.rng.bool() && !self.fork_branches.contains(&new);
        if is_new {
            body["new_branch"] = json!(new);
        }
        let words = format!("commits to {on} of the fork");
        let mut deed = Deed::new(words, Method::POST, path, body).by_guest();
        if is_new {
            deed.after = After::ForkBranch(new);
        } else {
            deed.tells = self.syncs(&on, true);
        }
        deed
    }

    pub(super) fn release(&mut self) -> Option<Deed> {
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
        let deed = Deed::new(words, Method::POST, "releases", body);
        Some(deed.then(After::Release))
    }

    pub(super) fn change_release(&mut self) -> Option<Deed> {
        let id = some(&mut self.rng, &self.releases)?;
        let path = format!("releases/{id}");
        Some(match self.rng.u8(..3) {
            0 => Deed::new("deletes a release", Method::DELETE, path, Value::Null)
                .then(After::ReleaseGone(id)),
            1 => {
                let body = json!({"draft": false});
                Deed::new("publishes a release", Method::PATCH, path, body)
            }
            _ => {
                let body = json!({"name": self.title()});
                Deed::new("edits a release", Method::PATCH, path, body)
            }
        })
    }

    pub(super) fn tag(&mut self) -> Option<Deed> {
        if self.rng.u8(..3) == 0 {
            let tag = some(&mut self.rng, &self.tags)?;
            let path = format!("tags/{}", tag.replace('+', "%2B"));
            let words = format!("deletes the tag {tag}");
            let deed = Deed::new(words, Method::DELETE, path, Value::Null);
            return Some(deed.then(After::TagGone(tag)));
        }
        let tag = pick(&mut self.rng, &TAGS).to_owned();
        let at = some(&mut self.rng, &self.branches)?;
        let mut body = json!({"tag_name": tag, "target": at});
        if self.rng.bool() {
            body["message"] = json!("annotated");
        }
        let words = format!("tags {at} as {tag}: {body}");
        let deed = Deed::new(words, Method::POST, "tags", body);
        let tells = [EventKind::Push, EventKind::Create];
        Some(deed.telling(&tells).then(After::Tag(tag)))
    }

    pub(super) fn new_branch(&mut self) -> Option<Deed> {
        let new = pick(&mut self.rng, &BRANCHES).to_owned();
        let from = some(&mut self.rng, &self.branches)?;
        let body = json!({"new_branch_name": new, "old_branch_name": from});
        let words = format!("makes the branch {new} from {from}");
        let deed = Deed::new(words, Method::POST, "branches", body);
        let tells = [EventKind::Push, EventKind::Create];
        let is_new = !self.branches.contains(&new);
        is_new.then(|| deed.telling(&tells).then(After::Branch(new)))
    }

    pub(super) fn delete_branch(&mut self) -> Option<Deed> {
        let name = some(&mut self.rng, &self.branches)?;
        let path = format!("branches/{name}");
        let words = format!("deletes the branch {name}");
        let deed = Deed::new(words, Method::DELETE, path, Value::Null);
        (name != DEFAULT).then(|| {
            deed.telling(&[EventKind::Delete])
                .then(After::BranchGone(name))
        })
    }

    pub(super) fn page(&mut self) -> Deed {
        let name = pick(&mut self.rng, &PAGES).to_owned();
        let body = json!({"title": name, "content_base64": STANDARD.encode(self.title())});
        if self.pages.contains(&name) {
            let path = format!("wiki/page/{}", name.replace(' ', "%20"));
            if self.rng.u8(..3) == 0 {
                self.pages.retain(|it| *it != name);
                let deed = Deed::new("deletes a page", Method::DELETE, path, Value::Null);
                return deed.telling(&[EventKind::Wiki]);
            }
            let deed = Deed::new("edits a page", Method::PATCH, path, body);
            return deed.telling(&[EventKind::Wiki]);
        }
        Deed::new("writes a page", Method::POST, "wiki/new", body)
            .telling(&[EventKind::Wiki])
            .then(After::Page(name))
    }
}

fn file(path: &str, text: &str) -> Value {
    json!({"operation": "upload", "path": path, "content": STANDARD.encode(text)})
}
