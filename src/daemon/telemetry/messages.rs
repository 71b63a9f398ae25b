//! The retained status messages, and the one place where messages become JSON.

use bytes::Bytes;
use serde::Serialize;

use super::topics;
use crate::VERSION;
use crate::clock::Timestamp;
use crate::config::Gateway;
use crate::link::StatusMessages;

#[derive(Serialize)]
struct StatusMessage<'a> {
    v: u8,
    state: &'static str,
    gateway: &'a str,
    version: &'static str,
    /// When this daemon was started.
    since: Timestamp,
    groups: &'a [String],
}

/// The three retained states of the status topic.
pub(crate) fn status(gateway: &Gateway, since: Timestamp) -> StatusMessages {
    let message = |state| {
        json(&StatusMessage {
            v: 1,
            state,
            gateway: gateway.id.as_str(),
            version: VERSION,
            since,
            groups: &gateway.groups,
        })
    };
    StatusMessages {
        topic: topics::status(gateway),
        online: message("online"),
        offline: message("offline"),
        stopped: message("stopped"),
    }
}

/// Serializes a message. Plain structs of numbers and text cannot fail to serialize; if one did,
/// the message would be empty.
pub(crate) fn json<T: Serialize>(message: &T) -> Bytes {
    serde_json::to_vec(message).map(Bytes::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::GatewayId;

    fn gateway() -> Gateway {
        let id = GatewayId::parse("gw-17").unwrap();
        Gateway { id, groups: vec!["line-a".into()], prefix: "inferd/v1".into() }
    }

    #[test]
    fn status_differs_in_its_state_only() {
        let status = status(&gateway(), Timestamp(0));
        assert_eq!(status.topic, "inferd/v1/gw-17/status");
        let parse = |bytes: &Bytes| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
        let (online, stopped) = (parse(&status.online), parse(&status.stopped));
        assert_eq!(online["state"], "online");
        assert_eq!(online["since"], "1970-01-01T00:00:00.000Z");
        assert_eq!(stopped["state"], "stopped");
        assert_eq!(online["groups"], stopped["groups"]);
    }
}
