//! Broker, web server and network in an attacker's hands.

use std::collections::BTreeSet;

use super::world::{World, model_bytes, release, small_chunks};
use super::*;
use crate::update::manifest::Requires;

/// A world with counter 5 committed by deployment 5.
fn settled() -> World {
    let mut world = World::new();
    let release = release(&world.keys, 5, &model_bytes(5), None);
    let deployment = world.publish(5, &release);
    world.deploy(&deployment).unwrap();
    assert_eq!(world.active(), Some(5));
    world.refused.clear();
    world
}

fn refused(world: &mut World, deployment: &Deployment) -> Reason {
    world.deploy(deployment).unwrap();
    assert_eq!(world.active(), Some(5), "nothing of it is active");
    world.refused.pop().unwrap()
}

#[test]
fn a_deployment_replayed_expired_or_another_s_is_refused() {
    let mut world = settled();
    let newer = release(&world.keys, 6, &model_bytes(6), None);
    let good = world.publish(6, &newer);
    let change = |change: fn(&mut Deployment)| {
        let mut deployment = good.clone();
        change(&mut deployment);
        deployment
    };
    let other = |d: &mut Deployment| d.target = Target::Gateway(GatewayId::parse("gw-2").unwrap());
    let group = |d: &mut Deployment| d.target = Target::Group("line-b".into());
    assert_eq!(refused(&mut world, &change(|d| d.seq = 4)), Reason::Replayed);
    assert_eq!(refused(&mut world, &change(other)), Reason::Target);
    assert_eq!(refused(&mut world, &change(group)), Reason::Target);
    let model = |d: &mut Deployment| d.model = ModelName::parse("other").unwrap();
    assert_eq!(refused(&mut world, &change(model)), Reason::Target);
    let expired = |d: &mut Deployment| {
        d.created = time("2026-11-01T00:00:00Z");
        d.not_before = d.created;
        d.expires = time("2026-11-02T00:00:00Z");
    };
    assert_eq!(refused(&mut world, &change(expired)), Reason::Expired);
    // A clock that starts in 1970 does not bring it back: the latest signed time counts.
    world.now.wall = Timestamp(0);
    assert_eq!(refused(&mut world, &change(expired)), Reason::Expired);
}

#[test]
fn planted_messages_change_nothing() {
    let mut world = settled();
    let record = world.disk.record.clone();
    let good = world.publish(9, &release(&keys(1), 9, &model_bytes(9), None));
    let unsigned = Envelope::of(&good).unwrap().bytes();
    let stranger = signed(&good, &[&key(99)]);
    for bytes in [unsigned, stranger, b"{}".to_vec(), vec![b'x'; 1 << 20], Vec::new()] {
        world.tell(Event::Deployment(bytes)).unwrap();
    }
    world.tell(Event::Keyset(b"{}".to_vec())).unwrap();
    assert_eq!(world.refused.len(), 6);
    assert_eq!(world.disk.record, record);
    assert_eq!(world.active(), Some(5));
}

#[test]
fn a_release_older_than_the_one_committed_is_refused() {
    let mut world = settled();
    let older = release(&world.keys, 4, &model_bytes(4), None);
    let deployment = world.publish(6, &older);
    world.deploy(&deployment).unwrap();
    assert_eq!(world.last(), (State::Rejected, Some(Reason::Counter)));
    assert_eq!(world.active(), Some(5));
    // The old bytes under a higher counter are how one goes back on purpose.
    let again = release(&world.keys, 7, &model_bytes(4), None);
    let deployment = world.publish(7, &again);
    world.deploy(&deployment).unwrap();
    assert_eq!(world.active(), Some(7));
}

#[test]
fn a_release_that_asks_for_another_gateway_is_refused() {
    let named = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    let newer = Requires { inferd: Some("0.1.1".into()), ..Requires::default() };
    let nonsense = Requires { inferd: Some("newest".into()), ..Requires::default() };
    let larger = Requires { ram_mb: 513, ..Requires::default() };
    let foreign = Requires { arch: named(&["x86_64", "arm"]), ..Requires::default() };
    let met = Requires {
        inferd: Some("0.1".into()),
        arch: named(&["x86_64", "aarch64"]),
        ram_mb: 512,
        disk_mb: 1,
    };
    let mut world = settled();
    let mut take = |counter, requires| {
        let mut asking = release(&world.keys, counter, &model_bytes(counter), None);
        asking.manifest.requires = requires;
        asking.envelope =
            signed(&asking.manifest, &[&world.keys.release[0], &world.keys.release[1]]);
        asking.blobs.push((small_chunks(&asking.envelope), asking.envelope.clone()));
        let deployment = world.publish(counter, &asking);
        world.deploy(&deployment).unwrap();
        (world.last(), world.active())
    };
    for (counter, requires) in (6..).zip([newer, nonsense, larger, foreign]) {
        let said = format!("{requires:?}");
        let refused = (State::Rejected, Some(Reason::Requires));
        assert_eq!(take(counter, requires), (refused, Some(5)), "{said}");
    }
    assert_eq!(take(10, met).1, Some(10));
}

