//! Owns things that are found by small numbers, each of which is used again once its thing has gone.

use alloc::vec::Vec;
use core::ops::{Index, IndexMut};

/// Things by number. In the place of one that has gone stands the default.
#[derive(Debug, Default)]
pub(super) struct Slots<T> {
    items: Vec<T>,
    free: Vec<u32>,
}

impl<T: Default> Slots<T> {
    pub(super) fn add(&mut self, item: T) -> u32 {
        if let Some(number) = self.free.pop() {
            self.items[number as usize] = item;
            return number;
        }
        self.items.push(item);
        self.items.len() as u32 - 1
    }

    /// Takes one out. Once all have gone, so has their memory.
    pub(super) fn take(&mut self, number: u32) -> T {
        let item = core::mem::take(&mut self.items[number as usize]);
        self.free.push(number);
        if self.free.len() == self.items.len() {
            *self = Self::default();
        }
        item
    }

    /// All places, also those of things that have gone.
    pub(super) fn places(&self) -> &[T] {
        &self.items
    }
}

impl<T> Index<u32> for Slots<T> {
    type Output = T;

    #[inline(always)]
    fn index(&self, number: u32) -> &T {
        &self.items[number as usize]
    }
}

impl<T> IndexMut<u32> for Slots<T> {
    fn index_mut(&mut self, number: u32) -> &mut T {
        &mut self.items[number as usize]
    }
}

#[cfg(test)]
impl<T> Slots<T> {
    /// The numbers that are not in use.
    pub(super) fn free(&self) -> Vec<u32> {
        let mut free = self.free.clone();
        free.sort_unstable();
        free
    }
}
