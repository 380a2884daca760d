//! The options of `serve`, made from the table of settings.

use std::ffi::{OsStr, OsString};

use clap::builder::ValueParser;
use clap::error::Error;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::FILE_VARIABLE;
use super::settings::{Field, SETTINGS, Setting};

/// The option that names the configuration file. The file is no setting: it cannot name another one.
const FILE_OPTION: &str = "config";

/// The options that were given, as they are written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags {
    file: Option<OsString>,
    given: Vec<(&'static str, OsString)>,
}

impl Flags {
    /// At most one of them.
    pub(super) fn one(setting: &'static Setting, value: Option<OsString>) -> Self {
        Self { file: None, given: value.map(|value| (setting.key, value)).into_iter().collect() }
    }

    /// The path of the configuration file.
    pub(super) fn file(&self) -> Option<&OsStr> {
        self.file.as_deref()
    }

    /// The value that was given to a setting, and the option as it is typed.
    pub(super) fn get(&self, setting: &Setting) -> Option<(&OsString, String)> {
        let (_, value) = self.given.iter().find(|(key, _)| *key == setting.key)?;
        Some((value, format!("--{}", setting.option?)))
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new(FILE_OPTION)
            .long(FILE_OPTION)
            .value_name("FILE")
            .value_parser(ValueParser::os_string())
            .help(format!("Read settings from this TOML file [env: {FILE_VARIABLE}]"));
        let options = SETTINGS.iter().filter_map(|setting| {
            let argument = Arg::new(setting.key)
                .long(setting.option?)
                .value_name(setting.value_name)
                .value_parser(ValueParser::os_string())
                .help(setting.full_help());
            Some(match setting.field {
                Field::Switch(_) => {
                    argument.num_args(0..=1).require_equals(true).default_missing_value("true")
                }
                _ => argument,
            })
        });
        command.arg(file).args(options)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let given = SETTINGS
            .iter()
            .filter(|setting| setting.option.is_some())
            .filter_map(|setting| Some((setting.key, matches.get_one::<OsString>(setting.key)?.clone())));
        Ok(Self { file: matches.get_one::<OsString>(FILE_OPTION).cloned(), given: given.collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
