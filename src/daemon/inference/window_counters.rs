//! The counters of a stream's windows.

use crate::ids::StreamName;
use crate::log_fields;
use crate::monitor::{LostWindow, WindowStats};
use crate::pipeline::{Pipeline, StepReport, WindowFill};

/// Updates the counters after one message. `fill`: how full the window of the device of its last
/// sample is.
pub(crate) fn count(
    stats: &mut WindowStats,
    outcome: &StepReport,
    fill: WindowFill,
    pipeline: &Pipeline,
) {
    let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    if outcome.runs > 0 {
        (stats.fullest, stats.lost_since_prediction) = (0, 0);
    }
    stats.length = number(fill.length);
    stats.devices = number(pipeline.devices());
    pipeline.device().clone_into(&mut stats.device);
    (stats.filled, stats.missing) = (number(fill.filled), number(fill.missing));
    stats.fullest = stats.fullest.max(stats.filled);
    for (loss, count) in outcome.losses.iter() {
        let count = u64::from(*count);
        let reason = loss.cause.code();
        match reason {
            "gap" => stats.restarted.gap += count,
            "clock" => stats.restarted.clock += count,
            "silence" => stats.restarted.silence += count,
            "evicted" => stats.evicted_unpredicted += count,
            _ => stats.expired_unpredicted += count,
        }
        if outcome.runs == 0 {
            stats.lost_since_prediction += count;
        }
        stats.last_lost = Some(LostWindow {
            reason,
            device: loss.device.clone(),
            samples: number(loss.samples),
            in_a_row: loss.in_a_row,
            message: loss.to_string(),
        });
    }
}

/// Says how full the window of a device is.
pub(super) fn log_fill(name: &StreamName, samples: u32, device: &str, fill: WindowFill) {
    if !log::log_enabled!(log::Level::Debug) {
        return;
    }
    let (filled, length) = (fill.filled, fill.length);
    log_fields::with(&[("stream", name), ("device", &device)], || {
        log::debug!(
            "stream {name}: {samples} samples, the next window of device {device:?} has {filled} \
             of {length}"
        );
    });
}
