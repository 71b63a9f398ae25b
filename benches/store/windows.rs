//! What a journaled stream's windows write: real samples through a real pipeline, saved as the daemon
//! saves them, beside saving all of them each time.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use inferd::bundle::Bundle;
use inferd::clock::{Clock, Mono, Now, Timestamp};
use inferd::config::Config;
use inferd::message::{Incoming, InputId};
use inferd::pipeline::{Pipeline, PredictionIds, Router};
use inferd::store::Store;
use inferd::store::windows::{OnDisk, Windows};

use crate::figures::{device_bytes, written_bytes};
use crate::state::{noise, settings};

/// Samples a second of each device.
const RATE: u64 = 10;
/// As `store.group_delay` is by default.
const GROUP: Duration = Duration::from_millis(500);
const SAVES_A_DAY: f64 = 172_800.0;
/// Names of inputs before a base: as many as there are by default.
const NAMES: usize = 8 + 14 * 2 * 256;
/// As in `src/daemon/lane.rs`.
const ADDITIONS: usize = 4;
const ADDITIONS_LEAST: usize = 64 * 1024;
const AN_ADDITION: usize = 128;

pub(crate) fn journal(dir: &Path) {
    println!(
        "\nA journaled stream of {RATE} samples a second from each device, saved every {GROUP:?}:\n"
    );
    println!(
        "| devices | bytes of an addition | device bytes a save | written bytes a save | \
         device GB a day | the same with all windows in each save |"
    );
    println!("|---|---|---|---|---|---|");
    for (devices, saves) in [(1, 600), (10, 400), (100, 200), (1_000, 100)] {
        let added = Figures::of(dir, devices, saves, false);
        let whole = Figures::of(dir, devices, 60, true);
        println!(
            "| {devices} | {:.0} | {:.0} | {:.0} | {:.1} | {:.1} |",
            added.addition,
            added.device,
            added.written,
            added.device * SAVES_A_DAY / 1e9,
            whole.device * SAVES_A_DAY / 1e9
        );
    }
}

/// All of them for one save.
struct Figures {
    addition: f64,
    device: f64,
    written: f64,
}

impl Figures {
    fn of(dir: &Path, devices: u64, saves: u64, whole: bool) -> Self {
        let (mut source, mut on_disk) = (Source::new(devices), OnDisk::default());
        let place = dir.join(format!("windows-{devices}-{whole}"));
        let (mut store, _) = Store::open(&settings(&place)).unwrap();
        // Full windows first.
        (0..8).for_each(|_| source.group());
        let first = source.base();
        store.put_windows("windows/bench", &first, &mut on_disk).unwrap();
        let (mut room, mut additions, mut count) = (first_room(&first), 0, 0);
        let (written, device) = (written_bytes(), device_bytes(dir));
        for _ in 0..saves {
            source.group();
            let windows = if whole || room == 0 {
                let windows = source.base();
                room = first_room(&windows);
                windows
            } else {
                let addition = source.pipeline.addition(source.clock).unwrap();
                room = room.saturating_sub(addition.bytes.len() + AN_ADDITION);
                (additions, count) = (additions + addition.bytes.len(), count + 1);
                Windows { base: None, entries: vec![addition] }
            };
            store.put_windows("windows/bench", &windows, &mut on_disk).unwrap();
        }
        let a_save = |bytes: u64| bytes as f64 / saves as f64;
        Self {
            addition: additions as f64 / f64::from(count.max(1)),
            device: a_save(device_bytes(dir) - device),
            written: a_save(written_bytes() - written),
        }
    }
}

fn first_room(windows: &Windows) -> usize {
    let bytes = windows.base.as_ref().unwrap().bytes.len();
    (bytes * ADDITIONS).max(ADDITIONS_LEAST)
}

/// The time that a group of samples is taken at.
struct Still(Now);

impl Clock for Still {
    fn now(&self) -> Now {
        self.0
    }
}

/// Devices that send recorded samples, each from a place of its own and with noise of its own.
struct Source {
    router: Router,
    pipeline: Pipeline,
    clock: Now,
    rows: Vec<Vec<f64>>,
    random: fastrand::Rng,
    devices: u64,
    sent: u64,
}

