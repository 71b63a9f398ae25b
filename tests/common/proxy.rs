//! A wire between client and broker that can be cut.

use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Forwards every connection to a port of loopback until it is cut.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    cuts: Arc<watch::Sender<u64>>,
    held: Arc<watch::Sender<bool>>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let cuts = Arc::new(watch::Sender::new(0));
        let watched = Arc::clone(&cuts);
        let held = Arc::new(watch::Sender::new(false));
        let gate = held.subscribe();
        let task = tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let mut cut = watched.subscribe();
                let mut gate = gate.clone();
                tokio::spawn(async move {
                    if gate.wait_for(|held| !held).await.is_err() {
                        return;
                    }
                    let Ok(mut far) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else {
                        return;
                    };
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { port: own, cuts, held, task }
    }

    /// Ends every connection, and takes new ones without an answer until [`Self::open`].
    pub(crate) fn hold(&self) {
        self.held.send_replace(true);
        self.cut();
    }

    pub(crate) fn open(&self) {
        self.held.send_replace(false);
    }

    /// Ends every connection that is there now; new ones are taken.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}
