//! The options that select a broker and a login, and the connection to it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::config::{Broker, Login, Password, Typed};
use crate::ctl::files::ensure_private;
use crate::ids::{GatewayId, ModelName};
use crate::link::{ClientMessage, ClientStatus, Fault, SimpleClient};
use crate::message::Qos;
use crate::terminal::{Exit, Failure, ask_secret};
use crate::update::Target;

/// Retained messages follow a subscription without a pause; after a pause of this length there are no
/// more.
const RETAINED_QUIET_TIME: Duration = Duration::from_millis(500);
/// How long the broker may take to answer, and a lost connection to return.
const BROKER_TIMEOUT: Duration = Duration::from_secs(30);

/// The options that select a broker and a login. Each may be set by an environment variable.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Broker")]
pub(super) struct BrokerArgs {
    /// mqtt://HOST:PORT, or mqtts:// for TLS
    #[arg(long, value_name = "URL", env = "INFERCTL_BROKER", hide_env_values = true)]
    #[arg(default_value = "mqtt://127.0.0.1:1883")]
    broker: String,
    /// User name for the login
    #[arg(long, value_name = "NAME", env = "INFERCTL_USERNAME")]
    username: Option<String>,
    /// A file (mode 0600) whose first line is the password [default: asked for on a terminal]
    #[arg(long = "password-file", value_name = "FILE", env = "INFERCTL_PASSWORD_FILE")]
    broker_password: Option<PathBuf>,
    /// The password that was entered, so that it is asked for once.
    #[arg(skip)]
    typed: Arc<OnceLock<Password>>,
    /// Root certificates to trust instead of the system's (PEM)
    #[arg(long, value_name = "FILE", env = "INFERCTL_CA_FILE")]
    ca_file: Option<PathBuf>,
    /// Client certificate (PEM)
    #[arg(long, value_name = "FILE", env = "INFERCTL_CLIENT_CERT", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// Private key of the client certificate (PEM)
    #[arg(long, value_name = "FILE", env = "INFERCTL_CLIENT_KEY", requires = "client_cert")]
    client_key: Option<PathBuf>,
    /// Prefix of the fleet's topics
    #[arg(long, value_name = "TOPIC", env = "INFERCTL_PREFIX", default_value = "inferd/v1")]
    prefix: String,
}

impl BrokerArgs {
    /// A topic or filter below the prefix.
    pub(super) fn topic(&self, rest: &str) -> String {
        format!("{}/{rest}", self.prefix)
    }

    /// The prefix of the fleet's topics, without a slash at the end.
    pub(super) fn prefix(&self) -> &str {
        self.prefix.trim_end_matches('/')
    }

    /// The topic on which the deployment of a model for this target is retained.
    pub(super) fn deploy_topic(&self, target: &Target, model: &ModelName) -> String {
        match target {
            Target::Group(group) => self.topic(&format!("deploy/group/{group}/{model}")),
            Target::Gateway(id) => self.topic(&format!("deploy/gateway/{id}/{model}")),
        }
    }

    /// The topic on which the deployment's controller retains the state of the rollout.
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
                return Err(usage(
                    "--ca-file, --client-cert and --client-key need --broker mqtts://…".into(),
                ));
            }
            None => {}
        }
        Ok(broker)
    }
}

impl BrokerArgs {
    /// Asks for the user's password; none without a terminal, because brokers that use tokens need the
    /// user name alone.
    fn ask(&self, username: &str) -> Result<Password, Failure> {
        if let Some(password) = self.typed.get() {
            return Ok(password.clone());
        }
        let prompt = format!("Password of {username} at {}", self.broker);
        let password = match ask_secret(&prompt)? {
            None => Password::None,
            Some(bytes) => {
                let text = String::from_utf8(bytes);
                let text =
                    text.map_err(|_| Failure::new(Exit::Failed, "the password is not UTF-8 text"))?;
                if text.is_empty() { Password::None } else { Password::Typed(Typed(text)) }
            }
        };
        Ok(self.typed.get_or_init(|| password).clone())
    }
}

