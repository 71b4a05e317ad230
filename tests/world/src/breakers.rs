//! A fleet that loses what it stands on, one way after the other: an account that shows nothing, one that shows half, a clone
//! of its cluster that is at work beside it, a cluster that was set back, objects that come back from a backup without a status.
//! Each time nothing outside is changed, it is told, and it ends: by itself, or when its owner says the word.
//!
//! Holds: what is outside is read off the providers' own inventory, and what was asked for off the journal. Absent: the
//! product's code, but for the seeding.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use kube::api::{DynamicObject, ListParams};
use serde_json::json;
use tokio::time;

use crate::object::{Object, condition, eventually};
use crate::options::Options;
use crate::records::Mark;
use crate::tenant::Tenant;
use crate::world::World;

/// An image whose agents are good.
const IMAGE: &str = "ghcr.io/acme/agent:1.4";

/// What a cluster makes after it was copied: so few that the sweep would not be held back for their number.
const NEWER: usize = 4;

/// As many objects are written at once.
const AT_ONCE: usize = 8;

/// How often a whole fleet is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long anything may take that takes seconds by itself; a large fleet waits for its turns besides.
const SOON: Duration = Duration::from_secs(90);

/// What one of a fleet may add to that.
const EACH: Duration = Duration::from_millis(300);

/// A fleet, and what is to befall it.
#[derive(Debug, Clone)]
pub struct Breakers {
    /// Where the world goes.
    pub dir: PathBuf,
    /// The controller's binary.
    pub controller: PathBuf,
    /// Agents that are seeded.
    pub agents: usize,
}

/// What came of it.
#[derive(Debug)]
pub struct Withstood {
    agents: usize,
    chapters: Vec<(&'static str, Duration)>,
}

impl fmt::Display for Withstood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} agents; nothing was made or deleted by", self.agents)?;
        for (chapter, took) in &self.chapters {
            write!(f, "\n{chapter}: over after {:.0} s", took.as_secs_f64())?;
        }
        Ok(())
    }
}

impl Breakers {
    /// Runs it, in a world of its own.
    ///
    /// # Errors
    /// Something did not hold: the error says what, and where the records are.
    pub async fn run(&self) -> Result<Withstood> {
        let options = self
            .options(&self.dir)
            .set("agent.bootTime", "0s")
            .set("railway.projectInterval", "0s")
            .set("railway.requestsPerHour", "1000000")
            .set("railway.requestsPerSecond", "500")
            .set("railway.edgePerSecond", "0");
        let world = World::start(options).await?;
        let withstood = self.withstand(&world).await;
        let stopped = world.stop().await;
        let withstood = withstood
            .with_context(|| format!("the world's records are in {}", world.dir().display()))?;
        stopped?;
        Ok(withstood)
    }

    fn options(&self, dir: &Path) -> Options {
        Options::new(dir)
            .controller(&self.controller)
            .controller_arg("--observe-interval=2s")
            .controller_arg("--request-timeout=5s")
            .controller_arg("--settle=1s")
            .controller_arg("--lease-duration=60s")
            .controller_arg("--lease-renew-deadline=50s")
    }

