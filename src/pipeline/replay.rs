//! Replays recordings through a pipeline without a broker, with the code of live data.

use std::ops::{ControlFlow, RangeInclusive};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use serde_json::Value;

use super::prediction_id::PredictionIds;
use super::recording::Recording;
use super::reject::Reject;
use super::stream::Pipeline;
use super::topics::Router;
use crate::bundle::card::Card;
use crate::clock::{Clock, Mono, Now, Timestamp};
use crate::config::{Config, Encoding, Format, Stream, When};
use crate::drift::{Features, Quantities};
use crate::engine::Model;
use crate::ids::{DeviceKey, GatewayId};
use crate::message::Incoming;

/// The clock at the first row of a recording.
const START: Mono = Mono(1_000_000);

/// The result of a row.
#[derive(Debug)]
pub enum ReplayEvent<'a> {
    /// The prediction of the window that it completed, as it would be published.
    Prediction(&'a [u8]),
    Reject(&'a Reject),
}

/// In which order the windows of several recordings come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordingOrder {
    /// By the time of their samples; one recording after the other where times are not absolute.
    ByTime,
    /// As of devices that all began at the same time.
    Concurrent,
}

/// The features of all windows of recordings.
#[derive(Clone, Debug, Default)]
pub struct CollectedFeatures {
    pub windows: Vec<Features>,
    pub rejects: usize,
    pub first_reject: Option<String>,
}

/// A card with its model, and the stream that decodes recordings for it.
#[derive(Clone, Debug)]
pub struct Replay {
    card: Arc<Card>,
    model: Arc<Model>,
    stream: Stream,
    gateway: GatewayId,
    /// Rows in a window; 1 if a row may contain several samples.
    rows: usize,
    /// The clock at the first row of a recording without absolute times.
    pub start: Timestamp,
}

impl Replay {
    /// For recordings whose columns and members have the names of the card's channels.
    ///
    /// # Errors
    /// No stream can use the card; the text says why.
    pub fn of_card(card: &Arc<Card>, model: &Arc<Model>) -> Result<Self, String> {
        // Parsed, so that all other options have their defaults.
        let text = format!(
            "[gateway]\nid = \"replay\"\n[[stream]]\nname = \"samples\"\nmodel = \"{}\"\n\
             topic = \"samples/{{device}}\"\npayload = {{ format = \"json\" }}\n",
            card.name
        );
        let config = Config::parse(&text).map_err(|error| error.to_string())?;
        // Without fields the channels of the card are used, by name.
        let stream = config.streams.into_iter().next().ok_or("no stream")?;
        let replay = Self::new(card, model, stream, config.gateway.id)?;
        let rows = card.window.as_ref().map_or(1, |window| window.length);
        Ok(Self { rows, ..replay })
    }

    /// For payloads of a configured stream, written as JSON whatever its format is. Its publish rules
    /// and age limits do not apply.
    ///
    /// # Errors
    /// Stream and card do not fit, or the format has no structure.
    pub fn of_stream(
        card: &Arc<Card>,
        model: &Arc<Model>,
        stream: &Stream,
        gateway: &GatewayId,
    ) -> Result<Self, String> {
        let mut stream = stream.clone();
        if stream.payload.format.is_raw() || stream.payload.bytes.is_some() {
            return Err(
                "the payload is bytes, not lines of a file: replay a CSV file whose columns \
                        are named after the card's channels, without a stream"
                    .to_owned(),
            );
        }
        stream.payload.format = Format::Json;
        stream.payload.records = None;
        Self::new(card, model, stream, gateway.clone())
    }

    fn new(
        card: &Arc<Card>,
        model: &Arc<Model>,
        mut stream: Stream,
        gateway: GatewayId,
    ) -> Result<Self, String> {
        // A row of a recording has all channels.
        stream.join = None;
        // The samples of a recording are old, and every prediction is needed.
        stream.max_age = None;
        stream.max_ahead = Duration::MAX;
        stream.key_ttl = Duration::MAX;
        stream.max_payload = usize::MAX;
        stream.publish.when = When::Every;
        stream.publish.encoding = Encoding::Json;
        (stream.publish.min_score, stream.publish.leave_score) = (None, None);
        stream.publish.consecutive = 1;
        let start = Timestamp(0);
        let replay =
            Self { card: card.clone(), model: model.clone(), stream, gateway, rows: 1, start };
        replay.pipeline().map(|_| replay)
    }

    fn pipeline(&self) -> Result<Pipeline, String> {
        let (card, session) = (self.card.clone(), Box::new(self.model.session()));
        let ids = PredictionIds::new(&self.gateway, "replay", Arc::new(AtomicU64::new(0)));
        let made = Pipeline::new(0, &self.stream, &self.gateway, card, session, ids);
        made.map_err(|problems| {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            problems.join("; ")
        })
    }

    /// The rows of the window that `row` completed, as far as they are known.
    #[must_use]
    pub fn rows_of(&self, row: usize) -> RangeInclusive<usize> {
        row.saturating_add(1).saturating_sub(self.rows)..=row
    }

