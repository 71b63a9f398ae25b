//! `--dry-run` of a rollout.

use super::Order;
use super::members::members;
use super::order::{now, sign};
use super::warnings::warnings;
use crate::ctl::broker::{Session, block_on};
use crate::ctl::chain::{Chain, numbered_keysets};
use crate::ctl::preview::{Planned, Preview};
use crate::ctl::unlock::load_keys;
use crate::ctl::upload::{Checked, keysets_missing, missing};
use crate::terminal::Failure;
use crate::update::Source;

/// Prints what a rollout of this release would publish, checked as far as the rollout itself is.
pub(in crate::ctl) fn preview(order: &Order, checked: &Checked) -> Result<(), Failure> {
    let chain = Chain::load(&order.keysets)?;
    let keys = load_keys(&order.keys, &order.key_passwords)?;
    let preview = block_on(async {
        let (view, fleet) = members(order).await?;
        let plan = order.plan(&checked.manifest.version, &fleet, now())?;
        let terms = order.deployment(&plan, checked, now())?;
        let bytes = sign(&terms, &keys, chain.current())?.len();
        for warning in warnings(&terms, checked, &view, &fleet) {
            eprintln!("warning: {warning}");
        }
        let mut preview = Preview::default();
        let mut session = Session::open(&order.broker).await?;
        if terms.sources.contains(&Source::Mqtt) {
            let (_, pieces) = missing(&mut session, &order.broker, checked, false).await?;
            checked.preview(&order.broker, &pieces, &mut preview);
        }
        let keysets = numbered_keysets(&order.keysets)?;
        let keysets = keysets_missing(&mut session, &order.broker, &keysets).await?;
        keysets.iter().for_each(|(topic, keyset)| {
            preview.add(Planned::one(topic, keyset.len(), "keyset"));
        });
        let topic = order.broker.deploy_topic(&order.target, &order.model);
        for (wave, percent) in (1..).zip(&plan.waves) {
            let waves = plan.waves.len();
            let what = format!("deployment {}, wave {wave} of {waves}: {percent} %", plan.name);
            preview.add(Planned::one(&topic, bytes, what));
        }
        preview.add(Planned {
            topic: order.broker.rollout_topic(&order.target, &order.model),
            messages: plan.waves.len(),
            bytes: 0,
            what: "state of the rollout, with each change".to_owned(),
        });
        Ok(preview)
    })?;
    preview.print(order.json)
}
