//! Why there is no connection, distinguished by what the operator can do about it.

pub(super) mod reason_codes;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

pub(super) use self::reason_codes::BrokerText;
use super::tls::advice;
use crate::config::{Broker, Password};

/// Why a connection could not be made, or ended. None of these is final: the link keeps trying at
/// growing intervals.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("{what} {path}: {reason}; check the path and the permissions")]
    File { what: &'static str, path: PathBuf, reason: String },
    /// A file or variable with a mistake; `reason` says what to do.
    #[error("{what}: {reason}")]
    Content { what: String, reason: String },
    #[error("{reason}; check broker.ca_file and the system's certificates")]
    Trust { reason: String },
    #[error("the broker's name does not resolve ({reason}); check broker.url and the DNS server")]
    Resolve { reason: String },
    #[error("the broker cannot be reached ({reason}); is it running, and is broker.url right?")]
    Unreachable { reason: String },
    #[error(
        "no connection within {}s; is broker.url right, and does a firewall drop the packets?",
        after.as_secs()
    )]
    Timeout { after: Duration },
    #[error("TLS: {reason}")]
    Tls { reason: String },
    #[error("the broker refuses the user name or the password{said}; {login}")]
    BadPassword { login: String, said: String },
    #[error(
        "the broker does not authorize this client{said}; {login}. Several brokers, mosquitto \
         among them, answer this to a wrong user name or password. Where both are right, check the \
         broker's access list and the client id {client_id:?}"
    )]
    NotAuthorized { login: String, client_id: String, said: String },
    #[error("the broker has banned this client{said}; ask the operator of the broker")]
    Banned { said: String },
    #[error(
        "the broker does not speak MQTT 5 ({reason}); use one that does (mosquitto 1.6 or newer, \
         EMQX, HiveMQ, VerneMQ, AWS IoT Core), or a mosquitto in between as a bridge"
    )]
    Version { reason: String },
    #[error("the broker is not available ({reason})")]
    Unavailable { reason: String },
    #[error("the broker refuses the connection: {reason}")]
    Refused { code: u8, reason: String },
    #[error(
        "the broker closed the connection before it answered; look in its log. It may want TLS \
         (mqtts://), allow no more clients, or not speak MQTT 5"
    )]
    NoAnswer,
    #[error("broker.url is not an MQTT port with{} TLS: {reason}", if *tls { "" } else { "out" })]
    OtherProtocol { tls: bool, reason: String },
    #[error("the broker closed the connection")]
    Closed,
    #[error(
        "the broker closed the connection three times in a row soon after it had accepted it. Is \
         the client id {client_id:?} used by another client? Give every client its own \
         broker.client_id. If it is not, the broker may close the connection at a subscription or \
         a publish that its access list forbids: look in its log"
    )]
    ClosedAgain { client_id: String },
    #[error(
        "another client connected with the client id {client_id:?} and took over the session; give \
         every client its own broker.client_id (it is gateway.id unless set)"
    )]
    TakenOver { client_id: String },
    #[error("the broker ended the connection: {reason}")]
    Ended { code: u8, reason: String },
    #[error("the connection broke ({reason})")]
    Broken { reason: String },
    #[error(
        "the broker sent {bytes} bytes in one packet, {limit} are allowed; raise \
         broker.max_packet, or find the sender"
    )]
    TooLarge { bytes: usize, limit: usize },
    #[error("the broker sent data that is not MQTT 5 ({reason}); is broker.url the right port?")]
    Garbage { reason: String },
    #[error("the broker breaks a rule of MQTT 5: {reason}; update or reconfigure the broker")]
    Forbidden { reason: String },
    #[error(
        "the broker exceeds the receive maximum, {on_the_way} messages are unacknowledged; it is \
         asked for one at a time until they are processed (mosquitto before 2.0.13: update it)"
    )]
    Flooded { on_the_way: usize },
    #[error("the broker's flood is over: connecting again with the configured receive maximum")]
    FloodOver,
    #[error("nothing received from the broker for {}s; the network may be down", after.as_secs())]
    Silent { after: Duration },
    #[error("shutdown requested")]
    Stopped,
}

/// The kinds of faults. Each has a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// Something on this machine: a file, a certificate.
    Local,
    /// The broker is not reachable: DNS, routes, timeouts.
    Network,
    /// The broker refused the connection.
    Refused,
    /// The broker violated the protocol.
    Protocol,
    /// An existing connection ended.
    Lost,
}

