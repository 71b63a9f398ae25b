//! The state of a fleet, from its retained messages. Unknown and missing fields are accepted: gateways
//! may be newer or older than this tool.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Timestamp;
use crate::ids::{GatewayId, ModelName};
use crate::link::ClientMessage;
use crate::update::Target;
use crate::update::machine::{Reason, State};

/// A bound on memory: other clients can publish under any gateway id.
const MAX_GATEWAYS: usize = 200_000;

/// The gateways that have reported to the broker.
#[derive(Debug, Default)]
pub(in crate::ctl) struct FleetView {
    pub(in crate::ctl) gateways: BTreeMap<GatewayId, GatewayState>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(in crate::ctl) struct GatewayState {
    pub(in crate::ctl) status: GatewayStatus,
    pub(in crate::ctl) models: BTreeMap<String, ModelStatus>,
    pub(in crate::ctl) health: Option<Value>,
    /// When it last published something.
    pub(in crate::ctl) seen: Option<Timestamp>,
    /// When it was seen to go offline or to stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::ctl) left: Option<Timestamp>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::ctl) struct GatewayStatus {
    pub(in crate::ctl) state: String,
    pub(in crate::ctl) version: String,
    pub(in crate::ctl) since: Option<String>,
    pub(in crate::ctl) groups: Vec<String>,
}

/// A gateway's report of one model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::ctl) struct ModelStatus {
    pub(in crate::ctl) state: String,
    pub(in crate::ctl) active: Option<VersionInfo>,
    pub(in crate::ctl) previous: Option<VersionInfo>,
    pub(in crate::ctl) progress: Option<f64>,
    pub(in crate::ctl) reason: Option<String>,
    pub(in crate::ctl) deployment: Option<String>,
    pub(in crate::ctl) since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::ctl) shadow: Option<ShadowCounts>,
}

/// The comparison of a candidate with the active model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::ctl) struct ShadowCounts {
    pub(in crate::ctl) runs: u64,
    pub(in crate::ctl) agreed: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::ctl) struct VersionInfo {
    pub(in crate::ctl) version: String,
    pub(in crate::ctl) digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::ctl) counter: Option<u64>,
}

impl GatewayState {
    pub(in crate::ctl) fn is_online(&self) -> bool {
        self.status.state == "online"
    }

    /// The number of the keyset that it uses for a model, from its health report.
    pub(in crate::ctl) fn keyset(&self, model: &str) -> Option<u64> {
        let updates = self.health.as_ref()?.get("updates")?;
        updates.get(model)?.get("keyset")?.as_u64()
    }

    /// Since when it is not online, or when it last published if that is not known.
    pub(in crate::ctl) fn offline_since(&self) -> Option<Timestamp> {
        if self.is_online() { None } else { self.left.or(self.seen) }
    }
}

/// The most names in one line; the others are counted.
const MAX_NAMED: usize = 8;

/// The first of these in a line, and how many more there are.
pub(in crate::ctl) fn join_some(names: impl ExactSizeIterator<Item = String>) -> String {
    let more = names.len().saturating_sub(MAX_NAMED);
    let text = names.take(MAX_NAMED).collect::<Vec<_>>().join(", ");
    if more == 0 { text } else { format!("{text} and {more} more") }
}

/// A duration with a unit.
pub(in crate::ctl) fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

impl ModelStatus {
    /// The state of the update, if it is known.
    pub(in crate::ctl) fn update(&self) -> Option<State> {
        serde_json::from_value(Value::String(self.state.clone())).ok()
    }

    /// An explanation of the reason, if it is known.
    pub(in crate::ctl) fn explanation(&self) -> Option<&'static str> {
        let reason = serde_json::from_value::<Reason>(Value::String(self.reason.clone()?));
        reason.ok().map(Reason::explanation)
    }
}

/// The part of the view that a message changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ctl) enum FleetChange {
    Status(GatewayId),
    Health(GatewayId),
    Model(GatewayId, String),
}

/// Topic filters for a fleet's messages, below the prefix; with `model`, of one model only.
pub(in crate::ctl) fn filters(model: Option<&ModelName>) -> [String; 2] {
    let model = model.map_or("+", ModelName::as_str);
    ["+/status".to_owned(), format!("+/model/{model}")]
}

