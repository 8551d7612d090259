//! Which of the two runners is played, and its command line.

use std::path::PathBuf;

/// What gitea-runner calls itself; the version whose behaviour was measured.
pub const VERSION: &str = "1.0.8";

/// The programs that forges publish for their jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// gitea-runner, measured.
    Gitea,
    /// forgejo-runner: what 12.8.2 was seen to do, and what the source of 12.8 to 13 says.
    Forgejo,
}

impl Program {
    /// Its name, and that of its `internal` command.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gitea => "gitea-runner",
            Self::Forgejo => "forgejo-runner",
        }
    }

    /// The version whose behaviour is played.
    pub(super) const fn version(self) -> &'static str {
        match self {
            Self::Gitea => VERSION,
            Self::Forgejo => "12.8.0",
        }
    }
}

/// The command line, without the program's own name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Version,
    Run { task: Task, config: Option<PathBuf> },
}

/// What it is started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    /// Jobs, one after the other; one alone if the registration is ephemeral.
    Daemon,
    /// One job; with `wait` it is asked for until there is one.
    OneJob { wait: bool },
}

impl Command {
    pub(super) fn parse(program: Program, args: &[String]) -> Result<Self, String> {
        let unknown = || {
            let tasks = match program {
                Program::Gitea => "`daemon [--config FILE]`",
                Program::Forgejo => "`daemon [--config FILE]`, `one-job [--wait] [--config FILE]`",
            };
            format!("the stand-in runner knows {tasks} and `--version`, not {args:?}")
        };
        if let [flag] = args
            && ["--version", "-v"].contains(&flag.as_str())
        {
            return Ok(Self::Version);
        }
        let mut task = None;
        let mut wait = false;
        let mut config = None;
        let mut words = args.iter().map(String::as_str);
        while let Some(word) = words.next() {
            match (word, program, task) {
                ("daemon", _, None) => task = Some(Task::Daemon),
                ("one-job", Program::Forgejo, None) => task = Some(Task::OneJob { wait: false }),
                ("--wait" | "-w", Program::Forgejo, Some(Task::OneJob { .. })) => wait = true,
                ("--config" | "-c", _, _) if config.is_none() => {
                    config = Some(PathBuf::from(words.next().ok_or_else(unknown)?));
                }
                _ => return Err(unknown()),
            }
        }
        let task = match task.ok_or_else(unknown)? {
            Task::Daemon => Task::Daemon,
            Task::OneJob { .. } => Task::OneJob { wait },
        };
        Ok(Self::Run { task, config })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_program_takes_its_own_command_line_and_no_other() {
        let daemon = Some((Task::Daemon, None));
        let waiting = Task::OneJob { wait: true };
        let file = |name: &str| Some(PathBuf::from(name));
        for (line, gitea, forgejo) in [
            ("daemon", daemon.clone(), daemon.clone()),
            (
                "daemon --config a",
                Some((Task::Daemon, file("a"))),
                Some((Task::Daemon, file("a"))),
            ),
            (
                "-c a daemon",
                Some((Task::Daemon, file("a"))),
                Some((Task::Daemon, file("a"))),
            ),
            ("one-job", None, Some((Task::OneJob { wait: false }, None))),
            (
                "one-job --wait --config a",
                None,
                Some((waiting, file("a"))),
            ),
            ("-c a one-job -w", None, Some((waiting, file("a")))),
            ("daemon --wait", None, None),
            ("one-job daemon", None, None),
            ("one-job --once", None, None),
            ("register", None, None),
            ("daemon --config", None, None),
            ("", None, None),
        ] {
            let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            for (program, expected) in [(Program::Gitea, gitea), (Program::Forgejo, forgejo)] {
                let expected = expected.map(|(task, config)| Command::Run { task, config });
                let parsed = Command::parse(program, &args).ok();
                assert_eq!(parsed, expected, "{program:?} {line}");
            }
        }
        let version = ["--version".to_owned()];
        assert_eq!(
            Command::parse(Program::Forgejo, &version),
            Ok(Command::Version)
        );
    }
}
