//! `systemd-run`, `systemctl`, `shutdown` and `poweroff`, as far as boot files use them. Whatever is not
//! known here is an error: a boot file with a typo fails in the lab already.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::init::complain;
use crate::init::docker;
use crate::init::socket::SOCKET;
use crate::init::unit::{Force, KillMode, Reply, Request, Unit, User};

/// Runs the command `program`.
pub(super) fn main(program: &str, args: &[String]) -> ExitCode {
    if program == "systemctl" && args == ["--version"] {
        let _ = writeln!(io::stdout(), "systemd 0 (lab)");
        return ExitCode::SUCCESS;
    }
    if let ("systemctl", [verb, unit]) = (program, args)
        && verb == "start"
    {
        return docker::start(unit);
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let request = match parse(program, args, &passwd) {
        Ok(request) => request,
        Err(words) => return complain(&format!("{program}: {words}")),
    };
    match ask(&request) {
        Ok(reply) => {
            let _ = io::stdout().write_all(reply.out.as_bytes());
            let _ = io::stderr().write_all(reply.err.as_bytes());
            ExitCode::from(reply.code)
        }
        Err(error) => complain(&format!("Failed to connect to bus: {error}")),
    }
}

/// One line of JSON each way.
fn ask(request: &Request) -> io::Result<Reply> {
    let mut stream = UnixStream::connect(SOCKET)?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}

fn parse(program: &str, args: &[String], passwd: &str) -> Result<Request, String> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match (program, words.as_slice()) {
        ("systemd-run", words) => systemd_run(words, passwd),
        ("systemctl", ["kill", sent, unit]) => {
            let sent = sent.strip_prefix("--signal=").and_then(signal);
            Ok(Request::Kill {
                unit: service(unit),
                signal: sent.ok_or("kill takes --signal=NAME and a unit")?,
            })
        }
        ("systemctl", ["is-active", unit]) => Ok(Request::IsActive {
            unit: service(unit),
        }),
        ("systemctl", ["poweroff", "--force"]) => Ok(Request::PowerOff(Force::Once)),
        ("systemctl", ["poweroff"]) | ("shutdown", ["-h", "now"]) | ("poweroff", []) => {
            Ok(Request::PowerOff(Force::No))
        }
        // They call the kernel at once, unlike `systemctl poweroff --force`.
        ("systemctl", ["poweroff", "--force", "--force"]) | ("poweroff", ["-f"]) => {
            Ok(Request::PowerOff(Force::Twice))
        }
        (_, words) => Err(format!("the lab does not know {words:?}")),
    }
}

fn systemd_run(mut words: &[&str], passwd: &str) -> Result<Request, String> {
    let mut unit = Unit::new("", Vec::new());
    let mut on_active = None;
    while let [option, rest @ ..] = words
        && option.starts_with('-')
    {
        words = rest;
        let wrong = || format!("the lab does not know {option}");
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        match (name, value) {
            // Without effect here: nobody keeps what ended, and there is no other unit to protect.
            ("--quiet" | "--collect", "") | ("--property", "OOMPolicy=continue") => {}
            ("--unit", name) => unit.name = service(name),
            ("--uid", user) => unit.user = Some(find(user, passwd).ok_or_else(wrong)?),
            ("--working-directory", folder) => unit.folder = Some(folder.into()),
            ("--on-active", span) => on_active = Some(time_span(span).ok_or_else(wrong)?),
            ("--property", "KillMode=mixed") => unit.kill_mode = KillMode::Mixed,
            ("--property", property) if property.starts_with("Standard") => {
                let file = output(property).ok_or_else(wrong)?;
                // Both go to one file, or somebody wants what is not known here.
                if unit.output.get_or_insert_with(|| file.clone()) != &file {
                    return Err(wrong());
                }
            }
            ("--property", property) => {
                let sent = property.strip_prefix("KillSignal=").and_then(signal);
                unit.kill_signal = sent.ok_or_else(wrong)?;
            }
            _ => return Err(wrong()),
        }
    }
    if words.is_empty() || unit.name.is_empty() {
        return Err("a command line and --unit=NAME are needed".to_owned());
    }
    unit.command = words.iter().map(|word| (*word).to_owned()).collect();
    Ok(Request::Run {
        unit: Box::new(unit),
        on_active,
    })
}

/// The file of `StandardOutput=append:FILE`, and of its like for errors.
fn output(property: &str) -> Option<PathBuf> {
    let of = |what: &str| property.strip_prefix(what)?.strip_prefix("=append:");
    let file = of("StandardOutput").or_else(|| of("StandardError"))?;
    file.starts_with('/').then(|| file.into())
}

/// `NAME` with the suffix of a service unless it has one.
fn service(name: &str) -> String {
    format!("{}.service", name.strip_suffix(".service").unwrap_or(name))
}

