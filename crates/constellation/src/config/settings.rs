//! Every setting of the server, in one table: its name in the file, of which the name of its variable follows, its
//! option, its default, and what it means. Help, checking and `config show` come from here.

use std::ffi::OsStr;
use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum as _;
use constellation_server::{AliasStrategy, AllowedSites, ApiKeys, Limits, Role};
use jiff::SignedDuration;

use crate::args::LogFormat;

/// What the name of each variable begins with.
pub(crate) const VARIABLE_PREFIX: &str = "CONSTELLATION_";
/// How alike two keys must be for one to be suggested for the other.
const SUGGESTION_SIMILARITY: f64 = 0.7;

/// What all settings come to, before it is checked whether they fit together.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub(crate) struct Values {
    pub(crate) store: PathBuf,
    pub(crate) memory: bool,
    pub(crate) pipeline_dir: Option<PathBuf>,
    pub(crate) pipeline_recursive: bool,
    pub(crate) pipeline_fail_on_error: bool,
    pub(crate) pipeline_alias_strategy: AliasStrategy,
    pub(crate) demo_modules: bool,
    pub(crate) listen: SocketAddr,
    pub(crate) port: u16,
    pub(crate) insecure: bool,
    pub(crate) api_keys: ApiKeys,
    pub(crate) allowed_hosts: Vec<String>,
    pub(crate) allowed_origins: Vec<String>,
    pub(crate) cors_origins: Vec<String>,
    pub(crate) log_format: LogFormat,
    pub(crate) limits: Limits,
}

impl Default for Values {
    fn default() -> Self {
        const PORT: u16 = 8080;
        Self {
            store: ".constellation-store".into(),
            memory: false,
            pipeline_dir: None,
            pipeline_recursive: false,
            pipeline_fail_on_error: false,
            pipeline_alias_strategy: AliasStrategy::default(),
            demo_modules: false,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)),
            port: PORT,
            insecure: false,
            api_keys: ApiKeys::default(),
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            cors_origins: Vec::new(),
            log_format: LogFormat::default(),
            limits: Limits::default(),
        }
    }
}

/// One setting.
#[derive(Debug)]
pub(crate) struct Setting {
    /// Its name in the file.
    pub(crate) key: &'static str,
    /// Its option without the dashes; none for what should not stand in a list of processes.
    pub(crate) option: Option<&'static str>,
    /// What its value is called in help.
    pub(crate) value_name: &'static str,
    pub(crate) field: Field,
    pub(crate) help: &'static str,
}

/// Where the value is kept, and of what kind it is.
#[derive(Debug)]
pub(crate) enum Field {
    Switch(fn(&mut Values) -> &mut bool),
    /// A whole number that is at least as large.
    Count(usize, fn(&mut Values) -> &mut usize),
    /// The same, of larger numbers.
    Size(u64, fn(&mut Values) -> &mut u64),
    Time(fn(&mut Values) -> &mut Duration),
    Path(fn(&mut Values) -> &mut PathBuf),
    OptionalPath(fn(&mut Values) -> &mut Option<PathBuf>),
    /// Words without commas.
    List(fn(&mut Values) -> &mut Vec<String>),
    /// Never shown.
    Keys(fn(&mut Values) -> &mut ApiKeys),
    Port(fn(&mut Values) -> &mut u16),
    /// Text with a meaning of its own.
    Text {
        set: fn(&mut Values, &str) -> anyhow::Result<()>,
        show: fn(&Values) -> String,
    },
}

const fn limit(key: &'static str, option: &'static str, field: Field, help: &'static str) -> Setting {
    let value_name = match field {
        Field::Time(_) => "DURATION",
        _ => "N",
    };
    Setting { key, option: Some(option), value_name, field, help }
}

