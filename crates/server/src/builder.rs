//! Putting a server together: store, modules, pipelines, limits; then serving until told to stop.
//!
//! The only module that names store backends: it opens the one that was asked for, and hands on `dyn
//! PipelineStore`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use constellation_module::ModuleRegistry;
use constellation_store_core::{ErrorKind, PipelineStore, StoreError};
use constellation_store_fs::FileSystemPipelineStore;
use constellation_store_mem::InMemoryPipelineStore;
use tokio::net::TcpListener;

/// Of `constellation-store-mem`: what a program calls before it starts threads.
pub use constellation_store_mem::prepare_process;

use crate::auth::ApiKeys;
use crate::bound::BoundAddress;
use crate::config::{Limits, LoaderConfig};
use crate::connections::{self, Drained};
use crate::error::ServiceError;
use crate::http::{AllowedSites, App, Auth, routers};
use crate::loader::{self, LoadError, LoadReport};
use crate::metrics::Metrics;
use crate::service::PipelineService;

/// Where [`Builder::run`] listens unless it is told otherwise.
pub(crate) const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// A server that is ready to serve: its store is open and its pipelines are loaded.
#[derive(Debug)]
pub struct ConstellationServer {
    app: Arc<App>,
    limits: Limits,
    auth: Auth,
    insecure: bool,
    report: Option<LoadReport>,
}

/// Why a server did not start, or did not end as it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The store cannot be opened or does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The startup loader did not come to an end.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// What is lost in the store could not be looked for.
    #[error(transparent)]
    Restore(#[from] ServiceError),
    /// Everybody on the network could use the server.
    #[error(
        "listening on {address} would let everybody who reaches it compile and run pipelines; set API keys \
         (CONSTELLATION_API_KEYS), listen on a loopback address, or allow it with --insecure"
    )]
    Insecure {
        /// The address.
        address: SocketAddr,
    },
    /// Every web site could use the server.
    #[error(
        "'*' in cors_origins would let every web site that a person visits compile and run pipelines; set API keys \
         (CONSTELLATION_API_KEYS), list the sites, or allow it with --insecure"
    )]
    EveryWebSite,
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {address}; where it is taken or not permitted, choose another one with --listen"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The listener has no address.
    #[error("the listener has no local address: {0}")]
    Listener(std::io::Error),
}

/// What a server is made of. The default is an in-memory store and no startup loader.
#[derive(Debug)]
#[must_use = "a builder does nothing until `build`, `serve` or `run`"]
pub struct Builder {
    registry: ModuleRegistry,
    store: StoreChoice,
    loader: Option<LoaderConfig>,
    limits: Limits,
    auth: Auth,
    address: SocketAddr,
    insecure: bool,
}

#[derive(Debug)]
enum StoreChoice {
    Memory,
    Directory(PathBuf),
    Given(Arc<dyn PipelineStore>),
}

