//! Load as fast as it is answered, by wrk.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

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
