use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::bundle::Bundle;
use crate::update::manifest::Requires;

fn motion() -> Bundle {
    Bundle::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models/motion")).unwrap()
}

/// The demonstration model with another version and a few weights nudged.
fn nudged(version: &str) -> Bundle {
    let mut files = motion().files().clone();
    let card = String::from_utf8(files["card.toml"].clone()).unwrap();
    let card = card.replace("version = \"1.0.0\"", &format!("version = \"{version}\""));
    files.insert("card.toml".into(), card.into_bytes());
    let model = files.get_mut("model.onnx").unwrap();
    (2000..6000).step_by(40).for_each(|at| model[at] = model[at].wrapping_add(1));
    Bundle::from_files(files, None).unwrap()
}

fn release(counter: u64) -> ReleaseInfo {
    ReleaseInfo { counter, created: time("2026-11-22T10:00:00Z"), requires: Requires::default() }
}

fn packed(bundle: &Bundle, counter: u64, keys: &Keys, bases: &[&Bundle]) -> PackedRelease {
    let mut packed = PackedRelease::new(bundle, release(counter), bases).unwrap();
    keys.release.iter().take(2).for_each(|key| packed.envelope_mut().sign(key));
    packed
}

/// A packed bundle's tar with one of its files changed by someone without a key.
fn tampered(
    packed: &PackedRelease,
    change: impl FnOnce(&mut BTreeMap<String, Vec<u8>>),
) -> PackedRelease {
    let mut files = crate::bundle::read_files(&packed.write().unwrap()).unwrap();
    change(&mut files);
    let mut out = Vec::new();
    crate::bundle::write_files(&files, &mut out).unwrap();
    PackedRelease::read(&out).unwrap()
}

fn mismatch(packed: PackedRelease, trust: &Trust) -> Mismatch {
    match packed.verify(trust).unwrap_err() {
        PackError::Mismatch(mismatch) => mismatch,
        other => panic!("refused for another reason: {other}"),
    }
}

#[test]
fn a_release_packed_and_read_again_is_installable_and_the_same_bytes() {
    let keys = keys(1);
    let bytes = packed(&motion(), 1, &keys, &[]).write().unwrap();
    assert_eq!(packed(&motion(), 1, &keys, &[]).write().unwrap(), bytes);
    let installable = PackedRelease::read(&bytes).unwrap().verify(&keys.trust()).unwrap();
    assert_eq!(installable.manifest().name.as_str(), "motion");
    assert_eq!(installable.files(), motion().files());
    assert_eq!(installable.bundle().unwrap().digest(), motion().digest());
    // It is a bundle like any other, too.
    assert_eq!(Bundle::read(&bytes).unwrap().digest(), motion().digest());
}

#[test]
fn an_altered_file_is_refused_by_name() {
    let keys = keys(1);
    let packed = packed(&motion(), 1, &keys, &[]);
    for path in ["model.onnx", "card.toml", "golden.npz"] {
        let bad = tampered(&packed, |files| files.get_mut(path).unwrap()[200] ^= 1);
        let refused = mismatch(bad, &keys.trust());
        assert!(matches!(&refused, Mismatch::Altered { path: p, .. } if p == path), "{refused}");
    }
    let short = tampered(&packed, |files| files.get_mut("model.onnx").unwrap().truncate(9));
    assert!(matches!(mismatch(short, &keys.trust()), Mismatch::Length { found: 9, .. }));
    let gone = tampered(&packed, |files| drop(files.remove("golden.npz")));
    assert!(matches!(mismatch(gone, &keys.trust()), Mismatch::Missing { .. }));
    let more = tampered(&packed, |files| drop(files.insert("more".into(), Vec::new())));
    assert!(matches!(mismatch(more, &keys.trust()), Mismatch::Unexpected { .. }));
}

#[test]
fn files_of_two_versions_do_not_mix() {
    let keys = keys(1);
    let (old, new) = (packed(&motion(), 1, &keys, &[]), nudged("2.0.0"));
    let mixed = tampered(&old, |files| {
        files.insert("card.toml".into(), new.files()["card.toml"].clone());
    });
    assert!(matches!(mismatch(mixed, &keys.trust()), Mismatch::Altered { .. }));
}

#[test]
fn a_manifest_altered_unsigned_or_signed_by_too_few_is_refused() {
    let keys = keys(1);
    let one = {
        let mut packed = PackedRelease::new(&motion(), release(1), &[]).unwrap();
        packed.envelope_mut().sign(&keys.release[0]);
        packed
    };
    let unsigned = PackedRelease::new(&motion(), release(1), &[]).unwrap();
    let mut strangers = unsigned.clone();
    [key(50), key(51)].iter().for_each(|key| strangers.envelope_mut().sign(key));
    for (bad, signatures) in [(one, 1), (unsigned, 0), (strangers, 0)] {
        let refused = bad.verify(&keys.trust()).unwrap_err();
        let expected = VerifyError::Threshold {
            what: "manifest",
            role: "release",
            signed: signatures,
            threshold: 2,
        };
        assert!(matches!(&refused, PackError::Verify(why) if *why == expected), "{refused}");
    }
    let bare = {
        let mut out = Vec::new();
        motion().write(&mut out).unwrap();
        out
    };
    assert!(matches!(PackedRelease::read(&bare), Err(PackError::NoManifest)));
}

#[test]
fn a_card_of_another_version_does_not_fit_its_manifest() {
    let keys = keys(1);
    let packed = packed(&nudged("2.0.0"), 2, &keys, &[]);
    let installable = packed.verify(&keys.trust()).unwrap();
    assert_eq!(installable.manifest().version, "2.0.0");
    assert!(installable.bundle().is_ok());
}

#[test]
fn a_delta_that_pays_is_packed_and_makes_the_new_file_of_the_old_one() {
    let keys = keys(1);
    let (old, new) = (motion(), nudged("1.1.0"));
    let packed = packed(&new, 2, &keys, &[&old]);
    let manifest = packed.envelope().unverified::<Manifest>().unwrap();
    let entry = manifest.deltas.iter().find(|delta| delta.path == "model.onnx").unwrap();
    assert_eq!(entry.base_sha256, Digest::of(&old.files()["model.onnx"]));
    assert!(entry.blob.len * 10 < 11_708, "{} bytes", entry.blob.len);
    let tar = crate::bundle::read_files(&packed.write().unwrap()).unwrap();
    let bytes = &tar[&format!("delta-{}", entry.blob.sha256)];
    let made = delta::apply(&old.files()["model.onnx"], bytes, 11_708).unwrap();
    assert_eq!(made, new.files()["model.onnx"]);
    let name = format!("delta-{}", entry.blob.sha256);
    let bad = tampered(&packed, |files| files.get_mut(&name).unwrap()[9] ^= 1);
    assert!(matches!(mismatch(bad, &keys.trust()), Mismatch::Altered { .. }));
}

#[test]
fn a_chunk_is_its_bytes_and_no_others() {
    let bytes = vec![7; 70_000];
    let blob = chunking::blob(&bytes);
    let first = blob.chunks[0];
    let piece = &bytes[..first.len as usize];
    assert!(is_chunk(&first, piece));
    let mut altered = piece.to_vec();
    altered[0] ^= 1;
    assert!(!is_chunk(&first, &altered));
    assert!(!is_chunk(&first, &bytes), "an endless body is too long");
    assert!(!is_chunk(&first, &piece[1..]));
}
