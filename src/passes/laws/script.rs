//! The script: what the outside does in each case, said once and played to both of its simulators. The scene of the laws plays it
//! through its hands, the simulator of the whole-system tests behind the product's own gateway and providers, over HTTP.
//!
//! A line is a case, what is asked for, and what comes of it: `lost CreateService project-1 agent = Uncertain`. Things have
//! names in the order in which they are first seen (`service-2`); a name that nothing has yet is the id of nothing. What a
//! line asks for in several accounts alike has `{shop}` in it, and its section names them.
//!
//! Holds: every step that asks something of Railway or of a provider of tools has a line for each case, or a reason in
//! [`NO_LINE`] (`every_case_is_played`). Deliberately absent: time (lags, boots and setups are the laws' own), Kubernetes, whose a
//! credential is.

mod internet;
mod stage;

use crate::api::limits::Sizes;
use crate::api::money::Money;
use crate::api::template::LimitReset;
use crate::api::{Part, Slot};
use crate::engine::compose::Composed;
use crate::engine::step::{Outcome, Step};
use crate::model::slot::{FoundBy, SLOTS, SlotKind, SlotRow};
use crate::model::tool::{Named, Order, Resource, Sought, Stage as Progress, Wish};
use crate::model::values::Seal;
use crate::model::{
    Configuration, Done, Fault, Home, InstallationId, Marker, Restart, Sight, Variable,
};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

const SCRIPT: &str = concat!(
    include_str!("script/railway.txt"),
    include_str!("script/tools.txt")
);

/// Pairs of what is asked for and a case that there is no line for, and why.
const NO_LINE: &[(&str, &str, &str)] = &[
    (
        "CreateProject",
        "absent",
        "it is made in the account itself",
    ),
    ("Search", "absent", "it is the account that is read"),
    (
        "MakeTool exa main",
        "absent",
        "it is made in the account itself",
    ),
    (
        "MakeTool openrouter main",
        "absent",
        "it is made in the account itself",
    ),
    (
        "MakeTool agentmail main",
        "absent",
        "it is made in the account itself",
    ),
    (
        "MakeTool bankr main",
        "absent",
        "it is made in the account itself",
    ),
    (
        "MakeTool telnyx profile",
        "absent",
        "it is made in the account itself",
    ),
    ("FindTool bankr main", "absent", "looking makes it"),
];

/// Steps that ask nothing of Railway or of a provider of tools.
const ELSEWHERE: &[&str] = &[
    "Hold",
    "MintToken",
    "TakeTurn",
    "TakePlace",
    "RecordOrder",
    "AskAgent",
    "KeepSecret",
    "DropSecret",
    "LetGo",
    "Expire",
];

/// What can be set at a tool's resource after it was made.
const ADJUSTABLE: [&str; 2] = ["openrouter", "exa"];

/// What goes wrong on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Fine,
    /// The effect lands, the answer does not.
    Lost,
    /// Neither lands.
    Vanished,
    Throttled,
}

impl Way {
    fn of(case: &str) -> Way {
        match case {
            "lost" => Way::Lost,
            "vanished" => Way::Vanished,
            "throttled" => Way::Throttled,
            _ => Way::Fine,
        }
    }
}

/// Where the script is played: one account at Railway and at each provider, with nothing in them, and a process that has
/// just begun.
trait Stage {
    /// Railway and providers in one of the ways that they are allowed to be.
    async fn set(&mut self, key: &str, value: &str);
    async fn enact(&mut self, step: &Step, way: Way) -> Outcome;
    /// What the account's observer reads. `None`: there is no listing.
    async fn list(&mut self, account: &str) -> Done<Option<Outcome>>;
    /// How many of each kind live, whoever knows of them.
    async fn living(&mut self) -> BTreeMap<String, usize>;
    fn now(&self) -> Timestamp;
    async fn wait(&mut self, until: Timestamp);
}

