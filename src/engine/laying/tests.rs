//! Tests of the script that lays files, by the shells that there are.

use super::*;
use crate::api::template::EnvVar;
use crate::engine::compose::{compose, revision};
use crate::model::values::Seal;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

/// A directory of its own for each test.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn file(place: &Path, below: &str, content: &str, mode: FileMode) -> LaidFile {
    LaidFile {
        path: format!("{}/{below}", place.display()),
        place: place.display().to_string(),
        content: SecretString::from(content),
        mode,
    }
}

/// What starts in the end: it shows its words and its environment.
const PROGRAM: &str = r#"printf "%s|" "$@"; echo; env"#;

/// The shells of this machine that images have as /bin/sh.
fn shells() -> Vec<Vec<String>> {
    let all = ["/bin/sh", "dash", "bash --posix", "busybox ash"];
    let path = std::env::var("PATH").unwrap_or_default();
    let there = |shell: &str| {
        let mut words = shell.split(' ').map(str::to_owned);
        let name = words.next()?;
        let mut places = path
            .split(':')
            .map(|directory| Path::new(directory).join(&name));
        let found = places.find(|place| place.exists())?;
        let whole = [found.display().to_string()].into_iter().chain(words);
        Some(whole.collect())
    };
    all.into_iter().filter_map(there).collect()
}

/// Runs the start command's shell with these files. `words` follow the program's own.
fn run(shell: &[String], path: &str, files: &[LaidFile], words: &[&str]) -> Output {
    let started = shlex::split(START).unwrap();
    assert_eq!(started[..2], ["/bin/sh", "-c"]);
    let own = ["/bin/sh", "-c", PROGRAM, "program"].iter().chain(words);
    let own: Vec<String> = own.map(|word| (*word).to_owned()).collect();
    let variables = super::shell(files, &own);
    let variables = variables.iter().map(|(name, value)| {
        assert!(value.expose_secret().len() <= 131_072 - name.len() - 2);
        (name, value.expose_secret())
    });
    Command::new(&shell[0])
        .args(&shell[1..])
        .args(["-c", &started[2]])
        .env_clear()
        .envs(variables)
        // A program's own variables, which the script must leave alone.
        .envs([
            ("PATH", path),
            ("p", "theirs"),
            ("i", "theirs"),
            ("IFS", "/"),
        ])
        .output()
        .unwrap()
}

const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// What the program says; the script says nothing.
fn good(output: &Output) -> String {
    let (said, complained) = both(output);
    assert!(
        output.status.success() && complained.is_empty(),
        "{complained}{said}"
    );
    said
}

/// The one line that the script says; the program was not started.
fn bad(output: &Output) -> String {
    let (said, complained) = both(output);
    assert!(!output.status.success() && said.is_empty(), "{said}");
    assert_eq!(complained.lines().count(), 1, "{complained}");
    complained
}

