//! Communication between a controller and other operators over the broker.

use super::Controller;
use crate::clock::Timestamp;
use crate::ctl::rollout::awaited::{AwaitedGateway, AwaitedLine};
use crate::ctl::rollout::machine::{Action, RolloutState};
use crate::ctl::rollout::record::Record;
use crate::ctl::rollout::status::RolloutStatus;
use crate::terminal::{Exit, Failure};

impl Controller {
    /// Handles a hold by another operator: an abort if the retained state is one, else a pause.
    pub(super) async fn hold_elsewhere(
        &mut self,
        actions: &mut Vec<Action>,
    ) -> Result<(), Failure> {
        let terms = &self.held.record.terms;
        let topic = self.broker.rollout_topic(&terms.target, &terms.model);
        let found = self.session.read_retained(&[topic]).await?;
        let status = found.iter().find_map(|message| RolloutStatus::read(&message.payload));
        let status = status.filter(|status| status.deployment == terms.deployment);
        let is_aborted = status.is_some_and(|status| status.state == RolloutState::Aborted);
        let state = if is_aborted { RolloutState::Aborted } else { RolloutState::Paused };
        self.held.record.rollout.held_elsewhere(state, actions);
        Ok(())
    }

    /// Publishes the state of the rollout if it has changed. If the broker is unreachable, the next
    /// change or the next controller publishes it.
    pub(super) async fn report_state(&mut self) -> Result<(), Failure> {
        let Record { terms, rollout, sent, .. } = &self.held.record;
        let status = RolloutStatus::of(terms, &self.loaded.checked.manifest.version, rollout);
        let is_told = self.status.as_ref() == Some(&status);
        let is_ours = sent.is_some() && rollout.state != RolloutState::Replaced;
        if is_told || !is_ours || !self.session.is_connected() {
            return Ok(());
        }
        let topic = self.broker.rollout_topic(&terms.target, &terms.model);
        self.session.publish_unconfirmed(&topic, status.bytes()).await?;
        self.status = Some(status);
        Ok(())
    }

    /// Waits until the broker has read all that was sent: it answers in order.
    pub(super) async fn flush(&mut self) -> Result<(), Failure> {
        if self.session.is_connected() {
            self.session.read_retained(std::slice::from_ref(&self.held.record.topic)).await?;
        }
        Ok(())
    }
}

/// There is nothing to hold back any more.
pub(in crate::ctl::rollout) fn already_ended(name: &str, state: &str) -> Failure {
    Failure::new(
        Exit::Failed,
        format!("the rollout {name} has ended ({state}) and cannot be paused or aborted"),
    )
}

pub(super) fn expired(awaited: &[AwaitedGateway], now: Timestamp) -> Failure {
    let message = format!(
        "the deployment expired before {} of its gateways had finished their update: {}; start \
         another rollout for them",
        awaited.len(),
        AwaitedLine(awaited, now)
    );
    Failure::new(Exit::Failed, message)
}
