//! Lambdas.

use constellation_store_core::{NodeIndex, NodeKind, NodeSpec, Region};
use constellation_types::Type;

use super::{Loader, Refusal, refuse};
use crate::relations::fits;
use crate::steps::certain;
use crate::{LoadedLambda, Operation};

/// For each node of a valid graph, how many lambdas it stands in.
pub(super) fn around(nodes: &[NodeSpec]) -> Vec<u32> {
    let mut around = vec![0; nodes.len()];
    // From the end, since a body stands before its lambda. These are the starts of the bodies around the node at
    // hand, the innermost last.
    let mut open: Vec<usize> = Vec::new();
    for (index, node) in nodes.iter().enumerate().rev() {
        while open.last().is_some_and(|start| index < *start) {
            open.pop();
        }
        around[index] = u32::try_from(open.len()).expect("a valid graph nests few bodies");
        if let NodeKind::Lambda { captures: _, body } = &node.operation {
            open.push(body.start.index());
        }
    }
    around
}

impl Loader<'_> {
    pub(super) fn lambda(
        &self,
        index: usize,
        captures: &[NodeIndex],
        body: Region,
        ty: &Type,
    ) -> Result<LoadedLambda, Refusal> {
        let Type::Function(function) = ty else { return refuse(format!("is a lambda of type {ty}")) };
        let Region { start, end, parameters, result } = body;
        if function.parameters.len() != parameters as usize {
            return refuse(format!("is a lambda of type {ty}, but its body has {parameters} parameters"));
        }
        for (place, declared) in (start.0..).zip(&function.parameters) {
            let parameter = NodeIndex(place);
            if !fits(declared, self.ty(parameter)) {
                let taken = self.ty(parameter);
                return refuse(format!("is a lambda of type {ty}, but its body takes a {taken}"));
            }
            self.expect_data(parameter)?;
        }
        self.expect(result, &function.result, "its result")?;
        self.expect_data(result)?;
        for capture in captures {
            self.expect_data(*capture)?;
        }
        let (constants, certain): (Vec<_>, Vec<_>) = certain([result], start, self.types, &self.nodes)
            .into_iter()
            .partition(|step| matches!(self.nodes[step.node.index()].operation, Operation::Constant(_)));
        Ok(LoadedLambda {
            captures: captures.into(),
            start,
            end,
            parameters: function.parameters.clone(),
            result,
            constants: constants.iter().map(|step| step.node).collect(),
            certain: certain.into(),
            lambdas_around: self.lambdas_around[index],
        })
    }
}
