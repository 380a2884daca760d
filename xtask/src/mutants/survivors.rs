//! The list of mutants that may survive, and how the outcome of a run is compared with it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};

/// A mutant that may survive: its name without line and column, so that it stays the same when code moves.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    name: String,
    reason: String,
}

/// The mutants of a run that could be built, as `cargo mutants` names them: `path:line:column: mutation`.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) survived: Vec<String>,
    pub(crate) caught: Vec<String>,
    /// The folders of which every mutant was tried.
    pub(crate) whole: BTreeSet<String>,
}

/// Reads the list: a line with the name of a mutant, and below it, indented, why it may survive.
pub(crate) fn parse(text: &str) -> anyhow::Result<Vec<Accepted>> {
    let mut accepted: Vec<Accepted> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line.starts_with(' ') {
            let last = accepted.last_mut().with_context(|| format!("no mutant stands before '{line}'"))?;
            last.reason.push_str(line);
        } else {
            accepted.push(Accepted { name: line.to_owned(), reason: String::new() });
        }
    }
    for Accepted { name, reason } in &accepted {
        ensure!(!reason.is_empty(), "no reason stands below '{name}'");
    }
    Ok(accepted)
}

/// What is wrong: survivors that are not accepted, and accepted ones that did not survive.
///
/// A name that stands in the list twice lets two mutants survive that differ in line or column alone. Where every
/// mutant was tried, those that no longer exist are told, too.
pub(crate) fn judge(accepted: &[Accepted], outcome: &Outcome) -> Vec<String> {
    let mut allowed: BTreeMap<&str, usize> = BTreeMap::new();
    for Accepted { name, reason: _ } in accepted {
        *allowed.entry(name).or_default() += 1;
    }
    let mut survived: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for mutant in &outcome.survived {
        survived.entry(without_place(mutant)).or_default().push(mutant);
    }
    let caught: BTreeSet<String> = outcome.caught.iter().map(|mutant| without_place(mutant)).collect();

    let mut complaints = Vec::new();
    for (name, mutants) in &survived {
        if mutants.len() > allowed.get(name.as_str()).copied().unwrap_or_default() {
            complaints.extend(mutants.iter().map(|mutant| format!("survived: {mutant}")));
        }
    }
    for name in allowed.keys().filter(|name| !survived.contains_key(**name)) {
        if caught.contains(*name) {
            complaints.push(format!("accepted, but caught: {name}"));
        } else if outcome.whole.iter().any(|folder| name.starts_with(folder)) {
            complaints.push(format!("accepted, but no such mutant: {name}"));
        }
    }
    complaints
}

/// `path:line:column: mutation` without line and column.
fn without_place(mutant: &str) -> String {
    let parts: Vec<&str> = mutant.splitn(4, ':').collect();
    match parts[..] {
        [path, _line, _column, mutation] => format!("{path}:{mutation}"),
        _ => mutant.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str =
        "# Why.\n\na.rs: replace < with <= in f\n    Equal.\n    Truly.\na.rs: replace f\n    No.\n";

    fn complaints(survived: &[&str], caught: &[&str], whole: &[&str]) -> Vec<String> {
        let owned = |names: &[&str]| -> Vec<_> { names.iter().map(|&name| name.to_owned()).collect() };
        let whole = owned(whole).into_iter().collect();
        let outcome = Outcome { survived: owned(survived), caught: owned(caught), whole };
        judge(&parse(LIST).unwrap(), &outcome)
    }

    #[test]
    fn a_mutant_is_accepted_with_its_reason_only() {
        assert_eq!(parse(LIST).unwrap()[0].reason, "    Equal.    Truly.");
        assert!(parse("a.rs: replace f\n").is_err());
        assert!(parse("    Equal.\n").is_err());
    }

    #[test]
    fn survivors_are_accepted_wherever_they_stand_in_their_file() {
        assert!(complaints(&["a.rs:7:3: replace < with <= in f"], &["b.rs:1:1: replace f"], &[]).is_empty());
    }

    #[test]
    fn a_survivor_that_is_not_accepted_is_told() {
        let mutant = "a.rs:1:1: replace g -> Option<a::B> with None";
        assert_eq!(complaints(&[mutant], &[], &[]), [format!("survived: {mutant}")]);
        // As many as the list names, and no more.
        let twice = ["a.rs:1:1: replace f", "a.rs:2:1: replace f"];
        assert_eq!(complaints(&twice, &[], &[]).len(), 2);
    }

    #[test]
    fn an_accepted_mutant_that_is_caught_or_gone_is_told() {
        let survivors = ["a.rs:1:1: replace f"];
        let caught = ["a.rs:7:3: replace < with <= in f"];
        let name = "a.rs: replace < with <= in f";
        assert_eq!(complaints(&survivors, &caught, &[]), [format!("accepted, but caught: {name}")]);
        assert_eq!(complaints(&survivors, &[], &[]), [""; 0]);
        assert_eq!(complaints(&survivors, &[], &["a"]), [format!("accepted, but no such mutant: {name}")]);
    }
}