/// Things, by the names that the script has for them.
#[derive(Default)]
struct Cast {
    ids: BTreeMap<String, String>,
}

fn marker(slot: Slot) -> Marker {
    Marker {
        installation: InstallationId("i-1".into()),
        namespace: "team-a".into(),
        name: "ada".into(),
        uid: "5f2c".into(),
        slot,
    }
}

fn slot(shop: &str, part: Part) -> Slot {
    Slot::tool(shop, part).unwrap()
}

fn part(word: &str) -> Part {
    match word.split('-').next() {
        Some("key") => Part::Key,
        Some("profile") => Part::Profile,
        _ => Part::Main,
    }
}

fn word(part: Part) -> &'static str {
    match part {
        Part::Main => "main",
        Part::Key => "key",
        Part::Profile => "profile",
    }
}

/// The names under which tools' resources are made, in the script and outside.
const NAMES: [&str; 4] = ["one", "two", "three", "four"];

fn tool_name(shop: &str, part: Part, name: &str) -> String {
    let life = NAMES.iter().position(|one| *one == name).unwrap();
    let born = Timestamp::from_second(i64::try_from(life).unwrap()).unwrap();
    let seal = Seal("seal".to_owned().into());
    marker(slot(shop, part)).tool_name(&seal, born)
}

fn wish(shop: &str, usd: u64) -> Wish {
    let usd = Money::dollars(usd);
    match shop {
        "openrouter" => Wish::Openrouter {
            limit_usd: usd,
            reset: LimitReset::Never,
            disabled: None,
        },
        "exa" => Wish::Exa {
            rate_limit: None,
            budget_usd: Some(usd),
        },
        "agentmail" => Wish::Agentmail {
            username: None,
            key: true,
        },
        "telnyx" => Wish::Telnyx {
            country: "US".into(),
            area: None,
            max_monthly_usd: None,
        },
        _ => Wish::Bankr,
    }
}

fn composed(mode: &str) -> Box<Composed> {
    Box::new(Composed {
        brought: Vec::new(),
        configuration: Configuration {
            image: "ghcr.io/acme/agent:1".into(),
            start_command: None,
            region: None,
            cpu: None,
            memory_bytes: None,
            restart: Restart::OnFailure(10),
            sleep_when_idle: false,
            registry: None,
            volume_mount: None,
            volume_megabytes: None,
            variables: vec![Variable {
                name: "MODE".into(),
                value: mode.to_owned().into(),
            }],
        },
        key: format!("key-{mode}"),
        own: mode.to_owned(),
        sizes: Sizes::default(),
    })
}

impl Cast {
    fn id(&self, name: &str) -> String {
        self.ids
            .get(name)
            .cloned()
            .unwrap_or_else(|| name.to_owned())
    }

    fn name(&mut self, kind: &str, id: &str) -> String {
        let of_kind = || {
            self.ids
                .iter()
                .filter(|(name, _)| name.starts_with(&format!("{kind}-")))
        };
        if let Some((name, _)) = of_kind().find(|(_, known)| *known == id) {
            return name.clone();
        }
        let name = format!("{kind}-{}", of_kind().count() + 1);
        self.ids.insert(name.clone(), id.to_owned());
        name
    }

