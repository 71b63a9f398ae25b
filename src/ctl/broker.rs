//! Which broker, as whom, and the connection to it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

use crate::config::{Broker, Login, Password, Typed};
use crate::ctl::files::ensure_private;
use crate::ids::{GatewayId, ModelName};
use crate::link::{ClientMessage, ClientStatus, Fault, SimpleClient};
use crate::message::Qos;
use crate::terminal::{Exit, Failure, ask_secret};
use crate::update::Target;

/// Retained messages come at once after a subscription; this long after the last one there are no
/// more.
const QUIET: Duration = Duration::from_millis(500);
/// How long the broker may take for an answer, and a lost connection to come back.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which broker, and as whom. Each option may be an environment variable.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Broker")]
pub(super) struct BrokerArgs {
    /// mqtt://HOST:PORT, or mqtts:// for TLS
    #[arg(long, value_name = "URL", env = "INFERCTL_BROKER", hide_env_values = true)]
    #[arg(default_value = "mqtt://127.0.0.1:1883")]
    broker: String,
    /// The user to log in as
    #[arg(long, value_name = "NAME", env = "INFERCTL_USERNAME")]
    username: Option<String>,
    /// A file (mode 0600) whose first line is the user's password [default: asked for on a terminal]
    #[arg(long = "password-file", value_name = "FILE", env = "INFERCTL_PASSWORD_FILE")]
    broker_password: Option<PathBuf>,
    /// What was typed where there is no such file: asked for once, whatever the number of connections.
    #[arg(skip)]
    typed: Arc<OnceLock<Password>>,
    /// The certificates to trust instead of the system's (PEM)
    #[arg(long, value_name = "FILE", env = "INFERCTL_CA_FILE")]
    ca_file: Option<PathBuf>,
    /// A certificate to log in with (PEM)
    #[arg(long, value_name = "FILE", env = "INFERCTL_CLIENT_CERT", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// The key of that certificate (PEM)
    #[arg(long, value_name = "FILE", env = "INFERCTL_CLIENT_KEY", requires = "client_cert")]
    client_key: Option<PathBuf>,
    /// What the fleet's topics begin with
    #[arg(long, value_name = "TOPIC", env = "INFERCTL_PREFIX", default_value = "inferd/v1")]
    prefix: String,
}

impl BrokerArgs {
    /// A topic or filter below the prefix.
    pub(super) fn topic(&self, rest: &str) -> String {
        format!("{}/{rest}", self.prefix)
    }

    /// Where the deployment of a model for this target is retained.
    pub(super) fn deploy_topic(&self, target: &Target, model: &ModelName) -> String {
        match target {
            Target::Group(group) => self.topic(&format!("deploy/group/{group}/{model}")),
            Target::Gateway(id) => self.topic(&format!("deploy/gateway/{id}/{model}")),
        }
    }

    /// Where the controller of such a deployment retains how it goes.
    pub(super) fn rollout_topic(&self, target: &Target, model: &ModelName) -> String {
        let deploy = self.deploy_topic(target, model);
        let rest = deploy.strip_prefix(&self.topic("deploy/")).unwrap_or_default();
        self.topic(&format!("rollout/{rest}"))
    }

    /// The filters of everything that is deployed of a model.
    pub(super) fn deploy_filters(&self, model: &ModelName) -> Vec<String> {
        ["group", "gateway"].map(|kind| self.topic(&format!("deploy/{kind}/+/{model}"))).to_vec()
    }

    fn broker(&self) -> Result<Broker, Failure> {
        let usage = |message: String| Failure::new(Exit::Usage, message);
        let client_id = format!("inferctl-{}-{:x}", std::process::id(), fastrand::u32(..));
        let broker = Broker::of_tool(&self.broker, client_id);
        let mut broker =
            broker.map_err(|why| usage(format!("--broker {:?}: {why}", self.broker)))?;
        match (&self.username, &self.broker_password) {
            (Some(username), Some(file)) => {
                ensure_private(file)?;
                let (username, password) = (username.clone(), Password::File(file.clone()));
                broker.login = Some(Login { username, password });
            }
            (Some(username), None) => {
                let (username, password) = (username.clone(), self.ask(username)?);
                broker.login = Some(Login { username, password });
            }
            (None, Some(_)) => return Err(usage("--password-file needs --username".into())),
            (None, None) => {}
        }
        let files = [&self.ca_file, &self.client_cert, &self.client_key];
        match &mut broker.tls {
            Some(tls) => {
                tls.ca_file.clone_from(&self.ca_file);
                tls.client_cert_file.clone_from(&self.client_cert);
                tls.client_key_file.clone_from(&self.client_key);
            }
            None if files.iter().any(|file| file.is_some()) => {
                return Err(usage("certificates are for --broker mqtts://…".into()));
            }
            None => {}
        }
        Ok(broker)
    }
}

