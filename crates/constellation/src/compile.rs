//! `constellation compile`: compiles files without a store or a server, and draws what the compiler finds.
//!
//! Standard output has data, what the files compile to; standard error has the diagnostics, for people.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use constellation_lang::draw::{Palette, draw};
use constellation_lang::{Compilation, Diagnostic, FunctionTable, compile, tokenize};
use constellation_server::{DiagnosticBody, UnreadableSource, read_source};
use constellation_store_core::DagSpec;
use serde_json::{Value, json};

use crate::args::CompileArgs;
use crate::{config, modules};

/// Some file has an error.
const HAS_ERRORS: u8 = 1;
/// Some file could not be read, or the answer not be written.
pub(crate) const FAILED: u8 = 2;

/// Compiles each file in the order given. `allows_color` is false where the environment asks for plain text.
pub(crate) fn run(
    args: &CompileArgs,
    variable: impl Fn(&str) -> Option<OsString>,
    allows_color: bool,
) -> ExitCode {
    let has_demo_modules = match config::has_demo_modules(args.demo_modules, variable) {
        Ok(has_demo_modules) => has_demo_modules,
        Err(error) => {
            tell(&format!("error: {error:#}"));
            return ExitCode::from(FAILED);
        }
    };
    let functions = FunctionTable::new(modules::registry(has_demo_modules).signatures().cloned());
    let is_colored = allows_color && io::stderr().is_terminal();
    let palette = if is_colored { Palette::Terminal } else { Palette::Plain };
    let mut code = 0;
    let mut total = Counts::default();
    for path in &args.files {
        let (file_code, written) = match read(path) {
            Ok(source) => {
                let compilation = compile(&tokenize(&source), &functions);
                let counts = Counts::of(&compilation);
                total.add(counts);
                if !args.json {
                    draw_all(&shown_name(path), &source, &compilation.diagnostics, palette);
                }
                let has_errors = compilation.dag_spec.is_none();
                let written = if args.json { document(path, &compilation) } else { text(path, &compilation) };
                (if has_errors { HAS_ERRORS } else { 0 }, written)
            }
            Err(error) => {
                tell(&format!("error: {}: {error}", path.display()));
                (FAILED, if args.json { unread(path, &error) } else { String::new() })
            }
        };
        code = code.max(file_code);
        match io::stdout().write_all(written.as_bytes()).and_then(|()| io::stdout().flush()) {
            // Nobody reads on; what was found decides all the same.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                tell(&format!("error: cannot write to standard output: {error}"));
                return ExitCode::from(FAILED);
            }
            _ => {}
        }
    }
    if !args.json && total != Counts::default() {
        tell(&total.text(args.files.len()));
    }
    ExitCode::from(code)
}

/// How much was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    errors: usize,
    warnings: usize,
}

impl Counts {
    fn of(compilation: &Compilation) -> Self {
        Self { errors: compilation.errors().count(), warnings: compilation.warnings().count() }
    }

    fn add(&mut self, other: Self) {
        self.errors += other.errors;
        self.warnings += other.warnings;
    }

    fn text(self, n_files: usize) -> String {
        let count = |n: usize, what: &str| match n {
            0 => None,
            1 => Some(format!("1 {what}")),
            n => Some(format!("{n} {what}s")),
        };
        let found = [count(self.errors, "error"), count(self.warnings, "warning")];
        let found: Vec<String> = found.into_iter().flatten().collect();
        let files = count(n_files, "file").unwrap_or_default();
        format!("{} in {files}", found.join(" and "))
    }
}

fn read(path: &Path) -> Result<String, UnreadableSource> {
    if is_standard_input(path) { read_source(io::stdin().lock()) } else { read_source(File::open(path)?) }
}

fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn shown_name(path: &Path) -> String {
    if is_standard_input(path) { "<stdin>".to_owned() } else { path.display().to_string() }
}

fn tell(text: &str) {
    // Who closed standard error does not want to know.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Draws diagnostics below each other, each with its place in the source.
fn draw_all(name: &str, source: &str, diagnostics: &[Diagnostic], palette: Palette) {
    for diagnostic in diagnostics {
        tell(&format!("{}\n", draw(name, source, diagnostic, palette)));
    }
}

/// Names and types of the inputs, and those of the outputs.
type Interface<'a> = (Vec<(&'a str, String)>, Vec<(&'a str, String)>);

fn interface(dag: &DagSpec) -> Interface<'_> {
    let types = dag.validate().expect("the compiler makes well formed graphs");
    let inputs = dag.inputs.iter().map(|input| (input.name.as_str(), types[input.ty.index()].to_string()));
    let outputs = dag.outputs.iter().map(|output| {
        let ty = dag.nodes[output.node.index()].ty;
        (output.name.as_str(), types[ty.index()].to_string())
    });
    (inputs.collect(), outputs.collect())
}

/// What a file compiles to, for people: nothing when it has an error.
fn text(path: &Path, compilation: &Compilation) -> String {
    let Some(dag) = &compilation.dag_spec else { return String::new() };
    let (inputs, outputs) = interface(dag);
    let mut lines = vec![format!("{}: {}", shown_name(path), dag.structural_hash())];
    lines.extend(inputs.into_iter().map(|(name, ty)| format!("  in {name}: {ty}")));
    lines.extend(outputs.into_iter().map(|(name, ty)| format!("  out {name}: {ty}")));
    lines.join("\n") + "\n"
}

/// The same for programs, on one line, with the diagnostics.
fn document(path: &Path, compilation: &Compilation) -> String {
    let ports = |ports: Vec<(&str, String)>| -> Value {
        ports.into_iter().map(|(name, ty)| json!({ "name": name, "type": ty })).collect()
    };
    let interface = compilation.dag_spec.as_ref().map(interface);
    let (inputs, outputs) = interface.map(|(inputs, outputs)| (ports(inputs), ports(outputs))).unzip();
    line(&json!({
        "path": path.to_string_lossy(),
        "ok": compilation.dag_spec.is_some(),
        "structuralHash": compilation.dag_spec.as_ref().map(|dag| dag.structural_hash().to_string()),
        "inputs": inputs,
        "outputs": outputs,
        "diagnostics": DiagnosticBody::of(&compilation.diagnostics),
    }))
}

/// The line of a file that could not be read, with the reason.
fn unread(path: &Path, error: &UnreadableSource) -> String {
    line(&json!({
        "path": path.to_string_lossy(),
        "ok": false,
        "structuralHash": null,
        "inputs": null,
        "outputs": null,
        "diagnostics": [],
        "error": error.to_string(),
    }))
}

fn line(value: &Value) -> String {
    format!("{value}\n")
}
