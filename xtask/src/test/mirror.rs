//! A server of files by HTTPS, whose authority only a test's own machines trust.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Longest time that a client may be silent.
const SILENCE_LIMIT: Duration = Duration::from_secs(20);
/// Longest request, in bytes.
const REQUEST_MAX_BYTES: u64 = 8192;

/// What serves a folder until the program ends.
pub struct Mirror {
    /// Where, without a slash at its end.
    pub url: String,
    /// Where, as an address.
    pub address: SocketAddr,
    /// The authority's certificate as PEM.
    pub authority: String,
}

impl Mirror {
    /// Serves the files below `folder` on this machine alone.
    pub fn serve(folder: &Path) -> io::Result<Self> {
        let (authority, config) = certificate().map_err(io::Error::other)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let url = format!("https://{address}");
        let folder = folder.to_owned();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (folder, config) = (folder.clone(), Arc::clone(&config));
                // A client that goes away has what it wanted.
                thread::spawn(move || answer(stream, &folder, config));
            }
        });
        Ok(Self {
            url,
            address,
            authority,
        })
    }
}

fn certificate() -> Result<(String, Arc<ServerConfig>), Box<dyn std::error::Error + Send + Sync>> {
    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Another name than the server's: an issuer of its own name has signed itself.
    authority
        .distinguished_name
        .push(DnType::CommonName, "mirror of stand-ins");
    let pem = authority.self_signed(&authority_key)?.pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate()?;
    let address = Ipv4Addr::LOCALHOST.to_string();
    let certificate = CertificateParams::new(vec![address])?.signed_by(&key, &issuer)?;
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)?;
    Ok((pem, Arc::new(config)))
}

fn answer(stream: TcpStream, folder: &Path, config: Arc<ServerConfig>) -> io::Result<()> {
    stream.set_read_timeout(Some(SILENCE_LIMIT))?;
    stream.set_write_timeout(Some(SILENCE_LIMIT))?;
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    let mut lines = BufReader::new((&mut stream).take(REQUEST_MAX_BYTES)).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    while lines
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}
    drop(lines);
    let path = first.split(' ').nth(1).unwrap_or_default();
    let found = inside(folder, path).and_then(|file| std::fs::read(file).ok());
    let (status, body) = match found {
        Some(body) => ("200 OK", body),
        None => ("404 Not Found", Vec::new()),
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    stream.write_all(&body)?;
    stream.conn.send_close_notify();
    stream.flush()
}

/// The file that a path means, if it stays in the folder.
fn inside(folder: &Path, path: &str) -> Option<PathBuf> {
    let path = Path::new(path.strip_prefix('/')?);
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    path.components().all(is_plain).then(|| folder.join(path))
}
