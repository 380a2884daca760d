//! Work from which a compiler learns what the server does often: `cargo xtask dist` has it done by a server that counts.
//!
//! What was never done is taken to be done never, and is made small instead of fast. So all that matters is done here:
//! requests, every function of the library, every example, openings of stores of both kinds, and checking one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context as _, anyhow, ensure};
use serde_json::{Value, json};

use crate::connection::{Connection, get, host_of, post};
use crate::process::Serving;
use crate::{Settings, programs, rates};

/// Requests of each kind that are made often.
const N_REQUESTS: u64 = 20_000;
/// New programs.
const N_PROGRAMS: u64 = 4_000;
/// How often each example is run.
const N_RUNS: u64 = 100;
const CONNECTIONS: usize = 16;

/// Has the server, and the floor beside it, work.
pub(crate) fn train(settings: &Settings, examples: &Path) -> anyhow::Result<()> {
    let both = rates::start(settings)?;
    for serving in [&both.server, &both.floor] {
        requests(serving)?;
    }
    library(&both.server)?;
    pipelines(&both.server, examples)?;
    let store = both.store;
    both.floor.stop()?;
    both.server.stop()?;
    openings(settings, &store)
}

/// The requests that are measured.
fn requests(serving: &Serving) -> anyhow::Result<()> {
    let host = host_of(&serving.url)?;
    let pipeline = get(host, &format!("/pipelines/{}", programs::NAME));
    for request in
        [post(host, "/execute", &programs::execution()), post(host, "/run", &programs::run()), pipeline]
    {
        all(host, N_REQUESTS, |_| request.clone())?;
    }
    all(host, N_PROGRAMS, |number| {
        let (name, source) = programs::numbered(number);
        post(host, "/compile", &json!({ "source": source, "name": name }).to_string())
    })
}

/// The examples of all functions.
fn library(server: &Serving) -> anyhow::Result<()> {
    let host = host_of(&server.url)?;
    for module in constellation_stdlib::registry().iter() {
        for example in &module.spec().examples {
            let source = format!("value = {}\nout value\n", example.expression);
            let request = post(host, "/run", &json!({ "source": source, "inputs": {} }).to_string());
            all(host, N_RUNS, |_| request.clone())?;
        }
    }
    Ok(())
}

/// The example pipelines, each with its inputs.
fn pipelines(server: &Serving, examples: &Path) -> anyhow::Result<()> {
    let host = host_of(&server.url)?;
    let mut connection = Connection::open(host)?;
    let mut n_run = 0;
    for entry in examples.read_dir().with_context(|| format!("listing {}", examples.display()))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "cst") {
            continue;
        }
        let name = path.file_stem().context("it has a name")?.to_string_lossy().into_owned();
        let source = std::fs::read_to_string(&path)?;
        connection.ask(&post(host, "/compile", &json!({ "source": source, "name": name }).to_string()))?;
        let runs: Vec<Value> = serde_json::from_slice(&std::fs::read(path.with_extension("examples.json"))?)?;
        for run in runs {
            let request =
                post(host, "/execute", &json!({ "ref": name, "inputs": run["inputs"] }).to_string());
            all(host, N_RUNS, |_| request.clone())?;
            n_run += 1;
        }
    }
    ensure!(n_run > 0, "there are no examples in {}", examples.display());
    all(host, N_RUNS, |_| get(host, "/pipelines?limit=100"))
}

/// Opens a store with its catalogue, from its JSON files alone, and checks it.
fn openings(settings: &Settings, store: &Path) -> anyhow::Result<()> {
    for _ in 0..3 {
        let server = Serving::server(settings, store)?;
        let host = host_of(&server.url)?;
        all(host, N_RUNS, |number| {
            get(host, &format!("/pipelines/{}", programs::numbered(number).0.replace('/', "%2F")))
        })?;
        server.stop()?;
        std::fs::remove_dir_all(store.join("pack")).context("removing the catalogue")?;
    }
    let copy = settings.new_store();
    // Beside the stores, which are removed before and after.
    let archive: PathBuf = copy.with_extension("tar");
    for (command, argument, store) in
        [("verify", None, store), ("export", Some(&archive), store), ("import", Some(&archive), &copy)]
    {
        let mut command_line = Command::new(&settings.binary);
        command_line.args(["store", command, "--store"]).arg(store).args(argument);
        let output = command_line.output().with_context(|| format!("starting {command_line:?}"))?;
        ensure!(output.status.success(), "{command_line:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Makes requests over several connections. One that is refused would teach nothing, so it is an error.
fn all(host: &str, n_requests: u64, request: impl Fn(u64) -> Vec<u8> + Sync) -> anyhow::Result<()> {
    let request = &request;
    thread::scope(|scope| {
        let connect = |first| {
            scope.spawn(move || -> anyhow::Result<()> {
                let mut connection = Connection::open(host)?;
                for number in (first..n_requests).step_by(CONNECTIONS) {
                    let request = request(number);
                    let status = connection.ask(&request)?;
                    ensure!(status == 200, "{status} is the answer to {}", String::from_utf8_lossy(&request));
                }
                Ok(())
            })
        };
        let threads: Vec<_> = (0..).take(CONNECTIONS).map(connect).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| anyhow!("a connection panicked"))?)
    })
}
