//! Numbers of System V's objects, and places that the commands which list them go through.
//!
//! ```text
//! number = turn × 32,768 + place      the lowest free place; another turn when it is not behind the last one
//! ```
//!
//! So a number does not soon come again, and the place of an object stays while others come and go.

use alloc::collections::BTreeMap;
use septum_abi::linux::Errno;

/// Places (IPCMNI).
const PLACES: u16 = 32_768;
const PLACES_OF_A_TURN: i32 = 32_768;
/// Turns, as many as keep numbers positive.
const TURNS: i32 = 65_536;

/// Objects by their place.
#[derive(Debug)]
pub struct Table<T> {
    places: BTreeMap<u16, (i32, T)>,
    last: Option<u16>,
    turn: i32,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Table<T> {
    /// Without objects.
    #[must_use]
    pub const fn new() -> Self {
        Self { places: BTreeMap::new(), last: None, turn: 0 }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.places.len()
    }

    /// The highest place, or 0: what the commands that tell of all objects return.
    #[must_use]
    pub fn highest(&self) -> usize {
        self.places.keys().next_back().map_or(0, |place| usize::from(*place))
    }

    /// Gives an object a number. ENOSPC if all places are taken.
    pub fn insert(&mut self, object: T) -> Result<i32, Errno> {
        let place = (0..PLACES).find(|place| !self.places.contains_key(place)).ok_or(Errno::ENOSPC)?;
        if self.last.is_some_and(|last| place <= last) {
            self.turn = (self.turn + 1) % TURNS;
        }
        self.last = Some(place);
        let number = self.turn * PLACES_OF_A_TURN + i32::from(place);
        self.places.insert(place, (number, object));
        Ok(number)
    }

    /// The object with this number. EINVAL if there is none.
    pub fn get(&self, number: i32) -> Result<&T, Errno> {
        let found = self.places.get(&place_of(number)?);
        found.filter(|(own, _)| *own == number).map(|(_, object)| object).ok_or(Errno::EINVAL)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, number: i32) -> Result<&mut T, Errno> {
        let found = self.places.get_mut(&place_of(number)?);
        found.filter(|(own, _)| *own == number).map(|(_, object)| object).ok_or(Errno::EINVAL)
    }

    /// The number of the object at a place. EINVAL if there is none.
    pub fn at(&self, place: i32) -> Result<i32, Errno> {
        let place = u16::try_from(place).map_err(|_| Errno::EINVAL)?;
        self.places.get(&place).map(|(number, _)| *number).ok_or(Errno::EINVAL)
    }

    /// Takes an object out.
    pub fn remove(&mut self, number: i32) -> Option<T> {
        self.get(number).ok()?;
        self.places.remove(&place_of(number).ok()?).map(|(_, object)| object)
    }

    /// Keeps only the objects that `is_kept`.
    pub fn retain(&mut self, mut is_kept: impl FnMut(&mut T) -> bool) {
        self.places.retain(|_, (_, object)| is_kept(object));
    }

    /// All, with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (i32, &T)> {
        self.places.values().map(|(number, object)| (*number, object))
    }

    /// All, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.places.values_mut().map(|(_, object)| object)
    }
}

fn place_of(number: i32) -> Result<u16, Errno> {
    u16::try_from(number.rem_euclid(PLACES_OF_A_TURN)).map_err(|_| Errno::EINVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_again_late_and_places_early() {
        let mut table = Table::new();
        let numbers: Vec<i32> = "abc".chars().map(|letter| table.insert(letter).unwrap()).collect();
        assert_eq!(numbers, [0, 1, 2]);
        assert_eq!((table.remove(1), table.remove(1)), (Some('b'), None));
        assert_eq!(
            (table.at(0), table.at(1), table.at(2), table.highest()),
            (Ok(0), Err(Errno::EINVAL), Ok(2), 2)
        );
        let again = table.insert('d').unwrap();
        assert_eq!((again, table.at(1), table.get(1)), (32_769, Ok(32_769), Err(Errno::EINVAL)));
        assert_eq!((table.get(again), table.get(-1)), (Ok(&'d'), Err(Errno::EINVAL)));
        assert_eq!(table.insert('e'), Ok(32_771));
        assert_eq!(table.iter().map(|(_, letter)| *letter).collect::<String>(), "adce");
    }
}
