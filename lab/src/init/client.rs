//! The commands' side of the conversation with process 1: one line of JSON each way.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use crate::init::command::{Surroundings, find_executable, parse};
use crate::init::complain::complain;
use crate::init::socket::SOCKET;
use crate::init::unit::{Reply, Request};
use crate::machine::image::PATH;

/// Runs the command `program`.
pub(super) fn main(program: &str, args: &[String]) -> ExitCode {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let path = std::env::var("PATH").unwrap_or_else(|_| PATH.to_owned());
    let around = Surroundings {
        passwd: &passwd,
        variable: &|name| std::env::var(name).ok(),
        find: &|name| find_executable(name, &path),
    };
    let command = match parse(program, args, &around) {
        Ok(command) => command,
        Err(words) => return complain(&words),
    };
    match ask(&command.request) {
        Ok(reply) => {
            let _ = io::stdout().write_all(reply.out.as_bytes());
            if !(command.quiet && reply.code == 0) {
                let _ = io::stderr().write_all(reply.err.as_bytes());
            }
            ExitCode::from(reply.code)
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            complain("Failed to connect to bus: Access denied")
        }
        Err(error) => complain(&format!("Failed to connect to bus: {error}")),
    }
}

fn ask(request: &Request) -> io::Result<Reply> {
    let mut stream = UnixStream::connect(SOCKET)?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}
