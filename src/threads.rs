//! Starting threads, which the system may refuse.

use crate::{Code, Error, Result};
use std::thread::{Builder, JoinHandle, Scope, ScopedJoinHandle};

/// Starts a thread.
pub(crate) fn start<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    builder(name)?.spawn(run).map_err(refused)
}

/// Starts a thread that ends within `scope`.
pub(crate) fn start_scoped<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    run: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>> {
    builder(name)?.spawn_scoped(scope, run).map_err(refused)
}

fn builder(name: &str) -> Result<Builder> {
    #[cfg(test)]
    tests::count().map_err(refused)?;
    Ok(Builder::new().name(name.to_owned()))
}

fn refused(error: std::io::Error) -> Error {
    Error::new(Code::Io, "cannot start a thread")
        .because(error)
        .hint("raise the limit on threads (ulimit -u, or the container's pids limit), or lower --jobs")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::cell::Cell;
    use std::io::{self, ErrorKind};

    thread_local! {
        /// Threads that this one may still start.
        static LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
    }

    pub(super) fn count() -> io::Result<()> {
        LEFT.with(|left| match left.get() {
            usize::MAX => Ok(()),
            0 => Err(ErrorKind::WouldBlock.into()),
            some => {
                left.set(some - 1);
                Ok(())
            }
        })
    }

    /// Lets this thread start no more than so many threads while `run` runs.
    pub(crate) fn with_threads<T>(most: usize, run: impl FnOnce() -> T) -> T {
        LEFT.set(most);
        let outcome = run();
        LEFT.set(usize::MAX);
        outcome
    }

    #[test]
    fn a_thread_that_cannot_be_started_is_an_error_with_a_hint() {
        let error = with_threads(1, || {
            start("one", || ()).unwrap().join().unwrap();
            start("two", || ()).unwrap_err()
        });
        assert_eq!(error.code(), Code::Io);
        assert!(error.to_string().contains("cannot start a thread"));
        assert!(error.hint_text().unwrap().contains("--jobs"));
        start("three", || ()).unwrap().join().unwrap();
    }
}
