//! Lambdas, and the calls that they are given to.

use std::sync::Arc;

use constellation_store_core::{Argument, NodeIndex, NodeKind, NodeSpec, Region};
use constellation_types::{FunctionSignature, Type};

use super::{Loader, Refusal, refuse};
use crate::pipeline::certain;
use crate::relations::{Instance, fits};
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

impl<'a> Loader<'a> {
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
        Ok(LoadedLambda {
            captures: captures.into(),
            start,
            end,
            parameters: function.parameters.clone(),
            result,
            certain: certain([result], start, &self.nodes).into(),
            lambdas_around: self.lambdas_around[index],
        })
    }

    /// The arguments of a call that are values, and those that are lambdas, each in the order of the signature.
    pub(super) fn arguments<'s: 'i, 'i>(
        &self,
        signature: &'s FunctionSignature,
        arguments: &[Argument],
        instance: &mut Instance<'i>,
    ) -> Result<(Box<[NodeIndex]>, Box<[Arc<LoadedLambda>]>), Refusal>
    where
        'a: 'i,
    {
        let mut values = Vec::with_capacity(arguments.len());
        let mut functions = Vec::new();
        for (argument, parameter) in arguments.iter().zip(&signature.parameters) {
            let found = self.ty(argument.node);
            if !instance.accepts(&parameter.ty, found) {
                return refuse(format!("gives '{}' of {signature} a {found}", argument.name));
            }
            if !matches!(parameter.ty, Type::Function(_)) {
                self.expect_data(argument.node)?;
                values.push(argument.node);
                continue;
            }
            match &self.nodes[argument.node.index()].operation {
                Operation::Lambda(lambda) => functions.push(Arc::clone(lambda)),
                _ => {
                    let node = argument.node.0;
                    return refuse(format!(
                        "gives '{}' of {signature} nodes[{node}], which is no lambda",
                        argument.name
                    ));
                }
            }
        }
        // A variable may have become wider since a lambda was looked at, and what takes the narrower type does not
        // take the wider one.
        for (argument, parameter) in arguments.iter().zip(&signature.parameters) {
            let (Type::Function(expected), Type::Function(found)) = (&parameter.ty, self.ty(argument.node))
            else {
                continue;
            };
            let takes = expected
                .parameters
                .iter()
                .zip(&found.parameters)
                .all(|(given, taken)| instance.apply(given).is_some_and(|given| fits(&given, taken)));
            let gives = instance.apply(&expected.result).is_some_and(|wanted| fits(&found.result, &wanted));
            if !takes || !gives {
                let found = self.ty(argument.node);
                return refuse(format!("gives '{}' of {signature} a {found}", argument.name));
            }
        }
        Ok((values.into(), functions.into()))
    }
}