/// The target of a deployment.
#[derive(Clone, Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct TargetArgs {
    /// The group of gateways
    #[arg(long, value_name = "GROUP", value_parser = parse_group)]
    group: Option<String>,
    /// One gateway
    #[arg(long, value_name = "ID", value_parser = parse_gateway)]
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

fn parse_group(text: &str) -> Result<String, String> {
    parse_gateway(text).map(|id| id.to_string())
}

pub(super) fn parse_gateway(text: &str) -> Result<GatewayId, String> {
    GatewayId::parse(text).map_err(|error| error.to_string())
}

pub(super) fn parse_model(text: &str) -> Result<ModelName, String> {
    ModelName::parse(text).map_err(|error| error.to_string())
}

/// A connection.
#[derive(Debug)]
pub(super) struct Session {
    client: SimpleClient,
    inbox: mpsc::Receiver<ClientMessage>,
    progress: watch::Receiver<ClientStatus>,
    /// Messages that were received while waiting for something else.
    received_early: VecDeque<ClientMessage>,
    url: String,
}

impl Session {
    /// Connects; the first fault is the answer where that fails.
    pub(super) async fn open(args: &BrokerArgs) -> Result<Self, Failure> {
        let broker = args.broker()?;
        let url = broker.to_string();
        let (client, inbox) =
            SimpleClient::start(&broker).map_err(|fault| unavailable(&url, &fault))?;
        let progress = client.status();
        let received_early = VecDeque::new();
        let mut session = Self { client, inbox, progress, received_early, url };
        let done = |progress: &ClientStatus| progress.connected || progress.fault.is_some();
        session.wait_until(done).await?;
        let fault = session.progress.borrow().fault.clone();
        if session.progress.borrow().connected {
            Ok(session)
        } else {
            Err(session.disconnected(fault))
        }
    }

    /// Subscribes and returns the retained messages; later messages come from [`Session::next`]. The
    /// QoS is 0: retained messages are sent again with every connection, and brokers do not drop them
    /// when a queue is full.
    pub(super) async fn subscribe_retained(
        &mut self,
        filters: &[String],
    ) -> Result<Vec<ClientMessage>, Failure> {
        self.gather(filters, usize::MAX).await
    }

    /// As [`Session::subscribe_retained`]; stops after `most` messages.
    async fn gather(
        &mut self,
        filters: &[String],
        most: usize,
    ) -> Result<Vec<ClientMessage>, Failure> {
        let wanted =
            self.progress.borrow().answered + u64::try_from(filters.len()).unwrap_or(u64::MAX);
        let mut found = Vec::new();
        for filter in filters {
            self.client
                .subscribe(filter, Qos::AtMostOnce)
                .await
                .map_err(|_| self.disconnected(None))?;
            // The broker's answers need room in the inbox.
            while let Ok(message) = self.inbox.try_recv() {
                found.push(message);
            }
        }
        let deadline = Instant::now() + BROKER_TIMEOUT;
        let mut is_answered = self.progress.borrow().answered >= wanted;
        let mut quiet = Instant::now() + RETAINED_QUIET_TIME;
        while found.len() < most || !is_answered {
            tokio::select! {
                message = self.inbox.recv() => {
                    let message = message.ok_or_else(|| self.disconnected(None))?;
                    // New messages may arrive without a pause; only retained ones are waited for.
                    if message.retain {
                        quiet = Instant::now() + RETAINED_QUIET_TIME;
                    }
                    found.push(message);
                }
                changed = self.progress.changed(), if !is_answered => {
                    changed.map_err(|_| self.disconnected(None))?;
                    is_answered = self.progress.borrow().answered >= wanted;
                    quiet = Instant::now() + RETAINED_QUIET_TIME;
                }
                () = sleep_until(quiet), if is_answered => break,
                () = sleep_until(deadline), if !is_answered => {
                    return Err(self.disconnected(Some(Fault::Timeout { after: BROKER_TIMEOUT })));
                }
            }
        }
        self.check_refusal()?;
        Ok(found)
    }

    /// As [`Session::subscribe_retained`], and ends the subscriptions.
    pub(super) async fn read_retained(
        &mut self,
        topics: &[String],
    ) -> Result<Vec<ClientMessage>, Failure> {
        let found = self.gather(topics, topics.len()).await?;
        for topic in topics {
            self.client.unsubscribe(topic).await.map_err(|_| self.disconnected(None))?;
        }
        Ok(found.into_iter().filter(|message| topics.contains(&message.topic)).collect())
    }

