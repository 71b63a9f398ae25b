//! The last predictions and inputs of a stream, recorded only while somebody looks.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::clock::{Mono, Timestamp};
use crate::pipeline::{LivePrediction, LiveStep, LiveWindow};

/// For how long a look has the stream recorded.
const WATCH: Duration = Duration::from_secs(60);
/// Devices with a band of their last predictions.
const MAX_DEVICES: usize = 64;
/// Predictions in a band.
const MAX_BAND: usize = 90;
/// Devices whose inputs are recorded at once.
const MAX_ASKED: usize = 4;
/// Labels that are told apart.
const MAX_LABELS: usize = 64;

/// The live view of one stream, shared by its worker and the HTTP server.
pub(crate) type SharedLive = Arc<LiveView>;

/// Recorded while [`Self::is_watched`]; empty otherwise.
#[derive(Debug, Default)]
pub(crate) struct LiveView {
    /// In microseconds of the monotonic clock.
    watched_until: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Names of labels; bands have their places.
    labels: Vec<String>,
    devices: Vec<DeviceBand>,
    /// Devices whose inputs are wanted, the last one asked for at the end.
    asked: VecDeque<String>,
    windows: VecDeque<LiveWindow>,
}

/// The last predictions of a device.
#[derive(Clone, Debug, Serialize)]
struct DeviceBand {
    device: String,
    last: LivePrediction,
    /// Time in milliseconds since 1970, place of the label (-1 for none), score.
    band: VecDeque<(i64, i32, Option<f32>)>,
}

/// What a look shows.
#[derive(Debug, Serialize)]
pub(crate) struct Look {
    labels: Vec<String>,
    /// By name.
    devices: Vec<DeviceBand>,
    /// The last input of the device that was asked for; else of any.
    window: Option<LiveWindow>,
}

impl LiveView {
    /// Whether somebody looked within the last minute.
    pub(crate) fn is_watched(&self, now: Mono) -> bool {
        now.0 < self.watched_until.load(Ordering::Relaxed)
    }

    /// Returns what was recorded, and has the stream recorded for a minute. `labels`: those of the
    /// model, so that each has the same place in every look.
    pub(crate) fn look(&self, now: Mono, device: Option<&str>, labels: &[String]) -> Look {
        let mut state = self.state();
        if !self.is_watched(now) {
            let labels = labels.iter().take(MAX_LABELS).cloned().collect();
            *state = State { labels, ..State::default() };
        }
        self.watched_until.store(now.plus(WATCH).0, Ordering::Relaxed);
        if let Some(device) = device {
            state.asked.retain(|asked| asked != device);
            state.asked.push_back(device.to_owned());
            if state.asked.len() > MAX_ASKED {
                state.asked.pop_front();
            }
        }
        let of_device = |window: &&LiveWindow| device.is_none_or(|name| window.device == name);
        Look {
            labels: state.labels.clone(),
            devices: state.devices.clone(),
            window: state.windows.iter().rev().find(of_device).cloned(),
        }
    }

    /// The devices whose inputs are wanted; empty for any.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state().asked.iter().cloned().collect()
    }

    /// Adds what a step gave.
    pub(crate) fn add(&self, step: LiveStep) {
        let mut state = self.state();
        step.predictions.into_iter().for_each(|prediction| state.add(prediction));
        if let Some(window) = step.window {
            state.windows.retain(|known| known.device != window.device);
            state.windows.push_back(window);
            if state.windows.len() > MAX_ASKED {
                state.windows.pop_front();
            }
        }
    }

    /// Forgets everything: nobody looks.
    pub(crate) fn clear(&self) {
        *self.state() = State::default();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, prediction: LivePrediction) {
        let label = prediction.label.as_deref().map_or(-1, |label| self.label(label));
        let Timestamp(micros) = prediction.time;
        let entry = (micros / 1000, label, prediction.score);
        let name = prediction.device.as_str();
        match self.devices.binary_search_by(|known| known.device.as_str().cmp(name)) {
            Ok(place) => {
                let Some(known) = self.devices.get_mut(place) else { return };
                known.band.push_back(entry);
                if known.band.len() > MAX_BAND {
                    known.band.pop_front();
                }
                known.last = prediction;
            }
            Err(place) => {
                let device = name.to_owned();
                let band = VecDeque::from([entry]);
                self.devices.insert(place, DeviceBand { device, last: prediction, band });
                if self.devices.len() > MAX_DEVICES {
                    let oldest = self.devices.iter().enumerate().min_by_key(|(_, d)| d.last.time);
                    if let Some((oldest, _)) = oldest {
                        self.devices.remove(oldest);
                    }
                }
            }
        }
    }

    /// The place of a label; -1 if there are too many.
    fn label(&mut self, label: &str) -> i32 {
        let place = self.labels.iter().position(|known| known == label).unwrap_or_else(|| {
            if self.labels.len() < MAX_LABELS {
                self.labels.push(label.to_owned());
            }
            self.labels.iter().position(|known| known == label).unwrap_or(usize::MAX)
        });
        i32::try_from(place).unwrap_or(-1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(device: &str, time: i64, label: &str) -> LiveStep {
        let window = LiveWindow {
            device: device.into(),
            fields: vec!["x".into()],
            width: 1,
            raw: vec![0.0],
            inputs: Vec::new(),
        };
        let prediction = LivePrediction {
            device: device.into(),
            time: Timestamp(time * 1_000_000),
            label: Some(label.into()),
            score: Some(0.5),
            scores: Vec::new(),
        };
        LiveStep { predictions: vec![prediction], window: Some(window) }
    }

    #[test]
    fn a_look_lasts_a_minute_and_begins_with_nothing() {
        let (live, minute) = (LiveView::default(), 60_000_000);
        assert!(!live.is_watched(Mono(1)));
        assert!(live.look(Mono(1), None, &[]).devices.is_empty());
        assert!(live.is_watched(Mono(minute)) && !live.is_watched(Mono(minute + 1)));
        live.add(step("a", 1, "on"));
        assert_eq!(live.look(Mono(minute), None, &[]).devices.len(), 1);
        assert!(live.look(Mono(3 * minute), None, &[]).devices.is_empty(), "it is old");
    }

    #[test]
    fn bands_devices_and_labels_are_bounded() {
        let live = LiveView::default();
        live.look(Mono(0), Some("device-7"), &[]);
        for second in 0..2000 {
            let device = format!("device-{}", second % 100);
            live.add(step(&device, second, &format!("label-{}", second % 80)));
            live.add(step("chatty", second, "on"));
        }
        let look = live.look(Mono(1), Some("chatty"), &[]);
        assert_eq!((look.devices.len(), look.labels.len()), (MAX_DEVICES, MAX_LABELS));
        let chatty = look.devices.iter().find(|band| band.device == "chatty").unwrap();
        assert_eq!(chatty.band.len(), MAX_BAND);
        assert!(look.devices.is_sorted_by_key(|band| &band.device));
        assert_eq!(look.window.unwrap().device, "chatty");
        assert_eq!(live.asked(), ["device-7", "chatty"]);
        (0..9).for_each(|n| drop(live.look(Mono(1), Some(&n.to_string()), &[])));
        assert_eq!(live.asked().len(), MAX_ASKED);
        live.clear();
        assert!(live.look(Mono(1), None, &[]).devices.is_empty());
    }
}
