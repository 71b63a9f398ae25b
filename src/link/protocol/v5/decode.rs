//! Received and written packets of rumqttc as the link sees them.

use std::time::Duration;

use rumqttc::Outgoing as Wrote;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5 as wire;
use wire::SubscribeReasonCode;

use super::errors::{packet_name, puback_refusal, suback_code};
use crate::config::Broker;
use crate::link::Fault;
use crate::link::fault::{BrokerText, reason_codes};
use crate::link::protocol::packet::{
    Capabilities, ConnAck, Packet, Publish, SubscribeReply, Written,
};
use crate::message::{Qos, Reply};

/// # Errors
/// A packet or a property that MQTT 5 forbids the broker to send, or that was not asked for.
pub(super) fn packet(packet: wire::Packet, broker: &Broker) -> Result<Packet, Fault> {
    Ok(match packet {
        wire::Packet::Publish(publish) => Packet::Publish(message(publish)?),
        wire::Packet::PubAck(ack) => {
            Packet::PubAck { packet_id: ack.pkid, refusal: puback_refusal(ack.reason) }
        }
        wire::Packet::ConnAck(connack) => Packet::ConnAck(ConnAck {
            session_present: connack.session_present,
            capabilities: capabilities(connack.properties.as_ref())?,
        }),
        wire::Packet::SubAck(ack) => Packet::SubAck {
            packet_id: ack.pkid,
            replies: ack.return_codes.iter().map(reply).collect(),
        },
        wire::Packet::Disconnect(disconnect) => {
            let text = disconnect.properties.map_or_else(BrokerText::default, |properties| {
                BrokerText { reason: properties.reason_string, server: properties.server_reference }
            });
            Packet::Disconnect(Fault::of_disconnect(disconnect.reason_code as u8, &text, broker))
        }
        wire::Packet::UnsubAck(_) | wire::Packet::PingResp(_) => Packet::Other,
        unexpected => {
            let reason = format!("an unexpected {}", packet_name(&unexpected));
            return Err(Fault::Garbage { reason });
        }
    })
}

fn message(publish: wire::Publish) -> Result<Publish, Fault> {
    let qos = match publish.qos {
        QoS::AtMostOnce => Qos::AtMostOnce,
        QoS::AtLeastOnce => Qos::AtLeastOnce,
        QoS::ExactlyOnce => {
            return Err(Fault::Garbage { reason: "QoS 2, which was not subscribed to".into() });
        }
    };
    let properties = publish.properties.unwrap_or_default();
    let correlation = properties.correlation_data;
    Ok(Publish {
        qos,
        dup: publish.dup,
        retain: publish.retain,
        packet_id: publish.pkid,
        topic: publish.topic,
        payload: publish.payload,
        reply: properties.response_topic.map(|topic| Reply { topic, correlation }),
        subscription_ids: properties.subscription_identifiers,
    })
}

fn reply(code: &SubscribeReasonCode) -> SubscribeReply {
    match (code, suback_code(*code)) {
        (SubscribeReasonCode::SubscriptionIdNotSupported, _) => SubscribeReply::IdRefused,
        (SubscribeReasonCode::Success(QoS::AtMostOnce), _) => {
            SubscribeReply::Granted(Qos::AtMostOnce)
        }
        (_, None) => SubscribeReply::Granted(Qos::AtLeastOnce),
        (_, Some(code)) => SubscribeReply::Refused(reason_codes::name(code)),
    }
}

pub(super) fn written(written: &Wrote) -> Written {
    match *written {
        Wrote::Publish(packet_id) => Written::Publish { packet_id },
        Wrote::PubAck(packet_id) => Written::PubAck { packet_id },
        Wrote::Subscribe(packet_id) => Written::Subscribe { packet_id },
        Wrote::Disconnect
        | Wrote::AwaitAck(_)
        | Wrote::Unsubscribe(_)
        | Wrote::PubRec(_)
        | Wrote::PubRel(_)
        | Wrote::PubComp(_)
        | Wrote::PingReq
        | Wrote::PingResp => Written::Other,
    }
}