/// All settings, in the order in which they are shown.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        key: "store",
        option: Some("store"),
        value_name: "DIR",
        field: Field::Path(|values| &mut values.store),
        help: "Keep pipelines in this directory",
    },
    Setting {
        key: "memory",
        option: Some("memory"),
        value_name: "BOOL",
        field: Field::Switch(|values| &mut values.memory),
        help: "Keep pipelines in memory only; they are gone when the server stops",
    },
    Setting {
        key: "pipeline_dir",
        option: Some("pipelines"),
        value_name: "DIR",
        field: Field::OptionalPath(|values| &mut values.pipeline_dir),
        help: "Publish the .cst files of this directory at start",
    },
    Setting {
        key: "pipeline_recursive",
        option: Some("recursive"),
        value_name: "BOOL",
        field: Field::Switch(|values| &mut values.pipeline_recursive),
        help: "Search the directories below it too",
    },
    Setting {
        key: "pipeline_fail_on_error",
        option: Some("fail-on-error"),
        value_name: "BOOL",
        field: Field::Switch(|values| &mut values.pipeline_fail_on_error),
        help: "Do not start when one of the files fails",
    },
    Setting {
        key: "pipeline_alias_strategy",
        option: Some("alias-strategy"),
        value_name: "STRATEGY",
        field: Field::Text {
            set: |values, text| {
                values.pipeline_alias_strategy = text.parse()?;
                Ok(())
            },
            show: |values| values.pipeline_alias_strategy.to_string(),
        },
        help: "How files get their names: filename, relative-path or hash-only",
    },
    Setting {
        key: "demo_modules",
        option: Some("demo-modules"),
        value_name: "BOOL",
        field: Field::Switch(|values| &mut values.demo_modules),
        help: "Let pipelines call modules that are slow, flaky or broken, to try options with",
    },
    Setting {
        key: "listen",
        option: Some("listen"),
        value_name: "ADDRESS:PORT",
        field: Field::Text {
            set: |values, text| {
                values.listen = address(text)?;
                Ok(())
            },
            show: |values| values.listen.to_string(),
        },
        help: "Listen on this address; port 0 takes a free one",
    },
    Setting {
        key: "port",
        option: Some("port"),
        value_name: "PORT",
        field: Field::Port(|values| &mut values.port),
        help: "Listen on this port of 127.0.0.1, unless 'listen' says otherwise",
    },
    Setting {
        key: "insecure",
        option: Some("insecure"),
        value_name: "BOOL",
        field: Field::Switch(|values| &mut values.insecure),
        help: "Allow to listen on an address that others can reach without API keys: everybody who does can compile \
               and run pipelines",
    },
    Setting {
        key: "api_keys",
        option: None,
        value_name: "KEYS",
        field: Field::Keys(|values| &mut values.api_keys),
        help: "Ask for one of these API keys: KEY:Role or blake3:HASH:Role, with the roles ReadOnly, Execute and Admin",
    },
    Setting {
        key: "allowed_hosts",
        option: Some("allowed-hosts"),
        value_name: "HOSTS",
        field: Field::List(|values| &mut values.allowed_hosts),
        help: "Take requests for these hosts too, besides loopback ones and the address listened on; * takes all",
    },
    Setting {
        key: "allowed_origins",
        option: Some("allowed-origins"),
        value_name: "ORIGINS",
        field: Field::List(|values| &mut values.allowed_origins),
        help: "Take requests of pages of these web sites, such as https://example.com",
    },
    Setting {
        key: "cors_origins",
        option: Some("cors-origins"),
        value_name: "ORIGINS",
        field: Field::List(|values| &mut values.cors_origins),
        help: "The same, and let these pages read the answers, by CORS; * takes all sites, and needs API keys",
    },
    Setting {
        key: "log_format",
        option: Some("log-format"),
        value_name: "FORMAT",
        field: Field::Text {
            set: |values, text| {
                values.log_format = log_format(text)?;
                Ok(())
            },
            show: |values| match values.log_format {
                LogFormat::Text => "text".to_owned(),
                LogFormat::Json => "json".to_owned(),
            },
        },
        help: "How to write logs to standard error: text, or json for one object a line; RUST_LOG says which",
    },
    limit(
        "max_connections",
        "max-connections",
        Field::Count(1, |values| &mut values.limits.max_connections),
        "Connections at one time; further ones wait",
    ),
    limit(
        "max_uri_bytes",
        "max-uri-bytes",
        Field::Count(1, |values| &mut values.limits.max_uri_bytes),
        "Bytes of the target of a request",
    ),
    limit(
        "max_body_bytes",
        "max-body-bytes",
        Field::Count(1, |values| &mut values.limits.max_body_bytes),
        "Bytes of the body of a request",
    ),
    limit(
        "max_buffered_body_bytes",
        "max-buffered-body-bytes",
        Field::Count(0, |values| &mut values.limits.max_buffered_body_bytes),
        "Bytes of all bodies that are being read, beyond 64 KiB of each",
    ),
    limit(
        "max_buffered_answer_bytes",
        "max-buffered-answer-bytes",
        Field::Count(0, |values| &mut values.limits.max_buffered_answer_bytes),
        "Bytes of all answers that are not taken yet, beyond 64 KiB of each",
    ),
    limit(
        "max_json_values",
        "max-json-values",
        Field::Count(1, |values| &mut values.limits.max_json_values),
        "Values in the JSON of a body",
    ),
    limit(
        "header_read_timeout",
        "header-read-timeout",
        Field::Time(|values| &mut values.limits.header_read_timeout),
        "Time for the head of a request to arrive, and for an idle connection",
    ),
    limit(
        "body_read_timeout",
        "body-read-timeout",
        Field::Time(|values| &mut values.limits.body_read_timeout),
        "Time for the body of a request to arrive",
    ),
    limit(
        "write_timeout",
        "write-timeout",
        Field::Time(|values| &mut values.limits.write_timeout),
        "Time for a client to take some part of an answer",
    ),
    limit(
        "max_compilations",
        "max-compilations",
        Field::Count(1, |values| &mut values.limits.max_compilations),
        "Compilations at one time; further ones wait",
    ),
    limit(
        "max_waiting_compilations",
        "max-waiting-compilations",
        Field::Count(0, |values| &mut values.limits.max_waiting_compilations),
        "Requests that wait to compile; further ones get 503",
    ),
    limit(
        "max_executions",
        "max-executions",
        Field::Count(1, |values| &mut values.limits.max_executions),
        "Runs at one time; further ones wait",
    ),
    limit(
        "max_waiting_executions",
        "max-waiting-executions",
        Field::Count(0, |values| &mut values.limits.max_waiting_executions),
        "Requests that wait to run; further ones get 503",
    ),
    limit(
        "max_queue_wait",
        "max-queue-wait",
        Field::Time(|values| &mut values.limits.max_queue_wait),
        "Time for which a request waits to compile or to run; then it gets 503",
    ),
    limit(
        "max_execution_duration",
        "max-execution-duration",
        Field::Time(|values| &mut values.limits.max_execution_duration),
        "Time for a run",
    ),
    limit(
        "max_loaded_pipelines",
        "max-loaded-pipelines",
        Field::Count(1, |values| &mut values.limits.max_loaded_pipelines),
        "Loaded pipelines that are kept in memory",
    ),
    limit(
        "max_calls_in_flight",
        "max-calls-in-flight",
        Field::Count(0, |values| &mut values.limits.max_calls_in_flight),
        "Calls of modules in flight at one time, of all runs together; 0 sets no bound",
    ),
    limit(
        "max_calls_waiting",
        "max-calls-waiting",
        Field::Count(0, |values| &mut values.limits.max_calls_waiting),
        "Calls that wait when so many are in flight; further ones fail",
    ),
    limit(
        "max_cached_results",
        "max-cached-results",
        Field::Count(0, |values| &mut values.limits.max_cached_results),
        "Results of calls with 'cache' that are kept in memory",
    ),
    limit(
        "max_cached_bytes",
        "max-cached-bytes",
        Field::Size(0, |values| &mut values.limits.max_cached_bytes),
        "Bytes that these may take together",
    ),
    limit(
        "max_stored_images",
        "max-stored-images",
        Field::Size(1, |values| &mut values.limits.max_stored_images),
        "Images in the store; a new one past it is refused with 507",
    ),
    limit(
        "max_stored_sources",
        "max-stored-sources",
        Field::Size(1, |values| &mut values.limits.max_stored_sources),
        "Source texts in the store; a new one past it is refused with 507",
    ),
    limit(
        "max_stored_bytes",
        "max-stored-bytes",
        Field::Size(1, |values| &mut values.limits.max_stored_bytes),
        "Bytes of both together; what is new past it is refused with 507",
    ),
    limit(
        "drain_delay",
        "drain-delay",
        Field::Time(|values| &mut values.limits.drain_delay),
        "Time between /ready answering 503 and the end of listening",
    ),
    limit(
        "drain_deadline",
        "drain-deadline",
        Field::Time(|values| &mut values.limits.drain_deadline),
        "Time for requests under way to finish when the server stops",
    ),
];

