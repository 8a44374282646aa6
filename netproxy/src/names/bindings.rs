//! Which names the guest was told an address for.
//!
//! An address that a name led to is that name's for as long as the partition runs: a connection to it is judged by the rules of the name.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use septum_abi::net;
use septum_api_types::network::HostEntry;

/// Addresses that are remembered; the one that was told longest ago is forgotten.
const MOST_ADDRESSES: usize = 4096;
/// Names of an address.
const MOST_NAMES: usize = 32;

/// What names led to.
#[derive(Debug, Default)]
pub struct Bindings {
    /// What a person said.
    said: HashMap<IpAddr, Vec<Arc<str>>>,
    found: HashMap<IpAddr, VecDeque<Arc<str>>>,
    order: VecDeque<IpAddr>,
}

impl Bindings {
    /// Those that a person said, to begin with.
    #[must_use]
    pub fn new(entries: &[HostEntry]) -> Self {
        let mut said: HashMap<IpAddr, Vec<Arc<str>>> = HashMap::new();
        for entry in entries {
            let ip = entry.address.unwrap_or(IpAddr::V4(net::HOST));
            said.entry(ip).or_default().push(entry.name.as_str().into());
        }
        Self { said, ..Self::default() }
    }

    /// The guest is told that `name` has this address.
    pub fn bind(&mut self, ip: IpAddr, name: &str) {
        let ip = ip.to_canonical();
        if !self.found.contains_key(&ip) {
            self.order.push_back(ip);
            if self.order.len() > MOST_ADDRESSES
                && let Some(oldest) = self.order.pop_front()
            {
                self.found.remove(&oldest);
            }
        }
        let names = self.found.entry(ip).or_default();
        if !names.iter().any(|known| **known == *name) {
            names.push_back(name.into());
            if names.len() > MOST_NAMES {
                names.pop_front();
            }
        }
    }

    /// Names that led to `ip`.
    #[must_use]
    pub fn names(&self, ip: IpAddr) -> Vec<Arc<str>> {
        let ip = ip.to_canonical();
        let said = self.said.get(&ip).into_iter().flatten();
        said.chain(self.found.get(&ip).into_iter().flatten()).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lead_back_to_names_and_the_oldest_are_forgotten() {
        let entry = HostEntry { name: "db".to_owned(), address: None };
        let mut bindings = Bindings::new(&[entry]);
        assert_eq!(bindings.names(IpAddr::V4(net::HOST)), ["db".into()]);
        let ip = |number: usize| IpAddr::from(u32::try_from(number).unwrap().to_be_bytes());
        for number in 0..=MOST_ADDRESSES {
            bindings.bind(ip(number), "a");
            bindings.bind(ip(number), "a");
        }
        assert!(bindings.names(ip(0)).is_empty());
        assert_eq!(bindings.names(ip(MOST_ADDRESSES)), ["a".into()]);
        (0..100).for_each(|number| bindings.bind(ip(7), &number.to_string()));
        assert_eq!(bindings.names(ip(7)).len(), MOST_NAMES);
        assert_eq!(bindings.names(IpAddr::V4(net::HOST)), ["db".into()]);
    }
}
