//! Warnings about rollouts that would not detect a wrong model.

use crate::ctl::fleet::view::{FleetView, GatewayState, join_some};
use crate::ctl::upload::CheckedRelease;
use crate::ids::GatewayId;
use crate::update::Deployment;

/// One sentence for each way in which a model that is always wrong would be committed.
pub(super) fn warnings(
    deployment: &Deployment,
    checked: &CheckedRelease,
    view: &FleetView,
    fleet: &[GatewayId],
) -> Vec<String> {
    let mut warnings = Vec::new();
    if checked.has_golden_samples() {
        return warnings;
    }
    if deployment.shadow_runs == 0 {
        warnings.push(
            "the new model's predictions are not verified: the bundle has no golden samples \
             (`inferctl pack --golden-samples FILE`), and --shadow is 0"
                .to_owned(),
        );
        return warnings;
    }
    let is_silent = |id: &&GatewayId| view.gateways.get(*id).is_some_and(receives_nothing);
    let silent: Vec<_> = fleet.iter().filter(is_silent).collect();
    if !silent.is_empty() {
        warnings.push(format!(
            "no sample has been received since the start on {}: shadow and trial compare nothing \
             there",
            join_some(silent.iter().map(ToString::to_string))
        ));
    }
    warnings
}

/// By its last health message.
fn receives_nothing(gateway: &GatewayState) -> bool {
    let health = gateway.health.as_ref();
    let received = health.and_then(|health| health.pointer("/link/received"));
    received.and_then(serde_json::Value::as_u64) == Some(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_gateway_is_silent_where_its_health_says_so() {
        let with = |received| GatewayState {
            health: Some(json!({ "link": { "received": received } })),
            ..GatewayState::default()
        };
        assert!(receives_nothing(&with(0)));
        assert!(!receives_nothing(&with(1)));
        assert!(!receives_nothing(&GatewayState::default()), "it has reported no health yet");
    }
}
