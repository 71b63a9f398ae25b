//! The controller: the machine, its record, and the broker.

mod others;

use std::time::Duration;

use super::ask::{Ask, answer, asked};
use super::bars::Bars;
use super::order::{Loaded, now, sign};
use super::record::{Held, Record, Sent};
use super::status::RolloutStatus;
use super::{Action, Course, awaited};
use crate::clock::Timestamp;
use crate::ctl::broker::{BrokerArgs, Session};
use crate::ctl::fleet::view::{self, Heard, View};
use crate::ids::{Digest, GatewayId};
use crate::link::ClientMessage;
use crate::terminal::{Exit, Failure};
use crate::update::Deployment;
use others::expired;
pub(super) use others::over;

/// How often the machine is asked and others may ask.
const TICK: Duration = Duration::from_millis(200);

/// Reports of a wave come within this span where nothing is in their way.
const WAITING_GRACE: Duration = Duration::from_secs(5);

/// A rollout under control.
#[derive(Debug)]
pub(super) struct Controller {
    held: Held,
    loaded: Loaded,
    broker: BrokerArgs,
    session: Session,
    view: View,
    /// The highest number that any signed deployment of the model has here.
    highest: u64,
    /// What is retained on the rollout's own topic, as far as it was heard.
    retained: Option<Retained>,
    /// Somebody else has put a hold of this rollout there.
    is_held_elsewhere: bool,
    /// What others were last told of the rollout.
    status: Option<RolloutStatus>,
    bars: Bars,
}

/// The own topic's retained message.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Retained {
    digest: Digest,
    /// Of a deployment that is signed; strangers' are not numbered.
    seq: Option<u64>,
    /// A signed hold of this very rollout.
    is_hold: bool,
}

/// How the numbers of deployments begin: beyond all that is retained, and beyond those of
/// deployments that were withdrawn, which nobody can look up.
pub(super) fn first_seq(highest: u64, now: Timestamp) -> u64 {
    let seconds = u64::try_from(now.0 / 1_000_000).unwrap_or(0);
    seconds.max(highest.saturating_add(1))
}

impl Controller {
    pub(super) async fn new(
        held: Held,
        loaded: Loaded,
        broker: BrokerArgs,
        mut session: Session,
        bars: Bars,
    ) -> Result<Self, Failure> {
        let model = &held.record.terms.model;
        let mut filters = broker.deploy_filters(model);
        let reports = view::filters(Some(model)).into_iter().chain(["+/health".to_owned()]);
        filters.extend(reports.map(|rest| broker.topic(&rest)));
        let messages = session.retained(&filters).await?;
        let mut controller = Self {
            held,
            loaded,
            broker,
            session,
            view: View::default(),
            highest: 0,
            retained: None,
            is_held_elsewhere: false,
            status: None,
            bars,
        };
        let mut reports = Vec::new();
        for message in messages {
            reports.extend(controller.heard(&message));
        }
        let mut actions = Vec::new();
        controller.check_retained(&mut actions);
        controller.report(&reports, &mut actions);
        controller.act(actions).await?;
        Ok(controller)
    }

    /// Does what the machine wants done first, then whatever happens, to the end.
    pub(super) async fn run(mut self) -> Result<(), Failure> {
        let mut actions = Vec::new();
        if self.course() == Course::Running {
            self.held.record.rollout.start(now(), &mut actions);
        }
        self.act(actions).await?;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while self.course() == Course::Running || self.is_unsettled() {
            let mut actions = Vec::new();
            tokio::select! {
                message = self.session.next() => {
                    let Some(message) = message else { break };
                    let reports: Vec<_> = self.heard(&message).into_iter().collect();
                    self.check_retained(&mut actions);
                    self.report(&reports, &mut actions);
                }
                _ = tick.tick() => self.tick(&mut actions).await?,
                _ = tokio::signal::ctrl_c() => return self.left(),
            }
            self.act(actions).await?;
        }
        self.flush().await?;
        self.end()
    }

    /// Pauses or aborts without staying.
    pub(super) async fn carry_out(mut self, ask: Ask) -> Result<(), Failure> {
        let mut actions = Vec::new();
        self.machine_asked(ask, &mut actions);
        self.act(actions).await?;
        if self.is_unsettled() {
            self.settle().await?;
        }
        self.flush().await?;
        match (ask, self.course()) {
            (Ask::Pause, Course::Paused) | (Ask::Abort, Course::Aborted) => self.say_course(),
            (_, course @ Course::Done) => {
                Err(over(&self.held.record.rollout.plan().name, &course.to_string()))
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

    fn course(&self) -> Course {
        self.held.record.rollout.course
    }

    fn members(&self) -> Vec<GatewayId> {
        self.view.members(&self.held.record.terms.target)
    }

    /// Takes in a message; a model's report is for the machine.
    fn heard(&mut self, message: &ClientMessage) -> Option<GatewayId> {
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
        match self.view.hear(prefix.trim_end_matches('/'), message, now())? {
            Heard::Model(id, _) => Some(id),
            Heard::Status(_) | Heard::Health(_) => None,
        }
    }

    /// Whether the topic still says what was published, and whether it is said already.
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
            // What was published before, or a stranger's.
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
            self.settle().await?;
        }
        let (members, now) = (self.members(), now());
        self.bars.connected(self.session.is_connected());
        self.bars.draw(&self.held.record.rollout, &members);
        let rollout = &mut self.held.record.rollout;
        if rollout.course != Course::Running {
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
        if actions.is_empty() && now.since(rollout.since()) >= rollout.plan().soak + WAITING_GRACE {
            self.bars.waiting(&awaited, &absent, now);
        }
        Ok(())
    }

    fn machine_asked(&mut self, ask: Ask, actions: &mut Vec<Action>) {
        match ask {
            Ask::Pause => self.held.record.rollout.pause(actions),
            Ask::Abort => self.held.record.rollout.abort(actions),
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
                        self.settle().await?;
                    }
                }
            }
        }
        self.inform().await
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
        record.sent = Some(Sent { number, seq, envelope, taken: false });
        self.held.save()
    }

    fn is_unsettled(&self) -> bool {
        let sent = self.held.record.sent.as_ref();
        self.course() != Course::Replaced && sent.is_some_and(|sent| !sent.taken)
    }

    /// Publishes what is signed and not acknowledged. Where the connection is lost it is tried
    /// again at the next tick.
    async fn settle(&mut self) -> Result<(), Failure> {
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

    /// The operator has left; the wave goes on without a controller.
    fn left(&self) -> Result<(), Failure> {
        self.bars.clear();
        let message = format!(
            "left: the wave that was begun goes on, no other begins, and nobody holds it back. Go \
             on with `inferctl rollout watch {0}`, or `inferctl rollout pause {0}`",
            self.held.path().display()
        );
        Err(Failure::new(Exit::Failed, message))
    }

    fn say_course(&self) -> Result<(), Failure> {
        self.bars.finish(&self.held.record.rollout)
    }

    fn end(&self) -> Result<(), Failure> {
        self.say_course()?;
        let topic = &self.held.record.topic;
        match self.course() {
            Course::Done | Course::Paused | Course::Running => Ok(()),
            Course::Aborted => Err(Failure::new(
                Exit::Failed,
                "the rollout was aborted: gateways that had not switched keep what they run",
            )),
            Course::Replaced => Err(Failure::new(
                Exit::Failed,
                format!(
                    "{topic} holds this rollout's deployment no more: it was withdrawn or followed \
                     by another, or the broker has lost what it retained"
                ),
            )),
        }
    }
}