    async fn withstand(&self, world: &World) -> Result<Withstood> {
        let fast = json!({"requestsPerSecond": 50, "requestsPerHour": 50_000, "projectInterval": "1s", "maxProjects": 10_000});
        let tenant = world.tenant_with("breakers", fast).await?;
        let limits =
            json!({"spec": {"limits": {"resources": 10_000, "resourcesPerNamespace": 10_000}}});
        tenant.provider_account().patch(limits).await?;
        let template = json!({"apiVersion": "yardmaster.dev/v1alpha1", "kind": "AgentTemplate", "metadata": {"name": "t"},
            "spec": {"runtime": {"image": IMAGE, "port": 8080}}});
        let cluster = world.cluster();
        cluster
            .apply_one(template, Some(tenant.namespace()))
            .await?;
        world.seed(&tenant, "t", self.agents).await?;
        let fleet = Fleet {
            world,
            tenant,
            agents: self.agents,
            patience: SOON + EACH * u32::try_from(self.agents)?,
        };
        world.controller()?.start().await?;
        fleet.rests().await.context("before anything was lost")?;
        let mut chapters = Vec::new();
        let mut chapter = async |name, told: Result<Duration>| -> Result<()> {
            chapters.push((name, told.context(name)?));
            Ok(())
        };
        chapter(
            "an account that shows nothing, and counts nothing",
            fleet.shows_nothing().await,
        )
        .await?;
        chapter(
            "an account that shows half, and counts all",
            fleet.shows_half().await,
        )
        .await?;
        chapter(
            "a clone of the cluster at work beside it",
            fleet.cloned(self).await,
        )
        .await?;
        chapter("a cluster set back", fleet.set_back().await).await?;
        chapter(
            "objects from a backup without statuses",
            fleet.restored().await,
        )
        .await?;
        Ok(Withstood {
            agents: self.agents,
            chapters,
        })
    }
}

struct Fleet<'w> {
    world: &'w World,
    tenant: Tenant<'w>,
    agents: usize,
    patience: Duration,
}

/// A moment, and what was outside then.
struct Before {
    journal: Mark,
    projects: BTreeSet<String>,
}

