//! The controller: the machine, its record, and the broker.

mod others;

use std::time::Duration;

use super::awaited;
use super::controller_ipc::{HoldKind, answer, asked};
use super::machine::{Action, RolloutState};
use super::preview::replaced;
use super::progress_view::ProgressView;
use super::record::{OpenRecord, Record, SentDeployment};
use super::request::{Loaded, first_seq, sign};
use super::status::RolloutStatus;
use crate::ctl::broker::{BrokerArgs, Session};
use crate::ctl::fleet::view::{self, FleetChange, FleetView};
use crate::ctl::wall_clock::now;
use crate::ids::{Digest, GatewayId};
use crate::link::ClientMessage;
use crate::terminal::{Exit, Failure};
use crate::update::Deployment;
pub(super) use others::already_ended;
use others::expired;

/// How often the state machine and requests from other processes are polled.
const TICK_INTERVAL: Duration = Duration::from_millis(200);

/// How long reports may take after the soak time before the awaited gateways are printed.
const REPORT_GRACE: Duration = Duration::from_secs(5);

/// A rollout under control.
#[derive(Debug)]
pub(super) struct Controller {
    held: OpenRecord,
    loaded: Loaded,
    broker: BrokerArgs,
    session: Session,
    view: FleetView,
    /// The highest number that any signed deployment of the model has here.
    highest: u64,
    /// The last message received on the rollout's own topic.
    retained: Option<Retained>,
    /// Somebody else has put a hold of this rollout there.
    is_held_elsewhere: bool,
    /// The state that was last published.
    status: Option<RolloutStatus>,
    bars: ProgressView,
}

/// The own topic's retained message.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Retained {
    digest: Digest,
    /// The number of a deployment with valid signatures.
    seq: Option<u64>,
    /// A signed hold of this very rollout.
    is_hold: bool,
}

impl Controller {
    pub(super) async fn new(
        held: OpenRecord,
        loaded: Loaded,
        broker: BrokerArgs,
        mut session: Session,
        bars: ProgressView,
    ) -> Result<Self, Failure> {
        let model = &held.record.terms.model;
        let mut filters = broker.deploy_filters(model);
        let reports = view::filters(Some(model)).into_iter().chain(["+/health".to_owned()]);
        filters.extend(reports.map(|rest| broker.topic(&rest)));
        let messages = session.subscribe_retained(&filters).await?;
        let mut controller = Self {
            held,
            loaded,
            broker,
            session,
            view: FleetView::default(),
            highest: 0,
            retained: None,
            is_held_elsewhere: false,
            status: None,
            bars,
        };
        let mut reports = Vec::new();
        for message in messages {
            reports.extend(controller.on_message(&message));
        }
        let mut actions = Vec::new();
        controller.check_retained(&mut actions);
        controller.report(&reports, &mut actions);
        controller.act(actions).await?;
        Ok(controller)
    }

