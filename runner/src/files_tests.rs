use super::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

struct Disk {
    _all: tempfile::TempDir,
    state: PathBuf,
    outside: PathBuf,
    places: Places,
}

fn disk() -> Disk {
    let all = tempfile::tempdir().expect("a directory");
    let (state, outside) = (all.path().join("state"), all.path().join("outside"));
    fs::create_dir(&outside).expect("outside");
    fs::write(outside.join("kept"), "kept").expect("kept");
    Disk {
        places: Places::new(&state, &[]),
        state,
        outside,
        _all: all,
    }
}

#[test]
fn a_file_is_laid_with_its_directories_and_permissions() {
    let disk = disk();
    let laid = disk
        .places
        .lay(Path::new("a/b/c.md"), b"text", 0o640, LayMode::IfMissing);
    assert!(laid.expect("laid"));
    let file = disk.state.join("a/b/c.md");
    assert_eq!(fs::read(&file).expect("read"), b"text");
    let mode = fs::metadata(&file).expect("metadata").permissions().mode();
    assert_eq!(mode & 0o7777, 0o640);
    let beside = fs::read_dir(disk.state.join("a/b"))
        .expect("directory")
        .count();
    assert_eq!(beside, 1, "nothing is left beside it");
}

#[test]
fn if_missing_keeps_what_the_agent_wrote_and_always_does_not() {
    let disk = disk();
    let lay = |content: &[u8], mode| {
        let laid = disk.places.lay(Path::new("SOUL.md"), content, 0o600, mode);
        laid.expect("laid")
    };
    assert!(lay(b"first", LayMode::IfMissing));
    fs::write(disk.state.join("SOUL.md"), "the agent's own").expect("write");
    assert!(!lay(b"second", LayMode::IfMissing));
    let read = || disk.places.read(Path::new("SOUL.md")).expect("read");
    assert_eq!(read().as_deref(), Some(&b"the agent's own"[..]));
    assert!(lay(b"third", LayMode::Always));
    assert_eq!(read().as_deref(), Some(&b"third"[..]));
}

#[test]
fn no_link_leads_outside() {
    let disk = disk();
    fs::create_dir(&disk.state).expect("state");
    symlink(&disk.outside, disk.state.join("way")).expect("link");
    symlink(disk.outside.join("kept"), disk.state.join("file")).expect("link");
    let through = Path::new("way/kept");
    for mode in [LayMode::IfMissing, LayMode::Always] {
        let laid = disk.places.lay(through, b"x", 0o600, mode);
        assert!(laid.expect_err("refused").to_string().contains("link"));
        let laid = disk.places.lay(Path::new("way/new/x"), b"x", 0o600, mode);
        assert!(laid.is_err());
    }
    assert!(disk.places.delete(through).is_err());
    assert!(disk.places.has(through).is_err());
    assert!(disk.places.read(through).is_err());
    assert!(disk.places.read(Path::new("file")).is_err());
    // A link where the file belongs: IfMissing leaves it, Always replaces the link and not what it leads to.
    let at = Path::new("file");
    assert!(
        !disk
            .places
            .lay(at, b"x", 0o600, LayMode::IfMissing)
            .expect("left")
    );
    assert!(
        disk.places
            .lay(at, b"x", 0o600, LayMode::Always)
            .expect("laid")
    );
    assert_eq!(fs::read(disk.state.join("file")).expect("read"), b"x");
    disk.places.delete(Path::new("way")).expect("deleted");
    assert_eq!(
        fs::read_to_string(disk.outside.join("kept")).expect("read"),
        "kept"
    );
    assert_eq!(fs::read_dir(&disk.outside).expect("outside").count(), 1);
}

#[test]
fn what_is_deleted_goes_with_all_that_is_in_it_and_no_more() {
    let disk = disk();
    fs::create_dir_all(disk.state.join("sessions/deep")).expect("directories");
    fs::write(disk.state.join("sessions/deep/x"), "x").expect("write");
    symlink(&disk.outside, disk.state.join("sessions/way")).expect("link");
    fs::write(disk.state.join("kept"), "x").expect("write");
    for _ in 0..2 {
        disk.places.delete(Path::new("sessions")).expect("deleted");
    }
    disk.places.delete(Path::new("never/was")).expect("deleted");
    assert!(!disk.places.has(Path::new("sessions")).expect("looked"));
    assert!(disk.places.has(Path::new("kept")).expect("looked"));
    assert!(disk.outside.join("kept").exists());
}

#[test]
fn a_path_is_taken_by_its_words() {
    let places = Places::new(Path::new("/data/state"), &[PathBuf::from("/data/work")]);
    for path in [
        "../x",
        "a/../../x",
        "/etc/x",
        "/data/states/x",
        "",
        ".",
        "/data/state",
    ] {
        assert!(places.locate(Path::new(path)).is_err(), "{path:?}");
    }
    for path in ["x", "a/b", "/data/state/x", "/data/work/a/b"] {
        assert!(places.locate(Path::new(path)).is_ok(), "{path:?}");
    }
}

#[test]
fn a_place_inside_another_is_not_left_by_a_link() {
    let all = tempfile::tempdir().expect("a directory");
    let (state, inside) = (all.path().join("state"), all.path().join("state/inside"));
    let outside = all.path().join("outside");
    fs::create_dir_all(&outside).expect("outside");
    fs::create_dir_all(&state).expect("state");
    symlink(&outside, &inside).expect("link");
    let places = Places::new(&state, std::slice::from_ref(&inside));
    let laid = places.lay(&inside.join("x"), b"text", 0o600, LayMode::Always);
    assert!(laid.is_err());
    assert_eq!(fs::read_dir(&outside).expect("outside").count(), 0);
}

#[test]
fn what_one_that_was_killed_left_half_written_goes_with_the_next() {
    let disk = disk();
    fs::create_dir_all(&disk.state).expect("state");
    fs::write(disk.state.join(".yardmaster-new"), "half of what was to").expect("left");
    let laid = disk
        .places
        .lay(Path::new("SOUL.md"), b"text", 0o600, LayMode::Always);
    assert!(laid.expect("laid"));
    assert_eq!(fs::read_dir(&disk.state).expect("state").count(), 1);
}

#[test]
fn a_directory_in_the_way_of_what_is_half_written_goes() {
    let disk = disk();
    fs::create_dir_all(disk.state.join(".yardmaster-new/deep")).expect("in the way");
    let laid = disk
        .places
        .lay(Path::new("SOUL.md"), b"text", 0o600, LayMode::Always);
    assert!(laid.expect("laid"));
    assert_eq!(fs::read_dir(&disk.state).expect("state").count(), 1);
}
