//! Owns when freed memory goes back to the system: glibc's allocator keeps what a burst needed, for ever, unless it is told.
//!
//! Other allocators were tried: mimalloc kept as much and began with twice as much. Musl's returns what is free by itself.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(super) use glibc::return_after_bursts;

/// Nothing is to be done where the allocator returns what is free.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn return_after_bursts(_: mist::Handle) {}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    use std::fs;
    use std::thread;
    use std::time::Duration;

    use mist::Handle;

    /// What must be free before it is worth the few milliseconds, and what is worth it whatever clients hold.
    const WORTHWHILE: usize = 4 << 20;
    const MUCH: usize = 64 << 20;
    /// Looks at which so much must be free: what comes and goes is not worth returning, since others wait for that.
    const LOOKS: u32 = 3;
    /// Seconds until the next time, and where hardly anything could be returned.
    const PAUSE: u64 = 2;
    const LONG_PAUSE: u64 = 60;

    /// Looks once a second whether much is free, until the program ends.
    pub(in super::super) fn return_after_bursts(handle: Handle) {
        let watching = thread::Builder::new()
            .name("memory".to_owned())
            .spawn(move || {
                let Some(own) = resident() else { return };
                let (mut looks, mut pause) = (0, 0);
                loop {
                    thread::sleep(Duration::from_secs(1 + pause));
                    pause = 0;
                    let Some(now) = resident() else { return };
                    match is_worthwhile(now, own, handle.held_bytes()) {
                        true => looks += 1,
                        false => looks = 0,
                    }
                    if looks == LOOKS {
                        looks = 0;
                        trim();
                        let returned = now.saturating_sub(resident().unwrap_or(now));
                        pause = match returned < WORTHWHILE / 2 {
                            true => LONG_PAUSE,
                            false => PAUSE,
                        };
                    }
                }
            });
        if let Err(error) = watching {
            tracing::warn!(%error, "freed memory is kept: no thread can be started that returns it");
        }
    }

    /// Whether much is free, of what is there besides what the program needs for itself and what clients hold.
    fn is_worthwhile(resident: usize, own: usize, held: usize) -> bool {
        let free = resident.saturating_sub(own + held);
        free > WORTHWHILE && (free > held || free > MUCH)
    }

    /// The bytes of this process that are in memory.
    fn resident() -> Option<usize> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: usize = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kib << 10)
    }

    #[allow(unsafe_code)]
    fn trim() {
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        // SAFETY: glibc has this function, and lets any thread call it at any time.
        unsafe { malloc_trim(0) };
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn returning_memory_is_worth_it_when_more_is_free_than_held() {
            let mib = |count: usize| count << 20;
            assert!(is_worthwhile(mib(100), mib(8), mib(40)));
            assert!(!is_worthwhile(mib(100), mib(8), mib(60)), "most is held");
            assert!(is_worthwhile(mib(200), mib(8), mib(120)), "it is much");
            assert!(!is_worthwhile(mib(12), mib(8), 0), "it is little");
            assert!(!is_worthwhile(mib(100), mib(98), 0), "it was tried");
        }

        #[test]
        fn the_system_tells_what_is_resident() {
            assert!(resident().is_some_and(|bytes| bytes > 1 << 20));
        }
    }
}
