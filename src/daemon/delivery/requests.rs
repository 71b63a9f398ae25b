//! What other tasks ask of the delivery loop.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::daemon::telemetry::health::LatestHealth;
use crate::daemon::telemetry::snapshot::HealthSnapshot;
use crate::ids::StreamName;

/// Requests that may wait for the delivery loop.
const QUEUE_LEN: usize = 8;

/// A request to the delivery loop.
#[derive(Debug)]
pub(crate) enum DeliveryRequest {
    /// Send the backlog as fast as the broker accepts it. The answer is whether there is a connection.
    DrainNow(oneshot::Sender<bool>),
    /// Count results that were removed from the queue by an operator.
    Purged(BTreeMap<StreamName, u64>),
    /// Make a snapshot now.
    Snapshot(oneshot::Sender<Arc<HealthSnapshot>>),
}

/// Sends requests to the delivery loop. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct DeliveryHandle(mpsc::Sender<DeliveryRequest>);

impl DeliveryHandle {
    pub(crate) fn new() -> (Self, mpsc::Receiver<DeliveryRequest>) {
        let (requests, received) = mpsc::channel(QUEUE_LEN);
        (Self(requests), received)
    }

    /// Has the backlog sent at full speed. Returns whether there is a connection; `None` if the
    /// daemon is stopping.
    pub(crate) async fn drain_now(&self) -> Option<bool> {
        self.ask(DeliveryRequest::DrainNow).await
    }

    /// Reports results that were removed from the queue by an operator.
    pub(crate) async fn purged(&self, purged: BTreeMap<StreamName, u64>) {
        if self.0.send(DeliveryRequest::Purged(purged)).await.is_err() {
            log::debug!("the daemon is stopping: a purge is not counted");
        }
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> DeliveryRequest,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.0.send(request(answer)).await.ok()?;
        answered.await.ok()
    }
}

/// Gives access to the health of the running daemon. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HealthSource {
    delivery: DeliveryHandle,
    latest: LatestHealth,
}

impl HealthSource {
    pub(crate) fn new(delivery: DeliveryHandle, latest: LatestHealth) -> Self {
        Self { delivery, latest }
    }

    /// The latest snapshot; `None` before the first. Snapshots are made every
    /// `report.health_interval`, with every change of the state, and by [`Self::refresh`].
    #[must_use]
    pub fn latest(&self) -> Option<Arc<HealthSnapshot>> {
        self.latest.borrow().clone()
    }

    /// Makes a snapshot now. Returns `None` if the store does not keep up or the daemon is
    /// stopping.
    pub async fn refresh(&self) -> Option<Arc<HealthSnapshot>> {
        self.delivery.ask(DeliveryRequest::Snapshot).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::watch;

    #[tokio::test]
    async fn a_stopped_loop_answers_no_request() {
        let (delivery, requests) = DeliveryHandle::new();
        let (_latest, latest) = watch::channel(None);
        let health = HealthSource::new(delivery.clone(), latest);
        drop(requests);
        assert_eq!(delivery.drain_now().await, None);
        assert!(health.refresh().await.is_none());
        assert!(health.latest().is_none());
    }
}
