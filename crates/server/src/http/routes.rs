//! Routes, each with who may use it. What is not declared here is not there.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, on};

use super::App;
use crate::auth::Role;

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

/// The routes of a server while they are declared.
#[derive(Debug, Default)]
pub(super) struct Routes {
    pub(super) router: Router<Arc<App>>,
    declared: Declared,
}

/// Who may use which route.
#[derive(Debug, Default)]
pub(super) struct Declared(BTreeMap<&'static str, Vec<(Method, Access)>>);

/// A path that is declared.
#[derive(Debug, Clone, Copy)]
pub(super) struct DeclaredPath<'a> {
    /// The pattern of the path.
    pub(super) pattern: &'static str,
    methods: &'a [(Method, Access)],
}

impl DeclaredPath<'_> {
    /// Who may use the path with a method; none when no handler is declared for it.
    pub(super) fn access(&self, method: &Method) -> Option<Access> {
        // As axum does.
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        self.methods.iter().find(|(declared, _)| declared == method).map(|(_, access)| *access)
    }

    /// The methods, as `Allow` lists them.
    pub(super) fn methods(&self) -> String {
        let methods = self.methods.iter().map(|(method, _)| match *method {
            Method::GET => "GET,HEAD",
            ref other => other.as_str(),
        });
        methods.collect::<Vec<_>>().join(",")
    }
}

impl Declared {
    /// The declaration of a pattern; none when there is none.
    pub(super) fn path(&self, pattern: &str) -> Option<DeclaredPath<'_>> {
        let (pattern, methods) = self.0.get_key_value(pattern)?;
        Some(DeclaredPath { pattern, methods })
    }

    /// Every route.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'static str, &Method, Access)> {
        let routes = |(path, methods): (&&'static str, _)| (*path, methods);
        self.0.iter().map(routes).flat_map(|(path, methods): (_, &Vec<(Method, Access)>)| {
            methods.iter().map(move |(method, access)| (path, method, *access))
        })
    }
}

impl Routes {
    pub(super) fn get<T: 'static>(
        self,
        path: &'static str,
        access: Access,
        handler: impl Handler<T, Arc<App>>,
    ) -> Self {
        self.on(Method::GET, path, access, handler)
    }

    pub(super) fn post<T: 'static>(
        self,
        path: &'static str,
        access: Access,
        handler: impl Handler<T, Arc<App>>,
    ) -> Self {
        self.on(Method::POST, path, access, handler)
    }

    pub(super) fn put<T: 'static>(
        self,
        path: &'static str,
        access: Access,
        handler: impl Handler<T, Arc<App>>,
    ) -> Self {
        self.on(Method::PUT, path, access, handler)
    }

    pub(super) fn delete<T: 'static>(
        self,
        path: &'static str,
        access: Access,
        handler: impl Handler<T, Arc<App>>,
    ) -> Self {
        self.on(Method::DELETE, path, access, handler)
    }

    pub(super) fn on<T: 'static>(
        mut self,
        method: Method,
        path: &'static str,
        access: Access,
        handler: impl Handler<T, Arc<App>>,
    ) -> Self {
        let filter = MethodFilter::try_from(method.clone()).expect("the API has methods that axum knows");
        self.router = self.router.route(path, on(filter, handler));
        self.declared.0.entry(path).or_default().push((method, access));
        self
    }

    pub(super) fn into_parts(self) -> (Router<Arc<App>>, Declared) {
        (self.router, self.declared)
    }
}
