//! The shell script in which a program begins: in namespaces of its own, it lays the disks to where they are mounted.
//!
//! The machine's own tree is shown as it is, except that a disk lies at its mount path. Where such a path does not exist on this
//! machine, it is not made there: the directories above it are laid out anew, entry by entry, in a tree of this program's
//! own. Absent: any isolation besides: a program sees this machine's files and its network.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::start_command::quoted;

/// A directory of this machine, and where a program finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Disk {
    /// The id of the volume's instance.
    pub id: String,
    pub directory: PathBuf,
    pub mount_path: PathBuf,
}

fn word(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// The script; its arguments are a directory, a PATH, and the program's words. `root` is an empty directory.
pub(super) fn script(root: &Path, pid_file: &Path, disks: &[Disk]) -> io::Result<String> {
    let mut text = String::from("set -e\nread -r pid rest < /proc/self/stat\n");
    // Writing to a String cannot fail.
    let _ = writeln!(text, "echo \"$pid\" > {}", word(pid_file));
    if disks.is_empty() {
        text.push_str("mount -t proc proc /proc 2> /dev/null || true\n");
        text.push_str(BEGIN);
        return Ok(text);
    }
    let _ = writeln!(text, "mount -t tmpfs tmpfs {}", word(root));
    let above: BTreeSet<&Path> = disks
        .iter()
        .flat_map(|disk| disk.mount_path.ancestors().skip(1))
        .collect();
    lay(&mut text, root, Path::new("/"), &above, disks)?;
    for disk in disks {
        let place = inside(root, &disk.mount_path);
        let (from, place) = (word(&disk.directory), word(&place));
        let _ = writeln!(text, "mkdir -p {place}\nmount --bind {from} {place}");
    }
    let _ = writeln!(
        text,
        "exec chroot {} /bin/sh -c {} sh \"$@\"",
        word(root),
        quoted(BEGIN)
    );
    Ok(text)
}

const BEGIN: &str = "cd \"$1\"\nPATH=$2\nexport PATH\nshift 2\nexec \"$@\"\n";

fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Shows what is in a directory, each entry as it is, and those anew in which a disk will lie.
fn lay(
    text: &mut String,
    root: &Path,
    directory: &Path,
    above: &BTreeSet<&Path>,
    disks: &[Disk],
) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let (from, kind) = (entry.path(), entry.file_type()?);
        let to = inside(root, &from);
        let (shown, place) = (word(&from), word(&to));
        if disks.iter().any(|disk| disk.mount_path == from) {
            continue;
        }
        if kind.is_symlink() {
            if above.contains(from.as_path()) {
                let why = format!(
                    "{} is a link here: no disk can lie below it",
                    from.display()
                );
                return Err(io::Error::other(why));
            }
            let _ = writeln!(text, "cp -P {shown} {place}");
        } else if from == Path::new("/proc") {
            let _ = writeln!(
                text,
                "mkdir {place}\nmount -t proc proc {place} 2> /dev/null || mount --rbind {shown} {place}"
            );
        } else if above.contains(from.as_path()) {
            let _ = writeln!(text, "mkdir {place}");
            lay(text, root, &from, above, disks)?;
        } else if kind.is_dir() {
            let _ = writeln!(text, "mkdir {place}\nmount --rbind {shown} {place}");
        } else if kind.is_file() {
            let _ = writeln!(text, ": > {place}\nmount --bind {shown} {place}");
        }
    }
    Ok(())
}
