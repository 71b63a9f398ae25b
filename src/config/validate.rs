//! Builds the typed configuration from a tree and validates options that depend on each other.

use std::net::SocketAddr;

use super::monitoring;
use super::problem::Problems;
use super::reference::REFERENCE;
use super::section::Section;
use super::tree::Node;
use super::{
    Broker, Config, Control, Gateway, Http, Login, Models, Outbox, Password, Report, Store, Tls,
    TopicTemplate, Updates, Workers,
};
use crate::ids::GatewayId;

/// Builds the configuration; `None` where something essential is missing. Problems are collected,
/// and a result counts only if there are none.
pub(super) fn config(root: &Node, problems: &Problems) -> Option<Config> {
    let root = Section::root(REFERENCE, root, problems);
    let gateway = gateway(&root.section("gateway"));
    let broker = broker(&root.section("broker"), gateway.as_ref());
    let store = store(&root.section("store"));
    let sections = root.sections("stream");
    let streams: Vec<_> = sections.iter().map(super::validate_stream::stream).collect();
    let models = Models { dir: root.section("models").path_if("dir").unwrap_or_default() };
    let outbox = outbox(&root.section("outbox"));
    let workers = workers(&root.section("workers"));
    let updates = updates(&root.section("updates"));
    let report = report(&root.section("report"));
    let capture = monitoring::capture_files(&root.section("capture"), gateway.as_ref());
    let control = Control { dir: root.section("control").path_if("dir").unwrap_or_default() };
    let http = http(&root.section("http"));
    let built: Vec<_> = sections
        .iter()
        .zip(&streams)
        .filter_map(|(s, stream)| Some((s, stream.as_ref()?)))
        .collect();
    super::validate_stream::together(&built, gateway.as_ref(), broker.as_ref());
    for (section, stream) in &built {
        monitoring::check_acts(section, stream, updates.keyset.is_some());
        if stream.infer && (http.listen.is_none() || http.token_file.is_none()) {
            let reason = "the model can be run over HTTP only by clients with a token";
            section.problem("infer", reason, "http.listen and http.token_file");
        }
    }
    // One left out would shift the numbers of those after it.
    let streams = streams.into_iter().collect::<Option<Vec<_>>>();
    let (gateway, broker, streams) = (gateway?, broker?, streams?);
    Some(Config {
        broker,
        gateway,
        models,
        store,
        outbox,
        workers,
        updates,
        report,
        control,
        http,
        capture,
        streams,
        identity_warning: None,
        notes: Vec::new(),
    })
}

fn broker(section: &Section<'_>, gateway: Option<&Gateway>) -> Option<Broker> {
    let url = section.parsed("url", Url::parse);
    let tls = tls(section, url.as_ref());
    let login = section.has("credentials").then(|| login(&section.section("credentials")));
    let client_id = section.text_if("client_id");
    let (backoff_min, backoff_max) =
        (section.duration("backoff_min"), section.duration("backoff_max"));
    if backoff_min > backoff_max {
        section.problem("backoff_min", "larger than backoff_max", "at most backoff_max");
    }
    let host = section.text_if("host");
    let port = section.int_if("port");
    let broker = Broker {
        tls,
        login,
        keep_alive: section.duration("keep_alive"),
        connect_timeout: section.duration("connect_timeout"),
        session_expiry: section.duration("session_expiry"),
        receive_maximum: section.int("receive_maximum"),
        in_flight: section.int("in_flight"),
        max_packet: section.size("max_packet"),
        backoff_min,
        backoff_max,
        client_id: client_id.or_else(|| gateway.map(|g| g.id.to_string()))?,
        port: port.or(url.as_ref().map(|url| url.port))?,
        host: host.or(url.map(|url| url.host))?,
    };
    Some(broker)
}

