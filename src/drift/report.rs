//! What a watcher tells: its state, its quantities, and alarms in words.

use serde::Serialize;

use crate::clock::Timestamp;

/// The state of a stream, or of one of its quantities, the better one first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DriftState {
    /// There is no baseline yet, and nothing is compared.
    #[default]
    Learning,
    Ok,
    /// A statistic is near its threshold.
    Watch,
    /// A statistic is above its threshold: an alarm.
    Drift,
}

/// Where the baseline comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BaselineSource {
    /// `baseline.npz` of the model's bundle.
    Bundle,
    /// The first windows of this stream.
    Learned,
    /// It is being learned.
    #[default]
    None,
}

/// What is known of a stream's drift, for the health report and the drift topic.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DriftReport {
    pub state: DriftState,
    /// Since when it is in this state; `null` before the first window.
    pub since: Option<Timestamp>,
    pub baseline: BaselineSource,
    /// While it learns: how much of the baseline there is, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learned: Option<f32>,
    /// Windows that were compared with the baseline.
    pub windows: u64,
    /// Alarms since the start.
    pub alarms: u64,
    /// The last alarm, also after the recovery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_alarm: Option<Alarm>,
    /// Each quantity; empty while it learns.
    pub quantities: Vec<QuantityReport>,
}

/// One quantity beside its baseline.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct QuantityReport {
    pub name: String,
    pub state: DriftState,
    /// The largest statistic as a share of its threshold; from 1 on it is an alarm.
    pub level: f32,
    /// The lasting shift of the mean in standard deviations of a window; `null` for quantities
    /// without a mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shift: Option<f32>,
    /// The population stability index of the last 1024 windows, once there are so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<f32>,
    /// The first and the last bound between bins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<[f32; 2]>,
    /// The baseline's shares of the bins, in thousandths.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expected: Vec<u16>,
    /// Counts of the last windows, at most 1024, in the same bins.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<u16>,
}

/// The worst quantity of a drift, when it was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alarm {
    pub quantity: String,
    /// `cusum`, `psi` or `rate`.
    pub statistic: &'static str,
    /// The shift in standard deviations of a window, where the statistic is a `cusum`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shift: Option<f32>,
    /// The population stability index, where the statistic is `psi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<f32>,
    /// The device, where the quantity is one of a device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// When the change began, as far as the statistic shows, and when it was found.
    pub from: Timestamp,
    pub to: Timestamp,
    /// What changed, and what to do.
    pub message: String,
}

/// What happened to a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct DriftEvent {
    pub kind: EventKind,
    pub time: Timestamp,
    /// The worst quantity; `None` if nothing has drifted.
    pub alarm: Option<Alarm>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// The first histograms are full and nothing has drifted.
    Steady,
    /// An alarm; also once a day while it lasts.
    Drift,
    /// All statistics are well below their thresholds again.
    Recovered,
    /// A baseline was learned.
    Learned,
}

/// What to do about a quantity.
fn advice(quantity: &str) -> &'static str {
    let (head, kind) = quantity.split_once('.').unwrap_or((quantity, ""));
    match (head, quantity.rsplit('.').next().unwrap_or(kind)) {
        ("rejects", _) => "see the rejects topic for examples",
        ("rate", _) => "check the sample rate of the device and its connection",
        ("labels", _) => "if the use has not changed, label some windows and compare; then retrain",
        ("score" | "margin" | "entropy", _) => {
            "the model is no longer as sure as it was: label some windows, and retrain if it is \
             wrong"
        }
        (_, "mean") => "check the unit, the mounting and the calibration of the sensor",
        (_, "log_std") => "check the unit and the range of the sensor, and whether it works",
        (_, "constant") => "the sensor repeats one value: check it and its connection",
        (_, "outside") => "the model was made without such values: check the unit and the sensor",
        (_, "clipped") => "the values do not fit the model's input: check the unit and the sensor",
        _ => "if the use has not changed, label some windows and compare; then retrain",
    }
}

/// The sentence of an alarm.
pub(super) fn message(quantity: &str, what: &str) -> String {
    format!("{quantity} {what}: {}", advice(quantity))
}

/// A number as reports show it: three decimals.
pub(super) fn rounded(value: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "three decimals are shown")]
    let rounded = ((value * 1e3).round() / 1e3) as f32;
    rounded
}
