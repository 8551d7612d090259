//! Its two files: `.runner`, the credential, and the configuration.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::command::Program;

/// The credential: who this runner is, and where its forge is.
#[derive(Deserialize)]
pub(super) struct Registration {
    pub(super) uuid: String,
    pub(super) token: String,
    pub(super) name: String,
    pub(super) address: String,
    #[serde(default)]
    pub(super) labels: Vec<String>,
    #[serde(default)]
    pub(super) ephemeral: bool,
}

impl Registration {
    pub(super) fn load(file: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(file).map_err(|error| {
            format!(
                "registration file not found ({}: {error}), please register the runner first",
                file.display()
            )
        })?;
        serde_json::from_str(&text)
            .map_err(|error| format!("cannot read {}: {error}", file.display()))
    }
}

/// The names of `labels`, without how they are served, if `program` can serve them here. A bare
/// label runs on the host at a Gitea, and in a container at a Forgejo; this machine has no Docker.
pub(super) fn labels(program: Program, labels: &[String]) -> Result<Vec<String>, String> {
    labels.iter().map(|label| name_of(program, label)).collect()
}

fn name_of(program: Program, label: &str) -> Result<String, String> {
    let mut parts = label.splitn(3, ':');
    let name = parts.next().unwrap_or_default().to_owned();
    match (program, parts.next(), parts.next()) {
        (Program::Gitea, _, _) | (Program::Forgejo, Some("host"), None) => Ok(name),
        (Program::Forgejo, Some("host"), Some(_)) => Err(format!(
            "malformed `label` \"{label}\": schema: host does not have arguments"
        )),
        (Program::Forgejo, None | Some("docker"), _) => Err(
            "daemon Docker Engine socket not found and docker_host config was invalid".to_owned(),
        ),
        (Program::Forgejo, Some(schema), _) => Err(format!(
            "malformed `label` \"{label}\": unsupported schema: {schema}"
        )),
    }
}

/// The configuration, as far as it matters here, with the real defaults.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) file: PathBuf,
    pub(super) timeout: Duration,
    pub(super) shutdown_timeout: Duration,
    pub(super) fetch_timeout: Duration,
    pub(super) fetch_interval: Duration,
    pub(super) work_folder: PathBuf,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ConfigFile {
    runner: RunnerSection,
    host: HostSection,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RunnerSection {
    file: Option<PathBuf>,
    timeout: Option<String>,
    shutdown_timeout: Option<String>,
    fetch_timeout: Option<String>,
    fetch_interval: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct HostSection {
    workdir_parent: Option<PathBuf>,
}

impl Config {
    pub(super) fn load(file: Option<&Path>) -> Result<Self, String> {
        let text = match file {
            Some(file) => std::fs::read_to_string(file)
                .map_err(|error| format!("cannot read {}: {error}", file.display()))?,
            None => "{}".to_owned(),
        };
        let home = std::env::var_os("HOME").ok_or("HOME is not set: no folder for jobs")?;
        Self::parse(&text, Path::new(&home))
    }

    fn parse(text: &str, home: &Path) -> Result<Self, String> {
        let file: ConfigFile =
            serde_yaml::from_str(text).map_err(|error| format!("invalid config: {error}"))?;
        let or = |text: Option<String>, default_s: u64| match text {
            Some(text) => duration(&text),
            None => Ok(Duration::from_secs(default_s)),
        };
        Ok(Self {
            file: file.runner.file.unwrap_or_else(|| ".runner".into()),
            timeout: or(file.runner.timeout, 3 * 3600)?,
            shutdown_timeout: or(file.runner.shutdown_timeout, 0)?,
            fetch_timeout: or(file.runner.fetch_timeout, 5)?,
            fetch_interval: or(file.runner.fetch_interval, 2)?,
            work_folder: file
                .host
                .workdir_parent
                .unwrap_or_else(|| home.join(".cache/act")),
        })
    }
}

/// Go's way of writing durations, in whole units: `90s`, `10m`, `1h30m`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("invalid config: {text:?} is not a duration like 90s or 1h30m");
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest
            .find(|letter: char| !letter.is_ascii_digit())
            .ok_or_else(wrong)?;
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit_end = rest[digits..]
            .find(|letter: char| letter.is_ascii_digit())
            .map_or(rest.len(), |at| digits + at);
        total += match &rest[digits..unit_end] {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number * 60),
            "h" => Duration::from_secs(number * 3600),
            _ => return Err(wrong()),
        };
        rest = &rest[unit_end..];
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_go_s() {
        for (text, expected) in [
            ("90s", Some(90)),
            ("1h30m", Some(5_400)),
            ("0s", Some(0)),
            ("5", None),
            ("m", None),
            ("1d", None),
        ] {
            let read = duration(text).ok().map(|duration| duration.as_secs());
            assert_eq!(read, expected, "{text}");
        }
    }

    #[test]
    fn what_is_left_out_has_the_real_default() {
        let config = Config::parse("{}", Path::new("/home/ci")).unwrap();
        assert_eq!(config.file, Path::new(".runner"));
        assert_eq!(config.shutdown_timeout, Duration::ZERO);
        assert_eq!(config.work_folder, Path::new("/home/ci/.cache/act"));
        let text = "runner: {fetch_interval: 1s, capacity: 1}\ncache: {enabled: false}\n";
        let config = Config::parse(text, Path::new("/")).unwrap();
        assert_eq!(config.fetch_interval, Duration::from_secs(1));
        assert_eq!(config.fetch_timeout, Duration::from_secs(5));
    }

    #[test]
    fn a_label_says_how_its_jobs_run_or_the_program_has_its_own_opinion() {
        for (label, gitea, forgejo) in [
            ("base:host", Ok("base"), Ok("base")),
            ("bare", Ok("bare"), Err("Docker Engine socket not found")),
            (
                "img:docker://x:1",
                Ok("img"),
                Err("Docker Engine socket not found"),
            ),
            ("a:lxc://b", Ok("a"), Err("unsupported schema: lxc")),
            ("a:host:b", Ok("a"), Err("host does not have arguments")),
        ] {
            let one = [label.to_owned()];
            for (program, expected) in [(Program::Gitea, gitea), (Program::Forgejo, forgejo)] {
                match (labels(program, &one), expected) {
                    (Ok(names), Ok(name)) => assert_eq!(names, [name], "{program:?}"),
                    (Err(error), Err(words)) => assert!(error.contains(words), "{error}"),
                    (read, _) => panic!("{program:?} {label}: {read:?}"),
                }
            }
        }
    }
}
