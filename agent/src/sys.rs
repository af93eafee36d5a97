//! The only unsafe code: calls that have no safe wrapper at hand.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::libc;

/// Extended attributes that a replaced file keeps: SELinux's label and its ACL.
const KEPT: [&CStr; 2] = [c"security.selinux", c"system.posix_acl_access"];

/// The largest value copied; labels and ACLs are far shorter.
const MOST_VALUE: usize = 4096;

/// From here on the calling thread runs when nobody else wants to: processor and disk.
/// Where the kernel refuses, it goes on as it was.
pub fn yield_to_others() {
    const WHO_THREAD: libc::c_long = 1; // IOPRIO_WHO_PROCESS of ioprio_set(2), a thread
    const IDLE: libc::c_long = 3 << 13; // IOPRIO_CLASS_IDLE
    // SAFETY: both take numbers only; 0 stands for the calling thread.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, 19);
        libc::syscall(libc::SYS_ioprio_set, WHO_THREAD, 0 as libc::c_long, IDLE);
    }
}

/// Gives `to` the security label and ACL of the file at `from`, where it has them.
///
/// # Errors
/// When the old file has one that the new one cannot be given.
pub fn copy_label(from: &Path, to: &File) -> io::Result<()> {
    let from = CString::new(from.as_os_str().as_bytes())?;
    for name in KEPT {
        let mut value = [0u8; MOST_VALUE];
        // SAFETY: both names end in NUL and live through the call; the kernel writes at
        // most `value.len()` bytes into `value`.
        let read =
            unsafe { libc::getxattr(from.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
        let Ok(length) = usize::try_from(read) else {
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::ENODATA | libc::EOPNOTSUPP | libc::ENOENT) => continue,
                _ => return Err(error),
            }
        };
        // SAFETY: `name` ends in NUL, `value` holds `length` bytes that the kernel wrote,
        // and the descriptor is open as long as `to` is borrowed.
        let set = unsafe { libc::fsetxattr(to.as_raw_fd(), name.as_ptr(), value.as_ptr().cast(), length, 0) };
        if set != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Takes away that a file is immutable or may only grow (chattr(1)).
///
/// # Errors
/// When it is neither, its file system knows of none, or the kernel refuses.
pub fn make_mutable(file: &impl AsRawFd) -> io::Result<()> {
    const KEEPS: libc::c_int = 0x10 | 0x20; // FS_IMMUTABLE_FL, FS_APPEND_FL
    let mut flags: libc::c_int = 0;
    // SAFETY: the kernel writes an int, which lives through the call (ioctl_iflags(2)),
    // and the descriptor is open as long as `file` is borrowed.
    let read = unsafe { libc::ioctl(file.as_raw_fd(), libc::FS_IOC_GETFLAGS, &raw mut flags) };
    Errno::result(read)?;
    if flags & KEEPS == 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let flags = flags & !KEEPS;
    // SAFETY: as above; the kernel reads an int.
    Errno::result(unsafe { libc::ioctl(file.as_raw_fd(), libc::FS_IOC_SETFLAGS, &raw const flags) })?;
    Ok(())
}

/// What a file may that its caller may not (capabilities(7)): those that it has, or lets through,
/// as bits; `None` where it has none.
#[must_use]
pub fn capabilities(file: &Path) -> Option<u64> {
    let value = attribute(file, c"security.capability", false)?;
    // `struct vfs_ns_cap_data`: a word of version and flags, two pairs of sets, an id.
    let word = |place: usize| {
        let bytes = value.get(place * 4..).and_then(|value| value.first_chunk::<4>());
        bytes.map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes)))
    };
    // Permitted and inheritable, their lower halves first.
    Some(word(1) | word(2) | (word(3) | word(4)) << 32)
}

