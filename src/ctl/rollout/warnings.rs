//! What nothing in a rollout would catch.

use crate::ctl::fleet::view::{Gateway, View};
use crate::ctl::upload::Checked;
use crate::ids::GatewayId;
use crate::update::Deployment;

/// Names in one line of text; the others are counted.
const MAX_NAMED: usize = 8;

/// One sentence for each way in which a model that is always wrong would be committed.
pub(super) fn warnings(
    deployment: &Deployment,
    checked: &Checked,
    view: &View,
    fleet: &[GatewayId],
) -> Vec<String> {
    let mut warnings = Vec::new();
    if checked.has_golden_samples() {
        return warnings;
    }
    if deployment.shadow_runs == 0 {
        warnings.push(
            "nothing compares the new model's predictions with known ones: the bundle has no golden \
             samples (`inferctl pack --golden-samples FILE`), and --shadow is 0"
                .to_owned(),
        );
        return warnings;
    }
    let is_silent = |id: &&GatewayId| view.gateways.get(*id).is_some_and(receives_nothing);
    let silent: Vec<_> = fleet.iter().filter(is_silent).map(GatewayId::as_str).collect();
    if let Some((named, more)) = silent.split_at_checked(MAX_NAMED.min(silent.len()))
        && !named.is_empty()
    {
        let more =
            if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        warnings.push(format!(
            "no sample has come since the start on {}{more}: the shadow and the trial compare nothing there",
            named.join(", ")
        ));
    }
    warnings
}

/// By its last health message.
fn receives_nothing(gateway: &Gateway) -> bool {
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
        let with = |received| Gateway {
            health: Some(json!({ "link": { "received": received } })),
            ..Gateway::default()
        };
        assert!(receives_nothing(&with(0)));
        assert!(!receives_nothing(&with(1)));
        assert!(!receives_nothing(&Gateway::default()), "it has reported no health yet");
    }
}