    /// Runs a recording from its beginning and returns the result of each row, in order. `clock` measures
    /// the runs; without one they take no time.
    ///
    /// # Errors
    /// As [`Replay::of_card`].
    pub fn run(
        &self,
        recording: &Recording,
        clock: Option<&dyn Clock>,
        each: impl FnMut(usize, ReplayEvent<'_>) -> ControlFlow<()>,
    ) -> Result<(), String> {
        self.run_through(&mut self.pipeline()?, recording, clock, each);
        Ok(())
    }

    fn run_through(
        &self,
        pipeline: &mut Pipeline,
        recording: &Recording,
        clock: Option<&dyn Clock>,
        mut each: impl FnMut(usize, ReplayEvent<'_>) -> ControlFlow<()>,
    ) {
        let topic = self.topic(recording);
        let router = Router::new(std::slice::from_ref(&self.stream));
        let captures = router.route(&topic).next().map(|it| it.captures).unwrap_or_default();
        let first = recording.times.first().copied().unwrap_or_default();
        // Times since 1970 are used as they are; others are relative to `start`.
        let base = Timestamp(first);
        let base = if base.is_set() { base } else { self.start };
        let mut out = Vec::new();
        for row in 0..recording.rows.len() {
            let time = recording.times.get(row).map(|time| time.saturating_sub(first));
            // Rows without a time follow one another closely: no gap.
            let since = time.and_then(|time| u64::try_from(time).ok());
            let since = Duration::from_micros(since.unwrap_or(row.try_into().unwrap_or(u64::MAX)));
            let now = Now { wall: base.plus(since), mono: START.plus(since) };
            let incoming = Incoming {
                stream: 0,
                topic: topic.clone(),
                captures: captures.clone(),
                payload: recording.payload(row).to_string().into(),
                received: now,
                token: None,
                input_id: None,
                reply: None,
                retained: false,
            };
            let started = clock.map(|clock| clock.now().mono);
            let outcome =
                pipeline.step(&incoming, &Stand { now, clock: clock.zip(started) }, &mut out);
            for finished in out.drain(..) {
                if each(row, ReplayEvent::Prediction(&finished.message.payload)).is_break() {
                    return;
                }
            }
            for rejected in &outcome.rejects {
                if each(row, ReplayEvent::Reject(&rejected.reject)).is_break() {
                    return;
                }
            }
        }
    }

    /// What is watched of this model's windows.
    ///
    /// # Errors
    /// As [`Replay::of_card`].
    pub fn quantities(&self) -> Result<Quantities, String> {
        Ok((**self.pipeline()?.collect_features()).clone())
    }

    /// Runs recordings and collects the features of their windows, in the order in which the daemon
    /// would see them. `each` is called before every row.
    ///
    /// # Errors
    /// As [`Replay::of_card`].
    pub fn features(
        &self,
        recordings: &[Recording],
        order: RecordingOrder,
        mut each: impl FnMut(),
    ) -> Result<CollectedFeatures, String> {
        let is_set = |recording: &Recording| {
            recording.times.first().is_some_and(|first| Timestamp(*first).is_set())
        };
        let by_time = order == RecordingOrder::ByTime && recordings.iter().all(is_set);
        let mut collected = CollectedFeatures::default();
        let mut all: Vec<(Timestamp, Features)> = Vec::new();
        for recording in recordings {
            let mut pipeline = self.pipeline()?;
            pipeline.collect_features();
            self.run_through(&mut pipeline, recording, None, |row, event| {
                if let ReplayEvent::Reject(reject) = event {
                    let first = || format!("recording {}, row {row}: {reject}", recording.title());
                    collected.first_reject.get_or_insert_with(first);
                    collected.rejects += 1;
                }
                ControlFlow::Continue(())
            });
            recording.rows.iter().for_each(|_| each());
            let started = recording.times.first().map_or(0, |first| *first);
            let started = if Timestamp(started).is_set() { started } else { self.start.0 };
            let moved = if by_time { 0 } else { started };
            let windows = pipeline.take_features().into_iter();
            all.extend(windows.map(|(time, of)| (Timestamp(time.0.saturating_sub(moved)), of)));
        }
        if by_time || order == RecordingOrder::Concurrent {
            all.sort_by_key(|(time, _)| *time);
        }
        collected.windows = all.into_iter().map(|(_, features)| features).collect();
        Ok(collected)
    }

    /// A topic of the stream that names the recording's device.
    fn topic(&self, recording: &Recording) -> String {
        let usable = |text: &&str| {
            let sender = DeviceKey::parse(text);
            sender.is_some() && !text.contains('/') && !text.starts_with('$')
        };
        let names = [recording.device.as_deref(), Some(recording.name.as_str())];
        let device = names.into_iter().flatten().find(usable).unwrap_or("recording");
        self.stream.topic.example(|_| device)
    }
}

/// The names of the card's channels, in its order; empty if an input names none.
#[must_use]
pub fn channels(card: &Card) -> Vec<String> {
    if card.inputs.iter().any(|input| input.channels.is_empty()) {
        return Vec::new();
    }
    card.inputs.iter().flat_map(|input| input.channels.clone()).collect()
}

/// A clock that starts at the time of a row and advances with another clock.
struct Stand<'c> {
    now: Now,
    clock: Option<(&'c dyn Clock, Mono)>,
}

impl Clock for Stand<'_> {
    fn now(&self) -> Now {
        let passed = self.clock.map(|(clock, started)| clock.now().mono.since(started));
        let passed = passed.unwrap_or_default();
        Now { wall: self.now.wall.plus(passed), mono: self.now.mono.plus(passed) }
    }
}

/// The fields of a prediction.
pub(super) fn fields(prediction: &[u8]) -> Option<serde_json::Map<String, Value>> {
    serde_json::from_slice(prediction).ok()
}
