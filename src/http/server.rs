//! The listening socket.

use std::io;
use std::net::{SocketAddr, TcpListener as BlockingListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use super::access::Access;
use super::connection::{Connection, Times};
use super::places::Places;
use super::request::Request;
use super::response::Response;

/// Connections that are served at once.
pub(super) const MAX_CONNECTIONS: usize = 32;

/// A socket that listens.
#[derive(Debug)]
pub struct Server {
    listener: BlockingListener,
    access: Access,
}

impl Server {
    /// Binds the address.
    ///
    /// # Errors
    /// The address is in use or not one of this machine.
    pub fn bind(address: SocketAddr, access: Access) -> io::Result<Self> {
        let listener = BlockingListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, access })
    }

    /// The bound address.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until it is dropped, by tasks of the current runtime. It never wakes up by itself.
    ///
    /// # Errors
    /// The socket cannot be used in this runtime.
    pub async fn serve<H, F>(self, handler: H) -> io::Result<()>
    where
        H: Fn(Request) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response> + Send + 'static,
    {
        let listener = TcpListener::from_std(self.listener)?;
        let access = Arc::new(self.access);
        let places = Places::new(MAX_CONNECTIONS);
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    // Without a place the connection is closed at once.
                    let Some(place) = places.take() else { continue };
                    let (access, handler) = (access.clone(), handler.clone());
                    tokio::spawn(async move {
                        let _no_delay = stream.set_nodelay(true);
                        let served = Connection::new(stream, &place, &access, Times::default());
                        if let Err(error) = served.serve(&handler).await {
                            log::debug!("an HTTP connection ended: {error}");
                        }
                    });
                }
                // Out of descriptors, most likely: the next may succeed.
                Err(error) => {
                    log::debug!("the HTTP socket: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}
