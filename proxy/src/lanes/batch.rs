//! How the kernel schedules a lane among the other programs of its host.

use std::io;

use nix::libc::{SCHED_BATCH, SCHED_OTHER, sched_getscheduler, sched_param, sched_setscheduler};

/// Has this thread, and those that it starts, scheduled as `SCHED_BATCH` (sched(7)): who
/// sends to a lane comes to rest before the lane goes on. Whom the lane then sends to is
/// woken on the same processor, and no other has to be roused from its sleep for it.
///
/// # Errors
/// When the system refuses. The thread goes on as it was.
#[expect(unsafe_code, reason = "sched_setscheduler(2) has no safe wrapper")]
pub fn batch() -> io::Result<()> {
    // SAFETY: it takes a number; 0 is this thread.
    let policy = unsafe { sched_getscheduler(0) };
    // What an administrator chose, as with `CPUSchedulingPolicy` of the unit, stays.
    if policy != SCHED_OTHER {
        return Ok(());
    }
    let parameters = sched_param { sched_priority: 0 };
    // SAFETY: it reads the parameters, and keeps nothing of them.
    match unsafe { sched_setscheduler(0, SCHED_BATCH, &raw const parameters) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
