//! What gateways fetch is there, to the byte, and is sent once.

use std::collections::BTreeMap;
use std::path::Path;

use inferd::bundle::Bundle;
use inferd::npz;
use inferd::tensor::{Data, Tensor};
use serde_json::Value;

use super::Setup;
use super::mosquitto_sub::{empty, retained, sha256sum};

/// A release of some dozens of chunks: the demonstration model with many golden vectors.
fn large(setup: &Setup) -> Value {
    let motion = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/motion");
    let folder = setup.workspace.folder.path().join("bare");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(motion.join("model.onnx"), folder.join("model.onnx")).unwrap();
    let card = std::fs::read_to_string(motion.join("card.toml")).unwrap();
    let (before, after) = card.split_once("[golden]").unwrap();
    let after = after.split_once("\n[").map_or(String::new(), |(_, rest)| format!("\n[{rest}"));
    std::fs::write(folder.join("card.toml"), format!("{before}{after}")).unwrap();
    let model = Bundle::open(&motion).unwrap().model().unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    let mut inputs = BTreeMap::new();
    for spec in model.inputs() {
        let mut tensor = Tensor::zeros(spec.dtype, &[&[900], &spec.shape[..]].concat());
        let Data::F32(values) = &mut tensor.data else { panic!("the model takes floats") };
        values.fill_with(|| random.f32());
        inputs.insert(spec.name.clone(), tensor);
    }
    let bytes = npz::write(inputs.iter().map(|(name, tensor)| (name.as_str(), tensor))).unwrap();
    std::fs::write(setup.workspace.folder.path().join("in.npz"), bytes).unwrap();
    let pack = ["pack", "bare", "--counter", "1", "--golden-inputs", "in.npz", "--out", "l.bundle"];
    setup.workspace.run_ok(&pack);
    setup.sign("l.bundle");
    serde_json::from_str(&setup.workspace.run_ok(&["inspect", "l.bundle", "--json"])).unwrap()
}

#[test]
fn every_chunk_is_retained_and_only_what_is_missing_is_sent_again() {
    let Some(setup) = Setup::open("publish against mosquitto") else { return };
    let shown = large(&setup);
    let publish = ["publish", "l.bundle", "--keyset", "keyset-1.json"];
    let first = setup.json(&publish);
    assert_eq!((&first["sent_chunks"], &first["keysets_sent"]), (&first["chunks"], &1.into()));
    let (port, folder) = (setup.broker.port(), setup.workspace.folder.path());
    let files = shown["manifest"]["files"].as_array().unwrap();
    let (mut chunks, mut longest) = (0, (String::new(), 0));
    for file in files {
        let (mut whole, sha256) = (Vec::new(), file["sha256"].as_str().unwrap());
        let of = file["chunks"].as_array().unwrap();
        for (index, chunk) in of.iter().enumerate() {
            let bytes = retained(port, &format!("inferd/v1/blob/{sha256}/{index}")).unwrap();
            assert_eq!(chunk["sha256"], sha256sum(folder, &bytes), "{} {index}", file["path"]);
            assert!(bytes.len() <= 64 << 10);
            whole.extend(bytes);
        }
        assert_eq!(sha256, sha256sum(folder, &whole), "{}", file["path"]);
        chunks += of.len();
        if of.len() > longest.1 {
            longest = (sha256.to_owned(), of.len());
        }
    }
    let manifest = first["manifest"].as_str().unwrap();
    // Its keys are new each time, and so is where it is cut.
    let topic = |index| format!("inferd/v1/blob/{manifest}/{index}");
    let parts: Vec<_> = (0..).map_while(|index| retained(port, &topic(index))).collect();
    assert_eq!(manifest, sha256sum(folder, &parts.concat()));
    chunks += parts.len();
    assert_eq!(first["chunks"], chunks);
    assert!(longest.1 > 32, "long enough that the missing part is searched for: {}", longest.1);
    assert_eq!(setup.json(&publish)["sent_chunks"], 0, "all of it is there");

    // As a publish that was interrupted leaves it: the end of a file and the manifest missing.
    for index in longest.1 - 11..longest.1 {
        empty(port, &format!("inferd/v1/blob/{}/{index}", longest.0));
    }
    (0..parts.len()).for_each(|index| empty(port, &topic(index)));
    assert_eq!(setup.json(&publish)["sent_chunks"], 11 + parts.len());
    assert_eq!(setup.json(&publish)["sent_chunks"], 0);
    let all = setup.json(&[&publish[..], &["--all"]].concat());
    assert_eq!(all["sent_chunks"], chunks, "unless everything is asked for");
    let keyset = std::fs::read(folder.join("keyset-1.json")).unwrap();
    assert_eq!(retained(port, "inferd/v1/keys/1").unwrap(), keyset);
}

#[test]
fn a_web_server_gets_files_under_their_digests() {
    let Some(setup) = Setup::open("publish --web") else { return };
    let bundle = setup.release(1);
    let publish = ["publish", &bundle, "--keyset", "keyset-1.json", "--web", "www", "--json"];
    // Needs no broker.
    let done: Value = serde_json::from_str(&setup.workspace.run_ok(&publish)).unwrap();
    let folder = setup.workspace.folder.path();
    let mut bytes = 0;
    for file in std::fs::read_dir(folder.join("www")).unwrap() {
        let path = file.unwrap().path();
        let content = std::fs::read(&path).unwrap();
        assert_eq!(path.file_name().unwrap().to_str().unwrap(), sha256sum(folder, &content));
        bytes += content.len();
    }
    assert_eq!(done["sent_bytes"], bytes);
    let again: Value = serde_json::from_str(&setup.workspace.run_ok(&publish)).unwrap();
    assert_eq!(again["sent_bytes"], 0);
}

#[test]
fn a_release_that_gateways_would_refuse_is_not_published() {
    let Some(setup) = Setup::open("publish refuses") else { return };
    setup.workspace.pack(&["--counter", "1", "--out", "unsigned.bundle"]);
    let ended = setup.run(&["publish", "unsigned.bundle", "--keyset", "keyset-1.json"]);
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("0 of the 1 release signatures"), "{}", ended.err);
    assert_eq!(retained(setup.broker.port(), "inferd/v1/#"), None, "nothing was sent");
}

#[test]
fn where_the_broker_is_away_the_exit_code_says_so() {
    let Some(mut setup) = Setup::open("no broker") else { return };
    let bundle = setup.release(1);
    setup.broker.stop();
    for args in [
        &["publish", &bundle, "--keyset", "keyset-1.json"][..],
        &["fleet"],
        &["tail"],
        &["withdraw", "--model", "motion", "--group", "a"],
    ] {
        let ended = setup.run(args);
        assert_eq!(ended.code, 69, "{args:?}: {}", ended.err);
        assert!(ended.err.contains("cannot be reached"), "{}", ended.err);
    }
}
