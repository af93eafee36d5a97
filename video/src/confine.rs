//! The part that reads what a stranger may have made gives up all that it does not need: no
//! file but those that are open, no network, no other process, bounded memory and time.

use std::collections::BTreeMap;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _, Scope,
};
use nix::libc;
use nix::sys::resource::{Resource, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// The most memory that it may ask for: several times what the largest video takes.
const MEMORY: u64 = 2 << 30;

/// A boundary that could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("the part that reads recordings could not be confined ({what}): {why}")]
pub struct ConfineError {
    what: &'static str,
    why: String,
}

fn failed<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> ConfineError {
    move |error| ConfineError { what, why: error.to_string() }
}

/// Confines this process for good; its later threads too. Where the kernel knows no Landlock,
/// the filter of system calls does alone: it opens no file either.
///
/// # Errors
/// When the kernel refuses.
pub fn confine() -> Result<(), ConfineError> {
    setrlimit(Resource::RLIMIT_AS, MEMORY, MEMORY).map_err(failed("memory"))?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(failed("core dumps"))?;
    let nothing = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V5))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(ABI::V5)))
        .and_then(|rules| rules.scope(Scope::from_all(ABI::V6)))
        .and_then(|rules| rules.create())
        .and_then(|rules| rules.restrict_self());
    nothing.map_err(failed("Landlock"))?;
    seccompiler::apply_filter_all_threads(&filter()?).map_err(failed("seccomp"))
}

/// Bounds the processor's time, in seconds.
///
/// # Errors
/// When the kernel refuses.
pub fn bound_time(seconds: u64) -> Result<(), ConfineError> {
    setrlimit(Resource::RLIMIT_CPU, seconds, seconds).map_err(failed("time"))
}

/// What decoding, drawing and encoding call. All else fails with EPERM.
const CALLS: &[i64] = &[
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_ftruncate,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_tgkill,
    libc::SYS_restart_syscall,
];

fn filter() -> Result<BpfProgram, ConfineError> {
    let compiled = failed::<seccompiler::BackendError>("seccomp");
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = CALLS.iter().map(|call| (*call, Vec::new())).collect();
    let only = |argument: u8, operator: SeccompCmpOp, value: u64| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Qword, operator, value)
            .and_then(|condition| SeccompRule::new(vec![condition]))
    };
    let number = |value: i32| u64::try_from(value).unwrap_or(u64::MAX);
    // Threads, and no processes.
    let thread = number(libc::CLONE_THREAD | libc::CLONE_VM);
    rules.insert(libc::SYS_clone, vec![only(0, SeccompCmpOp::MaskedEq(thread), thread).map_err(&compiled)?]);
    // Names of threads.
    let name = number(libc::PR_SET_NAME);
    rules.insert(libc::SYS_prctl, vec![only(0, SeccompCmpOp::Eq, name).map_err(&compiled)?]);
    // A descriptor is copied, and asked for its flags.
    let flags = [libc::F_GETFL, libc::F_GETFD, libc::F_DUPFD_CLOEXEC]
        .map(|command| only(1, SeccompCmpOp::Eq, number(command)));
    rules.insert(libc::SYS_fcntl, flags.into_iter().collect::<Result<_, _>>().map_err(&compiled)?);
    // Limits are read and lowered: of itself.
    rules.insert(libc::SYS_prlimit64, vec![only(0, SeccompCmpOp::Eq, 0).map_err(&compiled)?]);
    let arch = std::env::consts::ARCH.try_into().map_err(&compiled)?;
    // glibc asks for clone3 first, whose flags no filter sees; told that there is none, it calls clone.
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Errno(u32::try_from(libc::ENOSYS).unwrap_or(u32::MAX)),
        SeccompAction::Allow,
        arch,
    );
    filter.and_then(TryInto::try_into).map_err(&compiled)
}
