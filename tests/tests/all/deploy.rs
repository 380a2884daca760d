//! What `deploy/` says is what the binary understands. Nothing here needs a container engine or systemd.

use std::fs;
use std::path::{Path, PathBuf};

use constellation_tests::Launch;
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
