//! Memory that sessions no longer use, given back to the system.
//!
//! The allocator keeps freed memory for later, between what still lives: what key
//! exchanges and logins needed, and what closed sessions held. A gate that had two
//! hundred sessions this morning shall not hold their memory all day.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Sessions that open or close within this time are cleared up after together.
const TOGETHER: Duration = Duration::from_secs(1);

static AWAITED: AtomicBool = AtomicBool::new(false);

/// A session has opened or closed: what it no longer uses goes back soon.
pub fn tidy() {
    if !AWAITED.swap(true, Ordering::Relaxed) {
        tokio::spawn(async {
            tokio::time::sleep(TOGETHER).await;
            AWAITED.store(false, Ordering::Relaxed);
            let _ = tokio::task::spawn_blocking(give_back).await;
        });
    }
}

#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "malloc_trim(3) has no safe wrapper")]
fn give_back() {
    unsafe extern "C" {
        fn malloc_trim(pad: usize) -> std::ffi::c_int;
    }
    // SAFETY: it takes a number, may be called at any time from any thread
    // (malloc_trim(3): MT-Safe), and touches only memory that is free.
    unsafe {
        malloc_trim(0);
    }
}

/// Other allocators give memory back by themselves.
#[cfg(not(target_env = "gnu"))]
fn give_back() {}
