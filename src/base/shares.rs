//! Places of a process, of which nobody holds more than a share: what is limited for all
//! together could else be held by one.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt::Debug,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

/// So many places in all, and so many for each holder.
#[derive(Debug)]
pub struct Shares<K> {
    all: usize,
    each: usize,
    held: Mutex<Held<K>>,
}

#[derive(Debug)]
struct Held<K> {
    total: usize,
    by: HashMap<K, usize>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The holder has its share.
    Share,
    /// All are taken.
    All,
}

/// A place that is held; it is given back when this is dropped.
#[derive(Debug)]
pub struct Place<K: Eq + Hash> {
    of: Arc<Shares<K>>,
    holder: Option<K>,
    places: usize,
}

impl<K: Eq + Hash + Clone> Shares<K> {
    #[must_use]
    pub fn new(all: usize, each: usize) -> Arc<Self> {
        Arc::new(Self { all, each, held: Mutex::new(Held { total: 0, by: HashMap::new() }) })
    }

    /// Takes a place. One without a holder counts among all alone.
    ///
    /// # Errors
    /// The holder has its share, or all are taken.
    pub fn take(self: &Arc<Self>, holder: Option<K>) -> Result<Place<K>, Full> {
        self.take_many(holder, 1)
    }

    /// Takes so many places as one. What is more than a share, or than all, takes that much.
    ///
    /// # Errors
    /// As [`Shares::take`].
    pub fn take_many(self: &Arc<Self>, holder: Option<K>, places: usize) -> Result<Place<K>, Full> {
        let places = places.min(self.all).min(if holder.is_some() { self.each } else { self.all });
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(holder) = &holder
            && held.by.get(holder).is_some_and(|count| *count + places > self.each)
        {
            return Err(Full::Share);
        }
        if held.total + places > self.all {
            return Err(Full::All);
        }
        held.total += places;
        if let Some(holder) = &holder {
            *held.by.entry(holder.clone()).or_default() += places;
        }
        drop(held);
        Ok(Place { of: Arc::clone(self), holder, places })
    }

    /// Places that are held now.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).total
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut held = self.of.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.total -= self.places;
        let Some(holder) = self.holder.take() else { return };
        if let Entry::Occupied(mut count) = held.by.entry(holder) {
            *count.get_mut() -= self.places;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_holds_more_than_a_share_and_places_are_given_back() {
        let shares = Shares::new(5, 2);
        let mut held: Vec<_> = (0..2).map(|_| shares.take(Some("a")).unwrap()).collect();
        assert_eq!(shares.take(Some("a")).unwrap_err(), Full::Share);
        held.extend((0..2).map(|_| shares.take(Some("b")).unwrap()));
        held.push(shares.take(None).unwrap());
        assert_eq!(shares.take(Some("c")).unwrap_err(), Full::All);
        assert_eq!(shares.take(None).unwrap_err(), Full::All);
        // Who has a share is told so even if there is none for anybody.
        assert_eq!(shares.take(Some("b")).unwrap_err(), Full::Share);
        held.remove(0);
        held.push(shares.take(Some("a")).unwrap());
        drop(held);
        assert_eq!(shares.taken(), 0);
        let many = shares.take_many(Some("a"), 9).unwrap();
        assert_eq!((shares.taken(), shares.take(Some("a")).unwrap_err()), (2, Full::Share));
        drop(many);
        assert_eq!(shares.taken(), 0);
        assert!(shares.held.lock().unwrap().by.is_empty(), "who holds nothing is forgotten");
    }
}
