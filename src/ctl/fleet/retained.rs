//! Reading what a broker retains of a fleet.

use super::view::FleetView;
use crate::ctl::broker::{BrokerArgs, Session};
use crate::ctl::wall_clock::now;
use crate::link::ClientMessage;
use crate::terminal::Failure;

/// A connection, and what the broker retained when it was opened.
#[derive(Debug)]
pub(in crate::ctl) struct RetainedFleet {
    /// Still subscribed to the filters.
    pub(in crate::ctl) session: Session,
    pub(in crate::ctl) view: FleetView,
    /// All messages, including those that [`FleetView`] does not read.
    pub(in crate::ctl) messages: Vec<ClientMessage>,
}

/// Connects and reads what is retained under these filters, each of which is below the prefix.
///
/// # Errors
/// Those of [`Session::open`] and [`Session::subscribe_retained`].
pub(in crate::ctl) async fn read_fleet(
    broker: &BrokerArgs,
    filters: impl IntoIterator<Item = String>,
) -> Result<RetainedFleet, Failure> {
    let mut session = Session::open(broker).await?;
    let filters: Vec<_> = filters.into_iter().map(|rest| broker.topic(&rest)).collect();
    let messages = session.subscribe_retained(&filters).await?;
    let mut view = FleetView::default();
    for message in &messages {
        view.apply(broker.prefix(), message, now());
    }
    Ok(RetainedFleet { session, view, messages })
}
