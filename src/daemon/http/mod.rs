//! The HTTP server of the daemon: metrics, health, the Open Inference Protocol, the status page.
//!
//! It runs on a thread of its own, so that no request delays the connection to the broker or a
//! worker. Everything is rendered on request, from health snapshots and counters that exist without
//! it: while nobody asks, the thread sleeps.

mod exposition;
mod infer;
mod inference_protocol;
mod metrics;
mod page;
mod site;
mod trial;

use std::io;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::context::DaemonContext;
use super::control::commands::Commands;
use crate::config;
use crate::http::{Access, Server, Token};
use site::Site;

/// The thread of the server. It ends when this is dropped.
pub(crate) struct HttpThread {
    _stop: oneshot::Sender<()>,
}

/// Opens the server that the configuration asks for. The daemon works without one, too: what is
/// wrong is logged.
pub(crate) fn start(context: &Arc<DaemonContext>, commands: &Commands) -> Option<HttpThread> {
    let http = &context.config.http;
    let address = http.listen?;
    let started = open(http).and_then(|server| {
        let address = server.address()?;
        let thread = spawn(server, Site::new(context.clone(), commands.clone()))?;
        log::info!("HTTP on http://{address}/");
        Ok(thread)
    });
    started.inspect_err(|error| log::error!("no HTTP server on {address}: {error}")).ok()
}

fn open(http: &config::Http) -> io::Result<Server> {
    let address = http.listen.ok_or(io::ErrorKind::InvalidInput)?;
    let token = http.token_file.as_deref().map(Token::read).transpose();
    let token = token.map_err(io::Error::other)?;
    Server::bind(address, Access { token, hosts: http.hosts.clone() })
}

fn spawn(server: Server, site: Site) -> io::Result<HttpThread> {
    let (stop, stopped) = oneshot::channel::<()>();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let site = Arc::new(site);
    let handler = move |request| {
        let site = site.clone();
        async move { site.respond(&request).await }
    };
    let serve = move || {
        let served = runtime.block_on(async {
            tokio::select! {
                served = server.serve(handler) => served,
                _ = stopped => Ok(()),
            }
        });
        if let Err(error) = served {
            log::error!("the HTTP server has ended: {error}");
        }
    };
    std::thread::Builder::new().name("http".into()).spawn(serve)?;
    Ok(HttpThread { _stop: stop })
}
