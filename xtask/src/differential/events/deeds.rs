//! What people do at a forge, one thing after the other, as chance makes it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatcher::workflow::happening::HookEvent;
use fastrand::Rng;
use http::Method;
use serde_json::{Value, json};

use super::super::generator::{DEFAULT, pick};
use super::workflows::workflow;

/// Somebody who may only read.
pub const GUEST: &str = "guest";
const BRANCHES: [&str; 4] = ["dev", "feature/x", "feature/deep/y", "v2"];
const WORKFLOWS: [&str; 4] = ["first", "second", "third", "fourth"];
const PLAIN: [&str; 4] = ["src/a.txt", "src/b/c.txt", "docs/d.md", "README.md"];
const TAGS: [&str; 4] = ["v1.0", "v1.1", "v2.0", "odd+tag"];
const PAGES: [&str; 3] = ["Home", "Other", "Third page"];

/// Who does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The owner of the repository.
    Owner,
    /// [`GUEST`].
    Guest,
}

/// One thing.
#[derive(Debug)]
pub struct Deed {
    /// For people.
    pub words: String,
    pub by: By,
    pub method: Method,
    /// Below the repository, or the whole path if it begins with a slash.
    pub path: String,
    pub body: Value,
    /// Events that the forge tells of then.
    pub tells: Vec<HookEvent>,
    after: After,
}

/// What there is then.
#[derive(Debug)]
enum After {
    Same,
    Branch(String),
    BranchGone(String),
    Tag(String),
    TagGone(String),
    Forked,
    ForkBranch(String),
    Pull {
        head: String,
        base: String,
        is_of_fork: bool,
    },
    PullGoes {
        number: u64,
        to: String,
    },
    PullIs {
        number: u64,
        open: bool,
    },
    Merged {
        number: u64,
    },
    Issue,
    IssueGone(u64),
    Comment,
    CommentGone(u64),
    Release,
    ReleaseGone(u64),
    Page(String),
}

#[derive(Debug, Clone)]
struct Pull {
    number: u64,
    head: String,
    base: String,
    is_of_fork: bool,
    open: bool,
    is_merged: bool,
}

/// What there is in the repository, as far as deeds are about it.
#[derive(Debug)]
pub struct History {
    rng: Rng,
    owner: String,
    name: String,
    labels: Vec<u64>,
    milestone: u64,
    is_begun: bool,
    is_forked: bool,
    branches: Vec<String>,
    fork_branches: Vec<String>,
    tags: Vec<String>,
    pulls: Vec<Pull>,
    issues: Vec<u64>,
    comments: Vec<(u64, HookEvent)>,
    releases: Vec<u64>,
    pages: Vec<String>,
    changes: u32,
}

