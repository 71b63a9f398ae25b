//! MQTT 5 reason codes (2.4): their names, and what to do about each.

/// Wildcard subscriptions not supported.
pub(in crate::link) const NO_WILDCARDS: u8 = 0xa2;

/// Shared subscriptions not supported.
pub(in crate::link) const NOT_SHARED: u8 = 0x9e;

/// Code, name, advice.
const REASONS: &[(u8, &str, &str)] = &[
    (0x00, "normal disconnection", "look in the broker's log"),
    (0x04, "disconnect with will message", "look in the broker's log"),
    (0x80, "no reason given", "look in the broker's log"),
    (0x81, "malformed packet", "look in the broker's log; update the broker"),
    (0x82, "protocol error", "look in the broker's log; update the broker"),
    (0x83, "implementation specific error", "look in the broker's log"),
    (0x84, "unsupported protocol version", "use a broker with MQTT 5"),
    (0x85, "client identifier not valid", "change broker.client_id to one that the broker allows"),
    (0x86, "bad user name or password", "check broker.credentials"),
    (0x87, "not authorized", "check the broker's access list"),
    (0x88, "server unavailable", "the link retries"),
    (0x89, "server busy", "the link retries"),
    (0x8a, "banned", "ask the operator of the broker"),
    (0x8b, "server shutting down", "the link retries"),
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
    (0x9e, "shared subscriptions not supported", "remove share from the stream"),
    (0x9f, "connection rate exceeded", "the link retries"),
    (0xa0, "maximum connect time", "the link retries"),
    (0xa1, "subscription identifiers not supported", "look in the broker's log"),
    (0xa2, "wildcard subscriptions not supported", "use topics without captures and wildcards"),
];

/// The name of a reason code.
pub(in crate::link) fn name(code: u8) -> String {
    match find(code) {
        Some((_, name, _)) => (*name).to_owned(),
        None => format!("reason code {code:#04x}"),
    }
}

/// What to do about a reason code.
fn advice(code: u8) -> &'static str {
    find(code).map_or("look in the broker's log", |(_, _, advice)| advice)
}

/// The name, the broker's own text, and advice: `quota exceeded (broker: 5 of 5 connections); raise
/// the broker's quota`.
pub(super) fn sentence(code: u8, text: &BrokerText) -> String {
    format!("{}{text}; {}", name(code), advice(code))
}

fn find(code: u8) -> Option<&'static (u8, &'static str, &'static str)> {
    REASONS.iter().find(|(known, ..)| *known == code)
}

/// The text that a broker adds to a reason code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::link) struct BrokerText {
    pub(in crate::link) reason: Option<String>,
    /// Another server to use.
    pub(in crate::link) server: Option<String>,
}

/// The longest text of a broker that is logged, in characters.
const MAX_TEXT: usize = 200;

impl std::fmt::Display for BrokerText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(reason) = &self.reason {
            write!(f, " (broker: {})", sanitize(reason))?;
        }
        if let Some(server) = &self.server {
            write!(f, " (use the server {})", sanitize(server))?;
        }
        Ok(())
    }
}

/// The text in one line, without control characters.
fn sanitize(text: &str) -> String {
    let clean = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    clean.take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_standard_has_a_name_and_advice() {
        for code in (0x80..=0x90).chain(0x93..=0xa2) {
            assert!(!name(code).starts_with("reason code"), "{code:#x}");
            assert!(!advice(code).is_empty(), "{code:#x}");
        }
        assert_eq!(name(0x9b), "QoS not supported");
        assert_eq!(name(0xf0), "reason code 0xf0");
    }

    #[test]
    fn the_text_of_the_broker_is_logged_in_one_clean_line() {
        let text = BrokerText { reason: Some("5 of 5\n\u{1b}[31m".into()), server: None };
        let text = sentence(0x97, &text);
        assert_eq!(text, "quota exceeded (broker: 5 of 5  [31m); raise the broker's quota");
        let text = BrokerText { reason: None, server: Some("b2.example:8883".into()) };
        assert!(sentence(0x9d, &text).contains("the server b2.example:8883"), "{text}");
    }
}
