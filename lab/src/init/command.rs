//! Command lines of `systemd-run`, `systemctl`, `shutdown` and `poweroff`. An option that is not
//! known here is an error, as it is there: a boot file with a typo fails in the lab already.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::init::unit::{
    Force, KillMode, Output, Request, Unit, User, signal, time_span, with_suffix,
};

/// `shutdown` without a time waits a minute.
const SHUTDOWN_DEFAULT: Duration = Duration::from_mins(1);

/// A command line, understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) request: Request,
    /// Whether the client keeps its own words to itself.
    pub(super) quiet: bool,
}

/// What the world outside the command line says, so that parsing needs none of it.
pub(super) struct Surroundings<'a> {
    pub(super) passwd: &'a str,
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
    pub(super) find: &'a dyn Fn(&str) -> Option<PathBuf>,
}

/// Parses the command line of `program`.
pub(super) fn parse(
    program: &str,
    args: &[String],
    around: &Surroundings<'_>,
) -> Result<Command, String> {
    match program {
        "systemd-run" => systemd_run(args, around),
        "systemctl" => systemctl(args),
        "shutdown" => shutdown(args),
        _ => poweroff(args),
    }
}

/// Options in the way of `getopt_long`: `--name=value`, `--name value`, `-xvalue`, `-x value`.
struct Options<'a> {
    program: &'static str,
    args: &'a [String],
}

impl Options<'_> {
    /// The next option with the value glued to it, or `None` at the first word that is none.
    fn next(&mut self) -> Option<(String, Option<String>)> {
        let (first, rest) = self.args.split_first()?;
        if first == "--" {
            self.args = rest;
            return None;
        }
        if !first.starts_with('-') || first == "-" {
            return None;
        }
        self.args = rest;
        if let Some(long) = first.strip_prefix("--") {
            return Some(match long.split_once('=') {
                Some((name, value)) => (format!("--{name}"), Some(value.to_owned())),
                None => (first.clone(), None),
            });
        }
        let mut letters = first.chars().skip(1);
        let letter: String = letters.next().into_iter().collect();
        let glued: String = letters.collect();
        Some((
            format!("-{letter}"),
            Some(glued).filter(|it| !it.is_empty()),
        ))
    }

    fn value(&mut self, name: &str, glued: Option<String>) -> Result<String, String> {
        if let Some(value) = glued {
            return Ok(value);
        }
        let (first, rest) = self
            .args
            .split_first()
            .ok_or_else(|| format!("{}: option '{name}' requires an argument", self.program))?;
        self.args = rest;
        Ok(first.clone())
    }

    fn unknown(&self, name: &str) -> String {
        format!("{}: unrecognized option '{name}'", self.program)
    }
}

fn no_value(options: &Options<'_>, name: &str, glued: Option<&String>) -> Result<(), String> {
    match glued {
        None => Ok(()),
        Some(_) => Err(format!(
            "{}: option '{name}' doesn't allow an argument",
            options.program
        )),
    }
}

fn systemd_run(args: &[String], around: &Surroundings<'_>) -> Result<Command, String> {
    let mut options = Options {
        program: "systemd-run",
        args,
    };
    let mut unit = Unit::new("", Vec::new());
    let (mut quiet, mut wait, mut on_active) = (false, false, None);
    let (mut user, mut group) = (None, None);
    while let Some((name, glued)) = options.next() {
        match name.as_str() {
            "--quiet" | "-q" | "--wait" | "--collect" | "-G" => {
                no_value(&options, &name, glued.as_ref())?;
                match name.as_str() {
                    "--wait" => wait = true,
                    "--collect" | "-G" => unit.collect = true,
                    _ => quiet = true,
                }
            }
            "--unit" | "-u" => unit.name = with_suffix(&options.value(&name, glued)?),
            "--uid" => user = Some(options.value(&name, glued)?),
            "--gid" => group = Some(options.value(&name, glued)?),
            "--description" => drop(options.value(&name, glued)?),
            "--working-directory" => unit.folder = Some(options.value(&name, glued)?.into()),
            "--setenv" | "-E" => {
                let text = options.value(&name, glued)?;
                unit.environment.extend(assignment(&text, around));
            }
            "--on-active" => {
                let text = options.value(&name, glued)?;
                let span = time_span(&text)
                    .ok_or_else(|| format!("Failed to parse timer value: {text}"))?;
                on_active = Some(span);
            }
            "--property" | "-p" => {
                let text = options.value(&name, glued)?;
                let (key, value) = text
                    .split_once('=')
                    .ok_or_else(|| format!("Not an assignment: {text}"))?;
                match key {
                    "User" => user = Some(value.to_owned()),
                    "Group" => group = Some(value.to_owned()),
                    _ => property(&mut unit, key, value)?,
                }
            }
            other => return Err(options.unknown(other)),
        }
    }
    unit.user = who(user.as_deref(), group.as_deref(), around.passwd)?;
    let (program, rest) = options
        .args
        .split_first()
        .ok_or("systemd-run: Command line to execute required.")?;
    let found = (around.find)(program)
        .ok_or_else(|| format!("Failed to find executable {program}: No such file or directory"))?;
    unit.command = vec![found.display().to_string()];
    unit.command.extend(rest.iter().cloned());
    if wait && on_active.is_some() {
        return Err("--wait may not be combined with --on-active=.".to_owned());
    }
    let request = Request::Run {
        unit: Box::new(unit),
        wait,
        on_active,
    };
    Ok(Command { request, quiet })
}

