//! One simulated gateway: the real update machine, and a disk that survives power cuts.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::release::Published;
use crate::clock::Now;
use crate::ids::Digest;
use crate::update::machine::{
    Effect, Event, Record, Report, Settings, State, TrialStats, UpdateMachine,
};
use crate::update::{StagedVersion, VerifyError};

/// An effect outside the gateway, or after a delay.
pub(super) enum SimEffect {
    Tell(Duration, Event),
    /// A chunk is requested.
    Ask {
        blob: Digest,
        index: u32,
    },
    Report(Report),
}

pub(super) struct SimGateway {
    pub settings: Settings,
    pub device: UpdateMachine,
    record: Record,
    held: BTreeSet<Digest>,
    pub fails: bool,
    pub touched: bool,
    pub switched: bool,
    /// The final state of the last report.
    pub ended: Option<State>,
    /// Rises with every power cut, so that earlier deliveries are dropped.
    pub epoch: u32,
}

impl SimGateway {
    pub(super) fn new(
        settings: Settings,
        published: &Published,
        fails: bool,
    ) -> Result<Self, VerifyError> {
        let record = Record::default();
        let device = UpdateMachine::new(settings.clone(), published.trust.clone(), record.clone())?;
        let (held, touched, switched, ended, epoch) = (BTreeSet::new(), false, false, None, 0);
        Ok(Self { settings, device, record, held, fails, touched, switched, ended, epoch })
    }

    /// Starts the gateway after a power cut, with the contents of its disk.
    pub(super) fn boot(
        &mut self,
        now: Now,
        published: &Published,
    ) -> Result<Vec<SimEffect>, VerifyError> {
        let settings = self.settings.clone();
        self.device = UpdateMachine::new(settings, published.trust.clone(), self.record.clone())?;
        let mut effects = Vec::new();
        self.device.start(now, &mut effects);
        let mut later = self.carry_out(now, effects, published);
        if self.record.slots.active.is_some() && self.record.job.is_some() {
            later.push(self.trial());
        }
        Ok(later)
    }

    pub(super) fn tell(&mut self, now: Now, event: Event, published: &Published) -> Vec<SimEffect> {
        let mut effects = Vec::new();
        self.device.on(now, event, &mut effects);
        self.carry_out(now, effects, published)
    }

    fn carry_out(
        &mut self,
        now: Now,
        effects: Vec<Effect>,
        published: &Published,
    ) -> Vec<SimEffect> {
        let mut later = Vec::new();
        let mut due = VecDeque::from(effects);
        while let Some(effect) = due.pop_front() {
            let answer = match effect {
                Effect::Save(record) => {
                    self.record = record;
                    None
                }
                Effect::StoreChunk { chunk, .. } => {
                    self.held.insert(chunk);
                    None
                }
                Effect::QueryHeld { chunks, .. } => Some(Event::Held {
                    chunks: chunks.into_iter().filter(|chunk| self.held.contains(chunk)).collect(),
                    files: BTreeSet::new(),
                    room: 1 << 30,
                }),
                Effect::ReadManifest { .. } => Some(Event::Opened(published.manifest.clone())),
                // Chunks were verified when they were stored.
                Effect::Assemble { manifest, .. } => {
                    self.device.stage(Some(StagedVersion { manifest, digest: manifest }));
                    Some(Event::Assembled(Ok(())))
                }
                other => {
                    later.extend(self.outside(other));
                    None
                }
            };
            if let Some(event) = answer {
                let mut more = Vec::new();
                self.device.on(now, event, &mut more);
                more.into_iter().rev().for_each(|effect| due.push_front(effect));
            }
        }
        later
    }

    /// Effects that take time.
    fn outside(&mut self, effect: Effect) -> Option<SimEffect> {
        match effect {
            Effect::Fetch { blob, index, .. } => {
                self.touched = true;
                Some(SimEffect::Ask { blob, index })
            }
            Effect::Probe { .. } => {
                Some(SimEffect::Tell(Duration::from_secs(2), Event::Probed(Ok(()))))
            }
            Effect::Shadow { .. } => {
                Some(SimEffect::Tell(Duration::from_secs(30), Event::Shadowed(Ok(()))))
            }
            Effect::Activate(Some(_)) => {
                self.switched = true;
                Some(self.trial())
            }
            Effect::Report(report) => Some(SimEffect::Report(report)),
            // A rollback to the built-in model, which needs no download and no trial.
            Effect::Activate(None) | Effect::Discard { .. } | Effect::Sweep | Effect::Reject(_) => {
                None
            }
            Effect::Save(_)
            | Effect::StoreChunk { .. }
            | Effect::QueryHeld { .. }
            | Effect::ReadManifest { .. }
            | Effect::Assemble { .. } => None,
        }
    }

    /// A minute of the new model's trial.
    fn trial(&self) -> SimEffect {
        let errors = if self.fails { 50 } else { 0 };
        let runs = TrialStats { runs: 100, errors, slowdown: 1.0, ..TrialStats::default() };
        SimEffect::Tell(Duration::from_secs(60), Event::TrialProgress(runs))
    }
}
