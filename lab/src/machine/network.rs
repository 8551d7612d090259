//! What a machine reaches: its metadata service, the forge, the front door. Each is a listener
//! bound by a thread that joined the machine's network namespace and served by the daemon.

use std::fs::File;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use nix::sched::{CloneFlags, setns};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::Error;
use crate::ec2::{Instance, catalog};
use crate::machine::host::{DOOR, FORGE, MachineHost, forge_name};
use crate::machine::netlink::METADATA;
use crate::metadata;

/// A TLS handshake over a loopback.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);

/// Binds and serves everything inside the network namespace of `enclosure`, until dropped.
pub(crate) async fn open(
    host: &MachineHost,
    instance: &Instance,
    enclosure: u32,
) -> Result<JoinSet<()>, Error> {
    let failed = |error: std::io::Error| Error::machine(&instance.id, error);
    let namespace = File::open(format!("/proc/{enclosure}/ns/net")).map_err(failed)?;
    let debian = host.debian.as_ref();
    let mirror = debian.filter(|_| catalog::is_ubuntu(&instance.blueprint.image.stock));
    let mirror = mirror.map(|debian| debian.mirror);
    let mut addresses = vec![
        SocketAddr::from((METADATA, 80)),
        SocketAddr::from((FORGE, forge_name().1)),
        SocketAddr::from((DOOR, 443)),
    ];
    addresses.extend(mirror);
    let bound = bind_inside(namespace, addresses).await.map_err(failed)?;
    let mut bound = bound.into_iter();
    let (Some(metadata), Some(forge), Some(door)) = (bound.next(), bound.next(), bound.next())
    else {
        return Err(failed(std::io::Error::other("not all listeners are there")));
    };
    let mut services = JoinSet::new();
    let router = metadata::router(instance, &host.keys, &host.notices);
    services.spawn(async move {
        let _ = axum::serve(metadata, router).await;
    });
    services.spawn(forward(forge, host.forwarders.forge));
    for (listener, mirror) in bound.zip(mirror) {
        services.spawn(forward(listener, mirror));
    }
    let door = TlsListener {
        inner: door,
        acceptor: TlsAcceptor::from(Arc::clone(&host.forwarders.tls)),
    };
    let router = host.forwarders.door.clone();
    services.spawn(async move {
        let _ = axum::serve(door, router).await;
    });
    Ok(services)
}

async fn bind_inside(
    namespace: File,
    addresses: Vec<SocketAddr>,
) -> std::io::Result<Vec<TcpListener>> {
    let (sender, receiver) = oneshot::channel();
    // A thread of its own: it never returns to the host's network and must not serve anything else.
    std::thread::spawn(move || {
        let bind = || -> std::io::Result<Vec<StdListener>> {
            setns(namespace, CloneFlags::CLONE_NEWNET)?;
            addresses.iter().map(StdListener::bind).collect()
        };
        let _ = sender.send(bind());
    });
    let bound = receiver
        .await
        .map_err(|_| std::io::Error::other("the thread in the namespace died"))??;
    let mut listeners = Vec::new();
    for listener in bound {
        listener.set_nonblocking(true)?;
        listeners.push(TcpListener::from_std(listener)?);
    }
    Ok(listeners)
}

async fn forward(listener: TcpListener, to: SocketAddr) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((mut inside, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        connections.spawn(async move {
            if let Ok(mut outside) = TcpStream::connect(to).await {
                let _ = outside.set_nodelay(true);
                let _ = inside.set_nodelay(true);
                let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
            }
        });
    }
}

struct TlsListener {
    inner: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, from)) = self.inner.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let handshake = self.acceptor.accept(stream);
            if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_LIMIT, handshake).await {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.inner.local_addr()
    }
}
