//! What a controller and other operators learn of each other over the broker.

use super::Controller;
use crate::clock::Timestamp;
use crate::ctl::rollout::awaited::{Awaited, Line};
use crate::ctl::rollout::record::Record;
use crate::ctl::rollout::status::RolloutStatus;
use crate::ctl::rollout::{Action, Course};
use crate::terminal::{Exit, Failure};

impl Controller {
    /// What somebody else's hold means: an abort where they say so, else a pause.
    pub(super) async fn hold_elsewhere(
        &mut self,
        actions: &mut Vec<Action>,
    ) -> Result<(), Failure> {
        let terms = &self.held.record.terms;
        let topic = self.broker.rollout_topic(&terms.target, &terms.model);
        let found = self.session.look(&[topic]).await?;
        let status = found.iter().find_map(|message| RolloutStatus::read(&message.payload));
        let status = status.filter(|status| status.deployment == terms.deployment);
        let is_aborted = status.is_some_and(|status| status.course == Course::Aborted);
        let course = if is_aborted { Course::Aborted } else { Course::Paused };
        self.held.record.rollout.held_elsewhere(course, actions);
        Ok(())
    }

    /// Tells others how the rollout goes, where that has changed. A broker that cannot be reached
    /// hears of it with the next change, or from the next controller.
    pub(super) async fn inform(&mut self) -> Result<(), Failure> {
        let Record { terms, rollout, sent, .. } = &self.held.record;
        let status = RolloutStatus::of(terms, &self.loaded.checked.manifest.version, rollout);
        let is_told = self.status.as_ref() == Some(&status);
        let is_ours = sent.is_some() && rollout.course != Course::Replaced;
        if is_told || !is_ours || !self.session.is_connected() {
            return Ok(());
        }
        let topic = self.broker.rollout_topic(&terms.target, &terms.model);
        self.session.inform(&topic, status.bytes()).await?;
        self.status = Some(status);
        Ok(())
    }

    /// Waits until the broker has read all that was sent: it answers in order.
    pub(super) async fn flush(&mut self) -> Result<(), Failure> {
        if self.session.is_connected() {
            self.session.look(std::slice::from_ref(&self.held.record.topic)).await?;
        }
        Ok(())
    }
}

/// There is nothing to hold back any more.
pub(in crate::ctl::rollout) fn over(name: &str, course: &str) -> Failure {
    Failure::new(
        Exit::Failed,
        format!("the rollout {name} has ended ({course}): there is nothing to pause or abort"),
    )
}

pub(super) fn expired(awaited: &[Awaited], now: Timestamp) -> Failure {
    let message = format!(
        "the deployment has expired before {} of its gateways had ended their update: {}; start \
         another rollout for them",
        awaited.len(),
        Line(awaited, now)
    );
    Failure::new(Exit::Failed, message)
}
