//! Awaits jobs on the store's thread.

use tokio::sync::oneshot;

use crate::store::Store;
use crate::store::handle::StoreHandle;

/// The store is closed, or the queue of its thread is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store is closed or does not keep up")]
pub(crate) struct StoreUnavailable;

/// Runs `job` on the store's thread and awaits its result. The job gets `None` while the store is
/// closed.
///
/// # Errors
/// The queue of the thread is full, or the thread has ended.
pub(crate) async fn run<T: Send + 'static>(
    store: &StoreHandle,
    job: impl FnOnce(Option<&mut Store>) -> T + Send + 'static,
) -> Result<T, StoreUnavailable> {
    let (answer, found) = oneshot::channel();
    let job = move |store: Option<&mut Store>| {
        if answer.send(job(store)).is_err() {
            log::debug!("a result of the store is no longer awaited");
        }
    };
    store.run(job).map_err(|_| StoreUnavailable)?;
    found.await.map_err(|_| StoreUnavailable)
}

/// Runs `job` on the open store, on its thread, and awaits the result.
///
/// # Errors
/// The store is closed, the queue of its thread is full, or the thread has ended.
pub(crate) async fn with_open<T: Send + 'static>(
    store: &StoreHandle,
    job: impl FnOnce(&mut Store) -> T + Send + 'static,
) -> Result<T, StoreUnavailable> {
    run(store, move |store| store.map(job)).await?.ok_or(StoreUnavailable)
}