    /// Carries out the machine's first actions, then handles events to the end.
    pub(super) async fn run(mut self) -> Result<(), Failure> {
        let mut actions = Vec::new();
        if self.state() == RolloutState::Running {
            self.held.record.rollout.start(now(), &mut actions);
        }
        self.act(actions).await?;
        let mut tick = tokio::time::interval(TICK_INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while self.state() == RolloutState::Running || self.is_unsettled() {
            let mut actions = Vec::new();
            tokio::select! {
                message = self.session.next() => {
                    let Some(message) = message else { break };
                    let reports: Vec<_> = self.on_message(&message).into_iter().collect();
                    self.check_retained(&mut actions);
                    self.report(&reports, &mut actions);
                }
                _ = tick.tick() => self.tick(&mut actions).await?,
                _ = tokio::signal::ctrl_c() => return self.interrupted(),
            }
            self.act(actions).await?;
        }
        self.flush().await?;
        self.end()
    }

    /// Pauses or aborts without staying.
    pub(super) async fn carry_out(mut self, ask: HoldKind) -> Result<(), Failure> {
        let mut actions = Vec::new();
        self.machine_asked(ask, &mut actions);
        self.act(actions).await?;
        if self.is_unsettled() {
            self.publish_pending().await?;
        }
        self.flush().await?;
        match (ask, self.state()) {
            (HoldKind::Pause, RolloutState::Paused) | (HoldKind::Abort, RolloutState::Aborted) => {
                self.print_state()
            }
            (_, state @ RolloutState::Done) => {
                Err(already_ended(&self.held.record.rollout.plan().name, &state.to_string()))
            }
            _ => self.end(),
        }
    }

    /// Goes on with a paused rollout.
    pub(super) async fn resume(mut self) -> Result<(), Failure> {
        let mut actions = Vec::new();
        self.held.record.rollout.resume(now(), &mut actions);
        self.act(actions).await?;
        self.run().await
    }

    fn state(&self) -> RolloutState {
        self.held.record.rollout.state
    }

    fn members(&self) -> Vec<GatewayId> {
        self.view.members(&self.held.record.terms.target)
    }

    /// Takes in a message; a model's report is for the machine.
    fn on_message(&mut self, message: &ClientMessage) -> Option<GatewayId> {
        let deploy = self.broker.topic("deploy/");
        if message.topic.starts_with(&deploy) {
            let found = self.loaded.trust.deployment(&message.payload).ok();
            let seq = found.as_ref().map(|found| found.seq);
            self.highest = self.highest.max(seq.unwrap_or(0));
            if message.topic == self.held.record.topic {
                let digest = Digest::of(&message.payload);
                let some = !message.payload.is_empty();
                let own = &self.held.record.terms.deployment;
                let is_hold = found.is_some_and(|found| found.hold && found.deployment == *own);
                self.retained = some.then_some(Retained { digest, seq, is_hold });
            }
            return None;
        }
        let prefix = self.broker.topic("");
        match self.view.apply(prefix.trim_end_matches('/'), message, now())? {
            FleetChange::Model(id, _) => Some(id),
            FleetChange::Status(_) | FleetChange::Health(_) => None,
        }
    }

    /// Compares the retained deployment with the published one.
    fn check_retained(&mut self, actions: &mut Vec<Action>) {
        let record = &mut self.held.record;
        let Some(sent) = &mut record.sent else { return };
        let ours = Digest::of(sent.envelope.as_bytes());
        match &self.retained {
            Some(retained) if retained.digest == ours => {
                if !sent.taken {
                    sent.taken = true;
                    actions.push(Action::Save);
                }
            }
            Some(Retained { seq: Some(seq), is_hold, .. }) if *seq > sent.seq => {
                if *is_hold {
                    // Theirs counts: what was signed before must not be published after it.
                    sent.taken = true;
                    self.is_held_elsewhere = true;
                } else {
                    record.rollout.replaced(actions);
                }
            }
            None if sent.taken => record.rollout.replaced(actions),
            // An earlier deployment, or one without valid signatures.
            Some(_) | None => {}
        }
    }

    fn report(&mut self, gateways: &[GatewayId], actions: &mut Vec<Action>) {
        for id in gateways {
            let name = self.held.record.terms.model.as_str();
            let Some(model) = self.view.model(id, name) else { continue };
            let (Some(state), Some(deployment)) = (model.update(), &model.deployment) else {
                continue;
            };
            if *deployment == self.held.record.terms.deployment && state.is_final() {
                self.bars.ended(id, model, self.held.record.terms.shadow_runs);
            }
            self.held.record.rollout.reported(id, deployment, state, actions);
        }
    }

    async fn tick(&mut self, actions: &mut Vec<Action>) -> Result<(), Failure> {
        let path = self.held.path().to_owned();
        if let Some(ask) = asked(&path) {
            let mut first = Vec::new();
            self.machine_asked(ask, &mut first);
            self.act(first).await?;
            answer(&path)?;
        }
        if self.is_unsettled() {
            self.publish_pending().await?;
        }
        let (members, now) = (self.members(), now());
        self.bars.connected(self.session.is_connected());
        self.bars.draw(&self.held.record.rollout, &members);
        let rollout = &mut self.held.record.rollout;
        if rollout.state != RolloutState::Running {
            return Ok(());
        }
        let name = self.held.record.terms.model.as_str();
        let awaited = awaited::awaited(rollout, &members, &self.view, name);
        if now >= self.held.record.terms.expires {
            return Err(expired(&awaited, now));
        }
        let skip = rollout.plan().skip_offline;
        let absent = skip.map(|span| awaited::absent(&awaited, span, now)).unwrap_or_default();
        rollout.tick(now, &members, &absent, actions);
        if actions.is_empty() && now.since(rollout.since()) >= rollout.plan().soak + REPORT_GRACE {
            self.bars.waiting(&awaited, &absent, now);
        }
        Ok(())
    }

    fn machine_asked(&mut self, ask: HoldKind, actions: &mut Vec<Action>) {
        match ask {
            HoldKind::Pause => self.held.record.rollout.pause(actions),
            HoldKind::Abort => self.held.record.rollout.abort(actions),
        }
    }

    async fn act(&mut self, mut actions: Vec<Action>) -> Result<(), Failure> {
        if std::mem::take(&mut self.is_held_elsewhere) {
            self.hold_elsewhere(&mut actions).await?;
        }
        for action in actions {
            match action {
                Action::Save => self.held.save()?,
                Action::Publish { number, percent, hold } => {
                    self.prepare(number, percent, hold)?;
                    if self.is_unsettled() {
                        self.publish_pending().await?;
                    }
                }
            }
        }
        self.report_state().await
    }

    /// Signs the deployment of this number, unless it is signed already, and keeps it.
    fn prepare(&mut self, number: usize, percent: f64, hold: bool) -> Result<(), Failure> {
        let record = &mut self.held.record;
        if record.sent.as_ref().is_some_and(|sent| sent.number == number) {
            return Ok(());
        }
        let seq = match &record.sent {
            Some(sent) => self.highest.max(sent.seq).saturating_add(1),
            None => first_seq(self.highest, now()),
        };
        let terms = record.terms.clone();
        let deployment = Deployment { seq, percent, hold, created: now(), ..terms };
        let envelope = sign(&deployment, &self.loaded.keys, &self.loaded.trust)?;
        record.sent = Some(SentDeployment { number, seq, envelope, taken: false });
        self.held.save()
    }

    fn is_unsettled(&self) -> bool {
        let sent = self.held.record.sent.as_ref();
        self.state() != RolloutState::Replaced && sent.is_some_and(|sent| !sent.taken)
    }

    /// Publishes what is signed and not acknowledged. Where the connection is lost it is tried
    /// again at the next tick.
    async fn publish_pending(&mut self) -> Result<(), Failure> {
        let record = &mut self.held.record;
        let Some(sent) = &mut record.sent else { return Ok(()) };
        if !self.session.is_connected() {
            return Ok(());
        }
        let envelope = sent.envelope.clone().into_bytes();
        match self.session.publish(&record.topic, envelope).await {
            Err(failure) if failure.exit == Exit::Unavailable => return Ok(()),
            other => other?,
        }
        sent.taken = true;
        let (seq, is_hold) = (sent.seq, false);
        let digest = Digest::of(sent.envelope.as_bytes());
        self.retained = Some(Retained { digest, seq: Some(seq), is_hold });
        self.held.save()?;
        let members = self.members();
        let Record { terms, rollout, .. } = &self.held.record;
        let awaited = awaited::awaited(rollout, &members, &self.view, terms.model.as_str());
        let offline = awaited.iter().filter(|of| !of.is_online()).count();
        self.bars.published(rollout, seq, &members, offline);
        Ok(())
    }

    /// The operator has interrupted the controller; the wave continues without one.
    fn interrupted(&self) -> Result<(), Failure> {
        self.bars.clear();
        let message = format!(
            "interrupted: the current wave continues without supervision, and no further wave \
             starts. Continue with `inferctl rollout watch {0}`, or hold it with `inferctl rollout \
             pause {0}`",
            self.held.path().display()
        );
        Err(Failure::new(Exit::Failed, message))
    }

    fn print_state(&self) -> Result<(), Failure> {
        self.bars.finish(&self.held.record.rollout)
    }

    fn end(&self) -> Result<(), Failure> {
        self.print_state()?;
        let topic = &self.held.record.topic;
        match self.state() {
            RolloutState::Done | RolloutState::Paused | RolloutState::Running => Ok(()),
            RolloutState::Aborted => Err(Failure::new(
                Exit::Failed,
                "the rollout was aborted; gateways that had not switched keep their version",
            )),
            RolloutState::Replaced => Err(replaced(topic)),
        }
    }
}
