//! What all machines of a lab share: its folder, the keys of their metadata services, and what their
//! connections are forwarded to.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;

use crate::folder::{FORGE_URL, Folder, REGION};
use crate::machine::debian::Debian;
use crate::machine::docker::Docker;
use crate::machine::groups::Groups;
use crate::machine::image::Image;
use crate::metadata::{Keys, Notices};

/// Where the forge's name points inside.
pub(crate) const FORGE: Ipv4Addr = Ipv4Addr::new(127, 0, 80, 1);
/// Where the APIs' names point inside.
pub(crate) const DOOR: Ipv4Addr = Ipv4Addr::new(127, 0, 80, 2);

/// What hosts the machines.
pub(crate) struct MachineHost {
    pub(crate) folder: Folder,
    pub(crate) image: Image,
    pub(crate) docker: Option<Docker>,
    pub(crate) debian: Option<Debian>,
    /// Where machines with one of these two have their control groups.
    pub(crate) groups: Option<Groups>,
    pub(crate) keys: Keys,
    pub(crate) notices: Notices,
    pub(crate) forwarders: Forwarders,
}

/// Where connections out of a machine lead, the same for all machines.
pub(crate) struct Forwarders {
    /// Where the daemon's forge listens.
    pub(crate) forge: SocketAddr,
    /// The front door as instances see it.
    pub(crate) door: Router,
    /// Its certificate.
    pub(crate) tls: Arc<rustls::ServerConfig>,
}

impl Forwarders {
    /// `/etc/hosts` of an instance.
    pub(crate) fn hosts(apis: &[String]) -> String {
        let mut hosts = String::from("127.0.0.1 localhost\n");
        let _ = writeln!(hosts, "{FORGE} {}", forge_name().0);
        let _ = writeln!(hosts, "{DOOR} {}", logs_host());
        for api in apis {
            let _ = writeln!(hosts, "{DOOR} {api}.execute-api.{REGION}.amazonaws.com");
        }
        hosts
    }
}

impl MachineHost {
    /// Where the disk of an instance is kept that is stopped: what it has over that of its image.
    pub(crate) fn disk(&self, id: &str) -> PathBuf {
        self.folder.instances().join(id).join("disk")
    }

    /// Where the instance's console goes.
    pub(crate) fn console(&self, id: &str) -> PathBuf {
        self.folder.instances().join(id).join("console.log")
    }
}

/// Where `CloudWatch` Logs takes what machines have to say.
pub(crate) fn logs_host() -> String {
    format!("logs.{REGION}.amazonaws.com")
}

/// Host and port of the forge's address.
pub(crate) fn forge_name() -> (&'static str, u16) {
    let authority = FORGE_URL.rsplit('/').next().unwrap_or(FORGE_URL);
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "80"));
    (host, port.parse().unwrap_or(80))
}

#[cfg(test)]
mod tests {
    use super::forge_name;

    #[test]
    fn the_forges_address_gives_name_and_port() {
        assert_eq!(forge_name(), ("forge.lab", 3000));
    }
}
