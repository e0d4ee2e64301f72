//! One run at a time: advisory locks on the directories' own descriptors.
//!
//! `flock` on an open directory needs no lock file, works on read-only file systems, and is released
//! by the kernel when the process ends, however it ends.

use super::interrupt::Interrupt;
use super::run_info::RunInfo;
use crate::files::{Dir, Sharing};
use crate::{Code, Error, Place, Result};
use std::time::{Duration, Instant};

/// Time between two tries.
const RETRY: Duration = Duration::from_millis(50);

/// Locks `directory` until it is dropped; waits up to `timeout` for another run to end,
/// and no longer than until `interrupt` is requested.
pub(super) fn lock(
    directory: &Dir,
    sharing: Sharing,
    timeout: Duration,
    interrupt: &Interrupt,
) -> Result<()> {
    let started = Instant::now();
    loop {
        let locked = directory.try_lock(sharing).map_err(|error| {
            error.hint("if you are sure that nothing else uses the directory, add --no-lock")
        })?;
        if locked {
            return Ok(());
        }
        let left = timeout.saturating_sub(started.elapsed());
        if left.is_zero() {
            return Err(held(directory, timeout));
        }
        interrupt.check()?;
        std::thread::sleep(RETRY.min(left));
    }
}

fn held(directory: &Dir, timeout: Duration) -> Error {
    let holder = holder(directory).unwrap_or_else(|| "another process".to_owned());
    Error::new(Code::Locked, format!("the directory is locked by {holder}"))
        .at(Place::file(directory.path()))
        .hint(format!(
            "wait for it to end, or give it longer than {} s with --lock-timeout",
            timeout.as_secs_f64()
        ))
}

/// Who holds the lock. A run that works on the directory has said so; others, such as one that only
/// reads it, the kernel may tell of.
fn holder(directory: &Dir) -> Option<String> {
    if let Some(run) = RunInfo::read(directory).ok().flatten()
        && run.is_alive()
    {
        return Some(format!(
            "another run (pid {} on {}, started {})",
            run.process.pid, run.host, run.started
        ));
    }
    holder_by_kernel(directory)
}

#[cfg(target_os = "linux")]
fn holder_by_kernel(directory: &Dir) -> Option<String> {
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let pid = holder_in(&locks, &directory.metadata().ok()?)?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let name = name.trim();
    let name = if name.is_empty() { "unknown" } else { name };
    let since = super::process::start_time(pid)
        .map(|time| format!(", started {time}"))
        .unwrap_or_default();
    Some(format!("another process (pid {pid}, {name}{since})"))
}

/// The kernel does not tell here.
#[cfg(not(target_os = "linux"))]
fn holder_by_kernel(_: &Dir) -> Option<String> {
    None
}