impl Setting {
    /// The setting of a key.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub(crate) fn of(key: &str) -> &'static Self {
        SETTINGS.iter().find(|setting| setting.key == key).expect("the key is in the table")
    }

    /// The setting that may be meant by a key which is none.
    pub(crate) fn like(key: &str) -> Option<&'static Self> {
        let similarity = |setting: &Self| {
            let option = setting.option.map(|option| option.replace('-', "_"));
            let names = [Some(setting.key.to_owned()), option].into_iter().flatten();
            names.map(|name| strsim::jaro_winkler(key, &name)).fold(0.0, f64::max)
        };
        let settings = SETTINGS.iter().map(|setting| (similarity(setting), setting));
        let near = settings.filter(|(similarity, _)| *similarity >= SUGGESTION_SIMILARITY);
        near.max_by(|(left, _), (right, _)| left.total_cmp(right)).map(|(_, setting)| setting)
    }

    /// The name of its variable.
    pub(crate) fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.key.to_ascii_uppercase())
    }

    /// Its help with the names that it has elsewhere, and its default.
    pub(crate) fn full_help(&self) -> String {
        let default = self.show(&Values::default());
        let default = if default.is_empty() { default } else { format!(" [default: {default}]") };
        format!("{} [env: {}]{default}", self.help, self.variable())
    }

    /// Takes a value as it is written in an option or a variable.
    pub(crate) fn set(&self, values: &mut Values, raw: &OsStr) -> anyhow::Result<()> {
        match &self.field {
            Field::Path(of) => *of(values) = path(raw)?,
            Field::OptionalPath(of) => *of(values) = Some(path(raw)?),
            field => {
                let text = raw.to_str().context("it is not UTF-8")?;
                set_text(field, values, text)?;
            }
        }
        Ok(())
    }

    /// The value as it could be written; empty where there is none. Keys only show their roles.
    pub(crate) fn show(&self, values: &Values) -> String {
        // A field is reached through the one function that also sets it.
        let mut copy = values.clone();
        match &self.field {
            Field::Switch(of) => of(&mut copy).to_string(),
            Field::Count(_, of) => of(&mut copy).to_string(),
            Field::Size(_, of) => of(&mut copy).to_string(),
            Field::Port(of) => of(&mut copy).to_string(),
            Field::Time(of) => show_duration(*of(&mut copy)),
            Field::Path(of) => of(&mut copy).display().to_string(),
            Field::OptionalPath(of) => {
                of(&mut copy).as_ref().map_or_else(String::new, |path| path.display().to_string())
            }
            Field::List(of) => of(&mut copy).join(","),
            Field::Keys(of) => {
                let hidden = of(&mut copy).roles().map(|role: Role| format!("(hidden):{role}"));
                hidden.collect::<Vec<_>>().join(",")
            }
            Field::Text { set: _, show } => show(values),
        }
    }
}

