//! What `deploy/` says is what the binary understands. Nothing here needs a container engine or systemd.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use constellation_tests::{Launch, binary, can_run};
use tempfile::TempDir;

fn file(name: &str) -> (PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name);
    let text = fs::read_to_string(&path).expect("the file is there");
    (path, text)
}

/// What follows a word at the start of a line, for each such line.
fn values<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    text.lines().filter_map(|line| line.trim_start().strip_prefix(word)).map(str::trim).collect()
}

#[test]
fn the_configuration_file_is_one_also_with_its_comments() {
    let directory = TempDir::new().unwrap();
    let (path, text) = file("constellation.toml");
    // Also what it has in comments, as they would be without the mark.
    let hash = "0".repeat(64);
    let uncommented: String = text
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|line| line.contains(" = ")).unwrap_or(line))
        .map(|line| line.replace("HASH", &hash) + "\n")
        .collect();
    assert_ne!(uncommented, text);
    let whole = directory.path().join("whole.toml");
    fs::write(&whole, uncommented).unwrap();
    for path in [path, whole] {
        let launch = Launch::command(directory.path(), "config").args(["check", "--config"]).args([&path]);
        // The place of the store is of the machine that it is for.
        let exited = launch.args(["--store", "store"]).run();
        assert_eq!(exited.status.code(), Some(0), "{}: {}", path.display(), exited.stderr);
    }
}

#[test]
fn the_unit_starts_the_server_with_options_that_it_has() {
    let directory = TempDir::new().unwrap();
    let (config, _) = file("constellation.toml");
    let (_, unit) = file("constellation.service");
    let [start] = values(&unit, "ExecStart=")[..] else { panic!("one command") };
    let place = "/etc/constellation/constellation.toml";
    let arguments = start.strip_prefix("/usr/local/bin/constellation serve").unwrap();
    let arguments = arguments.replace(place, config.to_str().unwrap());
    let launch = Launch::command(directory.path(), "config").args(["show"]);
    let exited = launch.args(arguments.split_whitespace()).run();
    assert_eq!(exited.status.code(), Some(0), "{start}: {}", exited.stderr);
    assert!(exited.stdout.contains("constellation.toml:"), "{}", exited.stdout);
    // What runs before the server has codes of its own, by which the unit would be started again.
    assert!(values(&unit, "ExecStartPre=").is_empty());
    assert_eq!(values(&unit, "RestartPreventExitStatus="), ["64"], "the code of a bad configuration");
    assert_eq!(values(&unit, "StateDirectory="), ["constellation"]);
}

/// The sources, from which the commands of the page are run.
fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the tree is there")
}

/// Runs what the page installs, for another root than that of this machine, and gives what was installed.
fn install_into(root: &Path) -> Vec<String> {
    let page = fs::read_to_string(sources().join("docs/operations.md")).expect("the page is there");
    let commands = values(&page, "$ sudo install ");
    let install = |command: &&str| {
        let (options, place) = command.rsplit_once(' ').expect("the last word is where it goes");
        let options = options.split(' ').map(|word| match word {
            "target/dist/constellation" => binary().to_str().expect("the path is text"),
            word => word,
        });
        let status =
            Command::new("install").args(options).arg(under(root, place)).current_dir(sources()).status();
        assert!(status.expect("install is there").success(), "{command}");
        place.to_owned()
    };
    commands.iter().map(install).collect()
}

fn under(root: &Path, place: &str) -> PathBuf {
    root.join(place.trim_start_matches('/'))
}

#[test]
fn what_the_page_installs_is_all_that_the_unit_needs() {
    let root = TempDir::new().unwrap();
    let installed = install_into(root.path());
    let unit_place = "/etc/systemd/system/constellation.service";
    assert!(installed.iter().any(|place| place == unit_place), "{installed:?}");
    let unit = fs::read_to_string(under(root.path(), unit_place)).unwrap();
    let start = values(&unit, "ExecStart=")[0];
    let named = start.split(' ').filter(|word| word.starts_with('/'));
    let environment = values(&unit, "EnvironmentFile=")[0].trim_start_matches('-');
    let page = values(&unit, "Documentation=file://")[0];
    for place in named.chain([environment, page]) {
        assert!(installed.iter().any(|known| known == place), "{place} is not in {installed:?}");
    }
    let mode = |place: &str| fs::metadata(under(root.path(), place)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(environment), 0o600, "it has keys");
    let config = under(root.path(), start.rsplit(' ').next().unwrap());
    let check = Launch::command(root.path(), "config").args(["check", "--store", "store", "--config"]);
    let checked = check.args([&config]).run();
    assert_eq!(checked.status.code(), Some(0), "{}", checked.stderr);
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    if !can_run(&["systemd-analyze", "--version"]) {
        return;
    }
    let root = TempDir::new().unwrap();
    install_into(root.path());
    let unit = fs::read_to_string(under(root.path(), "/etc/systemd/system/constellation.service")).unwrap();
    // The tool looks for the binary where the unit says that it is.
    let program = "/usr/local/bin/constellation";
    let unit = unit.replace(program, under(root.path(), program).to_str().unwrap());
    let verify = |unit: &str| {
        let path = root.path().join("constellation.service");
        fs::write(&path, unit).unwrap();
        let verify =
            Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output().unwrap();
        (verify.status.success(), String::from_utf8(verify.stderr).unwrap())
    };
    assert_eq!(verify(&unit), (true, String::new()));
    // It passes over what it does not understand, and says so.
    let (_, told) = verify(&unit.replace("Restart=on-failure", "Restart=on-failur"));
    assert!(told.contains("on-failur"), "{told}");
}