#[test]
fn a_manifest_that_release_keys_did_not_sign_is_refused() {
    let mut world = settled();
    let mut forged = release(&world.keys, 6, &model_bytes(6), None);
    // The deploy key, alone in an attacker's hands, deploys what nobody released.
    forged.envelope = signed(&forged.manifest, &[&world.keys.deploy[0], &world.keys.release[0]]);
    forged.blobs.push((small_chunks(&forged.envelope), forged.envelope.clone()));
    let deployment = world.publish(6, &forged);
    world.deploy(&deployment).unwrap();
    assert_eq!(world.last(), (State::Rejected, Some(Reason::Signatures)));
    assert_eq!(world.active(), Some(5));
}

#[test]
fn altered_endless_and_missing_chunks_are_never_kept() {
    for body in [vec![0; 1024], vec![0; 1 << 20], Vec::new()] {
        let mut world = settled();
        let newer = release(&world.keys, 6, &model_bytes(6), None);
        let deployment = world.publish(6, &newer);
        let model = newer.manifest.files[0].blob.sha256;
        world.network.insert((model, 7), body);
        world.deploy(&deployment).unwrap();
        assert_eq!(world.last(), (State::Failed, Some(Reason::Bytes)));
        assert_eq!(world.refused, [Reason::Bytes; 2], "two are asked for again, the third ends it");
        assert_eq!(world.active(), Some(5));
        // The version is not to blame.
        assert!(world.disk.record.refused.is_empty());
    }
}

#[test]
fn a_source_with_wrong_bytes_is_left_for_the_next() {
    let mut world = settled();
    let newer = release(&world.keys, 6, &model_bytes(6), None);
    let web = Source::Http("https://cdn.example/{sha256}".into());
    let deployment =
        Deployment { sources: vec![web.clone(), Source::Mqtt], ..world.publish(6, &newer) };
    let good = world.network.clone();
    let model = newer.manifest.files[0].blob.sha256;
    world.network.insert((model, 3), vec![0; 1024]);
    let mut effects = Vec::new();
    let bytes = world.sign(&deployment);
    world.device.on(world.now, Event::Deployment(bytes), &mut effects);
    // By hand: the web server lies about one chunk, the broker does not.
    let (mut kept, mut done) = (BTreeSet::new(), false);
    while !done {
        let Some(effect) = (!effects.is_empty()).then(|| effects.remove(0)) else {
            let due = world.device.deadline().unwrap();
            world.now.mono = due.max(Mono(world.now.mono.0 + 1));
            world.device.on(world.now, Event::Tick, &mut effects);
            continue;
        };
        let event = match effect {
            Effect::QueryHeld { .. } => {
                Event::Held { chunks: BTreeSet::new(), files: BTreeSet::new(), room: 1 << 30 }
            }
            Effect::Fetch { source, blob, index, .. } => {
                let from = if source == web { &world.network } else { &good };
                Event::Chunk { blob, index, bytes: from[&(blob, index)].clone() }
            }
            Effect::StoreChunk { chunk, .. } => {
                kept.insert(chunk);
                continue;
            }
            Effect::ReadManifest { .. } => Event::Opened(newer.envelope.clone()),
            Effect::Assemble { .. } => {
                done = true;
                continue;
            }
            _ => continue,
        };
        world.device.on(world.now, event, &mut effects);
    }
    let wanted = newer.manifest.files[0].blob.chunks.iter().map(|chunk| chunk.sha256);
    assert!(wanted.into_iter().all(|chunk| kept.contains(&chunk)));
}

#[test]
fn what_never_comes_is_asked_for_ever_more_rarely_until_it_expires() {
    let mut world = settled();
    let newer = release(&world.keys, 6, &model_bytes(6), None);
    let deployment = world.publish(6, &newer);
    let model = newer.manifest.files[0].blob.sha256;
    world.network.remove(&(model, 0));
    world.asked.clear();
    world.deploy(&deployment).unwrap();
    assert_eq!(world.last(), (State::Rejected, Some(Reason::Expired)));
    // A week at full jitter up to 5 minutes: about 4,000, not millions.
    assert!((2_000..8_000).contains(&world.asked.len()), "{} requests", world.asked.len());
    assert_eq!(world.active(), Some(5));
}

#[test]
fn a_stolen_deploy_key_s_highest_numbers_are_undone_by_new_keys() {
    let mut world = settled();
    let newer = release(&world.keys, 6, &model_bytes(6), None);
    let good = world.publish(6, &newer);
    let far = Deployment {
        seq: u64::MAX,
        created: time("2090-01-01T00:00:00Z"),
        expires: time("2091-01-01T00:00:00Z"),
        hold: true,
        ..good.clone()
    };
    world.deploy(&far).unwrap();
    assert_eq!(refused(&mut world, &good), Reason::Replayed);
    let mut keyset: Keyset = world.keys.keyset(2);
    let fresh = key(200);
    keyset.deploy.keys = vec![fresh.public()];
    keyset.deploy.threshold = 1;
    let bytes = signed(&keyset, &[&world.keys.release[0], &world.keys.release[1]]);
    world.tell(Event::Keyset(bytes.clone())).unwrap();
    assert_eq!(refused(&mut world, &Deployment { seq: 7, ..good.clone() }), Reason::Signatures);
    world.tell(Event::Deployment(signed(&good, &[&fresh]))).unwrap();
    assert_eq!(world.active(), Some(6));
    // The new keys outlive a restart; the keyset again is refused, as is one that skips.
    world.boot().unwrap();
    world.tell(Event::Keyset(bytes)).unwrap();
    assert_eq!(world.refused.pop(), Some(Reason::Keyset));
    let trust: &Trust = &world.device.trust;
    assert_eq!(trust.keyset().version, 2);
}