fn set_text(field: &Field, values: &mut Values, text: &str) -> anyhow::Result<()> {
    match field {
        Field::Switch(of) => *of(values) = switch(text)?,
        Field::Count(at_least, of) => *of(values) = whole_number(text, at_least)?,
        Field::Size(at_least, of) => *of(values) = whole_number(text, at_least)?,
        Field::Port(of) => {
            let port = text.parse().ok();
            *of(values) =
                port.with_context(|| format!("'{text}' is no port, which is from 0 to {}", u16::MAX))?;
        }
        Field::Time(of) => *of(values) = duration(text)?,
        Field::List(of) => {
            *of(values) = text.split(',').map(|word| word.trim().to_owned()).collect();
        }
        Field::Keys(of) => *of(values) = text.parse()?,
        Field::Text { set, show: _ } => set(values, text)?,
        Field::Path(_) | Field::OptionalPath(_) => unreachable!("paths need not be text"),
    }
    Ok(())
}

/// The hosts and web sites of the values; `place` tells where a setting stands.
pub(crate) fn allowed_sites(
    values: &Values,
    place: impl Fn(&'static str) -> String,
) -> anyhow::Result<AllowedSites> {
    let mut sites = AllowedSites::default();
    for host in &values.allowed_hosts {
        sites.allow_host(host).with_context(|| place("allowed_hosts"))?;
    }
    for origin in &values.allowed_origins {
        sites.allow_origin(origin).with_context(|| place("allowed_origins"))?;
    }
    for origin in &values.cors_origins {
        sites.allow_cors_origin(origin).with_context(|| place("cors_origins"))?;
    }
    Ok(sites)
}

fn path(raw: &OsStr) -> anyhow::Result<PathBuf> {
    ensure!(!raw.is_empty(), "it needs a directory");
    Ok(raw.into())
}

/// On or off, in the spellings of the reference implementation and their opposites.
fn switch(text: &str) -> anyhow::Result<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => bail!("'{text}' is neither true nor false"),
    }
}

fn whole_number<N: FromStr + PartialOrd + Display>(text: &str, at_least: &N) -> anyhow::Result<N> {
    let number = text.parse().ok().filter(|number| number >= at_least);
    number.with_context(|| format!("'{text}' is no whole number of at least {at_least}"))
}

