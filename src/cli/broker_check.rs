//! `inferd check --connect`: whether the broker accepts this gateway's connection and subscriptions.

use serde::Serialize;

use crate::config::Config;
use crate::config::problem::Problem;
use crate::daemon;
use crate::link::{self, BrokerCheck, Fault, FaultKind};

/// The broker and the subscriptions that it granted.
#[derive(Debug, Serialize)]
pub(super) struct BrokerRow {
    pub(super) url: String,
    /// The client id of the check; the daemon uses `broker.client_id`.
    client_id: Option<String>,
    pub(super) connected: bool,
    subscriptions: Vec<String>,
}

/// The result of checking the broker.
#[derive(Debug)]
pub(super) struct BrokerReport {
    pub(super) broker: BrokerRow,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
    /// The broker cannot be reached, which may be temporary.
    pub(super) unavailable: bool,
}

/// Connects to the broker and asks for every subscription.
pub(super) fn check_broker(config: &Config) -> std::io::Result<BrokerReport> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome =
        runtime.block_on(link::check_broker(&config.broker, daemon::subscriptions(config)));
    // An unresponsive name server must not block the command.
    runtime.shutdown_background();
    Ok(match outcome {
        Ok(checked) => answered(config, checked),
        Err(fault) => failed(config, &fault),
    })
}

fn row(config: &Config) -> BrokerRow {
    let broker = &config.broker;
    let scheme = if broker.tls.is_some() { "mqtts" } else { "mqtt" };
    let host =
        if broker.host.contains(':') { format!("[{}]", broker.host) } else { broker.host.clone() };
    BrokerRow {
        url: format!("{scheme}://{host}:{}", broker.port),
        client_id: None,
        connected: false,
        subscriptions: Vec::new(),
    }
}

fn failed(config: &Config, fault: &Fault) -> BrokerReport {
    let broker = row(config);
    let mut reason = format!("{}: {fault}", broker.url);
    if matches!(fault, Fault::NotAuthorized { .. } | Fault::Refused { code: 0x85, .. }) {
        reason += &format!(
            ". The check uses its own client id, so that a running daemon keeps its connection; a \
             broker that allows only the client id {:?} refuses the check but accepts the daemon",
            config.broker.client_id
        );
    }
    let unavailable = matches!(fault.kind(), FaultKind::Network | FaultKind::Lost)
        || matches!(fault, Fault::Unavailable { .. });
    let problems = vec![problem("broker", reason)];
    BrokerReport { broker, problems, warnings: Vec::new(), unavailable }
}

fn answered(config: &Config, checked: BrokerCheck) -> BrokerReport {
    let refused = checked.refused.iter().map(|what| {
        let path = match what.streams[..] {
            [] => "updates".to_owned(),
            [first, ..] => format!("stream[{first}].topic"),
        };
        problem(&path, daemon::not_granted(what, config))
    });
    let problems = refused.collect();
    let lowered = checked.lowered.iter().map(|what| format!("{}: {}", what.filter, what.reason));
    let warnings = checked.limits.iter().cloned().chain(lowered).collect();
    let broker = BrokerRow {
        client_id: Some(checked.client_id),
        connected: true,
        subscriptions: checked.granted,
        ..row(config)
    };
    BrokerReport { broker, problems, warnings, unavailable: false }
}

fn problem(path: &str, reason: String) -> Problem {
    Problem { origin: None, path: path.to_owned(), value: None, reason, allowed: String::new() }
}

/// One line for a broker that took the connection.
pub(super) fn render(broker: &BrokerRow) -> String {
    let BrokerRow { url, client_id, subscriptions, .. } = broker;
    let count = subscriptions.len();
    let s = if count == 1 { "" } else { "s" };
    let client_id = client_id.as_deref().unwrap_or_default();
    format!("{url}: connected as {client_id}, {count} subscription{s} granted\n")
}
