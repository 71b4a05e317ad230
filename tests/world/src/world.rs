//! One world: its parts in the order of their start, and what tests and people do with them.
//!
//! Holds: when `start` returns, everything answers: the API server, the product's kinds, the simulator, and the
//! controller where one was asked for. Everything a world is lies in its directory, and nothing of it outlives the
//! process. Absent: any opinion on what the controller should do.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, DynamicObject};
use nix::sys::signal::Signal;
use serde_json::Value;
use simulator::Simulator;
use tokio::sync::Mutex;
use tokio::task;

use crate::binaries::ClusterBinaries;
use crate::commands::client_environment;
use crate::control::Control;
use crate::control_plane::ControlPlane;
use crate::controller::Controller;
use crate::directory::{Description, Directory, Pids, Probes};
use crate::install;
use crate::launch::Launch;
use crate::object::Object;
use crate::objects::Cluster;
use crate::options::{Options, PACE};
use crate::outside::{Inventory, Outside};
use crate::process;
use crate::records::{Audited, Exchange, Record};
use crate::tenant::Tenant;

const STOPPED: &str = "the control plane is stopped";
const CONTROLLER_READY: Duration = Duration::from_secs(30);

/// A running world.
pub struct World {
    directory: Directory,
    cluster: Cluster,
    outside: Outside,
    proxy: String,
    controller: Option<Controller>,
    launch: Option<Launch>,
    simulator: Mutex<Option<Simulator>>,
    binaries: ClusterBinaries,
    /// None while it is stopped.
    control_plane: Mutex<Option<ControlPlane>>,
    runtime: tokio::runtime::Handle,
}

impl World {
    /// Starts everything. The first start on a machine builds the control plane, which takes minutes.
    ///
    /// # Errors
    /// A part does not start; those that did are ended.
    pub async fn start(options: Options) -> Result<Self> {
        if options.controller.is_some() && !options.chart {
            bail!("a controller needs the chart's ServiceAccount and kinds");
        }
        let directory = Directory::prepare(&options.dir)?;
        let binaries = task::spawn_blocking(ClusterBinaries::built).await??;
        directory.link(&binaries)?;
        if let Some(copy) = &options.cluster {
            replace_tree(copy, &directory.etcd())?;
        }

        let settings = PACE
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let settings = settings.chain(options.simulator_settings).collect();
        let simulated = async {
            if let Some((_, _, other)) = &options.beside {
                directory.share_outside(other)?;
                return Ok(None);
            }
            let dir = directory.path().to_owned();
            let started = Simulator::start(simulator::Options { dir, settings }).await;
            started.context("cannot start the simulator").map(Some)
        };
        let environment = client_environment(&directory);
        let rendered = async {
            match options.chart {
                true => install::render(&binaries.helm, &environment)
                    .await
                    .map(Some),
                false => Ok(None),
            }
        };
        // None of the three needs another.
        let (control_plane, simulator, rendered) = tokio::try_join!(
            ControlPlane::start(&binaries, &directory),
            simulated,
            rendered,
        )?;
        let (proxy, control) = match (&simulator, &options.beside) {
            (Some(simulator), _) => (simulator.proxy_url(), simulator.control_url()),
            (None, Some((proxy, control, _))) => (proxy.clone(), control.clone()),
            (None, None) => bail!("there is no outside"),
        };
        let outside = Outside::new(&control)?;
        directory.write_proxy_env(&proxy)?;

        let cluster = Cluster::connect(&directory.kubeconfig()).await?;
        if let Some(rendered) = rendered {
            let installed = install::install(&cluster, rendered).await;
            installed.context("cannot install the chart")?;
            install::write_controller_kubeconfig(&cluster, &directory).await?;
        }

        let mut world = Self {
            directory,
            cluster,
            outside,
            proxy,
            controller: None,
            launch: None,
            simulator: Mutex::new(simulator),
            binaries,
            control_plane: Mutex::new(Some(control_plane)),
            runtime: tokio::runtime::Handle::current(),
        };
        match options.controller {
            Some(binary) => {
                world
                    .run_controller(binary, options.controller_args)
                    .await?
            }
            None => world.describe().await?,
        }
        Ok(world)
    }

    /// Runs the controller of a chart that was installed by others, as a kubelet would: with its ServiceAccount.
    ///
    /// # Errors
    /// The chart is not installed, or the controller does not get ready.
    pub async fn run_installed(&mut self, binary: PathBuf, flags: Vec<String>) -> Result<()> {
        install::write_controller_kubeconfig(&self.cluster, &self.directory).await?;
        self.run_controller(binary, flags).await
    }

    async fn run_controller(&mut self, binary: PathBuf, flags: Vec<String>) -> Result<()> {
        let log = self.directory.controller_log();
        let launch = Launch::new(&self.directory, &self.proxy, binary, flags, log)?;
        self.controller = Some(Controller::new(launch.clone()));
        self.launch = Some(launch);
        // Before it starts: from here on its process id is followed.
        self.describe().await?;
        let controller = self.controller()?;
        controller.start().await?;
        controller.wait_ready(CONTROLLER_READY).await
    }

