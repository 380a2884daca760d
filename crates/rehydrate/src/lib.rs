//! Binds a pipeline image to live modules: [`rehydrate`] makes a [`LoadedPipeline`], which a runtime runs.
//!
//! An image is data that someone stored, perhaps long ago and with another program. So everything that running
//! relies on is checked here, once: that each required module is registered with the signature that the image was
//! compiled against, that the graph is well formed, and that each node's operands have the types that its
//! operation needs. What running needs to know of types (positions of fields, names of records, conversions) is
//! worked out here too, so that a run looks nothing up.
//!
//! **Must not know:** stores, source text.
//!
//! A function is not a value. So a lambda may stand nowhere but as an argument of a call whose parameter is a function,
//! and everything else, inputs and outputs among it, is of a type without functions; whatever is not is refused.

mod coercion;
mod error;
mod load;
mod pipeline;
mod relations;
mod requires;
mod steps;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use constellation_module::types::FunctionSignature;
use constellation_module::{Module, ModuleRegistry};
use constellation_store_core::{PipelineImage, SignatureHash};

pub use coercion::{Coercion, FieldCoercion, MemberCoercion};
pub use error::{Problem, RehydrateError};
pub use pipeline::{
    Alternative, Binding, CachePolicy, FieldAccess, FieldNames, LoadedCall, LoadedCase, LoadedInput,
    LoadedLambda, LoadedNode, LoadedOutput, LoadedPipeline, MergeField, MergeShape, Number, Operation,
    Recovery, RetryPolicy,
};
pub use steps::{CallOnIntegers, Step};

/// Binds `image` to the modules of `registry`. Who binds many images makes a [`Rehydrator`] first.
///
/// Takes time linear in the size of the graph.
///
/// # Errors
///
/// [`RehydrateError`] with everything that stands in the way: modules that are missing or have another contract,
/// then places where the graph makes no sense.
pub fn rehydrate(
    image: Arc<PipelineImage>,
    registry: &ModuleRegistry,
) -> Result<LoadedPipeline, RehydrateError> {
    bind(image, registry, |module| SignatureHash::of(&module.spec().signature))
}

/// Binds images to the modules of a registry, whose signatures it hashes once. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Rehydrator {
    registry: ModuleRegistry,
    /// By the name of the module.
    hashes: Arc<HashMap<Arc<str>, SignatureHash>>,
}

impl Rehydrator {
    /// For the modules that are registered now.
    pub fn new(registry: ModuleRegistry) -> Self {
        let hash =
            |signature: &FunctionSignature| (Arc::clone(&signature.module), SignatureHash::of(signature));
        let hashes = Arc::new(registry.signatures().map(hash).collect());
        Self { registry, hashes }
    }

    /// The modules.
    pub fn registry(&self) -> &ModuleRegistry {
        &self.registry
    }

    /// Binds `image`.
    ///
    /// Takes time linear in the size of the graph.
    ///
    /// # Errors
    ///
    /// As [`rehydrate`].
    pub fn rehydrate(&self, image: Arc<PipelineImage>) -> Result<LoadedPipeline, RehydrateError> {
        bind(image, &self.registry, |module| self.hashes[&module.spec().signature.module])
    }
}

fn bind(
    image: Arc<PipelineImage>,
    registry: &ModuleRegistry,
    hash: impl Fn(&dyn Module) -> SignatureHash,
) -> Result<LoadedPipeline, RehydrateError> {
    let types =
        image.dag_spec.types().map_err(|error| RehydrateError::new(vec![Problem::Graph(error)]))?.to_vec();
    let modules = requires::resolve(&image.dag_spec.requires, registry, hash).map_err(RehydrateError::new)?;
    let nodes = load::nodes(&image.dag_spec, &types, &modules).map_err(RehydrateError::new)?;
    Ok(LoadedPipeline::new(image, types, nodes))
}
