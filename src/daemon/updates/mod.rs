//! Models over the air: drives the update machines of [`crate::update::device`], one task a model.
//!
//! ```text
//!  link ──take──▶ Post ──letters──▶ Unit ──events──▶ Device (pure)
//!                  ▲                 │  ◀──effects──────┘
//!                  └── wants ────────┤
//!        control socket ──orders──▶  ├──▶ store: slots and notes, one write
//!                                    ├──▶ disk: chunks, versions
//!                                    ├──▶ Switch: the workers change between two steps
//!                                    └──▶ desk: the retained report
//! ```
//! Effects are done in their order, each durable before the next begins; only what a machine asks
//! for and need not wait for (a probe, a download) is done beside it.

mod acts;
mod boot;
mod http;
mod notes;
mod orders;
mod parts;
mod post;
mod proof;
mod tell;
mod trial;
mod unit;
mod ways_in;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub(crate) use boot::{provisioned, wake};
pub(crate) use orders::Order;
pub(crate) use post::{Post, topics};
pub(crate) use ways_in::{install, order, roll_back};

use super::serving::Serving;
use super::switch::Switch;
use crate::ids::ModelName;
use crate::link::LinkHandle;
use crate::store::Settings;
use crate::store::chunks::ChunkStore;
use boot::Draft;
use http::Web;
use parts::Shelf;
use unit::{Parts, Unit};

/// Orders that may wait for a model's machine.
const ORDERS: usize = 2;

/// The ways to the machines, by model; empty where updates are off.
pub(crate) type Orders = BTreeMap<ModelName, Sender<Order>>;

/// The machines of all models, not running yet.
pub(crate) struct Updates {
    units: Vec<Unit>,
    orders: Orders,
}

impl Updates {
    pub(crate) fn new(
        drafts: Vec<Draft>,
        post: &Arc<Post>,
        link: &LinkHandle,
        switch: &Switch,
        serving: &[Serving],
    ) -> Self {
        let mut updates = Self { units: Vec::new(), orders: Orders::new() };
        let Some(versions) = &switch.versions else { return updates };
        let config = &switch.shared.config;
        let web = Web::default();
        for (index, draft) in drafts.into_iter().enumerate() {
            let (order, orders): (_, Receiver<Order>) = channel(ORDERS);
            updates.orders.insert(draft.model.clone(), order);
            let serves = serving.iter().find(|serving| *serving.name() == draft.model);
            let serves = serves.and_then(|serving| serving.stored);
            let parts = Parts {
                index,
                shelf: Shelf {
                    model: draft.model.clone(),
                    shipped: config.models.dir.clone(),
                    chunks: ChunkStore::new(&Settings::from(&config.store), &draft.model),
                    versions: versions.clone(),
                },
                switch: switch.clone(),
                post: post.clone(),
                link: link.clone(),
                orders,
                web: web.clone(),
                unusable: draft.active.is_some() && serves != draft.active,
            };
            updates.units.push(Unit::new(draft, parts));
        }
        updates
    }

    pub(crate) fn orders(&self) -> Orders {
        self.orders.clone()
    }

    /// Runs all of them until what this gives is stopped or dropped.
    pub(crate) fn start(self) -> Running {
        let (stop, stopped) = watch::channel(());
        let mut tasks = JoinSet::new();
        for unit in self.units {
            tasks.spawn(unit.run(stopped.clone()));
        }
        Running { tasks, stop }
    }
}

/// The machines at work.
pub(crate) struct Running {
    tasks: JoinSet<()>,
    stop: watch::Sender<()>,
}

impl Running {
    /// Has them note that the gateway stops in order. One that has not done so by `deadline` is dropped,
    /// and the next start counts as one after a crash.
    pub(crate) async fn stop(mut self, deadline: Instant) {
        self.stop.send_replace(());
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout_at(deadline, ended).await.is_err() {
            log::warn!(
                "stopping: an update was busy, and may take the next start for one after a crash"
            );
        }
    }
}
