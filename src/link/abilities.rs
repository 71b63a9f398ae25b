//! What a broker can do of what MQTT 5 lets it leave out, and what does not work without it.

use std::time::Duration;

use rumqttc::v5::mqttbytes::v5::ConnAckProperties;

use super::Fault;

/// Features of the connected broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Abilities {
    /// It keeps retained messages.
    pub(super) retain: bool,
    /// It takes QoS 1.
    pub(super) at_least_once: bool,
    /// It takes filters with `+` and `#`.
    pub(super) wildcards: bool,
}

/// Features that a broker refused to serve without announcing that in its CONNACK, or before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Denied {
    pub(super) retain: bool,
    pub(super) at_least_once: bool,
}

impl Denied {
    /// Takes note of a refused CONNECT or of a DISCONNECT. True where the next attempt differs.
    pub(super) fn learn(&mut self, code: u8) -> bool {
        let before = *self;
        match code {
            0x9a => self.retain = true,
            0x9b => self.at_least_once = true,
            _ => {}
        }
        *self != before
    }
}

impl Abilities {
    /// Reads them off a CONNACK.
    ///
    /// # Errors
    /// Properties that MQTT 5 forbids.
    pub(super) fn of(
        properties: Option<&ConnAckProperties>,
        denied: &mut Denied,
    ) -> Result<Self, Fault> {
        if let Some(said) = properties {
            keeps_to_the_standard(said)?;
            if said.retain_available == Some(1) {
                denied.retain = false;
            }
            if said.max_qos == Some(1) {
                denied.at_least_once = false;
            }
        }
        Ok(Self {
            retain: properties.is_none_or(|said| said.retain_available != Some(0))
                && !denied.retain,
            at_least_once: properties.is_none_or(|said| said.max_qos != Some(0))
                && !denied.at_least_once,
            wildcards: properties
                .is_none_or(|said| said.wildcard_subscription_available != Some(0)),
        })
    }

    /// What does not work, a sentence each.
    pub(super) fn limits(
        self,
        properties: Option<&ConnAckProperties>,
        session_expiry: Duration,
    ) -> Vec<String> {
        let mut limits = Vec::new();
        if !self.retain {
            limits.push(
                "the broker keeps no retained messages (retain available: 0): status, health and \
                 model state reach only clients that are connected when they are published, and \
                 predictions with publish.retain are not kept; enable retained messages at the \
                 broker"
                    .to_owned(),
            );
        }
        if !self.at_least_once {
            limits.push(
                "the broker takes QoS 0 only (maximum QoS: 0): inputs and predictions are lost when \
                 a connection breaks, whatever the streams' guarantee; enable QoS 1 at the broker"
                    .to_owned(),
            );
        }
        if !self.wildcards {
            limits.push(
                "the broker has no wildcard subscriptions: topics with captures or wildcards are \
                 not subscribed; use topics without them, or another broker"
                    .to_owned(),
            );
        }
        let granted = properties.and_then(|said| said.session_expiry_interval);
        let granted = granted.map(|seconds| Duration::from_secs(seconds.into()));
        if let Some(granted) = granted.filter(|granted| *granted < session_expiry) {
            limits.push(format!(
                "the broker keeps the session for {}s and not for broker.session_expiry ({}s): \
                 inputs that arrive while inferd is away for longer are lost; raise the broker's \
                 limit",
                granted.as_secs(),
                session_expiry.as_secs()
            ));
        }
        limits
    }
}

/// Values that MQTT 5 (3.2.2.3) calls a protocol error.
fn keeps_to_the_standard(said: &ConnAckProperties) -> Result<(), Fault> {
    let flags = [
        ("maximum QoS", said.max_qos),
        ("retain available", said.retain_available),
        ("wildcard subscription available", said.wildcard_subscription_available),
        ("subscription identifiers available", said.subscription_identifiers_available),
        ("shared subscription available", said.shared_subscription_available),
    ];
    let bad_flag = flags.into_iter().find(|(_, flag)| flag.is_some_and(|flag| flag > 1));
    let what = if said.receive_max == Some(0) {
        "a receive maximum of 0".to_owned()
    } else if said.max_packet_size == Some(0) {
        "a maximum packet size of 0".to_owned()
    } else if let Some((name, Some(value))) = bad_flag {
        format!("the value {value} for {name}")
    } else {
        return Ok(());
    };
    Err(Fault::Forbidden { reason: format!("its CONNACK has {what}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing() -> ConnAckProperties {
        ConnAckProperties {
            session_expiry_interval: None,
            receive_max: None,
            max_qos: None,
            retain_available: None,
            max_packet_size: None,
            assigned_client_identifier: None,
            topic_alias_max: None,
            reason_string: None,
            user_properties: Vec::new(),
            wildcard_subscription_available: None,
            subscription_identifiers_available: None,
            shared_subscription_available: None,
            server_keep_alive: None,
            response_information: None,
            server_reference: None,
            authentication_method: None,
            authentication_data: None,
        }
    }

    #[test]
    fn what_a_broker_does_not_name_it_can_do() {
        for properties in [None, Some(nothing())] {
            let all = Abilities::of(properties.as_ref(), &mut Denied::default()).unwrap();
            assert_eq!(all, Abilities { retain: true, at_least_once: true, wildcards: true });
            assert!(all.limits(properties.as_ref(), Duration::from_secs(60)).is_empty());
        }
    }

    #[test]
    fn each_limit_is_said() {
        let said = ConnAckProperties {
            max_qos: Some(0),
            retain_available: Some(0),
            wildcard_subscription_available: Some(0),
            session_expiry_interval: Some(10),
            ..nothing()
        };
        let none = Abilities::of(Some(&said), &mut Denied::default()).unwrap();
        assert_eq!(none, Abilities { retain: false, at_least_once: false, wildcards: false });
        assert_eq!(none.limits(Some(&said), Duration::from_secs(60)).len(), 4);
        assert_eq!(none.limits(Some(&said), Duration::from_secs(10)).len(), 3);
    }

    #[test]
    fn values_that_the_standard_forbids_are_named() {
        let bad = [
            (ConnAckProperties { receive_max: Some(0), ..nothing() }, "receive maximum of 0"),
            (ConnAckProperties { max_packet_size: Some(0), ..nothing() }, "packet size of 0"),
            (ConnAckProperties { max_qos: Some(2), ..nothing() }, "2 for maximum QoS"),
            (ConnAckProperties { retain_available: Some(7), ..nothing() }, "7 for retain"),
        ];
        for (said, text) in bad {
            let fault = Abilities::of(Some(&said), &mut Denied::default()).unwrap_err();
            assert!(fault.to_string().contains(text), "{fault}");
        }
    }

    #[test]
    fn what_was_denied_is_not_used_until_the_broker_offers_it() {
        let mut denied = Denied::default();
        assert!(denied.learn(0x9a) && !denied.learn(0x9a) && !denied.learn(0x87));
        assert!(!Abilities::of(None, &mut denied).unwrap().retain);
        let said = ConnAckProperties { retain_available: Some(1), ..nothing() };
        assert!(Abilities::of(Some(&said), &mut denied).unwrap().retain);
        assert_eq!(denied, Denied::default());
    }
}
