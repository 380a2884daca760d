//! The modules that an image requires, found in a registry.

use std::sync::Arc;

use constellation_module::{Module, ModuleRegistry};
use constellation_store_core::{Requirement, SignatureHash};

use crate::Problem;

/// A required module that is registered with the signature that the image was compiled against.
pub(crate) struct Required {
    pub(crate) name: Arc<str>,
    pub(crate) major: u32,
    pub(crate) module: Arc<dyn Module>,
}

/// The modules of `requires`, in its order, or every one that does not match. `hash` gives the hash of a module's
/// signature.
pub(crate) fn resolve(
    requires: &[Requirement],
    registry: &ModuleRegistry,
    hash: impl Fn(&dyn Module) -> SignatureHash,
) -> Result<Vec<Required>, Vec<Problem>> {
    let mut modules = Vec::with_capacity(requires.len());
    let mut problems = Vec::new();
    for requirement in requires {
        match check(requirement, registry, &hash) {
            Ok(module) => modules.push(module),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(modules) } else { Err(problems) }
}

fn check(
    requirement: &Requirement,
    registry: &ModuleRegistry,
    hash: impl Fn(&dyn Module) -> SignatureHash,
) -> Result<Required, Problem> {
    // Destructured, so that a new member stops the build until someone decides whether it is checked.
    let Requirement { name, major, signature: expected } = requirement;
    let Some(module) = registry.get(name) else {
        return Err(Problem::MissingModule { name: name.clone(), major: *major });
    };
    let signature = &module.spec().signature;
    if signature.major != *major {
        return Err(Problem::MajorVersion { name: name.clone(), expected: *major, found: signature.major });
    }
    let found = hash(&*module);
    if found != *expected {
        return Err(Problem::Signature {
            name: name.clone(),
            major: *major,
            expected: *expected,
            found,
            signature: signature.to_string(),
        });
    }
    Ok(Required { name: Arc::clone(&signature.module), major: *major, module })
}
