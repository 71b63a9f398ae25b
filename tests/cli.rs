//! The program as its users meet it: arguments, what it prints, how it ends.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use inferd::npz;
use inferd::tensor::{Dtype, Tensor};
use serde_json::Value;
use tempfile::TempDir;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn motion() -> PathBuf {
    root().join("models/motion")
}

/// The program with nothing of our own environment that it would listen to.
fn inferd(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_inferd"));
    command.args(args).env_clear().stdin(Stdio::null());
    command
}

struct Ended {
    code: i32,
    out: String,
    err: String,
}

fn run(args: &[&str]) -> Ended {
    ended(inferd(args).output().unwrap())
}

fn ended(output: Output) -> Ended {
    Ended {
        code: output.status.code().expect("it ended by itself"),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A configuration that uses the demonstration model.
fn config(folder: &TempDir, more: &str) -> PathBuf {
    let path = folder.path().join("inferd.toml");
    let models = root().join("models");
    let text = format!(
        "[models]\ndir = {models:?}\n[gateway]\nid = \"gw\"\n[store]\ndir = \"state\"\n\
         [[stream]]\nname = \"motion\"\nmodel = \"motion\"\ntopic = \"sensors/{{device}}/imu\"\n\
         payload = {{ fields = [\"ax\", \"ay\", \"az\", \"gx\", \"gy\", \"gz\"] }}\n{more}"
    );
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn wrong_usage_ends_with_2_and_help_with_0() {
    assert_eq!(run(&[]).code, 2);
    assert_eq!(run(&["bench"]).code, 2);
    assert_eq!(run(&["bench", "m.onnx", "--iterations", "0"]).code, 2);
    assert!(run(&["chekc"]).err.contains("check"));
    assert_eq!(run(&["--version"]).out.trim(), concat!("inferd ", env!("CARGO_PKG_VERSION")));
    for verb in ["run", "check", "infer", "bench"] {
        let help = run(&[verb, "--help"]);
        assert_eq!(help.code, 0);
        assert!(help.out.contains("Example"), "{verb} --help shows no example");
    }
}

#[cfg(feature = "demo")]
#[test]
fn demo_says_what_is_wrong_with_a_broker() {
    assert!(run(&["demo", "--help"]).out.contains("Example"));
    let bad = run(&["demo", "--broker", "http://broker"]);
    assert_eq!(bad.code, 78);
    assert!(bad.err.contains("unknown scheme"), "{}", bad.err);
}

#[test]
fn check_prints_what_it_found_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = config(&folder, "");
    let good = run(&["check", "--config", text(&path)]);
    assert_eq!(good.code, 0, "{}{}", good.out, good.err);
    assert!(good.out.contains("motion  sensors/{device}/imu"), "{}", good.out);
    assert!(good.out.contains("passed"), "golden vectors: {}", good.out);
    let good = run(&["check", "--json", "--config", text(&path)]);
    let report: Value = serde_json::from_str(&good.out).unwrap();
    assert_eq!(report["ok"], true);
    assert_eq!(report["models"][0]["version"], "1.0.0");
    assert_eq!(report["models"][0]["digest"].as_str().unwrap().len(), 64);
}

#[test]
fn check_tells_what_saved_windows_write_in_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let a_day = |windows: &str, args: &[&str]| -> Vec<u64> {
        let path = config(&folder, &format!("windows = \"{windows}\"\n"));
        let checked = run(&[&["check", "--json", "--config", text(&path)], args].concat());
        let report: Value = serde_json::from_str(&checked.out).unwrap();
        let wear = &report["wear"][0];
        assert_eq!(wear["windows"], windows, "{report}");
        ["bytes_per_day", "with_checkpoint", "with_journal"]
            .map(|of| wear[of].as_u64().unwrap())
            .into()
    };
    let few = a_day("journal", &["--rate", "10", "--devices", "10"]);
    let many = a_day("checkpoint", &["--rate", "10", "--devices", "1000"]);
    assert_eq!((few[0], many[0]), (few[2], many[1]));
    // 10,000 samples a second with 6 channels in 4 bytes; windows of 40 of them every 5 s.
    let journal = 10_000 * 6 * 4 * 86_400;
    assert!((journal..4 * journal).contains(&many[2]), "{many:?}");
    let checkpoint = 1000 * 40 * 6 * 4 * 86_400 / 5;
    assert!((checkpoint..3 * checkpoint).contains(&many[1]), "{many:?}");
    assert!(many[2] > 8 * few[2], "{few:?} {many:?}");
    assert_eq!(a_day("memory", &[])[0], 0);
    let shown = run(&["check", "--rate", "25", "--config", text(&config(&folder, ""))]);
    assert!(shown.out.contains("25 samples a second from each of 10 devices"), "{}", shown.out);
    assert_eq!(run(&["check", "--rate", "0"]).code, 2);
}

#[test]
fn check_prints_every_problem_and_ends_with_78() {
    let folder = tempfile::tempdir().unwrap();
    let second = "[[stream]]\nname = \"b\"\nmodel = \"nowhere\"\ntopic = \"b/{device}\"\n";
    let path = config(&folder, &format!("max_keys = 0\n{second}[workers]\nthread = 2\n"));
    let bad = run(&["check", "--config", text(&path)]);
    assert_eq!(bad.code, 78, "{}{}", bad.out, bad.err);
    assert!(bad.out.contains("inferd.toml:12: stream[0].max_keys = 0: too small"), "{}", bad.out);
    assert!(bad.out.contains("workers.thread: unknown option; did you mean"), "{}", bad.out);
    assert!(bad.out.contains("stream[1].model = \"nowhere\": no model nowhere"), "{}", bad.out);
    assert!(bad.out.contains("3 problems"), "{}", bad.out);
    let bad = run(&["check", "--json", "--config", text(&path)]);
    assert_eq!(bad.code, 78);
    let report: Value = serde_json::from_str(&bad.out).unwrap();
    assert_eq!(report["ok"], false);
    let problems = report["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 3);
    assert_eq!(problems[0]["path"], "stream[0].max_keys");
    assert_eq!(problems[0]["value"], "0");
    assert_eq!(problems[0]["allowed"], "1 to 1000000");
    assert!(problems[0]["place"].as_str().unwrap().ends_with("inferd.toml:12"));
}

#[test]
fn check_finds_the_file_and_the_overrides_in_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let path = config(&folder, "");
    let named = ended(inferd(&["check"]).env("INFERD_CONFIG", &path).output().unwrap());
    assert_eq!(named.code, 0, "{}{}", named.out, named.err);
    let mut overridden = inferd(&["check", "--config", text(&path)]);
    let overridden = ended(overridden.env("INFERD__BROKER__PORT", "0").output().unwrap());
    assert_eq!(overridden.code, 78);
    assert!(overridden.out.contains("environment INFERD__BROKER__PORT"), "{}", overridden.out);
    let missing = run(&["check", "--config", "/nowhere/inferd.toml"]);
    assert_eq!(missing.code, 78);
    assert!(missing.err.contains("cannot read /nowhere/inferd.toml"), "{}", missing.err);
    assert!(missing.err.contains("--config") && missing.err.contains("check --reference"));
}

#[test]
fn check_shows_the_reference_it_checks_by() {
    let reference = run(&["check", "--reference"]);
    assert_eq!(reference.code, 0);
    assert_eq!(reference.out, fs::read_to_string(root().join("config/inferd.toml")).unwrap());
}

#[test]
fn run_refuses_a_configuration_that_check_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let path = config(&folder, "qos = 7\n");
    let bad = run(&["run", "--config", text(&path)]);
    assert_eq!(bad.code, 78);
    assert!(bad.err.contains("stream[0].qos = 7: too large; allowed: 0 to 1"), "{}", bad.err);
    let empty = folder.path().join("empty.toml");
    fs::write(&empty, "[gateway]\nid = \"gw\"\n").unwrap();
    let bad = run(&["run", "--config", text(&empty)]);
    assert_eq!(bad.code, 78);
    assert!(bad.err.contains("no [[stream]]"), "{}", bad.err);
}

