//! Room on the stack for walks that are as deep as a program may nest.

/// What the deepest program that is within the bounds needs, with some to spare. Frames are several times larger in
/// a build without optimisation.
const NEEDED: usize = if cfg!(debug_assertions) { 6 << 20 } else { 3 << 19 };

/// Runs `walk` where it has room: on the stack at hand, or on a new one if that has too little left.
///
/// So no caller has to know how large its stack is, and a thread of 2 MiB, which is usual, needs no second one in a
/// release build.
pub(crate) fn with_room<T>(walk: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(NEEDED, NEEDED + (1 << 16), walk)
}
