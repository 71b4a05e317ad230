//! Where things are: this checkout, and the directory that cargo builds into.
//!
//! Holds: a program of the world finds its sources where it was compiled from, so the world runs from a checkout and
//! is never installed. Absent: the user's home, and the current directory, on which nothing depends.

use std::env;
use std::path::{Path, PathBuf};

/// The checkout's root.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// Cargo's target directory: the one that this very program lies in, because a test may have been built into another
/// than the environment names.
pub(crate) fn target_dir() -> PathBuf {
    let ours = env::current_exe().ok();
    let marked = ours
        .iter()
        .flat_map(|path| path.ancestors())
        .find(|dir| dir.join("CACHEDIR.TAG").is_file());
    match (marked, env::var_os("CARGO_TARGET_DIR")) {
        (Some(dir), _) => dir.to_path_buf(),
        (None, Some(dir)) => PathBuf::from(dir),
        (None, None) => root().join("target"),
    }
}

/// Whether this program was built with optimisations on: then so should be what it starts.
pub(crate) fn is_release() -> bool {
    let profile = env::current_exe().ok().and_then(|path| {
        let mut dirs = path.ancestors().skip(1).filter_map(Path::file_name);
        dirs.find(|name| *name != "deps")
            .map(|name| name.to_owned())
    });
    profile.is_some_and(|name| name == "release")
}
