//! The topics of the daemon itself: what it publishes, and what its updates subscribe to.

use crate::config::Gateway;
use crate::ids::{Digest, ModelName, StreamName};
use crate::update::Target;

/// The kinds of topics below the prefix that updates subscribe to.
const UPDATE_TOPICS: [&str; 3] = ["/blob/", "/keys/", "/deploy/"];

/// The prefix of all topics that the daemon publishes on, with a slash at its end.
pub(crate) fn own_prefix(gateway: &Gateway) -> String {
    format!("{}/{}/", gateway.prefix, gateway.id)
}

fn own(gateway: &Gateway, rest: &str) -> String {
    own_prefix(gateway) + rest
}

/// Retained: online, offline or stopped.
pub(crate) fn status(gateway: &Gateway) -> String {
    own(gateway, "status")
}

/// Retained: the latest health snapshot.
pub(crate) fn health(gateway: &Gateway) -> String {
    own(gateway, "health")
}

/// Retained: the active version of a model and the state of its update.
pub(crate) fn model(gateway: &Gateway, model: &ModelName) -> String {
    own(gateway, &format!("model/{model}"))
}

/// Retained: the state of a stream beside its baseline, and its last alarm.
pub(crate) fn drift(gateway: &Gateway, stream: &StreamName) -> String {
    own(gateway, &format!("drift/{stream}"))
}

/// Samples of rejected inputs.
pub(crate) fn rejects(gateway: &Gateway) -> String {
    own(gateway, "rejects")
}

/// Requests for captured inputs.
pub(crate) fn capture_requests(gateway: &Gateway) -> String {
    own(gateway, "capture/get")
}

/// Answers with captured inputs: behind it comes the client that asked.
pub(crate) fn capture_answers(gateway: &Gateway) -> String {
    own(gateway, "capture/answer/")
}

/// The topics on which deployments of a model arrive, with the target of each.
pub(crate) fn deployments(gateway: &Gateway, model: &ModelName) -> Vec<(String, Target)> {
    let (prefix, id) = (&gateway.prefix, &gateway.id);
    let of_group = |group: &String| {
        (format!("{prefix}/deploy/group/{group}/{model}"), Target::Group(group.clone()))
    };
    let of_gateway = format!("{prefix}/deploy/gateway/{id}/{model}");
    let of_gateway = (of_gateway, Target::Gateway(id.clone()));
    gateway.groups.iter().map(of_group).chain([of_gateway]).collect()
}

/// The topic of a version of the keyset.
pub(crate) fn keyset(prefix: &str, version: u64) -> String {
    format!("{prefix}/keys/{version}")
}

/// The topic of one chunk of a blob.
pub(crate) fn chunk(prefix: &str, blob: &Digest, index: u32) -> String {
    format!("{prefix}/blob/{blob}/{index}")
}

/// Whether messages on this topic belong to updates, of whichever model.
pub(crate) fn is_of_updates(prefix: &str, topic: &str) -> bool {
    let rest = topic.strip_prefix(prefix);
    rest.is_some_and(|rest| UPDATE_TOPICS.iter().any(|kind| rest.starts_with(kind)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::GatewayId;

    #[test]
    fn topics_are_below_the_prefix() {
        let id = GatewayId::parse("gw-17").unwrap();
        let gateway = Gateway { id, groups: vec!["line-a".into()], prefix: "inferd/v1".into() };
        let motion = ModelName::parse("motion").unwrap();
        assert_eq!(status(&gateway), "inferd/v1/gw-17/status");
        assert_eq!(health(&gateway), "inferd/v1/gw-17/health");
        assert_eq!(model(&gateway, &motion), "inferd/v1/gw-17/model/motion");
        assert_eq!(rejects(&gateway), "inferd/v1/gw-17/rejects");
        let deployments = deployments(&gateway, &motion);
        let names: Vec<_> = deployments.iter().map(|(topic, _)| topic.as_str()).collect();
        assert_eq!(
            names,
            ["inferd/v1/deploy/group/line-a/motion", "inferd/v1/deploy/gateway/gw-17/motion"]
        );
        let keyset = keyset("inferd/v1", 2);
        assert_eq!(keyset, "inferd/v1/keys/2");
        assert!(is_of_updates("inferd/v1", &keyset));
        assert!(!is_of_updates("inferd/v1", &status(&gateway)));
    }
}
