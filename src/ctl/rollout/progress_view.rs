//! The progress of a rollout: a bar for each wave on a terminal, otherwise a line per event.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;

use super::awaited::{AwaitedGateway, AwaitedLine};
use super::machine::{Progress, Rollout, RolloutState};
use crate::clock::Timestamp;
use crate::ctl::fleet::view::ModelStatus;
use crate::ids::GatewayId;
use crate::terminal::{Failure, print, print_json};

const MIN_WAITING_INTERVAL: Duration = Duration::from_secs(30);
const WAITING_REPEAT_INTERVAL: Duration = Duration::from_hours(1);

/// Where it is shown.
#[derive(Debug)]
pub(super) struct ProgressView {
    json: bool,
    screen: Option<MultiProgress>,
    waves: RefCell<Vec<ProgressBar>>,
    ended: RefCell<BTreeSet<GatewayId>>,
    connected: bool,
    /// Whom the rollout was last said to wait for, and when that was said.
    waiting: Option<(Vec<AwaitedGateway>, Instant)>,
}

impl ProgressView {
    pub(super) fn new(json: bool) -> Self {
        let screen = !json && std::io::stderr().is_terminal();
        Self {
            json,
            screen: screen.then(MultiProgress::new),
            waves: RefCell::default(),
            ended: RefCell::default(),
            connected: true,
            waiting: None,
        }
    }

    /// The broker has the deployment of a wave, or of a hold.
    pub(super) fn published(
        &self,
        rollout: &Rollout,
        seq: u64,
        fleet: &[GatewayId],
        offline: usize,
    ) {
        let (wave, plan) = (rollout.wave(), rollout.plan());
        let percent = plan.waves.get(wave.saturating_sub(1)).copied().unwrap_or_default();
        let (reached, hold) = (rollout.reached(fleet), rollout.state != RolloutState::Running);
        if self.json {
            return self.line(&json!({ "event": "published", "wave": wave, "percent": percent,
                "seq": seq, "hold": hold, "reached": reached,
                "offline": offline }));
        }
        let what = match (hold, offline) {
            (true, _) => "held".to_owned(),
            (false, 0) => format!("{reached} gateways"),
            (false, _) => format!("{reached} gateways, {offline} of them offline"),
        };
        self.text(&format!(
            "wave {wave} of {} ({percent} %), number {seq}: {what}",
            plan.waves.len()
        ));
    }

    /// A gateway's update ended; said once.
    pub(super) fn ended(&self, gateway: &GatewayId, model: &ModelStatus, shadow_runs: u32) {
        if !self.ended.borrow_mut().insert(gateway.clone()) {
            return;
        }
        let compared = model.shadow.as_ref().map_or(0, |shadow| shadow.runs);
        if self.json {
            let (state, reason) = (&model.state, &model.reason);
            return self.line(&json!({ "event": "ended", "gateway": gateway, "state": state,
                "reason": reason, "compared": compared }));
        }
        if model.state == "committed" && shadow_runs > 0 && compared == 0 {
            self.text(&format!(
                "{gateway}: committed without a comparison: no window arrived during the shadow \
                 run, or the new model has another window or other labels"
            ));
        }
        if model.state != "committed" {
            let reason = model.reason.as_deref().unwrap_or("no reason given");
            let advice = model.explanation().map_or(String::new(), |text| format!(": {text}"));
            self.text(&format!("{gateway}: {} ({reason}){advice}", model.state));
        }
    }

