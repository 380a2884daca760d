//! The load generators.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;

/// A request as a script of wrk.
pub(crate) fn script(directory: &Path, name: &str, lua: &str) -> anyhow::Result<PathBuf> {
    let path = directory.join(format!("{name}.lua"));
    std::fs::write(&path, lua).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}

/// The script of a `POST` of always the same body.
pub(crate) fn post_script(directory: &Path, name: &str, body: &str) -> anyhow::Result<PathBuf> {
    ensure!(!body.contains("]==]"), "the body ends a string of Lua");
    let lua = format!(
        "wrk.method = \"POST\"\nwrk.headers[\"Content-Type\"] = \"application/json\"\nwrk.body = [==[{body}]==]\n"
    );
    script(directory, name, &lua)
}

/// Requests a second, each answered with a 2xx.
pub(crate) fn rate(url: &str, script: Option<&Path>, connections: u32, seconds: u32) -> anyhow::Result<f64> {
    let mut command = Command::new("wrk");
    command
        .arg("--threads=1")
        .arg(format!("--connections={connections}"))
        .arg(format!("--duration={seconds}s"));
    if let Some(script) = script {
        command.arg("--script").arg(script);
    }
    let output = command.arg(url).output().context("running wrk; install it with `apt-get install wrk`")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "wrk failed: {}", String::from_utf8_lossy(&output.stderr));
    if let Some(line) = text.lines().find(|line| line.contains("Non-2xx") || line.contains("Socket errors")) {
        bail!("{url}: {}", line.trim());
    }
    let rate = text.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:"));
    rate.context("wrk told no rate")?.trim().parse().context("the rate of wrk is a number")
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OhaReport {
    summary: OhaSummary,
    latency_percentiles: OhaPercentiles,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OhaSummary {
    success_rate: f64,
}

#[derive(Deserialize)]
struct OhaPercentiles {
    p99: f64,
}

/// The 99th percentile of the time to an answer in microseconds, at a rate that does not wait for answers.
pub(crate) fn p99_at(
    oha: &Path,
    url: &str,
    body: &Path,
    requests_a_second: f64,
    seconds: u32,
) -> anyhow::Result<f64> {
    let output = Command::new(oha)
        .args(["--no-tui", "--output-format", "json", "--latency-correction", "-c", "32", "-m", "POST"])
        .args([
            "-T",
            "application/json",
            "-z",
            &format!("{seconds}s"),
            "-q",
            &format!("{requests_a_second:.0}"),
        ])
        .arg("-D")
        .arg(body)
        .arg(url)
        .output()
        .with_context(|| format!("running {}", oha.display()))?;
    ensure!(output.status.success(), "oha failed: {}", String::from_utf8_lossy(&output.stderr));
    let OhaReport { summary, latency_percentiles } =
        serde_json::from_slice(&output.stdout).context("reading what oha tells")?;
    ensure!(summary.success_rate > 0.999, "{url}: only {} of the requests succeeded", summary.success_rate);
    Ok(latency_percentiles.p99 * 1e6)
}
