//! Try it: one payload through a copy of a stream's pipeline. Nothing is published, and the windows of
//! the stream stay as they are.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Clock, Now};
use crate::config::{Config, Stream};
use crate::daemon::models::active::ActiveModel;
use crate::http::Response;
use crate::message::{Incoming, ResultMessage};
use crate::pipeline::{
    LivePrediction, LiveStep, LiveWindow, Pipeline, PredictionIds, Router, StepReport, WindowFill,
};

/// The most times that a payload is repeated to fill a window.
const MAX_REPEATS: usize = 20_000;
/// The time between two repeats.
const REPEAT_EVERY: Duration = Duration::from_millis(1);

/// What is to be tried.
#[derive(Debug, Deserialize)]
struct Ask {
    stream: String,
    /// The topic that the payload comes on.
    topic: String,
    payload: String,
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
struct Outcome {
    /// Samples that were decoded.
    samples: u32,
    rejects: Vec<String>,
    /// What the payload leaves in the window of a new device: samples there, and in a whole window.
    filled: Option<[usize; 2]>,
    /// How often the payload was repeated to fill a window; 0 if once was enough.
    repeated: usize,
    predictions: Vec<LivePrediction>,
    window: Option<LiveWindow>,
    /// What would have been published: topic and payload.
    messages: Vec<(String, String)>,
}

/// Tries the payload that the body describes.
pub(super) fn run(
    config: &Config,
    models: &[ActiveModel],
    clock: &dyn Clock,
    body: &[u8],
) -> Response {
    let ask: Ask = match serde_json::from_slice(body) {
        Ok(ask) => ask,
        Err(error) => return Response::text(400, format!("stream, topic, payload: {error}")),
    };
    let place = config.streams.iter().position(|stream| stream.name.as_str() == ask.stream);
    let found = place.and_then(|place| Some((place, config.streams.get(place)?)));
    let Some((index, stream)) = found else {
        return Response::text(404, "there is no stream of this name");
    };
    let Some(model) = models.iter().find(|model| *model.name() == stream.model) else {
        return Response::text(503, "the model of this stream is not loaded");
    };
    // Labels are not waited for, and their memory is not needed.
    let stream = Stream { labels: None, ..stream.clone() };
    match attempt(config, (index, &stream), model, clock, &ask) {
        Ok(outcome) => Response::json(200, &outcome),
        Err(why) => Response::text(422, why),
    }
}

fn attempt(
    config: &Config,
    (index, stream): (usize, &Stream),
    model: &ActiveModel,
    clock: &dyn Clock,
    ask: &Ask,
) -> Result<Outcome, String> {
    let pipeline = |stream: &Stream| {
        let ids = PredictionIds::new(&config.gateway.id, "try", Arc::new(AtomicU64::new(0)));
        let (card, session) = (model.loaded.card.clone(), Box::new(model.loaded.model.session()));
        let made = Pipeline::new(index, stream, &config.gateway.id, card, session, ids);
        made.map_err(|misfits| misfits.iter().map(|m| format!("{m} ")).collect::<String>())
    };
    let router = Router::new(std::slice::from_ref(stream));
    let delivery = router.route(&ask.topic).next().ok_or("the stream has no such topic")?;
    let incoming = |received: Now| Incoming {
        stream: index,
        topic: ask.topic.clone(),
        captures: delivery.captures.clone(),
        payload: ask.payload.clone().into(),
        received,
        token: None,
        input_id: None,
        reply: None,
        retained: false,
    };
    let now = clock.now();
    let mut outcome = Outcome::default();
    let report = step(&mut pipeline(stream)?, &incoming(now), clock, &mut outcome);
    outcome.samples = report.samples;
    outcome.rejects = report.rejects.iter().map(|r| r.reject.to_string()).collect();
    let Some(WindowFill { length, filled, .. }) = report.fill else { return Ok(outcome) };
    outcome.filled = Some([filled, length]);
    if report.runs > 0 || report.samples == 0 || length > MAX_REPEATS {
        return Ok(outcome);
    }
    // One payload does not fill a window: the same one again and again does. Its own time would be
    // the same each time, so the time of arrival is used.
    let mut timeless = stream.clone();
    timeless.payload.time = None;
    let mut pipeline = pipeline(&timeless)?;
    for repeat in 1..=length {
        let passed = REPEAT_EVERY * u32::try_from(repeat).unwrap_or(u32::MAX);
        let received = Now { wall: now.wall.plus(passed), mono: now.mono.plus(passed) };
        let report = step(&mut pipeline, &incoming(received), clock, &mut outcome);
        outcome.repeated = repeat;
        if report.runs > 0 || report.samples == 0 {
            break;
        }
    }
    Ok(outcome)
}

fn step(
    pipeline: &mut Pipeline,
    incoming: &Incoming,
    clock: &dyn Clock,
    outcome: &mut Outcome,
) -> StepReport {
    pipeline.watch(&[]);
    let mut out: Vec<ResultMessage> = Vec::new();
    let report = pipeline.step(incoming, clock, &mut out);
    let LiveStep { predictions, window } = pipeline.take_live().unwrap_or_default();
    outcome.predictions.extend(predictions);
    outcome.window = window.or(outcome.window.take());
    let text = |result: ResultMessage| {
        let payload = String::from_utf8_lossy(&result.message.payload).into_owned();
        (result.message.topic, payload)
    };
    outcome.messages.extend(out.into_iter().map(text));
    report
}