    /// Publishes a retained message and waits for the broker's acknowledgement.
    pub(super) async fn publish(&mut self, topic: &str, payload: Vec<u8>) -> Result<(), Failure> {
        let before = self.progress.borrow().acknowledged;
        self.send(topic, payload).await?;
        self.acknowledged(before + 1).await
    }

    /// Publishes a message that is not retained and may be lost, with QoS 0.
    pub(super) async fn request(&self, topic: &str, payload: Vec<u8>) -> Result<(), Failure> {
        let sent = self.client.publish(topic, payload, Qos::AtMostOnce, false).await;
        sent.map_err(|_| self.disconnected(None))
    }

    /// Publishes a retained message that may be lost, with QoS 0. A refusal is not reported.
    pub(super) async fn publish_unconfirmed(
        &self,
        topic: &str,
        payload: Vec<u8>,
    ) -> Result<(), Failure> {
        let sent = self.client.publish(topic, payload, Qos::AtMostOnce, true).await;
        sent.map_err(|_| self.disconnected(None))
    }

    /// Publishes a retained message without waiting; see [`Session::acknowledged`].
    pub(super) async fn send(&self, topic: &str, payload: Vec<u8>) -> Result<(), Failure> {
        let sent = self.client.publish(topic, payload, Qos::AtLeastOnce, true).await;
        sent.map_err(|_| self.disconnected(None))
    }

    /// Waits until the broker has acknowledged `count` publishes of this connection in total.
    pub(super) async fn acknowledged(&mut self, count: u64) -> Result<(), Failure> {
        let first = self.progress.borrow().connections;
        let done = |progress: &ClientStatus| {
            progress.acknowledged >= count
                || progress.refusal.is_some()
                || !progress.connected
                || progress.connections != first
        };
        self.wait_until(done).await?;
        self.check_refusal()?;
        let progress = self.progress.borrow().clone();
        // Acknowledgements of another connection may be those of what was sent again.
        let lost = !progress.connected || progress.connections != first;
        if lost { Err(self.disconnected(progress.fault)) } else { Ok(()) }
    }

    pub(super) fn acknowledgements(&self) -> u64 {
        self.progress.borrow().acknowledged
    }

    /// The next message; `None` never comes while the session lives.
    pub(super) async fn next(&mut self) -> Option<ClientMessage> {
        match self.received_early.pop_front() {
            Some(message) => Some(message),
            None => self.inbox.recv().await,
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.progress.borrow().connected
    }

    /// Waits for the connection; messages that come meanwhile are kept, or a full inbox would keep
    /// the answer back.
    async fn wait_until(&mut self, done: impl Fn(&ClientStatus) -> bool) -> Result<(), Failure> {
        let deadline = Instant::now() + BROKER_TIMEOUT;
        loop {
            if done(&self.progress.borrow_and_update()) {
                return Ok(());
            }
            tokio::select! {
                changed = self.progress.changed() => changed.map_err(|_| self.disconnected(None))?,
                Some(message) = self.inbox.recv() => self.received_early.push_back(message),
                () = sleep_until(deadline) => {
                    return Err(self.disconnected(Some(Fault::Timeout { after: BROKER_TIMEOUT })));
                }
            }
        }
    }

    fn check_refusal(&self) -> Result<(), Failure> {
        let refusal = self.progress.borrow().refusal.clone();
        let Some(refusal) = refusal else { return Ok(()) };
        let message = format!("{} refused {refusal}; check the broker's access list", self.url);
        Err(Failure::new(Exit::Failed, message))
    }

    fn disconnected(&self, fault: Option<Fault>) -> Failure {
        let fault = fault.or_else(|| self.progress.borrow().fault.clone());
        unavailable(&self.url, &fault.unwrap_or(Fault::Closed))
    }
}

fn unavailable(url: &str, fault: &Fault) -> Failure {
    Failure::new(Exit::Unavailable, format!("{url}: {fault}"))
}

/// Runs a command that uses the broker.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    runtime.block_on(work)
}
