//! What is pushed: a repository's history as chance makes it, the same for the same seed.

pub(crate) mod expression;
pub(crate) mod files;
mod matrix;
mod pattern;
pub(crate) mod triggers;
pub(crate) mod workflow;
pub(crate) mod yaml;

use std::collections::BTreeMap;

use fastrand::Rng;

use super::stream::{Mark, Stream};
use files::Files;

pub(crate) const DEFAULT: &str = "main";
/// A commit without files: it starts nothing anywhere.
pub(crate) const NOTHING: Mark = Mark(1);
/// Branches that may be there.
pub(crate) const BRANCHES: [&str; 12] = [
    DEFAULT,
    "dev",
    "feature/x",
    "feature/deep/y",
    "release/1.0",
    "v1",
    "fix+1",
    "ünïcode",
    "Main",
    "a.b-c_d",
    "docs",
    "!bang",
];
/// Tags that may be there.
pub(crate) const TAGS: [&str; 11] = [
    "v1",
    "v1.0.0",
    "v1.10.2",
    "v2.0",
    "release/1",
    "beta+1",
    "ü-1",
    "main-1",
    "feature/x",
    "V1",
    "2024",
];
/// In a tenth of the messages. The forge looks for the first five, as they are written.
const SKIPS: [&str; 8] = [
    "[skip ci]",
    "[ci skip]",
    "[no ci]",
    "[skip actions]",
    "[actions skip]",
    "[SKIP CI]",
    "skip ci",
    "[skip-ci]",
];
/// More than the forge lists in a delivery (five), and than it looks back at a new branch (ten).
const MANY_COMMITS: usize = 25;
/// Refs of one push.
const REFS_MAX: usize = 4;

/// One of them.
pub(crate) fn pick<'a>(rng: &mut Rng, from: &[&'a str]) -> &'a str {
    from[rng.usize(..from.len())]
}

/// One of these, if there is any.
pub(crate) fn some<T: Clone>(rng: &mut Rng, of: &[T]) -> Option<T> {
    (!of.is_empty()).then(|| of[rng.usize(..of.len())].clone())
}

/// A commit as far as the next ones depend on it.
#[derive(Debug, Clone)]
struct Tip {
    commit: Mark,
    files: Files,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) name: String,
    /// Where it shall be; `None`: deleted.
    pub(crate) to: Option<Mark>,
}

/// Somebody disables a workflow on the forge's page, or enables those that are disabled.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Switch {
    Off(&'static str),
    On,
    #[default]
    Not,
}

#[derive(Debug, Default)]
pub(crate) struct Push {
    pub(crate) stream: Stream,
    /// Where refs go, each once.
    pub(crate) moves: Vec<Move>,
    /// A pull request that is opened after it: from this branch to the default one.
    pub(crate) pull: Option<String>,
    /// What happens to workflows before it.
    pub(crate) switch: Switch,
    /// What it is, for people.
    pub(crate) words: Vec<String>,
}

/// A repository's state and the chance that goes on from it.
#[derive(Debug)]
pub(crate) struct Generator {
    rng: Rng,
    branches: BTreeMap<String, Tip>,
    /// With every commit that a branch once had: force pushes go back to them.
    past: Vec<Tip>,
    tags: BTreeMap<String, Mark>,
    commits: u32,
    marks: u32,
}

impl Push {
    fn go(&mut self, name: String, to: Option<Mark>, words: String) {
        self.words.push(words);
        self.moves.push(Move { name, to });
    }
}

impl Generator {
    /// The repository number `world` of `seed`.
    pub(crate) fn new(seed: u64, world: u64) -> Self {
        // Any odd number spreads neighbouring seeds; this is the golden ratio's.
        let mixed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(world);
        Self {
            rng: Rng::with_seed(mixed),
            branches: BTreeMap::new(),
            past: Vec::new(),
            tags: BTreeMap::new(),
            commits: 0,
            marks: NOTHING.0,
        }
    }

    pub(crate) fn nothing() -> Stream {
        let mut stream = Stream::default();
        stream.commit(NOTHING, 0, "nothing", &[]);
        stream.files(&Files::new());
        stream
    }

