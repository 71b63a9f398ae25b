//! Handlers of the requests on the control socket.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::model_rows::{ModelRow, model_rows};
use super::{capture, queue};
use crate::capture::SegmentFilter;
use crate::control::{ControlRequest, ErrorCode, ErrorResponse, MAX_PEEK_RECORDS, Response};
use crate::daemon::context::DaemonContext;
use crate::daemon::delivery::requests::{DeliveryHandle, HealthSource};
use crate::daemon::models::registry::ModelRegistry;
use crate::daemon::models::switcher::{ModelSwitcher, SwitchError, VersionChoice};
use crate::daemon::store_access::{self, StoreUnavailable};
use crate::daemon::telemetry::snapshot::HealthSnapshot;
use crate::daemon::updates::commands::{CommandResult, UpdateQueues};
use crate::ids::{Digest, ModelName};
use crate::monitor::health::{HealthState, Verdict};
use crate::pipeline::SwapEffect;
use crate::store::handle::StoreHandle;
use crate::store::{Store, StoreError};

const BUSY: &str = "the store does not keep up, or the daemon is stopping";
const STORE_CLOSED: &str = "the store is closed, results are kept in memory only; see the daemon's \
                            log for the reason. It is opened again every few seconds";

/// The answer to `status`.
#[derive(Serialize)]
struct Status<'a> {
    /// The state is not `failed`: what `inferd status` exits by without options.
    healthy: bool,
    /// The messages of the reasons that make it `failed`.
    problems: Vec<&'a str>,
    #[serde(flatten)]
    verdict: &'a Verdict,
    health: &'a HealthSnapshot,
    models: &'a [ModelRow],
}

impl<'a> Status<'a> {
    fn new(health: &'a HealthSnapshot, models: &'a [ModelRow]) -> Self {
        let verdict = &health.verdict;
        let failed = verdict.reasons.iter().filter(|reason| reason.state == HealthState::Failed);
        Self {
            healthy: verdict.state != HealthState::Failed,
            problems: failed.map(|reason| reason.message.as_str()).collect(),
            verdict,
            health,
            models,
        }
    }
}

/// Handles requests of local commands. Cheap to clone; each request is a task of its own.
#[derive(Clone)]
pub(crate) struct Commands {
    pub(crate) store: StoreHandle,
    pub(crate) models: ModelRegistry,
    pub(crate) health: HealthSource,
    pub(crate) delivery: DeliveryHandle,
    pub(crate) switcher: ModelSwitcher,
    pub(crate) updates: UpdateQueues,
    pub(crate) context: Arc<DaemonContext>,
}

impl Commands {
    /// Handles one request. `body`: the bytes that followed it.
    pub(crate) async fn handle(self, ask: ControlRequest, body: Vec<u8>) -> Response {
        let result = match ask {
            ControlRequest::Status => self.status().await,
            ControlRequest::Models => self.model_rows().await.map(|rows| json!({ "models": rows })),
            ControlRequest::Use { model, digest } => self.use_version(&model, digest).await,
            ControlRequest::Install { .. } => self.updates.install(body).await,
            ControlRequest::Rollback { model } => self.updates.roll_back(&model).await,
            ControlRequest::QueueStat => self.queue_stat().await,
            ControlRequest::QueuePeek { limit } => self.queue_peek(limit).await,
            ControlRequest::QueueDrain => self.queue_drain().await,
            ControlRequest::QueuePurge => self.queue_purge().await,
            ControlRequest::CaptureList { stream, trigger } => {
                capture::list(&self.context, SegmentFilter { stream, trigger }).await
            }
            ControlRequest::CapturePurge { stream, trigger } => {
                capture::purge(&self.context, SegmentFilter { stream, trigger }).await
            }
            ControlRequest::CaptureNow { stream, count } => {
                capture::now(&self.context, &stream, count)
            }
        };
        result.map_or_else(Response::Refused, Response::Ok)
    }

    async fn status(&self) -> CommandResult {
        let rows = self.model_rows().await?;
        let health = self.refresh().await?;
        Ok(to_json(&Status::new(&health, &rows)))
    }

