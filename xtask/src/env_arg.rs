//! How a command is told which environment it is about.

use clap::Args;

/// The environment that a command is about: the same two ways to name it in every command.
#[derive(Debug, Args)]
pub struct EnvArg {
    /// The environment: a name in stacks/environments, or a path.
    #[arg(value_name = "ENV")]
    positional: Option<String>,
    /// The same, as an option.
    #[arg(
        id = "env",
        short,
        long = "env",
        value_name = "ENV",
        conflicts_with = "positional"
    )]
    option: Option<String>,
}

impl EnvArg {
    /// The environment called `name`, if it was named in some other way.
    pub fn named(name: Option<String>) -> Self {
        Self {
            positional: None,
            option: name,
        }
    }

    /// What was named, which is not asked for twice.
    pub fn take(&mut self) -> Self {
        Self {
            positional: self.positional.take(),
            option: self.option.take(),
        }
    }

    /// The name, if one was given.
    pub fn name(self) -> Option<String> {
        self.positional.or(self.option)
    }
}
