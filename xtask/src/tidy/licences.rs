//! Every package that the workspace can pull in comes under a licence that we chose to accept.

use std::collections::BTreeSet;

use spdx::{Expression, LicenseReq, ParseMode};

use crate::tidy::Violation;
use crate::tidy::graph::Graph;

const RULE: &str = "licence";
const HERE: &str = "xtask/src/tidy/licences.rs";

/// SPDX identifiers, each permissive or, where it says so, harmless for the way we use it.
pub(crate) const ALLOWED: &[(&str, &str)] = &[
    ("MIT", "permissive"),
    ("Apache-2.0", "permissive"),
    ("Apache-2.0 WITH LLVM-exception", "permissive; under the build of the compiler's own stack"),
    ("MIT-0", "permissive; under the schema validator of the tests"),
    ("BSD-3-Clause", "permissive"),
    ("Zlib", "permissive"),
    ("0BSD", "permissive; under a rival engine of the benchmarks"),
    ("BSL-1.0", "permissive; under a rival engine of the benchmarks"),
    ("Unicode-3.0", "permissive; tables of the Unicode standard"),
];

pub(crate) fn check(graph: &Graph, allowed: &[(&'static str, &str)]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut used = BTreeSet::new();
    for package in &graph.packages {
        let mut report = |message: String| {
            let path = package.member.clone().unwrap_or_else(|| "Cargo.lock".to_owned());
            let message = format!("{} {} {message}", package.name, package.version);
            violations.push(Violation { path, line: 0, rule: RULE, message });
        };
        let Some(licence) = &package.licence else {
            report(
                "has no licence expression; read its licence file, then choose another package".to_owned(),
            );
            continue;
        };
        // Manifests older than SPDX expressions write `MIT/Apache-2.0`.
        let expression = match Expression::parse_mode(licence, ParseMode::LAX) {
            Ok(expression) => expression,
            Err(error) => {
                report(format!("has the licence `{licence}`, which does not parse: {}", error.reason));
                continue;
            }
        };
        let is_allowed = |requirement: &LicenseReq| {
            let text = requirement.to_string();
            let entry = allowed.iter().find(|(licence, _)| *licence == text);
            used.extend(entry.map(|(licence, _)| *licence));
            entry.is_some()
        };
        if !expression.evaluate(is_allowed) {
            report(format!(
                "has the licence `{licence}`; if we can accept it, add it to the list in {HERE} with the reason"
            ));
        }
    }
    for (licence, _) in allowed.iter().filter(|(licence, _)| !used.contains(licence)) {
        let message = format!("no package is under `{licence}`; remove it from the list");
        violations.push(Violation { path: HERE.to_owned(), line: 0, rule: RULE, message });
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIT: &[(&str, &str)] = &[("MIT", "permissive")];

    fn check_licence(licence: Option<&str>) -> Vec<String> {
        let graph = Graph::default().with_member("ours").with_package("theirs 1.2.3", licence);
        check(&graph, MIT).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_licence_off_the_list_is_reported() {
        for licence in ["GPL-3.0-only", "MIT AND GPL-3.0-only", "MIT WITH Classpath-exception-2.0", "No such"]
        {
            let found = check_licence(Some(licence));
            assert_eq!(found.len(), 1, "{licence}");
            assert!(found[0].starts_with("Cargo.lock: licence: theirs 1.2.3 has the licence"), "{found:?}");
        }
    }

    #[test]
    fn a_package_without_a_licence_is_reported() {
        assert!(check_licence(None)[0].contains("theirs 1.2.3 has no licence expression"));
    }

    #[test]
    fn one_allowed_choice_is_enough() {
        for licence in ["MIT", "GPL-3.0-only OR MIT", "MIT/Apache-2.0"] {
            assert_eq!(check_licence(Some(licence)), Vec::<String>::new(), "{licence}");
        }
    }

    #[test]
    fn a_licence_on_the_list_that_nothing_uses_is_reported() {
        let graph = Graph::default().with_package("theirs 1.2.3", Some("MIT"));
        let found = check(&graph, &[("MIT", "permissive"), ("ISC", "permissive")]);
        assert_eq!(found.len(), 1);
        assert!(found[0].message.contains("no package is under `ISC`"));
    }
}
