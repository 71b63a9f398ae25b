//! Errors and reason codes of rumqttc as faults of the link.

use rumqttc::v5::mqttbytes::Error as PacketError;
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, PubAckReason, SubscribeReasonCode};
use rumqttc::v5::{ConnectionError, StateError, TlsError};

use crate::config::Broker;
use crate::link::Fault;
use crate::link::fault::BrokerText;
use crate::outbox::Refusal;

/// What an error means. `connected`: the broker had accepted the connection before.
pub(super) fn fault(error: ConnectionError, connected: bool, broker: &Broker) -> Fault {
    match error {
        ConnectionError::Timeout(_) => Fault::Timeout { after: broker.connect_timeout },
        ConnectionError::ConnectionRefused(code) => {
            Fault::of_refusal(connack_code(code), &BrokerText::default(), broker)
        }
        ConnectionError::Io(error) => Fault::of_io(&error, connected),
        ConnectionError::Tls(TlsError::Io(error)) => Fault::of_io(&error, connected),
        ConnectionError::Tls(error) => Fault::Tls { reason: error.to_string() },
        ConnectionError::MqttState(error) => of_state(error, connected, broker),
        ConnectionError::NotConnAck(packet) => {
            let reason = format!("{} instead of CONNACK", packet_name(&packet));
            Fault::Garbage { reason }
        }
        ConnectionError::RequestsDone => Fault::Stopped,
    }
}

fn of_state(error: StateError, connected: bool, broker: &Broker) -> Fault {
    match error {
        StateError::Io(error) | StateError::Deserialization(PacketError::Io(error)) => {
            Fault::of_io(&error, connected)
        }
        // rumqttc 0.25 takes a DISCONNECT without a reason for a packet without a payload.
        StateError::ConnectionAborted
        | StateError::Deserialization(PacketError::PayloadRequired) => Fault::closed(connected),
        StateError::Deserialization(PacketError::PayloadSizeLimitExceeded { pkt_size, max }) => {
            Fault::TooLarge { bytes: pkt_size, limit: usize::try_from(max).unwrap_or(0) }
        }
        StateError::ServerDisconnect { reason_code, reason_string } => {
            let text = BrokerText { reason: reason_string, server: None };
            Fault::of_disconnect(reason_code as u8, &text, broker)
        }
        other => Fault::Garbage { reason: other.to_string() },
    }
}

/// The name of a packet's type, from its debug format.
pub(super) fn packet_name(packet: &impl std::fmt::Debug) -> String {
    let text = format!("{packet:?}");
    text.split(['(', ' ']).next().unwrap_or_default().to_owned()
}

/// The code of a CONNACK. rumqttc has names only, some of them of MQTT 3.1.1.
pub(super) fn connack_code(code: ConnectReturnCode) -> u8 {
    use ConnectReturnCode as Code;
    match code {
        Code::Success => 0x00,
        Code::UnspecifiedError => 0x80,
        Code::MalformedPacket => 0x81,
        Code::ProtocolError => 0x82,
        Code::ImplementationSpecificError => 0x83,
        Code::RefusedProtocolVersion | Code::UnsupportedProtocolVersion => 0x84,
        Code::BadClientId | Code::ClientIdentifierNotValid => 0x85,
        Code::BadUserNamePassword => 0x86,
        Code::NotAuthorized => 0x87,
        Code::ServiceUnavailable | Code::ServerUnavailable => 0x88,
        Code::ServerBusy => 0x89,
        Code::Banned => 0x8a,
        Code::BadAuthenticationMethod => 0x8c,
        Code::TopicNameInvalid => 0x90,
        Code::PacketTooLarge => 0x95,
        Code::QuotaExceeded => 0x97,
        Code::PayloadFormatInvalid => 0x99,
        Code::RetainNotSupported => 0x9a,
        Code::QoSNotSupported => 0x9b,
        Code::UseAnotherServer => 0x9c,
        Code::ServerMoved => 0x9d,
        Code::ConnectionRateExceeded => 0x9f,
    }
}

/// The code of one reply in a SUBACK; `None` for a granted subscription.
pub(super) fn suback_code(code: SubscribeReasonCode) -> Option<u8> {
    use SubscribeReasonCode as Code;
    Some(match code {
        Code::Success(_) => return None,
        Code::Failure | Code::Unspecified | Code::PkidInUse => 0x80,
        Code::ImplementationSpecific => 0x83,
        Code::NotAuthorized => 0x87,
        Code::TopicFilterInvalid => 0x8f,
        Code::QuotaExceeded => 0x97,
        Code::SharedSubscriptionsNotSupported => 0x9e,
        Code::SubscriptionIdNotSupported => 0xa1,
        Code::WildcardSubscriptionsNotSupported => 0xa2,
    })
}

/// Why a PUBACK refuses a message; `None` if it accepts it.
pub(super) fn puback_refusal(reason: PubAckReason) -> Option<Refusal> {
    Some(match reason {
        PubAckReason::Success | PubAckReason::NoMatchingSubscribers => return None,
        PubAckReason::NotAuthorized => Refusal::NotAuthorized,
        PubAckReason::QuotaExceeded => Refusal::QuotaExceeded,
        PubAckReason::PayloadFormatInvalid => Refusal::PayloadInvalid,
        PubAckReason::TopicNameInvalid => Refusal::TopicInvalid,
        PubAckReason::UnspecifiedError
        | PubAckReason::ImplementationSpecificError
        | PubAckReason::PacketIdentifierInUse => Refusal::Unspecified,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Broker;

    fn broker() -> Broker {
        Broker::of_tool("mqtt://localhost", "gw".into()).unwrap()
    }

    fn refused(code: ConnectReturnCode) -> Fault {
        fault(ConnectionError::ConnectionRefused(code), false, &broker())
    }

    #[test]
    fn each_refusal_has_a_fault_of_its_own() {
        use ConnectReturnCode as Code;
        assert!(matches!(refused(Code::BadUserNamePassword), Fault::BadPassword { .. }));
        assert!(matches!(refused(Code::NotAuthorized), Fault::NotAuthorized { .. }));
        assert!(matches!(refused(Code::Banned), Fault::Banned { .. }));
        assert!(matches!(refused(Code::UnsupportedProtocolVersion), Fault::Version { .. }));
        assert!(matches!(refused(Code::ServerBusy), Fault::Unavailable { .. }));
        assert!(matches!(refused(Code::QuotaExceeded), Fault::Refused { code: 0x97, .. }));
        let text = refused(Code::ClientIdentifierNotValid).to_string();
        assert!(text.contains("client_id") && text.contains("\"gw\""), "{text}");
    }

    #[test]
    fn a_close_before_the_connack_is_another_fault() {
        let aborted = || ConnectionError::MqttState(StateError::ConnectionAborted);
        assert_eq!(fault(aborted(), false, &broker()), Fault::NoAnswer);
        assert_eq!(fault(aborted(), true, &broker()), Fault::Closed);
    }
}
