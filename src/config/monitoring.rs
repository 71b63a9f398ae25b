//! `[stream.drift]`, `[stream.labels]`, `[stream.capture]` and `[capture]`: is the model still good?

use std::path::PathBuf;
use std::time::Duration;

use super::section::Section;
use super::units;
use super::{Gateway, Stream, TopicPattern};
use crate::ids::{ModelName, StreamName};

/// `[stream.drift]`
#[derive(Clone, Debug, PartialEq)]
pub struct Drift {
    pub enabled: bool,
    /// At most so many false alarms in so much time.
    pub false_alarms: (u32, Duration),
    /// How long a baseline is learned if the bundle has none.
    pub learn: Duration,
    /// Inputs that an alarm captures; `None` if alarms capture nothing.
    pub capture_inputs: Option<u32>,
    /// An alarm rolls the model back if its trial ended less than this ago; `None` for never.
    pub rollback_within: Option<Duration>,
}

impl Default for Drift {
    fn default() -> Self {
        let day = Duration::from_secs(86_400);
        Self {
            enabled: true,
            false_alarms: (1, day * 30),
            learn: day,
            capture_inputs: None,
            rollback_within: None,
        }
    }
}

/// `[stream.labels]`
#[derive(Clone, Debug, PartialEq)]
pub struct Labels {
    pub topic: TopicPattern,
    /// How far the time of a label may be from that of its prediction.
    pub tolerance: Duration,
    /// Predictions that are remembered, 16 bytes each.
    pub remember: usize,
}

/// `[stream.capture]`
#[derive(Clone, Debug, PartialEq)]
pub struct Capture {
    /// Inputs a day, chosen at random; 0 for none.
    pub random: u32,
    /// Inputs with a smaller difference between the two best scores.
    pub margin: Option<f32>,
    /// Inputs for which a candidate predicts something else.
    pub disagree: bool,
    /// Inputs that the model fails on.
    pub reject: bool,
    /// Inputs with a value outside of the range of the baseline.
    pub outside: bool,
    /// Inputs while the stream is in drift.
    pub drift: bool,
    /// Inputs a day of each trigger.
    pub per_day: u32,
    /// Devices are named by a digest.
    pub hash_device: bool,
}

/// `[capture]`
#[derive(Clone, Debug, PartialEq)]
pub struct CaptureFiles {
    /// Bytes on disk of all captured inputs.
    pub max_bytes: u64,
    /// Older files are deleted.
    pub max_age: Duration,
    /// The longest time that captured inputs stay in memory.
    pub write_interval: Duration,
    /// `None`: files stay on the gateway.
    pub upload: Option<Upload>,
    /// Requests for files over MQTT are answered.
    pub mqtt: bool,
    /// Of files that are sent over MQTT. 0 is no limit.
    pub upload_max_bytes_per_s: u64,
}

/// Where files with captured inputs are uploaded to.
#[derive(Clone, Debug, PartialEq)]
pub struct Upload {
    /// A URL with `{file}`; `{gateway}` is replaced already.
    pub url: String,
    /// The file with the bearer token.
    pub token_file: Option<PathBuf>,
    /// Authorities of the server beside the system's.
    pub ca_file: Option<PathBuf>,
    /// 0 is no limit.
    pub max_bytes_per_s: u64,
}

const HOUR: Duration = Duration::from_secs(3600);
const YEARS: Duration = Duration::from_secs(10 * 365 * 86_400);

pub(super) fn drift(section: &Section<'_>) -> Drift {
    let default = Drift::default();
    let false_alarms = section.parsed("false_alarms", |text| {
        let (count, per) = text.split_once('/').ok_or("not a number, a slash and a duration")?;
        let count = count.trim().parse::<u32>().map_err(|_| "the number is not a whole one")?;
        let per = units::duration(per.trim()).ok_or("there is no duration behind the slash")?;
        let fits = (1..=1000).contains(&count) && (HOUR..=YEARS).contains(&per);
        if fits { Ok((count, per)) } else { Err("too few or too many") }
    });
    let acts = section.strings("on_drift");
    if let Some(unknown) = acts.iter().find(|act| ![CAPTURE, ROLLBACK].contains(&act.as_str())) {
        let reason = format!("{unknown:?} is unknown");
        section.problem("on_drift", reason, format!("{CAPTURE:?}, {ROLLBACK:?}"));
    }
    let acts_by = |act: &str, option: &str| {
        let acts = acts.iter().any(|known| known == act);
        if !acts && section.has(option) {
            let reason = format!("is used only if on_drift has {act:?}");
            section.problem(option, reason, format!("on_drift = [{act:?}]"));
        }
        acts
    };
    let captures = acts_by(CAPTURE, "capture_inputs");
    let rolls_back = acts_by(ROLLBACK, "rollback_within");
    Drift {
        enabled: section.flag("enabled"),
        false_alarms: false_alarms.unwrap_or(default.false_alarms),
        learn: section.duration("learn"),
        capture_inputs: captures.then(|| section.int_if("capture_inputs").unwrap_or(INPUTS)),
        rollback_within: rolls_back
            .then(|| section.duration_if("rollback_within").unwrap_or(ROLLBACK_WITHIN)),
    }
}