impl FleetView {
    /// Applies a message of any topic; `None` if it is not a gateway's report.
    pub(in crate::ctl) fn apply(
        &mut self,
        prefix: &str,
        message: &ClientMessage,
        now: Timestamp,
    ) -> Option<FleetChange> {
        let rest = message.topic.strip_prefix(prefix)?.strip_prefix('/')?;
        let mut levels = rest.split('/');
        let (id, kind, name) = (levels.next()?, levels.next()?, levels.next());
        let id = GatewayId::parse(id).ok()?;
        if levels.next().is_some()
            || (self.gateways.len() >= MAX_GATEWAYS && !self.gateways.contains_key(&id))
        {
            return None;
        }
        let payload = &message.payload;
        let (change, said) = match (kind, name) {
            ("status", None) => {
                let status: GatewayStatus = serde_json::from_slice(payload).ok()?;
                let said = status.since.clone();
                self.gateways.entry(id.clone()).or_default().status = status;
                (FleetChange::Status(id.clone()), said)
            }
            ("health", None) => {
                let health: Value = serde_json::from_slice(payload).ok()?;
                let said = health.get("time").and_then(Value::as_str).map(str::to_owned);
                self.gateways.entry(id.clone()).or_default().health = Some(health);
                (FleetChange::Health(id.clone()), said)
            }
            ("model", Some(name)) => {
                let model: ModelStatus = serde_json::from_slice(payload).ok()?;
                let said = model.since.clone();
                let models = &mut self.gateways.entry(id.clone()).or_default().models;
                models.insert(name.to_owned(), model);
                (FleetChange::Model(id.clone(), name.to_owned()), said)
            }
            _ => return None,
        };
        // A retained message is as old as its time; a new one is current. The will that the broker
        // publishes for a dead gateway does not count as seeing it.
        let offline = matches!(&change, FleetChange::Status(id)
            if self.gateways.get(id).is_some_and(|gateway| gateway.status.state == "offline"));
        let said = said.and_then(|text| Timestamp::parse(&text));
        let moment = if message.retain || offline { said } else { Some(now) };
        let gateway = self.gateways.get_mut(&id)?;
        gateway.seen = gateway.seen.max(moment);
        if matches!(&change, FleetChange::Status(_)) {
            gateway.left = match (gateway.is_online(), message.retain) {
                (true, _) => None,
                (false, true) => gateway.left,
                (false, false) => Some(gateway.left.unwrap_or(now)),
            };
        }
        Some(change)
    }

    /// The known gateways that a deployment for this target is for.
    pub(in crate::ctl) fn members(&self, target: &Target) -> Vec<GatewayId> {
        let member = |(id, gateway): (&GatewayId, &GatewayState)| match target {
            Target::Group(group) => gateway.status.groups.contains(group),
            Target::Gateway(wanted) => id == wanted,
        };
        let of = self.gateways.iter().filter(|entry| member((entry.0, entry.1)));
        of.map(|(id, _)| id.clone()).collect()
    }

    /// What a gateway last reported of a model.
    pub(in crate::ctl) fn model(&self, id: &GatewayId, name: &str) -> Option<&ModelStatus> {
        self.gateways.get(id)?.models.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

    fn message(topic: &str, payload: &str, retain: bool) -> ClientMessage {
        ClientMessage { topic: topic.into(), payload: payload.to_owned().into(), retain }
    }

    #[test]
    fn reports_are_read_whoever_wrote_them_and_nothing_else_is() {
        let mut view = FleetView::default();
        let mut apply = |topic: &str, payload: &str| {
            view.apply("inferd/v1", &message(topic, payload, true), NOW)
        };
        let status = r#"{"state":"online","groups":["a"],"since":"2026-01-01T00:00:00Z","new":1}"#;
        assert!(apply("inferd/v1/gw-1/status", status).is_some());
        let idle =
            r#"{"v":1,"state":"idle","active":{"version":"1.0.0","digest":"00"},"previous":null}"#;
        assert!(apply("inferd/v1/gw-1/model/motion", idle).is_some());
        let trial = r#"{"state":"rolled-back","reason":"slow","deployment":"r","progress":0.5}"#;
        assert!(apply("inferd/v1/gw-2/model/motion", trial).is_some());
        for (topic, payload) in [
            ("inferd/v1/gw-1/status", "not JSON"),
            ("inferd/v1/gw-1/status", ""),
            ("inferd/v1/deploy/group/a/motion", "{}"),
            ("inferd/v1/blob/00/1", "{}"),
            ("other/gw-1/status", status),
            ("inferd/v1/+/status", status),
        ] {
            assert_eq!(apply(topic, payload), None, "{topic} {payload}");
        }
        let first = GatewayId::parse("gw-1").unwrap();
        assert_eq!(view.members(&Target::Group("a".into())), std::slice::from_ref(&first));
        assert_eq!(view.model(&first, "motion").unwrap().update(), None);
        let second = view.model(&GatewayId::parse("gw-2").unwrap(), "motion").unwrap();
        assert_eq!(second.update(), Some(State::RolledBack));
        assert_eq!(second.reason.as_deref(), Some("slow"));
    }

    #[test]
    fn a_gateway_was_seen_when_it_last_spoke_and_not_when_the_broker_spoke_for_it() {
        let mut view = FleetView::default();
        let since = "2026-01-01T00:00:00.000Z";
        let say = |state: &str| format!(r#"{{"state":"{state}","since":"{since}"}}"#);
        let id = GatewayId::parse("gw-1").unwrap();
        let topic = "inferd/v1/gw-1/status";
        view.apply("inferd/v1", &message(topic, &say("online"), true), NOW);
        view.apply("inferd/v1", &message(topic, &say("offline"), false), NOW);
        assert_eq!(view.gateways[&id].seen, Timestamp::parse(since));
        view.apply("inferd/v1", &message(topic, &say("online"), false), NOW);
        assert_eq!(view.gateways[&id].seen, Some(NOW));
    }
}