    /// Writes `world.json`, and keeps the controller's process id in it true.
    async fn describe(&self) -> Result<()> {
        let address = self.controller.as_ref().map(Controller::address);
        let control_plane = self.control_plane.lock().await;
        let control_plane = control_plane.as_ref().context(STOPPED)?;
        let description = Description {
            api_server: control_plane.server.clone(),
            control_plane: control_plane.control.clone(),
            proxy: self.proxy.clone(),
            simulator: self.outside.url().to_owned(),
            metrics: address.map(|address| format!("{address}/metrics")),
            probes: address.map(|address| Probes {
                live: format!("{address}/livez"),
                ready: format!("{address}/readyz"),
            }),
            pids: Pids {
                world: std::process::id(),
                control_plane: control_plane.pid,
                controller: None,
            },
        };
        self.directory.describe(&description)?;
        let Some(controller) = &self.controller else {
            return Ok(());
        };
        let (mut state, directory) = (controller.state(), self.directory.clone());
        task::spawn(async move {
            while state.changed().await.is_ok() {
                let pid = state.borrow_and_update().pid;
                // The directory may be gone at the very end; then nobody reads it.
                drop(directory.amend(|description| description.pids.controller = pid));
            }
        });
        Ok(())
    }

    /// An administrator's client, for the runtime that asks.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn client(&self) -> Result<Client> {
        self.cluster.client()
    }

    /// The API server, without types.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The simulator's control API: inventory, agents, settings, faults.
    #[must_use]
    pub fn outside(&self) -> &Outside {
        &self.outside
    }

    /// The proxy behind which the outside is.
    #[must_use]
    pub fn proxy(&self) -> &str {
        &self.proxy
    }

    /// The world's directory and the names in it.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The world's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.directory.path()
    }

    /// The controller's process.
    ///
    /// # Errors
    /// The world was started without one.
    pub fn controller(&self) -> Result<&Controller> {
        self.controller
            .as_ref()
            .context("this world was started without a controller")
    }

    /// A second controller with the same binary and other or more flags, such as a rival for the lease; not started
    /// yet. Its log is `controller-NAME.log`.
    ///
    /// # Errors
    /// The world was started without a controller.
    pub fn another_controller(&self, name: &str, args: &[&str]) -> Result<Controller> {
        let launch = self
            .launch
            .as_ref()
            .context("this world was started without a controller")?;
        let log = self.dir().join(format!("controller-{name}.log"));
        let launch = launch.another(&self.directory, &self.proxy, args, log)?;
        // On the world's own runtime, which outlives a single test's.
        let _guard = self.runtime.enter();
        Ok(Controller::new(launch))
    }

    /// The exchanges with the outside.
    #[must_use]
    pub fn journal(&self) -> Record<Exchange> {
        Record::at(self.directory.journal())
    }

    /// The requests to the API server.
    #[must_use]
    pub fn audit(&self) -> Record<Audited> {
        Record::at(self.directory.audit())
    }

    /// Everything that lives outside, in all workspaces.
    ///
    /// # Errors
    /// The simulator does not answer.
    pub async fn inventory(&self) -> Result<Inventory> {
        self.outside.inventory().await
    }

    /// The controller's metrics, as it gives them.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn metrics(&self) -> Result<String> {
        self.controller()?.metrics().await
    }

    /// Applies manifests from the server's side.
    ///
    /// # Errors
    /// See [`Cluster::apply`].
    pub async fn apply(&self, yaml: &str) -> Result<Vec<DynamicObject>> {
        self.cluster.apply(yaml, None).await
    }

    /// An object by kind and name.
    #[must_use]
    pub fn object(&self, kind: &str, namespace: Option<&str>, name: &str) -> Object<'_> {
        Object::new(self, kind, namespace, name)
    }

    /// A new tenant: namespace, account and Railway workspace, all named `NAME-` and something random.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn tenant(&self, name: &str) -> Result<Tenant<'_>> {
        self.tenant_with(name, Value::Null).await
    }

    /// A new tenant whose account's `spec.railway` has these fields as well.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn tenant_with(&self, name: &str, railway: Value) -> Result<Tenant<'_>> {
        Tenant::create(self, name, railway).await
    }

    /// The values in a Secret.
    ///
    /// # Errors
    /// There is no such Secret, or a value is no text.
    pub async fn secret(&self, namespace: &str, name: &str) -> Result<BTreeMap<String, String>> {
        let secrets: Api<Secret> = Api::namespaced(self.client()?, namespace);
        let data = secrets.get(name).await?.data.unwrap_or_default();
        data.into_iter()
            .map(|(key, value)| Ok((key, String::from_utf8(value.0)?)))
            .collect()
    }

    /// An HTTP client inside the world: it reaches the simulated outside by the real host names, and nothing else.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn http(&self, timeout: Duration) -> Result<reqwest::Client> {
        let builder = self.http_builder()?;
        let client = builder.pool_max_idle_per_host(0).timeout(timeout).build()?;
        Ok(client)
    }

    /// What makes a client one inside the world.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn http_builder(&self) -> Result<reqwest::ClientBuilder> {
        let authority = std::fs::read(self.directory.ca())?;
        let builder = reqwest::Client::builder()
            .proxy(reqwest::Proxy::all(&self.proxy)?)
            .tls_certs_only(reqwest::Certificate::from_pem_bundle(&authority)?);
        Ok(builder)
    }

    /// What helps to see why something in this world is not as it should be.
    #[must_use]
    pub fn report(&self) -> String {
        let mut report = String::new();
        if let Some(controller) = &self.controller {
            let _ = writeln!(
                report,
                "{controller}, {} restarts; its log ends:",
                controller.restarts()
            );
            for line in controller.log_tail(40).lines() {
                let _ = writeln!(report, "  {line}");
            }
        }
        let _ = writeln!(report, "the world's directory: {}", self.dir().display());
        report
    }

    /// The API server's faults.
    ///
    /// # Errors
    /// The control plane is stopped.
    pub async fn cluster_control(&self) -> Result<Control> {
        let control_plane = self.control_plane.lock().await;
        Control::new(&control_plane.as_ref().context(STOPPED)?.control)
    }

    /// The control plane's process id.
    ///
    /// # Errors
    /// It is stopped.
    pub async fn cluster_pid(&self) -> Result<u32> {
        let control_plane = self.control_plane.lock().await;
        Ok(control_plane.as_ref().context(STOPPED)?.pid)
    }

    /// Signals the control plane: SIGSTOP and SIGCONT are an API server that sleeps.
    ///
    /// # Errors
    /// It is stopped, or cannot be signalled.
    pub async fn signal_cluster(&self, signal: Signal) -> Result<()> {
        let control_plane = self.control_plane.lock().await;
        let pid = control_plane.as_ref().context(STOPPED)?.pid;
        Ok(process::send(pid, signal)?)
    }

    /// Stops the control plane; one that is stopped already is no error.
    ///
    /// # Errors
    /// It did not end as it should; it was killed.
    pub async fn stop_cluster(&self) -> Result<()> {
        match self.control_plane.lock().await.take() {
            Some(mut control_plane) => control_plane.stop().await,
            None => Ok(()),
        }
    }

    /// Starts the control plane again, with the data that it has and at the address that it had.
    ///
    /// # Errors
    /// It runs, does not start, or its address is taken.
    pub async fn start_cluster(&self) -> Result<()> {
        let mut place = self.control_plane.lock().await;
        if place.is_some() {
            bail!("the control plane runs already");
        }
        let before = self.directory.description()?.api_server;
        let started = ControlPlane::start(&self.binaries, &self.directory).await?;
        if started.server != before {
            bail!(
                "the control plane was at {before} and is at {} now",
                started.server
            );
        }
        self.directory.amend(|description| {
            description.control_plane.clone_from(&started.control);
            description.pids.control_plane = started.pid;
        })?;
        *place = Some(started);
        Ok(())
    }

    /// Keeps a copy of all that the API server knows now. It is stopped for that, and started again.
    ///
    /// # Errors
    /// Files cannot be copied, or the control plane does not start again.
    pub async fn copy_cluster(&self, name: &str) -> Result<()> {
        self.stop_cluster().await?;
        replace_tree(&self.directory.etcd(), &self.directory.copy(name))?;
        self.start_cluster().await
    }

    /// Sets the API server back to a copy, as restoring etcd's snapshot does. It is stopped for that, and started again.
    ///
    /// # Errors
    /// There is no such copy, files cannot be copied, or the control plane does not start again.
    pub async fn restore_cluster(&self, name: &str) -> Result<()> {
        let copy = self.directory.copy(name);
        if !copy.is_dir() {
            bail!("there is no copy {name:?}");
        }
        self.stop_cluster().await?;
        replace_tree(&copy, &self.directory.etcd())?;
        self.start_cluster().await
    }

    /// Waits until the control plane ends without having been asked to.
    pub async fn control_plane_died(&self) -> anyhow::Error {
        match self.control_plane.lock().await.as_mut() {
            Some(control_plane) => control_plane.died(&self.directory).await,
            None => anyhow::anyhow!(STOPPED),
        }
    }

    /// Ends everything, in the order that leaves nobody without what he needs: controller, control plane, simulator.
    ///
    /// # Errors
    /// A part did not end as it should; it was killed.
    pub async fn stop(&self) -> Result<()> {
        let controller = match &self.controller {
            Some(controller) => controller.stop().await.map(drop),
            None => Ok(()),
        };
        let control_plane = self.stop_cluster().await;
        if let Some(simulator) = self.simulator.lock().await.take() {
            simulator.stop().await;
        }
        controller.and(control_plane)
    }
}

/// Makes `to` what `from` is.
fn replace_tree(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to).with_context(|| format!("cannot remove {}", to.display()))?;
    }
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    // Nobody but its owner may look into what holds Secrets.
    fs::set_permissions(to, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            replace_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)
                .with_context(|| format!("cannot copy {}", entry.path().display()))?;
        }
    }
    Ok(())
}
