//! What was acknowledged survives, and runs again without being compiled again.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use constellation_tests::{Example, Launch, Server, copy_sources, examples};
use serde_json::{Value, json};
use tempfile::TempDir;

const DISCOUNT: &str = "
@example(12000)
in amountCents: Int
in tier: Optional<String>
percent = if ((tier ?? \"basic\") == \"gold\") 10 else 0
payable = amountCents - amountCents * percent / 100
message = \"You pay ${payable} cents\"
out payable
out message
";

const LOYALTY: &str = "
type Visit = { shop: String, cents: Int }
type Member = { points: Int } | { card: String }
in visits: List<Visit>
in member: Member
total = SumList(visits.cents)
level = branch { total >= 10000 -> \"gold\", total >= 5000 -> \"silver\", otherwise -> \"basic\" }
bonus = total / 100 when total >= 5000
shops = visits[shop]
standing = match member { { points } -> \"${points + total} points\", { card } -> \"card ${card}\" }
out standing
out level
out bonus
out shops
";

/// Calls of pipelines with what they answered.
type Calls = Vec<(String, Value, Value)>;

/// Runs every case of every example and two more pipelines, by name and by hash.
fn calls(server: &Server, examples: &[Example]) -> Calls {
    let cases = examples
        .iter()
        .flat_map(|example| example.cases.iter().map(|case| (example.name.clone(), case.inputs.clone())));
    let visits = [json!({ "shop": "A", "cents": 4000 }), json!({ "shop": "B", "cents": 1500 })];
    let more = [
        ("discount", json!({ "amountCents": 12000, "tier": "gold" })),
        ("discount", json!({ "amountCents": 99 })),
        ("team/loyalty", json!({ "visits": visits, "member": { "points": 7 } })),
        ("team/loyalty", json!({ "visits": [], "member": { "card": "x-1" } })),
    ];
    let more = more.into_iter().map(|(name, inputs)| (name.to_owned(), inputs));
    let mut calls = Calls::new();
    for (name, inputs) in cases.chain(more) {
        let outputs = server.execute(&name, &inputs);
        let hash = server.hash_of(&name.replace('/', "%2F"));
        assert_eq!(server.execute(&hash, &inputs), outputs, "{name} by name and by hash");
        calls.push((name, inputs.clone(), outputs.clone()));
        calls.push((hash, inputs, outputs));
    }
    calls
}

fn assert_same(server: &Server, calls: &Calls) {
    for (reference, inputs, outputs) in calls {
        assert_eq!(server.execute(reference, inputs), *outputs, "{reference}");
    }
    assert_eq!(server.compilations(), 0, "nothing is compiled again; it wrote:\n{}", server.stderr());
}

fn start(directory: &Path, sources: Option<&Path>) -> Server {
    let launch = Launch::new(directory).args(["--store", "store"]);
    match sources {
        Some(sources) => launch.args(["--pipelines".as_ref(), sources.as_os_str()]).start(),
        None => launch.start(),
    }
}

#[test]
fn everything_answers_after_a_kill_without_being_compiled_again() {
    let directory = TempDir::new().unwrap();
    let sources = directory.path().join("sources");
    copy_sources(&sources).unwrap();
    let examples = examples().unwrap();

    let server = start(directory.path(), Some(&sources));
    for example in &examples {
        for case in &example.cases {
            assert_eq!(server.execute(&example.name, &case.inputs), case.outputs, "{}", case.description);
        }
    }
    server.compile("discount", DISCOUNT);
    server.compile("team/loyalty", LOYALTY);
    let calls = calls(&server, &examples);
    assert_eq!(server.compilations(), examples.len() as u64 + 2);
    server.kill();

    let server = start(directory.path(), Some(&sources));
    assert_same(&server, &calls);
    server.kill();

    // The sources are not needed to run.
    for entry in fs::read_dir(&sources).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let server = start(directory.path(), Some(&sources));
    assert_same(&server, &calls);
    assert!(server.signal("TERM").status.success());

    // Nor after an end in order, nor without the option.
    let server = start(directory.path(), None);
    assert_same(&server, &calls);
}

#[test]
fn a_name_stays_where_it_was_put() {
    let directory = TempDir::new().unwrap();
    let sources = directory.path().join("sources");
    copy_sources(&sources).unwrap();
    let file = sources.join("scoring.cst");
    fs::write(&file, "in a: Int\nb = a + 1\nout b\n").unwrap();
    let server = start(directory.path(), Some(&sources));
    let first = server.hash_of("scoring");
    server.kill();

    fs::write(&file, "in a: Int\nb = a + 2\nout b\n").unwrap();
    let server = start(directory.path(), Some(&sources));
    let second = server.hash_of("scoring");
    assert_ne!(first, second);
    let answer = server.put("/pipelines/scoring/alias", &json!({ "structuralHash": first }));
    assert_eq!(answer.status, 200, "{}", answer.text);
    server.kill();

    for end_in_order in [true, false] {
        let server = start(directory.path(), Some(&sources));
        assert_eq!(server.hash_of("scoring"), first, "nobody touched the file");
        assert_eq!(server.execute("scoring", &json!({ "a": 1 })), json!({ "b": 2 }));
        assert_eq!(server.compilations(), 0);
        if end_in_order {
            assert!(server.signal("TERM").status.success());
        } else {
            server.kill();
        }
    }
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill_under_load() {
    let directory = TempDir::new().unwrap();
    let next = AtomicUsize::new(0);
    for round in 0..3 {
        let server = start(directory.path(), None);
        let acknowledged: Vec<(String, String)> = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let mut acknowledged = Vec::new();
                        loop {
                            let number = next.fetch_add(1, Ordering::Relaxed);
                            let name = format!("load/{number}");
                            let source = format!("in a: Int\nb = a * 3 + {number}\nout b");
                            let body = json!({ "name": name, "source": source });
                            match server.try_post("/compile", &body) {
                                Ok(answer) if answer.status == 200 => {
                                    let hash = answer.json()["structuralHash"].as_str().unwrap().to_owned();
                                    acknowledged.push((name, hash));
                                }
                                // The server is gone.
                                _ => return acknowledged,
                            }
                        }
                    })
                })
                .collect();
            server.wait_until("enough is published", |_| next.load(Ordering::Relaxed) >= 40 * (round + 1));
            server.send_signal("KILL");
            clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
        });
        assert!(acknowledged.len() >= 20, "only {} were acknowledged", acknowledged.len());
        drop(server);
        let server = start(directory.path(), None);
        for (name, hash) in &acknowledged {
            assert_eq!(server.hash_of(&name.replace('/', "%2F")), *hash, "{name}");
            let number: i64 = name.trim_start_matches("load/").parse().unwrap();
            assert_eq!(server.execute(name, &json!({ "a": 1 })), json!({ "b": 3 + number }), "{name}");
        }
        assert_eq!(server.compilations(), 0);
    }
}

