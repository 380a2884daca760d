//! Features of packages that nothing in the workspace may turn on, since one crate would turn them on
//! for all.

use crate::tidy::Violation;
use crate::tidy::graph::Graph;

const RULE: &str = "forbidden feature";

#[derive(Debug)]
pub(crate) struct Ban {
    pub(crate) package: &'static str,
    pub(crate) feature: &'static str,
    pub(crate) reason: &'static str,
}

pub(crate) const BANS: &[Ban] = &[Ban {
    package: "serde_json",
    feature: "arbitrary_precision",
    reason: "it changes how numbers are read, and with that the hash of an image",
}];

pub(crate) fn check(graph: &Graph, bans: &[Ban]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for Ban { package: name, feature, reason } in bans {
        for package in graph.packages.iter().filter(|package| package.name == *name) {
            if package.features.contains(*feature) {
                let message = format!(
                    "{name} is built with `{feature}`: {reason}; find who asks for it with \
                     `cargo tree --workspace --all-features -e features -i {name}`"
                );
                violations.push(Violation { path: "Cargo.lock".to_owned(), line: 0, rule: RULE, message });
            }
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_forbidden_feature_is_reported_and_others_are_not() {
        let mut graph = Graph::default().with_package("serde_json 1.0.0", None);
        graph.packages[0].features = BTreeSet::from(["float_roundtrip".to_owned()]);
        assert_eq!(check(&graph, BANS), []);
        graph.packages[0].features.insert("arbitrary_precision".to_owned());
        let found = check(&graph, BANS);
        assert_eq!(found.len(), 1);
        assert!(found[0].message.starts_with("serde_json is built with `arbitrary_precision`"));
    }
}
