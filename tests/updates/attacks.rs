//! What an attacker or a change of mind does to an update over a real broker.

use inferd::update::machine::{Reason, State};
use inferd::update::{Deployment, Target};

use super::fleet::{Change, Fleet, Keys, PREFIX, deployment, release, signed, state, topic};

#[tokio::test]
async fn one_altered_chunk_is_never_kept_and_ends_the_update() {
    let Some(mut fleet) = Fleet::start("an altered chunk").await else { return };
    let made = release(&fleet.keys, "2.0.0", 1, &Change { padding: 200_000, ..Change::default() });
    fleet.publish(&made).await;
    let (blob, bytes) = made.blobs.iter().max_by_key(|(blob, _)| blob.len).unwrap();
    // The last: the first is the shipped model's, too, and never fetched.
    let last = blob.chunks.len() - 1;
    let len = usize::try_from(blob.chunks[last].len).unwrap();
    let mut altered = bytes[bytes.len() - len..].to_vec();
    altered[100] ^= 1;
    let place = format!("{PREFIX}/blob/{}/{last}", blob.sha256);
    fleet.operator.publish_retained(&place, altered).await;
    fleet.gateway.start();
    fleet.deploy(&deployment(&made, 1)).await;
    let end = fleet.ends("motion-2.0.0").await;
    assert_eq!((state(&end), end.reason), (Some(State::Failed), Some(Reason::Bytes)));
    assert_eq!(fleet.serving(), "1.0.0");
    let health = fleet.gateway.await_health("the refusals", |health| {
        health["updates"]["motion"]["refused"]["bytes"] == 2
    });
    println!("{}", health["updates"]);
    // The version is not to blame: with the right bytes the next deployment is followed.
    fleet.publish(&made).await;
    fleet.deploy(&Deployment { trial: at_once(), ..deployment(&made, 2) }).await;
    let end = fleet.reports(|report| state(report) == Some(State::Committed)).await.pop().unwrap();
    assert_eq!(end.active.version, "2.0.0");
    fleet.gateway.stop();
}

/// A trial that ends by itself soon.
fn at_once() -> inferd::update::Trial {
    inferd::update::Trial { max_s: 1, ..inferd::update::Trial::default() }
}

#[tokio::test]
async fn planted_documents_change_nothing() {
    let Some(mut fleet) = Fleet::start("planted documents").await else { return };
    let made = release(&fleet.keys, "2.0.0", 1, &Change::default());
    fleet.publish(&made).await;
    let wish = deployment(&made, 1);
    let stranger = Keys::of(50);
    fleet.gateway.start();
    let keyset = format!("{PREFIX}/keys/2");
    for (topic, bytes, reason) in [
        (topic(&wish), signed(&wish, &[&stranger.deploy]), "signatures"),
        (topic(&wish), b"{}".to_vec(), "malformed"),
        (topic(&wish), vec![b'['; 100_000], "malformed"),
        (keyset.clone(), signed(&stranger.keyset(2), &[&stranger.release]), "keyset"),
        (keyset, vec![b'['; 100_000], "keyset"),
    ] {
        let count = |health: &serde_json::Value| {
            health["updates"]["motion"]["refused"][reason].as_u64().unwrap_or(0)
        };
        let before = count(&fleet.gateway.ask(&["status"])["health"]);
        fleet.operator.publish_retained(&topic, bytes).await;
        fleet.gateway.await_health("the refusal", |health| count(health) > before);
    }
    assert_eq!(fleet.serving(), "1.0.0");
    fleet.gateway.stop();
}

#[tokio::test]
async fn a_withdrawn_deployment_is_given_up_before_it_is_switched_to() {
    let Some(mut fleet) = Fleet::start("a withdrawn deployment").await else { return };
    let made = release(&fleet.keys, "2.0.0", 1, &Change::default());
    // Its chunks are not there yet.
    fleet.gateway.start();
    // To a group: the topic that withdraws it is the one it came on.
    let target = Target::Group("line-a".into());
    let wish = Deployment { target, ..deployment(&made, 1) };
    fleet.deploy(&wish).await;
    fleet.reports(|report| state(report) == Some(State::Fetching)).await;
    // Another topic's withdrawal is none of this deployment's.
    let other = format!("{PREFIX}/deploy/gateway/gw-1/motion");
    fleet.operator.publish_retained(&other, Vec::new()).await;
    fleet.operator.publish_retained(&topic(&wish), Vec::new()).await;
    let end = fleet.ends("motion-2.0.0").await;
    assert_eq!((state(&end), end.reason), (Some(State::Cancelled), Some(Reason::Cancelled)));
    fleet.publish(&made).await;
    fleet.deploy(&Deployment { trial: at_once(), ..deployment(&made, 2) }).await;
    assert_eq!(state(&fleet.ends("motion-2.0.0").await), Some(State::Committed));
    fleet.gateway.stop();
}

#[tokio::test]
async fn new_keys_count_and_old_ones_do_not() {
    let Some(mut fleet) = Fleet::start("a rotation of keys").await else { return };
    let (old, new) = (Keys::of(1), Keys::of(20));
    let keyset = signed(&new.keyset(2), &[&old.release, &new.release]);
    let third = signed(&Keys::of(30).keyset(3), &[&new.release, &Keys::of(30).release]);
    // A gateway that slept through both catches up one by one.
    fleet.operator.publish_retained(&format!("{PREFIX}/keys/2"), keyset).await;
    fleet.operator.publish_retained(&format!("{PREFIX}/keys/3"), third).await;
    fleet.gateway.start();
    fleet.keys = Keys::of(30);
    let made = release(&fleet.keys, "2.0.0", 1, &Change::default());
    fleet.publish(&made).await;
    let wish = Deployment { trial: at_once(), ..deployment(&made, 1) };
    // Retained: it is refused as long as the keys are not known, and said again by the operator.
    fleet.gateway.await_health("the keys", |health| health["updates"]["motion"]["keyset"] == 3);
    fleet.deploy(&wish).await;
    assert_eq!(state(&fleet.ends("motion-2.0.0").await), Some(State::Committed));
    fleet.keys = Keys::of(1);
    fleet.deploy(&Deployment { seq: 2, ..wish }).await;
    fleet.gateway.await_health("the refusal", |health| {
        health["updates"]["motion"]["refused"]["signatures"] == 1
    });
    fleet.gateway.kill();
    fleet.gateway.start();
    fleet
        .gateway
        .await_health("the keys after a kill", |health| health["updates"]["motion"]["keyset"] == 3);
    fleet.gateway.stop();
}
