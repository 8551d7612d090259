//! A schedule as a text that people read: who does what when, and which calls go wrong. What a seed
//! makes, what is printed of a violation, and the documentation in `tests/stories` are all such texts, and
//! each can be played.

use std::fmt;
use std::str::FromStr;

use lab::forge::Version;

/// Most lines of a story: far more than anybody reads.
const LINES_MAX: usize = 400;

/// A schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// What it is about, for people.
    pub title: String,
    /// Which forge.
    pub forge: Version,
    /// Most machines at once.
    pub machines_max: u32,
    /// What small things follow from: how long calls take.
    pub seed: u64,
    /// What happens.
    pub steps: Vec<Step>,
    /// What is to come of it, beside the promises.
    pub expect: Vec<Expected>,
}

/// One line of what happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Somebody does something, so many seconds after the start.
    At(u32, Act),
    /// The n-th call of that name goes wrong.
    Call(String, u32, CallFault),
    /// The n-th of the machines.
    Machine(u32, MachineFault),
    /// The n-th message on its way to the function.
    Message(Message, u32, Passage),
    /// The n-th process of the function has another clock, in seconds.
    Clock(u32, i32),
}

/// What somebody does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// A run starts.
    Run {
        /// `owner/name`.
        repository: String,
        /// How many jobs it has.
        jobs: u32,
        /// The label that they ask for.
        label: String,
        /// How long each takes, in seconds.
        seconds: u32,
    },
    /// The n-th run is cancelled.
    Cancel(u32),
    /// The n-th run is started once more.
    Rerun(u32),
    /// A repository gets another name.
    Rename(String, String),
    /// A repository is deleted.
    Delete(String),
    /// The forge answers nobody, for so many seconds.
    ForgeDown(u32),
    /// It registers nobody for so many seconds: the token is wrong, or was revoked.
    RegistersNobody(u32),
    /// There is no Spot capacity for so many seconds.
    NoSpot(u32),
    /// There is no capacity at all.
    NoCapacity(u32),
    /// EC2 takes the n-th machine back.
    SpotTakes(u32),
    /// The n-th machine loses its host.
    HostDies(u32),
    /// Somebody else starts a machine in the account.
    Foreign,
    /// Somebody registers a runner called like the n-th machine, and has its job cancelled.
    Impostor(u32),
    /// The delivery that told of the n-th job is sent once more.
    Redeliver(u32),
    /// The same, three months after everything has come to its end.
    RedeliverLater(u32),
}

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallFault {
    /// An error, and no effect.
    Fails,
    /// Too many requests, and no effect.
    Throttled,
    /// It never arrives, and is not answered.
    Lost,
    /// It takes effect, and is not answered.
    AnswerLost,
    /// It takes so many seconds: what is read is old by then, and what is written arrives that late.
    Slow(u32),
    /// The function dies before it is sent.
    DiesBefore,
    /// The function dies when it has taken effect.
    DiesAfter,
}

/// What is wrong with a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MachineFault {
    /// It never asks for anything.
    NeverBoots,
    /// It takes so many seconds to ask.
    BootsIn(u32),
    /// It stands still in the middle of its job, with its own deadline.
    Hangs,
}

/// What is on its way to the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Message {
    /// A delivery of the forge.
    Delivery,
    /// An event of EC2.
    Event,
    /// The function's word to itself.
    Nudge,
    /// The scheduled event.
    Tick,
}

/// How it comes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// Not at all.
    Lost,
    /// Twice.
    Twice,
    /// So many seconds late.
    Late(u32),
}

/// What is to come of a story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// So many jobs end so: `succeed`, `fail`, `are cancelled`, `wait`.
    Jobs(u32, String),
    /// So many machines are launched.
    Machines(u32),
    /// The n-th job's commit or history says this.
    Says(u32, String),
}

/// A text that is no story.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {text:?} says nothing that a story can say: {why}")]
pub struct BadStory {
    /// Which line, from 1.
    pub line: usize,
    /// What stands there.
    pub text: String,
    /// What was expected.
    pub why: &'static str,
}

impl Step {
    /// When it happens, in seconds; calls and messages have no time of their own.
    #[must_use]
    pub fn at_s(&self) -> Option<u32> {
        match self {
            Self::At(at, _) => Some(*at),
            Self::Call(..) | Self::Machine(..) | Self::Message(..) | Self::Clock(..) => None,
        }
    }