    /// What the words of a line ask for.
    fn step(&self, words: &[&str]) -> Step {
        let id = |at: usize| self.id(words[at]);
        let environment = self.id("environment-1");
        match words[0] {
            "Search" => Step::Search,
            "Look" => Step::Look { project: id(1) },
            "CreateProject" => Step::CreateProject {
                name: marker(Slot::Project).outside_name(),
                marker: marker(Slot::Project),
            },
            "CreateService" => Step::CreateService {
                project: id(1),
                environment: self.id(&words[1].replace("project", "environment")),
                name: words[2].to_owned(),
            },
            "CreateVolume" => Step::CreateVolume {
                project: self.id("project-1"),
                environment,
                service: id(1),
                mount: words[2].to_owned(),
            },
            "Mount" => Step::Mount {
                environment,
                volume: id(1),
                service: id(2),
                mount: words[3].to_owned(),
            },
            "CreateDomain" => Step::CreateDomain {
                environment,
                service: id(1),
                port: Some(8080),
            },
            "Configure" => Step::Configure {
                environment,
                service: id(1),
                volume: None,
                composed: composed(words[2]),
                attempt: words[3].parse().unwrap(),
                retired: words[4..].iter().map(|one| (*one).to_owned()).collect(),
            },
            "Compare" => Step::Compare {
                environment,
                service: id(1),
                composed: composed(words[2]),
                attempt: words[3].parse().unwrap(),
            },
            "Deploy" => Step::Deploy {
                environment,
                service: id(1),
            },
            "Stop" => Step::Stop { deployment: id(1) },
            "Delete" => Step::Delete {
                slot: Slot::named(words[1].split('-').next().unwrap()).unwrap(),
                id: id(1),
                surplus: true,
            },
            _ => self.tool_step(words),
        }
    }

    fn tool_step(&self, words: &[&str]) -> Step {
        let (shop, part) = (words[1], part(words[2]));
        let (slot, account) = (slot(shop, part), shop.to_owned());
        let key = tool_name(shop, part, words[3]);
        let parts: BTreeMap<Part, String> = words[4..]
            .iter()
            .filter(|one| one.contains('-') && **one != "for-good")
            .map(|one| (self::part(one), self.id(one)))
            .collect();
        let id = match (self.id(words[2]), shop, part) {
            // A number's id is a number.
            (unknown, "telnyx", Part::Main) if unknown == words[2] => "+14155550199".to_owned(),
            (known, ..) => known,
        };
        let named = Named {
            part,
            id,
            key: key.clone(),
            seen: true,
            parts: parts.clone(),
        };
        match words[0] {
            "MakeTool" => Step::MakeTool {
                slot,
                account,
                order: Box::new(Order {
                    part,
                    key,
                    note: "team-a/ada".into(),
                    wish: wish(shop, 20),
                    parts,
                }),
            },
            "FindTool" => Step::FindTool {
                slot,
                account,
                sought: Box::new(Sought { part, key, parts }),
            },
            "LookTool" => Step::LookTool {
                slot,
                account,
                named,
            },
            "AdjustTool" => Step::AdjustTool {
                slot,
                account,
                named,
                wish: wish(shop, words[4].parse().unwrap()),
            },
            "DeleteTool" => Step::DeleteTool {
                slot,
                account,
                named,
                for_good: words.contains(&"for-good"),
                surplus: true,
            },
            other => panic!("no step {other}"),
        }
    }

    /// What came of it, in the script's words.
    fn tell(&mut self, step: &str, outcome: &Outcome) -> String {
        match outcome {
            Outcome::Done => "done".into(),
            Outcome::Faulted(fault) => fault.class().into(),
            Outcome::Searched(listing) => {
                let homes: Vec<String> = listing.homes.iter().map(|home| self.home(home)).collect();
                some(&homes, " | ")
            }
            Outcome::Looked(Sight::Seen(home)) => self.home(home),
            Outcome::Looked(Sight::Absent { .. }) | Outcome::ToolLooked(_, None) => "absent".into(),
            Outcome::Looked(Sight::Unknown) => "unknown".into(),
            Outcome::ProjectMade {
                project,
                environment,
            } => {
                if let Some(environment) = environment {
                    self.name("environment", environment);
                }
                self.name("project", project)
            }
            Outcome::Made { id } if step == "CreateService" => self.name("service", id),
            Outcome::Made { id } => self.name("volume", id),
            Outcome::DomainMade(domain) => {
                format!(
                    "{} of {}",
                    self.name("domain", &domain.id),
                    self.name("service", &domain.service)
                )
            }
            Outcome::Compared(names) => some(names, ", "),
            Outcome::ToolMade(made) => {
                let secret = made.secret.as_ref().map_or("", |_| " secret");
                format!("{}{secret}", self.resource(&made.resource))
            }
            Outcome::ToolsFound(_, found) => {
                let mut found: Vec<String> = found.iter().map(|one| self.resource(one)).collect();
                found.sort();
                some(&found, " | ")
            }
            Outcome::ToolLooked(_, Some(seen)) => self.resource(seen),
            other => other.word().into(),
        }
    }

