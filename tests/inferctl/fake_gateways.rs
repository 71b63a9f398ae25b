//! Gateways as far as an operator sees them: they say that they are there, and how updates ended.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;

use inferd::ids::GatewayId;
use inferd::update::{Deployment, Envelope};
use tokio::sync::oneshot;

use crate::common::mqtt_client::MqttClient;

/// The group all of them are in.
pub(super) const GROUP: &str = "a";

pub(super) struct FakeGateways {
    seen: Arc<Mutex<Vec<Deployment>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FakeGateways {
    /// `gw-0` and on; `end` says how each one's update ends.
    pub(super) fn start(port: u16, count: usize, end: fn(usize) -> &'static str) -> Self {
        Self::of_groups(port, &[GROUP], count, end)
    }

    /// As [`Self::start`], in other groups.
    pub(super) fn of_groups(
        port: u16,
        groups: &'static [&'static str],
        count: usize,
        end: fn(usize) -> &'static str,
    ) -> Self {
        let seen = Arc::default();
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = mpsc::channel();
        let life = live((port, groups), count, end, Arc::clone(&seen), ready, stopped);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(life);
        });
        is_ready.recv().expect("the gateways are there");
        Self { seen, stop: Some(stop), thread: Some(thread) }
    }

    /// The deployments that came, in their order.
    pub(super) fn seen(&self) -> Vec<Deployment> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for FakeGateways {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().map(JoinHandle::join);
    }
}

fn id(index: usize) -> GatewayId {
    GatewayId::parse(&format!("gw-{index}")).unwrap()
}

async fn live(
    (port, groups): (u16, &[&str]),
    count: usize,
    end: fn(usize) -> &'static str,
    seen: Arc<Mutex<Vec<Deployment>>>,
    ready: mpsc::Sender<()>,
    stopped: oneshot::Receiver<()>,
) {
    let mut peer = MqttClient::connect(port, "gateways").await;
    for index in 0..count {
        let status = serde_json::json!({ "v": 1, "state": "online", "version": "0.1.0",
            "since": "2026-11-26T09:00:00Z", "groups": groups });
        peer.publish_retained(&format!("inferd/v1/{}/status", id(index)), status.to_string()).await;
    }
    peer.subscribe("inferd/v1/deploy/+/+/motion").await;
    ready.send(()).unwrap();
    let named: Vec<_> = groups.iter().map(|&group| group.to_owned()).collect();
    let mut done = BTreeSet::new();
    let mut stopped = std::pin::pin!(stopped);
    loop {
        let message = tokio::select! {
            _ = &mut stopped => return,
            message = peer.next() => message,
        };
        let Ok(envelope) = Envelope::read::<Deployment>(&message.payload) else { continue };
        let deployment: Deployment = envelope.unverified().unwrap();
        seen.lock().unwrap().push(deployment.clone());
        for index in (0..count).filter(|_| !deployment.hold) {
            let (gateway, name) = (id(index), &deployment.deployment);
            if deployment.reaches(&gateway, &named) && done.insert((gateway.clone(), name.clone()))
            {
                for state in ["fetching", end(index)] {
                    let report = serde_json::json!({ "v": 1, "state": state, "deployment": name,
                        "reason": (state == "rolled-back").then_some("slow"),
                        "active": { "version": "1.0.0", "digest": "00" } });
                    let topic = format!("inferd/v1/{gateway}/model/motion");
                    peer.publish_retained(&topic, report.to_string()).await;
                }
            }
        }
    }
}
