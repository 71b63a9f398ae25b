//! The gateways that a rollout is for.

use super::Order;
use super::order::now;
use crate::ctl::broker::Session;
use crate::ctl::fleet::view::{self, View};
use crate::ids::GatewayId;
use crate::terminal::{Exit, Failure};

/// The gateways that the rollout is for, and what is known of them.
pub(super) async fn members(order: &Order) -> Result<(View, Vec<GatewayId>), Failure> {
    let view = survey(order).await?;
    let fleet = view.members(&order.target);
    if fleet.is_empty() {
        let message = "no gateway of this group or name has ever reported to this broker; \
                       `inferctl fleet` shows those that have";
        return Err(Failure::new(Exit::Failed, message));
    }
    Ok((view, fleet))
}

/// What the gateways that run the model have retained.
async fn survey(order: &Order) -> Result<View, Failure> {
    let mut session = Session::open(&order.broker).await?;
    let mut view = View::default();
    let filters = view::filters(Some(&order.model)).into_iter().chain(["+/health".to_owned()]);
    let filters: Vec<_> = filters.map(|rest| order.broker.topic(&rest)).collect();
    let prefix = order.broker.topic("");
    for message in session.retained(&filters).await? {
        view.hear(prefix.trim_end_matches('/'), &message, now());
    }
    Ok(view)
}
