//! A wire between client and broker that can be cut, and that can fall silent without an end.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Forwards every connection to a port of loopback until it is cut.
pub(crate) struct CuttableProxy {
    pub(crate) port: u16,
    cuts: Arc<watch::Sender<u64>>,
    held: Arc<watch::Sender<bool>>,
    /// How many of the connections so far lose what the client says, and what the broker says.
    deaf: Arc<[AtomicU64; 2]>,
    taken: Arc<AtomicU64>,
    /// Bytes that the broker said.
    said: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl CuttableProxy {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let cuts = Arc::new(watch::Sender::new(0));
        let watched = Arc::clone(&cuts);
        let held = Arc::new(watch::Sender::new(false));
        let gate = held.subscribe();
        let deaf = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        let taken = Arc::new(AtomicU64::new(0));
        let said = Arc::new(AtomicU64::new(0));
        let (deafness, count) = (Arc::clone(&deaf), Arc::clone(&taken));
        let counted = Arc::clone(&said);
        let task = tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let number = count.fetch_add(1, Ordering::SeqCst);
                let deaf = Arc::clone(&deafness);
                let counted = Arc::clone(&counted);
                let mut cut = watched.subscribe();
                let mut gate = gate.clone();
                tokio::spawn(async move {
                    if gate.wait_for(|held| !held).await.is_err() {
                        return;
                    }
                    let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else {
                        return;
                    };
                    let ((from_near, to_near), (from_far, to_far)) =
                        (near.into_split(), far.into_split());
                    let unheard = AtomicU64::new(0);
                    let is_deaf = |way: usize| number < deaf[way].load(Ordering::SeqCst);
                    tokio::select! {
                        () = pass(from_near, to_far, &unheard, || is_deaf(0)) => {}
                        () = pass(from_far, to_near, &counted, || is_deaf(1)) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { port: own, cuts, held, deaf, taken, said, task }
    }

    /// How many bytes the broker has sent so far.
    pub(crate) fn said(&self) -> u64 {
        self.said.load(Ordering::SeqCst)
    }

    /// Ends every connection, and takes new ones without an answer until [`Self::open`].
    pub(crate) fn hold(&self) {
        self.held.send_replace(true);
        self.cut();
    }

    pub(crate) fn open(&self) {
        self.held.send_replace(false);
    }

    /// From now on the broker hears nothing of the connections that are there, and they go on
    /// hearing the broker.
    pub(crate) fn deafen(&self) {
        self.deaf[0].store(self.taken.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// Half-open: the connections that are there carry nothing any more, either way, and do not end.
    pub(crate) fn silence(&self) {
        self.deafen();
        self.deaf[1].store(self.taken.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// Ends every connection that is there now; new ones are taken.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

/// Until the end; what is read while the wire is deaf is gone.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    count: &AtomicU64,
    is_deaf: impl Fn() -> bool,
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(len @ 1..) = from.read(&mut buffer).await {
        if !is_deaf() && to.write_all(&buffer[..len]).await.is_err() {
            return;
        }
        count.fetch_add(u64::try_from(len).unwrap(), Ordering::SeqCst);
    }
    if is_deaf() {
        // Nobody hears of the end either.
        std::future::pending::<()>().await;
    }
}

impl Drop for CuttableProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}
