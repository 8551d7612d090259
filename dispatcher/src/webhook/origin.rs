//! Whether a delivery comes from the forge that this deployment serves. A hook of another forge that
//! was given the same secret speaks of jobs that no machine of ours would ever be offered, under
//! names that may be those of our own jobs.
//!
//! The page of the job says whose it is: Gitea always writes it with its `ROOT_URL`, while the
//! repository's addresses follow whatever name the request came in by (read in 1.26). Only host
//! names are compared; scheme, port and path differ where a proxy stands before the forge.

use std::net::IpAddr;

use http::Uri;
use stacks::pool::Settings;

/// Why a job whose page is `page` is another forge's; `None` where it is ours, or says nothing of its
/// forge.
#[must_use]
pub fn why_foreign(settings: &Settings, page: &str) -> Option<String> {
    let theirs = host(page).filter(|host| !is_loopback(host))?;
    let root = settings.forge_root_url.as_deref();
    let is_ours = [Some(settings.forge_url.as_str()), root]
        .into_iter()
        .flatten()
        .any(|own| host(own).is_none_or(|own| own == theirs));
    (!is_ours).then(|| {
        format!(
            "the job is on {theirs}, and this deployment serves {}: if both are the same forge, \
             put its ROOT_URL into the environment file as root_url below [forge] and run `cargo \
             xtask up`; else take this webhook out there",
            settings.forge_url
        )
    })
}

fn host(url: &str) -> Option<String> {
    let url: Uri = url.parse().ok()?;
    let host = url.host()?.trim_end_matches('.');
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

/// A loopback name is what a forge says whose `ROOT_URL` nobody has set: it tells no forge from
/// another.
fn is_loopback(host: &str) -> bool {
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    host == "localhost" || address.is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_foreign(url: &str, root_url: Option<&str>, page: &str) -> bool {
        let settings = serde_json::json!({
            "forge_url": url, "forge_root_url": root_url, "forge_kind": "gitea", "max_runners": 1,
        });
        why_foreign(&serde_json::from_value(settings).unwrap(), page).is_some()
    }

    #[test]
    fn only_another_host_is_another_forge() {
        let page = "https://git.example.com/acme/app/actions/runs/1/jobs/1";
        for ours in [
            "https://git.example.com",
            "http://git.example.com",
            "https://git.example.com:8443",
            "https://GIT.Example.com",
            "https://git.example.com./git",
        ] {
            assert!(!is_foreign(ours, None, page), "{ours}");
        }
        for other in [
            "https://example.com",
            "https://git.example.org",
            "https://git.example.com.evil.example",
            "http://gitea.internal:3000",
        ] {
            assert!(is_foreign(other, None, page), "{other}");
        }
        let root = Some("https://git.example.com/");
        assert!(!is_foreign("http://gitea.internal:3000", root, page));
        assert!(is_foreign(
            "http://gitea.internal:3000",
            root,
            "https://other.example/x"
        ));
    }

    #[test]
    fn a_page_without_a_name_accuses_nobody() {
        for page in [
            "",
            "/acme/app",
            "not an address",
            "http://localhost:3000/acme/app",
            "http://127.0.0.1:3300/acme/app",
            "http://[::1]:3000/acme/app",
        ] {
            assert!(!is_foreign("https://git.example.com", None, page), "{page}");
        }
    }
}
