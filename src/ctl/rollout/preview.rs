//! `--dry-run` of the commands that publish deployments.

use std::path::PathBuf;

use super::list::survey;
use super::machine::{Action, Plan, Rollout};
use super::members::members;
use super::record::Record;
use super::request::{Loaded, RolloutRequest, sign};
use super::warnings::warnings;
use crate::ctl::broker::{BrokerArgs, Session, block_on};
use crate::ctl::dry_run::{PlannedMessages, Preview};
use crate::ctl::keyset_chain::{KeysetChain, numbered_keysets};
use crate::ctl::unlock::load_keys;
use crate::ctl::upload::{CheckedRelease, keysets_missing, missing};
use crate::ctl::wall_clock::now;
use crate::terminal::{Exit, Failure};
use crate::update::{Deployment, Source};

/// Waves that are still to be published.
#[derive(Debug)]
pub(super) struct Waves<'a> {
    pub(super) broker: &'a BrokerArgs,
    pub(super) terms: &'a Deployment,
    pub(super) plan: &'a Plan,
    pub(super) keysets: &'a [PathBuf],
    /// The number of waves that have been published.
    pub(super) published: usize,
}

/// Prints what a rollout of this release would publish, checked as far as the rollout itself is.
pub(in crate::ctl) fn preview(
    request: &RolloutRequest,
    checked: CheckedRelease,
) -> Result<(), Failure> {
    let trust = KeysetChain::load(&request.keysets)?.into_current();
    let keys = load_keys(&request.keys, &request.key_passwords)?;
    let loaded = Loaded { trust, checked, keys };
    let preview = block_on(async {
        let (view, fleet) = members(request).await?;
        let plan = request.plan(&loaded.checked.manifest.version, &fleet, now())?;
        let terms = request.deployment(&plan, &loaded.checked, now())?;
        for warning in warnings(&terms, &loaded.checked, &view, &fleet) {
            eprintln!("warning: {warning}");
        }
        let (broker, keysets) = (&request.broker, &request.keysets[..]);
        let waves = Waves { broker, terms: &terms, plan: &plan, keysets, published: 0 };
        preview_waves(&waves, &loaded).await
    })?;
    preview.print(request.json)
}

/// The messages that a controller would publish: missing chunks, keysets, and the waves.
pub(super) async fn preview_waves(of: &Waves<'_>, loaded: &Loaded) -> Result<Preview, Failure> {
    let Waves { broker, terms, plan, .. } = of;
    let bytes = sign(terms, &loaded.keys, &loaded.trust)?.len();
    let mut preview = Preview::default();
    let mut session = Session::open(broker).await?;
    if terms.sources.contains(&Source::Mqtt) {
        let (_, pieces) = missing(&mut session, broker, &loaded.checked, false).await?;
        loaded.checked.preview(broker, &pieces, &mut preview);
    }
    let keysets = numbered_keysets(of.keysets)?;
    for (topic, keyset) in keysets_missing(&mut session, broker, &keysets).await? {
        preview.add(PlannedMessages::one(&topic, keyset.len(), "keyset"));
    }
    let topic = broker.deploy_topic(&terms.target, &terms.model);
    let count = plan.waves.len();
    let left = (1..).zip(&plan.waves).skip(of.published);
    for (wave, percent) in left {
        let what = format!("deployment {}, wave {wave} of {count}: {percent} %", plan.name);
        preview.add(PlannedMessages::one(&topic, bytes, what));
    }
    preview.add(status_of(broker, terms, count - of.published.min(count)));
    Ok(preview)
}

/// Prints what a change of a rollout's state would publish.
pub(super) fn preview_change(
    broker: &BrokerArgs,
    record: &Record,
    loaded: &Loaded,
    json: bool,
    change: impl FnOnce(&mut Rollout, &mut Vec<Action>),
) -> Result<(), Failure> {
    let terms = &record.terms;
    let survey = block_on(survey(broker, Some(&loaded.trust)))?;
    let found = survey.named(&terms.deployment).map(|found| &found.deployment);
    let sent = record.sent.as_ref().filter(|sent| sent.taken);
    if sent.is_some_and(|sent| found.is_none_or(|found| found.seq > sent.seq && !found.hold)) {
        return Err(replaced(&record.topic));
    }
    let (mut rollout, mut actions) = (record.rollout.clone(), Vec::new());
    change(&mut rollout, &mut actions);
    let mut preview = Preview::default();
    for action in actions {
        let Action::Publish { percent, hold, .. } = action else { continue };
        let seq = survey.next_seq(&terms.model, now());
        let deployment = Deployment { seq, percent, hold, created: now(), ..terms.clone() };
        let bytes = sign(&deployment, &loaded.keys, &loaded.trust)?.len();
        let held = if hold { ", held back" } else { "" };
        let what = format!("deployment {}{held} ({})", terms.deployment, rollout.state);
        preview.add(PlannedMessages::one(&record.topic, bytes, what));
    }
    preview.add(status_of(broker, terms, 1));
    preview.print(json)
}

fn status_of(broker: &BrokerArgs, terms: &Deployment, messages: usize) -> PlannedMessages {
    PlannedMessages {
        topic: broker.rollout_topic(&terms.target, &terms.model),
        messages,
        bytes: 0,
        what: "state of the rollout, with each change".to_owned(),
    }
}

/// The failure for a rollout whose deployment is not the retained one any more.
pub(super) fn replaced(topic: &str) -> Failure {
    let message = format!(
        "{topic} no longer holds this rollout's deployment: it was withdrawn, replaced by another \
         rollout, resumed with another record file, or lost by the broker"
    );
    Failure::new(Exit::Failed, message)
}
