//! Which request a task answers, for whoever writes the log.

use super::layer::RequestId;

tokio::task_local! {
    static CURRENT: CurrentRequest;
}

/// The request that the current task answers.
///
/// It is what a span of level `info` would tell. To make, fill and drop one takes some 3,000 instructions for each request,
/// and most requests log nothing; this takes few, and a log line gets it from whoever writes lines.
///
/// ```
/// use constellation_server::CurrentRequest;
///
/// fn line(message: &str) -> String {
///     match CurrentRequest::get() {
///         Some(request) => format!("{message} ({} {}, {})", request.method(), request.route(), request.id()),
///         None => message.to_owned(),
///     }
/// }
/// assert_eq!(line("not of a request"), "not of a request");
/// ```
#[derive(Debug, Clone)]
pub struct CurrentRequest {
    id: RequestId,
    method: &'static str,
    route: &'static str,
}

impl CurrentRequest {
    pub(super) fn new(id: RequestId, method: &'static str, route: &'static str) -> Self {
        Self { id, method, route }
    }

    /// None in a task that answers no request, such as one that a module started.
    pub fn get() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// The pattern of the path of the request that the current task answers.
    pub(super) fn pattern() -> Option<&'static str> {
        CURRENT.try_with(|current| current.route).ok()
    }

    pub(super) fn into_id(self) -> RequestId {
        self.id
    }

    /// Answers it: within `work`, [`CurrentRequest::get`] is this request.
    pub(super) fn answer<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, work)
    }

    /// The `X-Request-ID` of its answer: at most 64 ASCII letters, digits and `-_.:`.
    pub fn id(&self) -> &str {
        self.id.as_str()
    }

    /// The method in capitals; `OTHER` for one that no route has.
    pub fn method(&self) -> &'static str {
        self.method
    }

    /// The pattern of the path, such as `/pipelines/{ref}`; `unmatched` when there is no such route.
    pub fn route(&self) -> &'static str {
        self.route
    }
}