fn assignment(text: &str, around: &Surroundings<'_>) -> Option<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => Some((text.to_owned(), (around.variable)(text)?)),
    }
}

fn property(unit: &mut Unit, key: &str, value: &str) -> Result<(), String> {
    let wrong = || format!("Failed to parse {key}= value: {value}");
    match key {
        "KillSignal" => unit.kill_signal = signal(value).ok_or_else(wrong)? as i32,
        "KillMode" => {
            unit.kill_mode = match value {
                "control-group" => KillMode::ControlGroup,
                "mixed" => KillMode::Mixed,
                "process" => KillMode::Process,
                "none" => KillMode::None,
                _ => return Err(wrong()),
            }
        }
        "SendSIGHUP" => unit.send_hangup = boolean(value).ok_or_else(wrong)?,
        "TimeoutStopSec" => unit.stop_timeout = Some(time_span(value).ok_or_else(wrong)?),
        "RuntimeMaxSec" => unit.runtime_max = Some(time_span(value).ok_or_else(wrong)?),
        "WorkingDirectory" => unit.folder = Some(value.into()),
        "Environment" => {
            let (name, value) = value.split_once('=').ok_or_else(wrong)?;
            unit.environment.push((name.to_owned(), value.to_owned()));
        }
        "StandardOutput" => unit.output = output(value).ok_or_else(wrong)?,
        "StandardError" => unit.error = output(value).ok_or_else(wrong)?,
        "UMask" => unit.umask = u32::from_str_radix(value, 8).map_err(|_| wrong())?,
        // Without effect here: there is one instance per job and no other unit to protect.
        "Description" | "LimitNOFILE" | "TasksMax" | "MemoryMax" | "OOMScoreAdjust" => {}
        "OOMPolicy" if ["continue", "stop", "kill"].contains(&value) => {}
        "Type" if ["simple", "exec"].contains(&value) => {}
        "OOMPolicy" | "Type" => return Err(wrong()),
        _ => return Err(format!("Unknown assignment: {key}={value}")),
    }
    Ok(())
}

fn boolean(value: &str) -> Option<bool> {
    match value {
        "1" | "yes" | "true" | "on" => Some(true),
        "0" | "no" | "false" | "off" => Some(false),
        _ => None,
    }
}

fn output(value: &str) -> Option<Output> {
    match value.split_once(':') {
        None => match value {
            "journal" | "journal+console" | "tty" => Some(Output::Journal),
            "inherit" => Some(Output::Inherit),
            "null" => Some(Output::Null),
            _ => None,
        },
        Some(("append", path)) => Some(Output::Append(path.into())),
        Some(("file" | "truncate", path)) => Some(Output::Truncate(path.into())),
        Some((_, _)) => None,
    }
}

/// User and group by name or number, from the text of `/etc/passwd`.
fn who(user: Option<&str>, group: Option<&str>, passwd: &str) -> Result<Option<User>, String> {
    let Some(user) = user else {
        return match group {
            None => Ok(None),
            Some(_) => Err("the lab takes --gid only with --uid".to_owned()),
        };
    };
    let fields = |line: &str| -> Option<User> {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let mut fields = fields.skip(1);
        let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let mut fields = fields.skip(1);
        Some(User {
            name,
            uid,
            gid,
            home: fields.next()?.to_owned(),
            shell: fields.next()?.to_owned(),
        })
    };
    let mut found = passwd
        .lines()
        .filter_map(fields)
        .find(|one| one.name == user || one.uid.to_string() == user)
        .ok_or_else(|| format!("Failed to determine user credentials: no such user {user}"))?;
    if let Some(group) = group {
        let same_name = passwd
            .lines()
            .filter_map(fields)
            .find(|one| one.name == group || one.gid.to_string() == group);
        found.gid = same_name
            .ok_or_else(|| format!("Failed to determine group credentials: no such group {group}"))?
            .gid;
    }
    Ok(Some(found))
}

