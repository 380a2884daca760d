//! Command line of `cargo xtask`.

use std::ffi::OsString;

xflags::xflags! {
    /// Developer commands of the Constellation workspace.
    cmd xtask {
        /// Runs all tests: the workspace against the real binary, then each crate alone.
        cmd test {
            /// Passed on to `cargo test`; put flags after `--`. With any, crates are not checked alone.
            repeated args: OsString
        }

        /// Checks formatting, clippy, documentation and tidy; changes nothing.
        cmd lint {}

        /// Checks the rules of the workspace that the compiler does not know.
        cmd tidy {}
    }
}
