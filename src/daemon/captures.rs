//! Requests for captured inputs that arrive over MQTT.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::telemetry::topics;
use crate::capture::{CaptureAnswers, CaptureHandle, CaptureRequest, CaptureWriter};
use crate::clock::Clock;
use crate::config::Config;
use crate::link::{LinkHandle, Subscription};
use crate::message::{Outgoing, Qos};

/// Requests that wait for the thread of captured inputs. More are dropped: the client repeats them.
const MAX_WAITING: u32 = 4;

/// Hands requests to the thread of captured inputs, which publishes the answers. Never waits.
pub(crate) struct CaptureRequests {
    topic: String,
    /// With a slash at its end.
    answers_topic: String,
    capture: CaptureHandle,
    clock: Arc<dyn Clock>,
    state: Arc<State>,
}

struct State {
    answers: Mutex<CaptureAnswers>,
    waiting: AtomicU32,
    /// Set once there is a link.
    link: OnceLock<LinkHandle>,
}

impl CaptureRequests {
    /// `None` if requests are not answered.
    pub(crate) fn new(
        config: &Config,
        capture: Option<&CaptureHandle>,
        clock: &Arc<dyn Clock>,
    ) -> Option<Arc<Self>> {
        let capture = capture.filter(|_| config.capture.mqtt)?.clone();
        let rate = config.capture.upload_max_bytes_per_s;
        let answers = Mutex::new(CaptureAnswers::new(rate, clock.now().mono));
        let (waiting, link) = (AtomicU32::new(0), OnceLock::new());
        Some(Arc::new(Self {
            topic: topics::capture_requests(&config.gateway),
            answers_topic: topics::capture_answers(&config.gateway),
            capture,
            clock: clock.clone(),
            state: Arc::new(State { answers, waiting, link }),
        }))
    }

    /// Where answers are published.
    pub(crate) fn attach(&self, link: LinkHandle) {
        if self.state.link.set(link).is_err() {
            log::debug!("requests for captured inputs have a link already");
        }
    }

    /// Takes a request. Returns false if the topic is another one.
    pub(crate) fn receive(&self, topic: &str, payload: &[u8]) -> bool {
        if topic != self.topic {
            return false;
        }
        let Some(request) = CaptureRequest::parse(payload) else {
            log::debug!("a request for captured inputs cannot be read");
            return true;
        };
        let state = self.state.clone();
        let add = |waiting: u32| (waiting < MAX_WAITING).then_some(waiting.saturating_add(1));
        if state.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_err() {
            return true;
        }
        let topic = format!("{}{}", self.answers_topic, request.client);
        let (clock, capture) = (self.clock.clone(), self.capture.clone());
        let job = move |writer: &mut CaptureWriter| {
            state.waiting.fetch_sub(1, Ordering::Relaxed);
            let now = (clock.now().mono, capture.uploads_are_held());
            let mut answers = state.answers.lock().unwrap_or_else(PoisonError::into_inner);
            let payload = answers.answer(&request, writer, now);
            publish(&state, topic, payload);
        };
        if self.capture.run(job).is_err() {
            self.state.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        true
    }
}

fn publish(state: &State, topic: String, payload: Vec<u8>) {
    let message = Outgoing {
        topic,
        payload: payload.into(),
        content_type: "application/octet-stream".into(),
        properties: Vec::new(),
        correlation: None,
        retain: false,
        qos: Qos::AtMostOnce,
    };
    if !state.link.get().is_some_and(|link| link.publish_untracked(message)) {
        log::debug!("an answer with captured inputs is not published");
    }
}

/// The subscription to requests, if they are answered.
pub(crate) fn subscription(config: &Config) -> Option<Subscription> {
    let captures = config.streams.iter().any(|stream| stream.capture.is_some());
    let topic = topics::capture_requests(&config.gateway);
    // No retained messages: a request is one of now.
    let subscription = Subscription { retained: false, pull: false, ..Subscription::pulled(topic) };
    (captures && config.capture.mqtt).then_some(subscription)
}
