//! Which features of the connected broker are used, and what does not work without the others.

use std::time::Duration;

use super::protocol::Capabilities;

/// The features in use on one connection.
#[expect(clippy::struct_excessive_bools, reason = "each is a feature of the broker")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Features {
    /// Publishes are retained.
    pub(super) retain: bool,
    /// Publishes and subscriptions have QoS 1.
    pub(super) qos1: bool,
    /// Filters have `+` and `#`.
    pub(super) wildcards: bool,
    /// Several clients share a subscription.
    pub(super) shared: bool,
}

/// Features that a broker refused although its CONNACK did not exclude them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DeniedFeatures {
    pub(super) retain: bool,
    pub(super) qos1: bool,
}

impl DeniedFeatures {
    /// Records the reason code of a refused CONNECT or of a DISCONNECT. True if the next attempt is
    /// different because of it.
    pub(super) fn record(&mut self, code: u8) -> bool {
        let before = *self;
        match code {
            0x9a => self.retain = true,
            0x9b => self.qos1 = true,
            _ => {}
        }
        *self != before
    }

    /// Forgets the denial of what the broker offers explicitly.
    pub(super) fn forget_offered(&mut self, offered: &Capabilities) {
        self.retain &= offered.retain != Some(true);
        self.qos1 &= offered.qos1 != Some(true);
    }
}

impl Features {
    pub(super) fn new(offered: &Capabilities, denied: DeniedFeatures) -> Self {
        Self {
            retain: offered.retain != Some(false) && !denied.retain,
            qos1: offered.qos1 != Some(false) && !denied.qos1,
            wildcards: offered.wildcards,
            shared: offered.shared,
        }
    }
}

/// What does not work with this broker, one sentence for each missing feature. `session_expiry`: how
/// long it should keep the session.
pub(super) fn limitations(
    features: Features,
    offered: &Capabilities,
    session_expiry: Duration,
) -> Vec<String> {
    let absent = [
        (
            !features.retain,
            "the broker keeps no retained messages (retain available: 0): status, health and model \
             state reach only clients that are connected when they are published, and predictions \
             with publish.retain are not kept; enable retained messages at the broker",
        ),
        (
            !features.qos1,
            "the broker supports QoS 0 only (maximum QoS: 0): inputs and predictions are lost when \
             a connection breaks, whatever the streams' guarantee; enable QoS 1 at the broker",
        ),
        (
            !features.wildcards,
            "the broker has no wildcard subscriptions: topics with captures or wildcards are not \
             subscribed; use topics without them, or another broker",
        ),
        (
            !offered.retain_handling,
            "the broker sends retained messages at every subscription: streams that ignore \
             retained messages receive and discard them after each reconnect",
        ),
        (
            !offered.reason_codes,
            "the broker gives no reasons: a publish that it refuses counts as published, or ends \
             the connection; check the broker's access list and its log",
        ),
        (
            !offered.properties,
            "the broker supports no message properties: predictions have no content type and no \
             user properties, and requests with a response topic are not answered",
        ),
    ];
    let absent = absent.into_iter().filter(|(is_absent, _)| *is_absent);
    let mut limitations: Vec<String> = absent.map(|(_, text)| text.to_owned()).collect();
    if let Some(granted) = offered.session_expiry.filter(|granted| *granted < session_expiry) {
        limitations.push(format!(
            "the broker keeps the session for {}s, less than broker.session_expiry ({}s): inputs \
             that arrive while inferd is away for longer are lost; raise the broker's limit",
            granted.as_secs(),
            session_expiry.as_secs()
        ));
    }
    limitations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Capabilities {
        Capabilities {
            receive_maximum: None,
            max_packet: None,
            keep_alive: None,
            session_expiry: None,
            qos1: None,
            retain: None,
            wildcards: true,
            shared: true,
            subscription_ids: true,
            retain_handling: true,
            reason_codes: true,
            properties: true,
        }
    }

    #[test]
    fn a_broker_with_all_features_has_no_limitations() {
        let features = Features::new(&all(), DeniedFeatures::default());
        assert_eq!(features, Features { retain: true, qos1: true, wildcards: true, shared: true });
        assert!(limitations(features, &all(), Duration::from_secs(60)).is_empty());
    }

    #[test]
    fn each_missing_feature_is_reported() {
        let offered = Capabilities {
            qos1: Some(false),
            retain: Some(false),
            wildcards: false,
            shared: false,
            session_expiry: Some(Duration::from_secs(10)),
            retain_handling: false,
            reason_codes: false,
            properties: false,
            ..all()
        };
        let none = Features::new(&offered, DeniedFeatures::default());
        assert_eq!(none, Features { retain: false, qos1: false, wildcards: false, shared: false });
        assert_eq!(limitations(none, &offered, Duration::from_secs(60)).len(), 7);
        assert_eq!(limitations(none, &offered, Duration::from_secs(10)).len(), 6);
    }

    #[test]
    fn a_denied_feature_is_not_used_until_the_broker_offers_it() {
        let mut denied = DeniedFeatures::default();
        assert!(denied.record(0x9a) && !denied.record(0x9a) && !denied.record(0x87));
        denied.forget_offered(&all());
        assert!(!Features::new(&all(), denied).retain);
        let offered = Capabilities { retain: Some(true), ..all() };
        denied.forget_offered(&offered);
        assert!(Features::new(&offered, denied).retain);
        assert_eq!(denied, DeniedFeatures::default());
    }
}
