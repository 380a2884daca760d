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

    #[test]
    fn every_case_checks_a_promise_of_the_contract_and_every_case_named_there_exists() {
        let document = include_str!("../../../docs/store-contract.md");
        let rows = document.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
        let named: Vec<_> = rows.flat_map(|(_, cases)| cases.split('`').skip(1).step_by(2)).collect();
        let unique: BTreeSet<_> = named.iter().copied().collect();
        assert_eq!(named.len(), unique.len(), "each case is in one row");
        assert_eq!(unique, cases().iter().map(super::Case::name).collect());
    }
}