    fn home(&mut self, home: &Home) -> String {
        let mut words = vec![self.name("project", &home.id)];
        if let Some(environment) = &home.environment {
            self.name("environment", environment);
        }
        if home.marker.as_ref() != Some(&marker(Slot::Project)) {
            words.push("strange".into());
        }
        if home.deleted {
            words.push("deleted".into());
        }
        for one in &home.services {
            words.push(format!("{} {}", self.name("service", &one.id), one.name));
        }
        for one in &home.volumes {
            let service = one.service.as_ref().map(|id| self.name("service", id));
            let path = one.mount_path.as_deref().unwrap_or_default();
            let service = service.unwrap_or_else(|| "nothing".into());
            words.push(format!(
                "{} at {service} {path}",
                self.name("volume", &one.id)
            ));
        }
        for one in &home.domains {
            let service = self.name("service", &one.service);
            words.push(format!("{} of {service}", self.name("domain", &one.id)));
        }
        for one in &home.deployments {
            let service = self.name("service", &one.service);
            let id = self.name("deployment", &one.id);
            words.push(format!("{id} of {service} {:?}", one.state));
        }
        if let Some(tag) = &home.configuration_tag {
            words.push(self.name("tag", &format!("{} {tag}", home.id)));
        }
        words.join(", ")
    }

    fn resource(&mut self, seen: &Resource) -> String {
        let mut words = vec![self.name(word(seen.part), &seen.id)];
        words.push(
            match &seen.stage {
                Progress::Ready => "ready",
                Progress::Pending { .. } => "pending",
                Progress::Failed { .. } => "failed",
                Progress::Resting => "resting",
            }
            .into(),
        );
        if seen.address.is_some() {
            words.push("addressed".into());
        }
        let settings = seen.settings.iter().filter(|text| !text.is_empty());
        words.extend(settings.map(|text| text.split('=').next_back().unwrap().to_owned()));
        let shops = SLOTS.iter().map(|row| row.provider);
        let bears = |name: &str| {
            let mut shops = shops.clone().filter(|shop| *shop != "railway");
            shops.any(|shop| tool_name(shop, seen.part, name) == seen.name)
        };
        let name = NAMES.into_iter().find(|name| bears(name));
        words.push(match (name, seen.name.as_str()) {
            (Some(name), _) => name.to_owned(),
            (None, "") => "nameless".into(),
            (None, other) => format!("called {other}"),
        });
        words.join(" ")
    }
}

fn some(words: &[String], between: &str) -> String {
    match words {
        [] => "nothing".into(),
        words => words.join(between),
    }
}

/// A line, as it stands in the file.
#[derive(Clone, Debug)]
struct Line {
    case: String,
    asked: String,
    comes: String,
}

/// Lines that are played on one stage.
#[derive(Clone, Debug, Default)]
struct Section {
    title: String,
    settings: Vec<(String, String)>,
    lines: Vec<Line>,
}

