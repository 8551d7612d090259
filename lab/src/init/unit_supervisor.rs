//! The supervisor of one unit. It is the reaper of all that the unit's processes leave behind, so
//! the unit is everything below it in the process tree, which no double fork escapes. (systemd has
//! control groups for that; the lab must not need them.)

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};

use nix::sys::prctl::set_child_subreaper;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Pid, getgid, getuid};

use crate::init::complain;
use crate::init::process::{kill_below, reap_until};
use crate::init::unit::{KillMode, Unit, User};
use crate::machine::image::PATH;

/// systemd's exit code for a program that can't be started.
const EXIT_EXEC: u8 = 203;

/// Runs the unit that standard input describes: environment never stands in an argument list.
pub(super) fn main() -> ExitCode {
    let mut text = String::new();
    let unit: Unit = match io::stdin()
        .read_to_string(&mut text)
        .map_err(serde_json::Error::io)
        .and_then(|_| serde_json::from_str(&text))
    {
        Ok(unit) => unit,
        Err(error) => return complain(&format!("unit: {error}")),
    };
    match run(&unit) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            complain(&format!("{}: {error}", unit.name));
            ExitCode::from(EXIT_EXEC)
        }
    }
}

fn run(unit: &Unit) -> io::Result<u8> {
    set_child_subreaper(true)?;
    umask(Mode::from_bits_truncate(0o022));
    let child = command(unit)?.spawn()?;
    let main = Pid::from_raw(i32::try_from(child.id()).unwrap_or_default());
    let code = reap_until(main)?;
    if unit.kill_mode != KillMode::Process {
        kill_below(Pid::this());
    }
    Ok(code)
}

fn command(unit: &Unit) -> io::Result<Command> {
    let (program, arguments) = unit
        .command
        .split_first()
        .ok_or_else(|| io::Error::other("no command"))?;
    // Who is already who he shall be has nothing to change, and may have no right to.
    let is_other = |user: &&User| getuid().as_raw() != user.uid || getgid().as_raw() != user.gid;
    let other = unit.user.as_ref().filter(is_other);
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    // A user alone is changed to without help; with further groups it takes a program that sets them.
    let further = other.filter(|user| has_further_groups(&user.name, &groups));
    let mut command = match further {
        None => Command::new(program),
        Some(user) => {
            let mut command = Command::new("setpriv");
            command
                .args([
                    format!("--reuid={}", user.uid),
                    format!("--regid={}", user.gid),
                ])
                .args(["--init-groups", "--"])
                .arg(program);
            command
        }
    };
    command
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .env("LANG", "C.UTF-8")
        .current_dir(unit.folder.as_deref().unwrap_or("/".as_ref()))
        .stdin(Stdio::null());
    if let Some(path) = &unit.output {
        // Opened by root, before the unit's user has any say.
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        command.stdout(file.try_clone()?).stderr(file);
    }
    if let Some(user) = &unit.user {
        command
            .env("USER", &user.name)
            .env("LOGNAME", &user.name)
            .env("HOME", &user.home)
            .env("SHELL", &user.shell);
    }
    if let (Some(user), None) = (other, further) {
        command.gid(user.gid).uid(user.uid);
    }
    command.envs(unit.environment.iter().cloned());
    Ok(command)
}

/// Whether `/etc/group`, this text, names the user in groups beside its own.
fn has_further_groups(user: &str, groups: &str) -> bool {
    let members = groups.lines().filter_map(|line| line.rsplit(':').next());
    members
        .flat_map(|names| names.split(','))
        .any(|name| name == user)
}

#[cfg(test)]
mod tests {
    use super::has_further_groups;

    #[test]
    fn further_groups_are_those_that_name_the_user() {
        for (groups, expected) in [
            ("ci:x:1000:\ndocker:x:990:\n", false),
            ("ci:x:1000:\ndocker:x:990:ci\n", true),
            ("docker:x:990:other,ci\n", true),
            ("docker:x:990:cilia\n", false),
            ("", false),
        ] {
            assert_eq!(has_further_groups("ci", groups), expected, "{groups:?}");
        }
    }
}