impl BrokerArgs {
    /// The user's password, typed; none without a terminal: brokers that take tokens want the user
    /// name alone.
    fn ask(&self, username: &str) -> Result<Password, Failure> {
        if let Some(password) = self.typed.get() {
            return Ok(password.clone());
        }
        let prompt = format!("Password of {username} at {}", self.broker);
        let password = match ask_secret(&prompt)? {
            None => Password::None,
            Some(bytes) => {
                let text = String::from_utf8(bytes);
                let text = text.map_err(|_| Failure::new(Exit::Failed, "not UTF-8 text"))?;
                if text.is_empty() { Password::None } else { Password::Typed(Typed(text)) }
            }
        };
        Ok(self.typed.get_or_init(|| password).clone())
    }
}

/// Whom a deployment is for.
#[derive(Clone, Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct TargetArgs {
    /// The gateways of this group
    #[arg(long, value_name = "GROUP", value_parser = group)]
    group: Option<String>,
    /// One gateway
    #[arg(long, value_name = "ID", value_parser = gateway)]
    gateway: Option<GatewayId>,
}

impl TargetArgs {
    pub(super) fn target(&self) -> Result<Target, Failure> {
        match (&self.group, &self.gateway) {
            (Some(group), None) => Ok(Target::Group(group.clone())),
            (None, Some(id)) => Ok(Target::Gateway(id.clone())),
            _ => Err(Failure::new(Exit::Usage, "one of --group and --gateway")),
        }
    }
}

fn group(text: &str) -> Result<String, String> {
    gateway(text).map(|id| id.to_string())
}

pub(super) fn gateway(text: &str) -> Result<GatewayId, String> {
    GatewayId::parse(text).map_err(|error| error.to_string())
}

pub(super) fn model(text: &str) -> Result<ModelName, String> {
    ModelName::parse(text).map_err(|error| error.to_string())
}

/// A connection.
#[derive(Debug)]
pub(super) struct Session {
    client: SimpleClient,
    inbox: mpsc::Receiver<ClientMessage>,
    progress: watch::Receiver<ClientStatus>,
    /// What came while something else was waited for.
    early: VecDeque<ClientMessage>,
    url: String,
}

impl Session {
    /// Connects; the first fault is the answer where that fails.
    pub(super) async fn open(args: &BrokerArgs) -> Result<Self, Failure> {
        let broker = args.broker()?;
        let url = broker.to_string();
        let (client, inbox) = SimpleClient::start(&broker).map_err(|fault| away(&url, &fault))?;
        let progress = client.status();
        let early = VecDeque::new();
        let mut session = Self { client, inbox, progress, early, url };
        let done = |progress: &ClientStatus| progress.connected || progress.fault.is_some();
        session.until(done).await?;
        let fault = session.progress.borrow().fault.clone();
        if session.progress.borrow().connected { Ok(session) } else { Err(session.gone(fault)) }
    }

    /// Subscribes and returns what is retained there now; what comes later comes from
    /// [`Session::next`]. At most once: what is retained comes again with every connection, and a
    /// broker drops nothing of it for want of room in a queue.
    pub(super) async fn retained(
        &mut self,
        filters: &[String],
    ) -> Result<Vec<ClientMessage>, Failure> {
        self.gather(filters, usize::MAX).await
    }

    /// As [`Session::retained`]; so many messages are all there can be.
    async fn gather(
        &mut self,
        filters: &[String],
        most: usize,
    ) -> Result<Vec<ClientMessage>, Failure> {
        let wanted =
            self.progress.borrow().answered + u64::try_from(filters.len()).unwrap_or(u64::MAX);
        let mut found = Vec::new();
        for filter in filters {
            self.client.subscribe(filter, Qos::AtMostOnce).await.map_err(|_| self.gone(None))?;
            // The broker's answers need room in the inbox.
            while let Ok(message) = self.inbox.try_recv() {
                found.push(message);
            }
        }
        let deadline = Instant::now() + PATIENCE;
        while found.len() < most || self.progress.borrow().answered < wanted {
            match timeout(QUIET, self.inbox.recv()).await {
                Ok(Some(message)) => found.push(message),
                Ok(None) => return Err(self.gone(None)),
                Err(_) if self.progress.borrow().answered >= wanted => break,
                Err(_) if Instant::now() > deadline => {
                    return Err(self.gone(Some(Fault::Timeout { after: PATIENCE })));
                }
                Err(_) => {}
            }
        }
        self.refused()?;
        Ok(found)
    }

