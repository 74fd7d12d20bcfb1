//! What browser sessions stand on, where they are switched on: Chromium, its sandbox, memory.

use palomar_app::{Means, Sandbox};

use super::{Finding, Verdict, pass, wrong};
use crate::config::Web;

/// What is found.
pub(super) async fn findings(web: &Web) -> Vec<Finding> {
    if !web.enabled {
        return Vec::new();
    }
    let config = crate::serve::browser(web);
    match tokio::task::spawn_blocking(move || Means::look(&config)).await {
        Ok(means) => vec![chromium(&means), sandbox(means.sandbox), memory(&means, web.sessions)],
        Err(error) => vec![wrong("chromium", Verdict::Fail, error.to_string(), "")],
    }
}

fn chromium(means: &Means) -> Finding {
    const WHAT: &str = "chromium";
    let Some(program) = &means.program else {
        let help = "Install it (Debian: apt-get install chromium), or name it with [web] chromium.";
        return wrong(WHAT, Verdict::Fail, "none was found", help);
    };
    match &means.version {
        Some(version) => pass(WHAT, format!("{version} ({})", program.display())),
        None => {
            let help = "Run it with --version to see why, or name another with [web] chromium.";
            wrong(WHAT, Verdict::Fail, format!("{} does not say its version", program.display()), help)
        }
    }
}

fn sandbox(sandbox: Sandbox) -> Finding {
    const WHAT: &str = "sandbox";
    match sandbox {
        Sandbox::On => pass(WHAT, "on"),
        Sandbox::Off => {
            let help = "A hostile page could reach this machine: set [web] sandbox = true.";
            wrong(WHAT, Verdict::Warn, "switched off", help)
        }
        Sandbox::Root => {
            let help = "Run Palomar as another user, or switch it off with [web] sandbox = false.";
            wrong(WHAT, Verdict::Fail, "Chromium's does not work as root", help)
        }
        Sandbox::NoNamespaces => {
            let help =
                "Allow them: sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000.";
            wrong(WHAT, Verdict::Fail, "the kernel refuses user namespaces", help)
        }
    }
}

fn memory(means: &Means, sessions: u32) -> Finding {
    const WHAT: &str = "browser memory";
    let Some(free) = means.free_memory else { return pass(WHAT, "not told by this system") };
    let fit = free / means.each.max(1);
    let detail = format!(
        "{} MiB free: room for about {fit} sessions of {} MiB ([web] sessions = {sessions})",
        free >> 20,
        means.each >> 20
    );
    match fit {
        0 => wrong(WHAT, Verdict::Fail, detail, "No session can be opened: close something, or add memory."),
        _ if fit < u64::from(sessions) => {
            wrong(WHAT, Verdict::Warn, detail, "Lower [web] sessions, or add memory.")
        }
        _ => pass(WHAT, detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finding_says_what_to_do() {
        let means = |program: Option<&str>, version: Option<&str>, free_memory| Means {
            program: program.map(Into::into),
            version: version.map(str::to_owned),
            sandbox: Sandbox::On,
            free_memory,
            each: 400 << 20,
        };
        let there = Some("/usr/bin/chromium");
        for (finding, verdict) in [
            (chromium(&means(None, None, None)), Verdict::Fail),
            (chromium(&means(there, None, None)), Verdict::Fail),
            (chromium(&means(there, Some("Chromium 142"), None)), Verdict::Pass),
            (sandbox(Sandbox::On), Verdict::Pass),
            (sandbox(Sandbox::Off), Verdict::Warn),
            (sandbox(Sandbox::Root), Verdict::Fail),
            (sandbox(Sandbox::NoNamespaces), Verdict::Fail),
            (memory(&means(there, None, Some(100 << 20)), 8), Verdict::Fail),
            (memory(&means(there, None, Some(1 << 30)), 8), Verdict::Warn),
            (memory(&means(there, None, Some(8 << 30)), 8), Verdict::Pass),
            (memory(&means(there, None, None), 8), Verdict::Pass),
        ] {
            assert_eq!(finding.verdict, verdict, "{finding:?}");
            assert_eq!(finding.help.is_some(), verdict != Verdict::Pass, "{finding:?}");
        }
    }
}
