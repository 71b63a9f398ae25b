//! The runs of the active version on trial, summed over its streams.

use std::sync::PoisonError;

use crate::daemon::context::DaemonContext;
use crate::ids::ModelName;
use crate::update::machine::TrialStats;

/// What the active version has done since it became active.
pub(super) fn trial_stats(context: &DaemonContext, model: &ModelName) -> TrialStats {
    let streams = context.config.streams.iter().zip(&context.stats);
    let mut sum = TrialStats { slowdown: 1.0, ..TrialStats::default() };
    let mut slowest: Option<f64> = None;
    for (_, stats) in streams.filter(|(stream, _)| stream.model == *model) {
        let stats = stats.lock().unwrap_or_else(PoisonError::into_inner);
        let version = &stats.version;
        let count = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let all = version.runs + version.failed + version.bad_outputs;
        sum.runs = sum.runs.saturating_add(count(all));
        sum.errors = sum.errors.saturating_add(count(version.failed));
        sum.nans = sum.nans.saturating_add(count(version.bad_outputs));
        let accuracy = stats.labels.as_ref().and_then(|labels| labels.versions.last());
        sum.labels = sum.labels.saturating_add(accuracy.map_or(0, |it| count(it.labels)));
        let correct = accuracy.and_then(|it| it.correct);
        sum.correct = sum.correct.saturating_add(correct.map_or(0, count));
        slowest = slowest.into_iter().chain(version.slowdown()).reduce(f64::max);
    }
    TrialStats { slowdown: slowest.unwrap_or(1.0), ..sum }
}