fn sections() -> Vec<Section> {
    let mut all: Vec<Section> = Vec::new();
    for block in SCRIPT.split("\n== ").skip(1) {
        let (title, rest) = block.split_once('\n').unwrap();
        let shops = title
            .split_once(" at ")
            .map(|(_, shops)| shops.split(", ").collect());
        for shop in shops.unwrap_or_else(|| vec![""]) {
            let mut section = Section {
                title: format!("{title} {shop}"),
                ..Section::default()
            };
            let rest = rest.replace("{shop}", shop);
            for line in rest
                .lines()
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
            {
                let (asked, comes) = line.split_once(" = ").unwrap_or_else(|| panic!("{line}"));
                let (case, asked) = asked.split_once(' ').unwrap();
                let asked = asked.split_whitespace().collect::<Vec<_>>().join(" ");
                match case {
                    "with" => section.settings.push((asked, comes.to_owned())),
                    _ => section.lines.push(Line {
                        case: case.to_owned(),
                        asked,
                        comes: comes.trim().to_owned(),
                    }),
                }
            }
            all.push(section);
        }
    }
    all
}

/// Plays a section; the lines of which something else came.
async fn play(section: &Section, stage: &mut impl Stage) -> Vec<String> {
    for (key, value) in &section.settings {
        stage.set(key, value).await;
    }
    let mut cast = Cast::default();
    let mut wrong = Vec::new();
    for line in &section.lines {
        let way = Way::of(&line.case);
        let words: Vec<&str> = line.asked.split(' ').collect();
        let outcome = match words[..] {
            ["Wait", seconds] => {
                let by = SignedDuration::from_secs(seconds.parse().unwrap());
                stage.wait(stage.now() + by).await;
                Ok(Outcome::Done)
            }
            ["Living"] => {
                let living = stage.living().await;
                let living = living.iter().map(|(kind, count)| format!("{count} {kind}"));
                Err(some(&living.collect::<Vec<_>>(), ", "))
            }
            ["List", account] => match stage.list(account).await {
                Ok(Some(outcome)) => Ok(outcome),
                Ok(None) => Err("no listing".to_owned()),
                Err(fault) => Ok(Outcome::Faulted(fault)),
            },
            _ => Ok(stage.enact(&cast.step(&words), way).await),
        };
        if let Ok(Outcome::Faulted(Fault::Throttled { until, .. })) = &outcome {
            stage.wait(*until + SignedDuration::from_secs(1)).await;
        }
        let came = outcome.map_or_else(|told| told, |outcome| cast.tell(words[0], &outcome));
        if came != line.comes {
            let Line { case, asked, comes } = line;
            wrong.push(format!(
                "{}: {case} {asked} = {came}\n    and not {comes}",
                section.title
            ));
        }
    }
    wrong
}

