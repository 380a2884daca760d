//! Arguments and environment to one checked configuration: options win over the environment.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context as _, bail};
use constellation_server::{AliasStrategy, LoaderConfig, check_address};

use crate::args::{LogFormat, ServeArgs};

const DEFAULT_STORE: &str = ".constellation-store";
const DEFAULT_PORT: u16 = 8080;

/// Everything that serving needs to know.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) store: StoreConfig,
    pub(crate) loader: Option<LoaderConfig>,
    pub(crate) demo_modules: bool,
    pub(crate) listen: SocketAddr,
    pub(crate) insecure: bool,
    pub(crate) log_format: LogFormat,
}

/// Where pipelines are kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum StoreConfig {
    Memory,
    Directory(PathBuf),
}

/// Resolves and checks the configuration. A variable that is set to nothing counts as not set.
pub(crate) fn resolve(
    args: ServeArgs,
    variable: impl Fn(&str) -> Option<OsString>,
) -> anyhow::Result<Config> {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    let ServeArgs {
        store,
        memory,
        pipelines,
        recursive,
        fail_on_error,
        alias_strategy,
        demo_modules,
        listen,
        insecure,
        log_format,
    } = args;
    let store =
        if memory { StoreConfig::Memory } else { StoreConfig::Directory(store_directory(store, variable)?) };

    // Checked also when no directory is given: a value that is wrong is wrong.
    let variable_strategy: Option<AliasStrategy> =
        parsed("CONSTELLATION_PIPELINE_ALIAS_STRATEGY", &variable)?;
    let variable_recursive = switch("CONSTELLATION_PIPELINE_RECURSIVE", &variable)?;
    let variable_fail_on_error = switch("CONSTELLATION_PIPELINE_FAIL_ON_ERROR", &variable)?;
    let directory = pipelines.or_else(|| variable("CONSTELLATION_PIPELINE_DIR").map(PathBuf::from));
    let loader = if let Some(directory) = directory {
        let config = LoaderConfig {
            directory,
            recursive: recursive.or(variable_recursive).unwrap_or(false),
            fail_on_error: fail_on_error.or(variable_fail_on_error).unwrap_or(false),
            alias_strategy: alias_strategy.or(variable_strategy).unwrap_or_default(),
        };
        config.check()?;
        Some(config)
    } else {
        let options = [
            ("--recursive", recursive.is_some()),
            ("--fail-on-error", fail_on_error.is_some()),
            ("--alias-strategy", alias_strategy.is_some()),
        ];
        if let Some((option, _)) = options.into_iter().find(|(_, given)| *given) {
            bail!("{option} has no effect without --pipelines DIR");
        }
        None
    };

    let demo_modules = has_demo_modules(demo_modules, variable)?;
    let listen = if let Some(text) = listen {
        address(&text).context("--listen")?
    } else if let Some(text) = text("CONSTELLATION_LISTEN", &variable)? {
        address(&text).context("CONSTELLATION_LISTEN")?
    } else {
        let port: Option<u16> = parsed("CONSTELLATION_PORT", &variable)?;
        SocketAddr::from((Ipv4Addr::LOCALHOST, port.unwrap_or(DEFAULT_PORT)))
    };
    check_address(listen, insecure)?;
    Ok(Config { store, loader, demo_modules, listen, insecure, log_format })
}

/// The directory of the store. A variable that is set to nothing counts as not set.
pub(crate) fn store_directory(
    option: Option<PathBuf>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> anyhow::Result<PathBuf> {
    let from_variable = || variable("CONSTELLATION_STORE").filter(|value| !value.is_empty());
    let directory = option.or_else(|| from_variable().map(PathBuf::from));
    let directory = directory.unwrap_or_else(|| DEFAULT_STORE.into());
    if directory.as_os_str().is_empty() {
        bail!("--store needs a directory");
    }
    Ok(directory)
}

/// Whether pipelines can call the demonstration modules. A variable that is set to nothing counts as not set.
pub(crate) fn has_demo_modules(
    option: Option<bool>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> anyhow::Result<bool> {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    // Checked also when the option wins: a value that is wrong is wrong.
    let from_variable = switch("CONSTELLATION_DEMO_MODULES", &variable)?;
    Ok(option.or(from_variable).unwrap_or(false))
}

/// An address to listen on. Names are not looked up, but for the one that everybody types.
fn address(text: &str) -> anyhow::Result<SocketAddr> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("{}:{port}", Ipv4Addr::LOCALHOST),
        None => text.to_owned(),
    };
    numeric.parse().with_context(|| format!("'{text}' is not an address with a port, such as 127.0.0.1:8080"))
}

fn text(name: &str, variable: &impl Fn(&str) -> Option<OsString>) -> anyhow::Result<Option<String>> {
    let value = variable(name).map(OsString::into_string).transpose();
    value.map_err(|_| anyhow::anyhow!("{name} is not UTF-8"))
}

fn parsed<T: FromStr>(name: &str, variable: &impl Fn(&str) -> Option<OsString>) -> anyhow::Result<Option<T>>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let value = text(name, variable)?;
    value.map(|text| text.parse().with_context(|| format!("{name} is '{text}'"))).transpose()
}

