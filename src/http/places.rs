//! The connections that are served at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// At most so many connections. One more takes the place of the connection that has been waiting
/// for a request for the longest time, so that silent clients do not keep others out.
#[derive(Debug)]
pub(super) struct Places {
    limit: usize,
    taken: Mutex<Vec<Arc<State>>>,
    /// Counts the waits: an order in time without a clock.
    waits: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// The number of the wait; 0 while a request is handled.
    waiting: AtomicU64,
    given_up: Notify,
}

/// One place; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    state: Arc<State>,
}

impl Places {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, taken: Mutex::default(), waits: AtomicU64::new(1) })
    }

    /// A place for a new connection, which waits for its client; `None` if a request is being handled on every other one.
    pub(super) fn take(self: &Arc<Self>) -> Option<Place> {
        let mut taken = self.taken();
        if taken.len() >= self.limit {
            let waiting = |state: &Arc<State>| state.waiting.load(Ordering::Relaxed);
            let (at, _) = taken
                .iter()
                .enumerate()
                .filter(|(_, state)| waiting(state) > 0)
                .min_by_key(|(_, state)| waiting(state))?;
            taken.swap_remove(at).given_up.notify_one();
        }
        let state = Arc::new(State::default());
        taken.push(state.clone());
        drop(taken);
        let place = Place { places: self.clone(), state };
        place.wait();
        Some(place)
    }

    fn taken(&self) -> MutexGuard<'_, Vec<Arc<State>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Says that the connection waits for its client. From here on it may have to give way.
    pub(super) fn wait(&self) {
        let number = self.places.waits.fetch_add(1, Ordering::Relaxed);
        self.state.waiting.store(number, Ordering::Relaxed);
    }

    /// Says that a request is being handled.
    pub(super) fn work(&self) {
        self.state.waiting.store(0, Ordering::Relaxed);
    }

    /// Ready once the connection has to give way to another one.
    pub(super) async fn given_up(&self) {
        self.state.given_up.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().retain(|state| !Arc::ptr_eq(state, &self.state));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_longest_wait_gives_way_and_work_does_not() {
        let places = Places::new(2);
        let (first, second) = (places.take().unwrap(), places.take().unwrap());
        first.work();
        second.work();
        assert!(places.take().is_none(), "both work");
        second.wait();
        first.wait();
        let third = places.take().unwrap();
        second.given_up().await;
        first.work();
        let fourth = places.take().unwrap();
        third.given_up().await;
        fourth.work();
        assert!(places.take().is_none());
        drop(first);
        assert!(places.take().is_some(), "a place is free");
    }
}
