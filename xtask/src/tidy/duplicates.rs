//! Each package is built in one version, but for a short list.
//!
//! Looked at is what the crates and the binary are built from. Packages that only tests or only this
//! tool use cost nobody else anything.

use std::collections::{BTreeMap, BTreeSet};

use crate::tidy::Violation;
use crate::tidy::graph::Graph;

const RULE: &str = "duplicate version";
const HERE: &str = "xtask/src/tidy/duplicates.rs";

/// Packages that may be there in several versions, and why.
pub(crate) const ALLOWED: &[(&str, &str)] = &[];

pub(crate) fn check(graph: &Graph, allowed: &[(&str, &str)]) -> Vec<Violation> {
    let mut built = BTreeSet::new();
    for (index, _, manifest) in graph.members() {
        if manifest.starts_with("crates/") {
            built.extend(graph.reachable(index));
        }
    }
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for index in built {
        let package = &graph.packages[index];
        versions.entry(&package.name).or_default().insert(&package.version);
    }
    versions.retain(|_, versions| versions.len() > 1);

    let mut violations = Vec::new();
    for (name, versions) in &versions {
        if !allowed.iter().any(|(allowed, _)| allowed == name) {
            let versions: Vec<&str> = versions.iter().copied().collect();
            let message = format!(
                "{name} is built in the versions {}; see `cargo tree -i {name}@VERSION`, bring the \
                 dependents together, or add it to the list in {HERE} with the reason",
                versions.join(" and ")
            );
            violations.push(Violation { path: "Cargo.lock".to_owned(), line: 0, rule: RULE, message });
        }
    }
    for (name, _) in allowed.iter().filter(|(name, _)| !versions.contains_key(name)) {
        let message = format!("{name} is built in one version or none; remove it from the list");
        violations.push(Violation { path: HERE.to_owned(), line: 0, rule: RULE, message });
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::graph::Kind;

    fn two_versions(kind: Kind) -> Graph {
        Graph::default()
            .with_member("ours")
            .with_package("twice 1.0.0", None)
            .with_package("twice 2.0.0", None)
            .with_dependency("ours", "twice 1.0.0", Kind::Normal)
            .with_dependency("ours", "twice 2.0.0", kind)
    }

    #[test]
    fn a_second_version_is_reported_unless_it_is_on_the_list() {
        for kind in [Kind::Normal, Kind::Build] {
            let found = check(&two_versions(kind), &[]);
            assert_eq!(found.len(), 1);
            assert!(found[0].message.starts_with("twice is built in the versions 1.0.0 and 2.0.0"));
            assert_eq!(check(&two_versions(kind), &[("twice", "because")]), []);
        }
    }

    #[test]
    fn a_second_version_that_only_tests_use_is_not_reported() {
        assert_eq!(check(&two_versions(Kind::Development), &[]), []);
    }

    #[test]
    fn a_list_entry_without_duplicates_is_reported() {
        let found = check(&two_versions(Kind::Development), &[("twice", "because")]);
        assert_eq!(found.len(), 1);
        assert!(found[0].message.contains("remove it from the list"));
    }
}
