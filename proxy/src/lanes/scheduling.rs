//! How the kernel schedules a lane among the other programs of its host.

use std::cell::Cell;
use std::io;

use nix::libc::{SCHED_BATCH, SCHED_OTHER, sched_getscheduler, sched_param, sched_setscheduler};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// This thread, for the calls of sched(7).
const THIS: Pid = Pid::from_raw(0);

/// The processor of a lane, and all that the program may use.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    own: CpuSet,
    all: CpuSet,
}

impl Place {
    /// A processor for each of so many lanes. None where the program may use another number
    /// of them: it has a share of more then (cgroup quota), and which are free, the kernel
    /// knows better.
    pub fn of_lanes(count: usize) -> Vec<Option<Self>> {
        let places = Self::all().unwrap_or_default();
        if places.len() == count { places.into_iter().map(Some).collect() } else { vec![None; count] }
    }

    /// One for each processor that the program may use.
    ///
    /// # Errors
    /// When the system does not tell, or has more than `CpuSet` holds.
    pub fn all() -> nix::Result<Vec<Self>> {
        let all = sched_getaffinity(THIS)?;
        let mut places = Vec::new();
        for processor in 0..CpuSet::count() {
            if all.is_set(processor)? {
                let mut own = CpuSet::new();
                own.set(processor)?;
                places.push(Self { own, all });
            }
        }
        Ok(places)
    }

    /// This thread, and those that it starts, run on the lane's own processor: what a key
    /// needs is in its caches still when the next one comes. [`Outing`]s are from here.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn take(&self) -> nix::Result<()> {
        sched_setaffinity(THIS, &self.own)?;
        HOME.set(Some(*self));
        Ok(())
    }

    /// This thread runs wherever there is room.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn leave(&self) -> nix::Result<()> {
        sched_setaffinity(THIS, &self.all)
    }
}

thread_local! {
    /// The place of the lane that this thread is, if it has taken one.
    static HOME: Cell<Option<Place>> = const { Cell::new(None) };
    /// What has the lane away from there.
    static OUTINGS: Cell<usize> = const { Cell::new(0) };
}

/// While one lives, its lane runs wherever there is room: what keeps several programs busy
/// goes faster where the kernel may move all of them. Begins and ends on the lane's thread,
/// as all that a connection has does; elsewhere it does nothing.
#[derive(Debug)]
pub struct Outing(());

impl Outing {
    pub fn begin() -> Self {
        if OUTINGS.replace(OUTINGS.get() + 1) == 0 {
            Self::moved(Place::leave);
        }
        Self(())
    }

    fn moved(how: impl FnOnce(&Place) -> nix::Result<()>) {
        if let Some(Err(error)) = HOME.get().as_ref().map(how) {
            tracing::debug!(%error, "the system does not let a lane move");
        }
    }
}

impl Drop for Outing {
    fn drop(&mut self) {
        let left = OUTINGS.get().saturating_sub(1);
        OUTINGS.set(left);
        if left == 0 {
            Self::moved(Place::take);
        }
    }
}

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
