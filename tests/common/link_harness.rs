//! A link, and the test in the place of the daemon: workers' queue, outbox, everything.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use inferd::clock::SystemClock;
use inferd::config::Broker;
use inferd::link::{
    ConnectionId, Event, Fault, Ingest, Link, LinkHandle, LinkOptions, Route, Started,
    StatusMessages, Subscription,
};
use inferd::message::{Captures, Delivery, Incoming, InputProcessed, Outgoing, Qos};
use inferd::outbox::Seq;
use tokio::sync::mpsc;

use super::mqtt_client::MqttClient;
use super::soon;

pub(crate) const STATUS: &str = "inferd/v1/gw/status";

/// A broker configuration for tests: quick to come back.
pub(crate) fn broker(port: u16, client_id: &str) -> Broker {
    Broker {
        host: "127.0.0.1".into(),
        port,
        tls: None,
        client_id: client_id.into(),
        login: None,
        keep_alive: Duration::from_secs(5),
        connect_timeout: Duration::from_secs(5),
        session_expiry: Duration::from_secs(3600),
        receive_maximum: 64,
        in_flight: 8,
        max_packet: 1 << 20,
        backoff_min: Duration::from_millis(1),
        backoff_max: Duration::from_millis(20),
    }
}

/// One queue for all streams, which are told by their filters.
struct OneQueue {
    filters: Vec<Subscription>,
    samples: mpsc::Sender<Incoming>,
    dropped: mpsc::UnboundedSender<Incoming>,
}

impl Ingest for OneQueue {
    fn route(&mut self, topic: &str, _: &[u8], deliveries: &mut Vec<Delivery>) -> Route {
        let wanted = self.filters.iter().filter(|it| matches(&it.filter, topic));
        let streams = wanted.flat_map(|it| &it.streams);
        let deliver = |stream: &usize| Delivery { stream: *stream, captures: Captures::default() };
        deliveries.extend(streams.map(deliver));
        Route::Streams
    }

    fn offer(&mut self, sample: Incoming) -> Result<(), Incoming> {
        self.samples.try_send(sample).map_err(|full| full.into_inner())
    }

    fn dropped(&mut self, sample: Incoming) {
        self.dropped.send(sample).unwrap();
    }
}

