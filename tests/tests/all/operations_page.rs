//! `docs/operations.md`: every command, in its order, and what it shows that they print.
//!
//! The page tells of one store, from its start to its repair, so its commands share a directory. What happens between
//! them, because the text says so, is in [`Story::before`].

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use constellation_tests::{History, Launch, Server, SmallDisk, Told, binary, can_run, examples_directory};
use tempfile::TempDir;

/// Commands that no test can run, by their beginnings.
const NOT_RUN: [(&str, &str); 8] = [
    ("cargo xtask dist", "the binary that is tested is built already"),
    ("sudo install ", "`deploy.rs` runs them for another root"),
    ("sudo systemctl ", "it takes systemd; `deploy.rs` has it look at the unit"),
    (
        "docker build ",
        "it takes a container engine and the network; `deploy.rs` checks what the image starts",
    ),
    ("docker run ", "the same"),
    ("docker stop ", "the same"),
    ("docker start ", "the same"),
    ("sudo constellation store ", "`store_tidy.rs` does what root does to the store of another user"),
];

/// What is shown without a command, by its beginning: who checks it.
const SHOWN: [(&str, &str); 5] = [
    ("api_keys = ", "`keys.rs` starts servers with such entries"),
    (r#"{"error":"StorageFull""#, "`reliability_disk.rs`"),
    (r#""warnings":["#, "`reliability_disk.rs`"),
    (r#"{"error":"OutcomeUnknown""#, "`reliability_faults.rs`"),
    (r#"{"error":"ReadOnly""#, "`reliability_faults.rs`"),
];

/// Commands before which the server is stopped, by their beginnings.
const NEED_IT_STOPPED: [&str; 2] = ["mkdir copy ", "constellation store import backup.tar"];

const ON_A_FULL_DISK: &str = "constellation store prune n --keep 1";

/// Where the server of the page listens. That of the test listens elsewhere.
const SHOWN_URL: &str = "http://127.0.0.1:8080";

const PROMPT: &str = "$ ";

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md")).unwrap()
}

/// What stands between fences: commands with what they print, or a part of a file or of an answer.
fn blocks(page: &str) -> Vec<&str> {
    page.split("\n```").skip(1).step_by(2).map(|text| text.trim_start_matches('\n')).collect()
}

/// The commands of the page, each with the lines that it prints.
fn commands(page: &str) -> Vec<(&str, Vec<&str>)> {
    let mut commands: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in blocks(page).into_iter().filter(|block| block.starts_with(PROMPT)).flat_map(str::lines) {
        match (line.strip_prefix(PROMPT), commands.last_mut()) {
            (Some(command), _) => commands.push((command, Vec::new())),
            (None, Some((_, printed))) => printed.push(line),
            (None, None) => unreachable!("a block of commands begins with one"),
        }
    }
    commands
}

/// What a command exits with, by what it prints: the page has a table of these.
fn code_of(shown: &[&str]) -> i32 {
    let is_told = |text: &str| shown.iter().any(|line| line.contains(text));
    if is_told("error: ") { 2 } else { i32::from(is_told(" finding: ") || is_told(" findings: ")) }
}

/// Compares what is printed with what is shown. Times count as one, and so do spaces; hashes are shortened, and each
/// that is shown stands for one.
#[derive(Debug, Default)]
struct Comparison {
    hashes: HashMap<String, String>,
}

impl Comparison {
    /// `...` stands for any lines.
    fn lines(&mut self, printed: &[&str], shown: &[&str]) -> bool {
        match shown.split_first() {
            None => printed.is_empty(),
            Some((&"...", rest)) => (0..=printed.len()).any(|skipped| self.lines(&printed[skipped..], rest)),
            Some((first, rest)) => {
                !printed.is_empty() && self.line(printed[0], first) && self.lines(&printed[1..], rest)
            }
        }
    }

    fn line(&mut self, printed: &str, shown: &str) -> bool {
        let (printed, shown) = (printed.split_whitespace(), shown.split_whitespace());
        let (printed, shown): (Vec<_>, Vec<_>) = (printed.collect(), shown.collect());
        // At the end of a line it stands for what may have spaces.
        if let [shown @ .., "..."] = &shown[..] {
            return printed.len() >= shown.len() && self.words(&printed[..shown.len()], shown);
        }
        printed.len() == shown.len() && self.words(&printed, &shown)
    }

    fn words(&mut self, printed: &[&str], shown: &[&str]) -> bool {
        printed.iter().zip(shown).all(|(printed, shown)| self.word(printed, shown))
    }

    fn word(&mut self, printed: &str, shown: &str) -> bool {
        if is_time(printed) && is_time(shown) {
            return true;
        }
        let Some((before, after)) = shown.split_once("...") else { return printed == shown };
        let is_hash = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let hash =
            before.len().checked_sub(8).and_then(|start| before.get(start..)).filter(|hash| is_hash(hash));
        let Some(hash) = hash else {
            return printed.strip_prefix(before).is_some_and(|rest| rest.ends_with(after));
        };
        let before = &before[..before.len() - hash.len()];
        let Some(rest) = printed.strip_prefix(before) else { return false };
        let Some((found, rest)) = rest.split_at_checked(64).filter(|(found, _)| is_hash(found)) else {
            return false;
        };
        rest == after && self.hashes.entry(hash.to_owned()).or_insert_with(|| found.to_owned()) == found
    }
}

fn is_time(text: &str) -> bool {
    text.starts_with("20") && text.ends_with('Z') && text.contains('-') && text.contains('T')
}

/// What the page tells of.
struct Story {
    directory: TempDir,
    server: Option<Server>,
    disk: Option<SmallDisk>,
}

impl Story {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        fs::create_dir(directory.path().join("examples")).unwrap();
        symlink(examples_directory(), directory.path().join("examples/pipelines")).unwrap();
        Self { directory, server: None, disk: None }
    }

    /// Does what the text says that happens before a command.
    fn before(&mut self, command: &str) {
        let is_running = self.server.is_some();
        if command.starts_with("curl ") && !is_running {
            self.server = Some(Launch::new(self.directory.path()).start());
        } else if NEED_IT_STOPPED.iter().any(|start| command.starts_with(start)) && is_running {
            let exited = self.server.take().unwrap().signal("TERM");
            assert_eq!(exited.status.code(), Some(0), "{}", exited.stderr);
        }
        match command {
            "cat constellation.toml" => {
                let text = "max_executions = 64\ndrain_deadline = \"1m\"\n";
                fs::write(self.directory.path().join("constellation.toml"), text).unwrap();
            }
            ON_A_FULL_DISK => self.disk = full_disk(),
            _ => {}
        }
    }

    /// What a command prints, and what it exits with; none where it cannot be run.
    fn run(&mut self, command: &str) -> Option<(String, Option<i32>)> {
        if let Some(arguments) = command.strip_prefix("constellation serve ") {
            let server = Launch::new(self.directory.path()).args(arguments.split(' ')).start();
            self.server = Some(server);
            return Some((format!("listening on {SHOWN_URL}"), Some(0)));
        }
        let directory = match &self.disk {
            Some(disk) => disk.path(),
            None if command == ON_A_FULL_DISK => return None,
            None => self.directory.path(),
        };
        let own = binary().parent().unwrap().to_owned();
        let path = std::env::var_os("PATH").unwrap();
        let path = std::env::join_paths([own].into_iter().chain(std::env::split_paths(&path))).unwrap();
        let url = self.server.as_ref().map_or(SHOWN_URL, Server::url);
        let command = format!("exec 2>&1; {}", command.replace(SHOWN_URL, url));
        let mut shell = Command::new("bash");
        shell.args(["-c", &command]).current_dir(directory).env("PATH", path);
        // Those of whoever runs the tests are none of the page's.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CONSTELLATION_") {
                shell.env_remove(name);
            }
        }
        let output = shell.output().unwrap();
        Some((String::from_utf8(output.stdout).unwrap(), output.status.code()))
    }
}

