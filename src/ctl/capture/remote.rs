//! Requests to one gateway, and its answers.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout_at};

use crate::capture::{Ask, CaptureRequest, FileInfo, SegmentName};
use crate::ctl::broker::{BrokerArgs, Session};
use crate::ids::GatewayId;
use crate::link::ClientMessage;
use crate::terminal::{Exit, Failure};

/// How long an answer may take before the request is repeated.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Requests without an answer at most.
const MAX_TRIES: u32 = 6;
/// How long a gateway may ask to wait, in a row.
const MAX_WAIT: Duration = Duration::from_secs(600);

/// What a gateway answers: a line of JSON, and the bytes behind it.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    n: u64,
    #[serde(default)]
    wait_ms: Option<u64>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    pub(super) segments: Vec<Listed>,
    #[serde(default)]
    pub(super) more: bool,
    #[serde(default)]
    pub(super) files: Vec<FileInfo>,
    #[serde(skip)]
    pub(super) bytes: Vec<u8>,
}

/// A segment that a gateway has.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Listed {
    #[serde(flatten)]
    pub(super) name: SegmentName,
    pub(super) inputs: u64,
}

/// Why a gateway did not give what was asked for.
#[derive(Debug)]
pub(super) enum Refused {
    /// It said why; the next request may succeed.
    ByGateway(String),
    /// There is no answer, or no connection.
    Gone(Failure),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Gone(failure)
    }
}

/// The gateways as seen by one client.
#[derive(Debug)]
pub(super) struct Remote {
    session: Session,
    prefix: String,
    client: GatewayId,
    last: u64,
}

impl Remote {
    /// Subscribes to the answers of all gateways.
    pub(super) async fn new(mut session: Session, broker: &BrokerArgs) -> Result<Self, Failure> {
        let client = format!("pull-{:016x}", fastrand::u64(..));
        let client = GatewayId::parse(&client)
            .map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
        let filter = broker.topic(&format!("+/capture/answer/{client}"));
        session.subscribe_retained(&[filter]).await?;
        Ok(Self { session, prefix: broker.prefix().to_owned(), client, last: 0 })
    }

    /// Asks a gateway, again where an answer is lost, or after the time that an answer names.
    pub(super) async fn ask(&mut self, gateway: &GatewayId, ask: Ask) -> Result<Answer, Refused> {
        let mut waited = Duration::ZERO;
        let mut tries = 0;
        while tries < MAX_TRIES && waited < MAX_WAIT {
            let Some(answer) = self.ask_once(gateway, ask.clone()).await? else {
                tries += 1;
                continue;
            };
            if let Some(why) = answer.error {
                return Err(Refused::ByGateway(why));
            }
            let Some(ms) = answer.wait_ms else { return Ok(answer) };
            let wait = Duration::from_millis(ms).min(ANSWER_TIMEOUT);
            waited += wait;
            sleep(wait).await;
        }
        let why = if tries < MAX_TRIES {
            format!("{gateway} has results that wait for the broker, and sends no captured inputs")
        } else {
            format!(
                "{gateway} does not answer; is it online, does its configuration have \
                 capture.mqtt = true, and does the broker's access list allow \
                 {}/{gateway}/capture/#?",
                self.prefix
            )
        };
        Err(Failure::new(Exit::Failed, why).into())
    }

    async fn ask_once(&mut self, gateway: &GatewayId, ask: Ask) -> Result<Option<Answer>, Failure> {
        self.last += 1;
        let request = CaptureRequest { client: self.client.clone(), n: self.last, ask };
        let payload = serde_json::to_vec(&request)
            .map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
        let topic = format!("{}/{gateway}/capture/get", self.prefix);
        self.session.request(&topic, payload).await?;
        let awaited = format!("{}/{gateway}/capture/answer/{}", self.prefix, self.client);
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        while let Ok(Some(message)) = timeout_at(deadline, self.session.next()).await {
            let answer = (message.topic == awaited).then(|| parse(&message)).flatten();
            if let Some(answer) = answer
                && answer.n == self.last
            {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }
}

fn parse(message: &ClientMessage) -> Option<Answer> {
    let end = message.payload.iter().position(|byte| *byte == b'\n')?;
    let (head, rest) = message.payload.split_at_checked(end)?;
    let answer: Answer = serde_json::from_slice(head).ok()?;
    Some(Answer { bytes: rest.get(1..)?.to_vec(), ..answer })
}
