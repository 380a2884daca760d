//! The conformance suite: what [`PipelineStore`] promises, as test cases that every backend runs.
//!
//! A backend says how it is opened ([`Backend`]) and runs the suite from a test target without the usual harness:
//!
//! ```toml
//! [[test]]
//! name = "conformance"
//! harness = false
//! ```
//!
//! ```no_run
//! # mod map_store {
//! #     use std::sync::Arc;
//! #     #[derive(Default)]
//! #     pub struct Database;
//! #     impl Database {
//! #         pub fn store(&self, _: &str) -> Arc<dyn constellation_store_core::PipelineStore> {
//! #             unimplemented!()
//! #         }
//! #     }
//! # }
//! use std::process::ExitCode;
//! use std::sync::Arc;
//!
//! use constellation_store_core::PipelineStore;
//! use constellation_store_core::conformance::{Backend, run};
//! use futures_util::FutureExt;
//! use futures_util::future::BoxFuture;
//! use map_store::Database;
//!
//! struct Maps(Database);
//!
//! impl Backend for Maps {
//!     fn open<'a>(&'a self, place: &'a str) -> BoxFuture<'a, Arc<dyn PipelineStore>> {
//!         Box::pin(async move { Arc::new(self.0.store(place)) as Arc<dyn PipelineStore> })
//!     }
//!
//!     fn keeps_content(&self) -> bool {
//!         true
//!     }
//!
//!     fn block_on(&self, future: BoxFuture<'_, ()>) {
//!         future.now_or_never().expect("the store never waits");
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     run(Maps(Database::default()))
//! }
//! ```
//!
//! This is `examples/downstream/map-store`, a backend of a few hundred lines outside of this workspace.
//!
//! `docs/store-contract.md` maps each promise of the contract to the cases that check it.
//!
//! A case fails by panicking. No case sleeps or depends on the time, and each has a store of its own.

#![expect(clippy::unwrap_used, reason = "a case fails by panicking")]

mod commits;
mod concurrency;
mod content;
mod convenience;
mod fixtures;
mod listings;
mod model;
mod names;
mod random;
mod reads;
mod reopening;
mod rules;

use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use libtest_mimic::{Arguments, Trial};

use crate::PipelineStore;

/// How the suite gets stores of a backend.
pub trait Backend: Send + Sync + 'static {
    /// Opens the store at a place. The first time it is empty. When it is opened again, after the one before was
    /// dropped, closed or not, it has the same content, if the backend keeps any. Places are short ASCII words;
    /// each case has one of its own.
    ///
    /// # Panics
    ///
    /// When it cannot be opened.
    fn open<'a>(&'a self, place: &'a str) -> BoxFuture<'a, Arc<dyn PipelineStore>>;

    /// Whether the content of a store outlives it. If not, the cases that open a store again are left out.
    fn keeps_content(&self) -> bool;

    /// Runs a future to its end on this thread, with whatever the backend's futures need around them. It is also
    /// called from several threads at once, and from within other calls of its own on other threads.
    fn block_on(&self, future: BoxFuture<'_, ()>);
}

/// A case of the suite.
#[derive(Clone, Copy)]
pub struct Case {
    name: &'static str,
    body: Body,
}