/// A disk without room, with a store that has versions of the name `n`; none where there can be no such disk.
fn full_disk() -> Option<SmallDisk> {
    let disk = SmallDisk::new("size=1500k").unwrap()?;
    let history = History::with_source_bytes(10_000);
    let server = Launch::new(disk.path()).start();
    while history.publish(&server, "n") == Told::Acknowledged {}
    server.kill();
    // Nothing is left, not even for the last page of a file.
    let _ = fs::write(disk.path().join("rest"), vec![0; 2 << 20]);
    Some(disk)
}

#[test]
fn every_command_of_the_page_prints_what_it_shows() {
    for tool in [["bash", "--version"], ["curl", "--version"], ["jq", "--version"], ["openssl", "version"]] {
        if !can_run(&tool) {
            return;
        }
    }
    let page = page();
    let mut story = Story::new();
    let mut comparison = Comparison::default();
    let mut wrong = Vec::new();
    for (command, shown) in commands(&page) {
        if NOT_RUN.iter().any(|(start, _)| command.starts_with(start)) {
            continue;
        }
        story.before(command);
        let Some((printed, code)) = story.run(command) else { continue };
        if code != Some(code_of(&shown)) || !comparison.lines(&printed.lines().collect::<Vec<_>>(), &shown) {
            let shown = shown.join("\n");
            wrong.push(format!("{command}\nexits with {code:?} and prints\n{printed}\nnot\n{shown}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn what_the_test_of_the_page_leaves_out_is_on_the_page() {
    let page = page();
    let commands: Vec<&str> = commands(&page).into_iter().map(|(command, _)| command).collect();
    assert!(commands.len() > 30, "{commands:?}");
    let starts = NOT_RUN.iter().map(|(start, _)| *start).chain(NEED_IT_STOPPED);
    for start in starts.chain([ON_A_FULL_DISK]) {
        assert!(commands.iter().any(|command| command.starts_with(start)), "{start} is not on the page");
    }
    let blocks = blocks(&page);
    let shown: Vec<&str> = blocks.into_iter().filter(|block| !block.starts_with(PROMPT)).collect();
    let fits = |text: &str, start: &str| text.starts_with(start);
    for text in &shown {
        assert!(SHOWN.iter().any(|(start, _)| fits(text, start)), "who checks this?\n{text}");
    }
    for (start, _) in SHOWN {
        assert!(shown.iter().any(|text| fits(text, start)), "{start} is not on the page");
    }
}

#[test]
fn what_is_printed_is_compared_with_what_is_shown() {
    let hashes = ["a", "b"].map(|digit| digit.repeat(64));
    let [first, second] = &hashes;
    let both = format!("{first} {second}");
    for (printed, shown, is_same) in [
        ("NAME   VERSION", "NAME VERSION", true),
        ("NAME", "NAMES", false),
        ("at 2026-11-24T17:01:27.993Z", "at 2025-01-01T00:00:00Z", true),
        ("at noon", "at 2025-01-01T00:00:00Z", false),
        ("a\nb\nc", "a\n...", true),
        ("a\nb\nc", "...\nc", true),
        ("a\nb\nc", "a\n...\nd", false),
        ("a\nb", "a", false),
        ("a", "a\nb", false),
        ("error: it is so", "error: ...", true),
        ("error", "error: ...", false),
        (&both, "01234567... 89abcdef...", true),
        (&both, "01234567... 01234567...", false),
        (&format!("images/{first}.json:"), "images/01234567....json:", true),
        (&format!("images/{first}.txt:"), "images/01234567....json:", false),
        ("blake3:0123", "blake3:...", true),
    ] {
        let [printed, shown]: [Vec<&str>; 2] = [printed, shown].map(|text| text.lines().collect());
        assert_eq!(Comparison::default().lines(&printed, &shown), is_same, "{printed:?} {shown:?}");
    }
}