fn both(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn files_are_laid_and_the_program_finds_nothing_of_it() {
    for shell in shells() {
        let (folder, outside) = (folder(), folder());
        let place = folder.path().join("not there/yet");
        let large: String = (0..30_000)
            .map(|n| format!("{n} 'ä' \"$HOME\" ${{{{x}}}}\n"))
            .collect();
        let large = &large[..262_144 - 10];
        let strange = "a b/it's \"$(touch x)\" \\ *?\t-n/${{Y}}";
        let strange = strange.replace('\t', "");
        let files = [
            file(&place, &strange, "with 'quotes'\n\n", FileMode::IfMissing),
            file(&place, "empty", "", FileMode::Always),
            file(&place, "large", large, FileMode::Always),
            file(&place, "one", "1", FileMode::IfMissing),
        ];
        let words = ["it's", "", "a  b", "$HOME ${{X}}", "*", "-n"];
        let said = good(&run(&shell, PATH, &files, &words));
        let (first, environment) = said.split_once('\n').unwrap();
        assert_eq!(first, "it's||a  b|$HOME ${{X}}|*|-n|", "{shell:?}");
        assert!(!environment.contains("YARDMASTER"), "{environment}");
        for own in ["p=theirs", "i=theirs"] {
            assert!(environment.lines().any(|line| line == own), "{environment}");
        }
        for (file, content) in files.iter().zip(["with 'quotes'\n\n", "", large, "1"]) {
            assert_eq!(
                fs::read_to_string(&file.path).unwrap(),
                content,
                "{shell:?} {}",
                file.path
            );
            let mode = fs::metadata(&file.path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            // Nothing is left over beside it.
            let beside = fs::read_dir(Path::new(&file.path).parent().unwrap()).unwrap();
            assert!(
                beside
                    .flatten()
                    .all(|one| !one.file_name().to_string_lossy().starts_with(".yardmaster"))
            );
        }
        let directory = fs::metadata(&place).unwrap().permissions().mode();
        assert_eq!(directory & 0o777, 0o755);
        assert!(fs::read_dir(outside.path()).unwrap().next().is_none());
    }
}

#[test]
fn what_is_there_stays_unless_it_is_to_be_laid_always() {
    for shell in shells() {
        let folder = folder();
        let place = folder.path();
        let files = |content: &str| {
            [
                file(place, "always", content, FileMode::Always),
                file(place, "dangling", content, FileMode::IfMissing),
                file(place, "missing", content, FileMode::IfMissing),
            ]
        };
        symlink("/no/such/target", place.join("dangling")).unwrap();
        let read = |name: &str| fs::read_to_string(place.join(name)).unwrap();
        good(&run(&shell, PATH, &files("1"), &[]));
        assert_eq!((read("always"), read("missing")), ("1".into(), "1".into()));
        fs::write(place.join("missing"), "the agent's own").unwrap();
        fs::write(place.join("always"), "the agent's own").unwrap();
        good(&run(&shell, PATH, &files("2"), &[]));
        assert_eq!(
            (read("always"), read("missing")),
            ("2".into(), "the agent's own".into())
        );
        assert!(
            fs::symlink_metadata(place.join("dangling"))
                .unwrap()
                .is_symlink()
        );
    }
}

#[test]
fn no_link_leads_out_of_the_place() {
    for shell in shells() {
        let (folder, outside) = (folder(), folder());
        let (place, out) = (folder.path(), outside.path());
        fs::write(out.join("target"), "theirs").unwrap();
        symlink(out.join("target"), place.join("file")).unwrap();
        symlink(out, place.join("directory")).unwrap();
        // The name under which it is written first cannot be known before, but for the process's number.
        good(&run(
            &shell,
            PATH,
            &[file(place, "file", "mine", FileMode::Always)],
            &[],
        ));
        assert_eq!(fs::read_to_string(out.join("target")).unwrap(), "theirs");
        assert!(fs::symlink_metadata(place.join("file")).unwrap().is_file());
        for (below, part) in [
            ("directory/new", "directory is a link"),
            ("directory/deep/new", "directory is a link"),
            ("directory", "a directory lies there"),
            ("file/new", "file"),
        ] {
            let told = bad(&run(
                &shell,
                PATH,
                &[file(place, below, "mine", FileMode::Always)],
                &[],
            ));
            assert!(told.contains(part), "{shell:?}: {told}");
        }
        assert_eq!(fs::read_dir(out).unwrap().count(), 1);
    }
}

#[test]
fn a_step_that_fails_is_told_with_the_path_and_without_the_content() {
    // Busybox has its own, whatever PATH says.
    for shell in shells()
        .into_iter()
        .filter(|shell| !shell[0].ends_with("busybox"))
    {
        let folder = folder();
        let place = folder.path();
        // An image without base64.
        let tools = place.join("tools");
        fs::create_dir(&tools).unwrap();
        for tool in ["mkdir", "rm", "mv", "stat", "chown", "env"] {
            symlink(format!("/bin/{tool}"), tools.join(tool)).unwrap();
        }
        let tools = tools.display().to_string();
        let told = bad(&run(
            &shell,
            &tools,
            &[file(place, "a b", "canary", FileMode::Always)],
            &[],
        ));
        let path = format!(
            "yardmaster: the file {}/a b cannot be laid: base64 -d: ",
            place.display()
        );
        assert!(told.starts_with(&path), "{shell:?}: {told}");
        for form in ["canary", &BASE64.encode("canary")] {
            assert!(!told.contains(form), "{told}");
        }
        // What is there already needs nothing.
        fs::write(place.join("a b"), "").unwrap();
        good(&run(
            &shell,
            &tools,
            &[file(place, "a b", "x", FileMode::IfMissing)],
            &[],
        ));
    }
}

fn template(runtime: &Value, files: &Value) -> AgentTemplateSpec {
    let mut spec = json!({"runtime": {"image": "ghcr.io/acme/agent:1.4"}, "files": files});
    for (name, value) in runtime.as_object().unwrap() {
        spec["runtime"][name] = value.clone();
    }
    serde_json::from_value(spec).unwrap()
}

fn seal() -> Seal {
    Seal(SecretString::from("seal"))
}

fn named(runtime: Value, files: Value) -> Result<String, Broken> {
    let spec = template(&runtime, &files);
    revision(&seal(), &spec, "sha256:1", &Values::new())
}

#[test]
fn a_template_with_files_starts_by_the_script_and_one_without_as_ever() {
    let deployed = |runtime: Value, files: Value| {
        let (spec, token) = (template(&runtime, &files), SecretString::from("t"));
        let (values, given) = (Values::new(), BTreeMap::new());
        let composed = compose(
            &seal(),
            &spec,
            "sha256:1",
            (&[], &[]),
            &values,
            &token,
            &given,
        );
        let composed = composed.unwrap();
        let script = composed.configuration.variables.iter();
        let script = script.filter(|one| one.name == SCRIPT_VARIABLE);
        let script: Option<String> = script
            .map(|one| one.value.expose_secret().to_owned())
            .next();
        let names = composed.names().into_iter();
        let names = names
            .filter(|name| name.starts_with("YARDMASTER_") && name != "YARDMASTER_CONFIGURATION");
        (
            composed.configuration.start_command,
            script,
            names.collect::<Vec<String>>(),
        )
    };
    let file = json!([{"path": "/opt/data/a", "content": "x"}]);
    let (start, script, names) = deployed(json!({"harness": "hermes"}), file.clone());
    assert_eq!(start.as_deref(), Some(START));
    assert_eq!(names, ["YARDMASTER_FILE_1", "YARDMASTER_START"]);
    let script = script.unwrap();
    let end = "lay IfMissing '/opt/data/a' '/opt/data' 1 1 || exit 1\nunset YARDMASTER_FILE_1 YARDMASTER_START\nexec 'hermes' 'gateway' 'run'";
    assert!(script.ends_with(end), "{script}");
    let own = json!({"harness": "hermes", "startCommand": "/init 'a b' gateway"});
    let (_, script, _) = deployed(own, file);
    assert!(script.unwrap().ends_with("exec '/init' 'a b' 'gateway'"));
    let (start, script, names) = deployed(json!({"harness": "hermes"}), json!([]));
    assert_eq!(
        (start.as_deref(), script, names.len()),
        (Some("hermes gateway run"), None, 0)
    );
    // Its configuration is laid for it, or it would never be reached.
    let (start, _, names) = deployed(json!({"harness": "openclaw"}), json!([]));
    assert_eq!((start.as_deref(), names.len()), (Some(START), 2));
}

#[test]
fn files_move_the_configuration_to_the_volume_unless_somebody_says_where_it_is() {
    let set = |runtime: Value, files: Value, own: Value| {
        let (spec, token) = (template(&runtime, &files), SecretString::from("t"));
        let own: Vec<EnvVar> = serde_json::from_value(own).unwrap();
        let (values, given) = (Values::new(), BTreeMap::new());
        let composed = compose(
            &seal(),
            &spec,
            "sha256:1",
            (&own, &[]),
            &values,
            &token,
            &given,
        );
        let variables = composed.unwrap().configuration.variables.into_iter();
        let mut variables = variables.filter(|one| one.name == "XDG_CONFIG_HOME");
        variables
            .next()
            .map(|one| one.value.expose_secret().to_owned())
    };
    let on_a_volume = json!({"harness": "opencode", "volume": {"mountPath": "/data"}});
    let file = json!([{"path": "config/opencode/AGENTS.md", "content": "x"}]);
    let own = json!([{"name": "XDG_CONFIG_HOME", "value": "/elsewhere"}]);
    let none = json!([]);
    assert_eq!(
        set(on_a_volume.clone(), file.clone(), none.clone()).as_deref(),
        Some("/data/config")
    );
    assert_eq!(
        set(on_a_volume.clone(), file, own).as_deref(),
        Some("/elsewhere")
    );
    assert_eq!(set(on_a_volume.clone(), none.clone(), none.clone()), None);
    // A file that lies elsewhere moves nothing: an agent that runs has its configuration where it is.
    let elsewhere = json!([{"path": "notes", "content": "x"}, {"path": "/srv/a", "content": "x"}]);
    assert_eq!(set(on_a_volume.clone(), elsewhere, none.clone()), None);
    let none_there = json!([{"path": "/srv/a", "content": "x"}]);
    assert_eq!(set(json!({"harness": "opencode"}), none_there, none), None);
    // It follows the state, wherever that is.
    for runtime in [on_a_volume, json!({"harness": "opencode"})] {
        let mut spec = template(&runtime, &json!([{"path": "config/a", "content": "x"}]));
        let env = json!([{"name": "XDG_DATA_HOME", "value": "/data/share/"}]);
        spec.env = serde_json::from_value(env).unwrap();
        let program = ProgramSettings::of(spec.runtime.as_ref().unwrap());
        let mut variables = program.usual();
        variables.extend(crate::engine::compose::resolve(&spec.env, &Values::new()).unwrap());
        let laid = laying(&spec, &program, &variables, &Values::new()).unwrap();
        assert_eq!(
            laid.usual["XDG_CONFIG_HOME"].expose_secret(),
            "/data/share/config"
        );
    }
}

#[test]
fn what_is_laid_is_in_the_revision() {
    let one = |path: &str, content: &str, mode: &str| {
        let file = json!([{"path": path, "content": content, "mode": mode}]);
        named(json!({"harness": "hermes"}), file).unwrap()
    };
    let all = [
        named(json!({"harness": "hermes"}), json!([])).unwrap(),
        one("a", "x", "IfMissing"),
        one("b", "x", "IfMissing"),
        one("a", "y", "IfMissing"),
        one("a", "x", "Always"),
    ];
    let different: std::collections::BTreeSet<&String> = all.iter().collect();
    assert_eq!(different.len(), all.len());
    assert_eq!(all[1], one("a", "x", "IfMissing"));
}

#[test]
fn where_nothing_can_lay_them_that_is_told_with_what_to_do() {
    let file = || json!([{"path": "/srv/a", "content": "x"}]);
    for harness in ["convos", "http"] {
        let broken = named(json!({"harness": harness}), file()).unwrap_err();
        assert_eq!(broken.reason, reason::FILES_NOT_SUPPORTED);
        assert!(
            broken
                .message
                .contains("write its command in runtime.startCommand"),
            "{}",
            broken.message
        );
        named(json!({"harness": harness, "startCommand": "serve"}), file()).unwrap();
    }
    for command in ["serve 'all", " "] {
        let broken =
            named(json!({"harness": "http", "startCommand": command}), file()).unwrap_err();
        assert_eq!(broken.reason, reason::VALUE_NOT_USABLE);
        assert!(
            broken.message.contains("runtime.startCommand"),
            "{}",
            broken.message
        );
        named(
            json!({"harness": "http", "startCommand": command}),
            json!([]),
        )
        .unwrap();
    }
}

/// As many as the record of an agent's variables has room for.
#[test]
fn the_most_files_make_no_more_variables_than_are_counted() {
    let place = Path::new("/opt/data");
    let small = (0..31).map(|n| file(place, &format!("{n}"), "x", FileMode::Always));
    let large = file(place, "large", &"x".repeat(262_144 - 31), FileMode::Always);
    let all: Vec<LaidFile> = small.chain([large]).collect();
    assert_eq!(super::shell(&all, &["a".to_owned()]).len(), 31 + 11 + 1);
}
