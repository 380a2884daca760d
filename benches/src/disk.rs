//! The disk that all contenders share.

/// Waits until the disk has everything, so that no contender writes what is left of the one before: some of them leave
/// much, and `syncfs` waits for all of it.
pub fn start_clean() {
    rustix::fs::sync();
}
