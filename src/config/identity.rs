//! Checks whether a host name is suitable as the identity of a gateway.

/// Host names that images of systems come with: many machines have them.
const SHARED: &[&str] = &[
    "alarmpi",
    "armbian",
    "beaglebone",
    "buildroot",
    "debian",
    "fedora",
    "linux",
    "localhost",
    "openwrt",
    "orangepi",
    "raspberrypi",
    "ubuntu",
    "yocto",
];

/// What Kubernetes makes the endings of names of: no vowels, nothing that looks like another.
const POD_ENDING: &str = "bcdfghjklmnpqrstvwxz2456789";

/// What a process is in, as far as its host name depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Containment {
    /// In a container, whose host name is its random id where nothing else is given.
    pub container: bool,
    /// In a pod of Kubernetes, whose host name is the name of the pod.
    pub pod: bool,
}

/// Why this host name is no identity that lasts and is this gateway's alone.
pub(super) fn host_name_warning(host_name: &str, within: Containment) -> Option<String> {
    let name = host_name.split('.').next().unwrap_or(host_name);
    let why = if within.pod && is_pod(name) {
        "is the name of a Kubernetes pod: each new pod would be a different gateway to the broker \
         and the fleet"
    } else if within.container && is_container_id(name) {
        "is a container id: each new container would be a different gateway to the broker and the \
         fleet"
    } else if SHARED.iter().any(|shared| name.eq_ignore_ascii_case(shared)) {
        "is a common default: two machines with this name would use the same topics and disconnect \
         each other"
    } else {
        return None;
    };
    Some(format!(
        "gateway.id is not set and defaults to the host name {host_name:?}, which {why}. Set \
         gateway.id (INFERD__GATEWAY__ID in the environment), or give the host a name of its own \
         (a container with --hostname)"
    ))
}

/// The beginning of an id, as Docker and Podman give it, or all of one.
fn is_container_id(name: &str) -> bool {
    let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    matches!(name.len(), 12 | 32 | 64) && name.bytes().all(hex)
}

/// `inferd-5d8c7f9b6d-x7k2p` of a Deployment, `inferd-x7k2p` of a DaemonSet or a Job; not
/// `inferd-0` of a StatefulSet, which stays the same.
fn is_pod(name: &str) -> bool {
    let ending = name.rsplit_once('-').map(|(_, ending)| ending);
    ending.is_some_and(|e| e.len() == 5 && e.chars().all(|c| POD_ENDING.contains(c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_does_not_last_is_doubted_where_it_does_not() {
        let host = Containment::default();
        let container = Containment { container: true, pod: false };
        let pod = Containment { container: true, pod: true };
        let rows = [
            ("4f5e6d7c8b9a", container, Some("container id")),
            ("4f5e6d7c8b9a", host, None),
            ("b827eb12345", container, None),
            ("gw-17", container, None),
            ("inferd-5d8c7f9b6d-x7k2p", pod, Some("Kubernetes pod")),
            ("inferd-x7k2p", pod, Some("Kubernetes pod")),
            ("inferd-x7k2p", container, None),
            ("inferd-0", pod, None),
            ("gateway-north", pod, None),
            ("raspberrypi", host, Some("common default")),
            ("OpenWrt", host, Some("common default")),
            ("localhost.localdomain", host, Some("common default")),
            ("raspberrypi-hall-2", host, None),
        ];
        for (name, within, wanted) in rows {
            let said = host_name_warning(name, within);
            assert_eq!(said.is_some(), wanted.is_some(), "{name}: {said:?}");
            let said = said.unwrap_or_default();
            assert!(said.contains(wanted.unwrap_or("")), "{said}");
        }
    }
}