/// A variable that is on or off, in the spellings of the reference implementation and their opposites.
fn switch(name: &str, variable: &impl Fn(&str) -> Option<OsString>) -> anyhow::Result<Option<bool>> {
    let Some(text) = text(name, variable)? else { return Ok(None) };
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Ok(Some(true)),
        "false" | "0" | "no" => Ok(Some(false)),
        _ => bail!("{name} is '{text}', which is neither true nor false"),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    fn resolve_with(arguments: &[&str], variables: &[(&str, &str)]) -> anyhow::Result<Config> {
        let arguments = ["constellation", "serve"].iter().chain(arguments);
        let Cli { command: Command::Serve(args) } = Cli::try_parse_from(arguments)? else {
            panic!("the command is 'serve'");
        };
        resolve(args, |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        })
    }

    fn error_of(arguments: &[&str], variables: &[(&str, &str)]) -> String {
        format!("{:#}", resolve_with(arguments, variables).unwrap_err())
    }

    #[test]
    fn the_defaults() {
        let config = resolve_with(&[], &[]).unwrap();
        assert_eq!(config.store, StoreConfig::Directory(".constellation-store".into()));
        assert_eq!(config.listen, "127.0.0.1:8080".parse().unwrap());
        assert_eq!(config.loader, None);
        assert!(!config.demo_modules);
    }

    #[test]
    fn options_win_over_variables() {
        let variables = [
            ("CONSTELLATION_STORE", "from-variable"),
            ("CONSTELLATION_LISTEN", "127.0.0.1:1"),
            ("CONSTELLATION_PORT", "2"),
            ("CONSTELLATION_PIPELINE_DIR", "."),
            ("CONSTELLATION_PIPELINE_RECURSIVE", "yes"),
            ("CONSTELLATION_PIPELINE_FAIL_ON_ERROR", "1"),
            ("CONSTELLATION_PIPELINE_ALIAS_STRATEGY", "relativepath"),
            ("CONSTELLATION_DEMO_MODULES", "true"),
        ];
        let config = resolve_with(&[], &variables).unwrap();
        assert_eq!(config.store, StoreConfig::Directory("from-variable".into()));
        assert_eq!(config.listen.port(), 1);
        assert!(config.demo_modules);
        let loader = config.loader.unwrap();
        assert!(loader.recursive && loader.fail_on_error);
        assert_eq!(loader.alias_strategy, AliasStrategy::RelativePath);

        let arguments = [
            "--memory",
            "--recursive=false",
            "--alias-strategy",
            "hash-only",
            "--demo-modules=false",
            "--listen",
            "localhost:3",
        ];
        let config = resolve_with(&arguments, &variables).unwrap();
        assert_eq!(config.store, StoreConfig::Memory);
        assert_eq!(config.listen, "127.0.0.1:3".parse().unwrap());
        assert!(!config.demo_modules);
        let loader = config.loader.unwrap();
        assert!(!loader.recursive && loader.fail_on_error);
        assert_eq!(loader.alias_strategy, AliasStrategy::HashOnly);
    }

    #[test]
    fn a_port_is_one_of_the_loopback_address_and_an_empty_variable_is_not_set() {
        let config = resolve_with(&[], &[("CONSTELLATION_PORT", "9000"), ("CONSTELLATION_LISTEN", "")]);
        assert_eq!(config.unwrap().listen, "127.0.0.1:9000".parse().unwrap());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let none = &[][..];
        for (arguments, variables, message) in [
            (&["--listen", "8080"][..], none, "'8080' is not an address with a port"),
            (&["--listen", "0.0.0.0:8080"], none, "--insecure"),
            (&["--listen", "[::]:8080"], none, "--insecure"),
            (&[], &[("CONSTELLATION_LISTEN", "10.0.0.1:80")], "--insecure"),
            (&[], &[("CONSTELLATION_PORT", "eighty")], "CONSTELLATION_PORT is 'eighty'"),
            (&[], &[("CONSTELLATION_PIPELINE_RECURSIVE", "maybe")], "neither true nor false"),
            (&[], &[("CONSTELLATION_PIPELINE_ALIAS_STRATEGY", "stem")], "hash-only"),
            (&["--demo-modules"], &[("CONSTELLATION_DEMO_MODULES", "some")], "neither true nor false"),
            (&["--pipelines", "no-such-directory"], none, "no-such-directory"),
            (&["--pipelines", "Cargo.toml"], none, "Cargo.toml"),
            (&["--recursive"], none, "--pipelines"),
            (&["--store", "a", "--memory"], none, "cannot be used with"),
        ] {
            let error = error_of(arguments, variables);
            assert!(error.contains(message), "{arguments:?} {variables:?}: {error}");
        }
        assert!(resolve_with(&["--listen", "0.0.0.0:8080", "--insecure"], none).is_ok());
        assert!(resolve_with(&["--listen", "[::1]:0"], none).is_ok());
    }
}
