//! Routes, each with who may use it. What is not declared here is not there.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::handler::Handler;
use axum::http::{Method, Uri};
use axum::response::Response;
use axum::routing::future::RouteFuture;
use axum::routing::{MethodFilter, MethodRouter, any};
use crossbeam_utils::CachePadded;
use tower::Service;
use tower_http::cors::CorsLayer;

use super::App;
use super::auth::Gate;
use super::layer::{self, RequestId};
use super::respond;
use crate::auth::Role;

/// Stands for the pattern of a path that no route has.
const UNMATCHED: &str = "unmatched";

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Everybody, under whatever name they reach the server: probes have neither keys nor names.
    Open,
    /// The same, but with `?verbose` it tells names and needs [`Role::ReadOnly`].
    OpenUnlessVerbose,
    /// Who has a key of this role or of a greater one; everybody when there are no keys.
    For(Role),
}

/// What is known of a request once its route is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    /// The pattern, never the path: a label for each path that a client can think of would fill the memory.
    pub(super) pattern: &'static str,
    pub(super) access: Access,
}

/// What routes share: the [`App`], and what is asked of requests before. Every request has clones of it, which are
/// counted in one place for each router, apart from what is read.
#[derive(Debug, Clone)]
pub(super) struct Guarded(Arc<CachePadded<Shared>>);

#[derive(Debug)]
struct Shared {
    app: Arc<App>,
    gate: Arc<Gate>,
}

impl Guarded {
    pub(super) fn new(app: Arc<App>, gate: Arc<Gate>) -> Self {
        Self(Arc::new(CachePadded::new(Shared { app, gate })))
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.0.gate
    }
}

impl Deref for Guarded {
    type Target = App;

    fn deref(&self) -> &App {
        &self.0.app
    }
}

/// The routes of a server while they are declared.
#[derive(Debug, Default)]
pub(super) struct Routes {
    methods: BTreeMap<&'static str, MethodRouter<Guarded>>,
    declared: Declared,
}

/// Who may use which route.
#[derive(Debug, Default)]
pub(super) struct Declared(BTreeMap<&'static str, Vec<(Method, Access)>>);

impl Declared {
    /// Every route.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'static str, &Method, Access)> {
        let routes = |(path, methods): (&&'static str, _)| (*path, methods);
        self.0.iter().map(routes).flat_map(|(path, methods): (_, &Vec<(Method, Access)>)| {
            methods.iter().map(move |(method, access)| (path, method, *access))
        })
    }

    /// The methods of a path, as `Allow` lists them.
    fn methods(&self, path: &str) -> String {
        let methods = self.0.get(path).into_iter().flatten().map(|(method, _)| match *method {
            // As axum does.
            Method::GET => "GET,HEAD",
            ref other => other.as_str(),
        });
        methods.collect::<Vec<_>>().join(",")
    }
}

impl Routes {
    pub(super) fn get<T: 'static>(
        self,
        path: &'static str,
        access: Access,
        handler: impl Handler<T, Guarded>,
    ) -> Self {
        self.on(Method::GET, path, access, handler)
    }

    pub(super) fn post<T: 'static>(
        self,
        path: &'static str,
        access: Access,
        handler: impl Handler<T, Guarded>,
    ) -> Self {
        self.on(Method::POST, path, access, handler)
    }

    pub(super) fn put<T: 'static>(
        self,
        path: &'static str,
        access: Access,
        handler: impl Handler<T, Guarded>,
    ) -> Self {
        self.on(Method::PUT, path, access, handler)
    }

    pub(super) fn delete<T: 'static>(
        self,
        path: &'static str,
        access: Access,
        handler: impl Handler<T, Guarded>,
    ) -> Self {
        self.on(Method::DELETE, path, access, handler)
    }

    pub(super) fn on<T: 'static>(
        mut self,
        method: Method,
        path: &'static str,
        access: Access,
        handler: impl Handler<T, Guarded>,
    ) -> Self {
        let filter = MethodFilter::try_from(method.clone()).expect("the API has methods that axum knows");
        let handler = Around { route: Route { pattern: path, access }, handler };
        let methods = self.methods.remove(path).unwrap_or_default();
        self.methods.insert(path, methods.on(filter, handler));
        self.declared.0.entry(path).or_default().push((method, access));
        self
    }

    /// The routes, and an answer to everything else. Who has no key does not learn which routes there are.
    pub(super) fn into_parts(self) -> (Methods, Declared) {
        let Self { methods, declared } = self;
        let access = Access::For(Role::ReadOnly);
        let no_route = Around {
            route: Route { pattern: UNMATCHED, access },
            handler: async |request_id: RequestId, uri: Uri| respond::no_route(&request_id, &uri),
        };
        let by_pattern = methods.into_iter().map(|(pattern, methods)| {
            let allowed = Arc::<str>::from(declared.methods(pattern));
            let not_allowed = Around {
                route: Route { pattern, access },
                handler: async move |request_id: RequestId, method: Method, uri: Uri| {
                    respond::method_not_allowed(&request_id, &method, &uri, &allowed)
                },
            };
            (pattern, methods.fallback(not_allowed))
        });
        (Methods { by_pattern: by_pattern.collect(), otherwise: any(no_route) }, declared)
    }
}

/// The methods of each path, before they know what routes share.
#[derive(Debug)]
pub(super) struct Methods {
    by_pattern: BTreeMap<&'static str, MethodRouter<Guarded>>,
    /// For paths of no route.
    otherwise: MethodRouter<Guarded>,
}

impl Methods {
    /// Puts CORS around everything.
    pub(super) fn layer(self, cors: &CorsLayer) -> Self {
        let Self { by_pattern, otherwise } = self;
        let layered = by_pattern.into_iter().map(|(pattern, methods)| (pattern, methods.layer(cors.clone())));
        Self { by_pattern: layered.collect(), otherwise: otherwise.layer(cors.clone()) }
    }

    pub(super) fn router(&self, guarded: &Guarded) -> Router {
        let with_state = |methods: &MethodRouter<Guarded>| methods.clone().with_state(guarded.clone());
        let mut by_path = matchit::Router::new();
        for (pattern, methods) in &self.by_pattern {
            by_path.insert(*pattern, with_state(methods)).expect("no two patterns fit the same path");
        }
        Router { by_path, otherwise: with_state(&self.otherwise) }
    }
}

/// Finds the methods of a path, by the tree that axum has for it. The router of axum puts the parameters of the path into
/// a map of the request as well, an empty list of them, too, which takes longer than all else that it does.
#[derive(Clone)]
pub(crate) struct Router {
    by_path: matchit::Router<MethodRouter>,
    otherwise: MethodRouter,
}

impl Service<Request> for Router {
    type Response = Response;
    type Error = Infallible;
    type Future = RouteFuture<Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let methods = match self.by_path.at_mut(request.uri().path()) {
            Ok(found) => found.value,
            Err(_) => &mut self.otherwise,
        };
        methods.call(request)
    }
}

/// A handler with what is around every one of them. Not a layer of axum, which would cost some more allocations for each
/// request, and would have to find out the route again.
#[derive(Clone)]
struct Around<H> {
    route: Route,
    handler: H,
}

impl<T: 'static, H: Handler<T, Guarded>> Handler<T, Guarded> for Around<H> {
    type Future = Pin<Box<dyn Future<Output = Response> + Send>>;

    fn call(self, request: Request, guarded: Guarded) -> Self::Future {
        let Self { route, handler } = self;
        Box::pin(layer::around(guarded, route, request, |request, guarded| handler.call(request, guarded)))
    }
}