    /// Where it stands in a story: what has a time first, in order.
    pub(crate) fn place(&self) -> (bool, Option<u32>) {
        (self.at_s().is_none(), self.at_s())
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.title.lines() {
            writeln!(f, "# {line}")?;
        }
        writeln!(f, "forge: {}", forge_word(self.forge))?;
        writeln!(f, "machines: {}", self.machines_max)?;
        writeln!(f, "seed: {}", self.seed)?;
        let mut steps: Vec<&Step> = self.steps.iter().collect();
        steps.sort_by_key(|step| step.place());
        for step in steps {
            writeln!(f, "{step}")?;
        }
        for expected in &self.expect {
            writeln!(f, "expect: {expected}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(at, act) => write!(f, "{:02}:{:02}  {act}", at / 60, at % 60),
            Self::Call(name, nth, fault) => write!(f, "{name} {nth}: {fault}"),
            Self::Machine(nth, fault) => write!(f, "machine {nth}: {fault}"),
            Self::Message(message, nth, passage) => {
                write!(f, "{} {nth}: {passage}", message.word())
            }
            Self::Clock(nth, skew) => {
                let word = if *skew < 0 { "behind" } else { "ahead" };
                write!(
                    f,
                    "process {nth}: its clock is {} s {word}",
                    skew.unsigned_abs()
                )
            }
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run {
                repository,
                jobs,
                label,
                seconds,
            } => write!(
                f,
                "{repository} starts a run of {jobs} jobs on {label}, {seconds} s each"
            ),
            Self::Cancel(run) => write!(f, "run {run} is cancelled"),
            Self::Rerun(run) => write!(f, "run {run} is run again"),
            Self::Rename(from, to) => write!(f, "{from} is renamed to {to}"),
            Self::Delete(repository) => write!(f, "{repository} is deleted"),
            Self::ForgeDown(seconds) => write!(f, "the forge is down for {seconds} s"),
            Self::RegistersNobody(seconds) => {
                write!(f, "the forge registers nobody for {seconds} s")
            }
            Self::NoSpot(seconds) => write!(f, "no Spot capacity for {seconds} s"),
            Self::NoCapacity(seconds) => write!(f, "no capacity for {seconds} s"),
            Self::SpotTakes(machine) => write!(f, "Spot takes machine {machine}"),
            Self::HostDies(machine) => write!(f, "machine {machine} loses its host"),
            Self::Foreign => write!(f, "somebody else starts a machine"),
            Self::Impostor(machine) => write!(
                f,
                "a stranger's runner is called like machine {machine}, and its job is cancelled"
            ),
            Self::Redeliver(job) => write!(f, "the delivery of job {job} is sent again"),
            Self::RedeliverLater(job) => {
                write!(
                    f,
                    "the delivery of job {job} is sent again three months later"
                )
            }
        }
    }
}

impl fmt::Display for CallFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fails => f.write_str("fails"),
            Self::Throttled => f.write_str("is throttled"),
            Self::Lost => f.write_str("never arrives"),
            Self::AnswerLost => f.write_str("takes effect, and its answer is lost"),
            Self::Slow(seconds) => write!(f, "takes {seconds} s"),
            Self::DiesBefore => f.write_str("the function dies before it"),
            Self::DiesAfter => f.write_str("the function dies after it"),
        }
    }
}

impl fmt::Display for MachineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverBoots => f.write_str("never boots"),
            Self::BootsIn(seconds) => write!(f, "boots in {seconds} s"),
            Self::Hangs => f.write_str("hangs in its job"),
        }
    }
}

impl fmt::Display for Passage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost => f.write_str("is lost"),
            Self::Twice => f.write_str("comes twice"),
            Self::Late(seconds) => write!(f, "comes {seconds} s late"),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Jobs(count, how) => write!(f, "{count} jobs {how}"),
            Self::Machines(count) => write!(f, "{count} machines"),
            Self::Says(job, words) => write!(f, "job {job} says {words}"),
        }
    }
}

impl Message {
    const ALL: [Self; 4] = [Self::Delivery, Self::Event, Self::Nudge, Self::Tick];

    /// What stories call it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Delivery => "delivery",
            Self::Event => "event",
            Self::Nudge => "nudge",
            Self::Tick => "tick",
        }
    }
}

/// The forges of stories: those that tell of jobs.
pub(crate) const FORGES: [(Version, &str); 3] = [
    (Version::Gitea1_25, "Gitea 1.25"),
    (Version::Gitea1_26, "Gitea 1.26"),
    (Version::Gitea1_27, "Gitea 1.27"),
];

