//! What the updates have the desk say.

use crate::daemon::desk::Desk;
use crate::daemon::models::update_status::{UpdateCounters, UpdateStatus};
use crate::daemon::report;
use crate::ids::ModelName;

impl Desk {
    /// Says where the model's update is.
    pub(super) fn tell_update(&mut self, model: &ModelName, told: UpdateStatus) {
        let now = self.shared.clock.now().wall;
        let Some(serving) = self.serving.iter_mut().find(|s| s.name() == model) else { return };
        serving.told = Some(told);
        let topic = report::topic(&self.shared.config.gateway, &format!("model/{model}"));
        self.link.set_retained(topic, report::model(serving, now));
    }

    pub(super) fn count_updates(&mut self, model: &ModelName, counts: UpdateCounters) {
        self.update_counts.insert(model.clone(), counts);
    }
}
