//! Options, environment and file to one checked configuration: options win over the environment, which wins over the
//! file.

mod command;
mod file;
mod flags;
mod problems;
mod settings;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use constellation_server::{AllowedSites, ApiKeys, Limits, LoaderConfig, check_access};

use crate::args::LogFormat;
use file::ConfigFile;
use settings::{Field, SETTINGS, Setting, VARIABLE_PREFIX, Values, allowed_sites};

pub(crate) use command::{FAILED, run};
pub(crate) use flags::Flags;

/// Names the configuration file when no option does.
const FILE_VARIABLE: &str = "CONSTELLATION_CONFIG";

/// Everything that serving needs to know.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) store: StoreConfig,
    pub(crate) loader: Option<LoaderConfig>,
    pub(crate) demo_modules: bool,
    pub(crate) listen: SocketAddr,
    pub(crate) insecure: bool,
    pub(crate) api_keys: ApiKeys,
    pub(crate) allowed_sites: AllowedSites,
    pub(crate) limits: Limits,
    pub(crate) log_format: LogFormat,
}

/// Where pipelines are kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum StoreConfig {
    Memory,
    Directory(PathBuf),
}

/// Where a value comes from.
#[derive(Debug)]
enum Origin {
    Default,
    /// A line of the file, after its path.
    File(String),
    Variable(String),
    Option(String),
}

impl Origin {
    fn kind(&self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File(_) => "file",
            Self::Variable(_) => "environment",
            Self::Option(_) => "option",
        }
    }

    /// Which one wins, from the weakest to the strongest; two of the same rank are both given in one place.
    fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File(_) => 1,
            Self::Variable(_) => 2,
            Self::Option(_) => 3,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(name) | Self::Variable(name) | Self::Option(name) => f.write_str(name),
        }
    }
}

/// The settings with their origins.
#[derive(Debug)]
struct Resolved {
    values: Values,
    origins: BTreeMap<&'static str, Origin>,
}

impl Resolved {
    fn origin(&self, key: &'static str) -> &Origin {
        self.origins.get(key).unwrap_or(&Origin::Default)
    }

    /// Where a setting stands, for what is found to be wrong after it was read.
    fn place(&self, key: &'static str) -> String {
        match self.origin(key) {
            Origin::Default => key.to_owned(),
            origin => format!("{origin}: {key}"),
        }
    }
}

/// Resolves and checks the configuration. A variable that is set to nothing counts as not set.
pub(crate) fn resolve(flags: &Flags, variable: impl Fn(&str) -> Option<OsString>) -> anyhow::Result<Config> {
    check(read(SETTINGS.iter(), flags, variable)?)
}

