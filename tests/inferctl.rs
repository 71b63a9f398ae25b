//! The operator's tool as its users meet it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

pub(crate) struct Desk {
    pub(crate) folder: TempDir,
}

pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Desk {
    /// A folder with the keys and the keyset of a fleet.
    pub(crate) fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(desk.folder.path().join("password"), "correct horse\n").unwrap();
        desk.well(&["keygen", "--out", "release.key", "--password-file", "password"]);
        desk.well(&["keygen", "--out", "deploy.key", "--unencrypted"]);
        desk.well(&[
            "keys",
            "--release",
            "release.key",
            "--deploy",
            "deploy.key",
            "--password-file",
            "password",
            "--out",
            "keyset-1.json",
        ]);
        desk
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_inferctl"));
        let output = command.args(args).env_clear().current_dir(self.folder.path()).output();
        let output = output.unwrap();
        Ended {
            code: output.status.code().expect("it ended by itself"),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn well(&self, args: &[&str]) -> String {
        let ended = self.run(args);
        assert_eq!(ended.code, 0, "{args:?}: {}", ended.err);
        ended.out
    }

    pub(crate) fn refused(&self, args: &[&str]) -> String {
        let ended = self.run(args);
        assert_eq!(ended.code, 1, "{args:?}: {}{}", ended.out, ended.err);
        ended.err
    }

    pub(crate) fn pack(&self, more: &[&str]) -> Value {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/motion");
        let args = ["pack", model.to_str().unwrap(), "--json"];
        serde_json::from_str(&self.well(&[&args[..], more].concat())).unwrap()
    }
}

#[test]
fn a_release_is_packed_signed_and_verified() {
    let desk = Desk::new();
    let made = desk.pack(&["--counter", "1", "--out", "motion.bundle"]);
    assert_eq!((&made["name"], &made["counter"]), (&"motion".into(), &1.into()));
    let verify = ["verify", "motion.bundle", "--keyset", "keyset-1.json", "--json"];
    assert!(desk.refused(&verify).contains("0 of the 1 release signatures"));
    let sign = ["sign", "motion.bundle", "--key", "release.key", "--password-file", "password"];
    desk.well(&sign);
    let good: Value = serde_json::from_str(&desk.well(&verify)).unwrap();
    assert_eq!((&good["counter"], &good["keyset"]), (&1.into(), &1.into()));
    let shown: Value =
        serde_json::from_str(&desk.well(&["inspect", "motion.bundle", "--json"])).unwrap();
    assert_eq!(shown["manifest"]["name"], "motion");
    assert_eq!(shown["claimed_signers"].as_array().unwrap().len(), 1);
    // The same release signed by the wrong role is nobody's release.
    desk.pack(&["--counter", "1", "--out", "other.bundle"]);
    desk.well(&["sign", "other.bundle", "--key", "deploy.key"]);
    desk.refused(&["verify", "other.bundle", "--keyset", "keyset-1.json"]);
}

#[test]
fn the_same_release_gives_the_same_bytes() {
    let desk = Desk::new();
    for out in ["a.bundle", "b.bundle"] {
        desk.pack(&["--counter", "7", "--created", "2026-11-22T10:00:00Z", "--out", out]);
    }
    let read = |name: &str| fs::read(desk.folder.path().join(name)).unwrap();
    assert_eq!(read("a.bundle"), read("b.bundle"));
}

#[test]
fn a_changed_byte_in_the_bundle_is_found() {
    let desk = Desk::new();
    desk.pack(&["--counter", "1", "--out", "motion.bundle"]);
    desk.well(&["sign", "motion.bundle", "--key", "release.key", "--password-file", "password"]);
    let path = desk.folder.path().join("motion.bundle");
    let good = fs::read(&path).unwrap();
    let verify = ["verify", "motion.bundle", "--keyset", "keyset-1.json"];
    // In the card, and in the middle of what follows it.
    for at in [700, good.len() / 2] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, &bad).unwrap();
        desk.refused(&verify);
    }
    fs::write(&path, &good[..good.len() / 2]).unwrap();
    desk.refused(&verify);
}

#[test]
fn keys_rotate_and_the_old_ones_are_worth_nothing() {
    let desk = Desk::new();
    desk.well(&["keygen", "--out", "new.key", "--unencrypted"]);
    fs::rename(desk.folder.path().join("release.key"), desk.folder.path().join("old.key")).unwrap();
    // Only who holds an old release key makes the next keyset.
    let next = |signer| {
        let args = ["keys", "--after", "keyset-1.json", "--release", "new.key", "--deploy"];
        let more = ["deploy.key", "--password-file", "password", "--out", "keyset-2.json"];
        [&args[..], &more, &["--sign-with", signer]].concat()
    };
    desk.refused(&next("new.key"));
    desk.well(&next("old.key"));
    desk.pack(&["--counter", "2", "--out", "motion.bundle"]);
    desk.well(&["sign", "motion.bundle", "--key", "old.key", "--password-file", "password"]);
    let both = ["--keyset", "keyset-1.json", "--keyset", "keyset-2.json"];
    desk.refused(&[&["verify", "motion.bundle"], &both[..]].concat());
    desk.well(&["sign", "motion.bundle", "--key", "new.key"]);
    desk.well(&[&["verify", "motion.bundle"], &both[..]].concat());
}

#[test]
fn key_files_are_for_their_owner_alone() {
    let desk = Desk::new();
    let path = desk.folder.path().join("release.key");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    desk.pack(&["--counter", "1", "--out", "motion.bundle"]);
    assert!(desk.refused(&["sign", "motion.bundle", "--key", "release.key"]).contains("password"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let sign = ["sign", "motion.bundle", "--key", "release.key", "--password-file", "password"];
    assert!(desk.refused(&sign).contains("chmod 600"));
    let again = desk.run(&["keygen", "--out", "deploy.key", "--unencrypted"]);
    assert_eq!(again.code, 74, "a key is never overwritten");
}

#[test]
fn golden_vectors_are_made_of_inputs_where_there_are_none() {
    let desk = Desk::new();
    let folder = desk.folder.path().join("bare");
    fs::create_dir(&folder).unwrap();
    let motion = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/motion");
    fs::copy(motion.join("model.onnx"), folder.join("model.onnx")).unwrap();
    let card = fs::read_to_string(motion.join("card.toml")).unwrap();
    let (before, after) = card.split_once("[golden]").unwrap();
    let after = after.split_once("\n[").map_or(String::new(), |(_, rest)| format!("\n[{rest}"));
    fs::write(folder.join("card.toml"), format!("{before}{after}")).unwrap();
    let golden = motion.join("golden.npz");
    desk.well(&[
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
        serde_json::from_str(&desk.well(&["inspect", "bare.bundle", "--json"])).unwrap();
    let files = shown["manifest"]["files"].as_array().unwrap();
    assert!(files.iter().any(|file| file["path"] == "golden.npz"));
}

#[test]
fn every_verb_has_help_with_an_example() {
    let desk = Desk { folder: tempfile::tempdir().unwrap() };
    let plain =
        "keygen keys pack sign verify inspect simulate publish rollback withdraw fleet tail";
    for verb in plain.split(' ').chain(["rollout"]) {
        assert!(desk.well(&[verb, "--help"]).contains("Example"), "{verb} --help");
    }
    for verb in ["start", "watch", "pause", "resume", "abort"] {
        assert!(desk.well(&["rollout", verb, "--help"]).contains("Example"), "{verb} --help");
    }
    assert_eq!(desk.run(&[]).code, 2);
    assert_eq!(desk.run(&["keygen", "--out", "k"]).code, 2, "in the clear only when asked for");
}
