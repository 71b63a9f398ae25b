//! `inferd check --connect`: whether the broker takes this gateway, as it is configured.

use serde::Serialize;

use crate::config::Config;
use crate::config::problem::Problem;
use crate::daemon;
use crate::link::{self, BrokerCheck, Fault, FaultKind};

/// The broker, and what it granted.
#[derive(Debug, Serialize)]
pub(super) struct BrokerRow {
    pub(super) url: String,
    /// The client id of the trial; the daemon has `broker.client_id`.
    client_id: Option<String>,
    pub(super) connected: bool,
    subscriptions: Vec<String>,
}

/// What was found out about the broker.
#[derive(Debug)]
pub(super) struct Tried {
    pub(super) broker: BrokerRow,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
    /// There is no broker there, or it does not answer: that may be another matter tomorrow.
    pub(super) unavailable: bool,
}

/// Tries the broker.
pub(super) fn try_broker(config: &Config) -> std::io::Result<Tried> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome =
        runtime.block_on(link::check_broker(&config.broker, daemon::subscriptions(config)));
    // A name server that does not answer must not hold the command.
    runtime.shutdown_background();
    Ok(match outcome {
        Ok(probed) => answered(config, probed),
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

fn failed(config: &Config, fault: &Fault) -> Tried {
    let broker = row(config);
    let mut reason = format!("{}: {fault}", broker.url);
    if matches!(fault, Fault::NotAuthorized { .. } | Fault::Refused { code: 0x85, .. }) {
        reason += &format!(
            ". The check connects with a client id of its own, so that a running daemon keeps its \
             connection; a broker that allows only the client id {:?} refuses the check and not \
             the daemon",
            config.broker.client_id
        );
    }
    let unavailable = matches!(fault.kind(), FaultKind::Network | FaultKind::Lost)
        || matches!(fault, Fault::Unavailable { .. });
    let problems = vec![problem("broker", reason)];
    Tried { broker, problems, warnings: Vec::new(), unavailable }
}

fn answered(config: &Config, probed: BrokerCheck) -> Tried {
    let refused = probed.refused.iter().map(|what| {
        let path = match what.streams[..] {
            [] => "updates".to_owned(),
            [first, ..] => format!("stream[{first}].topic"),
        };
        problem(&path, daemon::not_granted(what, config))
    });
    let problems = refused.collect();
    let lowered = probed.lowered.iter().map(|what| format!("{}: {}", what.filter, what.reason));
    let warnings = probed.limits.iter().cloned().chain(lowered).collect();
    let broker = BrokerRow {
        client_id: Some(probed.client_id),
        connected: true,
        subscriptions: probed.granted,
        ..row(config)
    };
    Tried { broker, problems, warnings, unavailable: false }
}

fn problem(path: &str, reason: String) -> Problem {
    Problem { origin: None, path: path.to_owned(), value: None, reason, allowed: String::new() }
}

/// One line for a broker that took the connection.
pub(super) fn shown(broker: &BrokerRow) -> String {
    let BrokerRow { url, client_id, subscriptions, .. } = broker;
    let count = subscriptions.len();
    let s = if count == 1 { "" } else { "s" };
    let client_id = client_id.as_deref().unwrap_or_default();
    format!("{url}: connected as {client_id}, {count} subscription{s} granted\n")
}
