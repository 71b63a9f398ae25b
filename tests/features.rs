//! Features of the card as users meet them: the vibration demonstration, `inferd try`, `infer`, `check`,
//! and `inferctl pack`.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

const RECORDINGS: &str = "models/recordings/vibration-synthetic.csv";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

struct Ended {
    code: i32,
    out: String,
    err: String,
}

fn run(program: &str, folder: &Path, args: &[&str]) -> Ended {
    let output = Command::new(program).args(args).env_clear().current_dir(folder).output().unwrap();
    Ended {
        code: output.status.code().expect("it ended by itself"),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn inferd(folder: &Path, args: &[&str]) -> Ended {
    run(env!("CARGO_BIN_EXE_inferd"), folder, args)
}

/// The vibration model with its card changed, and a configuration with a stream for it.
fn models(from: &str, to: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (source, target) =
        (root().join("models/vibration"), folder.path().join("models/vibration"));
    fs::create_dir_all(&target).unwrap();
    for name in ["model.onnx", "golden.npz", "golden_samples.json"] {
        fs::copy(source.join(name), target.join(name)).unwrap();
    }
    let card = fs::read_to_string(source.join("card.toml")).unwrap();
    assert!(card.contains(from), "the card has no {from:?}");
    fs::write(target.join("card.toml"), card.replace(from, to)).unwrap();
    let config = "[models]\ndir = \"models\"\n[store]\ndir = \"state\"\n[control]\ndir = \
                  \"state\"\n[gateway]\nid = \"gw\"\n[[stream]]\nname = \"pumps\"\nmodel = \
                  \"vibration\"\ntopic = \"pumps/{device}/mg\"\npayload = { samples = \"mg\", \
                  fields = [\"x\", \"y\", \"z\"] }\n";
    fs::write(folder.path().join("inferd.toml"), config).unwrap();
    folder
}

/// Raw samples over a broker, features, an autoencoder, and the damaged bearing is found.
#[cfg(feature = "demo")]
#[test]
fn the_vibration_demonstration_finds_the_damaged_bearing() {
    let ran = inferd(root(), &["demo", "vibration", "--speed", "0", "--json"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let found: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&found["synthetic"], &found["samples"]), (&true.into(), &8000.into()));
    let pump = |name: &str, key: &str| found["pumps"][name][key].as_u64();
    assert_eq!((pump("pump-1", "windows"), pump("pump-1", "anomalies")), (Some(30), Some(0)));
    assert_eq!((pump("pump-2", "windows"), pump("pump-2", "missed")), (Some(30), Some(0)));
    assert!(pump("pump-2", "found_after").is_some_and(|samples| samples <= 256), "{found}");
    let shown = inferd(root(), &["demo", "vibration", "--speed", "0"]);
    assert!(shown.out.contains("The vibration is synthetic"), "{}", shown.out);
    assert!(shown.out.contains("the damaged bearing was found"), "{}", shown.out);
}

#[test]
fn a_recording_of_raw_samples_is_replayed() {
    let args = ["infer", "models/vibration", "--samples", RECORDINGS, "--json"];
    let ran = inferd(root(), &args);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let lines: Vec<Value> = ran.out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 60, "{}", ran.err);
    let anomalies = |of: &[Value]| of.iter().filter(|line| line["anomaly"] == true).count();
    assert_eq!((anomalies(&lines[..30]), anomalies(&lines[46..])), (0, 14));
}

/// Golden samples begin before the features: a card with another filter is refused.
#[test]
fn a_card_with_other_features_is_refused() {
    let check = |folder: &TempDir| inferd(folder.path(), &["check", "--config", "inferd.toml"]);
    let same = check(&models("filter_cutoff", "filter_cutoff"));
    assert_eq!(same.code, 0, "{}{}", same.out, same.err);
    assert!(same.out.contains("passed          passed"), "{}", same.out);
    let other = check(&models("filter_cutoff = 5.0", "filter_cutoff = 50.0"));
    assert_eq!(other.code, 78, "{}{}", other.out, other.err);
    assert!(other.out.contains("is refused by its golden samples"), "{}", other.out);
    assert!(other.out.contains("likely cause: the blocks of features"), "{}", other.out);
    let shorter = check(&models("fft_length = 64", "fft_length = 32"));
    let reason = "20 features of each of 3 channels, [3, 20], and the model takes [1, 108]";
    assert!(shorter.out.contains(reason), "{}{}", shorter.out, shorter.err);
    let unknown = check(&models("initial = \"steady\"", "start = \"steady\""));
    assert!(unknown.out.contains("input[0].features[0].start"), "{}{}", unknown.out, unknown.err);
}

#[test]
fn try_shows_the_features_of_a_window() {
    let folder = models("fft_length", "fft_length");
    let text = fs::read_to_string(root().join(RECORDINGS)).unwrap();
    let rows = text.lines().skip(1).take(256).map(|line| {
        let cells: Vec<&str> = line.split(',').skip(2).collect();
        format!("[{}]", cells.join(","))
    });
    let payload = format!("{{\"mg\":[{}]}}", rows.collect::<Vec<_>>().join(","));
    fs::write(folder.path().join("payload.json"), payload).unwrap();
    let args = ["try", "pumps", "payload.json", "--config", "inferd.toml"];
    let shown = inferd(folder.path(), &args);
    assert_eq!(shown.code, 0, "{}{}", shown.out, shown.err);
    assert!(shown.out.contains("  features    features: "), "{}", shown.out);
    assert!(shown.out.contains("features f32 [1, 108]: "), "{}", shown.out);
    let json = inferd(folder.path(), &[&args[..], &["--json"]].concat());
    let tried: Value = serde_json::from_str(json.out.lines().next().unwrap()).unwrap();
    assert_eq!(tried["inputs"][0]["features"].as_array().unwrap().len(), 24, "{tried}");
}

/// A release with features has golden samples made of a recording, and a baseline.
#[test]
fn a_release_with_features_is_packed() {
    let folder = models("samples = \"golden_samples.json\"\nsamples_tolerance = 0.001\n", "");
    let samples = root().join(RECORDINGS);
    let args = ["pack", "models/vibration", "--counter", "1", "--out", "vibration.bundle"];
    let recording = ["--golden-samples", samples.to_str().unwrap()];
    let inferctl = |args: &[&str]| run(env!("CARGO_BIN_EXE_inferctl"), folder.path(), args);
    fs::remove_file(folder.path().join("models/vibration/golden_samples.json")).unwrap();
    let made = inferctl(&[&args[..], &recording].concat());
    assert_eq!(made.code, 0, "{}{}", made.out, made.err);
    assert!(made.out.contains("golden samples: 60 predictions of 2 recordings"), "{}", made.out);
    let infer = ["infer", "vibration.bundle", "--samples", samples.to_str().unwrap()];
    let infer = inferd(folder.path(), &infer);
    assert_eq!(infer.code, 0, "{}", infer.err);
    let few = ["baseline", samples.to_str().unwrap(), "--bundle", "models/vibration"];
    let few = inferctl(&few);
    assert!(few.err.contains("60 windows are too few for a baseline"), "{}", few.err);
    // The same pumps a second time.
    let text = fs::read_to_string(&samples).unwrap();
    let again = text.lines().skip(1).map(|line| format!("again-{line}\n"));
    fs::write(folder.path().join("twice.csv"), text.clone() + &again.collect::<String>()).unwrap();
    let baseline = inferctl(&["baseline", "twice.csv", "--bundle", "models/vibration"]);
    assert_eq!(baseline.code, 0, "{}{}", baseline.out, baseline.err);
}
