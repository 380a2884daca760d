//! What clients asked for and what they were told, to compare a store with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use serde_json::{Value, json};

use crate::{Answer, Server};

/// Everything that was asked of a store over its life, through however many servers.
///
/// Each publish is of a program of its own, which tells its number when it runs. Names are single words.
#[derive(Debug, Default)]
pub struct History {
    known: Mutex<Known>,
    /// How long the sources are made by a comment.
    padding: usize,
}

#[derive(Debug, Default, Clone)]
struct Known {
    next_program: u64,
    /// Hashes by program, of those that were acknowledged.
    hashes: BTreeMap<u64, String>,
    /// Those of them that ran since.
    seen: BTreeSet<u64>,
    names: BTreeMap<String, Name>,
}

#[derive(Debug, Default, Clone)]
pub(crate) struct Name {
    /// Programs by version, as acknowledged.
    pub(crate) acknowledged: BTreeMap<u64, u64>,
    /// Programs of requests that nobody knows the outcome of.
    pub(crate) open: Vec<u64>,
}

impl Name {
    pub(crate) fn last(&self) -> u64 {
        self.acknowledged.last_key_value().map_or(0, |(version, _)| *version)
    }
}

/// What a client was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It is done.
    Acknowledged,
    /// It is not done, or in the case of `OutcomeUnknown` perhaps.
    Refused {
        /// Of the answer.
        status: u16,
        /// The `error` of the answer.
        code: String,
    },
    /// There was no answer.
    Nothing,
}

impl Told {
    /// The code of a refusal, or else how it was.
    pub fn code(&self) -> &str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Refused { status: _, code } => code,
            Self::Nothing => "nothing",
        }
    }
}

impl Clone for History {
    fn clone(&self) -> Self {
        Self { known: Mutex::new(self.known().clone()), padding: self.padding }
    }
}

