//! How many at once, from where.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::origin::source;

/// Counts connections that have not proved who they are: so many for each source, and so many in
/// all. Clones share them.
#[derive(Clone)]
pub struct UnprovedCount {
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
    each: usize,
    all: usize,
}

/// One of them, until it is dropped.
pub struct Unproved {
    count: UnprovedCount,
    address: IpAddr,
}

impl UnprovedCount {
    /// So many for each address, so many in all.
    pub fn new(each: usize, all: usize) -> Self {
        Self { taken: Arc::default(), each, all }
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a connection from `address`, if there is room for it.
    pub fn take(&self, address: IpAddr) -> Option<Unproved> {
        let address = source(address);
        let mut taken = self.taken();
        if taken.values().sum::<usize>() >= self.all || taken.get(&address).is_some_and(|of| *of >= self.each)
        {
            return None;
        }
        *taken.entry(address).or_default() += 1;
        Some(Unproved { count: self.clone(), address })
    }
}

impl Drop for Unproved {
    fn drop(&mut self) {
        let mut taken = self.count.taken();
        if let Some(count) = taken.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_fills_its_places_leaves_those_of_others() {
        let places = UnprovedCount::new(2, 3);
        let (here, there): (IpAddr, IpAddr) = ("127.0.0.1".parse().unwrap(), "127.0.0.2".parse().unwrap());
        let first = places.take(here);
        let _second = places.take(here);
        assert!(places.take(here).is_none());
        let third = places.take(there);
        assert!(third.is_some());
        assert!(places.take(there).is_none(), "all are taken");
        drop(first);
        assert!(places.take(there).is_some());
    }
}
