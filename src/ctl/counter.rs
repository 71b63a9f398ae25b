//! The counter of a release, and the highest one in a fleet.

use std::str::FromStr;

use super::broker::{BrokerArgs, Session, block_on};
use super::fleet::retained::{RetainedFleet, read_fleet};
use super::fleet::view;
use crate::ids::ModelName;
use crate::terminal::Failure;
use crate::update::manifest::Blob;
use crate::update::{Deployment, Envelope, Manifest};

/// `--counter N`, or `--counter next`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counter {
    Number(u64),
    /// One above the highest counter of the model on the broker.
    Next,
}

impl FromStr for Counter {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text, text.parse()) {
            ("next", _) => Ok(Self::Next),
            (_, Ok(number)) if number > 0 => Ok(Self::Number(number)),
            _ => Err("neither a number above 0 nor `next`"),
        }
    }
}

impl Counter {
    /// The number; reads the broker for `next`.
    pub(super) fn number(self, broker: &BrokerArgs, model: &ModelName) -> Result<u64, Failure> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Next => Ok(block_on(highest(broker, model))?.saturating_add(1)),
        }
    }
}

/// The highest counter of the model among deployments and gateways' reports. Signatures are not
/// checked, and gateways that were never connected to this broker are not counted.
async fn highest(broker: &BrokerArgs, model: &ModelName) -> Result<u64, Failure> {
    let filters = view::filters(Some(model));
    let RetainedFleet { mut session, view, .. } = read_fleet(broker, filters).await?;
    let models = view.gateways.values().filter_map(|of| of.models.get(model.as_str()));
    let versions = models.flat_map(|of| [&of.active, &of.previous]).flatten();
    let mut highest = versions.filter_map(|version| version.counter).max().unwrap_or(0);
    for message in session.subscribe_retained(&broker.deploy_filters(model)).await? {
        let deployment = Envelope::read::<Deployment>(&message.payload);
        let Ok(deployment) = deployment.and_then(|envelope| envelope.unverified::<Deployment>())
        else {
            continue;
        };
        let manifest = fetch_blob(&mut session, broker, &deployment.manifest).await?;
        let manifest = Envelope::read::<Manifest>(&manifest);
        if let Ok(manifest) = manifest.and_then(|envelope| envelope.unverified::<Manifest>()) {
            highest = highest.max(manifest.counter);
        }
    }
    Ok(highest)
}

/// Fetches a blob from the broker; chunks that are missing are left out.
pub(super) async fn fetch_blob(
    session: &mut Session,
    broker: &BrokerArgs,
    blob: &Blob,
) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    for index in 0..blob.chunks.len() {
        let topic = broker.topic(&format!("blob/{}/{index}", blob.sha256));
        for message in session.read_retained(&[topic]).await? {
            bytes.extend_from_slice(&message.payload);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_a_number_or_the_next() {
        assert_eq!("next".parse(), Ok(Counter::Next));
        assert_eq!("7".parse(), Ok(Counter::Number(7)));
        for bad in ["", "0", "-1", "Next", "1.5", "99999999999999999999"] {
            assert!(bad.parse::<Counter>().is_err(), "{bad:?}");
        }
    }
}
