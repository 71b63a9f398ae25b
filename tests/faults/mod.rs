//! The daemon among all that goes wrong at once, watched by a client written by others.

mod at_rest;
mod delivery_checker;
mod failpoints;
mod full_disk;
mod kills;
mod outages;
mod upgrade;
mod windows;

use crate::common::gateway::Gateway;

/// Waits for what blocks, while the wire goes on.
async fn aside<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(act).await.unwrap()
}

/// Started, and heard by the broker.
async fn ready(mut gateway: Gateway) -> Gateway {
    aside(move || {
        gateway.start();
        gateway.await_notice("subscribed");
        gateway
    })
    .await
}