fn tls(section: &Section<'_>, url: Option<&Url>) -> Option<Tls> {
    let tls = Tls {
        ca_file: section.path_if("ca_file"),
        client_cert_file: section.path_if("client_cert_file"),
        client_key_file: section.path_if("client_key_file"),
    };
    match (&tls.client_cert_file, &tls.client_key_file) {
        (Some(_), None) => {
            section.problem("client_cert_file", "a certificate without its key", "client_key_file");
        }
        (None, Some(_)) => {
            section.problem("client_key_file", "a key without its certificate", "client_cert_file");
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
    let encrypted = url?.tls;
    for key in ["ca_file", "client_cert_file", "client_key_file"] {
        if section.has(key) && !encrypted {
            section.problem(key, "the connection is not TLS", "broker.url = \"mqtts://…\"");
        }
    }
    encrypted.then_some(tls)
}

fn login(section: &Section<'_>) -> Login {
    let (file, env) = (section.path_if("password_file"), section.text_if("password_env"));
    if file.is_some() && env.is_some() {
        section.problem("password_env", "password_file is set too", "one of the two");
    }
    let password = match (file, env) {
        (Some(file), _) => Password::File(file),
        (None, Some(name)) => Password::Env(name),
        (None, None) => Password::None,
    };
    Login { username: section.text("username"), password }
}

fn gateway(section: &Section<'_>) -> Option<Gateway> {
    let prefix = section.parsed("prefix", |text| match TopicTemplate::with_any_names(text) {
        Ok(_) if text.contains('{') => Err("has a capture".to_owned()),
        Ok(_) => Ok(text.to_owned()),
        Err(why) => Err(why.to_string()),
    });
    if !section.has("id") {
        section.problem("id", "not set, and this machine has no usable host name", "a name");
    }
    let id = section.parsed("id", GatewayId::parse);
    let groups = section.strings("groups");
    // A group is a name as a gateway is: it will be a level of a topic.
    if let Some(why) = groups.iter().find_map(|group| GatewayId::parse(group).err()) {
        section.problem("groups", why.to_string(), "names");
    }
    Some(Gateway { id: id?, groups, prefix: prefix? })
}

fn store(section: &Section<'_>) -> Store {
    Store {
        dir: section.path_if("dir").unwrap_or_default(),
        max_bytes: section.size("max_bytes"),
        max_records: section.int("max_records"),
        reserve_bytes: section.size("reserve_bytes"),
        group_records: section.int("group_records"),
        group_delay: section.duration("group_delay"),
        checkpoint_interval: section.duration("checkpoint_interval"),
    }
}

fn outbox(section: &Section<'_>) -> Outbox {
    Outbox {
        memory_records: section.int("memory_records"),
        drain_rate: section.int("drain_rate"),
        in_order: section.flag("in_order"),
    }
}

fn workers(section: &Section<'_>) -> Workers {
    Workers {
        threads: section.int("threads"),
        queue: section.int("queue"),
        stop_deadline: section.duration("stop_deadline"),
    }
}

fn updates(section: &Section<'_>) -> Updates {
    Updates {
        keyset: section.path_if("keyset"),
        max_bytes_per_s: section.size("max_bytes_per_s"),
        ca_file: section.path_if("ca_file"),
        probe_memory: section.size("probe_memory"),
        probe_time: section.duration("probe_time"),
    }
}

fn report(section: &Section<'_>) -> Report {
    Report {
        health_interval: section.duration("health_interval"),
        rejects_per_minute: section.int("rejects_per_minute"),
    }
}

fn http(section: &Section<'_>) -> Http {
    let address = |text: &str| match text.parse::<SocketAddr>() {
        Ok(address) if address.port() > 0 => Ok(address),
        Ok(_) => Err("the port is 0"),
        Err(_) => Err("not an IP address and a port"),
    };
    let listen = section.parsed("listen", address);
    let token_file = section.path_if("token_file");
    if listen.is_some_and(|listen| !listen.ip().is_loopback()) && token_file.is_none() {
        let why = "other machines can reach this address, and no token_file is set";
        section.problem("listen", why, "127.0.0.1:PORT, or token_file as well");
    }
    let hosts = section.strings("hosts");
    for (key, is_set) in [("token_file", token_file.is_some()), ("hosts", !hosts.is_empty())] {
        if is_set && !section.has("listen") {
            section.problem(key, "the HTTP server is off", "http.listen as well");
        }
    }
    Http { listen, token_file, hosts }
}

/// `mqtt://host:port`, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Url {
    /// Parses a broker's address; an IPv6 address stands in brackets.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let (tls, rest) = match text.split_once("://") {
            Some(("mqtt", rest)) => (false, rest),
            Some(("mqtts", rest)) => (true, rest),
            Some(_) => return Err("unknown scheme"),
            None => return Err("no scheme"),
        };
        if rest.contains('@') {
            return Err("holds a user: put it into [broker.credentials]");
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port),
            None => rest.split_at(rest.find(':').unwrap_or(rest.len())),
        };
        if host.is_empty() || host.contains(['/', '?', '#', ' ']) {
            return Err("no host, or more than host and port");
        }
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().ok().filter(|&port| port > 0).ok_or("not a port")?,
            None if port.is_empty() => {
                if tls {
                    8883
                } else {
                    1883
                }
            }
            None => return Err("not a host and a port"),
        };
        Ok(Self { tls, host: host.to_owned(), port })
    }
}