    async fn model_rows(&self) -> Result<Vec<ModelRow>, ErrorResponse> {
        let (models, versions) = (self.models.active(), self.switcher.versions.clone());
        let list = move |store: Option<&mut Store>| model_rows(&models, versions.as_ref(), store);
        store_access::run(&self.store, list).await.map_err(busy)
    }

    async fn refresh(&self) -> Result<std::sync::Arc<HealthSnapshot>, ErrorResponse> {
        self.health.refresh().await.ok_or_else(|| ErrorResponse::new(ErrorCode::Busy, BUSY))
    }

    /// Activates a version at the request of an operator: without a trial, and the version that was
    /// active becomes the previous one.
    async fn use_version(&self, model: &str, digest: Option<Digest>) -> CommandResult {
        let Ok(model) = ModelName::parse(model) else {
            return Err(ErrorResponse::new(
                ErrorCode::Model,
                format!("invalid model name {model:?}"),
            ));
        };
        if self.updates.has(&model) {
            return self.updates.use_version(&model, digest).await;
        }
        let choice = digest.map_or(VersionChoice::BuiltIn, VersionChoice::Stored);
        let swapped = self.switcher.switch_to(model, choice).await;
        let swapped =
            swapped.map_err(|error| ErrorResponse::new(code_of(&error), error.to_string()))?;
        let kept = swapped.iter().filter(|kept| **kept == SwapEffect::WindowsKept).count();
        Ok(json!({ "streams": swapped.len(), "windows_kept": kept }))
    }

    async fn queue_stat(&self) -> CommandResult {
        Ok(to_json(&self.refresh().await?.queue))
    }

    async fn queue_peek(&self, limit: u32) -> CommandResult {
        let limit = limit.min(MAX_PEEK_RECORDS);
        let peek = move |store: Option<&mut Store>| store.map(|store| queue::peek(store, limit));
        let peeked = store_access::run(&self.store, peek).await.map_err(busy)?;
        Ok(to_json(&of_store(peeked)?))
    }

    async fn queue_drain(&self) -> CommandResult {
        let is_connected = self.delivery.drain_now().await;
        if !is_connected.ok_or_else(|| ErrorResponse::new(ErrorCode::Busy, BUSY))? {
            return Err(ErrorResponse::new(
                ErrorCode::NoBroker,
                "the broker is not connected: queued results are sent once it is (`inferd status` \
                 shows why)",
            ));
        }
        self.queue_stat().await
    }

    async fn queue_purge(&self) -> CommandResult {
        let purge = |store: Option<&mut Store>| store.map(queue::purge);
        let purged = store_access::run(&self.store, purge).await.map_err(busy)?;
        let (purged, failed) =
            purged.ok_or_else(|| ErrorResponse::new(ErrorCode::Store, STORE_CLOSED))?;
        self.delivery.purged(purged.clone()).await;
        match failed {
            Some(error) => Err(ErrorResponse::new(ErrorCode::Store, error.to_string())),
            None => Ok(json!({ "purged": purged })),
        }
    }
}

/// Plain structs of numbers and text always serialize.
fn to_json(answer: &impl Serialize) -> Value {
    serde_json::to_value(answer).unwrap_or_default()
}

fn busy(_: StoreUnavailable) -> ErrorResponse {
    ErrorResponse::new(ErrorCode::Busy, BUSY)
}

/// `found`: `None` while the store is closed.
fn of_store<T>(found: Option<Result<T, StoreError>>) -> Result<T, ErrorResponse> {
    let found = found.ok_or_else(|| ErrorResponse::new(ErrorCode::Store, STORE_CLOSED))?;
    found.map_err(|error| ErrorResponse::new(ErrorCode::Store, error.to_string()))
}

fn code_of(error: &SwitchError) -> ErrorCode {
    match error {
        SwitchError::NoSuchModel(_) | SwitchError::Unusable { .. } => ErrorCode::Model,
        SwitchError::Busy => ErrorCode::Busy,
        SwitchError::Store(_) | SwitchError::NoStore(_) => ErrorCode::Store,
        SwitchError::Stopping => ErrorCode::Stopping,
    }
}