/// A signal by its name, `SIGKILL`.
fn signal(name: &str) -> Option<i32> {
    name.parse().ok().map(|signal: Signal| signal as i32)
}

/// A time span of one number, `90s` or `30min`.
fn time_span(text: &str) -> Option<Duration> {
    let minutes = text.strip_suffix("min").map(|minutes| (minutes, 60));
    let (number, seconds) = minutes.or(text.strip_suffix('s').map(|seconds| (seconds, 1)))?;
    Some(Duration::from_secs(number.parse::<u64>().ok()? * seconds))
}

/// The user of this name, from the text of `/etc/passwd`.
fn find(user: &str, passwd: &str) -> Option<User> {
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, _, home, shell] = fields[..] else {
            return None;
        };
        Some(User {
            name: name.to_owned(),
            uid: uid.parse().ok()?,
            gid: gid.parse().ok()?,
            home: home.to_owned(),
            shell: shell.to_owned(),
        })
        .filter(|found| found.name == user)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nci:x:1000:1001::/home/ci:/bin/bash\n";

    fn line(program: &str, text: &str) -> Result<Request, String> {
        let args: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        parse(program, &args, PASSWD)
    }

    #[test]
    fn systemd_run_understands_what_boot_files_say() {
        let text = "--quiet --collect --unit=ci-runner --uid=ci --working-directory=/run/ci-runner \
                    --property=KillSignal=SIGKILL --property=OOMPolicy=continue \
                    --property=StandardOutput=append:/run/ci/runner.log \
                    --property=StandardError=append:/run/ci/runner.log sh -c --unknown";
        let mut unit = Unit::new(
            "ci-runner.service",
            ["sh", "-c", "--unknown"].map(str::to_owned).into(),
        );
        unit.kill_signal = 9;
        unit.folder = Some("/run/ci-runner".into());
        unit.output = Some("/run/ci/runner.log".into());
        unit.user = Some(User {
            name: "ci".to_owned(),
            uid: 1000,
            gid: 1001,
            home: "/home/ci".to_owned(),
            shell: "/bin/bash".to_owned(),
        });
        let expected = Request::Run {
            unit: Box::new(unit),
            on_active: None,
        };
        assert_eq!(line("systemd-run", text), Ok(expected));
        for (span, seconds) in [("30min", 1800), ("5s", 5)] {
            let text = format!("--on-active={span} --unit=ci-deadline sh -c x");
            let Ok(Request::Run { on_active, .. }) = line("systemd-run", &text) else {
                panic!("not a run");
            };
            assert_eq!(on_active, Some(Duration::from_secs(seconds)));
        }
    }

    #[test]
    fn what_boot_files_do_not_say_is_an_error() {
        for (program, text) in [
            ("systemd-run", "--no-such --unit=x sh"),
            ("systemd-run", "--quiet=yes --unit=x sh"),
            ("systemd-run", "--unit=x --property=KillSignal=SIGNONE sh"),
            ("systemd-run", "--unit=x --property=NoSuchThing=1 sh"),
            ("systemd-run", "--unit=x --uid=nobody-here sh"),
            (
                "systemd-run",
                "--unit=x --property=StandardOutput=file:/x sh",
            ),
            (
                "systemd-run",
                "--unit=x --property=StandardOutput=append:x sh",
            ),
            (
                "systemd-run",
                "--unit=x --property=StandardOutput=append:/x --property=StandardError=append:/y sh",
            ),
            ("systemd-run", "--unit=x --on-active=soon sh"),
            ("systemd-run", "--unit=x --on-active=min sh"),
            ("systemd-run", "--unit=x"),
            ("systemd-run", "sh"),
            ("systemctl", "explode"),
            ("systemctl", "kill x"),
            ("systemctl", "kill --signal=SIGNONE x"),
            ("systemctl", "poweroff now"),
            ("systemctl", ""),
            ("shutdown", "-r now"),
            ("poweroff", "now"),
        ] {
            assert!(line(program, text).is_err(), "{program} {text}");
        }
    }

    #[test]
    fn ways_to_power_off_differ_in_force() {
        let kill = Request::Kill {
            unit: "ci-runner.service".to_owned(),
            signal: 9,
        };
        for (program, text, expected) in [
            ("systemctl", "poweroff", Request::PowerOff(Force::No)),
            (
                "systemctl",
                "poweroff --force",
                Request::PowerOff(Force::Once),
            ),
            ("shutdown", "-h now", Request::PowerOff(Force::No)),
            (
                "systemctl",
                "poweroff --force --force",
                Request::PowerOff(Force::Twice),
            ),
            ("poweroff", "-f", Request::PowerOff(Force::Twice)),
            ("systemctl", "kill --signal=SIGKILL ci-runner.service", kill),
        ] {
            assert_eq!(line(program, text), Ok(expected), "{program} {text}");
        }
    }
}
