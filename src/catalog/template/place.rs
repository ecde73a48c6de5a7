//! Which setting a thread is rendering, for whoever waits for it and gives up.

use std::{
    cell::RefCell,
    sync::{Arc, Mutex, PoisonError},
};

thread_local! {
    static HERE: RefCell<Option<Place>> = const { RefCell::new(None) };
}

/// The path of what is being rendered; seen by all of its clones.
#[derive(Debug, Clone, Default)]
pub struct Place(Arc<Mutex<String>>);

impl Place {
    /// Does work that notes here what it renders.
    pub fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        let _before = Restored(HERE.replace(Some(self.clone())));
        work()
    }

    /// Within the node: `config.body.text`, `when`. `None` before anything is rendered.
    #[must_use]
    pub fn path(&self) -> Option<String> {
        let path = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Some(path).filter(|path| !path.is_empty())
    }
}

struct Restored(Option<Place>);

impl Drop for Restored {
    fn drop(&mut self) {
        HERE.set(self.0.take());
    }
}

/// Notes that this is what the thread renders from now on.
pub fn enter(path: &str) {
    HERE.with_borrow(|here| {
        if let Some(place) = here {
            path.clone_into(&mut place.0.lock().unwrap_or_else(PoisonError::into_inner));
        }
    });
}
