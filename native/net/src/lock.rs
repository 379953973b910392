//! Owns how data is locked that connections share; knows nothing of what is behind a lock.
//!
//! These are the standard library's locks, which wait in the kernel at once. Others give the processor away between two
//! looks first; where all processors are busy, a scheduler takes that for a wish to wait, and each look costs
//! milliseconds.
//!
//! A panic while a lock is held ends its thread or task, not the server: the next holder goes on with what is there.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{self, MutexGuard, PoisonError, RwLockReadGuard, RwLockWriteGuard, TryLockError};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The standard library's, without poisoning.
#[derive(Debug, Default)]
pub struct Mutex<T>(sync::Mutex<T>);

impl<T> Mutex<T> {
    /// Puts a value behind a lock.
    pub fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    /// Waits for the lock.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Needs no lock: there is no other reference to the value.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a thread with much work lets others go first, and the pause between two checks whether they have.
const PATIENCE: Duration = Duration::from_millis(1);
const LOOK: Duration = Duration::from_micros(20);

/// The standard library's, without poisoning, and with [`RwLock::give_way`].
#[derive(Debug, Default)]
pub struct RwLock<T> {
    inner: sync::RwLock<T>,
    /// Threads that wait for it.
    waiting: AtomicUsize,
}

impl<T> RwLock<T> {
    /// Puts a value behind a lock.
    pub fn new(value: T) -> Self {
        Self {
            inner: sync::RwLock::new(value),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Waits until there is no writer.
    #[inline]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        match self.inner.try_read() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            Err(TryLockError::WouldBlock) => self.wait(sync::RwLock::read),
        }
    }

    /// Waits until there is no reader and no other writer.
    #[inline]
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        match self.inner.try_write() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            Err(TryLockError::WouldBlock) => self.wait(sync::RwLock::write),
        }
    }

    #[cold]
    fn wait<'a, G>(
        &'a self,
        lock: impl FnOnce(&'a sync::RwLock<T>) -> Result<G, PoisonError<G>>,
    ) -> G {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let guard = lock(&self.inner).unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        guard
    }

    /// Lets waiting threads go first. To be called by a thread that has just unlocked it and will lock it again: the
    /// unlocking wakes a waiting thread, which needs some microseconds to run, and would find it locked again each time.
    pub fn give_way(&self) {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return;
        }
        let start = Instant::now();
        while self.waiting.load(Ordering::Relaxed) > 0 && start.elapsed() < PATIENCE {
            sleep(LOOK);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::*;

    #[test]
    fn a_panic_behind_a_lock_leaves_it_usable() {
        let (mutex, lock) = (Arc::new(Mutex::new(1)), Arc::new(RwLock::new(2)));
        let theirs = (Arc::clone(&mutex), Arc::clone(&lock));
        let panicked = thread::spawn(move || {
            let (_one, _two) = (theirs.0.lock(), theirs.1.write());
            panic!("behind both locks");
        });
        assert!(panicked.join().is_err());
        assert_eq!(*mutex.lock(), 1);
        assert_eq!(*lock.read(), 2);
        assert_eq!(*lock.write(), 2);
    }

    #[test]
    fn whoever_locks_it_over_and_over_lets_others_in_between() {
        let lock = Arc::new(RwLock::new(0));
        let is_over = Arc::new(AtomicBool::new(false));
        let busy = thread::spawn({
            let (lock, is_over) = (Arc::clone(&lock), Arc::clone(&is_over));
            move || {
                while !is_over.load(Ordering::Relaxed) {
                    *lock.write() += 1;
                    lock.give_way();
                }
            }
        });
        // Each look ends, and something is changed between the first and the last.
        let first = *lock.read();
        while *lock.read() < first + 1000 {}
        is_over.store(true, Ordering::Relaxed);
        assert!(busy.join().is_ok());
        assert_eq!(lock.waiting.load(Ordering::Relaxed), 0);
    }
}