impl Fleet<'_> {
    async fn projects(&self) -> Result<BTreeSet<String>> {
        let inventory = self.tenant.inventory().await?;
        let projects = inventory.kind("project").map(|one| one.id.clone());
        Ok(projects.collect())
    }

    async fn before(&self) -> Result<Before> {
        Ok(Before {
            journal: self.world.journal().mark()?,
            projects: self.projects().await?,
        })
    }

    /// What was changed in the workspace since.
    fn changes(&self, since: &Before) -> Result<Vec<String>> {
        let all = self.tenant.exchanges(since.journal)?.into_iter();
        let changes = all.filter(|one| {
            let query = one.request["query"].as_str().unwrap_or_default();
            query.lines().any(|line| line.starts_with("mutation"))
        });
        Ok(changes.map(|one| one.operation).collect())
    }

    /// After a while nothing has been changed outside, and nothing is there that was not.
    async fn untouched(&self, since: &Before) -> Result<()> {
        let listings = 3 * self.agents.div_ceil(100).max(1);
        self.tenant.wait_listings(listings, self.patience).await?;
        let changes = self.changes(since)?;
        ensure!(changes.is_empty(), "outside was changed: {changes:?}");
        ensure!(
            self.projects().await? == since.projects,
            "there are other projects"
        );
        Ok(())
    }

    async fn says(
        &self,
        object: &Object<'_>,
        kind: &str,
        status: &str,
        reason: &str,
    ) -> Result<String> {
        let what = format!("{kind} is {status} because of {reason}");
        let found = object.wait_until(&what, self.patience, |object| {
            condition(object, kind)
                .is_some_and(|found| found["status"] == status && found["reason"] == reason)
        });
        let found = found.await?;
        let message = condition(&found, kind).and_then(|one| one["message"].as_str());
        Ok(message.unwrap_or_default().to_owned())
    }

    async fn instances(&self) -> Result<Vec<DynamicObject>> {
        let api = self.tenant.instance("any").api().await?;
        Ok(api.list(&ListParams::default()).await?.items)
    }

    /// Waits until each agent is so. A fleet is a long list: asked for more often it would be most of what the API server does.
    async fn each(&self, what: &str, is_so: impl Fn(&DynamicObject) -> bool) -> Result<()> {
        let begun = Instant::now();
        loop {
            let all = self.instances().await?;
            let so = all.iter().filter(|one| is_so(one)).count();
            if so == self.agents && all.len() == self.agents {
                return Ok(());
            }
            ensure!(
                begun.elapsed() < self.patience,
                "{so} of {} {what} after {:?}",
                all.len(),
                self.patience
            );
            time::sleep(LOOK_EVERY).await;
        }
    }

    /// Every agent is ready and as its spec says.
    async fn rests(&self) -> Result<()> {
        let is = |one: &DynamicObject, kind| {
            condition(one, kind).is_some_and(|found| found["status"] == "True")
        };
        self.each("are ready", |one| is(one, "Ready") && is(one, "Synced"))
            .await
    }

    /// Runs the command that a message prints.
    async fn obey(&self, message: &str) -> Result<()> {
        let (_, command) = message
            .split_once("kubectl ")
            .context("it names no command")?;
        let command = command.split(". ").next().unwrap_or_default();
        let arguments: Vec<&str> = command.split_whitespace().collect();
        self.world.kubectl(&arguments).await?.ok()?;
        Ok(())
    }

    /// A token that was moved to an empty workspace shows nothing, and the workspace counts nothing.
    async fn shows_nothing(&self) -> Result<Duration> {
        let (before, account, begun) = (
            self.before().await?,
            self.tenant.provider_account(),
            Instant::now(),
        );
        let workspace = json!({"id": self.tenant.workspace(), "name": "Emptied", "plan": "PRO", "projectCount": 0, "apiTokenRateLimit": null});
        let empty = [
            ("projects", json!("empty_list")),
            (
                "workspace",
                json!({"status": 200, "headers": {}, "body": {"data": {"workspace": workspace}}}),
            ),
        ];
        let mut faults = Vec::new();
        for (operation, effect) in empty {
            let fault = json!({"provider": "railway", "operation": operation, "times": 0, "effect": effect});
            faults.push(self.tenant.post_fault(fault).await?);
        }
        let told = self
            .says(&account, "Healthy", "False", "VanishedTogether")
            .await?;
        let all = format!("{0} of {0} ", self.agents);
        ensure!(told.starts_with(&all), "{told}");
        self.untouched(&before).await?;
        for fault in faults {
            ensure!(
                self.world.outside().fired(&fault).await? > 0,
                "a fault did not fire"
            );
            self.world.outside().remove_fault(&fault).await?;
        }
        account
            .wait_condition("Healthy", "True", self.patience)
            .await?;
        self.rests().await?;
        self.untouched(&before).await?;
        Ok(begun.elapsed())
    }

    /// Half of the projects are missing from a page that says that it is the last.
    async fn shows_half(&self) -> Result<Duration> {
        let (before, account, begun) = (
            self.before().await?,
            self.tenant.provider_account(),
            Instant::now(),
        );
        let half = self.agents.min(100) / 2;
        let fault = json!({"provider": "railway", "operation": "projects", "times": 0, "effect": {"short_list": half}});
        let fault = self.tenant.post_fault(fault).await?;
        let told = self
            .says(&account, "Healthy", "False", "AccountUnreachable")
            .await?;
        let both = format!("lists {half} projects and counts {}", self.agents);
        ensure!(told.contains(&both), "{told}");
        self.untouched(&before).await?;
        self.world.outside().remove_fault(&fault).await?;
        account
            .wait_condition("Healthy", "True", self.patience)
            .await?;
        self.rests().await?;
        self.untouched(&before).await?;
        Ok(begun.elapsed())
    }

    async fn create(&self, name: &str) -> Result<Object<'_>> {
        let agent = json!({"apiVersion": "yardmaster.dev/v1alpha1", "kind": "AgentInstance", "metadata": {"name": name},
            "spec": {"templateRef": {"name": "t"}, "accountRef": {"name": self.tenant.account()}}});
        let cluster = self.world.cluster();
        cluster
            .apply_one(agent, Some(self.tenant.namespace()))
            .await?;
        Ok(self.tenant.instance(name))
    }

    /// Copies the cluster, lets it make some more, and says which.
    async fn goes_on_after_a_copy(&self, copy: &str) -> Result<Vec<Object<'_>>> {
        let sweeps = json!({"spec": {"sweep": {"mode": "Delete", "gracePeriod": "1s"}}});
        self.tenant.provider_account().patch(sweeps).await?;
        let controller = self.world.controller()?;
        controller.stop().await?;
        self.world.copy_cluster(copy).await?;
        let then = Timestamp::now();
        controller.start().await?;
        // What the newest record of that time made could be seen so late as this.
        eventually("what was begun then has landed", SOON, async || {
            Ok(
                (Timestamp::now().duration_since(then) > SignedDuration::from_secs(3))
                    .then_some(()),
            )
        })
        .await?;
        let mut newer = Vec::new();
        for n in 0..NEWER {
            newer.push(self.create(&format!("newer-{n}")).await?);
        }
        for one in &newer {
            one.wait_condition("Ready", "True", self.patience).await?;
        }
        Ok(newer)
    }

    /// It knows that time went back: nothing new is made, nothing of the old deleted, and nothing swept. What it would do, and the
    /// message with the word for it.
    async fn knows_that_time_went_back(&self, before: &Before) -> Result<String> {
        let account = self.tenant.provider_account();
        let told = self
            .says(&account, "RecoveryMode", "True", "TimeWentBack")
            .await?;
        self.says(&account, "SweepHeldBack", "True", "RecoveryMode")
            .await?;
        let (late, old) = (self.create("late").await?, self.tenant.instance("t-1"));
        old.delete().await?;
        for waits in [&late, &old] {
            self.says(waits, "Synced", "False", "RecoveryMode").await?;
        }
        self.untouched(before).await?;
        Ok(told)
    }

    /// The cluster is copied and goes on; then the copy runs beside it, with a controller that leads there.
    async fn cloned(&self, breakers: &Breakers) -> Result<Duration> {
        let (first, begun) = (self.projects().await?, Instant::now());
        let newer = self.goes_on_after_a_copy("clone").await?;
        let before = self.before().await?;
        ensure!(before.projects.len() == first.len() + NEWER);
        let beside = breakers.dir.with_extension("clone");
        let options = breakers.options(&beside).clone_of(self.world, "clone");
        let clone = World::start(options).await?;
        let there = Fleet {
            world: &clone,
            tenant: self.tenant.cloned_in(&clone),
            ..*self
        };
        let withstood = self.beside(&there, &before).await;
        let stopped = clone.stop().await;
        withstood.with_context(|| format!("the clone's records are in {}", beside.display()))?;
        stopped?;
        for one in &newer {
            one.delete().await?;
        }
        for one in &newer {
            one.wait_gone(self.patience).await?;
        }
        self.rests().await?;
        ensure!(
            self.projects().await? == first,
            "what was there at first is not there alone"
        );
        Ok(begun.elapsed())
    }

    /// Both lead. The clone changes nothing; the original does what it is asked for, and is told nothing of the clone.
    async fn beside(&self, clone: &Fleet<'_>, before: &Before) -> Result<()> {
        clone.knows_that_time_went_back(before).await?;
        let meanwhile = self.create("meanwhile").await?;
        meanwhile
            .wait_condition("Ready", "True", self.patience)
            .await?;
        let more = self.before().await?;
        ensure!(more.projects.len() == before.projects.len() + 1);
        clone.untouched(&more).await?;
        meanwhile.delete().await?;
        meanwhile.wait_gone(self.patience).await?;
        let less = self.before().await?;
        ensure!(less.projects == before.projects);
        clone.untouched(&less).await?;
        let account = self.tenant.provider_account().get().await?;
        let told = condition(&account, "RecoveryMode");
        ensure!(told.is_none(), "the original tells {told:?}");
        Ok(())
    }

    /// The cluster is set back to what it was before it made some more. Its owner says the word: then it goes on, and what
    /// it knows nothing of is swept.
    async fn set_back(&self) -> Result<Duration> {
        let (first, begun) = (self.projects().await?, Instant::now());
        let newer = self.goes_on_after_a_copy("then").await?.len();
        let controller = self.world.controller()?;
        controller.stop().await?;
        self.world.restore_cluster("then").await?;
        let before = self.before().await?;
        ensure!(before.projects.len() == first.len() + newer);
        controller.start().await?;
        let told = self.knows_that_time_went_back(&before).await?;
        self.obey(&told).await?;
        eventually(
            "what it knows nothing of is gone",
            self.patience,
            async || {
                let projects = self.projects().await?;
                let newer = before.projects.difference(&first);
                Ok(newer
                    .into_iter()
                    .all(|one| !projects.contains(one))
                    .then_some(()))
            },
        )
        .await?;
        self.rests().await?;
        let (now, old) = (self.projects().await?, self.tenant.instance("t-1"));
        ensure!(old.find().await?.is_none(), "t-1 is there");
        ensure!(
            now.len() == first.len() && first.difference(&now).count() == 1,
            "there are other projects"
        );
        Ok(begun.elapsed())
    }

    /// Every object goes without a word and comes back under another UID, with its annotations and its Secret.
    async fn restored(&self) -> Result<Duration> {
        let (before, account, begun) = (
            self.before().await?,
            self.tenant.provider_account(),
            Instant::now(),
        );
        let controller = self.world.controller()?;
        controller.stop().await?;
        let all = self.instances().await?;
        let reborn = stream::iter(all.iter().map(|saved| self.reborn(saved)));
        let reborn: Vec<()> = reborn.buffer_unordered(AT_ONCE).try_collect().await?;
        ensure!(reborn.len() == self.agents);
        controller.start().await?;
        let told = self
            .says(&account, "ObjectsRestored", "True", "RestoredElsewhere")
            .await?;
        self.each("wait for a word", |one| {
            condition(one, "Stalled").is_some_and(|found| found["reason"] == "RestoredElsewhere")
        })
        .await?;
        self.untouched(&before).await?;
        self.obey(&told).await?;
        self.rests().await?;
        // What was applied only the statuses knew: it is applied once more, and nothing else is done.
        let changes = self.changes(&before)?;
        let other: BTreeSet<&String> = changes
            .iter()
            .filter(|one| *one != "environmentPatchCommit")
            .collect();
        ensure!(other.is_empty(), "more was done than to apply: {other:?}");
        ensure!(
            self.projects().await? == before.projects,
            "there are other projects"
        );
        Ok(begun.elapsed())
    }

    async fn reborn(&self, saved: &DynamicObject) -> Result<()> {
        let name = saved.name_any();
        let instance = self.tenant.instance(&name);
        let secret = self.tenant.object("Secret", &format!("{name}-agent"));
        let kept = secret.get().await?;
        let none: [&str; 0] = [];
        instance
            .patch(json!({"metadata": {"finalizers": none}}))
            .await?;
        instance.delete().await?;
        secret.delete().await?;
        instance.wait_gone(SOON).await?;
        secret.wait_gone(SOON).await?;
        let cluster = self.world.cluster();
        let again = [
            json!({"apiVersion": "v1", "kind": "Secret", "type": kept.data["type"], "data": kept.data["data"],
                "metadata": {"name": kept.name_any(), "labels": kept.labels(), "annotations": kept.annotations()}}),
            json!({"apiVersion": "yardmaster.dev/v1alpha1", "kind": "AgentInstance", "spec": saved.data["spec"],
                "metadata": {"name": name, "annotations": saved.annotations()}}),
        ];
        for object in again {
            cluster
                .apply_one(object, Some(self.tenant.namespace()))
                .await?;
        }
        if instance.find().await?.is_none() {
            bail!("{name} did not come back");
        }
        Ok(())
    }
}
