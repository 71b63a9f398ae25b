//! The metrics of a health snapshot. `docs/http.md` lists them.
//!
//! No metric has a label for the device: a gateway may have thousands, and each would be a time
//! series of its own.

use super::exposition::{Exposition, Format, Kind, Labels};
use crate::clock::Timestamp;
use crate::daemon::models::active::ActiveModel;
use crate::daemon::telemetry::snapshot::HealthSnapshot;
use crate::monitor::health::HealthState;
use crate::monitor::{StageTimes, StreamStats};
use crate::procfs;
use crate::update::ModelState;

/// The most labels of a stream that have a time series; the most frequent ones have.
const MAX_LABELS: usize = 64;

const STATES: [HealthState; 3] = [HealthState::Healthy, HealthState::Degraded, HealthState::Failed];

/// Renders all metrics.
pub(super) fn render(
    format: Format,
    health: &HealthSnapshot,
    models: &[ActiveModel],
    started: Timestamp,
) -> String {
    let mut out = Exposition::new(format);
    daemon(&mut out, health, started);
    streams(&mut out, health);
    outputs(&mut out, health);
    times(&mut out, health);
    quality(&mut out, health);
    queue(&mut out, health);
    link(&mut out, health);
    of_models(&mut out, health, models);
    out.finish()
}

/// A stream's counter: its name without `_total`, its description, its value.
type StreamCounter = (&'static str, &'static str, fn(&StreamStats) -> u64);

const STREAM_COUNTERS: [StreamCounter; 9] = [
    ("inferd_messages", "Messages that were processed.", |s| s.messages),
    ("inferd_samples", "Samples that were decoded.", |s| s.samples),
    ("inferd_windows", "Runs of the model that gave a prediction.", |s| s.windows),
    ("inferd_suppressed", "Predictions held back by the publish rules.", |s| s.suppressed),
    ("inferd_dropped", "QoS 0 messages lost to a full queue.", |s| s.dropped),
    ("inferd_retained", "Retained messages that were not taken.", |s| s.retained),
    ("inferd_gaps", "Partial windows discarded because of a gap in time.", |s| s.gaps),
    ("inferd_devices_evicted", "Devices forgotten to make room.", |s| s.keys_evicted),
    ("inferd_devices_expired", "Devices forgotten after silence.", |s| s.keys_expired),
];

fn daemon(out: &mut Exposition, health: &HealthSnapshot, started: Timestamp) {
    out.family(Kind::Gauge, "inferd_build_info", "The version of the daemon; always 1.");
    out.sample(&[("version", health.version)], 1);
    out.family(Kind::Gauge, "inferd_start_time_seconds", "When the daemon started, since 1970.");
    out.sample(&[], seconds(started));
    if let Some(bytes) = health.rss_bytes {
        out.family(Kind::Gauge, "inferd_resident_memory_bytes", "Resident memory.");
        out.sample(&[], bytes);
    }
    process(out);
    out.family(Kind::Gauge, "inferd_health_state", "1 for the state that the daemon is in.");
    for state in STATES {
        let is_it = u8::from(health.verdict.state == state);
        out.sample(&[("state", state.as_str())], is_it);
    }
    out.family(Kind::Gauge, "inferd_health_reason", "1 for each reason of the state.");
    for reason in &health.verdict.reasons {
        let code = serde_json::to_value(reason.code).unwrap_or_default();
        let code = ("code", code.as_str().unwrap_or_default());
        let stream = reason.stream.as_deref().map(|stream| ("stream", stream));
        let model = reason.model.as_deref().map(|model| ("model", model));
        let labels: Vec<_> = [Some(code), stream, model].into_iter().flatten().collect();
        out.sample(&labels, 1);
    }
}

/// The process, under the names that Prometheus' client libraries use.
fn process(out: &mut Exposition) {
    let Some(process) = procfs::process() else { return };
    out.family(Kind::Counter, "process_cpu_seconds", "Processor time of user and system.");
    out.sample(&[], process.cpu_seconds);
    out.family(Kind::Gauge, "process_resident_memory_bytes", "Resident memory.");
    out.sample(&[], process.resident_bytes);
    out.family(Kind::Gauge, "process_virtual_memory_bytes", "Address space.");
    out.sample(&[], process.virtual_bytes);
    out.family(Kind::Gauge, "process_threads", "Threads.");
    out.sample(&[], process.threads);
    let Some(files) = procfs::open_files() else { return };
    out.family(Kind::Gauge, "process_open_fds", "Open file descriptors.");
    out.sample(&[], files);
}

