//! Golden samples and replays as users meet them: `inferd infer --samples`, `inferctl pack
//! --golden-samples`, `inferd check`, and the start of the daemon.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::common::gateway::without_samples;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn recordings() -> PathBuf {
    root().join("models/recordings/basic-motions-test.csv")
}

struct Ended {
    code: i32,
    out: String,
    err: String,
}

fn run(program: &str, folder: &Path, args: &[&str]) -> Ended {
    let output: Output =
        Command::new(program).args(args).env_clear().current_dir(folder).output().unwrap();
    Ended {
        code: output.status.code().expect("it ended by itself"),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn inferd(folder: &Path, args: &[&str]) -> Ended {
    run(env!("CARGO_BIN_EXE_inferd"), folder, args)
}

fn inferctl(folder: &Path, args: &[&str]) -> Ended {
    run(env!("CARGO_BIN_EXE_inferctl"), folder, args)
}

/// A folder `models/motion` with the demonstration model, without golden samples, its card changed.
fn models(change: impl FnOnce(String) -> String) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (root().join("models/motion"), folder.path().join("models/motion"));
    fs::create_dir_all(&to).unwrap();
    for name in ["model.onnx", "golden.npz"] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
    let card = fs::read_to_string(from.join("card.toml")).unwrap();
    fs::write(to.join("card.toml"), change(without_samples(&card))).unwrap();
    folder
}

/// The first 60 rows of a recording of each label, as one CSV file, times in milliseconds.
fn day(folder: &Path) -> String {
    let all = fs::read_to_string(recordings()).unwrap();
    let mut csv = "recording,label,time_ms,gz,gy,gx,az,ay,ax\n".to_owned();
    for line in all.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let step: u32 = cells[2].parse().unwrap();
        if ["0", "10", "20", "30"].contains(&cells[0]) && step < 60 {
            // Backwards: columns are matched by name.
            let values: Vec<&str> = cells[3..].iter().rev().copied().collect();
            csv += &format!("{},{},{},{}\n", cells[0], cells[1], step * 100, values.join(","));
        }
    }
    fs::write(folder.join("day.csv"), &csv).unwrap();
    csv
}

#[test]
fn the_first_example_of_infer_works_as_printed() {
    let help = inferd(root(), &["infer", "--help"]).out;
    let example = help.lines().find(|line| line.trim().starts_with("inferd infer")).unwrap();
    let args: Vec<&str> = example.split_whitespace().skip(1).collect();
    let ran = inferd(root(), &args);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.out.starts_with("RECORDING  ROW  PREDICTION\n0          39   resting 0."),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("\n280 predictions of 40 recordings, 4000 rows\n"), "{}", ran.out);
    let accuracy = "accuracy: 280 of 280 predictions match their label (100.0 %)\n";
    assert!(ran.out.contains(accuracy), "{}", ran.out);
    let row = "walking            0          0        0        70\n";
    assert!(ran.out.ends_with(row), "the confusion matrix: {}", ran.out);
    let json = inferd(root(), &[&args[..], &["--json"]].concat());
    assert_eq!(json.code, 0, "{}", json.err);
    let lines: Vec<Value> = json.out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 280);
    assert_eq!((&lines[0]["v"], &lines[0]["kind"]), (&1.into(), &"classification".into()));
    assert_eq!((&lines[279]["label"], &lines[279]["device"]), (&"badminton".into(), &"39".into()));
    assert!(json.err.contains("280 of 280"), "{}", json.err);
}

