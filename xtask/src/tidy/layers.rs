//! Which crate may depend on which: the layers of the workspace, spelled out.
//!
//! `docs/architecture.md` draws them; this is the table that holds. Changing it is a design change:
//! say why in `docs/decisions.md`.

use crate::tidy::Violation;
use crate::tidy::graph::{Graph, Kind};

const RULE: &str = "layers";

/// What one member of the workspace may be built from.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) package: &'static str,
    /// Members of the workspace that it may depend on.
    pub(crate) may_use: &'static [&'static str],
    /// Packages that must not be reached through any chain of dependencies.
    pub(crate) must_not_reach: &'static [&'static str],
    /// Where the tree is kept small on purpose: all other packages that it may depend on directly.
    pub(crate) only_packages: Option<&'static [&'static str]>,
}

/// A package that only some members may depend on directly.
#[derive(Debug)]
pub(crate) struct Reserved {
    pub(crate) package: &'static str,
    pub(crate) members: &'static [&'static str],
    pub(crate) reason: &'static str,
}

const HTTP: &[&str] = &["axum", "http", "hyper", "tower"];
const HTTP_AND_ASYNC_RUNTIME: &[&str] = &["axum", "http", "hyper", "mio", "tokio", "tower"];

/// Lowest first.
pub(crate) const LAYERS: &[Layer] = &[
    Layer {
        package: "constellation-types",
        may_use: &[],
        must_not_reach: &["async-trait", "axum", "futures-core", "http", "hyper", "mio", "tokio", "tower"],
        only_packages: Some(&["serde", "serde_json", "thiserror"]),
    },
    Layer {
        package: "constellation-store-core",
        may_use: &["constellation-types"],
        must_not_reach: HTTP_AND_ASYNC_RUNTIME,
        only_packages: Some(&[
            "async-trait",
            "blake3",
            "futures-core",
            // Of the feature `conformance` only.
            "futures-util",
            "jiff",
            "libtest-mimic",
            "serde",
            "serde_json",
            "serde_json_canonicalizer",
            "thiserror",
            "unicode-normalization",
        ]),
    },
    Layer {
        package: "constellation-store-mem",
        may_use: &["constellation-types", "constellation-store-core"],
        must_not_reach: HTTP_AND_ASYNC_RUNTIME,
        only_packages: None,
    },
    Layer {
        package: "constellation-store-fs",
        may_use: &["constellation-types", "constellation-store-core", "constellation-store-mem"],
        must_not_reach: HTTP,
        only_packages: None,
    },
    Layer {
        package: "constellation-lang",
        may_use: &["constellation-types", "constellation-store-core"],
        must_not_reach: HTTP_AND_ASYNC_RUNTIME,
        only_packages: None,
    },
    Layer {
        package: "constellation-module-derive",
        may_use: &[],
        must_not_reach: HTTP_AND_ASYNC_RUNTIME,
        only_packages: None,
    },
    Layer {
        package: "constellation-module",
        may_use: &["constellation-types", "constellation-module-derive"],
        must_not_reach: HTTP_AND_ASYNC_RUNTIME,
        only_packages: None,
    },
    Layer {
        package: "constellation-stdlib",
        may_use: &["constellation-types", "constellation-module-derive", "constellation-module"],
        must_not_reach: HTTP_AND_ASYNC_RUNTIME,
        only_packages: None,
    },
    Layer {
        package: "constellation-rehydrate",
        // `store-core` for the image; the stores behind its trait are out of reach.
        may_use: &["constellation-types", "constellation-store-core", "constellation-module"],
        must_not_reach: HTTP_AND_ASYNC_RUNTIME,
        only_packages: None,
    },
    Layer {
        package: "constellation-runtime",
        // `store-core` for the image; the stores behind its trait are out of reach.
        may_use: &[
            "constellation-types",
            "constellation-store-core",
            "constellation-module",
            "constellation-rehydrate",
        ],
        must_not_reach: HTTP,
        only_packages: None,
    },
    Layer {
        package: "constellation-demo",
        may_use: &["constellation-module"],
        must_not_reach: HTTP,
        only_packages: None,
    },
    // For tests of modules and pipelines, of this workspace and of others.
    Layer {
        package: "constellation-testkit",
        may_use: &[
            "constellation-types",
            "constellation-store-core",
            "constellation-lang",
            "constellation-module",
            "constellation-stdlib",
            "constellation-rehydrate",
            "constellation-runtime",
        ],
        must_not_reach: HTTP,
        only_packages: None,
    },
    Layer {
        package: "constellation-server",
        may_use: &[
            "constellation-types",
            "constellation-store-core",
            "constellation-store-mem",
            "constellation-store-fs",
            "constellation-lang",
            "constellation-module",
            "constellation-rehydrate",
            "constellation-runtime",
        ],
        must_not_reach: &[],
        only_packages: None,
    },
    Layer {
        package: "constellation",
        may_use: &[
            "constellation-types",
            "constellation-store-core",
            "constellation-store-mem",
            "constellation-store-fs",
            "constellation-lang",
            "constellation-module",
            "constellation-stdlib",
            "constellation-demo",
            "constellation-rehydrate",
            "constellation-runtime",
            "constellation-server",
        ],
        must_not_reach: &[],
        only_packages: None,
    },
    // Drives the binary from outside, so that it sees what a user sees.
    Layer { package: "constellation-tests", may_use: &[], must_not_reach: &["axum"], only_packages: None },
    // Takes generated programs through the language and everything that runs them.
    Layer {
        package: "constellation-properties",
        may_use: &[
            "constellation-types",
            "constellation-store-core",
            "constellation-lang",
            "constellation-module",
            "constellation-stdlib",
            "constellation-rehydrate",
            "constellation-runtime",
            "constellation-testkit",
        ],
        must_not_reach: HTTP,
        only_packages: None,
    },
    // Measures the stores beside rivals, through what every user of them can call.
    Layer {
        package: "constellation-benches",
        may_use: &[
            "constellation-types",
            "constellation-store-core",
            "constellation-store-mem",
            "constellation-store-fs",
            "constellation-lang",
            "constellation-module",
            "constellation-stdlib",
            "constellation-rehydrate",
            "constellation-runtime",
        ],
        // The server is measured as a process; HTTP is that of the floor beside it.
        must_not_reach: &[],
        only_packages: None,
    },
    Layer { package: "xtask", may_use: &[], must_not_reach: HTTP_AND_ASYNC_RUNTIME, only_packages: None },
];

