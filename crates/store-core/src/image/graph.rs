//! The graph of an image, which is checked once.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;

use constellation_types::Type;

use crate::{DagSpec, InvalidDag};

/// The graph of an image: a [`DagSpec`] that remembers whether it was found to be well formed.
///
/// An image is decoded, stored and bound to modules, each of which relies on that. Whoever changes the graph makes it
/// forget, so that what it remembers is always of the graph that it is.
#[derive(Clone, Default)]
pub struct ImageGraph {
    spec: DagSpec,
    /// The types of the type table, once the graph was found to be well formed.
    types: OnceLock<Vec<Type>>,
}

impl ImageGraph {
    /// The types of the type table. Checks the graph as [`DagSpec::validate`] does, unless that was done before.
    ///
    /// # Errors
    ///
    /// [`InvalidDag`] when the graph is not well formed.
    pub fn types(&self) -> Result<&[Type], InvalidDag> {
        if let Some(types) = self.types.get() {
            return Ok(types);
        }
        let types = self.spec.validate()?;
        Ok(self.types.get_or_init(|| types))
    }
}

impl From<DagSpec> for ImageGraph {
    fn from(spec: DagSpec) -> Self {
        Self { spec, types: OnceLock::new() }
    }
}

impl Deref for ImageGraph {
    type Target = DagSpec;

    fn deref(&self) -> &DagSpec {
        &self.spec
    }
}

impl DerefMut for ImageGraph {
    fn deref_mut(&mut self) -> &mut DagSpec {
        self.types = OnceLock::new();
        &mut self.spec
    }
}

/// As the graph itself: what it remembers is no part of it.
impl fmt::Debug for ImageGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spec.fmt(f)
    }
}

impl PartialEq for ImageGraph {
    fn eq(&self, other: &Self) -> bool {
        self.spec == other.spec
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::image;
    use crate::{PipelineImage, TypeIndex};

    #[test]
    fn a_decoded_graph_knows_that_it_is_well_formed_until_it_is_changed() {
        let mut graph = PipelineImage::decode(&image().encode()).unwrap().image.dag_spec;
        assert!(graph.types.get().is_some());
        assert_eq!(graph.types(), Ok(&graph.validate().unwrap()[..]));
        let same = graph.clone();
        graph.nodes[0].ty = TypeIndex(1);
        assert!(graph.types.get().is_none());
        assert_ne!(graph, same);
        assert_eq!(graph.types(), Err(graph.validate().unwrap_err()));
        assert!(same.types().is_ok(), "a copy is a graph of its own");
        graph.nodes[0].ty = TypeIndex(0);
        assert!(graph.types().is_ok());
        assert_eq!(graph, same);
    }

    #[test]
    fn a_graph_that_was_not_decoded_is_checked_when_it_is_asked() {
        let image = image();
        assert!(image.dag_spec.types.get().is_none());
        image.verify().unwrap();
        assert!(image.dag_spec.types.get().is_some());
    }
}
