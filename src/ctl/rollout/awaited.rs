//! The gateways that keep a rollout open, with what is known of each.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::machine::Rollout;
use crate::clock::Timestamp;
use crate::ctl::fleet::view::{FleetView, age, join_some};
use crate::ids::GatewayId;

/// A gateway whose update has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct AwaitedGateway {
    pub(super) gateway: GatewayId,
    /// The state that the gateway or its last will reported: `online`, `offline`, `stopped`.
    pub(super) status: String,
    /// The state of this rollout's update there; `None` before it began.
    pub(super) update: Option<String>,
    /// Since when it is offline, or when it last published; `None` if it is online or unknown.
    pub(super) offline_since: Option<Timestamp>,
}

/// The gateways that the waves so far are for and whose update has not ended; offline ones first.
pub(super) fn awaited(
    rollout: &Rollout,
    fleet: &[GatewayId],
    view: &FleetView,
    model: &str,
) -> Vec<AwaitedGateway> {
    let of = |id: &GatewayId| {
        let gateway = view.gateways.get(id);
        let report = view.model(id, model);
        let report = report.filter(|r| r.deployment.as_ref() == Some(&rollout.plan().name));
        AwaitedGateway {
            gateway: id.clone(),
            status: gateway.map_or_else(String::new, |gateway| gateway.status.state.clone()),
            update: report.map(|report| report.state.clone()),
            offline_since: gateway.and_then(|gateway| gateway.offline_since()),
        }
    };
    let mut awaited: Vec<_> = rollout.awaited(fleet).map(of).collect();
    awaited.sort_by_key(AwaitedGateway::is_online);
    awaited
}

/// The gateways among them that have been offline for at least `span`.
pub(super) fn absent(
    awaited: &[AwaitedGateway],
    span: Duration,
    now: Timestamp,
) -> BTreeSet<GatewayId> {
    let is_absent = |of: &&AwaitedGateway| {
        !of.is_online() && of.offline_since.is_some_and(|since| now.since(since) >= span)
    };
    awaited.iter().filter(is_absent).map(|of| of.gateway.clone()).collect()
}

impl AwaitedGateway {
    pub(super) fn is_online(&self) -> bool {
        self.status == "online"
    }

    fn describe(&self, now: Timestamp) -> String {
        let (gateway, update) = (&self.gateway, self.update.as_deref());
        if self.is_online() {
            return format!("{gateway} ({})", update.unwrap_or("online, not started"));
        }
        let status = if self.status.is_empty() { "never seen online" } else { &self.status };
        match self.offline_since {
            Some(since) => {
                let seconds = now.since(since).as_secs();
                format!("{gateway} ({status} since {since}, {})", age(seconds))
            }
            None => format!("{gateway} ({status})"),
        }
    }
}

/// One line that names them.
pub(super) struct AwaitedLine<'a>(pub(super) &'a [AwaitedGateway], pub(super) Timestamp);

impl fmt::Display for AwaitedLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(awaited, now) = self;
        f.write_str(&join_some(awaited.iter().map(|of| of.describe(*now))))
    }
}
