//! A queue that waited, sent by the daemon, beside a bare rumqttc publisher with the same payloads
//! and the same window, to the same broker and the same listener.

use std::borrow::Cow;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use inferd::outbox::{Record, Seq};
use inferd::store::{Settings, Store};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, PublishProperties};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};

use crate::records::{json, record};

/// As `broker.in_flight` is by default.
const IN_FLIGHT: u16 = 64;
const TOPIC: &str = "predictions/bench";
const ROUNDS: usize = 5;

/// Both by turns; the best of each, since another's work only ever makes one slower.
pub(crate) fn compare(dir: &Path, records: u64) {
    let Some(program) = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"]
        .into_iter()
        .find(|path| Path::new(path).exists())
    else {
        println!("\nNOT MEASURED: sending beside a bare publisher, mosquitto is not installed");
        return;
    };
    let broker = Broker::start(program, dir);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut bare, mut daemon) = (0.0f64, 0.0f64);
    for _ in 0..ROUNDS {
        let publisher = Sender::bare(broker.port, records);
        bare = bare.max(runtime.block_on(rate(broker.port, records, publisher)));
        fill(&dir.join("state"), records);
        let drain = Sender::daemon(broker.port, dir);
        daemon = daemon.max(runtime.block_on(rate(broker.port, records, drain)));
    }
    println!(
        "\nSending {records} waiting results, {IN_FLIGHT} in flight: the daemon {daemon:.0}/s, a \
         bare rumqttc publisher {bare:.0}/s, ratio {:.2}",
        daemon / bare
    );
}

struct Broker {
    child: Child,
    port: u16,
}

impl Broker {
    fn start(program: &str, dir: &Path) -> Self {
        let port =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let user = std::env::var("USER").unwrap_or("root".into());
        let text = format!(
            "listener {port} 127.0.0.1\nuser {user}\nallow_anonymous true\nset_tcp_nodelay true\n\
             max_queued_messages 1000000\nlog_dest none\n"
        );
        let conf = dir.join("mosquitto.conf");
        std::fs::write(&conf, text).unwrap();
        let mut command = Command::new(program);
        command.arg("-c").arg(conf).stdout(Stdio::null()).stderr(Stdio::null());
        let broker = Self { child: command.spawn().unwrap(), port };
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            std::thread::park_timeout(Duration::from_millis(20));
        }
        broker
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.child.kill().and_then(|()| self.child.wait()));
    }
}

fn client(name: &str, port: u16) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new(name, "127.0.0.1", port);
    options.set_keep_alive(Duration::from_secs(60));
    options.set_outgoing_inflight_upper_limit(IN_FLIGHT);
    AsyncClient::new(options, usize::from(IN_FLIGHT))
}

/// A process that sends.
struct Sender(Command);

impl Sender {
    fn bare(port: u16, records: u64) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--contender", "bare", "--records", &records.to_string(), "--dir"]);
        command.arg(port.to_string());
        Self(command)
    }

    fn daemon(port: u16, dir: &Path) -> Self {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        let (models, at) = (models.display(), dir.display());
        let text = format!(
            "[broker]\nurl = \"mqtt://127.0.0.1:{port}\"\n[gateway]\nid = \"bench\"\n[models]\ndir \
             = \"{models}\"\n[store]\ndir = \"{at}/state\"\nmax_bytes = \"1GiB\"\n[control]\ndir = \
             \"{at}/run\"\n[[stream]]\nname = \"motion\"\nmodel = \"motion\"\ntopic = \
             \"sensors/{{device}}/imu\"\npayload = {{ format = \"json\", fields = {FIELDS}, time = \
             \"ts\" }}\n"
        );
        let config = dir.join("inferd.toml");
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_inferd"));
        command.args(["run", "--config"]).arg(&config).env_remove("INFERD_CONFIG");
        Self(command)
    }
}

/// How many a second arrive at a listener, from the first to the last.
async fn rate(port: u16, records: u64, mut sender: Sender) -> f64 {
    let (client, mut events) = client("listener", port);
    client.subscribe(TOPIC, QoS::AtMostOnce).await.unwrap();
    while !matches!(events.poll().await.unwrap(), Event::Incoming(Packet::SubAck(_))) {}
    let mut child = sender.0.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (mut begun, mut seen) = (None, 0);
    while seen < records {
        if let Event::Incoming(Packet::Publish(_)) = events.poll().await.unwrap() {
            begun.get_or_insert_with(Instant::now);
            seen += 1;
        }
    }
    let rate = (records - 1) as f64 / begun.unwrap().elapsed().as_secs_f64();
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
    child.wait().unwrap();
    drop(client);
    rate
}

/// Publishes until it is killed: the same messages, as the client would without a daemon.
pub(crate) fn bare(port: u16, records: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (publisher, mut own) = client("bare", port);
        let publish = async {
            for seq in 0..records {
                let message = record(seq, json).message;
                let own =
                    |(name, value): &(Cow<'_, str>, String)| (name.to_string(), value.clone());
                let properties = PublishProperties {
                    content_type: Some(message.content_type.to_string()),
                    user_properties: message.properties.iter().map(own).collect(),
                    ..PublishProperties::default()
                };
                let payload = message.payload.clone();
                publisher
                    .publish_with_properties(TOPIC, QoS::AtLeastOnce, false, payload, properties)
                    .await
                    .unwrap();
            }
            std::future::pending::<()>().await;
        };
        let poll = async {
            loop {
                own.poll().await.unwrap();
            }
        };
        tokio::select! {
            () = publish => {}
            () = poll => {}
        }
    });
}

/// As a long outage leaves it.
fn fill(dir: &Path, records: u64) {
    let settings = Settings {
        dir: dir.to_owned(),
        max_bytes: 1 << 30,
        max_records: 1 << 30,
        reserve_bytes: 0,
    };
    let (mut store, found) = Store::open(&settings).unwrap();
    let first = found.opened.next.0;
    let waiting = |seq: u64| {
        let mut record: Record = record(seq, json);
        Arc::make_mut(&mut record.message).topic = TOPIC.into();
        Record { seq: Seq(first + seq), ..record }
    };
    for begin in (0..records).step_by(64) {
        let group: Vec<Record> = (begin..records.min(begin + 64)).map(waiting).collect();
        store.append(&group).unwrap();
    }
}

const FIELDS: &str = r#"["ax", "ay", "az", "gx", "gy", "gz"]"#;
