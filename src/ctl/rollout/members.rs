//! The gateways that a rollout is for.

use super::request::RolloutRequest;
use crate::ctl::fleet::retained::read_fleet;
use crate::ctl::fleet::view::{self, FleetView};
use crate::ids::GatewayId;
use crate::terminal::{Exit, Failure};

/// The gateways that the rollout is for, and what is known of them.
pub(super) async fn members(
    request: &RolloutRequest,
) -> Result<(FleetView, Vec<GatewayId>), Failure> {
    let filters = view::filters(Some(&request.model)).into_iter().chain(["+/health".to_owned()]);
    let view = read_fleet(&request.broker, filters).await?.view;
    let fleet = view.members(&request.target);
    if fleet.is_empty() {
        let message = "no gateway of this group or id has reported to this broker; `inferctl \
                       fleet` lists those that have";
        return Err(Failure::new(Exit::Failed, message));
    }
    Ok((view, fleet))
}