/// The file of an image.
fn file_of(directory: &Path, hash: &str) -> std::path::PathBuf {
    directory.join("store/images").join(format!("{hash}.json"))
}

#[test]
fn a_damaged_image_is_compiled_again_from_its_source() {
    let directory = TempDir::new().unwrap();
    let server = start(directory.path(), None);
    let hash = server.compile("discount", DISCOUNT);
    server.compile("other", "in a: Int\nout a");
    assert!(server.signal("TERM").status.success());
    let path = file_of(directory.path(), &hash);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x20;
    fs::write(&path, bytes).unwrap();

    let server = start(directory.path(), None);
    assert_eq!(server.hash_of("discount"), hash);
    let outputs = server.execute("discount", &json!({ "amountCents": 100 }));
    assert_eq!(outputs["payable"], 100);
    assert_eq!(server.execute(&hash, &json!({ "amountCents": 100 })), outputs);
    assert_eq!(server.compilations(), 1, "only what was damaged");
    assert_eq!(server.execute("other", &json!({ "a": 1 })), json!({ "a": 1 }));
    let quarantined = fs::read_dir(directory.path().join("store/quarantine")).unwrap().count();
    assert!(quarantined >= 1, "the damaged file is kept");
    assert!(server.signal("TERM").status.success());

    let server = start(directory.path(), None);
    assert_eq!(server.execute("discount", &json!({ "amountCents": 100 })), outputs);
    assert_eq!(server.compilations(), 0, "the repair is stored");
}

