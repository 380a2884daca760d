//! The `constellation` binary: arguments, environment and file to configuration, then the server of
//! `constellation-server`, until it is told to stop; or the compiler alone; or a command on a store.
//!
//! Of `serve`, standard output has one line, `listening on http://ADDRESS`; everything else goes to standard error.
//! Exit codes: 0 after a stop that was asked for, 1 when starting or serving failed, 64 for a bad configuration. Those
//! of `compile`, `config` and `store` are 0, 1 when something was found, and 2 when it could not be done.
//!
//! **Must not know:** everything that a library of this workspace knows better.

mod announce;
mod args;
mod compile;
mod config;
#[cfg(unix)]
mod descriptors;
mod logging;
mod modules;
mod store;

use std::ffi::OsStr;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use constellation_server::{BoundAddress, ConstellationServer, Limits, prepare_process, shutdown_signal};

use crate::args::{Cli, Command};
use crate::config::{Config, StoreConfig};

/// A run over HTTP makes some sixty small allocations, which take half of the instructions that glibc needs for them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Of a command line or an environment that makes no sense, as in `sysexits.h`.
const BAD_CONFIGURATION: u8 = 64;

fn main() -> ExitCode {
    // Before a runtime starts threads.
    prepare_process();
    let command = match Cli::try_parse() {
        Ok(Cli { command }) => command,
        Err(error) => {
            // Help and version are answers, not errors. Who closed the pipe does not want to read on.
            let _ = error.print();
            if !error.use_stderr() {
                return ExitCode::SUCCESS;
            }
            let mut arguments = std::env::args_os().skip(1);
            return match arguments.next().as_deref().and_then(OsStr::to_str) {
                Some("store") => store::refuse(arguments, &error.to_string()),
                Some("compile") => ExitCode::from(compile::FAILED),
                Some("config") => ExitCode::from(config::FAILED),
                _ => ExitCode::from(BAD_CONFIGURATION),
            };
        }
    };
    let variable = |name: &str| std::env::var_os(name);
    let flags = match command {
        Command::Serve(flags) => flags,
        Command::Config(args) => return config::run(args.command, variable, &unknown_variables()),
        // See no-color.org: set, and not to nothing.
        Command::Compile(args) => {
            let allows_color = variable("NO_COLOR").is_none_or(|value| value.is_empty());
            return compile::run(&args, variable, allows_color);
        }
        Command::Store(args) => return store::run(args, variable),
    };
    let config = match config::resolve(&flags, variable) {
        Ok(config) => config,
        Err(error) => return fail(&error, BAD_CONFIGURATION),
    };
    if let Err(error) = logging::start(config.log_format, logging::SERVE_LEVEL) {
        return fail(&error, BAD_CONFIGURATION);
    }
    for text in unknown_variables() {
        tracing::warn!("{text}");
    }
    match serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, 1),
    }
}

fn unknown_variables() -> Vec<String> {
    config::unknown_variables(std::env::vars_os().map(|(name, _)| name))
}

fn serve(config: Config) -> anyhow::Result<()> {
    check_descriptors().context("the files and sockets of the server cannot be opened")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the threads of the server cannot be started")?;
    runtime.block_on(async {
        outlive_file_size_limit().context("signals cannot be handled")?;
        let Config {
            store,
            loader,
            demo_modules,
            listen,
            insecure,
            api_keys,
            allowed_sites,
            limits,
            log_format,
        } = config;
        let needs_key = !api_keys.is_empty();
        let registry = modules::registry(demo_modules);
        let mut builder = ConstellationServer::builder(registry)
            .with_auth(api_keys)
            .with_allowed_sites(allowed_sites)
            .with_limits(fit(limits));
        if let StoreConfig::Directory(directory) = &store {
            store::refuse_other(directory)?;
            for warning in store::unfinished_imports(directory) {
                tracing::warn!("{warning}");
            }
            // What is there runs all the same, and a restart is not needed once it may be written.
            if let Err(error) = store::check_access(directory) {
                tracing::warn!("{error:#}");
            }
            builder = builder.with_persistent_pipeline_store(directory);
        }
        if let Some(loader) = loader {
            builder = builder.with_pipeline_loader(loader);
        }
        if insecure {
            builder = builder.allow_insecure();
        }
        // A port that is taken is told before anything is loaded. Nobody is answered, nor kept waiting, until that is
        // done.
        let address = BoundAddress::bind(listen)?;
        // From here on a signal ends the process in order, also while pipelines are still loading.
        let mut shutdown = std::pin::pin!(shutdown_signal());
        let server = tokio::select! {
            biased;
            () = &mut shutdown => {
                tracing::info!("stopped before the pipelines were loaded");
                return Ok(());
            }
            server = builder.build() => server?,
        };
        let listener = address.listen()?;
        let address = listener.local_addr().context("the listener has no address")?;
        if let StoreConfig::Directory(directory) = &store {
            announce::store(server.service(), directory).await;
        }
        announce::load_report(server.load_report(), log_format);
        // Who started the server may have closed its end; that is no reason not to serve.
        let _ = writeln!(std::io::stdout(), "listening on http://{address}");
        let service = std::sync::Arc::clone(server.service());
        let nameless = announce::nameless(server.load_report());
        let announcing = tokio::spawn(async move {
            announce::pipelines(&service, nameless, address, needs_key, log_format).await;
        });
        // Both wait for the first signal; only this one waits for another.
        let hurry = async {
            shutdown_signal().await;
            shutdown_signal().await;
        };
        let outcome = tokio::select! {
            outcome = server.serve(listener, shutdown) => outcome.map_err(anyhow::Error::from),
            // Who asks twice does not want to wait. What was acknowledged is safe either way.
            () = hurry => Err(anyhow::anyhow!("stopped before the requests under way were finished")),
        };
        announcing.abort();
        outcome
    })
}

/// The limits that the process can keep.
#[cfg(unix)]
fn fit(mut limits: Limits) -> Limits {
    limits.max_connections = descriptors::room_for_connections(limits.max_connections);
    limits
}

#[cfg(not(unix))]
fn fit(limits: Limits) -> Limits {
    limits
}

/// Whether there is room for the descriptors of the runtime, which panics where there is none. Once it runs, every
/// failure to open something is an error.
#[cfg(unix)]
fn check_descriptors() -> std::io::Result<()> {
    use std::os::unix::net::UnixStream;
    /// Two descriptors each, together more than the runtime opens.
    const PAIRS: usize = 5;
    (0..PAIRS).map(|_| UnixStream::pair()).collect::<Result<Vec<_>, _>>().map(drop)
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the same signature everywhere")]
fn check_descriptors() -> std::io::Result<()> {
    Ok(())
}

/// Lets a write beyond the limit on the size of files (`ulimit -f`) fail like one on a full disk, which the store
/// knows how to answer. The signal that comes with it would end the process.
#[cfg(unix)]
fn outlive_file_size_limit() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    // The handler stays when nobody listens to it any more.
    signal(SignalKind::from_raw(libc::SIGXFSZ)).map(drop)
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the same signature everywhere")]
fn outlive_file_size_limit() -> std::io::Result<()> {
    Ok(())
}

fn fail(error: &anyhow::Error, code: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "error: {error:#}");
    ExitCode::from(code)
}