    pub(crate) fn push(&mut self) -> Push {
        let mut push = Push::default();
        if self.branches.is_empty() {
            let files = files::begin(&mut self.rng, &names());
            let tip = self.commit(&mut push, None, None, files);
            self.set_branch(&mut push, DEFAULT, tip, "first branch");
            return push;
        }
        for _ in 0..self.rng.usize(1..=REFS_MAX) {
            self.step(&mut push);
        }
        if push.moves.is_empty() {
            let tip = self.branches[DEFAULT].clone();
            let tip = self.commits_on(&mut push, tip, 1);
            self.set_branch(&mut push, DEFAULT, tip, "update");
        }
        if self.rng.u8(..20) == 0 {
            let others: Vec<String> = self
                .branches
                .keys()
                .filter(|name| *name != DEFAULT)
                .cloned()
                .collect();
            push.pull = some(&mut self.rng, &others);
        }
        push.switch = match self.rng.u8(..15) {
            0 => Switch::Off(files::likely(&mut self.rng)),
            1..5 => Switch::On,
            _ => Switch::Not,
        };
        push
    }

    fn step(&mut self, push: &mut Push) {
        match self.rng.u8(..20) {
            0..8 => self.update(push),
            8..11 => self.branch_off(push),
            11 | 12 => self.merge(push),
            13 => self.force(push),
            14 => self.orphan(push),
            15 | 16 => self.tag(push, false),
            17 => self.tag(push, true),
            18 => self.delete_tag(push),
            _ => self.delete_branch(push),
        }
    }

    fn update(&mut self, push: &mut Push) {
        let Some((name, tip)) = self.some_branch(push) else {
            return;
        };
        let count = self.some_commits();
        let tip = self.commits_on(push, tip, count);
        self.set_branch(push, &name, tip, &format!("update by {count}"));
    }

    fn branch_off(&mut self, push: &mut Push) {
        let name = pick(&mut self.rng, &BRANCHES).to_owned();
        let Some((_, tip)) = self.some_branch(push) else {
            return;
        };
        if self.branches.contains_key(&name) || is_moved(push, &head(&name)) {
            return;
        }
        let count = self.some_commits() - usize::from(self.rng.bool());
        let tip = self.commits_on(push, tip, count);
        self.set_branch(push, &name, tip, &format!("new branch with {count}"));
    }

    /// Onto a branch that is there, or as the first commit of a new one.
    fn merge(&mut self, push: &mut Push) {
        let (Some((name, ours)), Some((other, theirs))) =
            (self.some_branch(push), self.some_branch(push))
        else {
            return;
        };
        if name == other {
            return;
        }
        let mut files = theirs.files.clone();
        for (path, file) in &ours.files {
            files::put(&mut files, path, file.clone());
        }
        let tip = self.commit(push, Some(&ours), Some(&theirs), files);
        let new = pick(&mut self.rng, &BRANCHES);
        if self.rng.bool() && !self.branches.contains_key(new) && !is_moved(push, &head(new)) {
            self.set_branch(push, new, tip, "new branch with a merge as its head");
        } else {
            self.set_branch(push, &name, tip, &format!("merge of {other}"));
        }
    }

    /// To an older commit of any branch, or on from there.
    fn force(&mut self, push: &mut Push) {
        let Some((name, _)) = self.some_branch(push) else {
            return;
        };
        let tip = self.past[self.rng.usize(..self.past.len())].clone();
        let count = self.rng.usize(..3);
        let tip = self.commits_on(push, tip, count);
        self.set_branch(
            push,
            &name,
            tip,
            &format!("forced, {count} on an old commit"),
        );
    }

    fn orphan(&mut self, push: &mut Push) {
        let Some((name, _)) = self.some_branch(push) else {
            return;
        };
        let files = files::begin(&mut self.rng, &names());
        let tip = self.commit(push, None, None, files);
        self.set_branch(push, &name, tip, "forced to a commit without parents");
    }