#[test]
fn infer_gives_what_the_golden_vectors_say() {
    let folder = tempfile::tempdir().unwrap();
    let golden = motion().join("golden.npz");
    let out = folder.path().join("out.npz");
    let ran = run(&["infer", text(&motion()), "--inputs", text(&golden), "--outputs", text(&out)]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let wanted = npz::read(&fs::read(golden).unwrap(), 1 << 20).unwrap();
    let found = npz::read(&fs::read(out).unwrap(), 1 << 20).unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["logits"]);
    assert_eq!(found["logits"].shape, wanted["logits"].shape);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing half-written is left");
}

#[test]
fn infer_explains_what_runs_in_float() {
    let ran = run(&["infer", text(&motion()), "--explain"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains(" nodes in integers, "), "{}", ran.out);
    // A float model has nothing but float nodes, each with its reason.
    let float = root().join("models/motion-float.onnx");
    let ran = run(&["infer", text(&float), "--explain"]);
    assert!(ran.out.starts_with("0 nodes in integers"), "{}", ran.out);
    assert!(ran.out.contains("WHY") && ran.out.contains("Conv"), "{}", ran.out);
    assert_eq!(run(&["infer", text(&float), "--inputs", "in.npz"]).code, 2);
    let ran = run(&["infer", text(&float), "--explain", "--json"]);
    let said: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(said["nodes"]["integer"], 0);
    assert_eq!(said["float"].as_array().unwrap().len() as u64, said["nodes"]["float"]);
    assert_eq!(said["float"][0]["reason"], "it works on floats");
    assert!(said["float"][0]["node"].is_string() && said["float"][0]["operator"].is_string());
}

/// The float runtime panics on this one; what the user sees is the refusal and nothing else.
#[test]
fn a_model_that_makes_the_float_runtime_panic_is_refused_in_one_line() {
    let model = root().join("tests/corpus/panic-index-in-tract.onnx");
    let ran = run(&["infer", text(&model), "--explain"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("cannot run") && !ran.err.contains("panicked"), "{}", ran.err);
    assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
}

#[test]
fn infer_says_what_is_wrong_with_a_file_and_how_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let write = |name: &str, bytes: &[u8]| fs::write(at(name), bytes).unwrap();
    let arrays = |name: &str, array: &str, tensor: &Tensor| {
        write(name, &npz::write([(array, tensor)]).unwrap());
    };
    let infer = |model: &Path, inputs: &str, outputs: &str| {
        let (inputs, outputs) = (at(inputs), at(outputs));
        run(&["infer", text(model), "--inputs", text(&inputs), "--outputs", text(&outputs)])
    };
    arrays("good.npz", "window", &Tensor::zeros(Dtype::F32, &[1, 1, 6, 40]));
    arrays("wide.npz", "window", &Tensor::zeros(Dtype::F64, &[1, 1, 6, 40]));
    arrays("other.npz", "x", &Tensor::zeros(Dtype::F32, &[1, 1, 6, 40]));
    arrays("short.npz", "window", &Tensor::zeros(Dtype::F32, &[1, 1, 6, 39]));
    write("text.npz", b"no archive");
    write("empty.onnx", b"");
    let model = fs::read(motion().join("model.onnx")).unwrap();
    write("cut.onnx", &model[..model.len() / 2]);
    for (model, inputs, outputs, code, said) in [
        (motion(), "missing.npz", "o.npz", 74, "cannot read"),
        (at("missing.onnx"), "good.npz", "o.npz", 74, "cannot read"),
        (motion(), "good.npz", "no/such/o.npz", 74, "cannot write"),
        (motion(), "wide.npz", "o.npz", 1, "has f64 elements, the model has f32"),
        (motion(), "other.npz", "o.npz", 1, "no array \"window\""),
        (motion(), "short.npz", "o.npz", 1, "N runs have [N, 1, 6, 40]"),
        (motion(), "text.npz", "o.npz", 1, "not a zip archive"),
        (at("empty.onnx"), "good.npz", "o.npz", 1, "empty.onnx cannot run"),
        (at("cut.onnx"), "good.npz", "o.npz", 1, "cut.onnx cannot run"),
    ] {
        let bad = infer(&model, inputs, outputs);
        assert_eq!(bad.code, code, "{} {inputs}: {}", model.display(), bad.err);
        assert!(bad.err.contains(said), "{} {inputs}: {}", model.display(), bad.err);
        assert_eq!(bad.err.lines().count(), 1, "{}", bad.err);
    }
    assert!(!at("o.npz").exists());
}

#[test]
fn bench_prints_one_object_with_the_agreed_keys() {
    let motion = motion();
    let golden = motion.join("golden.npz");
    let args = ["bench", text(&motion), "--json", "--iterations", "7", "--threads", "2"];
    for more in [&[][..], &["--inputs", text(&golden)]] {
        let ran = run(&[&args, more].concat());
        assert_eq!(ran.code, 0, "{}", ran.err);
        let report: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(report["model"], text(&motion));
        assert_eq!(report["iterations"], 7);
        assert_eq!(report["threads"], 2);
        let number = |key: &str| report[key].as_f64().unwrap();
        assert!(0.0 < number("min_us"));
        assert!(number("min_us") <= number("median_us"));
        assert!(number("median_us") <= number("p99_us"));
        assert!(0.0 < number("load_ms"));
        assert!(number("peak_rss_bytes") > 1e6);
        let nodes = &report["nodes"];
        assert!(nodes["integer"].as_u64().unwrap() + nodes["float"].as_u64().unwrap() > 0);
    }
    let table = run(&["bench", text(&motion), "--iterations", "3"]);
    assert!(table.out.contains("median"), "{}", table.out);
    assert_eq!(run(&["bench", "/nowhere.onnx"]).code, 74);
}

/// With the model beside it, the card that is written is one of a bundle.
#[test]
fn card_writes_a_card_that_fits_its_model() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model.onnx");
    fs::copy(motion().join("model.onnx"), &model).unwrap();
    let out = folder.path().join("card.toml");
    let ran = run(&["card", text(&model), "--name", "motion", "--out", text(&out)]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let ran = run(&["infer", text(folder.path()), "--explain"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let printed = run(&["card", text(&model), "--name", "motion"]);
    assert_eq!(printed.out, fs::read_to_string(out).unwrap());
    let unknown = run(&["card", text(&model), "--name", "motion", "--dim", "batch=2"]);
    assert!(unknown.code == 1 && unknown.err.contains("dims names \"batch\""), "{}", unknown.err);
}

#[test]
fn log_lines_carry_priorities_where_the_journal_listens() {
    let folder = tempfile::tempdir().unwrap();
    let warned = config(
        &folder,
        "[broker]\nurl = \"mqtt://192.0.2.1\"\n\
        credentials = { username = \"u\", password_file = \"password\" }\n",
    );
    let password = folder.path().join("password");
    fs::write(&password, "secret").unwrap();
    fs::set_permissions(&password, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    // The model does not exist: the run warns about the password, and then ends by itself.
    let log = folder.path().join("log");
    let journal = fs::File::create(&log).unwrap();
    let found = journal.metadata().unwrap();
    let stream = format!("{}:{}", found.dev(), found.ino());
    let text = fs::read_to_string(&warned).unwrap().replace("\"motion\"\ntopic", "\"none\"\ntopic");
    fs::write(&warned, text).unwrap();
    let status = inferd(&["run", "--config", warned.to_str().unwrap()])
        .env("JOURNAL_STREAM", stream)
        .stderr(journal)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(78));
    let lines = fs::read_to_string(log).unwrap();
    assert!(lines.starts_with("<4>the password is sent to the broker unencrypted"), "{lines}");
}

#[test]
fn check_finds_certificates_that_will_not_do() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("inferd.toml");
    std::fs::write(dir.path().join("ca.pem"), b"\xef\xbb\xbf-----BEGIN CERTIFICATE-----\n")
        .unwrap();
    let text = format!(
        "[broker]\nurl = \"mqtts://broker.example\"\nca_file = \"ca.pem\"\n[store]\ndir = {:?}\n",
        dir.path().join("ca.pem/below")
    );
    std::fs::write(&config, text).unwrap();
    let checked = std::process::Command::new(env!("CARGO_BIN_EXE_inferd"))
        .args(["check", "--json", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    assert_eq!(checked.status.code(), Some(78));
    let out = String::from_utf8_lossy(&checked.stdout);
    assert!(out.contains("byte order mark") && out.contains("sed -i"), "{out}");
    assert!(out.contains("store.dir") && out.contains("is not a folder"), "{out}");
}

#[test]
fn check_names_a_baseline_that_is_damaged_or_of_another_model() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("models/motion");
    fs::create_dir_all(&model).unwrap();
    for entry in fs::read_dir(motion()).unwrap() {
        let from = entry.unwrap().path();
        fs::copy(&from, model.join(from.file_name().unwrap())).unwrap();
    }
    let path = config(&folder, "");
    let text_of = fs::read_to_string(&path).unwrap();
    let of_repository = format!("dir = {:?}", root().join("models"));
    fs::write(&path, text_of.replace(&of_repository, "dir = \"models\"")).unwrap();
    let check = || run(&["check", "--config", text(&path)]);
    assert!(!check().out.contains("baseline"), "{}", check().out);
    let baseline = model.join("baseline.npz");
    let good = fs::read(&baseline).unwrap();
    let mut arrays = npz::read(&good, 1 << 20).unwrap();
    let names = arrays.get_mut("names").unwrap();
    let inferd::tensor::Data::U8(names) = &mut names.data else { panic!("names are text") };
    names[0] = b'b';
    let arrays = arrays.iter().map(|(name, tensor)| (name.as_str(), tensor));
    fs::write(&baseline, npz::write(arrays).unwrap()).unwrap();
    let foreign = check();
    assert_eq!(foreign.code, 0, "{}", foreign.err);
    let said = foreign.out + &foreign.err;
    assert!(said.contains("baseline.npz is not used") && said.contains("bx.mean"), "{said}");
    fs::write(&baseline, &good[..good.len() / 2]).unwrap();
    let damaged = check();
    assert_ne!(damaged.code, 0);
    let said = damaged.out + &damaged.err;
    assert!(said.contains("baseline.npz"), "{said}");
}
