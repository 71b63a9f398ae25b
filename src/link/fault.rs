//! Why there is no connection, told apart by what its owner can do about it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rumqttc::v5::mqttbytes::Error as PacketError;
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode as Code, DisconnectReasonCode};
use rumqttc::v5::{ConnectionError, StateError, TlsError};

/// A connection that could not be made, or ended. None of these is final: the owner of the broker
/// may mend it, so the link goes on trying at growing intervals.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("{what} {path}: {reason}; check the path and the permissions")]
    File { what: &'static str, path: PathBuf, reason: String },
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
    #[error("the broker refuses the user or the password; check broker.credentials and its file")]
    BadPassword,
    #[error(
        "the broker does not authorize this client; check its access list and broker.client_id"
    )]
    NotAuthorized,
    #[error("the broker has banned this client; ask its operator")]
    Banned,
    #[error("the broker does not speak MQTT 5; use one that does (mosquitto 1.6 or newer)")]
    Version,
    #[error("the broker is not available or busy ({code}); it will be tried again")]
    Unavailable { code: String },
    #[error("the broker refuses the connection ({code}); look in its log")]
    Refused { code: String },
    #[error(
        "the broker closed the connection before it answered; does it want TLS, and MQTT 5 at all?"
    )]
    NoAnswer,
    #[error("the broker closed the connection")]
    Closed,
    #[error("another client took over the session; is broker.client_id used twice?")]
    TakenOver,
    #[error("the broker ended the connection ({reason})")]
    Ended { reason: String },
    #[error(
        "the broker sent {bytes} bytes in one packet, {limit} are allowed; raise broker.max_packet, \
         or find the sender"
    )]
    TooLarge { bytes: usize, limit: usize },
    #[error("the broker sent what is not MQTT 5 ({reason}); is broker.url the right port?")]
    Garbage { reason: String },
    #[error(
        "the broker sends more than it is asked for, {on_the_way} messages are on the way; it is \
         asked for one at a time until they are through (mosquitto before 2.0.13: update it)"
    )]
    Flooded { on_the_way: usize },
    #[error("the broker's flood is over: connecting again with the configured receive maximum")]
    FloodOver,
    #[error("nothing heard of the broker for {}s; the network may be cut", after.as_secs())]
    Silent { after: Duration },
    #[error("stopped as told")]
    Stopped,
}

/// The kinds of fault that are counted apart: `inferd` publishes one counter for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// Something on this machine: a file, a certificate.
    Local,
    /// No way there: DNS, routes, time.
    Network,
    /// The broker said no.
    Refused,
    /// The broker said what it must not.
    Protocol,
    /// The connection was there and is gone.
    Lost,
}

