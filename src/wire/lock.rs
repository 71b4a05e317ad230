//! Locking what an account's requests share.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks for a moment; never across an await. A panic elsewhere leaves these values usable: each change is whole.
pub fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
