//! What the system tells of processes (`/proc`): which one it is, whether it runs, what its group takes.

use std::fs;
use std::path::Path;

/// What a group of processes takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Memory of its own, in bytes.
    pub memory: u64,
    /// Processor time, in milliseconds since its start.
    pub cpu_ms: u64,
    /// How many processes.
    pub processes: u32,
}

/// Fields of `/proc/<pid>/stat` after the name, which may hold anything.
fn stat(pid: i32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// When a process was started, in clock ticks since the machine's start.
pub(crate) fn started(pid: i32) -> Option<u64> {
    stat(pid)?.get(19)?.parse().ok()
}

/// Whether this very process still runs; one that only waits for its parent to look does not.
pub(crate) fn runs(pid: i32, begun: u64) -> bool {
    let Some(fields) = stat(pid) else { return false };
    let same = fields.get(19).and_then(|field| field.parse().ok()) == Some(begun);
    same && fields.first().is_some_and(|state| state != "Z")
}

/// Whether a process runs with this profile.
pub(crate) fn uses(pid: i32, profile: &Path) -> bool {
    let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    let told = format!("--user-data-dir={}", profile.display());
    line.split(|byte| *byte == 0).any(|part| part == told.as_bytes())
}

/// What the group of a process takes.
pub(crate) fn usage(group: i32) -> Usage {
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    let mut usage = Usage::default();
    let Ok(all) = fs::read_dir("/proc") else { return usage };
    for pid in all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()) {
        let Some(fields) = stat(pid) else { continue };
        let field = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        if fields.get(2).and_then(|field| field.parse::<i32>().ok()) != Some(group) {
            continue;
        }
        usage.processes += 1;
        usage.cpu_ms += (field(11) + field(12)) * 1000 / ticks;
        usage.memory += own_memory(pid);
    }
    usage
}

/// Memory that belongs to a process alone, in bytes.
fn own_memory(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Memory of the machine that can be had, in bytes.
pub(crate) fn free_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_runs() {
        let pid = i32::try_from(std::process::id()).expect("an id");
        let begun = started(pid).expect("it runs");
        assert!(runs(pid, begun) && !runs(pid, begun + 1));
        assert!(!uses(pid, Path::new("/nowhere")));
        assert!(free_memory().is_some_and(|free| free > 0));
    }
}
