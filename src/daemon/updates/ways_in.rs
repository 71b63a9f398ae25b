//! From the control socket to the machine of a model.

use tokio::sync::mpsc::Sender;
use tokio::task::spawn_blocking;

use super::{Order, Orders};
use crate::control::Code;
use crate::daemon::control::Asker;
use crate::ids::ModelName;
use crate::update::{Manifest, Packed};

const OFF: &str = "updates are off: say in `updates.keyset` whose releases count, and start again";

/// An order that finds no place is not answered: whoever asked is told that the daemon is busy.
pub(crate) fn order(orders: &Sender<Order>, order: Order) {
    if orders.try_send(order).is_err() {
        log::debug!("the updates of a model do not keep up with orders");
    }
}

/// Takes a release apart, beside the desk, and gives it to the machine of its model.
pub(crate) fn install(orders: Orders, file: Vec<u8>, answer: Asker) {
    if orders.is_empty() {
        return answer.refuse(Code::NoUpdates, OFF);
    }
    let read = move || {
        let packed = Packed::read(&file).map_err(|error| error.to_string())?;
        // Which machine: it believes nothing of this and verifies all.
        let manifest: Manifest =
            packed.envelope().unverified().map_err(|error| error.to_string())?;
        Ok::<_, String>((packed, manifest.name))
    };
    tokio::spawn(async move {
        let (packed, model) = match spawn_blocking(read).await {
            Ok(Ok(read)) => read,
            Ok(Err(why)) => {
                return answer.refuse(Code::Model, format!("the file is refused: {why}"));
            }
            Err(_) => return answer.refuse(Code::Stopping, "the daemon is stopping"),
        };
        match orders.get(&model) {
            Some(orders) => order(orders, Order::Install(Box::new(packed), answer)),
            None => answer.refuse(Code::Model, format!("no stream here uses a model {model}")),
        }
    });
}

/// Has a model's machine take the version of before.
pub(crate) fn roll_back(orders: &Orders, model: &str, answer: Asker) {
    if orders.is_empty() {
        return answer.refuse(Code::NoUpdates, OFF);
    }
    let known = ModelName::parse(model).ok().and_then(|model| orders.get(&model));
    match known {
        Some(orders) => order(orders, Order::Back(answer)),
        None => answer.refuse(Code::Model, format!("no stream here uses a model {model:?}")),
    }
}