impl History {
    /// Of a store that is new.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with sources of about so many bytes.
    pub fn with_source_bytes(bytes: usize) -> Self {
        Self { padding: bytes, ..Self::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many changes were acknowledged.
    pub fn n_acknowledged(&self) -> usize {
        self.known().names.values().map(|name| name.acknowledged.len()).sum()
    }

    pub(crate) fn names(&self) -> BTreeMap<String, Name> {
        self.known().names.clone()
    }

    pub(crate) fn hash_of(&self, program: u64) -> Option<String> {
        self.known().hashes.get(&program).cloned()
    }

    /// Publishes a new program under a name.
    ///
    /// # Panics
    ///
    /// When the answer breaks a promise.
    pub fn publish(&self, server: &Server, name: &str) -> Told {
        let (program, last) = {
            let mut known = self.known();
            known.next_program += 1;
            (known.next_program, known.names.entry(name.to_owned()).or_default().last())
        };
        let body = json!({ "name": name, "source": source_of(program, self.padding) });
        self.note(name, program, last, server.try_post("/compile", &body))
    }

    /// Points a name to an older program of its own.
    ///
    /// # Panics
    ///
    /// When the answer breaks a promise, or nothing was published under it yet.
    pub fn repoint(&self, server: &Server, name: &str) -> Told {
        let (program, hash, last) = {
            let known = self.known();
            let last = known.names[name].last();
            let program = known.names[name].acknowledged.first_key_value().map(|(_, program)| *program);
            let program = program.expect("something was published");
            (program, known.hashes[&program].clone(), last)
        };
        let body = json!({ "structuralHash": hash });
        self.note(name, program, last, server.try_put(&format!("/pipelines/{name}/alias"), &body))
    }

    fn note(&self, name: &str, program: u64, last: u64, answer: anyhow::Result<Answer>) -> Told {
        let mut known = self.known();
        let known = &mut *known;
        let entry = known.names.get_mut(name).expect("it was made when it was first published");
        let Ok(answer) = answer else {
            entry.open.push(program);
            return Told::Nothing;
        };
        if answer.status != 200 {
            let body = answer.json();
            let code = body["error"].as_str().unwrap_or_default().to_owned();
            match (answer.status, code.as_str()) {
                (503, "OutcomeUnknown") => entry.open.push(program),
                (503, "Unavailable" | "ReadOnly") | (507, "StorageFull") => {}
                _ => panic!("{name}: {} {}", answer.status, answer.text),
            }
            return Told::Refused { status: answer.status, code };
        }
        let body = answer.json();
        let hash = body["structuralHash"].as_str().expect("a hash").to_owned();
        let version = answer.version.expect("a name has a version");
        if body["changed"] == false {
            // An answer that was lost had it done already.
            let is_known = entry.acknowledged.get(&version) == Some(&program);
            assert!(is_known || entry.open.contains(&program), "{name}: {}", answer.text);
            return Told::Acknowledged;
        }
        assert!(version > last, "{name} went back from version {last} to {version}");
        let taken = entry.acknowledged.insert(version, program);
        assert_eq!(taken, None, "{name} has version {version} twice");
        let before = known.hashes.insert(program, hash.clone());
        assert!(before.is_none_or(|before| before == hash), "program {program} changed its hash");
        Told::Acknowledged
    }

    /// Compares what a server serves: every name is where it was put last, or where a request put it whose outcome
    /// nobody knows; what was acknowledged runs, and tells that it is the right program.
    ///
    /// # Panics
    ///
    /// When something is not as it was acknowledged.
    pub fn check_server(&self, server: &Server) {
        let mut known = self.known();
        let known = &mut *known;
        for (name, entry) in &known.names {
            let answer = server.get(&format!("/pipelines/{name}"));
            if answer.status == 404 {
                assert_eq!(entry.last(), 0, "{name} is lost: {}", answer.text);
                continue;
            }
            assert_eq!(answer.status, 200, "{name}: {}", answer.text);
            let version = answer.version.expect("a name has a version");
            let hash = answer.json()["structuralHash"].as_str().expect("a hash").to_owned();
            assert!(version >= entry.last(), "{name} is at {version}, was at {}", entry.last());
            let program = run(server, name);
            assert_eq!(run(server, &hash), program, "{name} by hash");
            if let Some(expected) = entry.acknowledged.get(&version) {
                assert_eq!(program, *expected, "{name} at version {version}");
                assert_eq!(hash, known.hashes[expected], "{name} at version {version}");
            } else {
                assert!(entry.open.contains(&program), "{name} runs {program}, which was refused");
                let n_more = usize::try_from(version - entry.last()).expect("a few");
                assert!(n_more <= entry.open.len(), "{name} is at {version} after {}", entry.last());
            }
        }
        for (program, hash) in &known.hashes {
            if known.seen.insert(*program) {
                assert_eq!(run(server, hash), *program, "{hash}");
            }
        }
    }

    /// Lets clients publish and re-point names from several threads, and does something to the server meanwhile. The
    /// clients stop when they get no answer, or, when the server `goes_on`, as soon as that is done.
    ///
    /// # Panics
    ///
    /// When an answer breaks a promise.
    pub fn under_load<T>(
        &self,
        server: &Server,
        n_clients: usize,
        goes_on: bool,
        disturb: impl FnOnce() -> T,
    ) -> T {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for client in 0..n_clients {
                let is_over = &is_over;
                scope.spawn(move || {
                    let own = format!("client-{client}");
                    for round in 1_usize.. {
                        let told = match round % 4 {
                            0 => self.repoint_if_published(server, &own),
                            2 => self.publish(server, "shared"),
                            _ => self.publish(server, &own),
                        };
                        if told == Told::Nothing || is_over.load(Ordering::Relaxed) {
                            return;
                        }
                    }
                });
            }
            // Also when it panics, or the clients would go on for ever.
            let _stop = Stop { is_over: &is_over, goes_on };
            disturb()
        })
    }

    fn repoint_if_published(&self, server: &Server, name: &str) -> Told {
        let is_published = self.known().names.get(name).is_some_and(|name| name.last() > 0);
        if is_published { self.repoint(server, name) } else { self.publish(server, name) }
    }
}

struct Stop<'a> {
    is_over: &'a AtomicBool,
    goes_on: bool,
}

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        if self.goes_on || thread::panicking() {
            self.is_over.store(true, Ordering::Relaxed);
        }
    }
}

fn source_of(program: u64, padding: usize) -> String {
    format!("in a: Int\nb = a * 3 + {program}\nout b # {}\n", "x".repeat(padding))
}

/// The program that a source is of.
pub(crate) fn program_of(source: &str) -> Option<u64> {
    source.split_once("a * 3 + ")?.1.split_once('\n')?.0.parse().ok()
}

/// The program that a reference leads to.
fn run(server: &Server, reference: &str) -> u64 {
    let outputs: Value = server.execute(reference, &json!({ "a": 1 }));
    outputs["b"].as_u64().expect("a number") - 3
}