/// What the models predict.
fn outputs(out: &mut Exposition, health: &HealthSnapshot) {
    let help = "Predictions by label, published or not; the label is empty below the threshold.";
    out.family(Kind::Counter, "inferd_label_predictions", help);
    for (stream, stats) in &health.streams {
        let outputs = &stats.outputs;
        let unlabelled = (outputs.unlabelled() > 0).then(|| ("", outputs.unlabelled()));
        for (label, count) in outputs.labels().take(MAX_LABELS).chain(unlabelled) {
            out.sample(&[("stream", stream.as_str()), ("label", label)], count);
        }
    }
    out.family(Kind::Histogram, "inferd_score", "Scores of the best labels.");
    for (stream, stats) in &health.streams {
        let Some(steps) = stats.outputs.scores() else { continue };
        let mut count = 0_u64;
        let buckets = (1_u8..).zip(steps).map(|(step, found)| {
            count = count.saturating_add(found);
            (f64::from(step) / 10.0, count)
        });
        let buckets: Vec<_> = buckets.collect();
        let labels = [("stream", stream.as_str())];
        out.histogram(&labels, buckets.into_iter(), count, stats.outputs.score_sum());
    }
}

fn streams(out: &mut Exposition, health: &HealthSnapshot) {
    for (name, help, value) in STREAM_COUNTERS {
        out.family(Kind::Counter, name, help);
        for (stream, stats) in &health.streams {
            out.sample(&[("stream", stream.as_str())], value(stats));
        }
    }
    out.family(Kind::Counter, "inferd_predictions", "Predictions handed to the outbox.");
    for (stream, stats) in &health.streams {
        out.sample(&[("stream", stream.as_str())], stats.predictions);
    }
    out.family(Kind::Counter, "inferd_rejects", "Samples or messages that were rejected.");
    for (stream, stats) in &health.streams {
        for (reason, count) in &stats.rejects {
            out.sample(&[("stream", stream.as_str()), ("reason", reason)], count);
        }
    }
    type Gauge = (&'static str, &'static str, fn(&StreamStats) -> Option<f64>);
    let gauges: [Gauge; 3] = [
        ("inferd_last_message_seconds", "When the last message came, since 1970.", |s| {
            s.last_message.map(seconds)
        }),
        ("inferd_last_prediction_seconds", "When the last prediction was made, since 1970.", |s| {
            s.last_prediction.map(seconds)
        }),
        ("inferd_devices", "Devices with a window.", |s| Some(number(s.window.as_ref()?.devices))),
    ];
    for (name, help, value) in gauges {
        out.family(Kind::Gauge, name, help);
        for (stream, stats) in &health.streams {
            value(stats)
                .into_iter()
                .for_each(|value| out.sample(&[("stream", stream.as_str())], value));
        }
    }
}

/// Drift and accuracy, for the streams that have them.
fn quality(out: &mut Exposition, health: &HealthSnapshot) {
    let help = "The largest statistic as a share of its threshold; from 1 on it is an alarm.";
    out.family(Kind::Gauge, "inferd_drift", help);
    for (stream, stats) in &health.streams {
        for quantity in stats.drift.iter().flat_map(|drift| &drift.quantities) {
            let labels = [("stream", stream.as_str()), ("quantity", quantity.name.as_str())];
            out.sample(&labels, quantity.level);
        }
    }
    out.family(Kind::Counter, "inferd_drift_alarms", "Alarms of drift.");
    for (stream, stats) in &health.streams {
        stats
            .drift
            .iter()
            .for_each(|drift| out.sample(&[("stream", stream.as_str())], drift.alarms));
    }
    out.family(Kind::Gauge, "inferd_accuracy", "Share of right predictions by the last labels.");
    for (stream, stats) in &health.streams {
        for version in stats.labels.iter().flat_map(|labels| &labels.versions) {
            let labels = [("stream", stream.as_str()), ("version", version.version.as_str())];
            version.accuracy.into_iter().for_each(|accuracy| out.sample(&labels, accuracy));
        }
    }
}

fn times(out: &mut Exposition, health: &HealthSnapshot) {
    out.family(Kind::Histogram, "inferd_stage_seconds", "Time of a message in each stage.");
    for (stream, stats) in &health.streams {
        let stages = &stats.stages;
        let stages = [("queue", &stages.queue), ("prepare", &stages.prepare), ("run", &stages.run)];
        for (stage, times) in stages {
            histogram(out, &[("stream", stream.as_str()), ("stage", stage)], times);
        }
    }
}

