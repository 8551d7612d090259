//! A story from text. The forms are those that [`super::print`] prints.

use std::str::FromStr;

use lab::forge::Version;

use super::{Act, CallFault, Expected, FORGES, MachineFault, Message, Passage, Step, Story};

/// Most lines of a story: far more than anybody reads.
const LINES_MAX: usize = 400;

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
            Self::LeaseLost,
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
        let plain = [Self::Lost, Self::Twice, Self::AnswerLost];
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
RunInstances 2: the lease is lost before it, and another drain begins
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
        assert_eq!(story.steps.len(), 9);
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
