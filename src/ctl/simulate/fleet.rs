//! The simulated fleet, its broker and its controller, driven by a queue of events.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use super::gateway::{SimEffect, SimGateway};
use super::release::{GROUP, Published};
use super::{Args, Outcome, Wave};
use crate::clock::{Mono, Now, Timestamp};
use crate::ctl::rollout::machine::{Action, Plan, Rollout, RolloutState};
use crate::ids::{Digest, GatewayId, ModelName};
use crate::terminal::Failure;
use crate::update::machine::{Event, Report, Settings, State};

/// 2026-01-01T00:00:00Z.
const BEGIN: Timestamp = Timestamp(1_767_225_600_000_000);
const SECOND: Duration = Duration::from_secs(1);
/// The length of a power cut.
const OUTAGE: Duration = Duration::from_secs(30);
/// A rollout that has not ended after this time is stuck.
const MAX_SIMULATED_TIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

enum SimEvent {
    Told { gateway: usize, epoch: u32, event: Event },
    Chunk { gateway: usize, epoch: u32, blob: Digest, index: u32 },
    Due { gateway: usize },
    Cut { gateway: usize },
    Power { gateway: usize },
    Reported { gateway: usize, report: Report },
    Controller,
}

struct Fleet<'a> {
    args: &'a Args,
    published: Published,
    gateways: Vec<SimGateway>,
    ids: Vec<GatewayId>,
    rollout: Rollout,
    /// The retained deployment.
    retained: Option<Vec<u8>>,
    now: Now,
    order: u64,
    queue: BinaryHeap<Reverse<(Mono, u64)>>,
    events: BTreeMap<u64, SimEvent>,
    random: fastrand::Rng,
    second: (u64, u64),
    outcome: Outcome,
}

/// Simulates a rollout to its end.
pub(super) fn run(args: &Args) -> Result<Outcome, Failure> {
    let mut fleet = Fleet::new(args)?;
    let mut actions = Vec::new();
    fleet.rollout.start(fleet.now.wall, &mut actions);
    fleet.act(actions)?;
    fleet.later(SECOND, SimEvent::Controller);
    while let Some(Reverse((due, order))) = fleet.queue.pop() {
        if due.since(Mono(0)) > MAX_SIMULATED_TIME {
            break;
        }
        fleet.now = Now { wall: BEGIN.plus(due.since(Mono(0))), mono: due };
        if let Some(event) = fleet.events.remove(&order) {
            fleet.handle(event)?;
        }
    }
    Ok(fleet.outcome())
}

impl<'a> Fleet<'a> {
    fn new(args: &'a Args) -> Result<Self, Failure> {
        let mut random = fastrand::Rng::with_seed(args.seed);
        let bytes = (0..args.model_kib * 1024).map(|_| random.u8(..)).collect();
        let name = |text: &str| {
            ModelName::parse(text)
                .map_err(|e| Failure::new(crate::terminal::Exit::Internal, e.to_string()))
        };
        let published = Published::new(name("simulated")?, bytes, args.spread_s, BEGIN)?;
        let (mut gateways, mut ids) = (Vec::new(), Vec::new());
        for index in 0..args.gateways {
            let id = GatewayId::parse(&format!("gw-{index}"));
            let id =
                id.map_err(|e| Failure::new(crate::terminal::Exit::Internal, e.to_string()))?;
            let settings = Settings {
                gateway: id.clone(),
                groups: vec![GROUP.to_owned()],
                model: published.model.clone(),
                version: crate::VERSION.to_owned(),
                arch: std::env::consts::ARCH,
                ram_mb: 256,
                max_bytes_per_s: 0,
                seed: random.u64(..),
            };
            let fails = random.f64() * 100.0 < args.failing;
            gateways.push(SimGateway::new(settings, &published, fails)?);
            ids.push(id);
        }
        let plan = Plan {
            name: "simulated".into(),
            seed: "simulated".into(),
            waves: args.waves.clone(),
            soak: Duration::from_secs(args.soak_s),
            abort_above: args.abort_above / 100.0,
            min_reports: args.min_reports,
            skip_offline: None,
        };
        Ok(Self {
            args,
            published,
            gateways,
            ids,
            rollout: Rollout::new(plan, BEGIN),
            retained: None,
            now: Now { wall: BEGIN, mono: Mono(0) },
            order: 0,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            random,
            second: (0, 0),
            outcome: Outcome { gateways: args.gateways, ..Outcome::default() },
        })
    }

    fn later(&mut self, wait: Duration, event: SimEvent) {
        self.at(self.now.mono.plus(wait), event);
    }

    fn at(&mut self, due: Mono, event: SimEvent) {
        self.order += 1;
        self.queue.push(Reverse((due, self.order)));
        self.events.insert(self.order, event);
    }

    fn latency(&mut self) -> Duration {
        Duration::from_millis(self.random.u64(20..200))
    }

