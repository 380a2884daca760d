//! `constellation config ...`: the configuration, shown and checked.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use constellation_server::hash_api_key;
use serde_json::{Value, json};

use super::{Flags, Resolved, StoreConfig, check, read};
use crate::args::ConfigCommand;
use crate::config::settings::SETTINGS;
use crate::logging;
use crate::store::{check_directory, print, table, warn};

/// The server would not start.
const FOUND: u8 = 1;
/// It could not be done.
pub(crate) const FAILED: u8 = 2;

/// `unknown` says what is wrong with variables that are no settings.
pub(crate) fn run(
    command: ConfigCommand,
    variable: impl Fn(&str) -> Option<OsString>,
    unknown: &[String],
) -> ExitCode {
    if !matches!(command, ConfigCommand::HashKey) {
        for text in unknown {
            warn(text);
        }
    }
    let answer = match command {
        ConfigCommand::Show { flags, json } => read(SETTINGS, &flags, variable)
            .map(|resolved| show(&resolved, json))
            .map_err(|error| (FAILED, error)),
        ConfigCommand::Check { flags } => check_all(&flags, variable).map_err(|error| (FOUND, error)),
        ConfigCommand::HashKey => hash_key().map_err(|error| (FAILED, error)),
    };
    match answer {
        Ok(text) => print(0, &text),
        Err((code, error)) => {
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::from(code)
        }
    }
}

fn show(resolved: &Resolved, as_json: bool) -> String {
    if as_json {
        let settings: Vec<Value> = SETTINGS
            .iter()
            .map(|setting| {
                let origin = resolved.origin(setting.key);
                json!({
                    "key": setting.key,
                    "value": setting.show(&resolved.values),
                    "origin": origin.kind(),
                    "from": origin.to_string(),
                })
            })
            .collect();
        return format!("{:#}\n", json!({ "settings": settings }));
    }
    let mut rows = vec![["SETTING", "VALUE", "FROM"].map(str::to_owned).to_vec()];
    rows.extend(SETTINGS.iter().map(|setting| {
        let value = setting.show(&resolved.values);
        let value = if value.is_empty() { "-".to_owned() } else { value };
        vec![setting.key.to_owned(), value, resolved.origin(setting.key).to_string()]
    }));
    table(&rows)
}

/// What `serve` checks before it starts, and whether the store could be one.
fn check_all(flags: &Flags, variable: impl Fn(&str) -> Option<OsString>) -> anyhow::Result<String> {
    let config = check(read(SETTINGS, flags, variable)?)?;
    logging::filter(logging::SERVE_LEVEL)?;
    let mut text = format!("the server would start, and listen on {}\n", config.listen);
    if let StoreConfig::Directory(directory) = &config.store
        && !check_directory(directory)?
    {
        writeln!(text, "it would make a new store: there is none in '{}'", directory.display())?;
    }
    Ok(text)
}

fn hash_key() -> anyhow::Result<String> {
    let mut key = String::new();
    // Longer than any key, and an end for who pipes in something else.
    io::stdin()
        .take(64 * 1024)
        .read_to_string(&mut key)
        .context("cannot read the key from standard input")?;
    Ok(format!("{}\n", hash_api_key(key.trim_end_matches(['\r', '\n']))?))
}
