//! The command line, as it is written.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

use crate::config::Flags;

/// Compile, store and run typed dataflow pipelines.
#[derive(Debug, Parser)]
#[command(name = "constellation", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(
        about = "Serve pipelines over HTTP",
        long_about = "Serve pipelines over HTTP.\n\nOptions win over environment variables, and those over the \
                      configuration file. Prints 'listening on \
                      http://ADDRESS' on standard output when it serves; everything else goes to standard error. \
                      SIGTERM and Ctrl-C finish the requests under way and exit."
    )]
    Serve(Flags),

    #[command(
        about = "Look at the configuration that 'serve' would use, and check it",
        long_about = "Look at the configuration that 'serve' would use, and check it.\n\nTakes the options of 'serve'. \
                      Exit codes: 0 done and sound, 1 the server would not start, 2 it could not be done."
    )]
    Config(ConfigArgs),

    #[command(
        about = "Compile files, and show what is wrong with them",
        long_about = "Compile files against the standard library (and, when asked to, the demonstration \
                      modules), and show what is wrong with them, without a store \
                      or a server.\n\nWhat a file compiles to goes to standard output: its structural hash, its \
                      inputs and its outputs. Diagnostics go to standard error, without color when it is no \
                      terminal or NO_COLOR is set. Exit codes: 0 all files compile, perhaps with warnings, 1 some \
                      have errors, 2 some cannot be read."
    )]
    Compile(CompileArgs),

    #[command(
        about = "Look at a store, check it, move it, and tidy it up",
        long_about = "Look at a store, check it, move it, and tidy it up.\n\nls, show, versions, verify, export, and \
                      gc and prune with --dry-run change nothing, and work beside a running server; the others need the store for \
                      themselves. Exit codes: 0 done and sound, 1 something was found (damage, or no such \
                      pipeline), 2 it could not be done."
    )]
    Store(StoreArgs),
}

// Help texts are strings, not doc comments: those would need backticks, which a terminal shows.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    #[command(about = "Print each setting with its value and where that comes from; keys are hidden")]
    Show {
        #[command(flatten)]
        flags: Flags,
        #[arg(long, help = "Write one JSON document to standard output")]
        json: bool,
    },
    #[command(about = "Check the configuration as 'serve' would, without starting")]
    Check {
        #[command(flatten)]
        flags: Flags,
    },
    #[command(
        about = "Read an API key from standard input and print what stands for it in a configuration file"
    )]
    HashKey,
}

#[derive(Debug, Args)]
pub(crate) struct CompileArgs {
    #[arg(value_name = "FILE", required = true, help = "A .cst file, or - for standard input")]
    pub(crate) files: Vec<PathBuf>,

    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        hide_possible_values = true,
        help = "Compile for a server that has the demonstration modules [env: \
                CONSTELLATION_DEMO_MODULES] [default: false]"
    )]
    pub(crate) demo_modules: Option<bool>,

    #[arg(long, help = "Write one JSON object a file and line to standard output, diagnostics included")]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    #[arg(
        long,
        value_name = "DIR",
        global = true,
        help = "The directory of the store [env: CONSTELLATION_STORE] [default: .constellation-store]"
    )]
    pub(crate) store: Option<PathBuf>,

    #[arg(long, global = true, help = "Write one JSON document to standard output")]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: StoreCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    #[command(about = "List the names, with what they point to")]
    Ls,
    #[command(about = "Show the image that a name or a hash leads to")]
    Show {
        #[arg(value_name = "REF", help = "A name, or a hash")]
        reference: String,
    },
    #[command(about = "List the versions of a name")]
    Versions {
        #[arg(value_name = "NAME")]
        name: String,
    },
    #[command(about = "Check every file")]
    Verify {
        #[arg(long, help = "Mend what can be mended; lost images are compiled again from their sources")]
        repair: bool,
    },
    #[command(
        about = "Remove images that no version refers to",
        long_about = "Remove images that no version refers to.\n\nThose of POST /run have no name, so that nothing \
                      tells whether a client still runs one by its hash. A name keeps an image."
    )]
    Gc {
        #[arg(long, help = "Only tell what would be removed; works beside a running server")]
        dry_run: bool,
        #[arg(
            long,
            value_name = "DURATION",
            default_value = "7d",
            help = "Only images that were compiled longer ago, such as 12h or 30d"
        )]
        older_than: String,
    },
    // A group is named in what is said when none of it is given.
    #[command(
        about = "Forget old versions of a name; the active one stays",
        group(ArgGroup::new("names").args(["name", "all"]).required(true))
    )]
    Prune {
        #[arg(value_name = "NAME")]
        name: Option<String>,
        #[arg(long, help = "Of all names")]
        all: bool,
        #[arg(
            long,
            value_name = "N",
            default_value_t = 10,
            value_parser = count,
            help = "How many of the newest stay; 0 leaves the active one alone, and none of a deleted name"
        )]
        keep: usize,
        #[arg(long, help = "Only tell what would be forgotten; works beside a running server")]
        dry_run: bool,
    },
    #[command(about = "Write the store as a tar archive")]
    Export {
        #[arg(value_name = "FILE", help = "A file that is not there yet, or - for standard output")]
        file: PathBuf,
    },
    #[command(
        about = "Take an archive into a store",
        long_about = "Take an archive into a store.\n\nWhere there is no store, one is made, in which names have \
                      all their versions. In a store that is there, the active versions of the archive become new \
                      versions of the names."
    )]
    Import {
        #[arg(value_name = "FILE", help = "A file, or - for standard input")]
        file: PathBuf,
    },
}

fn count(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "it is no whole number of at least 0".to_owned())
}

/// How logs are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
