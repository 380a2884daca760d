//! Well-typed programs over the whole grammar, from a seed.
//!
//! An expression is made for a type that it is to have, either exactly, so that it may stand anywhere, or as what
//! takes it expects, where literals may be narrower. Compound expressions stand in parentheses; printing the tree
//! removes those that are not needed.

mod calls;
mod expressions;
mod matches;
mod types;

pub(crate) use types::value;

use constellation_lang::FunctionTable;
use constellation_types::{Type, Value};
use fastrand::Rng;

/// What programs are made.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How many declarations a program has at most, before its outputs.
    pub max_declarations: usize,
}

/// A generated program.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its declarations in order, annotations included.
    pub declarations: Vec<String>,
    /// Its inputs, with their types.
    pub inputs: Vec<(String, Type)>,
}

impl Program {
    /// Its text, a declaration a line.
    pub fn source(&self) -> String {
        self.declarations.join("\n")
    }

    /// Values for its inputs. An optional input may be left out.
    pub fn values(&self, rng: &mut Rng) -> Vec<(String, Value)> {
        let is_given = |rng: &mut Rng, ty: &Type| !matches!(ty, Type::Optional(_)) || rng.u8(..4) > 0;
        let mut values = Vec::new();
        for (name, ty) in &self.inputs {
            if is_given(rng, ty) {
                values.push((name.clone(), types::value(rng, ty)));
            }
        }
        values
    }
}

/// Makes a program that compiles against `functions` without errors. Equal seeds make equal programs.
pub fn generate(rng: &mut Rng, functions: &FunctionTable, settings: Settings) -> Program {
    let mut generator = Generator {
        rng,
        functions,
        wildcards: Vec::new(),
        aliases: Vec::new(),
        types: Vec::new(),
        globals: Vec::new(),
        locals: Vec::new(),
        program: Program { declarations: Vec::new(), inputs: Vec::new() },
        budget: 0,
    };
    generator.imports();
    for _ in 0..generator.rng.usize(2..=settings.max_declarations) {
        generator.declaration();
    }
    generator.outputs();
    generator.program
}

/// Names of variables. Among them are those that mean something elsewhere in the grammar.
const NAMES: [&str; 20] = [
    "a",
    "b",
    "total",
    "user-id",
    "_x",
    "x1",
    "s",
    "ms",
    "cache",
    "retry",
    "example",
    "otherwise-",
    "e-",
    "count",
    "tumbling",
    "Int",
    "priority",
    "lazy-",
    "isLarge",
    "_",
];

struct Generator<'r, 'f> {
    rng: &'r mut Rng,
    functions: &'f FunctionTable,
    wildcards: Vec<String>,
    /// Aliases and the namespaces they stand for.
    aliases: Vec<(&'static str, String)>,
    types: Vec<(String, Type)>,
    /// Variables of the program, the latest binding of a name last.
    globals: Vec<(String, Type)>,
    /// Variables of the bodies around.
    locals: Vec<(String, Type)>,
    program: Program,
    /// How many compound expressions the declaration at hand may still have.
    budget: u32,
}

impl Generator<'_, '_> {
    fn imports(&mut self) {
        let namespaces: Vec<String> = self.functions.namespaces().map(str::to_owned).collect();
        for alias in ["m", "str-fns", "a", "lib"] {
            let namespace = self.pick(&namespaces).clone();
            match self.rng.u8(..6) {
                0 => {
                    self.program.declarations.push(format!("use {namespace}"));
                    self.wildcards.push(namespace);
                }
                1 => {
                    self.program.declarations.push(format!("use {namespace} as {alias}"));
                    self.aliases.push((alias, namespace));
                }
                _ => {}
            }
        }
    }

    fn declaration(&mut self) {
        self.budget = 12;
        match self.rng.u8(..10) {
            0 => {
                let name = format!("T{}", self.types.len());
                let ty = self.ty(2);
                let text = self.type_text(&ty);
                self.program.declarations.push(format!("type {name} = {text}"));
                self.types.push((name, ty));
            }
            1 | 2 => {
                let ty = self.ty(2);
                self.input(ty);
            }
            3 => self.output(),
            _ => {
                let ty = self.ty(2);
                let value = self.exact(&ty, 4);
                let name = self.assigned_name();
                self.program.declarations.push(format!("{name} = {value}"));
                self.globals.push((name, ty));
            }
        }
    }

    /// A new name, or one that is shadowed from here on.
    fn assigned_name(&mut self) -> String {
        let name = *self.pick(&NAMES);
        if self.rng.u8(..3) == 0 { name.to_owned() } else { format!("{name}{}", self.globals.len()) }
    }

    /// Declares an input, and tells its name.
    fn input(&mut self, ty: Type) -> String {
        let name = format!("in{}", self.program.inputs.len());
        let mut text = String::new();
        for _ in 0..self.rng.u8(..3) {
            if let Some(example) = self.example(&ty) {
                text = format!("{text}@example({example})\n");
            }
        }
        let ty_text = self.type_text(&ty);
        self.program.declarations.push(format!("{text}in {name}: {ty_text}"));
        self.program.inputs.push((name.clone(), ty.clone()));
        self.globals.push((name.clone(), ty));
        name
    }

    fn output(&mut self) {
        if let Some((name, _)) = self.globals.last() {
            let declaration = format!("out {name}");
            if !self.program.declarations.contains(&declaration) {
                self.program.declarations.push(declaration);
            }
        }
    }

    /// Outputs for some variables, at least one.
    fn outputs(&mut self) {
        if self.globals.is_empty() {
            self.input(Type::Int);
        }
        self.output();
        for index in 0..self.globals.len() {
            let declaration = format!("out {}", self.globals[index].0);
            if self.rng.bool() && !self.program.declarations.contains(&declaration) {
                self.program.declarations.push(declaration);
            }
        }
    }

    fn pick<'t, T>(&mut self, items: &'t [T]) -> &'t T {
        &items[self.rng.usize(..items.len())]
    }

    /// One chance in `n`.
    fn one_in(&mut self, n: u8) -> bool {
        self.rng.u8(..n) == 0
    }

    /// The variables that can be seen, each with its latest type.
    fn visible(&self) -> Vec<(String, Type)> {
        let mut visible: Vec<(String, Type)> = Vec::new();
        for (name, ty) in self.locals.iter().rev().chain(self.globals.iter().rev()) {
            if !visible.iter().any(|(known, _)| known == name) {
                visible.push((name.clone(), ty.clone()));
            }
        }
        visible
    }
}
