//! What the commands take and what they refuse.

use super::*;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nci:x:1000:1001::/home/ci:/bin/bash\n";

fn line(program: &str, text: &str) -> Result<Command, String> {
    let args: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    let around = Surroundings {
        passwd: PASSWD,
        variable: &|name| (name == "LANG").then(|| "C".to_owned()),
        find: &|name| (name == "sh").then(|| "/usr/bin/sh".into()),
    };
    parse(program, &args, &around)
}

#[test]
fn systemd_run_understands_what_boot_files_say() {
    let text = "--quiet --collect --unit=ci-runner --uid=ci --working-directory=/run/ci \
                --property=KillSignal=SIGKILL -p OOMPolicy=continue --setenv=A=b -E LANG \
                sh -c --unknown";
    let command = line("systemd-run", text).unwrap();
    assert!(command.quiet);
    let Request::Run {
        unit,
        wait,
        on_active,
    } = command.request
    else {
        panic!("not a run: {:?}", command.request);
    };
    assert_eq!((wait, on_active), (false, None));
    assert_eq!(unit.name, "ci-runner.service");
    assert_eq!(unit.kill_signal, 9);
    assert_eq!(unit.command, ["/usr/bin/sh", "-c", "--unknown"]);
    assert!(unit.collect);
    let user = unit.user.unwrap();
    assert_eq!(
        (user.uid, user.gid, user.home.as_str()),
        (1000, 1001, "/home/ci")
    );
    let environment = [
        ("A".to_owned(), "b".to_owned()),
        ("LANG".to_owned(), "C".to_owned()),
    ];
    assert_eq!(unit.environment, environment);
}

#[test]
fn a_timer_is_a_run_for_later() {
    let command = line(
        "systemd-run",
        "--on-active=30min --unit ci-deadline sh -c x",
    )
    .unwrap();
    let Request::Run { on_active, .. } = command.request else {
        panic!("not a run");
    };
    assert_eq!(on_active, Some(Duration::from_mins(30)));
}

#[test]
fn what_systemd_would_not_know_is_an_error() {
    for (program, text) in [
        ("systemd-run", "--no-such sh"),
        ("systemd-run", "--unit"),
        ("systemd-run", "--quiet=yes sh"),
        ("systemd-run", "-p KillSignal=SIGNONE sh"),
        ("systemd-run", "-p NoSuchThing=1 sh"),
        ("systemd-run", "-p KillMode=some sh"),
        ("systemd-run", "--uid=nobody-here sh"),
        ("systemd-run", "--on-active=soon sh"),
        ("systemd-run", "--on-active=1s --wait sh"),
        ("systemd-run", "no-such-program"),
        ("systemd-run", ""),
        ("systemctl", "explode"),
        ("systemctl", "kill"),
        ("systemctl", "kill --signal=SIGNONE x"),
        ("systemctl", "poweroff now"),
        ("systemctl", ""),
        ("shutdown", "-r now"),
        ("shutdown", "tomorrow"),
        ("poweroff", "now"),
        ("poweroff", "--reboot"),
    ] {
        assert!(line(program, text).is_err(), "{program} {text}");
    }
}

#[test]
fn ways_to_power_off_differ_in_force() {
    for (program, text, expected) in [
        ("systemctl", "poweroff", Request::PowerOff(Force::No)),
        (
            "systemctl",
            "poweroff --force",
            Request::PowerOff(Force::Once),
        ),
        (
            "systemctl",
            "-f poweroff -f",
            Request::PowerOff(Force::Twice),
        ),
        ("shutdown", "-h now", Request::PowerOff(Force::No)),
        ("shutdown", "-c", Request::CancelShutdown),
        (
            "shutdown",
            "-h +30",
            Request::Shutdown {
                after: Duration::from_mins(30),
            },
        ),
        ("poweroff", "", Request::PowerOff(Force::No)),
        ("poweroff", "-f", Request::PowerOff(Force::Twice)),
    ] {
        assert_eq!(
            line(program, text).unwrap().request,
            expected,
            "{program} {text}"
        );
    }
}

#[test]
fn systemctl_takes_options_after_its_words() {
    let kill = line("systemctl", "kill ci-runner --signal=SIGKILL").unwrap();
    let expected = Request::Kill {
        unit: "ci-runner.service".to_owned(),
        signal: 9,
        main_only: false,
    };
    assert_eq!(kill.request, expected);
    let active = line("systemctl", "is-active ci-runner.service --quiet").unwrap();
    let expected = Request::IsActive {
        units: vec!["ci-runner.service".to_owned()],
        quiet: true,
    };
    assert_eq!(active.request, expected);
}