#[tokio::test]
async fn the_scene_of_the_laws_plays_the_script() {
    let mut wrong = Vec::new();
    for section in sections() {
        wrong.extend(play(&section, &mut stage::scene()).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simulator_of_the_whole_system_plays_the_script() {
    let internet = internet::Internet::new().await;
    let mut wrong = Vec::new();
    for section in sections() {
        wrong.extend(play(&section, &mut internet.account()).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Whose a token is, what projects cost and what a claim brings, the laws have no part in.
    let others = [
        "apiToken",
        "projectServiceUsage",
        "variableCollectionUpsert",
    ];
    let documents = crate::railway::NAMES
        .iter()
        .filter(|name| !others.contains(name));
    let documents = documents.map(|name| (*name).to_owned()).collect();
    assert_eq!(internet.operations(), documents);
}

/// What a line asks for, without the names of things; and the cases that there are of it.
fn kind(asked: &str) -> String {
    let words: Vec<&str> = asked.split(' ').collect();
    match words[..] {
        [_, shop, thing, ..] if words[0].ends_with("Tool") => {
            format!("{} {shop} {}", words[0], word(part(thing)))
        }
        ["Delete", thing] => format!("Delete {}", thing.split('-').next().unwrap()),
        ["List", account] => format!("List {account}"),
        _ => words[0].to_owned(),
    }
}

const READ: &[&str] = &["done", "absent", "lost", "throttled"];
const READ_BY_CHANGING: &[&str] = &["done", "absent", "lost", "vanished", "throttled"];
const CHANGED: &[&str] = &["done", "absent", "twice", "lost", "vanished", "throttled"];

/// The variants of an enumeration, or the methods of a trait, as the source has them.
fn declared(source: &str, name: &str) -> BTreeSet<String> {
    let file = syn::parse_file(source).unwrap();
    let mut found = BTreeSet::new();
    for item in file.items {
        match item {
            syn::Item::Enum(item) if item.ident == name => {
                found.extend(item.variants.iter().map(|one| one.ident.to_string()));
            }
            syn::Item::Trait(item) if item.ident == name => {
                found.extend(item.items.iter().filter_map(|one| match one {
                    syn::TraitItem::Fn(method) => Some(method.sig.ident.to_string()),
                    _ => None,
                }));
            }
            _ => {}
        }
    }
    found
}

/// Everything that can be asked for outside, and the cases of it.
fn wanted() -> BTreeMap<String, &'static [&'static str]> {
    let mut wanted: BTreeMap<String, &[&str]> = BTreeMap::new();
    let rows = SLOTS.iter().filter_map(|row| match row.slot {
        SlotKind::Tool(part) if row.found_by != FoundBy::Kept => Some((row, part)),
        _ => None,
    });
    let rows: Vec<(&SlotRow, Part)> = rows.collect();
    for step in declared(include_str!("../../engine/step.rs"), "Step") {
        let cases = match step.as_str() {
            "Search" | "Look" | "Compare" | "FindTool" | "LookTool" => READ,
            _ => CHANGED,
        };
        match step.as_str() {
            other if ELSEWHERE.contains(&other) => {}
            "Delete" => {
                for thing in ["project", "service", "volume", "domain"] {
                    wanted.insert(format!("Delete {thing}"), CHANGED);
                }
            }
            tool if tool.ends_with("Tool") => {
                for (row, part) in &rows {
                    let costs =
                        [FoundBy::RemakeToLook, FoundBy::RevokeToLook].contains(&row.found_by);
                    let kind = format!("{tool} {} {}", row.provider, word(*part));
                    match tool {
                        "AdjustTool" if !ADJUSTABLE.contains(&row.provider) => None,
                        "FindTool" if costs => wanted.insert(kind, READ_BY_CHANGING),
                        _ => wanted.insert(kind, cases),
                    };
                }
            }
            _ => {
                wanted.insert(step, cases);
            }
        }
    }
    let accounts: BTreeSet<&str> = rows
        .iter()
        .map(|(row, _)| row.provider)
        .chain(["railway"])
        .collect();
    wanted.extend(
        accounts
            .into_iter()
            .map(|account| (format!("List {account}"), &["done"][..])),
    );
    wanted
}

#[test]
fn every_case_is_played() {
    let mut wanted: BTreeSet<(String, String)> = wanted()
        .into_iter()
        .flat_map(|(kind, cases)| {
            cases
                .iter()
                .map(move |case| (kind.clone(), (*case).to_owned()))
        })
        .collect();
    for (kind, case, _) in NO_LINE {
        assert!(
            wanted.remove(&((*kind).to_owned(), (*case).to_owned())),
            "{kind} {case} is not asked for"
        );
    }
    let played: BTreeSet<(String, String)> = sections()
        .iter()
        .flat_map(|section| &section.lines)
        .filter(|line| line.case != "then")
        .map(|line| (kind(&line.asked), line.case.clone()))
        .collect();
    let missing: Vec<_> = wanted.difference(&played).collect();
    let strange: Vec<_> = played.difference(&wanted).collect();
    assert!(
        missing.is_empty() && strange.is_empty(),
        "no line: {missing:#?}\nnothing of the kind: {strange:#?}"
    );
    let methods = declared(include_str!("../../tools/provider.rs"), "Provider");
    // Whose a credential is, the laws have no part in.
    let played = [
        "identity", "make", "find", "look", "adjust", "delete", "list",
    ];
    assert_eq!(methods, played.map(str::to_owned).into());
}
