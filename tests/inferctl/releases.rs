//! Keys and releases, which need no broker.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use super::workspace::Workspace;

#[test]
fn a_release_is_packed_signed_and_verified() {
    let workspace = Workspace::new();
    let made = workspace.pack(&["--counter", "1", "--out", "motion.bundle"]);
    assert_eq!((&made["name"], &made["counter"]), (&"motion".into(), &1.into()));
    let verify = ["verify", "motion.bundle", "--keyset", "keyset-1.json", "--json"];
    assert!(workspace.run_refused(&verify).contains("0 of the 1 release signatures"));
    let sign = ["sign", "motion.bundle", "--key", "release.key", "--password-file", "password"];
    workspace.run_ok(&sign);
    let good: Value = serde_json::from_str(&workspace.run_ok(&verify)).unwrap();
    assert_eq!((&good["counter"], &good["keyset"]), (&1.into(), &1.into()));
    let shown: Value =
        serde_json::from_str(&workspace.run_ok(&["inspect", "motion.bundle", "--json"])).unwrap();
    assert_eq!(shown["manifest"]["name"], "motion");
    assert_eq!(shown["claimed_signers"].as_array().unwrap().len(), 1);
    // The same release signed by the wrong role is nobody's release.
    workspace.pack(&["--counter", "1", "--out", "other.bundle"]);
    workspace.run_ok(&["sign", "other.bundle", "--key", "deploy.key"]);
    workspace.run_refused(&["verify", "other.bundle", "--keyset", "keyset-1.json"]);
}

#[test]
fn the_same_release_gives_the_same_bytes() {
    let workspace = Workspace::new();
    for out in ["a.bundle", "b.bundle"] {
        workspace.pack(&["--counter", "7", "--created", "2026-11-22T10:00:00Z", "--out", out]);
    }
    let read = |name: &str| fs::read(workspace.folder.path().join(name)).unwrap();
    assert_eq!(read("a.bundle"), read("b.bundle"));
}

#[test]
fn a_changed_byte_in_the_bundle_is_found() {
    let workspace = Workspace::new();
    workspace.pack(&["--counter", "1", "--out", "motion.bundle"]);
    workspace.run_ok(&[
        "sign",
        "motion.bundle",
        "--key",
        "release.key",
        "--password-file",
        "password",
    ]);
    let path = workspace.folder.path().join("motion.bundle");
    let good = fs::read(&path).unwrap();
    let verify = ["verify", "motion.bundle", "--keyset", "keyset-1.json"];
    // In the card, and in the middle of what follows it.
    for at in [700, good.len() / 2] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, &bad).unwrap();
        workspace.run_refused(&verify);
    }
    fs::write(&path, &good[..good.len() / 2]).unwrap();
    workspace.run_refused(&verify);
}

#[test]
fn keys_rotate_and_the_old_ones_are_worth_nothing() {
    let workspace = Workspace::new();
    workspace.run_ok(&["keygen", "--out", "new.key", "--unencrypted"]);
    fs::rename(
        workspace.folder.path().join("release.key"),
        workspace.folder.path().join("old.key"),
    )
    .unwrap();
    // Only who holds an old release key makes the next keyset.
    let next = |signer| {
        let args = ["keys", "--after", "keyset-1.json", "--release", "new.key", "--deploy"];
        let more = ["deploy.key", "--password-file", "password", "--out", "keyset-2.json"];
        [&args[..], &more, &["--sign-with", signer]].concat()
    };
    workspace.run_refused(&next("new.key"));
    workspace.run_ok(&next("old.key"));
    workspace.pack(&["--counter", "2", "--out", "motion.bundle"]);
    workspace.run_ok(&["sign", "motion.bundle", "--key", "old.key", "--password-file", "password"]);
    let both = ["--keyset", "keyset-1.json", "--keyset", "keyset-2.json"];
    workspace.run_refused(&[&["verify", "motion.bundle"], &both[..]].concat());
    workspace.run_ok(&["sign", "motion.bundle", "--key", "new.key"]);
    workspace.run_ok(&[&["verify", "motion.bundle"], &both[..]].concat());
}

#[test]
fn key_files_are_for_their_owner_alone() {
    let workspace = Workspace::new();
    let path = workspace.folder.path().join("release.key");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    workspace.pack(&["--counter", "1", "--out", "motion.bundle"]);
    assert!(
        workspace
            .run_refused(&["sign", "motion.bundle", "--key", "release.key"])
            .contains("password")
    );
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let sign = ["sign", "motion.bundle", "--key", "release.key", "--password-file", "password"];
    assert!(workspace.run_refused(&sign).contains("chmod 600"));
    let again = workspace.run(&["keygen", "--out", "deploy.key", "--unencrypted"]);
    assert_eq!(again.code, 74, "a key is never overwritten");
}

#[test]
fn golden_vectors_are_made_of_inputs_where_there_are_none() {
    let workspace = Workspace::new();
    let folder = workspace.folder.path().join("bare");
    fs::create_dir(&folder).unwrap();
    let motion = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/motion");
    fs::copy(motion.join("model.onnx"), folder.join("model.onnx")).unwrap();
    let card = fs::read_to_string(motion.join("card.toml")).unwrap();
    let (before, after) = card.split_once("[golden]").unwrap();
    let after = after.split_once("\n[").map_or(String::new(), |(_, rest)| format!("\n[{rest}"));
    fs::write(folder.join("card.toml"), format!("{before}{after}")).unwrap();
    let golden = motion.join("golden.npz");
    workspace.run_ok(&[
        "pack",
        "bare",
        "--counter",
        "1",
        "--golden-inputs",
        golden.to_str().unwrap(),
        "--out",
        "bare.bundle",
    ]);
    let shown: Value =
        serde_json::from_str(&workspace.run_ok(&["inspect", "bare.bundle", "--json"])).unwrap();
    let files = shown["manifest"]["files"].as_array().unwrap();
    assert!(files.iter().any(|file| file["path"] == "golden.npz"));
}

#[test]
fn every_verb_has_help_with_an_example() {
    let workspace = Workspace { folder: tempfile::tempdir().unwrap() };
    let plain =
        "keygen keys pack sign verify inspect simulate publish rollback withdraw fleet tail";
    for verb in plain.split(' ').chain(["rollout"]) {
        assert!(workspace.run_ok(&[verb, "--help"]).contains("Example"), "{verb} --help");
    }
    for verb in ["start", "watch", "pause", "resume", "abort"] {
        assert!(
            workspace.run_ok(&["rollout", verb, "--help"]).contains("Example"),
            "{verb} --help"
        );
    }
    assert_eq!(workspace.run(&[]).code, 2);
    assert_eq!(
        workspace.run(&["keygen", "--out", "k"]).code,
        2,
        "in the clear only when asked for"
    );
}
