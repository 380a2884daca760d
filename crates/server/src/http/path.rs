//! The parameters of a path. The extractor of axum reads them from a map that its router makes for each request.

use std::array;
use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;

use super::current::CurrentRequest;
use super::respond::Failure;
use crate::wire::ErrorCode;

/// The parameters that the pattern of a route names, in its order, or why they are not taken.
#[derive(Debug)]
pub(super) struct PathParameters<const N: usize>(Result<[String; N], Failure>);

impl<const N: usize> PathParameters<N> {
    pub(super) fn get(self) -> Result<[String; N], Failure> {
        let Self(parameters) = self;
        parameters
    }
}

impl<S: Sync, const N: usize> FromRequestParts<S> for PathParameters<N> {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let pattern = CurrentRequest::pattern().expect("a handler answers a request");
        Ok(Self(read(pattern, parts.uri.path())))
    }
}

/// A parameter is a whole segment. The router has found that the path fits the pattern, so what stands between parameters
/// is skipped.
fn read<const N: usize>(mut pattern: &str, mut path: &str) -> Result<[String; N], Failure> {
    let mut parameters = array::from_fn(|_| String::new());
    for parameter in &mut parameters {
        let n_literal = place_of(b'{', pattern).expect("a handler takes what its pattern names");
        let name = &pattern[n_literal + 1..];
        let n_name = place_of(b'}', name).expect("the name of a parameter ends");
        let segments = path.get(n_literal..).unwrap_or_default();
        let n_segment = place_of(b'/', segments).unwrap_or(segments.len());
        let decoded = percent_decode_str(&segments[..n_segment]).decode_utf8();
        *parameter = decoded.map_err(|_| undecodable(&name[..n_name]))?.into_owned();
        (pattern, path) = (&name[n_name + 1..], &segments[n_segment..]);
    }
    Ok(parameters)
}

/// Where an ASCII character stands first. A search for a `char` takes longer to begin than this does for a path.
fn place_of(ascii: u8, text: &str) -> Option<usize> {
    text.bytes().position(|byte| byte == ascii)
}

fn undecodable(name: &str) -> Failure {
    let message = format!("Invalid URL: Invalid UTF-8 in `{name}`");
    Failure::new(StatusCode::BAD_REQUEST, ErrorCode::InvalidName, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameters_of_a_path_are_the_segments_that_its_pattern_names() {
        let [name, version] =
            read("/pipelines/{name}/versions/{version}", "/pipelines/a%2Fb/versions/3").unwrap();
        assert_eq!((&*name, &*version), ("a/b", "3"));
        let [name] = read("/modules/{name}/invoke", "/modules/caf%C3%A9/invoke").unwrap();
        assert_eq!(name, "caf\u{e9}");
        assert!(read::<1>("/modules/{name}/invoke", "/modules/%ff/invoke").is_err());
    }
}