/// The process that `/proc/locks` names as holding a `flock` of this directory: the lines are
/// `number: FLOCK ADVISORY WRITE pid major:minor:inode start end`, devices in hex; a process that
/// waits has `->` after the number, one of another container the pid 0.
#[cfg(target_os = "linux")]
fn holder_in(locks: &str, directory: &crate::files::Entry) -> Option<u32> {
    let device = directory.device;
    let wanted = format!(
        "{:02x}:{:02x}:{}",
        rustix::fs::major(device),
        rustix::fs::minor(device),
        directory.inode
    );
    locks.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let is_flock = fields.next()? == "FLOCK";
        let pid: u32 = fields.nth(2)?.parse().ok()?;
        (is_flock && fields.next()? == wanted && pid != 0).then_some(pid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::work::WorkDir;
    use crate::files::{Access, Gate};

    /// Each open of a directory locks on its own, as another process would.
    fn open(directory: &tempfile::TempDir) -> Dir {
        Dir::open(directory.path(), Gate::open()).unwrap()
    }

    fn try_lock(directory: &Dir, sharing: Sharing) -> Result<()> {
        lock(directory, sharing, Duration::ZERO, &Interrupt::default())
    }

    #[test]
    fn readers_share_and_writers_do_not() {
        use Sharing::{Exclusive, Shared};
        for (held, wanted, together) in [
            (Shared, Shared, true),
            (Shared, Exclusive, false),
            (Exclusive, Shared, false),
            (Exclusive, Exclusive, false),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let first = open(&directory);
            let second = open(&directory);
            try_lock(&first, held).unwrap();
            let refused = try_lock(&second, wanted);
            assert_eq!(refused.is_ok(), together, "{held:?} {wanted:?}");
            if let Err(error) = refused {
                assert_eq!(error.code(), Code::Locked);
            }
            // As a process has it that was started meanwhile.
            let copy = first.fd().try_clone().unwrap();
            drop(first);
            try_lock(&second, wanted).expect("dropping the directory releases the lock");
            drop(copy);
        }
    }

    #[test]
    fn a_lock_that_is_released_in_time_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        let (first, second) = (open(&directory), open(&directory));
        try_lock(&first, Sharing::Exclusive).unwrap();
        let releaser = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(120));
            drop(first);
        });
        let minute = Duration::from_secs(60);
        lock(&second, Sharing::Exclusive, minute, &Interrupt::default()).unwrap();
        releaser.join().unwrap();
    }

    #[test]
    fn waiting_ends_at_the_timeout_or_when_interrupted() {
        let directory = tempfile::tempdir().unwrap();
        let (first, second) = (open(&directory), open(&directory));
        try_lock(&first, Sharing::Exclusive).unwrap();
        let started = Instant::now();
        let timeout = Duration::from_millis(120);
        let never = Interrupt::default();
        let error = lock(&second, Sharing::Shared, timeout, &never).unwrap_err();
        assert_eq!(error.code(), Code::Locked);
        assert!(started.elapsed() >= timeout);
        let minute = Duration::from_secs(60);
        let soon = Interrupt::default().within(timeout);
        let error = lock(&second, Sharing::Shared, minute, &soon).unwrap_err();
        assert_eq!(error.code(), Code::Cancelled);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_holder_is_named_from_run_json_or_by_the_kernel() {
        let directory = tempfile::tempdir().unwrap();
        let (first, second) = (open(&directory), open(&directory));
        try_lock(&first, Sharing::Shared).unwrap();
        let sentence = |sharing| {
            let error = try_lock(&second, sharing).unwrap_err();
            error.sentence().to_owned()
        };
        let pid = format!("(pid {}", std::process::id());
        // Some file systems show another device number there than to everyone else.
        let unnamed = sentence(Sharing::Exclusive);
        assert!(unnamed.contains("another process"), "{unnamed}");
        if unnamed.contains("pid") {
            assert!(
                unnamed.contains(&pid) && unnamed.contains("started"),
                "{unnamed}"
            );
        }
        let work = WorkDir::create(&first, Access::default()).unwrap();
        let mut run = RunInfo::of_this_process();
        run.write(&work.dir).unwrap();
        let named = sentence(Sharing::Exclusive);
        assert!(
            named.contains("another run") && named.contains(&pid),
            "{named}"
        );
        run.process.pid = i32::MAX as u32;
        run.write(&work.dir).unwrap();
        let dead = sentence(Sharing::Exclusive);
        assert!(
            !dead.contains("another run"),
            "a dead run holds nothing: {dead}"
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_kernel_s_list_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let mut entry = open(&directory).metadata().unwrap();
        (entry.device, entry.inode) = (rustix::fs::makedev(0xfd, 1), 77);
        let locks = "1: POSIX  ADVISORY  WRITE 11 fd:01:77 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 12 fd:01:78 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 13 fd:01:77 0 EOF\n\
                     3: FLOCK  ADVISORY  READ  0 fd:01:77 0 EOF\n\
                     4: FLOCK  ADVISORY  READ  14 fd:01:77 0 EOF\n";
        assert_eq!(holder_in(locks, &entry), Some(14));
        entry.inode = 79;
        assert_eq!(holder_in(locks, &entry), None);
    }
}