/// An extended attribute of a file, or of what a link shows (xattr(7)); `None` where it has none
/// of that name, an empty one, or one that is longer than labels and ACLs are.
#[must_use]
pub fn attribute(file: &Path, name: &CStr, follow: bool) -> Option<Vec<u8>> {
    let file = CString::new(file.as_os_str().as_bytes()).ok()?;
    let get = if follow { libc::getxattr } else { libc::lgetxattr };
    let mut value = [0u8; MOST_VALUE];
    // SAFETY: both names end in NUL and live through the call; the kernel writes at most
    // `value.len()` bytes into `value`.
    let read = unsafe { get(file.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    let length = usize::try_from(read).ok().filter(|length| *length > 0)?;
    value.get(..length).map(<[u8]>::to_vec)
}

/// Whether a file, or what a link shows, is immutable, and whether it may only grow (chattr(1)).
/// Neither where its file system does not tell.
#[must_use]
pub fn keeps(file: &Path, follow: bool) -> (bool, bool) {
    let Ok(file) = CString::new(file.as_os_str().as_bytes()) else { return (false, false) };
    let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    let mut told = std::mem::MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: the name ends in NUL and the kernel writes one `statx`; both live through the call.
    let asked = unsafe {
        libc::statx(libc::AT_FDCWD, file.as_ptr(), flags | libc::AT_NO_AUTOMOUNT, 0, told.as_mut_ptr())
    };
    if asked != 0 {
        return (false, false);
    }
    // SAFETY: it was zeroed, which is a value of it, and then written by the kernel.
    let told = unsafe { told.assume_init() };
    let has = |bit: libc::c_int| u64::try_from(bit).is_ok_and(|bit| told.stx_attributes & bit != 0);
    (has(libc::STATX_ATTR_IMMUTABLE), has(libc::STATX_ATTR_APPEND))
}

/// Lets a socket receive only what a classic BPF program lets through (socket(7)).
///
/// # Errors
/// When the kernel refuses the program.
pub fn attach_filter(socket: &impl AsRawFd, program: &mut [libc::sock_filter]) -> io::Result<()> {
    let len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog { len, filter: program.as_mut_ptr() };
    let size = libc::socklen_t::try_from(size_of::<libc::sock_fprog>()).unwrap_or_default();
    // SAFETY: `program` points to `len` instructions that are borrowed through the call,
    // `size` is its size, and the descriptor is open as long as `socket` is borrowed.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size,
        )
    };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A handle on a process, whatever its number means later (pidfd_open(2)).
///
/// # Errors
/// When it is gone.
pub fn open_process(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: takes numbers only.
    let handle = unsafe { libc::syscall(libc::SYS_pidfd_open, libc::c_long::from(pid), 0 as libc::c_long) };
    owned(handle)
}

/// A copy of one of its descriptors (pidfd_getfd(2)); children do not get it.
///
/// # Errors
/// When it is not open there, or the process may not be looked into.
pub fn copy_descriptor(process: &OwnedFd, number: RawFd) -> io::Result<OwnedFd> {
    let (process, number) = (libc::c_long::from(process.as_raw_fd()), libc::c_long::from(number));
    // SAFETY: takes numbers only.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_getfd, process, number, 0 as libc::c_long) })
}

/// Tells an account's own systemd to exit at once and in order (systemd(1), SIGRTMIN+24),
/// for which nix's signals have no name.
///
/// # Errors
/// When it is gone.
pub fn exit_user_manager(pid: u32) -> nix::Result<()> {
    let pid = libc::pid_t::try_from(pid).ok().filter(|pid| *pid > 1).ok_or(Errno::ESRCH)?;
    // SAFETY: takes numbers only.
    Errno::result(unsafe { libc::kill(pid, libc::SIGRTMIN() + 24) }).map(drop)
}

fn owned(answer: libc::c_long) -> io::Result<OwnedFd> {
    match RawFd::try_from(answer) {
        // SAFETY: the kernel has just made this descriptor, and nobody else knows it.
        Ok(number @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(number) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Takes a descriptor that the program before this one left open for us in execve(2);
/// children do not get it from here on.
///
/// # Errors
/// When nothing is open under that number.
pub fn adopt(left: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: takes numbers only; fails where nothing is open.
    let set = unsafe { libc::fcntl(left, libc::F_SETFD, libc::FD_CLOEXEC) };
    if left <= libc::STDERR_FILENO || set != 0 {
        return Err(io::ErrorKind::NotFound.into());
    }
    // SAFETY: it is open, and nobody else owns it: the program before us gave up what it
    // had by execve(2), and its note on this number is read once, before anything is opened.
    Ok(unsafe { OwnedFd::from_raw_fd(left) })
}