#[test]
fn a_wrong_card_shows_in_the_accuracy_of_a_replay() {
    let folder = models(|card| {
        card.replace(
            r#"["badminton", "resting", "running", "walking"]"#,
            r#"["resting", "badminton", "running", "walking"]"#,
        )
    });
    let csv = recordings();
    let ran =
        inferd(folder.path(), &["infer", "models/motion", "--samples", csv.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("accuracy: 140 of 280"), "{}", ran.out);
    assert!(ran.out.contains("badminton          0          70       0        0\n"), "{}", ran.out);
}

#[test]
fn a_stream_decodes_its_payloads_as_live() {
    let folder = models(|card| card);
    let config = "[models]\ndir = \"models\"\n[store]\ndir = \"state\"\n[control]\ndir = \
                  \"state\"\n[gateway]\nid = \"gw\"\n[[stream]]\nname = \"s\"\nmodel = \
                  \"motion\"\ntopic = \"t/{device}/imu\"\npayload = { fields = [\"/a/0\", \
                  \"/a/1\", \"/a/2\", \"/g/x\", \"/g/y\", \"/g/z\"], time = \"at\" \
                  }\n[stream.publish]\ntopic = \"p/{device}\"\nwhen = \"change\"\nmin_score = \
                  0.99\n";
    fs::write(folder.path().join("inferd.toml"), config).unwrap();
    let mut lines = String::new();
    for (n, line) in fs::read_to_string(recordings()).unwrap().lines().skip(1).take(100).enumerate()
    {
        let c: Vec<&str> = line.split(',').collect();
        let at = 1_700_000_000_000_u64 + 100 * n as u64;
        lines += &format!(
            "{{\"at\":{at},\"a\":[{},{},{}],\"g\":{{\"x\":{},\"y\":{},\"z\":{}}},\
             \"label\":\"{}\"}}\n",
            c[3], c[4], c[5], c[6], c[7], c[8], c[1]
        );
    }
    lines.insert_str(0, "{\"at\":1700000000000,\"a\":[1,2,3]}\n");
    fs::write(folder.path().join("day.jsonl"), lines).unwrap();
    let args = [
        "infer",
        "models/motion",
        "--samples",
        "day.jsonl",
        "--stream",
        "s",
        "--config",
        "inferd.toml",
    ];
    let ran = inferd(folder.path(), &[&args[..], &["--json"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.err);
    let said: Vec<Value> = ran.out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(said.len(), 7, "every prediction, whatever the publish rules: {}", ran.out);
    assert_eq!(said[0]["time"], "2023-11-14T22:13:23.900Z", "the sample's own time");
    assert_eq!((&said[0]["stream"], &said[0]["gateway"]), (&"s".into(), &"gw".into()));
    assert!(ran.err.contains("1 rows were rejected, first: recording -, row 0: "), "{}", ran.err);
    assert!(ran.err.contains("7 of 7"), "{}", ran.err);
    let other = inferd(
        folder.path(),
        &[
            "infer",
            "models/motion",
            "--samples",
            "day.jsonl",
            "--stream",
            "x",
            "--config",
            "inferd.toml",
        ],
    );
    assert_eq!(
        (other.code, other.err.contains("no stream \"x\"; it has [\"s\"]")),
        (2, true),
        "{}",
        other.err
    );
}

#[test]
fn infer_says_why_a_recording_gives_nothing() {
    let folder = models(|card| card);
    let infer = |text: &str, said: &str| {
        fs::write(folder.path().join("r.csv"), text).unwrap();
        let ran = inferd(folder.path(), &["infer", "models/motion", "--samples", "r.csv"]);
        assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
        assert!(ran.err.contains(said), "{}", ran.err);
    };
    let header = "time,ax,ay,az,gx,gy,gz\n";
    infer(&format!("{header}0,1,2,3,4,5,6\n"), "1 rows give no prediction; a window takes 40");
    let gaps: String = (0..50).map(|n| format!("{},1,2,3,4,5,6\n", 2 * n)).collect();
    infer(&format!("{header}{gaps}"), "longer than the card's max_gap");
    infer(
        &format!("{header}0,1,2,x,4,5,6\n"),
        "no predictions: recording -, row 0: az is the text \"x\"",
    );
    infer("ax,ay\n1,2\n", "no column for the card's channels [\"az\", \"gx\", \"gy\", \"gz\"]");
    let bare = root().join("models/motion/model.onnx");
    let ran = inferd(folder.path(), &["infer", bare.to_str().unwrap(), "--samples", "r.csv"]);
    assert_eq!((ran.code, ran.err.contains("give a bundle")), (2, true), "{}", ran.err);
    assert_eq!(
        inferd(folder.path(), &["infer", "models/motion", "--samples", "none.csv"]).code,
        74
    );
}

#[test]
fn golden_samples_are_made_for_a_folder_and_refuse_a_wrong_card() {
    let folder = models(|card| card);
    day(folder.path());
    let config = "[models]\ndir = \"models\"\n[store]\ndir = \"state\"\n[control]\ndir = \
                  \"state\"\n[gateway]\nid = \"gw\"\n[[stream]]\nname = \"s\"\nmodel = \
                  \"motion\"\ntopic = \"t/{device}\"\npayload = { fields = [\"ay\", \"ax\", \
                  \"az\", \"gx\", \"gy\", \"gz\"] }\n";
    fs::write(folder.path().join("inferd.toml"), config).unwrap();
    let check = || inferd(folder.path(), &["check", "--config", "inferd.toml"]);
    let checked = check();
    assert_eq!(checked.code, 0, "{}{}", checked.out, checked.err);
    assert!(
        checked
            .out
            .contains("model motion has no golden samples: its preprocessing is not verified"),
        "{}",
        checked.out
    );
    assert!(checked.out.contains("\"ay\" is taken as channel \"ax\""), "{}", checked.out);
    let args = [
        "infer",
        "models/motion",
        "--samples",
        "day.csv",
        "--golden",
        "models/motion/golden_samples.json",
    ];
    let made = inferd(folder.path(), &args);
    assert_eq!(made.code, 0, "{}", made.err);
    assert!(made.out.contains("golden samples: 12 predictions of 4 recordings"), "{}", made.out);
    assert!(!made.err.contains("warning"), "{}", made.err);
    let card = folder.path().join("models/motion/card.toml");
    let (_, lines) = made.out.split_once("[golden]\n").unwrap();
    let with = fs::read_to_string(&card).unwrap() + lines;
    fs::write(&card, &with).unwrap();
    let checked = check();
    assert_eq!(checked.code, 0, "{}{}", checked.out, checked.err);
    assert!(!checked.out.contains("golden samples: nothing"), "{}", checked.out);
    assert!(checked.out.contains("passed          passed"), "{}", checked.out);
    let raw: String =
        with.lines().filter(|l| !l.starts_with("normalize")).map(|l| format!("{l}\n")).collect();
    fs::write(&card, raw).unwrap();
    let checked = check();
    assert_eq!(checked.code, 78, "{}{}", checked.out, checked.err);
    assert!(
        checked.out.contains("is refused by its golden samples (golden_samples.json): recording "),
        "{}",
        checked.out
    );
    assert!(checked.out.contains("likely cause: normalize (the card has none)"), "{}", checked.out);
    let started = inferd(folder.path(), &["run", "--config", "inferd.toml"]);
    assert_eq!(started.code, 78, "{}", started.err);
    assert!(started.err.contains("golden samples"), "{}", started.err);
}

#[test]
fn pack_makes_golden_samples_and_verifies_labels() {
    let folder = models(|card| card);
    let csv = day(folder.path());
    let pack = |more: &[&str]| {
        let args = ["pack", "models/motion", "--counter", "1", "--out", "motion.bundle"];
        inferctl(folder.path(), &[&args[..], more].concat())
    };
    let made = pack(&["--golden-samples", "day.csv"]);
    assert_eq!(made.code, 0, "{}", made.err);
    assert!(made.out.contains("golden samples: 12 predictions of 4 recordings"), "{}", made.out);
    let shown = inferctl(folder.path(), &["inspect", "motion.bundle", "--json"]).out;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let files = shown["manifest"]["files"].as_array().unwrap();
    assert!(files.iter().any(|file| file["path"] == "golden_samples.json"), "{shown}");
    let infer = inferd(folder.path(), &["infer", "motion.bundle", "--samples", "day.csv"]);
    assert!(infer.out.contains("12 of 12"), "{}{}", infer.out, infer.err);
    // Nothing to make where it has them; made where the card names them and they are missing.
    let again = inferctl(
        folder.path(),
        &["pack", "motion.bundle", "--counter", "2", "--golden-samples", "day.csv", "--out", "b"],
    );
    assert_eq!(
        (again.code, again.err.contains("the bundle already has golden samples")),
        (1, true),
        "{}",
        again.err
    );
    let card = folder.path().join("models/motion/card.toml");
    let right = fs::read_to_string(&card).unwrap();
    fs::write(&card, format!("{right}samples = \"day.json\"\nsamples_tolerance = 0.002\n"))
        .unwrap();
    let missing = pack(&[]);
    assert!(
        missing.err.contains("day.json: these golden samples are named in the card"),
        "{}",
        missing.err
    );
    let made = pack(&["--golden-samples", "day.csv"]);
    assert!(made.out.contains("tolerance 0.002"), "{}{}", made.out, made.err);

    // Labels in another order than the model's are found before they are packed.
    let (a, b) = (r#"["badminton", "resting""#, r#"["resting", "badminton""#);
    fs::write(&card, right.replace(a, b)).unwrap();
    let wrong = pack(&["--golden-samples", "day.csv"]);
    assert_eq!(wrong.code, 1, "{}", wrong.out);
    assert!(wrong.err.contains("6 of 12 windows get the label of their rows"), "{}", wrong.err);
    assert!(wrong.err.contains("labelled \"resting\", got \"badminton\""), "{}", wrong.err);
    assert_eq!(pack(&["--golden-samples", "day.csv", "--min-accuracy", "0.5"]).code, 0);
    fs::write(&card, right).unwrap();
    // What one window cannot prove is told.
    let one: String = csv.lines().take(41).map(|line| format!("{line}\n")).collect();
    fs::write(folder.path().join("one.csv"), one).unwrap();
    let made = pack(&["--golden-samples", "one.csv"]);
    assert_eq!(made.code, 0, "{}", made.err);
    assert!(made.err.contains("they come out the same with another hop than 10"), "{}", made.err);
}