impl Fault {
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        match self {
            Self::File { .. } | Self::Trust { .. } => FaultKind::Local,
            Self::Resolve { .. } | Self::Unreachable { .. } | Self::Timeout { .. } => {
                FaultKind::Network
            }
            Self::Tls { .. }
            | Self::BadPassword
            | Self::NotAuthorized
            | Self::Banned
            | Self::Version
            | Self::Unavailable { .. }
            | Self::Refused { .. } => FaultKind::Refused,
            Self::TooLarge { .. } | Self::Garbage { .. } | Self::Flooded { .. } => {
                FaultKind::Protocol
            }
            Self::NoAnswer
            | Self::Closed
            | Self::TakenOver
            | Self::Ended { .. }
            | Self::FloodOver
            | Self::Silent { .. }
            | Self::Stopped => FaultKind::Lost,
        }
    }

    /// What rumqttc's error means. `connected`: the broker had accepted us before.
    pub(crate) fn of(error: ConnectionError, connected: bool, timeout: Duration) -> Self {
        match error {
            ConnectionError::Timeout(_) => Self::Timeout { after: timeout },
            ConnectionError::ConnectionRefused(code) => Self::of_code(code),
            ConnectionError::Io(error) => Self::of_io(&error, connected),
            ConnectionError::Tls(TlsError::Io(error)) => Self::of_io(&error, connected),
            ConnectionError::Tls(error) => Self::Tls { reason: error.to_string() },
            ConnectionError::MqttState(error) => Self::of_state(error, connected),
            ConnectionError::NotConnAck(packet) => {
                let what = format!("{packet:?}");
                let name = what.split(['(', ' ']).next().unwrap_or_default();
                Self::Garbage { reason: format!("{name} instead of CONNACK") }
            }
            ConnectionError::RequestsDone => Self::Stopped,
        }
    }

    fn of_state(error: StateError, connected: bool) -> Self {
        match error {
            StateError::Io(error) | StateError::Deserialization(PacketError::Io(error)) => {
                Self::of_io(&error, connected)
            }
            // rumqttc 0.25 takes a DISCONNECT without a reason for a packet without a payload.
            StateError::ConnectionAborted
            | StateError::Deserialization(PacketError::PayloadRequired) => Self::gone(connected),
            StateError::Deserialization(PacketError::PayloadSizeLimitExceeded {
                pkt_size,
                max,
            }) => Self::TooLarge { bytes: pkt_size, limit: usize::try_from(max).unwrap_or(0) },
            StateError::ServerDisconnect { reason_code, reason_string } => {
                Self::of_disconnect(reason_code, reason_string)
            }
            other => Self::Garbage { reason: other.to_string() },
        }
    }

    fn gone(connected: bool) -> Self {
        if connected { Self::Closed } else { Self::NoAnswer }
    }

    fn of_disconnect(code: DisconnectReasonCode, text: Option<String>) -> Self {
        match code {
            DisconnectReasonCode::SessionTakenOver => Self::TakenOver,
            DisconnectReasonCode::NotAuthorized => Self::NotAuthorized,
            code => {
                let text = text.map(|text| format!(": {text}")).unwrap_or_default();
                Self::Ended { reason: format!("{}{text}", words(&format!("{code:?}"))) }
            }
        }
    }

    fn of_code(code: Code) -> Self {
        let name = || words(&format!("{code:?}"));
        match code {
            Code::BadUserNamePassword | Code::BadAuthenticationMethod => Self::BadPassword,
            Code::NotAuthorized => Self::NotAuthorized,
            Code::Banned => Self::Banned,
            Code::RefusedProtocolVersion | Code::UnsupportedProtocolVersion => Self::Version,
            Code::ServiceUnavailable
            | Code::ServerUnavailable
            | Code::ServerBusy
            | Code::ConnectionRateExceeded => Self::Unavailable { code: name() },
            _ => Self::Refused { code: name() },
        }
    }

    fn of_io(error: &io::Error, connected: bool) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(tls) = inner {
            return Self::Tls { reason: tls_advice(tls) };
        }
        // The standard library gives resolver failures no kind of their own.
        let reason = error.to_string();
        if reason.starts_with("failed to lookup address") {
            return Self::Resolve { reason };
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Self::gone(connected),
            _ if reason == "bytes remaining on stream" => Self::gone(connected),
            _ if connected => Self::Ended { reason },
            _ => Self::Unreachable { reason },
        }
    }
}

fn tls_advice(error: &rustls::Error) -> String {
    use rustls::{AlertDescription as Alert, CertificateError as Bad, Error};
    let advice = match error {
        Error::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature) => {
            "broker.ca_file did not sign the broker's certificate"
        }
        Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
            "the host in broker.url is not one the certificate names"
        }
        Error::InvalidCertificate(
            Bad::Expired
            | Bad::ExpiredContext { .. }
            | Bad::NotValidYet
            | Bad::NotValidYetContext { .. },
        ) => "renew the certificate, or set this machine's clock",
        Error::AlertReceived(
            Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnknownCA
            | Alert::HandshakeFailure
            | Alert::CertificateUnknown
            | Alert::AccessDenied,
        ) => "the broker refuses this client's certificate; check broker.client_cert_file",
        Error::InvalidMessage(_) => {
            "the port does not speak TLS; is it mqtt:// instead of mqtts://?"
        }
        _ => "look in the broker's log",
    };
    format!("{error}; {advice}")
}

/// `ServerBusy` -> `server busy`.
fn words(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push(' ');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: Code) -> Fault {
        Fault::of(ConnectionError::ConnectionRefused(code), false, Duration::from_secs(5))
    }

    #[test]
    fn refusals_are_told_apart_by_what_to_do() {
        assert_eq!(refused(Code::BadUserNamePassword), Fault::BadPassword);
        assert_eq!(refused(Code::NotAuthorized), Fault::NotAuthorized);
        assert_eq!(refused(Code::Banned), Fault::Banned);
        assert_eq!(refused(Code::UnsupportedProtocolVersion), Fault::Version);
        assert_eq!(refused(Code::ServerBusy), Fault::Unavailable { code: "server busy".into() });
        assert_eq!(refused(Code::QuotaExceeded), Fault::Refused { code: "quota exceeded".into() });
    }

    #[test]
    fn a_closed_connection_before_the_answer_is_another_matter() {
        let aborted = || ConnectionError::MqttState(StateError::ConnectionAborted);
        assert_eq!(Fault::of(aborted(), false, Duration::ZERO), Fault::NoAnswer);
        assert_eq!(Fault::of(aborted(), true, Duration::ZERO), Fault::Closed);
    }

    #[test]
    fn what_tls_says_comes_with_advice() {
        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let error = io::Error::new(io::ErrorKind::InvalidData, unknown);
        let fault = Fault::of(ConnectionError::Io(error), false, Duration::ZERO);
        assert!(fault.to_string().contains("did not sign"), "{fault}");
        assert_eq!(fault.kind(), FaultKind::Refused);
    }
}