fn forge_word(forge: Version) -> &'static str {
    let known = FORGES.iter().find(|(version, _)| *version == forge);
    known.map_or("another", |(_, word)| *word)
}

impl FromStr for Story {
    type Err = BadStory;

    fn from_str(text: &str) -> Result<Self, BadStory> {
        let mut story = Self {
            title: String::new(),
            forge: Version::Gitea1_27,
            machines_max: 4,
            seed: 1,
            steps: Vec::new(),
            expect: Vec::new(),
        };
        for (index, line) in text.lines().enumerate() {
            let bad = |why| BadStory {
                line: index + 1,
                text: line.to_owned(),
                why,
            };
            if index >= LINES_MAX {
                return Err(bad("no more lines than four hundred"));
            }
            story.take(line.trim()).map_err(bad)?;
        }
        Ok(story)
    }
}

impl Story {
    /// By how much a clock is wrong at most, in milliseconds.
    pub(crate) fn skew_ms(&self) -> u64 {
        let skews = self.steps.iter().map(|step| match step {
            Step::Clock(_, skew_s) => u64::from(skew_s.unsigned_abs()) * 1000,
            Step::At(..) | Step::Call(..) | Step::Machine(..) | Step::Message(..) => 0,
        });
        skews.max().unwrap_or_default()
    }

    fn take(&mut self, line: &str) -> Result<(), &'static str> {
        if line.is_empty() {
            return Ok(());
        }
        if let Some(words) = line.strip_prefix('#') {
            if !self.title.is_empty() {
                self.title.push('\n');
            }
            self.title.push_str(words.trim());
            return Ok(());
        }
        if let Some((at, act)) = timed(line) {
            self.steps.push(Step::At(at, act.parse()?));
            return Ok(());
        }
        let (head, rest) = line
            .split_once(": ")
            .ok_or("a time, or a word and a colon")?;
        let rest = rest.trim();
        match head {
            "forge" => {
                let known = FORGES.iter().find(|(_, word)| *word == rest);
                self.forge = known.ok_or("Gitea 1.25, Gitea 1.26 or Gitea 1.27")?.0;
            }
            "machines" => self.machines_max = number(rest)?,
            "seed" => self.seed = rest.parse().map_err(|_| "a number")?,
            "expect" => self.expect.push(rest.parse()?),
            _ => self.steps.push(untimed(head, rest)?),
        }
        Ok(())
    }
}

fn timed(line: &str) -> Option<(u32, &str)> {
    let (time, act) = line.split_once(' ')?;
    let (minutes, seconds) = time.split_once(':')?;
    let at = number(minutes).ok()?.checked_mul(60)?;
    Some((at.checked_add(number(seconds).ok()?)?, act.trim()))
}

fn number(text: &str) -> Result<u32, &'static str> {
    text.parse().map_err(|_| "a number")
}

/// What stands before a number, what behind it, and what is made of it.
type Form = (&'static str, &'static str, fn(u32) -> Act);

/// The number between two pieces of text.
fn between(text: &str, before: &str, after: &str) -> Option<u32> {
    let rest = text.strip_prefix(before)?.strip_suffix(after)?;
    rest.parse().ok()
}

impl FromStr for Act {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        if let Some((repository, rest)) = text.split_once(" starts a run of ") {
            let run = || {
                let (jobs, rest) = rest.split_once(" jobs on ")?;
                let (label, seconds) = rest.split_once(", ")?;
                Some(Self::Run {
                    repository: repository.to_owned(),
                    jobs: jobs.parse().ok()?,
                    label: label.to_owned(),
                    seconds: between(seconds, "", " s each")?,
                })
            };
            return run().ok_or("starts a run of N jobs on LABEL, N s each");
        }
        if let Some((from, to)) = text.split_once(" is renamed to ") {
            return Ok(Self::Rename(from.to_owned(), to.to_owned()));
        }
        if let Some(repository) = text.strip_suffix(" is deleted") {
            return Ok(Self::Delete(repository.to_owned()));
        }
        if text == "somebody else starts a machine" {
            return Ok(Self::Foreign);
        }
        let forms: [Form; 11] = [
            ("run ", " is cancelled", Self::Cancel),
            ("run ", " is run again", Self::Rerun),
            ("the forge is down for ", " s", Self::ForgeDown),
            (
                "the forge registers nobody for ",
                " s",
                Self::RegistersNobody,
            ),
            ("no Spot capacity for ", " s", Self::NoSpot),
            ("no capacity for ", " s", Self::NoCapacity),
            ("Spot takes machine ", "", Self::SpotTakes),
            ("machine ", " loses its host", Self::HostDies),
            (
                "a stranger's runner is called like machine ",
                ", and its job is cancelled",
                Self::Impostor,
            ),
            ("the delivery of job ", " is sent again", Self::Redeliver),
            (
                "the delivery of job ",
                " is sent again three months later",
                Self::RedeliverLater,
            ),
        ];
        forms
            .iter()
            .find_map(|(before, after, make)| between(text, before, after).map(make))
            .ok_or("what somebody does, as docs/simulator.md lists it")
    }
}

