//! The paths of the server and what answers them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::exposition::Format;
use super::page::{self, PageView};
use super::{infer, inference_protocol, metrics, trial};
use crate::clock::Mono;
use crate::control::{ControlRequest, Response as ControlResponse};
use crate::daemon::context::DaemonContext;
use crate::daemon::control::capture;
use crate::daemon::control::commands::Commands;
use crate::daemon::telemetry::snapshot::HealthSnapshot;
use crate::http::{Method, Request, Response};
use crate::monitor::health::HealthState;

/// A snapshot this young answers further requests: however many come, the store is asked once in
/// this time.
const MAX_AGE: Duration = Duration::from_millis(500);
/// How long the daemon may take to make a snapshot before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(10);

/// Files with captured inputs that the page lists, and how long it waits for the thread that knows
/// them: it may be writing.
const CAPTURES: usize = 8;
const CAPTURES_PATIENCE: Duration = Duration::from_millis(500);

/// What the server shows.
pub(super) struct Site {
    context: Arc<DaemonContext>,
    commands: Commands,
    latest: Mutex<Option<(Mono, Arc<HealthSnapshot>)>>,
    /// One request at a time runs a model.
    inference: Mutex<()>,
}

impl Site {
    pub(super) fn new(context: Arc<DaemonContext>, commands: Commands) -> Self {
        Self { context, commands, latest: Mutex::default(), inference: Mutex::default() }
    }

    /// Answers a request.
    pub(super) async fn respond(&self, request: &Request) -> Response {
        if request.method == Method::Post {
            return match request.path.as_str() {
                "/api/try" => self.try_payload(&request.body),
                path => match infer::target(path) {
                    Some(model) => self.infer(model, &request.body).await,
                    None => Response::text(404, "nothing is posted to this path"),
                },
            };
        }
        match request.path.as_str() {
            "/metrics" => self.metrics(&request.accept).await,
            "/livez" => self.live().await,
            "/readyz" => self.ready().await,
            "/" => self.page().await,
            "/page.css" => Response::new(200, "text/css; charset=utf-8", page::STYLE),
            "/page.js" => Response::new(200, "text/javascript; charset=utf-8", page::SCRIPT),
            "/icon.svg" => Response::new(200, "image/svg+xml", page::ICON),
            "/api/status" => self.status().await,
            "/api/live" => self.live_view(request),
            "/v2" => inference_protocol::server(),
            "/v2/health/live" => as_protocol(&self.live().await, "live"),
            "/v2/health/ready" => as_protocol(&self.ready().await, "ready"),
            path => match path.strip_prefix("/v2/models/") {
                Some(model) => inference_protocol::model(model, &self.commands.models.active()),
                None => Response::text(404, "there is no such page"),
            },
        }
    }

    /// A snapshot of the last moment; `None` if the daemon does not make one.
    async fn snapshot(&self) -> Option<Arc<HealthSnapshot>> {
        let mut latest = self.latest.lock().await;
        let now = self.context.clock.now().mono;
        if let Some((made, snapshot)) = &*latest
            && now.since(*made) < MAX_AGE
        {
            return Some(snapshot.clone());
        }
        let snapshot = timeout(PATIENCE, self.commands.health.refresh()).await.ok()??;
        *latest = Some((self.context.clock.now().mono, snapshot.clone()));
        Some(snapshot)
    }

    async fn metrics(&self, accept: &str) -> Response {
        let Some(snapshot) = self.snapshot().await else { return unavailable() };
        let format = Format::accepted(accept);
        let models = self.commands.models.active();
        let text = metrics::render(format, &snapshot, &models, self.context.started.wall);
        Response::new(200, format.content_type(), text)
    }

    async fn page(&self) -> Response {
        let Some(health) = self.snapshot().await else { return unavailable() };
        let models = self.commands.models.active();
        let captures = timeout(CAPTURES_PATIENCE, capture::newest(&self.context, CAPTURES));
        let captures = captures.await.unwrap_or_default();
        let (config, now) = (&self.context.config, self.context.clock.now());
        let view = PageView { config, health: &health, models: &models, captures: &captures, now };
        Response::new(200, "text/html; charset=utf-8", page::render(&view))
    }

    /// The last predictions of a stream and an input of the model, as the page draws them.
    fn live_view(&self, request: &Request) -> Response {
        let (stream, device) = (request.parameter("stream"), request.parameter("device"));
        let streams = self.context.config.streams.iter().zip(&self.context.live);
        let found = streams.filter(|(config, _)| Some(config.name.as_str()) == stream.as_deref());
        let Some((config, live)) = found.into_iter().next() else {
            return Response::text(404, "there is no stream of this name");
        };
        let models = self.commands.models.active();
        let model = models.iter().find(|model| *model.name() == config.model);
        let labels = model.map(|model| model.loaded.card.output.labels()).unwrap_or_default();
        let now = self.context.clock.now().mono;
        let device = device.as_deref().filter(|name| !name.is_empty());
        Response::json(200, &live.look(now, device, labels))
    }

    /// Runs a model that a stream allows it for, on a thread of its own: other requests go on.
    async fn infer(&self, (name, version): (&str, Option<&str>), body: &[u8]) -> Response {
        let mut streams = self.context.config.streams.iter();
        if !streams.any(|stream| stream.model.as_str() == name && stream.infer) {
            let why = "no stream of such a model allows this: set `infer = true` in its [[stream]]";
            return inference_protocol::error(403, why);
        }
        let active = self.commands.models.active();
        let model = active.into_iter().find(|model| model.name().as_str() == name);
        let Some(model) = model else {
            return inference_protocol::error(503, "the model is not loaded");
        };
        if version.is_some_and(|version| version != model.loaded.card.version) {
            return inference_protocol::error(404, "another version of this model is active");
        }
        let body = body.to_vec();
        let _running = self.inference.lock().await;
        let ran = spawn_blocking(move || infer::run(&model, &body)).await;
        ran.unwrap_or_else(|_| inference_protocol::error(500, "the daemon is stopping"))
    }

    fn try_payload(&self, body: &[u8]) -> Response {
        let (config, models) = (&self.context.config, self.commands.models.active());
        trial::run(config, &models, self.context.clock.as_ref(), body)
    }

    async fn live(&self) -> Response {
        match self.snapshot().await {
            Some(_) => Response::text(200, "ok"),
            None => unavailable(),
        }
    }

    async fn ready(&self) -> Response {
        match self.snapshot().await {
            Some(health) if health.verdict.state != HealthState::Failed => {
                Response::text(200, health.verdict.state.as_str())
            }
            Some(_) => Response::text(503, "failed: inferd status shows why"),
            None => unavailable(),
        }
    }

    /// As `inferd status --json`.
    async fn status(&self) -> Response {
        // Bounds how often the store is asked, together with the age of the snapshot.
        if self.snapshot().await.is_none() {
            return unavailable();
        }
        match self.commands.clone().handle(ControlRequest::Status, Vec::new()).await {
            ControlResponse::Ok(value) => Response::json(200, &value),
            ControlResponse::Refused(refused) => Response::text(503, refused.message),
        }
    }
}

fn unavailable() -> Response {
    Response::text(503, "the store does not keep up, or the daemon is stopping")
}

/// A probe's answer in the form of the Open Inference Protocol.
fn as_protocol(answer: &Response, what: &str) -> Response {
    Response::json(answer.status, &json!({ what: answer.status == 200 }))
}