#[test]
fn the_image_is_built_of_what_the_workspace_has() {
    let manifest = fs::read_to_string(sources().join("Cargo.toml")).unwrap();
    let (_, dockerfile) = file("Dockerfile");
    let [build, base] = values(&dockerfile, "FROM ")[..] else { panic!("two stages") };
    let version = values(&manifest, "rust-version = ")[0].trim_matches('"');
    assert_eq!(build, format!("rust:{version}-bookworm AS build"));
    assert!(
        base.starts_with("debian:bookworm"),
        "the binary is linked to the libraries of the build: {base}"
    );
    let [cargo, user] = values(&dockerfile, "RUN ")[..] else { panic!("one command a stage") };
    let after = |text: &str, option: &str| {
        let mut words = text.split(' ').skip_while(|word| *word != option).skip(1);
        words.next().unwrap_or_else(|| panic!("'{text}' has {option}")).to_owned()
    };
    assert_eq!(cargo, "cargo xtask dist");
    let dist = fs::read_to_string(sources().join("xtask/src/dist.rs")).unwrap();
    let [left_in] = values(&dist, "pub(crate) const DIRECTORY: &str = ")[..] else { panic!("one directory") };
    let left_in = left_in.trim_matches(['"', ';']);
    assert!(sources().join("Cargo.lock").is_file(), "it is built with --locked");

    // Everything is copied that is not ignored, and nothing that is built needs what is.
    let [everything, copied] = values(&dockerfile, "COPY ")[..] else { panic!("two copies") };
    let [directory] = values(&dockerfile, "WORKDIR ")[..] else { panic!("one directory") };
    let (_, ignored) = file("Dockerfile.dockerignore");
    let ignored: Vec<&str> = ignored.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!((everything, &ignored[..]), (". .", &["**/target", ".git"][..]));
    let entry: Vec<String> = serde_json::from_str(values(&dockerfile, "ENTRYPOINT ")[0]).unwrap();
    let [program] = &entry[..] else { panic!("{entry:?}") };
    assert_eq!(copied, format!("--from=build {directory}/{left_in}/constellation {program}"));

    let [uid] = values(&dockerfile, "USER ")[..] else { panic!("one user") };
    assert_eq!(after(user, "--uid"), uid);
    assert_eq!(after(user, "--home-dir"), values(&dockerfile, "VOLUME ")[0], "the volume takes its owner");
    let command: Vec<String> = serde_json::from_str(values(&dockerfile, "CMD ")[0]).unwrap();
    let directory = TempDir::new().unwrap();
    let (subcommand, flags) = command.split_first().unwrap();
    let helped = Launch::command(directory.path(), subcommand).args(flags).args(["--help"]).run();
    assert_eq!(helped.status.code(), Some(0), "{command:?}: {}", helped.stderr);
}

#[test]
fn the_container_keeps_its_store_in_a_volume_and_needs_keys() {
    let directory = TempDir::new().unwrap();
    let (_, dockerfile) = file("Dockerfile");
    let variables: Vec<(&str, &str)> = dockerfile
        .lines()
        .map(|line| line.trim_start().trim_start_matches("ENV ").trim_end_matches('\\').trim_end())
        .filter(|line| line.starts_with("CONSTELLATION_"))
        .filter_map(|line| line.split_once('='))
        .collect();
    assert!(variables.len() >= 3, "{variables:?}");
    let launch = |command: &str, action: &[&str]| {
        let launch = Launch::command(directory.path(), command).args(action);
        variables.iter().fold(launch, |launch, (name, value)| launch.env(name, value))
    };
    let shown = launch("config", &["show"]).run().stdout;
    for (name, value) in &variables {
        let row = shown.lines().find(|line| line.ends_with(name)).unwrap_or_else(|| panic!("{name} is read"));
        assert!(row.contains(value), "{row}");
    }
    let of = |name: &str| variables.iter().find(|(known, _)| *known == name).unwrap().1;
    let [volume] = values(&dockerfile, "VOLUME ")[..] else { panic!("one volume") };
    assert!(of("CONSTELLATION_STORE").starts_with(&format!("{volume}/")));
    let [port] = values(&dockerfile, "EXPOSE ")[..] else { panic!("one port") };
    assert!(of("CONSTELLATION_LISTEN").ends_with(&format!(":{port}")));
    assert_ne!(values(&dockerfile, "USER "), Vec::<&str>::new(), "not root");

    let refused = launch("serve", &[]).run();
    assert_eq!(refused.status.code(), Some(64), "{}", refused.stderr);
    assert!(refused.stderr.contains("CONSTELLATION_API_KEYS"), "{}", refused.stderr);

    let toolchain = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rust-toolchain.toml");
    let toolchain = fs::read_to_string(toolchain).unwrap();
    let image = values(&dockerfile, "FROM rust:")[0].split('-').next().unwrap();
    assert!(toolchain.contains(&format!("channel = \"{image}")), "{image} is the toolchain");
}
