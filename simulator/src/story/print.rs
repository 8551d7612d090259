//! A story as text.

use std::fmt;

use super::{Act, CallFault, Expected, MachineFault, Passage, Step, Story, forge_word};

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
            Self::LeaseLost => f.write_str("the lease is lost before it, and another drain begins"),
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
            Self::AnswerLost => f.write_str("comes over, and its answer is lost"),
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