impl Source {
    fn new(devices: u64) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = "[[stream]]\nname = \"bench\"\nmodel = \"motion\"\ntopic = \
                    \"sensors/{device}/imu\"\nwindows = \"journal\"\nguarantee = \
                    \"at-least-once\"\nmax_keys = 10000\npayload = { format = \"json\", fields = \
                    [\"ax\", \"ay\", \"az\", \"gx\", \"gy\", \"gz\"], time = \"ts\" }\n";
        let (config, loaded) = (
            Config::parse(text).unwrap(),
            inferd::pipeline::load(&Bundle::open(&root.join("models/motion")).unwrap()).unwrap(),
        );
        let ids = PredictionIds::new(&config.gateway.id, "1", Arc::new(AtomicU64::new(0)));
        let session = Box::new(loaded.model.session());
        let stream = config.streams.first().unwrap();
        let pipeline = Pipeline::new(0, stream, &config.gateway.id, loaded.card, session, ids);
        let file = root.join("models/recordings/basic-motions-test.csv");
        let text = std::fs::read_to_string(file).unwrap();
        let row = |line: &str| line.split(',').skip(3).map(|cell| cell.parse().unwrap()).collect();
        let clock = Now { wall: Timestamp(1_795_341_600_000_000), mono: Mono(0) };
        let rows = text.lines().skip(1).map(row).collect();
        let random = fastrand::Rng::with_seed(devices);
        let router = Router::new(&config.streams);
        Self { router, pipeline: pipeline.unwrap(), clock, rows, random, devices, sent: 0 }
    }

    /// What comes in between two saves.
    fn group(&mut self) {
        let rounds = RATE * u64::try_from(GROUP.as_millis()).unwrap() / 1000;
        for _ in 0..rounds {
            for device in 0..self.devices {
                self.sample(device);
            }
        }
    }

    fn sample(&mut self, device: u64) {
        let apart = Duration::from_micros(1_000_000 / RATE / self.devices);
        let (wall, mono) = (self.clock.wall.plus(apart), self.clock.mono.plus(apart));
        self.clock = Now { wall, mono };
        let place = (self.sent / self.devices + device * 17) % self.rows.len() as u64;
        // On its way for some milliseconds.
        let ts = wall.0 / 1000 - 3 - i64::try_from(device % 5).unwrap();
        let row = self.rows.get(usize::try_from(place).unwrap()).unwrap();
        // No two devices send the same: a hundredth of the unit is noise.
        let mut noisy = |value: &f64| value + 0.01 * (self.random.f64() - 0.5);
        let noisy: Vec<f64> = row.iter().map(&mut noisy).collect();
        let [ax, ay, az, gx, gy, gz]: [f64; 6] = noisy.try_into().unwrap();
        let payload = format!(
            "{{\"ts\":{ts},\"ax\":{ax:.6},\"ay\":{ay:.6},\"az\":{az:.6},\"gx\":{gx:.6},\
             \"gy\":{gy:.6},\"gz\":{gz:.6}}}"
        );
        self.sent += 1;
        let topic = format!("sensors/press-hall-{device}/imu");
        let captures = self.router.route(&topic).next().unwrap().captures;
        let incoming = Incoming {
            stream: 0,
            captures,
            topic,
            payload: payload.into(),
            received: self.clock,
            token: None,
            input_id: Some(InputId {
                epoch: self.sent >> 15,
                packet: u16::try_from(self.sent % 65_535).unwrap(),
                content: u32::try_from(self.sent.wrapping_mul(2_654_435_761) >> 7 & 0xffff_ffff)
                    .unwrap(),
            }),
            reply: None,
            retained: false,
        };
        let taken = self.pipeline.step(&incoming, &Still(self.clock), &mut Vec::new());
        assert_eq!(taken.samples, 1, "{taken:?}");
    }

    fn base(&mut self) -> Windows {
        let number = self.sent;
        let windows = self.pipeline.base(number, self.clock);
        Windows::base(number, [noise(NAMES, number), windows].concat())
    }
}