fn histogram(out: &mut Exposition, labels: Labels<'_>, times: &StageTimes) {
    let buckets = times.cumulative().map(|(bound, count)| (bound.as_secs_f64(), count));
    out.histogram(labels, buckets, times.count(), times.sum().as_secs_f64());
}

fn queue(out: &mut Exposition, health: &HealthSnapshot) {
    let queue = &health.queue;
    out.family(Kind::Gauge, "inferd_queue_records", "Results that wait.");
    out.sample(&[("where", "memory")], queue.memory_records);
    if let Some(disk) = &queue.disk {
        out.sample(&[("where", "disk")], disk.records);
    }
    out.family(Kind::Counter, "inferd_lost", "Results that will never arrive.");
    for (stream, reason, count) in queue.lost.iter() {
        out.sample(&[("stream", stream.as_str()), ("reason", reason)], count);
    }
    out.family(Kind::Gauge, "inferd_store_open", "1 if the store on disk is open.");
    out.sample(&[], u8::from(queue.disk.is_some()));
    let Some(disk) = &queue.disk else { return };
    out.family(Kind::Gauge, "inferd_store_bytes", "Bytes that the database takes.");
    out.sample(&[], disk.disk_bytes);
    if let Some(free) = disk.free_bytes {
        out.family(Kind::Gauge, "inferd_store_free_bytes", "Free bytes of its file system.");
        out.sample(&[], free);
    }
    out.family(Kind::Counter, "inferd_disk_syncs", "Syncs of the database's file.");
    out.sample(&[], disk.syncs);
    out.family(Kind::Counter, "inferd_store_failures", "Operations of the store that failed.");
    out.sample(&[], disk.failures);
}

fn link(out: &mut Exposition, health: &HealthSnapshot) {
    let link = &health.link;
    let counters = &link.counters;
    out.family(Kind::Gauge, "inferd_broker_connected", "1 if the broker is connected.");
    out.sample(&[], u8::from(link.connected));
    out.family(Kind::Counter, "inferd_reconnects", "Connections after the first one.");
    out.sample(&[], counters.connections.saturating_sub(1));
    out.family(Kind::Counter, "inferd_connection_faults", "Ended connections and failed attempts.");
    let faults = &counters.faults;
    let faults = [
        ("local", faults.local),
        ("network", faults.network),
        ("refused", faults.refused),
        ("protocol", faults.protocol),
        ("lost", faults.lost),
    ];
    for (kind, count) in faults {
        out.sample(&[("kind", kind)], count);
    }
    let messages = [
        ("inferd_received", "Messages received from the broker.", counters.received),
        ("inferd_published", "Messages that the broker has acknowledged.", counters.published),
        ("inferd_publish_refused", "Messages that the broker has refused.", counters.refused),
    ];
    for (name, help, value) in messages {
        out.family(Kind::Counter, name, help);
        out.sample(&[], value);
    }
}

fn of_models(out: &mut Exposition, health: &HealthSnapshot, models: &[ActiveModel]) {
    out.family(Kind::Gauge, "inferd_model_info", "The active version of each model; always 1.");
    for model in models {
        let digest = model.digest().to_string();
        let version = model.loaded.card.version.as_str();
        let name = model.name().as_str();
        out.sample(&[("model", name), ("version", version), ("digest", &digest)], 1);
    }
    out.family(Kind::Gauge, "inferd_model_state", "1 for the state of each model's update.");
    for model in models {
        let state = match model.report(health.time).state {
            ModelState::Idle => "idle".to_owned(),
            ModelState::Update(state) => {
                let name = serde_json::to_value(state).unwrap_or_default();
                name.as_str().unwrap_or_default().to_owned()
            }
        };
        out.sample(&[("model", model.name().as_str()), ("state", &state)], 1);
    }
    out.family(Kind::Counter, "inferd_update_bytes", "Bytes of updates that were received.");
    for (model, counters) in &health.updates {
        out.sample(&[("model", model.as_str())], counters.bytes);
    }
}

/// Seconds since 1970.
fn seconds(time: Timestamp) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "2^53 microseconds are 285 years")]
    let micros = time.0 as f64;
    micros / 1e6
}

fn number(count: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "no count of things in memory reaches 2^53")]
    let number = count as f64;
    number
}