    fn handle(&mut self, event: SimEvent) -> Result<(), Failure> {
        match event {
            SimEvent::Told { gateway, epoch, event } => self.tell(gateway, Some(epoch), event),
            SimEvent::Chunk { gateway, epoch, blob, index } => {
                if let Some(bytes) = self.published.chunks.get(&(blob, index)).cloned() {
                    self.tell(gateway, Some(epoch), Event::Chunk { blob, index, bytes });
                }
            }
            SimEvent::Due { gateway } => self.tell(gateway, None, Event::Tick),
            SimEvent::Cut { gateway } => {
                if let Some(gateway) = self.gateways.get_mut(gateway) {
                    gateway.epoch += 1;
                }
                self.later(OUTAGE, SimEvent::Power { gateway });
            }
            SimEvent::Power { gateway } => self.power(gateway)?,
            SimEvent::Reported { gateway, report } => self.reported(gateway, &report)?,
            SimEvent::Controller => {
                let mut actions = Vec::new();
                self.rollout.tick(self.now.wall, &self.ids, &BTreeSet::new(), &mut actions);
                self.act(actions)?;
                if self.rollout.state == RolloutState::Running {
                    self.later(SECOND, SimEvent::Controller);
                }
            }
        }
        Ok(())
    }

    /// Delivers an event to a gateway, unless it has lost power since the event was scheduled.
    fn tell(&mut self, index: usize, epoch: Option<u32>, event: Event) {
        let Some(gateway) = self.gateways.get_mut(index) else { return };
        if epoch.is_some_and(|epoch| epoch != gateway.epoch) {
            return;
        }
        let later = gateway.tell(self.now, event, &self.published);
        self.follow(index, later);
    }

    fn power(&mut self, index: usize) -> Result<(), Failure> {
        let Some(gateway) = self.gateways.get_mut(index) else { return Ok(()) };
        let later = gateway.boot(self.now, &self.published)?;
        self.follow(index, later);
        if let Some(bytes) = self.retained.clone() {
            self.tell(index, None, Event::Deployment(bytes));
        }
        Ok(())
    }

    fn follow(&mut self, index: usize, later: Vec<SimEffect>) {
        let epoch = self.gateways.get(index).map_or(0, |gateway| gateway.epoch);
        for later in later {
            match later {
                SimEffect::Tell(wait, event) => {
                    self.later(wait, SimEvent::Told { gateway: index, epoch, event });
                }
                SimEffect::Ask { blob, index: chunk } => {
                    self.count_chunk();
                    let wait = self.latency();
                    // The state machine requests lost chunks again after its own timeout.
                    if self.random.f64() * 100.0 >= self.args.loss {
                        let gateway = index;
                        self.later(wait, SimEvent::Chunk { gateway, epoch, blob, index: chunk });
                    }
                }
                SimEffect::Report(report) => {
                    if report.state == State::Fetching
                        && epoch == 0
                        && self.random.f64() * 100.0 < self.args.power_cuts
                    {
                        let wait = Duration::from_millis(self.random.u64(0..90_000));
                        self.later(wait, SimEvent::Cut { gateway: index });
                    }
                    let wait = self.latency();
                    self.later(wait, SimEvent::Reported { gateway: index, report });
                }
            }
        }
        let deadline = self.gateways.get(index).and_then(|gateway| gateway.device.deadline());
        if let Some(due) = deadline {
            let soon = self.now.mono.plus(Duration::from_millis(1));
            self.at(due.max(soon), SimEvent::Due { gateway: index });
        }
    }

    fn count_chunk(&mut self) {
        let second = self.now.mono.0 / 1_000_000;
        if self.second.0 != second {
            self.second = (second, 0);
        }
        self.second.1 += 1;
        self.outcome.chunks += 1;
        self.outcome.peak_chunks_per_s = self.outcome.peak_chunks_per_s.max(self.second.1);
    }

    fn reported(&mut self, gateway: usize, report: &Report) -> Result<(), Failure> {
        let ended = report.state.is_final().then_some(report.state);
        if let Some(gateway) = self.gateways.get_mut(gateway)
            && ended.is_some()
            && gateway.ended != ended
        {
            gateway.ended = ended;
            self.outcome.simulated_s = self.now.mono.0 / 1_000_000;
            if let Some(wave) = self.outcome.waves.last_mut() {
                wave.last_report_s = self.outcome.simulated_s;
                wave.reports += 1;
            }
        }
        let mut actions = Vec::new();
        if let Some(id) = self.ids.get(gateway) {
            self.rollout.reported(id, &report.deployment, report.state, &mut actions);
        }
        self.act(actions)
    }

    fn act(&mut self, actions: Vec<Action>) -> Result<(), Failure> {
        for action in actions {
            let Action::Publish { number, percent, hold } = action else { continue };
            let seq = u64::try_from(number).unwrap_or(u64::MAX);
            let bytes = self.published.wave(seq, percent, hold)?;
            self.outcome.controller_messages += 1;
            let began_s = self.now.mono.0 / 1_000_000;
            if !hold {
                self.outcome.waves.push(Wave { percent, began_s, ..Wave::default() });
            }
            for gateway in 0..self.gateways.len() {
                let wait = self.latency();
                let epoch = self.gateways.get(gateway).map_or(0, |gateway| gateway.epoch);
                let event = Event::Deployment(bytes.clone());
                self.later(wait, SimEvent::Told { gateway, epoch, event });
            }
            self.retained = Some(bytes);
        }
        Ok(())
    }

    fn outcome(self) -> Outcome {
        let count =
            |what: fn(&SimGateway) -> bool| self.gateways.iter().filter(|g| what(g)).count();
        Outcome {
            touched: count(|gateway| gateway.touched),
            switched: count(|gateway| gateway.switched),
            committed: count(|gateway| gateway.ended == Some(State::Committed)),
            rolled_back: count(|gateway| gateway.ended == Some(State::RolledBack)),
            aborted: self.rollout.state == RolloutState::Aborted,
            ..self.outcome
        }
    }
}