#[derive(Clone, Copy)]
enum Body {
    /// Needs a store.
    Store(fn(Store) -> BoxFuture<'static, ()>),
    /// Needs a store that several threads use.
    Threads(fn(&dyn Backend, &Store)),
    /// Needs to open a store again.
    Place(fn(Place) -> BoxFuture<'static, ()>),
}

type Store = Arc<dyn PipelineStore>;

/// A place with a store that can be opened, closed and opened again.
#[derive(Clone)]
struct Place {
    backend: Arc<dyn Backend>,
    place: String,
}

impl Place {
    async fn open(&self) -> Store {
        self.backend.open(&self.place).await
    }
}

impl Case {
    /// The rule that the case checks, as a sentence with underscores.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether the case opens a store again, and so needs a backend that keeps content.
    pub fn reopens(&self) -> bool {
        matches!(self.body, Body::Place(_))
    }

    /// Runs the case, which panics if the rule is broken.
    pub fn run(&self, backend: &Arc<dyn Backend>) {
        match self.body {
            Body::Store(body) => backend.block_on(Box::pin(async {
                body(backend.open(self.name).await).await;
            })),
            Body::Threads(body) => {
                let mut store = None;
                backend.block_on(Box::pin(async {
                    store = Some(backend.open(self.name).await);
                }));
                body(&**backend, &store.unwrap());
            }
            Body::Place(body) => {
                let place = Place { backend: Arc::clone(backend), place: self.name.to_owned() };
                backend.block_on(body(place));
            }
        }
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, body: _ } = self;
        f.debug_tuple("Case").field(name).finish()
    }
}

/// All cases.
pub fn cases() -> Vec<Case> {
    let modules = [
        rules::cases(),
        commits::cases(),
        reads::cases(),
        listings::cases(),
        names::cases(),
        convenience::cases(),
        concurrency::cases(),
        random::cases(),
        reopening::cases(),
    ];
    modules.concat()
}

/// Runs the suite as a test binary, with the usual arguments of one.
pub fn run(backend: impl Backend) -> ExitCode {
    let arguments = Arguments::from_args();
    let backend: Arc<dyn Backend> = Arc::new(backend);
    let keeps_content = backend.keeps_content();
    let trials = cases().into_iter().filter(|case| keeps_content || !case.reopens()).map(|case| {
        let backend = Arc::clone(&backend);
        Trial::test(case.name(), move || {
            case.run(&backend);
            Ok(())
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// Lists the cases of a module, each an `async fn` over a `Store` (or, with `Threads` or `Place` before the list,
/// what that body needs). A function that is not listed is dead code, and does not pass the lints.
macro_rules! case_list {
    ($($name:ident),* $(,)?) => {
        case_list!(Store: |store| $($name),*);
    };
    (Place: $($name:ident),* $(,)?) => {
        case_list!(Place: |place| $($name),*);
    };
    (Threads: $($name:ident),* $(,)?) => {
        pub(super) fn cases() -> Vec<$crate::conformance::Case> {
            vec![$($crate::conformance::Case {
                name: stringify!($name),
                body: $crate::conformance::Body::Threads($name),
            }),*]
        }
    };
    ($body:ident: |$argument:ident| $($name:ident),*) => {
        pub(super) fn cases() -> Vec<$crate::conformance::Case> {
            vec![$($crate::conformance::Case {
                name: stringify!($name),
                body: $crate::conformance::Body::$body(|$argument| Box::pin($name($argument))),
            }),*]
        }
    };
}

use case_list;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::cases;

    const DOCUMENT: &str = include_str!("../../../docs/store-contract.md");
    /// Under this heading are the promises without a case.
    const UNTESTABLE: &str = "## What no case can bring about";

    /// The sentences of the doc comments of a source, without their full stops and links.
    fn sentences(source: &str) -> Vec<String> {
        let mut paragraphs = vec![String::new()];
        for line in source.lines() {
            let text = line.trim().strip_prefix("///").map_or("", str::trim);
            let number_ends = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(0);
            let (number, after) = text.split_at(number_ends);
            let item = text.strip_prefix("* ");
            let item = item.or_else(|| after.strip_prefix(". ").filter(|_| !number.is_empty()));
            if text.is_empty() || text.starts_with('#') || item.is_some() {
                paragraphs.push(String::new());
            }
            let text = if text.starts_with('#') { "" } else { item.unwrap_or(text) };
            let paragraph = paragraphs.last_mut().unwrap();
            if !paragraph.is_empty() {
                paragraph.push(' ');
            }
            paragraph.push_str(text);
        }
        let mut sentences = Vec::new();
        for paragraph in paragraphs {
            let paragraph = without_links(&paragraph);
            let mut rest = paragraph.trim();
            while let Some(end) = rest.match_indices(". ").map(|(end, _)| end).find(|end| {
                rest[end + 2..].starts_with(|next: char| next.is_ascii_uppercase() || next == '`')
            }) {
                sentences.push(rest[..end].to_owned());
                rest = &rest[end + 2..];
            }
            sentences.push(rest.trim_end_matches('.').to_owned());
        }
        sentences.retain(|sentence| !sentence.is_empty());
        sentences
    }

    /// The text with `[this](there)` and `[this]` as `this`.
    fn without_links(text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('[')
            && let Some((label, after)) = after.split_once(']')
        {
            out += before;
            out += label;
            rest = after.strip_prefix('(').and_then(|target| target.split_once(')')).map_or(after, |it| it.1);
        }
        out + rest
    }

    /// The rows of all tables: a promise and what stands beside it.
    fn rows(document: &str) -> impl Iterator<Item = (&str, &str)> {
        let rows = document.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
        rows.filter_map(|row| row.split_once(" | ")).filter(|(promise, _)| *promise != "promise")
    }

    /// What is wrong with a document, given the sentences that must be in it, those that may be, and the cases.
    fn problems(
        document: &str,
        required: &BTreeSet<String>,
        known: &BTreeSet<String>,
        cases: &BTreeSet<&str>,
    ) -> Vec<String> {
        let (tested, untestable) = document.split_once(UNTESTABLE).unwrap_or((document, ""));
        let mut problems = Vec::new();
        let mut promised = BTreeSet::new();
        let mut checked = BTreeSet::new();
        for (promise, beside) in rows(tested) {
            let named: Vec<&str> = beside.split('`').skip(1).step_by(2).collect();
            if named.is_empty() {
                problems.push(format!("no case checks: {promise}"));
            }
            let unknown = named.iter().filter(|case| !cases.contains(*case));
            problems.extend(unknown.map(|case| format!("there is no case {case}")));
            checked.extend(named);
            promised.insert(promise);
        }
        for (promise, _) in rows(untestable) {
            if !promised.insert(promise) {
                problems.push(format!("a case checks it, or it stands there twice: {promise}"));
            }
        }
        let is_promised = |sentence: &&String| !promised.contains(sentence.as_str());
        problems.extend(required.iter().filter(is_promised).map(|sentence| format!("no row: {sentence}")));
        let is_invented = |promise: &&&str| !known.contains(**promise);
        problems
            .extend(promised.iter().filter(is_invented).map(|promise| format!("nobody promises: {promise}")));
        problems.extend(cases.difference(&checked).map(|case| format!("{case} checks no promise")));
        problems
    }

    /// The sentences of the contract, and those of all that cases may be about.
    fn promises() -> (BTreeSet<String>, BTreeSet<String>) {
        let store = include_str!("store.rs");
        let start = store.find("/// 1. ").expect("the rules are numbered");
        let end = store.find("async fn close").expect("the last method");
        let sources = [store, include_str!("commit.rs"), include_str!("ext.rs")];
        let known = sources.into_iter().flat_map(sentences).collect();
        (sentences(&store[start..end]).into_iter().collect(), known)
    }

    #[test]
    fn every_promise_of_the_contract_has_a_case_and_every_case_a_promise() {
        let (required, known) = promises();
        assert!(required.len() > 30, "{required:#?}");
        let cases = cases().iter().map(super::Case::name).collect();
        let problems = problems(DOCUMENT, &required, &known, &cases);
        assert!(problems.is_empty(), "docs/store-contract.md:\n{}", problems.join("\n"));
    }

    #[test]
    fn each_gap_between_contract_cases_and_table_is_noticed() {
        let source = "/// 1. It keeps\n///    [all](there) of it. `Corrupt` never.\n///\n/// # Errors\n///\n/// * None.";
        let required: BTreeSet<String> = sentences(source).into_iter().collect();
        let expected = ["It keeps all of it", "None", "`Corrupt` never"].map(str::to_owned);
        assert_eq!(required, expected.into_iter().collect());
        let cases = BTreeSet::from(["a", "b"]);
        let told = |document: &str| problems(document, &required, &required, &cases).join("; ");
        let whole = format!(
            "| promise | cases |\n|---|---|\n| It keeps all of it | `a`, `b` |\n| None | `a` |\n{UNTESTABLE}\n\
             | `Corrupt` never | bytes |"
        );
        assert_eq!(told(&whole), "");
        for (from, to, problem) in [
            ("| None | `a` |\n", "", "no row: None"),
            ("| None | `a` |", "| None | later |", "no case checks: None"),
            ("`a`, `b`", "`a`", "b checks no promise"),
            ("| None | `a` |", "| None | `c` |", "there is no case c"),
            ("| None |", "| Nothing |", "no row: None; nobody promises: Nothing"),
            ("| `Corrupt` never | bytes |", "", "no row: `Corrupt` never"),
            ("| None | `a` |", "| None | `a` |\n| `Corrupt` never | `a` |", "a case checks it, or it stands"),
        ] {
            let changed = whole.replacen(from, to, 1);
            assert_ne!(changed, whole);
            assert!(told(&changed).contains(problem), "{problem}: {}", told(&changed));
        }
    }
}