    /// New or moved; to a commit that is new only to the forge as the tag's, or to a new commit.
    fn tag(&mut self, push: &mut Push, annotated: bool) {
        let name = pick(&mut self.rng, &TAGS).to_owned();
        if is_moved(push, &tag(&name)) {
            return;
        }
        let Some((_, tip)) = self.some_branch(push) else {
            return;
        };
        let count = usize::from(self.rng.u8(..3) == 0);
        let tip = self.commits_on(push, tip, count);
        let mut to = tip.commit;
        if annotated {
            if self.rng.u8(..5) == 0 {
                // A tag of a tag; git takes each name once.
                to = push
                    .stream
                    .tag(self.next_mark(), &format!("{name}-inner"), to);
            }
            to = push.stream.tag(self.next_mark(), &name, to);
        }
        let before = self.tags.insert(name.clone(), to);
        let how = if before.is_some() { "moved" } else { "new" };
        let kind = if annotated {
            "annotated"
        } else {
            "lightweight"
        };
        push.go(
            tag(&name),
            Some(to),
            format!("tag {name}: {how}, {kind}, {count} new commits"),
        );
    }

    /// Not beside a deleted branch: both start workflows on `delete`, and runs don't tell which did.
    fn delete_tag(&mut self, push: &mut Push) {
        let names: Vec<String> = self.tags.keys().cloned().collect();
        if names.is_empty() || push.moves.iter().any(|it| it.to.is_none()) {
            return;
        }
        let name = names[self.rng.usize(..names.len())].clone();
        if is_moved(push, &tag(&name)) {
            return;
        }
        self.tags.remove(&name);
        push.go(tag(&name), None, format!("tag {name}: deleted"));
    }

    fn delete_branch(&mut self, push: &mut Push) {
        let Some((name, _)) = self.some_branch(push) else {
            return;
        };
        if name == DEFAULT || push.moves.iter().any(|it| it.to.is_none()) {
            return;
        }
        self.branches.remove(&name);
        push.go(head(&name), None, format!("{name}: deleted"));
    }

    fn some_commits(&mut self) -> usize {
        match self.rng.u8(..24) {
            0 => MANY_COMMITS,
            1..4 => self.rng.usize(3..8),
            _ => self.rng.usize(1..3),
        }
    }

    /// A branch that this push does not move yet.
    fn some_branch(&mut self, push: &Push) -> Option<(String, Tip)> {
        let free: Vec<String> = self
            .branches
            .keys()
            .filter(|name| !is_moved(push, &head(name)))
            .cloned()
            .collect();
        let name = free.get(self.rng.usize(..free.len().max(1)))?.clone();
        let tip = self.branches[&name].clone();
        Some((name, tip))
    }

    fn set_branch(&mut self, push: &mut Push, name: &str, tip: Tip, how: &str) {
        push.go(head(name), Some(tip.commit), format!("{name}: {how}"));
        self.past.push(tip.clone());
        self.branches.insert(name.to_owned(), tip);
    }

    fn commits_on(&mut self, push: &mut Push, mut tip: Tip, count: usize) -> Tip {
        for _ in 0..count {
            let mut files = tip.files.clone();
            files::change(&mut self.rng, &mut files, &names());
            tip = self.commit(push, Some(&tip), None, files);
        }
        tip
    }

    fn commit(
        &mut self,
        push: &mut Push,
        parent: Option<&Tip>,
        other: Option<&Tip>,
        files: Files,
    ) -> Tip {
        self.commits += 1;
        let mut message = format!("commit {}", self.commits);
        if self.rng.u8(..10) == 0 {
            let skip = pick(&mut self.rng, &SKIPS);
            let gap = pick(&mut self.rng, &[" ", "\n\n", "\n\nSigned-off-by: ", ""]);
            message = format!("{message}{gap}{skip}");
        }
        let mark = self.next_mark();
        let parents: Vec<Mark> = parent
            .into_iter()
            .chain(other)
            .map(|tip| tip.commit)
            .collect();
        push.stream.commit(mark, self.commits, &message, &parents);
        push.stream.files(&files);
        Tip {
            commit: mark,
            files,
        }
    }

    fn next_mark(&mut self) -> Mark {
        self.marks += 1;
        Mark(self.marks)
    }
}

/// What filters of refs are about: everything that may ever be there.
fn names() -> Vec<String> {
    BRANCHES
        .iter()
        .chain(&TAGS)
        .map(|name| (*name).to_owned())
        .collect()
}

fn head(branch: &str) -> String {
    format!("refs/heads/{branch}")
}

fn tag(name: &str) -> String {
    format!("refs/tags/{name}")
}

fn is_moved(push: &Push, name: &str) -> bool {
    push.moves.iter().any(|it| it.name == name)
}
