//! What cloud-init does of its many things: fetches the user-data and has it run once.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use crate::init::complain;
use crate::init::unit::{KillMode, Unit};

/// cloud-init's unit that runs user-data.
const USER_DATA: &str = "cloud-final.service";
/// Where cloud-init keeps the script.
const SCRIPT: &str = "/var/lib/cloud/instance/scripts/part-001";
/// EC2's user-data has 16 KB; the answer has its headers.
const ANSWER_MAX_BYTES: u64 = 64 * 1024;

/// The user-data as a unit, if there is a script.
pub(super) fn unit() -> io::Result<Option<Unit>> {
    if !fetch()? {
        return Ok(None);
    }
    let mut unit = Unit::new(USER_DATA, vec![SCRIPT.to_owned()]);
    unit.kill_mode = KillMode::Process;
    unit.environment = vec![("HOME".to_owned(), "/root".to_owned())];
    Ok(Some(unit))
}

/// Becomes the script, where systemd has a unit for it.
pub(super) fn main() -> ExitCode {
    match fetch() {
        Ok(true) => complain(&format!("{SCRIPT}: {}", Command::new(SCRIPT).exec())),
        Ok(false) => complain("no user-data"),
        Err(error) => complain(&format!("user-data: {error}")),
    }
}

/// Fetches the script, if there is one.
fn fetch() -> io::Result<bool> {
    let (status, token) = metadata(
        "PUT /latest/api/token",
        "X-aws-ec2-metadata-token-ttl-seconds: 60",
    )?;
    if status != 200 {
        return Err(io::Error::other(format!("metadata token: {status}")));
    }
    let header = format!("X-aws-ec2-metadata-token: {token}");
    let (status, script) = metadata("GET /latest/user-data", &header)?;
    if status == 404 || !script.starts_with("#!") {
        return Ok(false);
    }
    if let Some(folder) = Path::new(SCRIPT).parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(SCRIPT, script)?;
    fs::set_permissions(SCRIPT, fs::Permissions::from_mode(0o700))?;
    Ok(true)
}

fn metadata(request: &str, header: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect("169.254.169.254:80")?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let host = "Host: 169.254.169.254";
    write!(stream, "{request} HTTP/1.0\r\n{host}\r\n{header}\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(ANSWER_MAX_BYTES).read_to_string(&mut answer)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| io::Error::other("not HTTP"))?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Ok((status.unwrap_or(0), body.to_owned()))
}