fn systemctl(args: &[String]) -> Result<Command, String> {
    let mut words = Vec::new();
    let (mut quiet, mut force, mut main_only) = (false, 0, false);
    let mut sent = nix::sys::signal::Signal::SIGTERM;
    let mut options = Options {
        program: "systemctl",
        args,
    };
    // systemctl takes options after its words too.
    while !options.args.is_empty() {
        let Some((name, glued)) = options.next() else {
            if let Some((word, rest)) = options.args.split_first() {
                words.push(word.clone());
                options.args = rest;
            }
            continue;
        };
        match name.as_str() {
            "--quiet" | "-q" => quiet = true,
            "--force" | "-f" => force += 1,
            "--signal" | "-s" => {
                let text = options.value(&name, glued)?;
                sent = signal(&text)
                    .ok_or_else(|| format!("Failed to parse signal string {text}."))?;
            }
            "--kill-whom" | "--kill-who" => {
                main_only = match options.value(&name, glued)?.as_str() {
                    "all" => false,
                    "main" => true,
                    other => return Err(format!("Failed to parse --kill-whom= value: {other}")),
                }
            }
            other => return Err(options.unknown(other)),
        }
    }
    let (verb, units) = words
        .split_first()
        .ok_or("systemctl: a command is needed")?;
    let units: Vec<String> = units.iter().map(|name| with_suffix(name)).collect();
    let request = match (verb.as_str(), units.as_slice()) {
        ("kill", [unit]) => Request::Kill {
            unit: unit.clone(),
            signal: sent as i32,
            main_only,
        },
        ("stop", [_, ..]) => Request::Stop { units },
        ("is-active", [_, ..]) => Request::IsActive { units, quiet },
        ("poweroff", []) => Request::PowerOff(match force {
            0 => Force::No,
            1 => Force::Once,
            _ => Force::Twice,
        }),
        ("kill" | "stop" | "is-active" | "poweroff", _) => {
            return Err(format!("systemctl {verb}: wrong number of units"));
        }
        (_, _) => return Err(format!("Unknown command verb {verb}.")),
    };
    Ok(Command { request, quiet })
}

fn shutdown(args: &[String]) -> Result<Command, String> {
    let mut options = Options {
        program: "shutdown",
        args,
    };
    let mut cancel = false;
    while let Some((name, glued)) = options.next() {
        no_value(&options, &name, glued.as_ref())?;
        match name.as_str() {
            "-h" | "-P" | "--poweroff" | "--no-wall" => {}
            "-c" => cancel = true,
            other => return Err(options.unknown(other)),
        }
    }
    let request = if cancel {
        Request::CancelShutdown
    } else {
        match options.args.first().map(String::as_str) {
            None => Request::Shutdown {
                after: SHUTDOWN_DEFAULT,
            },
            Some("now" | "+0") => Request::PowerOff(Force::No),
            Some(text) => {
                let minutes = text
                    .strip_prefix('+')
                    .and_then(|text| text.parse::<u32>().ok());
                let minutes =
                    minutes.ok_or_else(|| format!("Failed to parse time specification: {text}"))?;
                Request::Shutdown {
                    after: Duration::from_secs(u64::from(minutes) * 60),
                }
            }
        }
    };
    Ok(Command {
        request,
        quiet: false,
    })
}

fn poweroff(args: &[String]) -> Result<Command, String> {
    let mut options = Options {
        program: "poweroff",
        args,
    };
    let mut force = Force::No;
    while let Some((name, glued)) = options.next() {
        no_value(&options, &name, glued.as_ref())?;
        match name.as_str() {
            // `poweroff -f` calls the kernel at once, unlike `systemctl poweroff -f`.
            "-f" | "--force" => force = Force::Twice,
            "-p" | "--poweroff" => {}
            other => return Err(options.unknown(other)),
        }
    }
    if let Some(word) = options.args.first() {
        return Err(format!("poweroff: too many arguments: {word}"));
    }
    Ok(Command {
        request: Request::PowerOff(force),
        quiet: false,
    })
}

/// The executable that `name` means, as a shell would find it.
pub(super) fn find_executable(name: &str, path: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let executable = |path: &Path| {
        fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        let path = std::path::absolute(name).ok()?;
        return executable(&path).then_some(path);
    }
    path.split(':')
        .map(|folder| Path::new(folder).join(name))
        .find(|path| executable(path))
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
