//! MQTT 5 reason codes (2.4) in plain words, each with what to do about it.

use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, SubscribeReasonCode};

/// Code, words, advice.
const REASONS: &[(u8, &str, &str)] = &[
    (0x00, "normal disconnection", "look in the broker's log"),
    (0x04, "disconnect with will message", "look in the broker's log"),
    (0x80, "no reason given", "look in the broker's log"),
    (0x81, "malformed packet", "look in the broker's log; update the broker"),
    (0x82, "protocol error", "look in the broker's log; update the broker"),
    (0x83, "implementation specific error", "look in the broker's log"),
    (0x84, "unsupported protocol version", "use a broker that speaks MQTT 5"),
    (0x85, "client identifier not valid", "change broker.client_id to one that the broker allows"),
    (0x86, "bad user name or password", "check broker.credentials"),
    (0x87, "not authorized", "check the broker's access list"),
    (0x88, "server unavailable", "it is tried again"),
    (0x89, "server busy", "it is tried again"),
    (0x8a, "banned", "ask the operator of the broker"),
    (0x8b, "server shutting down", "it is tried again"),
    (
        0x8c,
        "bad authentication method",
        "inferd logs in by user name, password or certificate only",
    ),
    (0x8d, "keep alive timeout", "raise broker.keep_alive, or look for a slow network"),
    (0x8e, "session taken over", "give every client its own broker.client_id"),
    (0x8f, "topic filter invalid", "correct the stream's topic"),
    (0x90, "topic name invalid", "correct publish.topic, or allow it at the broker"),
    (0x93, "receive maximum exceeded", "lower broker.in_flight"),
    (0x94, "topic alias invalid", "update the broker: inferd uses no topic aliases"),
    (0x95, "packet too large", "raise the broker's limit, or lower broker.max_packet"),
    (0x96, "message rate too high", "raise the broker's limit, or publish less with publish.when"),
    (0x97, "quota exceeded", "raise the broker's quota"),
    (0x98, "administrative action", "ask the operator of the broker"),
    (0x99, "payload format invalid", "look in the broker's log for its payload rules"),
    (0x9a, "retain not supported", "enable retained messages at the broker"),
    (0x9b, "QoS not supported", "enable QoS 1 at the broker"),
    (0x9c, "use another server", "set broker.url to the server that the broker names"),
    (0x9d, "server moved", "set broker.url to the server that the broker names"),
    (0x9e, "shared subscriptions not supported", "remove $share/ from the stream's topic"),
    (0x9f, "connection rate exceeded", "it is tried again"),
    (0xa0, "maximum connect time", "it is tried again"),
    (0xa1, "subscription identifiers not supported", "look in the broker's log"),
    (0xa2, "wildcard subscriptions not supported", "use topics without captures and wildcards"),
];

/// The words for a reason code.
pub(super) fn words(code: u8) -> String {
    match find(code) {
        Some((_, words, _)) => (*words).to_owned(),
        None => format!("reason code {code:#04x}"),
    }
}

/// What to do about a reason code.
pub(super) fn advice(code: u8) -> &'static str {
    find(code).map_or("look in the broker's log", |(_, _, advice)| advice)
}

/// Words, what the broker itself said, and advice: `quota exceeded (the broker says: 5 of 5
/// connections); raise the broker's quota`.
pub(super) fn sentence(code: u8, said: &Said) -> String {
    format!("{}{said}; {}", words(code), advice(code))
}

fn find(code: u8) -> Option<&'static (u8, &'static str, &'static str)> {
    REASONS.iter().find(|(known, ..)| *known == code)
}

/// What a broker adds to a reason code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) reason: Option<String>,
    /// Another server to use.
    pub(super) server: Option<String>,
}

/// The longest text of a broker that is shown.
const SHOWN: usize = 200;

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(reason) = &self.reason {
            write!(f, " (the broker says: {})", shown(reason))?;
        }
        if let Some(server) = &self.server {
            write!(f, " (the broker names the server {})", shown(server))?;
        }
        Ok(())
    }
}

/// Text of a broker in one line without control characters.
fn shown(text: &str) -> String {
    let clean = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    clean.take(SHOWN).collect()
}

/// The code of a CONNACK. rumqttc has names only, some of them of MQTT 3.1.1.
pub(super) fn of_connack(code: ConnectReturnCode) -> u8 {
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

/// The code of one answer in a SUBACK; `None` where the subscription was granted.
pub(super) fn of_suback(code: SubscribeReasonCode) -> Option<u8> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_standard_has_words_and_advice() {
        for code in (0x80..=0x90).chain(0x93..=0xa2) {
            assert!(!words(code).starts_with("reason code"), "{code:#x}");
            assert!(!advice(code).is_empty(), "{code:#x}");
        }
        assert_eq!(words(0x9b), "QoS not supported");
        assert_eq!(words(0xf0), "reason code 0xf0");
    }

    #[test]
    fn what_the_broker_says_is_shown_in_one_clean_line() {
        let said = Said { reason: Some("5 of 5\n\u{1b}[31m".into()), server: None };
        let text = sentence(0x97, &said);
        assert_eq!(
            text,
            "quota exceeded (the broker says: 5 of 5  [31m); raise the broker's quota"
        );
        let said = Said { reason: None, server: Some("b2.example:8883".into()) };
        assert!(sentence(0x9d, &said).contains("the server b2.example:8883"), "{said}");
    }
}
