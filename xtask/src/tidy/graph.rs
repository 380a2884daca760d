//! The resolved packages of the workspace and what depends on what.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context as _;
use cargo_metadata::{CargoOpt, DependencyKind, MetadataCommand};

/// Packages refer to each other by their index in `packages`.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    pub(crate) packages: Vec<Package>,
}

#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// SPDX expression from the manifest.
    pub(crate) licence: Option<String>,
    /// Path of the manifest from the root of the workspace, for its members.
    pub(crate) member: Option<String>,
    pub(crate) dependencies: Vec<Dependency>,
    /// Those that are turned on when everything in the workspace is built together.
    pub(crate) features: BTreeSet<String>,
}

#[derive(Debug)]
pub(crate) struct Dependency {
    pub(crate) package: usize,
    pub(crate) kinds: BTreeSet<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Normal,
    Build,
    Development,
}

impl Graph {
    /// With all features and for all platforms, so that the answer is the same on every machine.
    pub(crate) fn read(root: &Path) -> anyhow::Result<Self> {
        let metadata = MetadataCommand::new().current_dir(root).features(CargoOpt::AllFeatures).exec()?;
        let resolve = metadata.resolve.as_ref().context("cargo metadata resolved no dependencies")?;
        let indices: BTreeMap<_, _> =
            metadata.packages.iter().enumerate().map(|(index, package)| (&package.id, index)).collect();
        let mut packages: Vec<Package> = metadata
            .packages
            .iter()
            .map(|package| Package {
                name: package.name.to_string(),
                version: package.version.to_string(),
                licence: package.license.clone(),
                member: metadata.workspace_members.contains(&package.id).then(|| {
                    package
                        .manifest_path
                        .strip_prefix(&metadata.workspace_root)
                        .unwrap_or(&package.manifest_path)
                        .to_string()
                }),
                dependencies: Vec::new(),
                features: BTreeSet::new(),
            })
            .collect();
        for node in &resolve.nodes {
            let dependencies = node.deps.iter().map(|dependency| Dependency {
                package: indices[&dependency.pkg],
                kinds: dependency.dep_kinds.iter().map(|info| Kind::from(info.kind)).collect(),
            });
            let package = &mut packages[indices[&node.id]];
            package.dependencies = dependencies.collect();
            package.features = node.features.iter().map(ToString::to_string).collect();
        }
        Ok(Self { packages })
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = (usize, &Package, &str)> {
        self.packages
            .iter()
            .enumerate()
            .filter_map(|(index, package)| Some((index, package, package.member.as_deref()?)))
    }

    /// All that is built when `start` is built for use: normal and build dependencies, followed to
    /// the end. A package itself is not in it unless it was reached.
    pub(crate) fn reachable(&self, start: usize) -> BTreeSet<usize> {
        let mut reached = BTreeSet::new();
        let mut pending = vec![start];
        while let Some(package) = pending.pop() {
            for dependency in &self.packages[package].dependencies {
                let is_used = dependency.kinds.iter().any(|kind| *kind != Kind::Development);
                if is_used && reached.insert(dependency.package) {
                    pending.push(dependency.package);
                }
            }
        }
        reached
    }
}

impl From<DependencyKind> for Kind {
    fn from(kind: DependencyKind) -> Self {
        match kind {
            DependencyKind::Build => Self::Build,
            DependencyKind::Development => Self::Development,
            // The enum of the library is open; an unknown kind is held to the strictest rules.
            _ => Self::Normal,
        }
    }
}

#[cfg(test)]
pub(crate) mod sample {
    //! Small graphs for the tests of the checks.

    use super::{BTreeSet, Dependency, Graph, Kind, Package};

    impl Graph {
        /// Adds a package of the registry, as `name version`.
        pub(crate) fn with_package(mut self, name_and_version: &str, licence: Option<&str>) -> Self {
            let (name, version) = name_and_version.split_once(' ').unwrap();
            self.packages.push(Package {
                name: name.to_owned(),
                version: version.to_owned(),
                licence: licence.map(str::to_owned),
                member: None,
                dependencies: Vec::new(),
                features: BTreeSet::new(),
            });
            self
        }

        /// Adds a member of the workspace.
        pub(crate) fn with_member(self, name: &str) -> Self {
            let mut graph = self.with_package(&format!("{name} 0.1.0"), Some("MIT OR Apache-2.0"));
            graph.packages.last_mut().unwrap().member = Some(format!("crates/{name}/Cargo.toml"));
            graph
        }

        /// Adds a dependency between packages named by `name`, or `name version` where it matters.
        pub(crate) fn with_dependency(mut self, from: &str, to: &str, kind: Kind) -> Self {
            let find = |wanted: &str| {
                let is_wanted = |package: &Package| {
                    package.name == wanted || format!("{} {}", package.name, package.version) == wanted
                };
                self.packages.iter().position(is_wanted).unwrap()
            };
            let (from, package) = (find(from), find(to));
            let kinds = BTreeSet::from([kind]);
            self.packages[from].dependencies.push(Dependency { package, kinds });
            self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_tests_use_is_not_reachable() {
        let graph = Graph::default()
            .with_member("root")
            .with_package("used 1.0.0", None)
            .with_package("deep 1.0.0", None)
            .with_package("test-only 1.0.0", None)
            .with_dependency("root", "used", Kind::Normal)
            .with_dependency("used", "deep", Kind::Build)
            .with_dependency("root", "test-only", Kind::Development);
        assert_eq!(graph.reachable(0), BTreeSet::from([1, 2]));
    }

    #[test]
    fn the_graph_of_this_workspace_names_its_members_by_path() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let graph = Graph::read(root).unwrap();
        let xtask = graph.members().find(|(_, package, _)| package.name == "xtask").unwrap();
        assert_eq!(xtask.2, "xtask/Cargo.toml");
        let reached = graph.reachable(xtask.0);
        assert!(reached.iter().any(|index| graph.packages[*index].name == "cargo_metadata"));
        let json = graph.packages.iter().find(|package| package.name == "serde_json").unwrap();
        assert!(json.features.contains("float_roundtrip"));
    }
}
