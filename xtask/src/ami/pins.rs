//! `cargo xtask ami pins`: what is pinned, how old that is, and the vendors' own files read anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use lab::http::{HttpClient, HttpError};
use provisioner::ami::pins::{self, Change, Kept};
use provisioner::ami::{AmiError, Manifest, PATH, Pin, Sources, Tool};
use provisioner::environment::Arch;

use crate::output::say;

/// Longest time for one file of a vendor.
const FILE_LIMIT: Duration = Duration::from_secs(30);
/// A file of checksums or versions is smaller, in bytes: the largest, Node's list of all versions, has 0.3 MB.
const FILE_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Redirects that are followed: GitHub sends one on to where it stores files.
const REDIRECTS_MAX: u32 = 5;
/// As much of a checksum as a line shows.
const SHOWN_CHARS: usize = 12;

/// What is asked for.
#[derive(Debug, clap::Args)]
pub struct Asked {
    /// Read each vendor's checksum file, and rewrite ami/images.toml. Exit code 1: something stayed as it was.
    #[arg(long)]
    refresh: bool,
    /// Where the vendors' files are had instead: `https://HOST/PATH` as `URL/HOST/PATH`.
    #[arg(long, value_name = "URL", requires = "refresh")]
    mirror: Option<String>,
}

/// Why pins could not be shown or rewritten.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] AmiError),
    /// A client for the vendors.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The manifest's file.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A mirror that anybody on the way could answer for.
    #[error(
        "the mirror {0} is neither https nor on this machine: what it says could be anybody's word"
    )]
    Mirror(String),
}