/// A time such as `500ms`, `30s` or `5m`.
fn duration(text: &str) -> anyhow::Result<Duration> {
    let duration: Option<SignedDuration> = text.parse().ok();
    let duration = duration.with_context(|| {
        format!("'{text}' is no duration, which is numbers with units, such as 500ms, 30s or 5m")
    })?;
    Duration::try_from(duration).with_context(|| format!("'{text}' is negative"))
}

fn show_duration(duration: Duration) -> String {
    SignedDuration::try_from(duration)
        .map_or_else(|_| format!("{duration:?}"), |duration| format!("{duration:#}"))
}

/// An address to listen on. Names are not looked up, but for the one that everybody types.
fn address(text: &str) -> anyhow::Result<SocketAddr> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("{}:{port}", Ipv4Addr::LOCALHOST),
        None => text.to_owned(),
    };
    numeric.parse().with_context(|| format!("'{text}' is not an address with a port, such as 127.0.0.1:8080"))
}

fn log_format(text: &str) -> anyhow::Result<LogFormat> {
    LogFormat::from_str(text, true)
        .map_err(|_| anyhow::anyhow!("'{text}' is no format of logs; use text or json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_of_the_server_is_a_setting() {
        let limits = format!("{:#?}", Limits::default());
        let names: Vec<&str> = limits
            .lines()
            .filter_map(|line| line.strip_prefix("    ")?.split_once(": "))
            .map(|(name, _)| name)
            .filter(|name| !name.starts_with(' '))
            .collect();
        assert!(names.contains(&"max_connections") && names.len() > 10, "{names:?}");
        for name in names {
            assert!(SETTINGS.iter().any(|setting| setting.key == name), "{name} cannot be configured");
        }
    }

    #[test]
    fn what_is_shown_reads_back_and_no_two_settings_share_a_field_or_a_name() {
        for setting in SETTINGS {
            let (mut values, sample) = (Values::default(), sample(setting));
            setting
                .set(&mut values, OsStr::new(sample))
                .unwrap_or_else(|error| panic!("{sample}: {error:#}"));
            assert_ne!(setting.show(&values), setting.show(&Values::default()), "{}", setting.key);
            if !matches!(setting.field, Field::Keys(_)) {
                let mut again = Values::default();
                setting.set(&mut again, OsStr::new(&setting.show(&values))).unwrap();
                assert_eq!(setting.show(&again), setting.show(&values), "{}", setting.key);
            }
            for other in SETTINGS.iter().filter(|other| other.key != setting.key) {
                assert_eq!(
                    other.show(&values),
                    other.show(&Values::default()),
                    "{} is not {}",
                    other.key,
                    setting.key
                );
                assert!(setting.option.is_none() || other.option != setting.option);
            }
        }
    }

    /// A value that is not the default.
    fn sample(setting: &Setting) -> &'static str {
        match setting.field {
            Field::Switch(_) => "true",
            Field::Count(..) | Field::Size(..) | Field::Port(_) => "7",
            Field::Time(_) => "1m 7s",
            Field::Path(_) | Field::OptionalPath(_) => "some/where",
            Field::List(_) => "a,b",
            Field::Keys(_) => "0123456789abcdef01234567:Admin",
            Field::Text { .. } => match setting.key {
                "listen" => "127.0.0.2:7",
                "log_format" => "json",
                "pipeline_alias_strategy" => "hash-only",
                other => panic!("{other} has no sample"),
            },
        }
    }

    #[test]
    fn a_bound_that_would_let_nothing_in_is_refused() {
        for key in ["max_stored_images", "max_stored_sources", "max_stored_bytes", "max_connections"] {
            let mut values = Values::default();
            let error = Setting::of(key).set(&mut values, OsStr::new("0")).unwrap_err();
            assert_eq!(error.to_string(), "'0' is no whole number of at least 1", "{key}");
            assert_eq!(Setting::of(key).show(&values), Setting::of(key).show(&Values::default()));
            Setting::of(key).set(&mut values, OsStr::new("1")).unwrap();
        }
    }

    #[test]
    fn keys_are_never_shown() {
        let mut values = Values::default();
        let keys = OsStr::new("0123456789abcdef01234567:Admin,x0123456789abcdef01234567:Execute");
        Setting::of("api_keys").set(&mut values, keys).unwrap();
        assert_eq!(Setting::of("api_keys").show(&values), "(hidden):Admin,(hidden):Execute");
        assert!(!format!("{values:?}").contains("0123"));
    }
}
