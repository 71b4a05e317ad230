//! One world for all tests of one test program, and where the worlds of tests lie.
//!
//! Holds: each `#[tokio::test]` has a runtime that ends with it, so the shared world lives on a runtime of its own, on
//! a thread that never ends. Statics are not dropped: when the test program is over, however, the control plane and the
//! watchdog over the controller see it, and the simulator is a part of it. The directory stays as evidence until the same
//! test program runs again. Absent: order between tests; what one of them does to the whole world (a fault without a
//! workspace, a killed controller) meets all.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;

use anyhow::{Result, anyhow};
use tokio::sync::watch;

use crate::checkout;
use crate::options::Options;
use crate::process;
use crate::world::World;

type Started = Option<Result<&'static World, String>>;

static SHARED: OnceLock<watch::Receiver<Started>> = OnceLock::new();

impl World {
    /// The world that all tests of this program share, with this controller; started by whoever asks first.
    ///
    /// # Errors
    /// It did not start.
    pub async fn shared(controller: impl AsRef<Path>) -> Result<&'static Self> {
        let controller = controller.as_ref();
        let mut started = SHARED.get_or_init(|| start(controller)).clone();
        let reached = started.wait_for(Option::is_some).await;
        match reached.as_deref() {
            Ok(Some(Ok(world))) => Ok(world),
            Ok(Some(Err(error))) => Err(anyhow!("the shared world did not start: {error}")),
            _ => Err(anyhow!("the shared world's thread has ended")),
        }
    }
}

fn start(controller: &Path) -> watch::Receiver<Started> {
    let (publish, started) = watch::channel(None);
    // Nobody takes this controller's lease, and many tests at once may keep it from being renewed for seconds.
    let patient = ["--lease-duration=60s", "--lease-renew-deadline=50s"];
    let options = Options::new(directory("shared")).controller(controller);
    let options = patient.into_iter().fold(options, Options::controller_arg);
    thread::spawn(move || {
        let runtime = match tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
        {
            Ok(runtime) => runtime,
            Err(error) => {
                publish.send_replace(Some(Err(error.to_string())));
                return;
            }
        };
        runtime.block_on(async move {
            match World::start(options).await {
                Ok(world) => {
                    let world: &'static World = Box::leak(Box::new(world));
                    publish.send_replace(Some(Ok(world)))
                }
                Err(error) => publish.send_replace(Some(Err(format!("{error:#}")))),
            };
            std::future::pending::<()>().await;
        });
    });
    started
}

/// A directory for a world of this test program, below cargo's target directory. Those that earlier runs of the same
/// program left are removed.
#[must_use]
pub fn directory(name: &str) -> PathBuf {
    let worlds = checkout::target_dir().join("worlds");
    let program = program();
    sweep(&worlds, &program);
    worlds.join(format!("{program}.{}.{name}", std::process::id()))
}

/// This program's name without cargo's hash.
fn program() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    let stem = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    match stem.rsplit_once('-') {
        Some((name, hash)) if hash.len() == 16 => name.to_owned(),
        _ => stem,
    }
}

/// Removes what dead processes of this program left. Tidying up is no reason to fail.
fn sweep(worlds: &Path, program: &str) {
    let Ok(entries) = fs::read_dir(worlds) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let mut parts = name.split('.');
        let (owner, pid) = (parts.next(), parts.next().and_then(|pid| pid.parse().ok()));
        if owner == Some(program) && pid.is_some_and(|pid| !process::is_alive(pid)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