const SERVER: &[&str] = &["constellation-server"];
const BINARY: &[&str] = &["constellation"];
const XTASK: &[&str] = &["xtask"];
const BENCHES: &[&str] = &["constellation-benches"];

pub(crate) const RESERVED: &[Reserved] = &[
    Reserved {
        package: "axum",
        members: &["constellation-server", "constellation-benches"],
        reason: "only the server knows HTTP, and the floor that it is measured beside",
    },
    Reserved { package: "http", members: SERVER, reason: "only the server knows HTTP" },
    Reserved { package: "http-body-util", members: SERVER, reason: "only the server knows HTTP" },
    Reserved { package: "hyper", members: SERVER, reason: "only the server knows HTTP" },
    Reserved { package: "hyper-util", members: SERVER, reason: "only the server knows HTTP" },
    Reserved { package: "tower", members: SERVER, reason: "only the server knows HTTP" },
    Reserved { package: "tower-http", members: SERVER, reason: "only the server knows HTTP" },
    Reserved { package: "utoipa", members: SERVER, reason: "only the server knows HTTP" },
    Reserved { package: "prometheus-client", members: SERVER, reason: "the server owns the metrics" },
    Reserved {
        package: "anyhow",
        members: &["constellation", "constellation-benches", "constellation-tests", "xtask"],
        reason: "libraries have typed errors",
    },
    Reserved {
        package: "annotate-snippets",
        members: &["constellation-lang"],
        reason: "diagnostics are drawn in one place, which is optional",
    },
    Reserved { package: "clap", members: BINARY, reason: "the binary owns arguments and environment" },
    Reserved {
        package: "tracing-subscriber",
        members: BINARY,
        reason: "libraries emit events, a program collects",
    },
    Reserved {
        package: "tempfile",
        members: &["constellation-tests"],
        reason: "it goes around the file seam",
    },
    Reserved {
        package: "ureq",
        members: &["constellation-benches", "constellation-tests"],
        reason: "nothing here is a client but what drives the binary",
    },
    Reserved {
        package: "syn",
        members: &["constellation-module-derive", "xtask"],
        reason: "for macros and for reading sources",
    },
    Reserved { package: "fjall", members: BENCHES, reason: "a rival to compare with" },
    Reserved { package: "redb", members: BENCHES, reason: "a rival to compare with" },
    Reserved { package: "rusqlite", members: BENCHES, reason: "a rival to compare with" },
    Reserved { package: "cargo_metadata", members: XTASK, reason: "a developer's tool" },
    Reserved { package: "walkdir", members: XTASK, reason: "it goes around the file seam" },
    Reserved {
        package: "xflags",
        members: &["constellation-benches", "xtask"],
        reason: "a developer's tool",
    },
    Reserved { package: "xshell", members: XTASK, reason: "a developer's tool" },
];

