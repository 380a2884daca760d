//! Writes `docs/errors.md` to standard output, for `cargo xtask codegen`.

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(constellation_lang::error_reference().as_bytes())
}
