//! Prints `docs/openapi.json`; run by `cargo xtask codegen`.
#![expect(clippy::print_stdout, reason = "the document is what it is for")]

fn main() {
    println!("{}", constellation_server::openapi());
}