/// The defaults of `capture_inputs` and `rollback_within`, if alarms do that.
const INPUTS: u32 = 50;
const ROLLBACK_WITHIN: Duration = Duration::from_secs(7 * 86_400);
/// The values of `on_drift`.
const CAPTURE: &str = "capture";
const ROLLBACK: &str = "rollback";

/// Options of a stream that need each other. `has_updates`: a version can be rolled back.
pub(super) fn check_acts(section: &Section<'_>, stream: &Stream, has_updates: bool) {
    let (drift, capture) = (&stream.drift, stream.capture.as_ref());
    let of_drift = section.section("drift");
    let acts = drift.capture_inputs.is_some() || drift.rollback_within.is_some();
    if acts && !drift.enabled {
        of_drift.problem("on_drift", "drift.enabled is false", "drift.enabled = true");
    }
    if drift.capture_inputs.is_some() && capture.is_none() {
        of_drift.problem("on_drift", "the stream captures nothing", "a table [stream.capture]");
    }
    if drift.rollback_within.is_some() && !has_updates {
        let reason = "updates are off, so there is no version to roll back to";
        of_drift.problem("on_drift", reason, "updates.keyset = \"keyset-1.json\"");
    }
    let Some(capture) = capture.filter(|_| !drift.enabled) else { return };
    for (option, is_set) in [("drift", capture.drift), ("outside", capture.outside)] {
        if is_set {
            let reason = "drift.enabled is false, so nothing is compared with a baseline";
            section.section("capture").problem(option, reason, "drift.enabled = true");
        }
    }
}

pub(super) fn labels(
    section: &Section<'_>,
    stream: Option<&StreamName>,
    model: Option<&ModelName>,
) -> Option<Labels> {
    let name = |text: String, name, value: Option<&str>| match value {
        Some(value) => text.replace(name, value),
        None => text,
    };
    let topic = section.parsed("topic", |text| {
        let text = name(text.to_owned(), "{stream}", stream.map(StreamName::as_str));
        TopicPattern::parse(&name(text, "{model}", model.map(ModelName::as_str)))
    });
    let (tolerance, remember) = (section.duration("tolerance"), section.int("remember"));
    Some(Labels { topic: topic?, tolerance, remember })
}

pub(super) fn capture(section: &Section<'_>) -> Capture {
    #[expect(clippy::cast_possible_truncation, reason = "scores are f32")]
    let margin = section.float_if("margin").map(|margin| margin as f32);
    Capture {
        random: section.int("random"),
        margin,
        disagree: section.flag("disagree"),
        reject: section.flag("reject"),
        outside: section.flag("outside"),
        drift: section.flag("drift"),
        per_day: section.int("per_day"),
        hash_device: section.flag("hash_device"),
    }
}

fn upload(
    section: &Section<'_>,
    gateway: Option<&Gateway>,
    max_bytes_per_s: u64,
) -> Option<Upload> {
    let token_file = section.path_if("upload_token_file");
    let ca_file = section.path_if("upload_ca_file");
    let url = section.parsed("upload_url", upload_url)?;
    if token_file.is_some() && !url.starts_with("https://") {
        let reason = "the token would be sent unencrypted";
        section.problem("upload_token_file", reason, "upload_url = \"https://...\"");
    }
    let id = gateway.map(|gateway| gateway.id.as_str()).unwrap_or_default();
    Some(Upload { url: url.replace("{gateway}", id), token_file, ca_file, max_bytes_per_s })
}

/// A template with the names `{gateway}`, `{stream}` and `{file}`.
fn upload_url(text: &str) -> Result<String, &'static str> {
    let known = ["{gateway}", "{stream}", "{file}"];
    let plain = known.iter().fold(text.to_owned(), |text, name| text.replace(name, ""));
    match () {
        () if !(text.starts_with("https://") || text.starts_with("http://")) => {
            Err("starts with neither https:// nor http://")
        }
        () if !text.contains("{file}") => Err("does not contain {file}"),
        () if plain.contains(['{', '}']) => Err("has a name other than gateway, stream and file"),
        () => Ok(text.to_owned()),
    }
}

pub(super) fn capture_files(section: &Section<'_>, gateway: Option<&Gateway>) -> CaptureFiles {
    let upload_max_bytes_per_s = section.size("upload_max_bytes_per_s");
    CaptureFiles {
        max_bytes: section.size("max_bytes"),
        max_age: section.duration("max_age"),
        write_interval: section.duration("write_interval"),
        upload: upload(section, gateway, upload_max_bytes_per_s),
        mqtt: section.flag("mqtt"),
        upload_max_bytes_per_s,
    }
}
