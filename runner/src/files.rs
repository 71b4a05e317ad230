//! Files below a few directories: written whole or not at all, looked for, deleted.
//!
//! Holds: nothing outside the places is touched, whatever links the agent has laid in them: below a place every directory is opened by
//! itself and none through a link. Absent: owners; all belongs to the runner's own user, as the harness does.

use crate::contract::LayMode;
use rustix::fs::{
    AtFlags, Mode, OFlags, fchmod, fsync, mkdirat, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

/// The largest file that is read.
const LARGEST: u64 = 16 << 20;

/// Directories in which files may be laid.
#[derive(Clone)]
pub struct Places {
    /// Where relative paths begin.
    first: PathBuf,
    others: Vec<PathBuf>,
}

/// A path in two parts: the place, and the way below it.
#[derive(Debug, PartialEq, Eq)]
pub struct Spot {
    place: PathBuf,
    below: PathBuf,
}

impl Places {
    /// The state directory and others.
    pub fn new(state: &Path, others: &[PathBuf]) -> Places {
        Places {
            first: state.to_owned(),
            others: others.to_owned(),
        }
    }

    /// Where a path is, if it is below a place by its words alone.
    pub fn locate(&self, path: &Path) -> Result<Spot, String> {
        let whole = self.first.join(path);
        let plain = |part: Component| matches!(part, Component::Normal(_) | Component::RootDir);
        // `components` would hide a dot in the middle and a slash at the end.
        if whole.components().all(plain) {
            let places = self.others.iter().chain([&self.first]);
            let around = places.filter(|place| whole.starts_with(place) && whole != **place);
            // The outermost: one inside another could have been replaced by a link.
            if let Some(place) = around.min_by_key(|place| place.components().count())
                && let Ok(below) = whole.strip_prefix(place)
            {
                return Ok(Spot {
                    place: place.clone(),
                    below: below.to_owned(),
                });
            }
        }
        Err(format!(
            "{} is outside the harness's own places",
            path.display()
        ))
    }

    /// Writes a file, whole or not at all. Answers whether it did.
    pub fn lay(
        &self,
        path: &Path,
        content: &[u8],
        permissions: u32,
        mode: LayMode,
    ) -> io::Result<bool> {
        named(path, || {
            let spot = self.locate(path).map_err(io::Error::other)?;
            let (directory, name) = open_parent(&spot, true)?.ok_or(Errno::NOENT)?;
            if mode == LayMode::IfMissing && is_there(&directory, &name)? {
                return Ok(false);
            }
            write(&directory, &name, content, permissions)?;
            Ok(true)
        })
    }

    /// What stands in a file; `None` where there is none.
    pub fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        named(path, || {
            let spot = self.locate(path).map_err(io::Error::other)?;
            let Some((directory, name)) = open_parent(&spot, false)? else {
                return Ok(None);
            };
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
            let file = match openat(&directory, &*name, flags, Mode::empty()) {
                Ok(file) => File::from(file),
                Err(Errno::NOENT) => return Ok(None),
                Err(why) => return Err(why.into()),
            };
            let mut content = Vec::new();
            file.take(LARGEST + 1).read_to_end(&mut content)?;
            if content.len() as u64 > LARGEST {
                return Err(io::Error::other("it is too large"));
            }
            Ok(Some(content))
        })
    }

    /// Whether something is there, be it a link to nowhere.
    pub fn has(&self, path: &Path) -> io::Result<bool> {
        named(path, || {
            let spot = self.locate(path).map_err(io::Error::other)?;
            match open_parent(&spot, false)? {
                Some((directory, name)) => is_there(&directory, &name),
                None => Ok(false),
            }
        })
    }

    /// Deletes a file, a link or a directory with all that is in it.
    pub fn delete(&self, path: &Path) -> io::Result<()> {
        named(path, || {
            let spot = self.locate(path).map_err(io::Error::other)?;
            let Some((directory, name)) = open_parent(&spot, false)? else {
                return Ok(());
            };
            remove(&directory, &name)
        })
    }
}

/// The directory of a file and its name. `None`: it is not there, and was not to be made.
fn open_parent(spot: &Spot, make: bool) -> io::Result<Option<(OwnedFd, Box<OsStr>)>> {
    if make {
        std::fs::create_dir_all(&spot.place)?;
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // The place itself may be a link: who runs the container has laid that.
    let mut directory = match rustix::fs::open(&spot.place, flags, Mode::empty()) {
        Ok(directory) => directory,
        Err(Errno::NOENT) => return Ok(None),
        Err(why) => return Err(why.into()),
    };
    let mut parts = spot.below.components().peekable();
    while let Some(part) = parts.next() {
        let name = part.as_os_str();
        if parts.peek().is_none() {
            return Ok(Some((directory, name.into())));
        }
        if make {
            match mkdirat(&directory, name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(why) => return Err(why.into()),
            }
        }
        directory = match openat(&directory, name, flags | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(directory) => directory,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::NOTDIR) => {
                return Err(io::Error::other(
                    "a directory on the way is a link or a file",
                ));
            }
            Err(why) => return Err(why.into()),
        };
    }
    Ok(None)
}

/// Deletes whatever has that name.
fn remove(directory: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(why) => return Err(why.into()),
    }
    // The standard library follows no links below; above there are none, because this is the open directory.
    let through = format!("/proc/self/fd/{}", directory.as_raw_fd());
    std::fs::remove_dir_all(Path::new(&through).join(name))
}

fn is_there(directory: &OwnedFd, name: &OsStr) -> io::Result<bool> {
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(why) => Err(why.into()),
    }
}

/// Beside it first, and durable before it takes its name; a link of that name is replaced, not followed.
fn write(directory: &OwnedFd, name: &OsStr, content: &[u8], permissions: u32) -> io::Result<()> {
    // One that was killed while it wrote has left that: it may say what was told.
    let beside = ".yardmaster-new";
    remove(directory, OsStr::new(beside))?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(directory, beside, flags, Mode::from_raw_mode(0o600))?;
    let written = (|| {
        let mut file = File::from(file);
        file.write_all(content)?;
        fchmod(&file, Mode::from_raw_mode(permissions))?;
        file.sync_all()?;
        renameat(directory, beside, directory, name)?;
        Ok(fsync(directory)?)
    })();
    if written.is_err() {
        // What is left of it is of no use; that it failed is told already.
        let _ = unlinkat(directory, beside, AtFlags::empty());
    }
    written
}

fn named<T>(path: &Path, what: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    what().map_err(|why| io::Error::new(why.kind(), format!("{}: {why}", path.display())))
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
