//! What the tests can be told.

/// Makes the long form of the tests run.
const NIGHTLY_VARIABLE: &str = "CONSTELLATION_NIGHTLY";
/// Repeats the chance of a run.
pub(crate) const SEED_VARIABLE: &str = "CONSTELLATION_SEED";

pub(crate) fn is_nightly() -> bool {
    std::env::var_os(NIGHTLY_VARIABLE).is_some_and(|value| !value.is_empty())
}

/// The seed that was given.
pub(crate) fn given_seed() -> Option<u64> {
    std::env::var(SEED_VARIABLE).ok().map(|seed| seed.parse().expect("a seed is a number"))
}

/// Chance that can be repeated: the seed is told, and may be given.
#[expect(clippy::print_stderr, reason = "whoever reads of a failure needs the seed")]
pub(crate) fn chance() -> fastrand::Rng {
    let seed = given_seed().unwrap_or_else(|| fastrand::u64(..));
    eprintln!("{SEED_VARIABLE}={seed}");
    fastrand::Rng::with_seed(seed)
}