fn untimed(head: &str, rest: &str) -> Result<Step, &'static str> {
    let (name, nth) = head.rsplit_once(' ').ok_or("a name and a number")?;
    let nth = number(nth)?;
    if let Some(message) = Message::ALL.iter().find(|it| it.word() == name) {
        return Ok(Step::Message(*message, nth, rest.parse()?));
    }
    match name {
        "machine" => Ok(Step::Machine(nth, rest.parse()?)),
        "process" => {
            let ahead = between(rest, "its clock is ", " s ahead");
            let behind = between(rest, "its clock is ", " s behind");
            let skew = match (ahead, behind) {
                (Some(ahead), _) => i32::try_from(ahead).ok(),
                (_, Some(behind)) => i32::try_from(behind).ok().map(i32::wrapping_neg),
                (None, None) => None,
            };
            skew.map(|skew| Step::Clock(nth, skew))
                .ok_or("its clock is N s ahead, or behind")
        }
        call => Ok(Step::Call(call.to_owned(), nth, rest.parse()?)),
    }
}

impl FromStr for CallFault {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let plain = [
            Self::Fails,
            Self::Throttled,
            Self::Lost,
            Self::AnswerLost,
            Self::DiesBefore,
            Self::DiesAfter,
        ];
        let found = plain.into_iter().find(|fault| fault.to_string() == text);
        found
            .or_else(|| between(text, "takes ", " s").map(Self::Slow))
            .ok_or("how a call goes wrong")
    }
}

impl FromStr for MachineFault {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let plain = [Self::NeverBoots, Self::Hangs];
        let found = plain.into_iter().find(|fault| fault.to_string() == text);
        found
            .or_else(|| between(text, "boots in ", " s").map(Self::BootsIn))
            .ok_or("what is wrong with a machine")
    }
}

impl FromStr for Passage {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let plain = [Self::Lost, Self::Twice];
        let found = plain
            .into_iter()
            .find(|passage| passage.to_string() == text);
        found
            .or_else(|| between(text, "comes ", " s late").map(Self::Late))
            .ok_or("how a message comes over")
    }
}

impl FromStr for Expected {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        if let Some((job, words)) = text
            .strip_prefix("job ")
            .and_then(|rest| rest.split_once(" says "))
        {
            return Ok(Self::Says(number(job)?, words.to_owned()));
        }
        if let Some(count) = text.strip_suffix(" machines") {
            return Ok(Self::Machines(number(count)?));
        }
        let (count, how) = text
            .split_once(" jobs ")
            .ok_or("N jobs, N machines, or a job's words")?;
        if !["succeed", "fail", "are cancelled", "wait"].contains(&how) {
            return Err("jobs succeed, fail, are cancelled or wait");
        }
        Ok(Self::Jobs(number(count)?, how.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# A title
# of two lines
forge: Gitea 1.26
machines: 2
seed: 7
00:05  acme/app starts a run of 2 jobs on base, 30 s each
01:10  run 1 is cancelled
02:00  a stranger's runner is called like machine 1, and its job is cancelled
TransactWriteItems 3: takes effect, and its answer is lost
RunInstances 1: takes 9 s
machine 2: boots in 90 s
delivery 4: comes 45 s late
process 2: its clock is 20 s behind
expect: 1 jobs succeed
expect: 2 machines
expect: job 1 says paused
";

    #[test]
    fn a_story_is_read_as_it_is_printed() {
        let story: Story = TEXT.parse().unwrap();
        assert_eq!(story.steps.len(), 8);
        assert_eq!(story.to_string(), TEXT);
    }

    #[test]
    fn what_is_no_story_is_refused_with_its_line() {
        for line in [
            "hello",
            "00:01  the moon rises",
            "RunInstances 1: explodes",
            "RunInstances: fails",
            "forge: Gitea 1.0",
            "expect: 1 jobs shine",
        ] {
            let refused = format!("# t\n{line}").parse::<Story>().unwrap_err();
            assert_eq!((refused.line, refused.text.as_str()), (2, line));
        }
    }
}
