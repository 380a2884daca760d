//! What the server tells on standard error when it has started: each pipeline with a `curl` line to paste.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use constellation_server::{
    ExampleRequest, LoadReport, LoadedFile, PipelineService, Reference, StoredPipeline,
};
use constellation_store_core::StoreStatus;

use crate::args::LogFormat;

/// More would be noise; `GET /pipelines` has them all.
const MAX_PIPELINES: usize = 50;
/// Of a file that nobody touched since its name was deleted.
const DELETED: &str = "its name was deleted, and comes back when the file changes or is reloaded";

/// Tells which store it is and what it has, so that a mistyped directory is seen.
pub(crate) async fn store(service: &PipelineService, directory: &Path) {
    // By its whole path, which the directory that the server was started in is a part of.
    let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    match service.store().status().await {
        Ok(StoreStatus { images: 0, names: 0, .. }) => {
            tracing::info!(directory = %directory.display(), "the store is empty");
        }
        Ok(StoreStatus { images, names, .. }) => {
            tracing::info!(directory = %directory.display(), names, images, "the store is open");
        }
        Err(error) => tracing::warn!(directory = %directory.display(), %error, "the store does not answer"),
    }
}

/// Tells what the startup loader did.
pub(crate) fn load_report(report: Option<&LoadReport>, format: LogFormat) {
    let Some(LoadReport { loaded, skipped, failed }) = report else { return };
    let deleted: Vec<&str> = skipped.iter().filter(|file| is_deleted(file)).map(|file| &*file.path).collect();
    match format {
        LogFormat::Text => {
            let mut text = format!(
                "pipelines: {} loaded, {} unchanged, {} failed\n",
                loaded.len(),
                skipped.len(),
                failed.len()
            );
            for file in failed {
                writeln!(text, "failed: {file}").expect("writing to a string succeeds");
            }
            for path in deleted {
                writeln!(text, "deleted: {path}: {DELETED}").expect("writing to a string succeeds");
            }
            print(&text);
        }
        LogFormat::Json => {
            tracing::info!(
                loaded = loaded.len(),
                unchanged = skipped.len(),
                failed = failed.len(),
                "pipelines"
            );
            for file in failed {
                tracing::error!(path = file.path, reason = file.reason, "a pipeline was not loaded");
            }
            for path in deleted {
                tracing::info!(path, "{DELETED}");
            }
        }
    }
}

/// Whether nobody touched the file since its name was deleted.
fn is_deleted(file: &LoadedFile) -> bool {
    file.name.is_some() && file.structural_hash.is_none()
}

/// Pipelines that the loader published under no name; they are called by their hash.
pub(crate) fn nameless(report: Option<&LoadReport>) -> Vec<StoredPipeline> {
    let files = report.into_iter().flat_map(|report| report.loaded.iter().chain(&report.skipped));
    let nameless = files.filter(|file| file.name.is_none()).filter_map(|file| file.structural_hash);
    // Files with the same program have the same hash.
    let nameless: BTreeSet<_> = nameless.collect();
    let pipeline =
        |structural_hash| StoredPipeline { reference: Reference::Hash(structural_hash), structural_hash };
    nameless.into_iter().map(pipeline).collect()
}

/// Tells each pipeline that has a name, and the `nameless` ones: the name, the hash, and how to call it, with a key
/// where that `needs_key`.
pub(crate) async fn pipelines(
    service: &PipelineService,
    nameless: Vec<StoredPipeline>,
    address: SocketAddr,
    needs_key: bool,
    format: LogFormat,
) {
    let url = format!("http://{}", reachable(address));
    let (mut pipelines, mut has_more) = match service.named_pipelines(MAX_PIPELINES).await {
        Ok(named) => named,
        Err(error) => {
            tracing::warn!(%error, "the stored pipelines cannot be listed");
            return;
        }
    };
    pipelines.extend(nameless);
    has_more |= pipelines.len() > MAX_PIPELINES;
    pipelines.truncate(MAX_PIPELINES);
    for StoredPipeline { reference, structural_hash } in pipelines {
        let name = match &reference {
            Reference::Name(name) => name.as_str(),
            Reference::Hash(_) => "(no name)",
        };
        let request = match service.example_request(&reference).await {
            Ok(request) => request,
            Err(error) => {
                tracing::warn!(%reference, %error, "a stored pipeline cannot be run");
                continue;
            }
        };
        let curl = curl_line(&url, needs_key, &request);
        match format {
            LogFormat::Text => {
                let mut text = format!("\n{name}  {structural_hash}\n");
                if !request.missing.is_empty() {
                    let missing = request.missing.join(", ");
                    writeln!(text, "  # add these inputs, which have no example: {missing}")
                        .expect("writing to a string succeeds");
                }
                writeln!(text, "  {curl}").expect("writing to a string succeeds");
                print(&text);
            }
            LogFormat::Json => {
                let missing = request.missing.join(", ");
                tracing::info!(name, %structural_hash, curl, missing, "pipeline");
            }
        }
    }
    if has_more {
        match format {
            LogFormat::Text => print(&format!("\nand more: curl -s {url}/pipelines\n")),
            LogFormat::Json => tracing::info!(url = format!("{url}/pipelines"), "and more pipelines"),
        }
    }
}

/// A command that calls the pipeline, for a POSIX shell, which has the key in a variable.
fn curl_line(url: &str, needs_key: bool, request: &ExampleRequest) -> String {
    let body = quote(&request.body.to_string());
    let key = if needs_key { " -H \"authorization: Bearer $KEY\"" } else { "" };
    format!("curl -s {url}/execute{key} -H 'content-type: application/json' -d {body}")
}

/// One word of a POSIX shell. Within single quotes nothing is special but the single quote.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Where to reach a server on this machine that listens on all addresses.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Standard error may be closed; that is no reason to stop serving.
fn print(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_with_one_program_and_no_name_are_announced_once() {
        let [hash, other] = ["0", "1"].map(|digit| digit.repeat(64).parse().unwrap());
        let file = |path: &str, name: Option<&str>, structural_hash| LoadedFile {
            path: path.into(),
            name: name.map(|name| name.parse().unwrap()),
            structural_hash: Some(structural_hash),
        };
        let report = LoadReport {
            loaded: vec![file("a.cst", None, hash), file("b.cst", None, other)],
            skipped: vec![file("c.cst", None, hash), file("d.cst", Some("d"), hash)],
            failed: Vec::new(),
        };
        let announced = nameless(Some(&report));
        let hashes: Vec<_> = announced.iter().map(|pipeline| pipeline.structural_hash).collect();
        assert_eq!(hashes, [hash, other]);
    }
}