    /// As [`Session::retained`], and ends the subscriptions.
    pub(super) async fn look(&mut self, topics: &[String]) -> Result<Vec<ClientMessage>, Failure> {
        let found = self.gather(topics, topics.len()).await?;
        for topic in topics {
            self.client.unsubscribe(topic).await.map_err(|_| self.gone(None))?;
        }
        Ok(found.into_iter().filter(|message| topics.contains(&message.topic)).collect())
    }

    /// Publishes retained and waits until the broker has it.
    pub(super) async fn publish(&mut self, topic: &str, payload: Vec<u8>) -> Result<(), Failure> {
        let before = self.progress.borrow().acknowledged;
        self.send(topic, payload).await?;
        self.acknowledged(before + 1).await
    }

    /// Publishes what may be lost, retained. A broker that refuses it says nothing of that.
    pub(super) async fn inform(&self, topic: &str, payload: Vec<u8>) -> Result<(), Failure> {
        let sent = self.client.publish(topic, payload, Qos::AtMostOnce, true).await;
        sent.map_err(|_| self.gone(None))
    }

    /// Publishes retained; [`Session::acknowledged`] waits for the broker.
    pub(super) async fn send(&self, topic: &str, payload: Vec<u8>) -> Result<(), Failure> {
        let sent = self.client.publish(topic, payload, Qos::AtLeastOnce, true).await;
        sent.map_err(|_| self.gone(None))
    }

    /// Waits until the broker has answered so many publishes of this connection, in all.
    pub(super) async fn acknowledged(&mut self, count: u64) -> Result<(), Failure> {
        let first = self.progress.borrow().connections;
        let done = |progress: &ClientStatus| {
            progress.acknowledged >= count
                || progress.refusal.is_some()
                || !progress.connected
                || progress.connections != first
        };
        self.until(done).await?;
        self.refused()?;
        let progress = self.progress.borrow().clone();
        // Acknowledgements of another connection may be those of what was sent again.
        let lost = !progress.connected || progress.connections != first;
        if lost { Err(self.gone(progress.fault)) } else { Ok(()) }
    }

    pub(super) fn acknowledgements(&self) -> u64 {
        self.progress.borrow().acknowledged
    }

    /// The next message; `None` never comes while the session lives.
    pub(super) async fn next(&mut self) -> Option<ClientMessage> {
        match self.early.pop_front() {
            Some(message) => Some(message),
            None => self.inbox.recv().await,
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.progress.borrow().connected
    }

    /// Waits for the connection; messages that come meanwhile are kept, or a full inbox would keep
    /// the answer back.
    async fn until(&mut self, done: impl Fn(&ClientStatus) -> bool) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if done(&self.progress.borrow_and_update()) {
                return Ok(());
            }
            tokio::select! {
                changed = self.progress.changed() => changed.map_err(|_| self.gone(None))?,
                Some(message) = self.inbox.recv() => self.early.push_back(message),
                () = tokio::time::sleep_until(deadline) => {
                    return Err(self.gone(Some(Fault::Timeout { after: PATIENCE })));
                }
            }
        }
    }

    fn refused(&self) -> Result<(), Failure> {
        let refusal = self.progress.borrow().refusal.clone();
        let Some(refusal) = refusal else { return Ok(()) };
        let message = format!("{} refuses {refusal}; check the broker's access list", self.url);
        Err(Failure::new(Exit::Failed, message))
    }

    fn gone(&self, fault: Option<Fault>) -> Failure {
        let fault = fault.or_else(|| self.progress.borrow().fault.clone());
        away(&self.url, &fault.unwrap_or(Fault::Closed))
    }
}

fn away(url: &str, fault: &Fault) -> Failure {
    Failure::new(Exit::Unavailable, format!("{url}: {fault}"))
}

/// Runs a verb that waits for the broker.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    runtime.block_on(work)
}
