//! What world to start, and how it differs from the real one.
//!
//! Holds: whatever is given wins over what the world would choose. Absent: the meaning of the settings (the simulator's
//! README) and of the flags (`yardmaster run --help`).

use std::path::PathBuf;

use crate::world::World;

/// How a world differs from the real one unless told otherwise: Railway's half minute between projects and between
/// volumes would be most of every test.
pub const PACE: [(&str, &str); 3] = [
    ("railway.projectInterval", "0s"),
    ("railway.volumeInterval", "0s"),
    ("agent.bootTime", "200ms"),
];

/// What world to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where its files go; made if missing.
    pub dir: PathBuf,
    /// The controller's binary; none: no controller runs.
    pub controller: Option<PathBuf>,
    /// Settings of the simulator, over [`PACE`].
    pub simulator_settings: Vec<(String, String)>,
    /// Whether the chart is applied; without it the cluster is empty, and no controller can run.
    pub chart: bool,
    /// Another world, whose outside this one shares: its proxy, its control API and its directory. Then the simulator's
    /// settings are that world's own.
    pub beside: Option<(String, String, PathBuf)>,
    /// The data that its API server begins with: a copy of another world's cluster.
    pub(crate) cluster: Option<PathBuf>,
    /// Flags for `yardmaster run`, each as `--flag=value`; they win over the world's own.
    pub controller_args: Vec<String>,
}

impl Options {
    /// A world without a controller.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            controller: None,
            chart: true,
            simulator_settings: Vec::new(),
            beside: None,
            cluster: None,
            controller_args: Vec::new(),
        }
    }

    /// With this controller.
    #[must_use]
    pub fn controller(mut self, binary: impl Into<PathBuf>) -> Self {
        self.controller = Some(binary.into());
        self
    }

    /// With an empty cluster, for tests that install the chart themselves.
    #[must_use]
    pub fn without_chart(mut self) -> Self {
        self.chart = false;
        self
    }

    /// Another cluster with the same outside as that world, which must outlive this one.
    #[must_use]
    pub fn beside(mut self, world: &World) -> Self {
        let control = world.outside().url().to_owned();
        self.beside = Some((world.proxy().to_owned(), control, world.dir().to_owned()));
        self
    }

    /// A clone of that world's cluster as [`World::copy_cluster`] has kept it, with the same outside. That world must outlive it.
    #[must_use]
    pub fn clone_of(self, world: &World, copy: &str) -> Self {
        let cluster = Some(world.directory().copy(copy));
        Self {
            cluster,
            ..self.beside(world)
        }
    }

    /// With this simulator setting.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.simulator_settings
            .push((key.to_owned(), value.to_owned()));
        self
    }

    /// With this flag for the controller, `--flag=value`.
    #[must_use]
    pub fn controller_arg(mut self, flag: &str) -> Self {
        self.controller_args.push(flag.to_owned());
        self
    }
}