#[test]
fn a_damaged_image_without_source_is_reported_and_the_server_starts() {
    let directory = TempDir::new().unwrap();
    let server = start(directory.path(), None);
    let hash = server.compile("discount", DISCOUNT);
    server.compile("other", "in a: Int\nout a");
    assert!(server.signal("TERM").status.success());
    fs::write(file_of(directory.path(), &hash), "{").unwrap();
    for entry in fs::read_dir(directory.path().join("store/sources")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }

    let server = start(directory.path(), None);
    assert_eq!(server.execute("other", &json!({ "a": 1 })), json!({ "a": 1 }));
    let answer = server.post("/execute", &json!({ "ref": "discount", "inputs": { "amountCents": 1 } }));
    assert_eq!(answer.status, 500, "{}", answer.text);
    assert_eq!(answer.json()["error"], "PipelineNotLoadable");
    let ready = server.get("/ready?verbose");
    assert_eq!(ready.status, 200);
    assert!(ready.json()["problems"]["discount"].as_str().unwrap().contains("source"), "{}", ready.text);
    // Publishing it anew repairs it.
    assert_eq!(server.compile("discount", DISCOUNT), hash);
    assert_eq!(server.execute("discount", &json!({ "amountCents": 100 }))["payable"], 100);
    assert_eq!(server.get("/ready?verbose").json()["problems"], json!({}));
}

#[test]
fn a_damaged_image_is_compiled_again_from_its_file() {
    let directory = TempDir::new().unwrap();
    let sources = directory.path().join("sources");
    fs::create_dir(&sources).unwrap();
    fs::write(sources.join("discount.cst"), DISCOUNT).unwrap();
    let server = start(directory.path(), Some(&sources));
    let hash = server.hash_of("discount");
    assert!(server.signal("TERM").status.success());
    fs::write(file_of(directory.path(), &hash), "").unwrap();
    fs::remove_dir_all(directory.path().join("store/sources")).unwrap();

    let server = start(directory.path(), Some(&sources));
    assert_eq!(server.hash_of("discount"), hash, "a repair is no new version");
    assert_eq!(server.execute("discount", &json!({ "amountCents": 100 }))["payable"], 100);
    assert_eq!(server.compilations(), 1);
    server.kill();
    let server = start(directory.path(), None);
    assert_eq!(server.execute(&hash, &json!({ "amountCents": 100 }))["payable"], 100);
    assert_eq!(server.compilations(), 0);
}

#[test]
fn a_damaged_image_of_an_older_version_is_compiled_again_too() {
    let directory = TempDir::new().unwrap();
    let server = start(directory.path(), None);
    let older = server.compile("discount", DISCOUNT);
    let newer = server.compile("discount", "in amountCents: Int\nout amountCents");
    assert!(server.signal("TERM").status.success());
    fs::remove_file(file_of(directory.path(), &older)).unwrap();

    let server = start(directory.path(), None);
    assert_eq!(server.hash_of("discount"), newer);
    assert_eq!(server.execute(&older, &json!({ "amountCents": 100 }))["payable"], 100);
    let answer = server.put("/pipelines/discount/alias", &json!({ "structuralHash": older }));
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[test]
fn a_version_document_that_decays_under_a_running_server_is_healed_without_a_restart() {
    let directory = TempDir::new().unwrap();
    let server = start(directory.path(), None);
    let hash = server.compile("discount", DISCOUNT);
    assert!(server.signal("TERM").status.success());
    let server = start(directory.path(), None);
    let path = directory.path().join("store/versions/discount.json");
    let original = fs::read(&path).unwrap();
    let mut damaged = original.clone();
    damaged[original.len() / 2] ^= 1;
    fs::write(&path, &damaged).unwrap();
    server.wait_until("healed", |_| fs::read(&path).unwrap() == original);
    server.wait_until("well", |server| server.get("/ready?verbose").json()["store"]["warnings"] == json!([]));
    assert_eq!(fs::read(directory.path().join("store/quarantine/versions-discount.json")).unwrap(), damaged);
    assert_eq!(server.hash_of("discount"), hash);
    let exited = server.signal("TERM");
    assert!(exited.stderr.contains("'versions/discount.json' is damaged"), "{}", exited.stderr);
    assert!(exited.status.success());
}
