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

        /// Writes the documents that are made from code.
        cmd codegen {
            /// Changes nothing, and fails when one of them is stale.
            optional --check
        }

        /// Builds the server as it is delivered, and leaves it in `target/dist`: optimized by what it does when it works,
        /// so it is built twice, which takes a quarter of an hour or more.
        cmd dist {}

        /// Measures, in a release build.
        cmd bench {
            /// The stores beside rivals: prints a table, and leaves `target/bench/store.json`.
            cmd store {
                /// Smaller counts and fewer rounds, in about a minute or two; the figures say less.
                optional --quick
                /// One case alone: `publish`, `burst`, `open`, `lookup`, `growth` or `alias`.
                optional --only only: String
            }
            /// The compiler on programs of 10 to 10,000 declarations: prints a table, and leaves `target/bench/lang.json`.
            cmd lang {
                /// Fewer rounds; the figures say less.
                optional --quick
            }
            /// Runs of pipelines beside the same work by hand: prints a table, and leaves `target/bench/runtime.json`.
            cmd runtime {
                /// Fewer rounds; the figures say less.
                optional --quick
            }
            /// The server beside axum routes that give the same answers, under load from wrk, which must be installed:
            /// prints a table, and leaves `target/bench/http.json`.
            cmd http {
                /// Smaller counts and fewer rounds; the figures say less.
                optional --quick
            }
        }

        /// Tries crashes and seeded bugs of the file-system store, in a release build; without a flag, both.
        cmd crash {
            /// Every workload of up to three operations, and crashes while recovering from crashes. Goes on where it was
            /// interrupted.
            optional --full
            /// Of those only one part of several, as `2/8`: the second of eight. Together they are all.
            optional --shard shard: String
            /// Which check finds which seeded bug.
            optional --seeded-bugs
        }

        /// Fuzzes the language, the decoder of images and the runtime, in a release build.
        cmd fuzz {
            /// The one target: lexer, parser, checker, image or runtime.
            optional target: String
            /// For how long each target is fuzzed; 60 unless told otherwise.
            optional --seconds seconds: u64
            /// Under cargo-fuzz, which needs a nightly compiler, guided by what is covered.
            optional --nightly
        }

        /// Mutates the code of the stores, and fails when a mutant survives the tests that is not accepted; takes hours.
        cmd mutants {
            /// Only a part of the mutants, as in `0/8`; the first part is 0.
            optional --shard shard: String
            /// Only those of one crate, named as its folder; may be repeated.
            repeated -p, --package name: String
        }

        /// Checks the rules of the workspace that the compiler does not know.
        cmd tidy {}
    }
}