impl History {
    pub fn new(seed: u64, owner: &str, name: &str, labels: Vec<u64>, milestone: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            owner: owner.to_owned(),
            name: name.to_owned(),
            labels,
            milestone,
            is_begun: false,
            is_forked: false,
            branches: Vec::new(),
            fork_branches: Vec::new(),
            tags: Vec::new(),
            pulls: Vec::new(),
            issues: Vec::new(),
            comments: Vec::new(),
            releases: Vec::new(),
            pages: Vec::new(),
            changes: 0,
        }
    }

    /// The next thing.
    pub fn deed(&mut self) -> Deed {
        if !self.is_begun {
            return self.begin();
        }
        if !self.is_forked {
            let path = format!("/repos/{}/{}/forks", self.owner, self.name);
            let mut deed = Deed::new("forks", Method::POST, path, json!({}));
            (deed.by, deed.after) = (By::Guest, After::Forked);
            return deed.telling(&[HookEvent::Fork]);
        }
        loop {
            let deed = match self.rng.u8(..40) {
                0..5 => Some(self.change()),
                5..7 => Some(self.change_fork()),
                7..9 => self.open_pull(),
                9 => self.open_pull_of_fork(),
                10..13 => self.edit_pull(),
                13 => self.merge(),
                14..18 => self.label(),
                18 | 19 => self.assign(),
                20 | 21 => self.set_milestone(),
                22..25 => self.comment(),
                25 => self.change_comment(),
                26 | 27 => self.review(),
                28 => self.ask_for_review(),
                29..31 => Some(self.open_issue()),
                31..33 => self.edit_issue(),
                33 | 34 => self.release(),
                35 => self.change_release(),
                36 => self.tag(),
                37 => self.delete_branch(),
                38 => Some(self.page()),
                _ => self.new_branch(),
            };
            if let Some(deed) = deed {
                return deed;
            }
        }
    }

    /// `deed` was done, and the forge said `answer`.
    pub fn is_done(&mut self, deed: Deed, answer: &Value) {
        let number = answer["number"].as_u64().unwrap_or_default();
        let id = answer["id"].as_u64().unwrap_or_default();
        match deed.after {
            After::Same => {}
            After::Branch(name) => {
                self.is_begun = true;
                self.branches.push(name);
            }
            After::BranchGone(name) => {
                self.branches.retain(|it| *it != name);
                // Those from it are closed, and it may come back as another.
                self.pulls.retain(|it| it.head != name || it.is_of_fork);
            }
            After::Tag(name) => self.tags.push(name),
            After::TagGone(name) => self.tags.retain(|it| *it != name),
            After::Forked => {
                self.is_forked = true;
                self.fork_branches = self.branches.clone();
            }
            After::ForkBranch(name) => self.fork_branches.push(name),
            After::Pull {
                head,
                base,
                is_of_fork,
            } => self.pulls.push(Pull {
                number,
                head,
                base,
                is_of_fork,
                open: true,
                is_merged: false,
            }),
            After::PullGoes { number, to } => {
                if let Some(pull) = self.pull(number) {
                    pull.base = to;
                }
            }
            After::PullIs { number, open } => {
                if let Some(pull) = self.pull(number) {
                    pull.open = open;
                }
            }
            After::Merged { number } => {
                if let Some(pull) = self.pull(number) {
                    (pull.open, pull.is_merged) = (false, true);
                    let moved = pull.base.clone();
                    self.syncs(&moved, false);
                }
            }
            After::Issue => self.issues.push(number),
            // Its comments are gone too, and can't be edited any more.
            After::IssueGone(number) => self.issues.retain(|it| *it != number),
            After::Comment => self.comments.push((id, deed.tells[0])),
            After::CommentGone(id) => self.comments.retain(|it| it.0 != id),
            After::Release => self.releases.push(id),
            After::ReleaseGone(id) => self.releases.retain(|it| *it != id),
            After::Page(name) => self.pages.push(name),
        }
    }

    fn pull(&mut self, number: u64) -> Option<&mut Pull> {
        self.pulls.iter_mut().find(|it| it.number == number)
    }

    fn begin(&mut self) -> Deed {
        let mut files: Vec<Value> = WORKFLOWS[..3]
            .iter()
            .map(|name| self.workflow_file(name))
            .collect();
        files.extend(PLAIN.iter().map(|path| file(path, "plain\n")));
        let body = json!({"files": files, "branch": DEFAULT, "message": "begin"});
        let deed = Deed::new("begins", Method::POST, "contents", body);
        deed.telling(&[HookEvent::Push])
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

    fn change(&mut self) -> Deed {
        let on = some(&mut self.rng, &self.branches).unwrap_or_default();
        let new = pick(&mut self.rng, &BRANCHES).to_owned();
        let mut body = json!({"files": self.files(), "branch": on, "message": self.message()});
        if self.rng.u8(..3) == 0 && !self.branches.contains(&new) {
            body["new_branch"] = json!(new);
            let words = format!("commits to the new branch {new} from {on}");
            return Deed::new(words, Method::POST, "contents", body)
                .telling(&[HookEvent::Push, HookEvent::Create])
                .then(After::Branch(new));
        }
        let words = format!("commits to {on}");
        let mut deed = Deed::new(words, Method::POST, "contents", body);
        deed.tells = vec![HookEvent::Push];
        deed.tells.extend(self.syncs(&on, false));
        deed
    }

    /// What a push to `branch` tells of its pull requests.
    fn syncs(&mut self, branch: &str, is_of_fork: bool) -> Vec<HookEvent> {
        let from = |pull: &Pull| pull.head == branch && pull.is_of_fork == is_of_fork;
        // Of a closed one the forge reads the workflows at the commit that it was closed at, though
        // deliveries tell of the newer one: nothing more is done with it.
        self.pulls.retain(|pull| pull.open || !from(pull));
        let count = self.pulls.iter().filter(|pull| from(pull)).count();
        vec![HookEvent::PullRequestSync; count]
    }

    fn change_fork(&mut self) -> Deed {
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

    fn title(&mut self) -> String {
        self.changes += 1;
        let words = pick(
            &mut self.rng,
            &["title", "title", "title", "[skip ci] title"],
        );
        format!("{words} {}", self.changes)
    }

    fn open_pull(&mut self) -> Option<Deed> {
        let head = some(&mut self.rng, &self.branches)?;
        let base = some(&mut self.rng, &self.branches)?;
        let body = json!({"head": head, "base": base, "title": self.title()});
        let words = format!("opens a pull request of {head} to {base}");
        (head != base).then(|| {
            Deed::new(words, Method::POST, "pulls", body)
                .telling(&[HookEvent::PullRequest])
                .then(After::Pull {
                    head,
                    base,
                    is_of_fork: false,
                })
        })
    }

    fn open_pull_of_fork(&mut self) -> Option<Deed> {
        let head = some(&mut self.rng, &self.fork_branches)?;
        let title = self.title();
        let body = json!({"head": format!("{GUEST}:{head}"), "base": DEFAULT, "title": title});
        let words = format!("opens a pull request of {head} of the fork");
        let deed = Deed::new(words, Method::POST, "pulls", body).by_guest();
        Some(deed.telling(&[HookEvent::PullRequest]).then(After::Pull {
            head,
            base: DEFAULT.to_owned(),
            is_of_fork: true,
        }))
    }

    fn some_pull(&mut self) -> Option<(u64, bool)> {
        let pull = some(&mut self.rng, &self.pulls)?;
        Some((pull.number, pull.open))
    }

    fn edit_pull(&mut self) -> Option<Deed> {
        let Pull {
            number,
            open,
            is_merged,
            ..
        } = some(&mut self.rng, &self.pulls)?;
        let path = format!("pulls/{number}");
        let (body, after) = match self.rng.u8(..4) {
            0 => (json!({"title": self.title()}), After::Same),
            1 => (json!({"body": self.title()}), After::Same),
            2 => {
                let to = some(&mut self.rng, &self.branches)?;
                let body = json!({"base": to});
                let words = format!("turns pull request {number} to {to}");
                // The same one again is no change.
                let deed = Deed::new(words, Method::PATCH, path, body);
                return Some(deed.then(After::PullGoes { number, to }));
            }
            _ if is_merged => return None,
            _ => (
                json!({"state": if open { "closed" } else { "open" }}),
                After::PullIs {
                    number,
                    open: !open,
                },
            ),
        };
        let words = format!("edits pull request {number}: {body}");
        let deed = Deed::new(words, Method::PATCH, path, body);
        Some(deed.telling(&[HookEvent::PullRequest]).then(after))
    }

    fn merge(&mut self) -> Option<Deed> {
        let (number, open) = self.some_pull()?;
        let way = pick(&mut self.rng, &["merge", "squash", "rebase"]);
        let deed = Deed::new(
            format!("merges pull request {number}: {way}"),
            Method::POST,
            format!("pulls/{number}/merge"),
            json!({"Do": way}),
        );
        let tells = [HookEvent::Push, HookEvent::PullRequest];
        open.then(|| deed.telling(&tells).then(After::Merged { number }))
    }

    /// An issue or a pull request.
    fn some_topic(&mut self) -> Option<u64> {
        let numbers = self.pulls.iter().map(|pull| pull.number);
        let numbers: Vec<u64> = numbers.chain(self.issues.iter().copied()).collect();
        some(&mut self.rng, &numbers)
    }

    fn label(&mut self) -> Option<Deed> {
        let number = self.some_topic()?;
        let label = self.labels[self.rng.usize(..self.labels.len())];
        let path = format!("issues/{number}/labels");
        let (method, path, body) = match self.rng.u8(..5) {
            0 | 1 => (Method::POST, path, json!({"labels": [label]})),
            2 => (Method::PUT, path, json!({"labels": [label]})),
            3 => (Method::DELETE, format!("{path}/{label}"), Value::Null),
            _ => (Method::DELETE, path, Value::Null),
        };
        let words = format!("{method} labels of {number}: {body}");
        Some(Deed::new(words, method, path, body))
    }

    fn assign(&mut self) -> Option<Deed> {
        let number = self.some_topic()?;
        let who = if self.rng.bool() {
            vec![self.owner.clone()]
        } else {
            Vec::new()
        };
        let words = format!("assigns {number} to {who:?}");
        let body = json!({"assignees": who});
        let path = format!("issues/{number}");
        Some(Deed::new(words, Method::PATCH, path, body))
    }

    fn set_milestone(&mut self) -> Option<Deed> {
        let number = self.some_topic()?;
        let milestone = if self.rng.bool() { self.milestone } else { 0 };
        let words = format!("gives {number} the milestone {milestone}");
        let body = json!({"milestone": milestone});
        let path = format!("issues/{number}");
        Some(Deed::new(words, Method::PATCH, path, body))
    }

    fn comment(&mut self) -> Option<Deed> {
        let number = self.some_topic()?;
        let body = json!({"body": self.title()});
        let path = format!("issues/{number}/comments");
        let words = format!("comments on {number}");
        let mut deed = Deed::new(words, Method::POST, path, body);
        if self.rng.bool() {
            deed.by = By::Guest;
        }
        let event = if self.issues.contains(&number) {
            HookEvent::IssueComment
        } else {
            HookEvent::PullRequestComment
        };
        Some(deed.telling(&[event]).then(After::Comment))
    }

    fn change_comment(&mut self) -> Option<Deed> {
        let (id, event) = some(&mut self.rng, &self.comments)?;
        let path = format!("issues/comments/{id}");
        let deed = if self.rng.bool() {
            let body = json!({"body": self.title()});
            Deed::new("edits a comment", Method::PATCH, path, body)
        } else {
            let deed = Deed::new("deletes a comment", Method::DELETE, path, Value::Null);
            deed.then(After::CommentGone(id))
        };
        Some(deed.telling(&[event]))
    }

    fn review(&mut self) -> Option<Deed> {
        let (number, open) = self.some_pull()?;
        let (verdict, event) = match self.rng.u8(..3) {
            0 => ("APPROVED", HookEvent::PullRequestReviewApproved),
            1 => ("REQUEST_CHANGES", HookEvent::PullRequestReviewRejected),
            _ => ("COMMENT", HookEvent::PullRequestReviewComment),
        };
        let body = json!({"event": verdict, "body": self.title()});
        let words = format!("reviews pull request {number}: {verdict}");
        let path = format!("pulls/{number}/reviews");
        let mut deed = Deed::new(words, Method::POST, path, body);
        if self.rng.bool() {
            deed.by = By::Guest;
        }
        open.then(|| deed.telling(&[event]))
    }

    fn ask_for_review(&mut self) -> Option<Deed> {
        let (number, _) = self.some_pull()?;
        let method = pick(&mut self.rng, &["POST", "DELETE"]);
        let who = if self.rng.bool() { GUEST } else { &self.owner };
        let words = format!("{method} {who} as reviewer of pull request {number}");
        let method = if method == "POST" {
            Method::POST
        } else {
            Method::DELETE
        };
        let body = json!({"reviewers": [who]});
        let path = format!("pulls/{number}/requested_reviewers");
        Some(Deed::new(words, method, path, body))
    }

    fn open_issue(&mut self) -> Deed {
        let mut body = json!({"title": self.title()});
        if self.rng.u8(..3) == 0 {
            body["labels"] = json!([self.labels[0]]);
        }
        let mut deed = Deed::new("opens an issue", Method::POST, "issues", body);
        if self.rng.u8(..3) == 0 {
            deed.by = By::Guest;
        }
        deed.telling(&[HookEvent::Issues]).then(After::Issue)
    }

    fn edit_issue(&mut self) -> Option<Deed> {
        let number = some(&mut self.rng, &self.issues)?;
        if self.rng.u8(..8) == 0 {
            let words = format!("deletes issue {number}");
            let path = format!("issues/{number}");
            let deed = Deed::new(words, Method::DELETE, path, Value::Null);
            let tells = [HookEvent::Issues];
            return Some(deed.telling(&tells).then(After::IssueGone(number)));
        }
        let body = match self.rng.u8(..4) {
            0 => json!({"title": self.title()}),
            1 => json!({"body": self.title()}),
            2 => json!({"state": "closed"}),
            _ => json!({"state": "open"}),
        };
        let words = format!("edits issue {number}: {body}");
        let path = format!("issues/{number}");
        Some(Deed::new(words, Method::PATCH, path, body))
    }

    fn release(&mut self) -> Option<Deed> {
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

    fn change_release(&mut self) -> Option<Deed> {
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

    fn tag(&mut self) -> Option<Deed> {
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
        let tells = [HookEvent::Push, HookEvent::Create];
        Some(deed.telling(&tells).then(After::Tag(tag)))
    }

    fn new_branch(&mut self) -> Option<Deed> {
        let new = pick(&mut self.rng, &BRANCHES).to_owned();
        let from = some(&mut self.rng, &self.branches)?;
        let body = json!({"new_branch_name": new, "old_branch_name": from});
        let words = format!("makes the branch {new} from {from}");
        let deed = Deed::new(words, Method::POST, "branches", body);
        let tells = [HookEvent::Push, HookEvent::Create];
        let is_new = !self.branches.contains(&new);
        is_new.then(|| deed.telling(&tells).then(After::Branch(new)))
    }

    fn delete_branch(&mut self) -> Option<Deed> {
        let name = some(&mut self.rng, &self.branches)?;
        let path = format!("branches/{name}");
        let words = format!("deletes the branch {name}");
        let deed = Deed::new(words, Method::DELETE, path, Value::Null);
        (name != DEFAULT).then(|| {
            deed.telling(&[HookEvent::Delete])
                .then(After::BranchGone(name))
        })
    }

    fn page(&mut self) -> Deed {
        let name = pick(&mut self.rng, &PAGES).to_owned();
        let body = json!({"title": name, "content_base64": STANDARD.encode(self.title())});
        if self.pages.contains(&name) {
            let path = format!("wiki/page/{}", name.replace(' ', "%20"));
            if self.rng.u8(..3) == 0 {
                self.pages.retain(|it| *it != name);
                let deed = Deed::new("deletes a page", Method::DELETE, path, Value::Null);
                return deed.telling(&[HookEvent::Wiki]);
            }
            let deed = Deed::new("edits a page", Method::PATCH, path, body);
            return deed.telling(&[HookEvent::Wiki]);
        }
        Deed::new("writes a page", Method::POST, "wiki/new", body)
            .telling(&[HookEvent::Wiki])
            .then(After::Page(name))
    }
}

impl Deed {
    fn new(words: impl Into<String>, method: Method, path: impl Into<String>, body: Value) -> Self {
        Self {
            words: words.into(),
            by: By::Owner,
            method,
            path: path.into(),
            body,
            tells: Vec::new(),
            after: After::Same,
        }
    }

    fn by_guest(self) -> Self {
        Self {
            by: By::Guest,
            ..self
        }
    }

    fn telling(self, tells: &[HookEvent]) -> Self {
        Self {
            tells: tells.to_vec(),
            ..self
        }
    }

    fn then(self, after: After) -> Self {
        Self { after, ..self }
    }
}

fn some<T: Clone>(rng: &mut Rng, of: &[T]) -> Option<T> {
    (!of.is_empty()).then(|| of[rng.usize(..of.len())].clone())
}

fn file(path: &str, text: &str) -> Value {
    json!({"operation": "upload", "path": path, "content": STANDARD.encode(text)})
}
