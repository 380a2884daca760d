//! The parameters of a query. One that nobody knows is refused, so that none is passed over: with a misspelled `dry_run`
//! a change would be made.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::respond::Failure;
use crate::wire::{ErrorCode, members, unfit};

/// The parameters of a request, or why they are not taken.
pub(super) struct Parameters<T>(Result<T, String>);

impl<T> Parameters<T> {
    pub(super) fn get(self) -> Result<T, Failure> {
        let Self(parameters) = self;
        parameters
            .map_err(|message| Failure::new(StatusCode::BAD_REQUEST, ErrorCode::InvalidParameter, message))
    }
}

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self(read(parts.uri.query().unwrap_or_default())))
    }
}

fn read<T: DeserializeOwned>(query: &str) -> Result<T, String> {
    serde_urlencoded::from_str(query).map_err(|error| {
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).unwrap_or_default();
        let names = pairs.iter().map(|(name, _)| name.as_str());
        unfit("parameter", names, members::<T>()).unwrap_or_else(|| error.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::PruneParameters;

    #[test]
    fn a_parameter_that_is_not_taken_is_told_by_its_name() {
        let PruneParameters { keep, dry_run } = read("keep=3&dry_run=true").unwrap();
        assert_eq!((keep, dry_run), (3, true));
        let PruneParameters { keep, dry_run } = read("").unwrap();
        assert_eq!((keep, dry_run), (10, false));
        for (query, message) in [
            ("dryrun=true", "unknown parameter 'dryrun'; did you mean 'dry_run'?"),
            ("force=true", "unknown parameter 'force'; there are: keep, dry_run"),
            ("keep=1&keep=1", "parameter 'keep' is given twice"),
            ("dry_run=maybe", "parameter 'dry_run' is true or false, got 'maybe'"),
            ("dry_run", "parameter 'dry_run' is true or false, got ''"),
            ("keep=-1", "parameter 'keep' is a whole number from 0, got '-1'"),
        ] {
            assert_eq!(read::<PruneParameters>(query).unwrap_err(), message, "{query}");
        }
    }
}