impl ConstellationServer {
    /// A server whose programs can call the modules of `registry`.
    ///
    /// ```
    /// use constellation_module::{DataType, ModuleBuilder, ModuleRegistry};
    /// use constellation_server::ConstellationServer;
    ///
    /// #[derive(serde::Deserialize, DataType)]
    /// struct Order {
    ///     quantity: u32,
    ///     price: f64,
    /// }
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut registry = ModuleRegistry::new();
    /// registry.register(
    ///     ModuleBuilder::new("Total").function(|order: Order| f64::from(order.quantity) * order.price),
    /// )?;
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// let shutdown = async { /* completes when the server is to stop */ };
    /// ConstellationServer::builder(registry).serve(listener, shutdown).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(registry: ModuleRegistry) -> Builder {
        Builder {
            registry,
            store: StoreChoice::Memory,
            loader: None,
            limits: Limits::default(),
            auth: Auth::default(),
            address: DEFAULT_ADDRESS,
            insecure: false,
        }
    }

    /// What the startup loader did; none when there is no loader.
    pub fn load_report(&self) -> Option<&LoadReport> {
        self.report.as_ref()
    }

    /// The service behind the API.
    pub fn service(&self) -> &Arc<PipelineService> {
        &self.app.service
    }

    /// Serves until `shutdown` completes: then `/ready` answers 503, no connection is accepted any more, requests
    /// under way are answered within a deadline, and the store is closed.
    ///
    /// # Errors
    ///
    /// * [`StartError::Insecure`] when the listener is not on a loopback address, there are no API keys, and that was
    ///   not allowed.
    /// * [`StartError::EveryWebSite`] when pages of all web sites are, there are no API keys, and that was not allowed.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), StartError> {
        let address = listener.local_addr().map_err(StartError::Listener)?;
        let Self { app, limits, auth, insecure, report: _ } = self;
        check_access(address, &auth.keys, &auth.sites, insecure)?;
        let service = Arc::clone(&app.service);
        let check = tokio::spawn(async move {
            if let Err(error) = service.check_all().await {
                tracing::warn!(%error, "the stored pipelines were not all checked");
            }
        });
        let stop = async {
            shutdown.await;
            app.drain();
            tracing::info!("stopping: requests under way are finished");
            tokio::time::sleep(limits.drain_delay).await;
        };
        let routers = routers(&app, auth, address);
        match connections::serve(listener, routers, &limits, app.metrics.connections(), stop).await {
            Drained::Completely => tracing::info!("every request was answered"),
            Drained::Deadline { connections } => {
                tracing::warn!(connections, deadline = ?limits.drain_deadline, "connections were closed at the deadline");
            }
        }
        check.abort();
        match app.service.store().close().await {
            Ok(()) => tracing::info!("the store is closed"),
            // Nothing acknowledged is lost then, and nobody has to do anything before the next start.
            Err(error) => {
                tracing::warn!(%error, "the store was not closed in order; the next start completes it");
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn router(&self) -> axum::Router {
        axum::Router::new().fallback_service(routers(&self.app, self.auth.clone(), DEFAULT_ADDRESS)())
    }

    #[cfg(test)]
    pub(crate) fn app(&self) -> &Arc<App> {
        &self.app
    }
}

impl Builder {
    /// Keeps pipelines in `directory`, which is made if it is not there.
    pub fn with_persistent_pipeline_store(mut self, directory: impl Into<PathBuf>) -> Self {
        self.store = StoreChoice::Directory(directory.into());
        self
    }

    /// Keeps pipelines in this store. It is closed when the server stops.
    pub fn with_store(mut self, store: Arc<dyn PipelineStore>) -> Self {
        self.store = StoreChoice::Given(store);
        self
    }

    /// Publishes the `.cst` files of a directory at start.
    pub fn with_pipeline_loader(mut self, config: LoaderConfig) -> Self {
        self.loader = Some(config);
        self
    }

    /// Other limits than the default ones.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Where [`Builder::run`] listens: `127.0.0.1:8080` by default.
    pub fn with_address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Asks each request for one of these keys, but for those that tell whether the server is alive and ready, and
    /// what it counts.
    pub fn with_auth(mut self, keys: ApiKeys) -> Self {
        self.auth.keys = keys;
        self
    }

    /// Takes requests for these hosts and from these web sites, besides those of the server itself.
    pub fn with_allowed_sites(mut self, sites: AllowedSites) -> Self {
        self.auth.sites = sites;
        self
    }

    /// Allows to listen on an address that others can reach, and pages of every web site, without API keys: everybody
    /// who reaches the server, or gets a person to visit a page, can compile and run pipelines.
    pub fn allow_insecure(mut self) -> Self {
        self.insecure = true;
        self
    }

    /// Opens the store and loads the pipelines. One that cannot be loaded does not keep the server from starting,
    /// unless the loader was told so.
    ///
    /// # Errors
    ///
    /// [`StartError::Store`], [`StartError::Load`] and [`StartError::Restore`].
    pub async fn build(self) -> Result<ConstellationServer, StartError> {
        let Self { registry, store, loader, limits, auth, address: _, insecure } = self;
        let store = match store {
            StoreChoice::Memory => Arc::new(InMemoryPipelineStore::new()),
            StoreChoice::Directory(directory) => open_directory(directory).await?,
            StoreChoice::Given(store) => store,
        };
        // Before anything is committed, so that no failure can have made it so.
        let is_for_reading = store.status().await.is_ok_and(|status| status.read_only.is_some());
        let metrics = Arc::new(Metrics::new(&registry, &limits));
        let service = PipelineService::with_metrics(store, registry, &limits, Arc::clone(&metrics));
        let service = Arc::new(service);
        let loaded = load(&service, loader.as_ref()).await;
        let report = match loaded {
            Ok(report) => report,
            Err(error) => {
                // The first error is the one to tell.
                if let Err(error) = service.store().close().await {
                    tracing::warn!(%error, "the store was not closed in order");
                }
                return Err(error);
            }
        };
        let app = App::new(service, metrics, &limits, is_for_reading).with_loader(loader);
        let app = Arc::new(app);
        Ok(ConstellationServer { app, limits, auth, insecure, report })
    }

    /// Builds the server and serves on a listener until `shutdown` completes.
    ///
    /// # Errors
    ///
    /// Those of [`Builder::build`] and [`ConstellationServer::serve`].
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), StartError> {
        self.build().await?.serve(listener, shutdown).await
    }

    /// Builds the server and serves on its address until the process is told to stop.
    ///
    /// # Errors
    ///
    /// Those of [`Builder::build`] and [`ConstellationServer::serve`], and [`StartError::Listen`].
    pub async fn run(self) -> Result<(), StartError> {
        let address = self.address;
        check_access(address, &self.auth.keys, &self.auth.sites, self.insecure)?;
        let bound = BoundAddress::bind(address)?;
        let server = self.build().await?;
        server.serve(bound.listen()?, shutdown_signal()).await
    }
}