/// Matches as brokers do, as far as the filters of these tests go.
fn matches(filter: &str, topic: &str) -> bool {
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// A stream for each filter, retained messages included.
pub(crate) fn wanted(filters: &[&str]) -> Vec<Subscription> {
    let of_stream = |(stream, filter): (usize, &&str)| Subscription {
        retained: true,
        ..Subscription::of_stream(stream, *filter, Qos::AtLeastOnce)
    };
    filters.iter().enumerate().map(of_stream).collect()
}

pub(crate) struct LinkHarness {
    pub(crate) handle: LinkHandle,
    pub(crate) events: mpsc::Receiver<Event>,
    pub(crate) samples: mpsc::Receiver<Incoming>,
    pub(crate) dropped: mpsc::UnboundedReceiver<Incoming>,
    pub(crate) task: tokio::task::JoinHandle<()>,
}

impl LinkHarness {
    /// With room for `queue` samples: `in/…` is stream 0, `more/…` stream 1, `both/…` for both.
    pub(crate) fn start(broker: Broker, queue: usize) -> Self {
        let mut filters = wanted(&["in/#", "more/#", "both/#"]);
        filters[2].streams = vec![0, 1];
        Self::start_for(broker, queue, filters, Vec::new())
    }

    /// A link that is ready, with its connection, and a client that is subscribed to `filter`.
    pub(crate) async fn with_watcher(port: u16, filter: &str) -> (Self, ConnectionId, MqttClient) {
        let mut watcher = MqttClient::connect(port, "watcher").await;
        watcher.subscribe(filter).await;
        let mut link = Self::start(broker(port, "gw"), 8);
        let (connection, session_present) = link.ready().await;
        assert!(!session_present);
        (link, connection, watcher)
    }

    /// A stream for each filter. `former`: those of earlier processes.
    pub(crate) fn start_with(
        broker: Broker,
        queue: usize,
        filters: &[&str],
        former: Vec<String>,
    ) -> Self {
        Self::start_for(broker, queue, wanted(filters), former)
    }

    fn start_for(
        broker: Broker,
        queue: usize,
        subscriptions: Vec<Subscription>,
        former: Vec<String>,
    ) -> Self {
        let (to_samples, samples) = mpsc::channel(queue);
        let (to_dropped, dropped) = mpsc::unbounded_channel();
        let filters = subscriptions.clone();
        let Started { handle, events, task } = Link::start(LinkOptions {
            broker,
            status: StatusMessages {
                topic: STATUS.into(),
                online: "online".into(),
                offline: "offline".into(),
                stopped: "stopped".into(),
            },
            subscriptions,
            previous_filters: former,
            ingest: Box::new(OneQueue { filters, samples: to_samples, dropped: to_dropped }),
            epoch: 0,
            clock: Arc::new(SystemClock::start()),
        });
        Self { handle, events, samples, dropped, task: tokio::spawn(task.run()) }
    }

    pub(crate) async fn event(&mut self) -> Event {
        loop {
            let event = soon("an event", self.events.recv()).await.expect("the link ended");
            // Comes when it likes; [`Event::EpochAdvanced`] has tests of its own.
            if !matches!(event, Event::EpochAdvanced(_)) {
                return event;
            }
        }
    }

    /// Waits for a connection: its number, and whether the broker kept our session.
    pub(crate) async fn up(&mut self) -> (ConnectionId, bool) {
        loop {
            if let Event::Up { connection, session_present } = self.event().await {
                return (connection, session_present);
            }
        }
    }

    /// Waits for a connection and until the broker has granted every subscription.
    pub(crate) async fn ready(&mut self) -> (ConnectionId, bool) {
        let up = self.up().await;
        while self.event().await != Event::Subscribed {}
        up
    }

    /// Waits for the end of a connection, or an attempt that failed for a new reason.
    pub(crate) async fn down(&mut self) -> Fault {
        loop {
            if let Event::Down { fault } = self.event().await {
                return fault;
            }
        }
    }

    /// The next sample, as a worker takes it.
    pub(crate) async fn sample(&mut self) -> Incoming {
        let sample = soon("a sample", self.samples.recv()).await.expect("the link ended");
        self.handle.queue_has_room();
        sample
    }

    /// Takes a sample and is through with it, without a result.
    pub(crate) async fn work(&mut self) -> Incoming {
        let sample = self.sample().await;
        if let Some(input) = sample.token {
            self.handle.input_processed(InputProcessed { input, results: 0 });
        }
        sample
    }

    /// Waits until the counters say so; the link counts as it goes, so this wait is short.
    pub(crate) async fn counted(
        &self,
        what: &str,
        is_so: impl Fn(&inferd::link::Counters) -> bool,
    ) {
        soon(what, async {
            while !is_so(&self.handle.counters()) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Waits until the link's state has what `pick` looks for.
    pub(crate) async fn state<T>(
        &self,
        what: &str,
        pick: impl Fn(&inferd::link::LinkState) -> Option<T>,
    ) -> T {
        soon(what, async {
            loop {
                if let Some(found) = pick(&self.handle.state()) {
                    return found;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }

    /// Hands over a numbered QoS 1 publish.
    pub(crate) fn publish(&self, connection: ConnectionId, seq: u64, topic: &str, payload: &str) {
        self.handle.try_publish(connection, Seq(seq), message(topic, payload)).unwrap();
    }

    /// Waits until this publish is settled: true where it was sent.
    pub(crate) async fn settled(&mut self, number: u64) -> bool {
        loop {
            match self.event().await {
                Event::Sent { seq } if seq == Seq(number) => return true,
                Event::Refused { seq, .. } if seq == Seq(number) => return false,
                _ => {}
            }
        }
    }

    /// Stops the link in order.
    pub(crate) async fn stop(self) {
        self.handle.stop(super::PATIENCE);
        soon("the end of the link", self.task).await.unwrap();
    }
}

pub(crate) fn message(topic: &str, payload: &str) -> Outgoing {
    Outgoing {
        topic: topic.into(),
        payload: payload.to_owned().into(),
        content_type: Cow::Borrowed("application/json"),
        properties: vec![(Cow::Borrowed("model"), "motion".into())],
        correlation: None,
        retain: false,
        qos: Qos::AtLeastOnce,
    }
}

/// The payload of a sample as text.
pub(crate) fn text(sample: &Incoming) -> String {
    String::from_utf8(sample.payload.to_vec()).unwrap()
}