/// What a CONNACK announces. MQTT 5 (3.2.2.3): what it does not name is available.
fn capabilities(properties: Option<&wire::ConnAckProperties>) -> Result<Capabilities, Fault> {
    if let Some(properties) = properties {
        check_values(properties)?;
    }
    let seconds = |seconds: u64| Duration::from_secs(seconds);
    let is_available =
        |flag: fn(&wire::ConnAckProperties) -> Option<u8>| properties.and_then(flag) != Some(0);
    let keep_alive = properties.and_then(|it| it.server_keep_alive).filter(|it| *it > 0);
    Ok(Capabilities {
        receive_maximum: properties.and_then(|it| it.receive_max),
        max_packet: properties.and_then(|it| it.max_packet_size),
        keep_alive: keep_alive.map(|it| seconds(it.into())),
        session_expiry: properties
            .and_then(|it| it.session_expiry_interval)
            .map(|it| seconds(it.into())),
        qos1: properties.and_then(|it| it.max_qos).map(|it| it != 0),
        retain: properties.and_then(|it| it.retain_available).map(|it| it != 0),
        wildcards: is_available(|it| it.wildcard_subscription_available),
        shared: is_available(|it| it.shared_subscription_available),
        subscription_ids: is_available(|it| it.subscription_identifiers_available),
        retain_handling: true,
        reason_codes: true,
        properties: true,
    })
}

/// Values that MQTT 5 (3.2.2.3) calls a protocol error.
fn check_values(properties: &wire::ConnAckProperties) -> Result<(), Fault> {
    let flags = [
        ("maximum QoS", properties.max_qos),
        ("retain available", properties.retain_available),
        ("wildcard subscription available", properties.wildcard_subscription_available),
        ("subscription identifiers available", properties.subscription_identifiers_available),
        ("shared subscription available", properties.shared_subscription_available),
    ];
    let bad_flag = flags.into_iter().find(|(_, flag)| flag.is_some_and(|flag| flag > 1));
    let what = if properties.receive_max == Some(0) {
        "a receive maximum of 0".to_owned()
    } else if properties.max_packet_size == Some(0) {
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

    fn nothing() -> wire::ConnAckProperties {
        wire::ConnAckProperties {
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
    fn what_a_connack_does_not_name_is_available() {
        for properties in [None, Some(nothing())] {
            let all = capabilities(properties.as_ref()).unwrap();
            assert!(all.wildcards && all.shared && all.subscription_ids);
            assert_eq!((all.retain, all.qos1), (None, None));
            assert_eq!((all.receive_maximum, all.max_packet, all.keep_alive), (None, None, None));
        }
    }

    #[test]
    fn what_a_connack_denies_is_not_available() {
        let properties = wire::ConnAckProperties {
            max_qos: Some(0),
            retain_available: Some(0),
            wildcard_subscription_available: Some(0),
            subscription_identifiers_available: Some(0),
            server_keep_alive: Some(0),
            session_expiry_interval: Some(10),
            ..nothing()
        };
        let none = capabilities(Some(&properties)).unwrap();
        assert!(!none.wildcards && !none.subscription_ids);
        assert_eq!((none.retain, none.qos1), (Some(false), Some(false)));
        assert_eq!(none.keep_alive, None, "0 turns it off");
        assert_eq!(none.session_expiry, Some(Duration::from_secs(10)));
    }

    #[test]
    fn values_that_the_standard_forbids_are_named() {
        let bad = [
            (wire::ConnAckProperties { receive_max: Some(0), ..nothing() }, "receive maximum of 0"),
            (wire::ConnAckProperties { max_packet_size: Some(0), ..nothing() }, "packet size of 0"),
            (wire::ConnAckProperties { max_qos: Some(2), ..nothing() }, "2 for maximum QoS"),
            (wire::ConnAckProperties { retain_available: Some(7), ..nothing() }, "7 for retain"),
        ];
        for (properties, text) in bad {
            let fault = capabilities(Some(&properties)).unwrap_err();
            assert!(fault.to_string().contains(text), "{fault}");
        }
    }
}
