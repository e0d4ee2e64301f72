//! Filling buffers on one thread for another, which is behind with taking them.

use crate::Result;
use crossbeam_channel::{Receiver, Sender};

/// Sends what `fill` makes of one buffer after the other, empty ones where there are some, until it
/// has no more or fails, or until nobody takes it.
pub(crate) fn fill_ahead<B: Default, T>(
    empty: &Receiver<B>,
    filled: &Sender<Result<T>>,
    mut fill: impl FnMut(B) -> Result<Option<T>>,
) {
    loop {
        let made = fill(empty.try_recv().unwrap_or_default());
        let Some(made) = made.transpose() else { return };
        let has_failed = made.is_err();
        if filled.send(made).is_err() || has_failed {
            return;
        }
    }
}