/// Completes when the process is told to stop: by Ctrl-C, or by SIGTERM where there is such a thing.
///
/// # Panics
///
/// When the system does not let the process wait for signals, or outside of a tokio runtime.
pub async fn shutdown_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).expect("a process can wait for SIGTERM");
        let mut interrupt = signal(SignalKind::interrupt()).expect("a process can wait for SIGINT");
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await.expect("a process can wait for Ctrl-C");
}

/// Refuses an address that others can reach, and pages of every web site, unless they need keys or that is allowed.
///
/// # Errors
///
/// [`StartError::Insecure`] and [`StartError::EveryWebSite`].
pub fn check_access(
    address: SocketAddr,
    keys: &ApiKeys,
    sites: &AllowedSites,
    insecure: bool,
) -> Result<(), StartError> {
    if insecure || !keys.is_empty() {
        Ok(())
    } else if !address.ip().to_canonical().is_loopback() {
        Err(StartError::Insecure { address })
    } else if sites.takes_every_site() {
        Err(StartError::EveryWebSite)
    } else {
        Ok(())
    }
}

async fn load(
    service: &PipelineService,
    config: Option<&LoaderConfig>,
) -> Result<Option<LoadReport>, StartError> {
    let report = match config {
        Some(config) => Some(loader::load(service, config).await?),
        None => None,
    };
    // After the loader: a file that was edited needs no healing of what it replaces.
    service.restore_missing().await?;
    Ok(report)
}

async fn open_directory(directory: PathBuf) -> Result<Arc<dyn PipelineStore>, StoreError> {
    let opened = tokio::task::spawn_blocking(|| FileSystemPipelineStore::open(directory)).await;
    let store = opened.unwrap_or_else(|error| {
        let message = "opening it did not come to an end";
        Err(StoreError::new(ErrorKind::Unavailable, "open store", message).with_source(error))
    })?;
    Ok(Arc::new(store))
}