/// Shows the pins, or refreshes them.
pub async fn run(root: &Path, asked: &Asked) -> Result<ExitCode, Error> {
    let today = TimeZone::UTC.to_datetime(Timestamp::now()).date();
    let manifest = Manifest::read(root)?;
    if !asked.refresh {
        for line in table(&manifest, today) {
            say(&line);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let is_whole = refresh(root, &manifest, asked.mirror.as_deref(), today).await?;
    Ok(ExitCode::from(u8::from(!is_whole)))
}

/// Asks every vendor and rewrites the manifest; says whether every tool is as its vendor says now, as far as that
/// publishes checksums.
pub(super) async fn refresh(
    root: &Path,
    manifest: &Manifest,
    mirror: Option<&str>,
    today: Date,
) -> Result<bool, Error> {
    let vendors = Vendors::new(mirror)?;
    let mut changes = Vec::new();
    let mut is_whole = true;
    for tool in manifest.tools() {
        match vendors.refresh(tool).await {
            Ok(change) => {
                say(&told(&change));
                changes.push(change);
            }
            Err(kept) => {
                is_whole &= matches!(kept, Kept::NothingPublished);
                say(&format!("{} {}: stays, {kept}", tool.name, tool.version));
            }
        }
    }
    write(root, &changes, today)?;
    if !is_whole {
        say("what stays is as it was; the rest is in ami/images.toml");
    }
    Ok(is_whole)
}

/// All changes at once, and never half a file: another one takes its place.
fn write(root: &Path, changes: &[Change], today: Date) -> Result<(), Error> {
    let path = root.join(PATH);
    let failed = |source| Error::File {
        path: path.clone(),
        source,
    };
    let text = fs::read_to_string(&path).map_err(failed)?;
    let rewritten = pins::rewrite(&text, changes, &today.to_string(), Sources::read(root)?)?;
    let beside = path.with_extension("toml.new");
    fs::write(&beside, rewritten).map_err(failed)?;
    fs::rename(&beside, &path).map_err(failed)
}

fn told(change: &Change) -> String {
    let Change {
        tool,
        before,
        version,
        is_first,
        ..
    } = change;
    match (before == version, is_first) {
        (false, _) => format!("{tool} {before}: {version} now"),
        (true, true) => format!("{tool} {version}: pinned"),
        (true, false) => format!("{tool} {version}: as its vendor says"),
    }
}

/// One line for each tool and architecture.
pub(super) fn table(manifest: &Manifest, today: Date) -> Vec<String> {
    let mut lines = vec![line([
        "tool",
        "version",
        "for",
        "checksum",
        "age",
        "read from",
    ])];
    for tool in manifest.tools() {
        for (arch, pin) in &tool.pins {
            let (sum, age, from) = shown(tool, *arch, pin, today);
            lines.push(line([
                &tool.name,
                &tool.version,
                arch.name(),
                &sum,
                &age,
                &from,
            ]));
        }
    }
    lines
}

fn line([tool, version, arch, sum, age, from]: [&str; 6]) -> String {
    format!("{tool:<23}{version:<12}{arch:<8}{sum:<21}{age:<10}{from}")
        .trim_end()
        .to_owned()
}

fn shown(tool: &Tool, arch: Arch, pin: &Pin, today: Date) -> (String, String, String) {
    let Some(sum) = &pin.sum else {
        let without = if tool.optional {
            "left out of images"
        } else {
            "its images can't be built"
        };
        return (
            "unpinned".to_owned(),
            String::new(),
            format!("{without}: --refresh"),
        );
    };
    let digits: String = sum.digits().chars().take(SHOWN_CHARS).collect();
    let date: Option<Date> = pin.date.parse().ok();
    let age = date.and_then(|date| Some(date.until(today).ok()?.get_days()));
    let age = match age {
        Some(1) => "1 day".to_owned(),
        Some(days) => format!("{days} days"),
        None => "unknown".to_owned(),
    };
    let is_vendors = tool.checksums(&tool.version, arch).as_ref() == Some(&pin.source);
    let hand = if is_vendors { "" } else { "second hand: " };
    (
        format!("{} {digits}", sum.algorithm()),
        age,
        format!("{hand}{}", pin.source),
    )
}

/// Where files are had.
struct Vendors {
    client: HttpClient,
    mirror: Option<String>,
}

impl Vendors {
    fn new(mirror: Option<&str>) -> Result<Self, Error> {
        let mirror = mirror.map(|url| url.trim_end_matches('/').to_owned());
        if let Some(url) = mirror.as_ref().filter(|url| !is_trusted(url)) {
            return Err(Error::Mirror(url.clone()));
        }
        Ok(Self {
            client: HttpClient::with_tls()?,
            mirror,
        })
    }

    async fn refresh(&self, tool: &Tool) -> Result<Change, Kept> {
        let version = match &tool.follow {
            Some(follow) => {
                let document = self.text(&follow.url).await.map_err(Kept::NotHad)?;
                pins::version(tool, follow, &document)?
            }
            None => tool.version.clone(),
        };
        let urls = pins::files(tool, &version)?;
        // One file often speaks of both architectures.
        let mut texts: BTreeMap<String, String> = BTreeMap::new();
        let mut files = BTreeMap::new();
        for (arch, url) in urls {
            let text = match texts.get(&url) {
                Some(text) => text.clone(),
                None => self.text(&url).await.map_err(Kept::NotHad)?,
            };
            texts.insert(url.clone(), text.clone());
            files.insert(arch, (url, text));
        }
        pins::change(tool, &version, &files)
    }

    /// What is at the vendor's address, or why it was not had.
    async fn text(&self, url: &str) -> Result<String, String> {
        let mut at = match &self.mirror {
            Some(mirror) => url.replacen("https:/", mirror, 1),
            None => url.to_owned(),
        };
        for _ in 0..=REDIRECTS_MAX {
            if !is_trusted(&at) {
                return Err(format!("{url} leads to {at}, which is not https"));
            }
            let request = Request::get(&at).header(header::USER_AGENT, "tinqs-ci");
            let request = request
                .body(Bytes::new())
                .map_err(|_| format!("{at} is no address"))?;
            let answer = self.client.send(request, FILE_LIMIT).await;
            let answer = answer.map_err(|error| format!("{url} was not had: {error}"))?;
            let location = answer.headers().get(header::LOCATION);
            let location = location.and_then(|value| value.to_str().ok());
            if answer.status().is_redirection() {
                let to = location.ok_or_else(|| format!("{url} leads nowhere"))?;
                at = beside(&at, to);
            } else if !answer.status().is_success() {
                return Err(format!(
                    "{url} was not had: it answered {}",
                    answer.status()
                ));
            } else if answer.body().len() > FILE_MAX_BYTES {
                return Err(format!("{url} has more than {FILE_MAX_BYTES} bytes"));
            } else {
                return String::from_utf8(answer.into_body().to_vec())
                    .map_err(|_| format!("{url} is no text"));
            }
        }
        Err(format!("{url} leads on more than {REDIRECTS_MAX} times"))
    }
}

/// Where a redirect leads: an address, or a path of the same host.
fn beside(at: &str, to: &str) -> String {
    if !to.starts_with('/') {
        return to.to_owned();
    }
    let host_end = at
        .find("://")
        .and_then(|it| at[it + 3..].find('/').map(|end| it + 3 + end));
    format!("{}{to}", &at[..host_end.unwrap_or(at.len())])
}

/// Nobody on the way can say something else: encrypted, or on this machine.
fn is_trusted(url: &str) -> bool {
    let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
    let is_local = |host: &&str| {
        let rest = url.strip_prefix(*host);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
    };
    url.starts_with("https://") || local.iter().any(is_local)
}
