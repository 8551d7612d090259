//! What there is in the repository, and what is done next: as chance makes it.

use fastrand::Rng;
use http::Method;
use serde_json::{Value, json};
use workflow::event::EventKind;

use super::super::generator::{pick, some};
use super::operation::{After, Operation};

#[derive(Debug, Clone)]
pub(crate) struct Pull {
    pub(crate) number: u64,
    pub(crate) head: String,
    pub(crate) base: String,
    pub(crate) is_of_fork: bool,
    pub(crate) open: bool,
    pub(crate) is_merged: bool,
}

/// What there is in the repository, as far as operations need it.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) rng: Rng,
    pub(crate) owner: String,
    pub(crate) name: String,
    pub(crate) labels: Vec<u64>,
    pub(crate) milestone: u64,
    pub(crate) is_begun: bool,
    pub(crate) is_forked: bool,
    pub(crate) branches: Vec<String>,
    pub(crate) fork_branches: Vec<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) pulls: Vec<Pull>,
    pub(crate) issues: Vec<u64>,
    pub(crate) comments: Vec<(u64, EventKind)>,
    pub(crate) releases: Vec<u64>,
    pub(crate) pages: Vec<String>,
    pub(crate) changes: u32,
}

impl History {
    pub(crate) fn new(
        seed: u64,
        owner: &str,
        name: &str,
        labels: Vec<u64>,
        milestone: u64,
    ) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            owner: owner.to_owned(),
            name: name.to_owned(),
            labels,
            milestone,
            ..Self::default()
        }
    }

    pub(crate) fn operation(&mut self) -> Operation {
        if !self.is_begun {
            return self.begin();
        }
        if !self.is_forked {
            let path = format!("/repos/{}/{}/forks", self.owner, self.name);
            let operation = Operation::new("forks", Method::POST, path, json!({})).by_guest();
            return operation.telling(&[EventKind::Fork]).then(After::Forked);
        }
        loop {
            let operation = match self.rng.u8(..40) {
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
            if let Some(operation) = operation {
                return operation;
            }
        }
    }

    /// `operation` was done, and the forge said `answer`.
    pub(crate) fn is_done(&mut self, operation: Operation, answer: &Value) {
        let number = answer["number"].as_u64().unwrap_or_default();
        let id = answer["id"].as_u64().unwrap_or_default();
        match operation.after {
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
            After::Pull(head, base, is_of_fork) => self.pulls.push(Pull {
                number,
                head,
                base,
                is_of_fork,
                open: true,
                is_merged: false,
            }),
            After::PullGoesTo(number, to) => {
                if let Some(pull) = self.pull(number) {
                    pull.base = to;
                }
            }
            After::PullIsOpen(number, open) => {
                if let Some(pull) = self.pull(number) {
                    pull.open = open;
                }
            }
            After::Merged(number) => {
                if let Some(pull) = self.pull(number) {
                    (pull.open, pull.is_merged) = (false, true);
                    let moved = pull.base.clone();
                    self.syncs(&moved, false);
                }
            }
            After::Issue => self.issues.push(number),
            // Its comments are gone too, and can't be edited any more.
            After::IssueGone(number) => self.issues.retain(|it| *it != number),
            After::Comment => self.comments.push((id, operation.tells[0])),
            After::CommentGone(id) => self.comments.retain(|it| it.0 != id),
            After::Release => self.releases.push(id),
            After::ReleaseGone(id) => self.releases.retain(|it| *it != id),
            After::Page(name) => self.pages.push(name),
        }
    }

    pub(super) fn pull(&mut self, number: u64) -> Option<&mut Pull> {
        self.pulls.iter_mut().find(|it| it.number == number)
    }

    /// What a push to `branch` tells of its pull requests.
    pub(super) fn syncs(&mut self, branch: &str, is_of_fork: bool) -> Vec<EventKind> {
        let from = |pull: &Pull| pull.head == branch && pull.is_of_fork == is_of_fork;
        // Of a closed one the forge reads the workflows at the commit that it was closed at, though
        // deliveries tell of the newer one: nothing more is done with it.
        self.pulls.retain(|pull| pull.open || !from(pull));
        let count = self.pulls.iter().filter(|pull| from(pull)).count();
        vec![EventKind::PullRequestSync; count]
    }

    pub(super) fn title(&mut self) -> String {
        self.changes += 1;
        let words = pick(
            &mut self.rng,
            &["title", "title", "title", "[skip ci] title"],
        );
        format!("{words} {}", self.changes)
    }

    pub(super) fn some_pull(&mut self) -> Option<(u64, bool)> {
        let pull = some(&mut self.rng, &self.pulls)?;
        Some((pull.number, pull.open))
    }

    pub(super) fn some_topic(&mut self) -> Option<u64> {
        let numbers = self.pulls.iter().map(|pull| pull.number);
        let numbers: Vec<u64> = numbers.chain(self.issues.iter().copied()).collect();
        some(&mut self.rng, &numbers)
    }
}
