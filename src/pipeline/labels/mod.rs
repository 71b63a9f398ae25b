//! The labels of one stream: remembers its predictions and joins the labels that arrive for them.

mod message;

use super::interpret::{Body, Prediction};
use super::observation::Observation;
use super::topics::TopicCaptures;
use crate::bundle::card::{Card, OutputKind};
use crate::config::Stream;
use crate::ids::GatewayId;
use crate::message::Incoming;
use crate::truth::{Answer, Answers, LabelStats, Refusal, TruthTracker};

/// The labels of a model that reports anomalies, by the place that a prediction has: `false` and
/// `true` stand for them, too.
const ANOMALY_LABELS: [&str; 2] = ["normal", "anomaly"];

/// What became of the labels in one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelReport {
    /// Labels that were joined with a prediction.
    pub joined: u32,
    /// Of them, those that the prediction did not agree with.
    pub wrong: u32,
    /// Labels that were not counted.
    pub refused: u32,
    /// The reason and a message for the first of these.
    pub first_refusal: Option<(&'static str, String)>,
    /// The id of the prediction that it is for, if it names one.
    pub first_id: Option<String>,
}

/// The labels of a stream.
#[derive(Debug)]
pub(super) struct LabelJoin {
    stream: String,
    /// The topic names the device.
    has_captures: bool,
    captured: TopicCaptures,
    max_payload: usize,
    pub(super) tracker: TruthTracker,
}

impl LabelJoin {
    /// `None` if the stream has no labels, or the card's output cannot have any.
    pub(super) fn new(stream: &Stream, gateway: &GatewayId, card: &Card) -> Option<Self> {
        let labels = stream.labels.as_ref()?;
        let id_prefix = format!("{gateway}-");
        let tracker = TruthTracker::new(labels.remember, labels.tolerance, id_prefix);
        let mut join = Self {
            stream: stream.name.to_string(),
            has_captures: labels.topic.captures().next().is_some(),
            captured: TopicCaptures::of_topics(&[&labels.topic], None),
            max_payload: stream.max_payload,
            tracker,
        };
        join.activate(card);
        Some(join)
    }

    /// The following predictions are of this version.
    pub(super) fn activate(&mut self, card: &Card) {
        if let Some(answers) = answers_of(&card.output.kind) {
            self.tracker.activate(&card.version, &answers);
        }
    }

    /// Remembers a prediction.
    pub(super) fn note(&mut self, seen: &Observation<'_>) {
        if let Some(answer) = answer_of(seen.prediction) {
            let score = seen.prediction.key.score;
            self.tracker.remember(seen.id, seen.device, seen.time, answer, score);
        }
    }

    /// Joins the labels of a message.
    pub(super) fn take(&mut self, incoming: &Incoming) -> LabelReport {
        let mut report = LabelReport::default();
        if let Err(problem) = self.try_take(incoming, &mut report) {
            self.tracker.refuse(Refusal::Malformed);
            report.refuse(Refusal::Malformed, problem, None);
        }
        report
    }

    fn try_take(&mut self, incoming: &Incoming, report: &mut LabelReport) -> Result<(), String> {
        let read = self.captured.read(&incoming.topic, &incoming.captures);
        read.map_err(|reject| reject.to_string())?;
        let (got, max) = (incoming.payload.len(), self.max_payload);
        if got > max {
            return Err(format!("{got} bytes, at most {max} are taken: send less at once"));
        }
        let device = self.has_captures.then(|| self.captured.device());
        for fields in message::read(&incoming.payload)? {
            if fields.stream.as_ref().is_some_and(|stream| *stream != self.stream) {
                continue;
            }
            match fields.label(device) {
                Ok(label) => match self.tracker.join(&label) {
                    Ok(right) => {
                        report.joined += 1;
                        report.wrong += u32::from(right == Some(false));
                    }
                    Err(refusal) => report.refuse(refusal, explain(refusal), fields.id()),
                },
                Err(problem) => {
                    self.tracker.refuse(Refusal::Malformed);
                    report.refuse(Refusal::Malformed, problem, fields.id());
                }
            }
        }
        Ok(())
    }

    pub(super) fn stats(&self) -> LabelStats {
        self.tracker.stats()
    }
}

impl LabelReport {
    fn refuse(&mut self, refusal: Refusal, message: impl Into<String>, id: Option<&str>) {
        self.refused += 1;
        if self.first_refusal.is_none() {
            self.first_refusal = Some((refusal.code(), message.into()));
            self.first_id = id.map(str::to_owned);
        }
    }
}

fn explain(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Malformed => "it is not a label",
        Refusal::Late => {
            "its prediction is no longer remembered: send labels earlier, or raise labels.remember"
        }
        Refusal::Unmatched => {
            "no prediction has this id, or none of the device is within labels.tolerance of its \
             time"
        }
        Refusal::Repeated => "its prediction has a label already",
        Refusal::UnknownLabel => "the version that made the prediction has no such label",
        Refusal::WrongKind => {
            "the model predicts the other kind: send label for classes and value for numbers"
        }
    }
}

/// What the predictions of a model say, if labels can be compared with them.
pub(super) fn answers_of(kind: &OutputKind) -> Option<Answers> {
    match kind {
        OutputKind::Classification { labels, .. } => Some(Answers::Labels(labels.clone())),
        OutputKind::Anomaly { .. } => {
            Some(Answers::Labels(ANOMALY_LABELS.map(str::to_owned).to_vec()))
        }
        OutputKind::Regression { names, .. } if names.len() <= 1 => Some(Answers::Value),
        OutputKind::Regression { .. } | OutputKind::MultiLabel { .. } | OutputKind::Raw => None,
    }
}

fn answer_of(prediction: &Prediction<'_>) -> Option<Answer> {
    let mark = prediction.key.mark;
    match &prediction.body {
        // The mark is the place of the label and one, or 0 without a label.
        Body::Classification { .. } => {
            let place = mark.checked_sub(1).and_then(|place| u16::try_from(place).ok());
            Some(Answer::Label(place))
        }
        Body::Anomaly { anomaly, .. } => Some(Answer::Label(Some(u16::from(*anomaly)))),
        Body::Regression { values, .. } => values.first().map(|value| Answer::Value(*value)),
        Body::MultiLabel { .. } | Body::Raw { .. } => None,
    }
}