    /// Prints the gateways that the rollout waits for: when they change, but at most once in
    /// [`MIN_WAITING_INTERVAL`], and otherwise once in [`WAITING_REPEAT_INTERVAL`].
    pub(super) fn waiting(
        &mut self,
        awaited: &[AwaitedGateway],
        absent: &BTreeSet<GatewayId>,
        now: Timestamp,
    ) {
        let awaited: Vec<_> =
            awaited.iter().filter(|of| !absent.contains(&of.gateway)).cloned().collect();
        let due = self.waiting.as_ref().is_none_or(|(before, at)| {
            let pause =
                if *before == awaited { WAITING_REPEAT_INTERVAL } else { MIN_WAITING_INTERVAL };
            at.elapsed() >= pause
        });
        if awaited.is_empty() || !due {
            return;
        }
        let online = awaited.iter().filter(|of| of.is_online()).count();
        if self.json {
            self.line(&json!({ "event": "waiting", "gateways": awaited, "online": online,
                "skipped": absent.len() }));
        } else {
            let (all, offline) = (awaited.len(), awaited.len() - online);
            let advice = if offline > 0 && absent.is_empty() {
                "; `inferctl rollout watch RECORD --skip-offline SPAN` continues without those \
                 offline for longer"
            } else {
                ""
            };
            self.text(&format!(
                "waiting for {all} gateways, {offline} of them offline: {}{advice}",
                AwaitedLine(&awaited, now)
            ));
        }
        self.waiting = Some((awaited, Instant::now()));
    }

    /// Says once that the broker is away, and that it is back.
    pub(super) fn connected(&mut self, connected: bool) {
        if std::mem::replace(&mut self.connected, connected) != connected {
            let what = if connected { "broker: connected" } else { "broker: disconnected" };
            if self.json {
                return self.line(&json!({ "event": "broker", "connected": connected }));
            }
            self.text(what);
        }
    }

    /// Draws a bar for each wave that has started.
    pub(super) fn draw(&self, rollout: &Rollout, fleet: &[GatewayId]) {
        let Some(screen) = &self.screen else { return };
        let mut waves = self.waves.borrow_mut();
        for (index, progress) in rollout.progress(fleet).iter().enumerate() {
            if waves.len() <= index {
                waves.push(screen.add(bar(index, progress)));
            }
            let Some(bar) = waves.get(index) else { continue };
            bar.set_length(count(progress.reached));
            bar.set_position(count(progress.ended));
            bar.set_message(format!("{} failed", progress.failed));
        }
    }

    pub(super) fn clear(&self) {
        self.waves.borrow().iter().for_each(ProgressBar::abandon);
    }

    /// The outcome, as far as it is known.
    pub(super) fn finish(&self, rollout: &Rollout) -> Result<(), Failure> {
        self.clear();
        let (ended, failed) = (rollout.ended(), rollout.failures());
        let (name, waves) = (&rollout.plan().name, rollout.plan().waves.len());
        if self.json {
            return print_json(&json!({ "event": "end", "deployment": name,
                "course": rollout.state, "wave": rollout.wave(), "waves": waves,
                "ended": ended, "failed": failed,
                "skipped": rollout.skipped() }));
        }
        let skipped = match rollout.skipped() {
            0 => String::new(),
            skipped => format!("; {skipped} offline, which update when they return"),
        };
        print(&format!(
            "{name}: {} in wave {} of {waves}; {ended} gateways finished, {failed} of them \
             failed{skipped}\n",
            rollout.state,
            rollout.wave()
        ))
    }

    /// A reader who is gone does not stop a rollout.
    fn line(&self, value: &serde_json::Value) {
        if print_json(value).is_err() {
            log::debug!("cannot print: {value}");
        }
    }

    fn text(&self, text: &str) {
        let said = match &self.screen {
            Some(screen) => screen.println(text).is_ok(),
            None => print(&format!("{text}\n")).is_ok(),
        };
        if !said {
            log::debug!("cannot print: {text}");
        }
    }
}

fn bar(index: usize, progress: &Progress) -> ProgressBar {
    let bar = ProgressBar::new(count(progress.reached));
    let template = "{prefix:18} {bar:40} {pos}/{len} finished, {msg}  {elapsed}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.with_prefix(format!("wave {} ({} %)", index + 1, progress.percent))
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
