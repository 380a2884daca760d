//! The configuration file: TOML, with the settings as its keys, and the line of each of them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail, ensure};
use constellation_server::is_hashed_entry;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problems::Problems;
use super::settings::{Field, SETTINGS, Setting};

/// What a file sets.
#[derive(Debug, Default)]
pub(crate) struct ConfigFile {
    path: PathBuf,
    /// By key: the value as it would be written in a variable, and the line.
    entries: BTreeMap<&'static str, (OsString, usize)>,
}

impl ConfigFile {
    /// What a file sets, and what is wrong with single settings.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is no TOML.
    pub(crate) fn read(path: &Path) -> anyhow::Result<(Self, Problems)> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the configuration file '{}'", path.display()))?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> anyhow::Result<(Self, Problems)> {
        let place = |offset: usize| format!("{}:{}", path.display(), line_of(text, offset));
        let table = DeTable::parse(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            anyhow!("{}: {}", place(offset), error.message())
        })?;
        let mut entries = BTreeMap::new();
        let mut problems = Problems::default();
        for (key, value) in table.get_ref() {
            let offset = key.span().start;
            match entry(key.get_ref(), value).with_context(|| place(offset)) {
                Ok((setting, value)) => {
                    entries.insert(setting.key, (value, line_of(text, offset)));
                }
                Err(error) => problems.push(error),
            }
        }
        Ok((Self { path: path.to_owned(), entries }, problems))
    }

    /// The value of a setting as it would be written in a variable, and where it stands.
    pub(crate) fn get(&self, setting: &Setting) -> Option<(&OsString, String)> {
        let (value, line) = self.entries.get(setting.key)?;
        Some((value, format!("{}:{line}", self.path.display())))
    }
}

fn entry(key: &str, value: &Spanned<DeValue<'_>>) -> anyhow::Result<(&'static Setting, OsString)> {
    let setting = SETTINGS.iter().find(|setting| setting.key == key).ok_or_else(|| unknown(key))?;
    let value = written(setting, value.get_ref()).with_context(|| setting.key)?;
    Ok((setting, value.into()))
}

fn unknown(key: &str) -> anyhow::Error {
    match Setting::like(key) {
        Some(Setting { key: nearest, .. }) => {
            anyhow!("there is no setting '{key}'; did you mean '{nearest}'?")
        }
        None => anyhow!("there is no setting '{key}'; 'constellation config show' lists them"),
    }
}

/// A value as it would be written in a variable.
fn written(setting: &Setting, value: &DeValue<'_>) -> anyhow::Result<String> {
    let wanted = match (&setting.field, value) {
        (Field::Switch(_), DeValue::Boolean(value)) => return Ok(value.to_string()),
        (Field::Switch(_), _) => "true or false",
        (Field::Count(..) | Field::Size(..) | Field::Port(_), DeValue::Integer(integer)) => {
            let value = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
            return Ok(value.context("it is negative or too large")?.to_string());
        }
        (Field::Count(..) | Field::Size(..) | Field::Port(_), _) => "a whole number",
        (Field::List(_) | Field::Keys(_), DeValue::Array(items)) => {
            let items = items.iter().map(|item| item.get_ref().as_str());
            let items: Option<Vec<&str>> = items.collect();
            let items = items.context("it is a list of texts, each in quotation marks")?;
            return joined(&setting.field, &items);
        }
        (Field::List(_) | Field::Keys(_), _) => "a list of texts, such as [\"a\", \"b\"]",
        (_, DeValue::String(text)) => {
            ensure!(!text.is_empty(), "it is empty; leave it out instead");
            return Ok(text.to_string());
        }
        (Field::Time(_), _) => "a text such as \"30s\"",
        (Field::Path(_) | Field::OptionalPath(_) | Field::Text { .. }, _) => "a text in quotation marks",
    };
    bail!("it is {wanted}")
}

fn joined(field: &Field, items: &[&str]) -> anyhow::Result<String> {
    for item in items {
        ensure!(!item.contains(','), "one of its texts has a comma in it");
        // Files are copied, backed up and checked in.
        if matches!(field, Field::Keys(_)) && !is_hashed_entry(item) {
            bail!(
                "a file has hashes of keys, 'blake3:HASH:Role'; 'constellation config hash-key' makes one of a key"
            );
        }
    }
    Ok(items.join(","))
}

fn line_of(text: &str, offset: usize) -> usize {
    text.get(..offset).map_or(1, |before| before.matches('\n').count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> anyhow::Result<ConfigFile> {
        let (file, problems) = ConfigFile::parse(Path::new("c.toml"), text)?;
        problems.into_result().map(|()| file)
    }

    #[test]
    fn values_have_the_types_of_their_settings_and_lines() {
        let file = parse(
            "# comment\nport = 9_000\n\nmemory = true\nallowed_hosts = [\n \"a\", \"b\" ]\ndrain_delay = '5s'\n",
        );
        let file = file.unwrap();
        for (key, value, place) in [
            ("port", "9000", "c.toml:2"),
            ("memory", "true", "c.toml:4"),
            ("allowed_hosts", "a,b", "c.toml:5"),
            ("drain_delay", "5s", "c.toml:7"),
        ] {
            assert_eq!(file.get(Setting::of(key)), Some((&value.into(), place.to_owned())), "{key}");
        }
        assert_eq!(file.get(Setting::of("store")), None);
    }

    #[test]
    fn what_is_not_a_setting_is_refused_with_its_line_and_what_is_near() {
        for (text, message) in [
            (
                "\nmax_conections = 3",
                "c.toml:2: there is no setting 'max_conections'; did you mean 'max_connections'?",
            ),
            ("zzz = 1", "c.toml:1: there is no setting 'zzz'; 'constellation config show' lists them"),
            ("[limits]\nmax_connections = 3", "c.toml:1: there is no setting 'limits'"),
            ("port = '80'", "c.toml:1: port: it is a whole number"),
            ("port = -1", "negative or too large"),
            ("memory = 'yes'", "c.toml:1: memory: it is true or false"),
            ("drain_delay = 5", "such as \"30s\""),
            ("store = ''", "it is empty"),
            ("store = 5", "a text in quotation marks"),
            ("allowed_hosts = 'a'", "a list of texts"),
            ("allowed_hosts = ['a,b']", "comma"),
            ("allowed_hosts = [1]", "a list of texts"),
            ("api_keys = ['0123456789abcdef01234567:Admin']", "hash-key"),
            ("port = 1\nport = 2", "c.toml:2: duplicate key"),
            ("\nport", "c.toml:2: "),
        ] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(message), "{text}: {error}");
            assert!(!error.contains("0123456789"), "{error}");
        }
    }
}