/// The directory of the store.
pub(crate) fn store_directory(
    option: Option<PathBuf>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> anyhow::Result<PathBuf> {
    let setting = Setting::of("store");
    let flags = Flags::one(setting, option.map(PathBuf::into_os_string));
    Ok(read([setting], &flags, variable)?.values.store)
}

/// Whether pipelines can call the demonstration modules.
pub(crate) fn has_demo_modules(
    option: Option<bool>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> anyhow::Result<bool> {
    let setting = Setting::of("demo_modules");
    let flags = Flags::one(setting, option.map(|option| option.to_string().into()));
    Ok(read([setting], &flags, variable)?.values.demo_modules)
}

/// What to say of variables that look like settings and are none. Others may have set them for reasons of their own, as
/// systems that run containers do, so they keep nothing from starting.
pub(crate) fn unknown_variables(names: impl IntoIterator<Item = OsString>) -> Vec<String> {
    let names = names.into_iter().filter_map(|name| name.into_string().ok());
    let mut unknown: Vec<String> = names
        .filter(|name| name.starts_with(VARIABLE_PREFIX) && name != FILE_VARIABLE)
        .filter(|name| SETTINGS.iter().all(|setting| setting.variable() != *name))
        .collect();
    unknown.sort();
    let told = unknown.into_iter().map(|name| {
        let advice = match Setting::like(&name[VARIABLE_PREFIX.len()..].to_ascii_lowercase()) {
            Some(setting) => format!("did you mean {}?", setting.variable()),
            None => "'constellation serve --help' lists them".to_owned(),
        };
        format!("the variable {name} is no setting, and has no effect; {advice}")
    });
    told.collect()
}

/// Reads some settings. A value that another one hides is checked all the same: what is wrong is wrong.
fn read(
    settings: impl IntoIterator<Item = &'static Setting>,
    flags: &Flags,
    variable: impl Fn(&str) -> Option<OsString>,
) -> anyhow::Result<Resolved> {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    let path = flags.file().map(PathBuf::from).or_else(|| variable(FILE_VARIABLE).map(PathBuf::from));
    let (file, mut problems) = path.as_deref().map(ConfigFile::read).transpose()?.unwrap_or_default();
    let mut values = Values::default();
    let mut origins = BTreeMap::new();
    for setting in settings {
        let from_file = file.get(setting).map(|(value, place)| (value.clone(), Origin::File(place)));
        let name = setting.variable();
        let from_variable = variable(&name).map(|value| (value, Origin::Variable(name)));
        let from_option = flags.get(setting).map(|(value, name)| (value.clone(), Origin::Option(name)));
        for (raw, origin) in [from_file, from_variable, from_option].into_iter().flatten() {
            if let Err(problem) =
                setting.set(&mut values, &raw).with_context(|| wrong(setting, &origin, &raw))
            {
                problems.push(problem);
            }
            origins.insert(setting.key, origin);
        }
    }
    problems.into_result()?;
    Ok(Resolved { values, origins })
}

/// What is wrong, without telling a secret.
fn wrong(setting: &Setting, origin: &Origin, raw: &OsString) -> String {
    match (&setting.field, origin) {
        (_, Origin::File(place)) => format!("{place}: {}", setting.key),
        (Field::Keys(_), origin) => origin.to_string(),
        (_, origin) => format!("{origin} is '{}'", raw.display()),
    }
}

/// Checks that the settings fit together and that what they name is there.
fn check(resolved: Resolved) -> anyhow::Result<Config> {
    let listen = listen(&resolved);
    let store = store(&resolved)?;
    let origin = |key| resolved.origin(key);
    if resolved.values.pipeline_dir.is_none() {
        let needless = ["pipeline_recursive", "pipeline_fail_on_error", "pipeline_alias_strategy"];
        // Elsewhere it may be kept for later.
        if let Some(Origin::Option(option)) =
            needless.into_iter().map(origin).find(|origin| matches!(origin, Origin::Option(_)))
        {
            bail!("{option} has no effect without --pipelines DIR");
        }
    }
    let allowed_sites = allowed_sites(&resolved.values, |key| resolved.place(key))?;
    let [place_of_directory, place_of_address] = ["pipeline_dir", "listen"].map(|key| resolved.place(key));
    let Values {
        store: _,
        memory: _,
        pipeline_dir,
        pipeline_recursive,
        pipeline_fail_on_error,
        pipeline_alias_strategy,
        demo_modules,
        listen: _,
        port: _,
        insecure,
        api_keys,
        allowed_hosts: _,
        allowed_origins: _,
        cors_origins: _,
        log_format,
        limits,
    } = resolved.values;
    let loader = pipeline_dir.map(|directory| LoaderConfig {
        directory,
        recursive: pipeline_recursive,
        fail_on_error: pipeline_fail_on_error,
        alias_strategy: pipeline_alias_strategy,
    });
    if let Some(loader) = &loader {
        loader.check().context(place_of_directory)?;
    }
    check_access(listen, &api_keys, &allowed_sites, insecure).context(place_of_address)?;
    Ok(Config { store, loader, demo_modules, listen, insecure, api_keys, allowed_sites, limits, log_format })
}

/// `port` counts where it is given in a stronger place than `listen`.
fn listen(resolved: &Resolved) -> SocketAddr {
    let Values { listen, port, .. } = &resolved.values;
    if resolved.origin("port").rank() > resolved.origin("listen").rank() {
        SocketAddr::from((Ipv4Addr::LOCALHOST, *port))
    } else {
        *listen
    }
}

/// `memory` counts unless `store` is given in a stronger place.
fn store(resolved: &Resolved) -> anyhow::Result<StoreConfig> {
    let Values { memory, store, .. } = &resolved.values;
    let (of_memory, of_store) = (resolved.origin("memory"), resolved.origin("store"));
    if *memory && of_memory.rank() == of_store.rank() {
        bail!("'memory' ({of_memory}) cannot be used with 'store' ({of_store}); give one of them");
    }
    if *memory && of_memory.rank() > of_store.rank() {
        Ok(StoreConfig::Memory)
    } else {
        Ok(StoreConfig::Directory(store.clone()))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use constellation_server::AliasStrategy;

    use super::*;
    use crate::args::{Cli, Command};

    fn resolve_with(arguments: &[&str], variables: &[(&str, &str)]) -> anyhow::Result<Config> {
        let arguments = ["constellation", "serve"].iter().chain(arguments);
        let Cli { command: Command::Serve(flags) } = Cli::try_parse_from(arguments)? else {
            panic!("the command is 'serve'");
        };
        resolve(&flags, |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        })
    }

    fn error_of(arguments: &[&str], variables: &[(&str, &str)]) -> String {
        format!("{:#}", resolve_with(arguments, variables).unwrap_err())
    }

    #[test]
    fn pages_that_may_read_answers_are_exact_origins_and_all_of_them_need_keys() {
        let allowed = resolve_with(&["--cors-origins", "https://a.example.com, http://localhost:3000"], &[]);
        let mut sites = AllowedSites::default();
        sites.allow_cors_origin("https://a.example.com").unwrap();
        sites.allow_cors_origin("http://localhost:3000").unwrap();
        assert_eq!(allowed.unwrap().allowed_sites, sites);
        for origin in ["http://a.example.com", "https://*.example.com", "a.example.com", ""] {
            let error = error_of(&["--cors-origins", origin], &[]);
            assert!(error.contains(&format!("cors_origins: '{origin}' is no origin")), "{error}");
        }
        let all = ("CONSTELLATION_CORS_ORIGINS", "*");
        let error = error_of(&[], &[all]);
        assert!(error.contains("CONSTELLATION_API_KEYS"), "{error}");
        resolve_with(&["--insecure"], &[all]).unwrap();
        resolve_with(&[], &[all, ("CONSTELLATION_API_KEYS", "0123456789abcdef01234567:Admin")]).unwrap();
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("c.toml");
        std::fs::write(&file, "max_executions = 0\nno_such = 1\nlog_format = 'xml'\n").unwrap();
        let error = error_of(&["--config", file.to_str().unwrap()], &[("CONSTELLATION_PORT", "x")]);
        for part in ["4 settings are wrong:", "c.toml:1", "c.toml:2", "c.toml:3", "CONSTELLATION_PORT is 'x'"]
        {
            assert_eq!(error.matches(part).count(), 1, "{part}: {error}");
        }
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

    #[test]
    fn variables_win_over_the_file_and_each_value_tells_where_it_is_from() {
        let directory = tempfile::TempDir::new().unwrap();
        let file = directory.path().join("c.toml");
        std::fs::write(&file, "max_connections = 5\nmax_executions = 6\nport = 7\nmemory = true\n").unwrap();
        let file = file.to_str().unwrap();
        let variables = [("CONSTELLATION_CONFIG", file), ("CONSTELLATION_MAX_EXECUTIONS", "60")];
        let config = resolve_with(&["--max-body-bytes", "8"], &variables).unwrap();
        assert_eq!((config.limits.max_connections, config.limits.max_executions), (5, 60));
        assert_eq!((config.limits.max_body_bytes, config.listen.port()), (8, 7));
        assert_eq!(config.store, StoreConfig::Memory);
        // A stronger place wins, also over another setting about the same.
        let config = resolve_with(&["--store", "s"], &variables).unwrap();
        assert_eq!(config.store, StoreConfig::Directory("s".into()));
        let config = resolve_with(&["--config", file, "--listen", "127.0.0.1:9"], &[]).unwrap();
        assert_eq!((config.listen.port(), config.limits.max_executions), (9, 6));
        assert!(error_of(&["--config", "gone.toml"], &[]).contains("gone.toml"));
    }

    #[test]
    fn a_variable_that_is_no_setting_is_told_with_what_may_be_meant() {
        let told = unknown_variables(
            [
                "CONSTELLATION_MAX_EXECUTION",
                "CONSTELLATION_PIPELINES",
                "CONSTELLATION_API_KEY",
                "CONSTELLATION_ZZZ",
                "CONSTELLATION_CONFIG",
                "CONSTELLATION_STORE",
                "PATH",
                "CONSTELLATION",
            ]
            .map(OsString::from),
        );
        for (text, expected) in told.iter().zip([
            ["CONSTELLATION_API_KEY ", "did you mean CONSTELLATION_API_KEYS?"],
            ["CONSTELLATION_MAX_EXECUTION ", "did you mean CONSTELLATION_MAX_EXECUTIONS?"],
            ["CONSTELLATION_PIPELINES ", "did you mean CONSTELLATION_PIPELINE_DIR?"],
            ["CONSTELLATION_ZZZ ", "--help"],
        ]) {
            assert!(expected.iter().all(|part| text.contains(part)), "{text}: {expected:?}");
        }
        assert_eq!(told.len(), 4, "{told:?}");
    }

    #[test]
    fn what_is_found_wrong_late_is_told_with_its_line_too() {
        let directory = tempfile::TempDir::new().unwrap();
        let file = directory.path().join("c.toml");
        for (text, message) in [
            ("\nallowed_hosts = ['http://a']", "c.toml:2: allowed_hosts: "),
            ("\nallowed_origins = ['*']", "c.toml:2: allowed_origins: "),
            ("\ncors_origins = ['a']", "c.toml:2: cors_origins: "),
            ("\npipeline_dir = 'gone'", "c.toml:2: pipeline_dir: "),
            ("\nlisten = '0.0.0.0:80'", "c.toml:2: listen: "),
            ("port = 99999", "c.toml:1: port: '99999' is no port, which is from 0 to 65535"),
            ("max_executions = -1", "c.toml:1: max_executions: it is negative or too large"),
            ("drain_delay = '30'", "such as 500ms, 30s or 5m"),
            ("memory = true\nstore = 'x'", "c.toml:1) cannot be used with 'store' ("),
        ] {
            std::fs::write(&file, text).unwrap();
            let error = error_of(&["--config", file.to_str().unwrap()], &[]);
            assert!(error.contains(message), "{text}: {error}");
            assert!(!error.contains("target type") && !error.contains("digit"), "{error}");
        }
    }

    #[test]
    fn keys_open_an_address_and_bad_ones_refuse_it() {
        let good = "0123456789abcdef01234567:Admin";
        let listen = ["--listen", "0.0.0.0:8080"];
        assert!(resolve_with(&listen, &[("CONSTELLATION_API_KEYS", good)]).is_ok());
        for bad in ["short:Admin", "0123456789abcdef01234567:Owner", &format!("{good},{good}")] {
            let error = error_of(&["--insecure"], &[("CONSTELLATION_API_KEYS", bad)]);
            assert!(error.contains("CONSTELLATION_API_KEYS: API key"), "{error}");
            assert!(!error.contains("short") || !error.contains("0123"), "{error}");
        }
    }
}
