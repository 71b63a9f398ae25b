//! Rolls a model back after a drift, where a stream asks for it.

use std::sync::PoisonError;
use std::time::Duration;

use super::updater::ModelUpdater;
use crate::daemon::context::DaemonContext;
use crate::drift::{DriftReport, DriftState};
use crate::ids::{ModelName, StreamName};
use crate::update::machine::Event;

/// A stream in drift that asks for a rollback.
#[derive(Debug, PartialEq)]
struct DriftingStream {
    stream: StreamName,
    /// A quantity that has drifted.
    quantity: String,
    /// How long after the trial it asks for that.
    within: Duration,
}

impl ModelUpdater {
    /// Rolls the model back if a stream is in drift and asks for that. `is_alarm`: the drift has just
    /// been found.
    pub(super) async fn check_drift(&mut self, is_alarm: bool) {
        let Some(found) = drifting(&self.switcher.context, &self.model) else { return };
        let DriftingStream { stream, quantity, within } = found;
        let model = &self.model;
        if self.device.may_roll_back(self.now(), within) {
            log::warn!("model {model}: it is rolled back: stream {stream}: drift of {quantity}");
            self.feed(Event::Drifted).await;
        } else if is_alarm {
            log::info!(
                "model {model}: it is not rolled back, because its version is not on trial and \
                 was not within drift.rollback_within of stream {stream}"
            );
        }
    }
}

/// The stream of the model that is in drift and asks for a rollback, of several the one that does
/// so for longest.
fn drifting(context: &DaemonContext, model: &ModelName) -> Option<DriftingStream> {
    let streams = context.config.streams.iter().zip(&context.stats);
    let of_model = streams.filter(|(stream, _)| stream.model == *model);
    let found = of_model.filter_map(|(stream, stats)| {
        let within = stream.drift.rollback_within?;
        let stats = stats.lock().unwrap_or_else(PoisonError::into_inner);
        let quantity = drifted_quantity(stats.drift.as_ref()?)?;
        Some(DriftingStream { stream: stream.name.clone(), quantity, within })
    });
    found.max_by_key(|found| found.within)
}

/// A quantity in drift that the model may be to blame for. Rejects and the rate of a device are
/// compared with the start of the daemon, and no version changes them.
fn drifted_quantity(report: &DriftReport) -> Option<String> {
    if report.state != DriftState::Drift {
        return None;
    }
    let of_model = |name: &str| name != "rate" && !name.starts_with("rejects.");
    let mut drifted = report.quantities.iter().filter(|it| it.state == DriftState::Drift);
    drifted.find(|it| of_model(&it.name)).map(|it| it.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::QuantityReport;

    #[test]
    fn only_quantities_of_windows_and_predictions_blame_the_model() {
        let quantity = |name: &str, state| QuantityReport {
            name: name.to_owned(),
            state,
            ..QuantityReport::default()
        };
        let report = |state, quantities: Vec<QuantityReport>| DriftReport {
            state,
            quantities,
            ..DriftReport::default()
        };
        let of_devices = vec![
            quantity("rate", DriftState::Drift),
            quantity("rejects.syntax", DriftState::Drift),
            quantity("score", DriftState::Watch),
        ];
        assert_eq!(drifted_quantity(&report(DriftState::Drift, of_devices)), None);
        let of_model =
            vec![quantity("rate", DriftState::Drift), quantity("ax.mean", DriftState::Drift)];
        let found = drifted_quantity(&report(DriftState::Drift, of_model.clone()));
        assert_eq!(found.as_deref(), Some("ax.mean"));
        assert_eq!(drifted_quantity(&report(DriftState::Ok, of_model)), None);
    }
}