pub(crate) fn check(graph: &Graph, layers: &[Layer], reserved: &[Reserved]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut report = |manifest: &str, message: String| {
        violations.push(Violation { path: manifest.to_owned(), line: 0, rule: RULE, message });
    };
    for (index, package, manifest) in graph.members() {
        let name = package.name.as_str();
        let Some(layer) = layers.iter().find(|layer| layer.package == name) else {
            report(
                manifest,
                format!("{name} is in no layer; add it to the table in xtask/src/tidy/layers.rs"),
            );
            continue;
        };
        for dependency in &package.dependencies {
            let target = &graph.packages[dependency.package];
            let to = target.name.as_str();
            let is_used = dependency.kinds.iter().any(|kind| *kind != Kind::Development);
            if !is_used {
                // Tests may reach sideways and down, but not to what is built on their own crate: the
                // two would hold different copies of its types.
                if target.member.is_some() && graph.reachable(dependency.package).contains(&index) {
                    report(
                        manifest,
                        format!(
                            "{name} depends on {to} for its tests, which depends on {name}; move the tests there"
                        ),
                    );
                }
                continue;
            }
            if target.member.is_some() {
                if !layer.may_use.contains(&to) {
                    report(
                        manifest,
                        format!("{name} must not depend on {to}; it may use {:?}", layer.may_use),
                    );
                }
                continue;
            }
            if let Some(only) = layer.only_packages
                && !only.contains(&to)
            {
                report(
                    manifest,
                    format!(
                        "{name} keeps its dependencies few and must not depend on {to}; it may use {only:?}"
                    ),
                );
            }
            if let Some(entry) = reserved.iter().find(|entry| entry.package == to)
                && !entry.members.contains(&name)
            {
                let Reserved { members, reason, .. } = entry;
                report(
                    manifest,
                    format!("{name} must not depend on {to}: {reason}; it is reserved for {members:?}"),
                );
            }
        }
        for reached in graph.reachable(index) {
            let reached = graph.packages[reached].name.as_str();
            if layer.must_not_reach.contains(&reached) {
                report(
                    manifest,
                    format!(
                        "{name} must not reach {reached}; see `cargo tree -p {name} -e no-dev -i {reached}`"
                    ),
                );
            }
        }
    }
    // An allowance that nobody needs is one that nobody decided on.
    for layer in layers {
        let member = graph.members().find(|(_, package, _)| package.name == layer.package);
        let Some((_, package, manifest)) = member else {
            report(
                "xtask/src/tidy/layers.rs",
                format!("there is no package {}; remove its layer", layer.package),
            );
            continue;
        };
        for unused in layer.only_packages.unwrap_or_default().iter().filter(|allowed| {
            !package
                .dependencies
                .iter()
                .any(|dependency| graph.packages[dependency.package].name == **allowed)
        }) {
            report(manifest, format!("{} does not use {unused}; remove it from its layer", layer.package));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOW_AND_HIGH: &[Layer] = &[
        Layer { package: "low", may_use: &[], must_not_reach: &["tokio"], only_packages: Some(&["serde"]) },
        Layer { package: "high", may_use: &["low"], must_not_reach: &[], only_packages: None },
    ];
    const AXUM: &[Reserved] =
        &[Reserved { package: "axum", members: &["high"], reason: "only high knows HTTP" }];

    fn graph() -> Graph {
        Graph::default()
            .with_member("low")
            .with_member("high")
            .with_package("serde 1.0.0", None)
            .with_package("helper 1.0.0", None)
            .with_package("tokio 1.0.0", None)
            .with_package("axum 0.8.0", None)
            .with_dependency("high", "low", Kind::Normal)
            .with_dependency("high", "axum", Kind::Normal)
            .with_dependency("high", "tokio", Kind::Normal)
            .with_dependency("low", "serde", Kind::Normal)
    }

    fn messages(graph: &Graph) -> Vec<String> {
        check(graph, LOW_AND_HIGH, AXUM).into_iter().map(|violation| violation.to_string()).collect()
    }

    #[test]
    fn a_graph_within_its_layers_passes() {
        assert_eq!(messages(&graph()), Vec::<String>::new());
    }

    #[test]
    fn a_lower_crate_must_not_depend_on_a_higher_one() {
        for kind in [Kind::Normal, Kind::Build] {
            let layers = [Layer { package: "low", ..layer("low") }, Layer { may_use: &[], ..layer("high") }];
            let graph =
                Graph::default().with_member("low").with_member("high").with_dependency("low", "high", kind);
            let found = check(&graph, &layers, &[]);
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].path, "crates/low/Cargo.toml");
            assert!(found[0].message.starts_with("low must not depend on high"));
        }
    }

    fn layer(package: &'static str) -> Layer {
        Layer { package, may_use: &[], must_not_reach: &[], only_packages: None }
    }

    #[test]
    fn a_crate_must_not_reach_a_forbidden_package_through_another() {
        let layers = [Layer { must_not_reach: &["tokio"], ..layer("low") }];
        let graph = Graph::default()
            .with_member("low")
            .with_package("helper 1.0.0", None)
            .with_package("tokio 1.0.0", None)
            .with_dependency("low", "helper", Kind::Normal)
            .with_dependency("helper", "tokio", Kind::Normal);
        let found = check(&graph, &layers, &[]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].message.starts_with("low must not reach tokio"));
    }

    #[test]
    fn a_small_tree_stays_small() {
        let found = messages(&graph().with_dependency("low", "helper", Kind::Normal));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("low keeps its dependencies few and must not depend on helper"));
    }

    #[test]
    fn a_reserved_package_is_for_its_members_only() {
        let layers = [layer("low"), Layer { may_use: &["low"], ..layer("high") }];
        let found = check(&graph().with_dependency("low", "axum", Kind::Normal), &layers, AXUM);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].message.starts_with("low must not depend on axum: only high knows HTTP"));
    }

    #[test]
    fn tests_may_use_what_their_crate_may_not_but_nothing_built_on_it() {
        assert_eq!(
            messages(&graph().with_dependency("low", "tokio", Kind::Development)),
            Vec::<String>::new()
        );
        let found = messages(&graph().with_dependency("low", "high", Kind::Development));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("low depends on high for its tests, which depends on low"));
    }

    #[test]
    fn a_member_without_a_layer_and_a_layer_without_a_member_are_reported() {
        let found = messages(&graph().with_member("new"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("crates/new/Cargo.toml: layers: new is in no layer"));
        let found = check(&Graph::default(), &[layer("gone")], &[]);
        assert!(found[0].message.starts_with("there is no package gone"));
    }

    #[test]
    fn an_allowance_that_nobody_uses_is_reported() {
        let layers = [Layer { only_packages: Some(&["serde"]), ..layer("low") }];
        let found = check(&Graph::default().with_member("low"), &layers, &[]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].message.starts_with("low does not use serde"));
    }

    #[test]
    fn each_layer_uses_only_layers_above_it_in_the_table() {
        for (position, layer) in LAYERS.iter().enumerate() {
            for used in layer.may_use {
                let is_above = LAYERS[..position].iter().any(|above| above.package == *used);
                assert!(is_above, "{} may use {used}, which is not above it", layer.package);
            }
        }
    }
}