impl Fault {
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        match self {
            Self::File { .. } | Self::Content { .. } | Self::Trust { .. } => FaultKind::Local,
            Self::Resolve { .. } | Self::Unreachable { .. } | Self::Timeout { .. } => {
                FaultKind::Network
            }
            Self::Tls { .. }
            | Self::BadPassword { .. }
            | Self::NotAuthorized { .. }
            | Self::Banned { .. }
            | Self::Version { .. }
            | Self::Unavailable { .. }
            | Self::Refused { .. } => FaultKind::Refused,
            Self::TooLarge { .. }
            | Self::Garbage { .. }
            | Self::Forbidden { .. }
            | Self::OtherProtocol { .. }
            | Self::Flooded { .. } => FaultKind::Protocol,
            Self::NoAnswer
            | Self::Closed
            | Self::ClosedAgain { .. }
            | Self::TakenOver { .. }
            | Self::Ended { .. }
            | Self::Broken { .. }
            | Self::FloodOver
            | Self::Silent { .. }
            | Self::Stopped => FaultKind::Lost,
        }
    }

    /// The reason code of the broker's CONNACK or DISCONNECT, if there is one.
    pub(crate) fn code(&self) -> Option<u8> {
        match self {
            Self::Refused { code, .. } | Self::Ended { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// True if the broker closed the connection in order, and may have done so because of a publish.
    pub(crate) fn is_objection(&self) -> bool {
        // Not among them: shutting down, moved, too busy, quotas and rates, which do not depend on a
        // topic; and retain and QoS not supported, which the next connection does without.
        const OBJECTIONS: &[u8] = &[0x80, 0x82, 0x83, 0x87, 0x90, 0x95, 0x99];
        match self {
            Self::Closed => true,
            Self::Ended { code, .. } => OBJECTIONS.contains(code),
            _ => false,
        }
    }

    /// The broker's CONNACK refuses the connection.
    pub(super) fn of_refusal(code: u8, said: &BrokerText, broker: &Broker) -> Self {
        let client_id = broker.client_id.clone();
        match code {
            0x84 => Self::Version { reason: format!("it refuses version 5{said}") },
            0x86 | 0x8c => Self::BadPassword { login: login(broker), said: said.to_string() },
            0x87 => Self::NotAuthorized { login: login(broker), client_id, said: said.to_string() },
            0x8a => Self::Banned { said: said.to_string() },
            0x85 => {
                let reason =
                    format!("{} (client id {client_id:?})", reason_codes::sentence(code, said));
                Self::Refused { code, reason }
            }
            0x88 | 0x89 | 0x9f => Self::Unavailable { reason: reason_codes::sentence(code, said) },
            _ => Self::Refused { code, reason: reason_codes::sentence(code, said) },
        }
    }

    /// The broker sent DISCONNECT.
    pub(super) fn of_disconnect(code: u8, said: &BrokerText, broker: &Broker) -> Self {
        match code {
            0x8e => Self::TakenOver { client_id: broker.client_id.clone() },
            _ => Self::Ended { code, reason: reason_codes::sentence(code, said) },
        }
    }

    /// The broker closed the connection, which it had accepted before if `connected`.
    pub(super) fn closed(connected: bool) -> Self {
        if connected { Self::Closed } else { Self::NoAnswer }
    }

    /// An error of the socket. `connected`: the broker had accepted the connection before.
    pub(super) fn of_io(error: &io::Error, connected: bool) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(tls) = inner {
            return Self::Tls { reason: advice::of_error(tls) };
        }
        // The standard library has no error kind for resolver failures.
        let reason = error.to_string();
        if reason.starts_with("failed to lookup address") {
            return Self::Resolve { reason };
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Self::closed(connected),
            _ if reason == "bytes remaining on stream" => Self::closed(connected),
            _ if connected => Self::Broken { reason },
            _ => Self::Unreachable { reason },
        }
    }
}

/// The login that was sent, and where it is configured.
fn login(broker: &Broker) -> String {
    let certificate = broker.tls.as_ref().and_then(|tls| tls.client_cert_file.as_ref());
    let Some(login) = &broker.login else {
        return match certificate {
            None => "no user name and no password were sent; set [broker.credentials], or give \
                     inferctl --username"
                .to_owned(),
            Some(file) => format!(
                "no user name and no password were sent, only the certificate {}",
                file.display()
            ),
        };
    };
    let user = &login.username;
    match &login.password {
        Password::None => format!(
            "the user {user:?} was sent without a password; if the broker wants one, set \
             broker.credentials.password_file or password_env, or give inferctl --password-file"
        ),
        Password::Typed(_) => {
            format!("the user {user:?} was sent with the password that was typed; check both")
        }
        Password::File(path) => format!(
            "the user {user:?} was sent with the password from {} \
             (broker.credentials.password_file, --password-file of inferctl); check both",
            path.display()
        ),
        Password::Env(name) => format!(
            "the user {user:?} was sent with the password from the environment variable {name} \
             (broker.credentials.password_env); check both"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Login;

    fn broker(password: Option<Password>) -> Broker {
        let mut broker = Broker::of_tool("mqtt://localhost", "gw".into()).unwrap();
        broker.login = password.map(|password| Login { username: "u7".into(), password });
        broker
    }

    #[test]
    fn a_refused_login_says_what_was_sent_and_from_where() {
        let text = |password| {
            Fault::of_refusal(0x87, &BrokerText::default(), &broker(password)).to_string()
        };
        assert!(text(None).contains("no user name and no password were sent"), "{}", text(None));
        let file = text(Some(Password::File("/etc/inferd/pw".into())));
        assert!(file.contains("\"u7\"") && file.contains("/etc/inferd/pw"), "{file}");
        assert!(file.contains("wrong user name or password"), "{file}");
        let env = text(Some(Password::Env("MQTT_PASSWORD".into())));
        assert!(env.contains("variable MQTT_PASSWORD"), "{env}");
        let alone = text(Some(Password::None));
        assert!(alone.contains("without a password"), "{alone}");
    }
}
