//! What the system says of this process: Prometheus' usual `process_*` metrics, where there is a `/proc`.

use std::fmt::Error;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::samples::{Crowd, Writer, number};

/// What the process takes at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    cpu_seconds: f64,
    resident_bytes: u64,
    virtual_bytes: u64,
    open_fds: u64,
    /// None where there is no limit.
    max_fds: Option<u64>,
    /// Seconds since 1970.
    start_time: f64,
}

/// The units in which the kernel counts.
#[derive(Clone, Copy, Debug)]
struct Units {
    ticks_per_second: u64,
    page: u64,
}

impl Usage {
    /// Asks the system. `None` where it does not say.
    pub(crate) fn read() -> Option<Usage> {
        let units = Units {
            ticks_per_second: rustix::param::clock_ticks_per_second(),
            page: rustix::param::page_size() as u64,
        };
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        let boot = boot_time(&std::fs::read_to_string("/proc/stat").ok()?)?;
        // Looking at them takes one.
        let open = std::fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1);
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let usage = Usage::parse(&stat, boot, units)?;
        Some(Usage { open_fds: open as u64, max_fds: limit.current, ..usage })
    }

    /// Reads `/proc/self/stat`, given when the system was booted, in seconds since 1970.
    fn parse(stat: &str, boot: u64, units: Units) -> Option<Usage> {
        // The name of the program, in parentheses, may hold anything; the third field follows it.
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let seconds = |ticks: u64| number(ticks) / number(units.ticks_per_second.max(1));
        Some(Usage {
            cpu_seconds: seconds(field(14)?.saturating_add(field(15)?)),
            resident_bytes: field(24)?.saturating_mul(units.page),
            virtual_bytes: field(23)?,
            start_time: number(boot) + seconds(field(22)?),
            ..Usage::default()
        })
    }
}

fn boot_time(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
}

/// The newest reading.
#[derive(Clone, Debug, Default)]
pub(super) struct Process(Arc<Mutex<Option<Usage>>>);

impl Process {
    pub(super) fn set(&self, usage: Option<Usage>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = usage;
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let Some(usage) = *self.0.lock().unwrap_or_else(PoisonError::into_inner) else { return Ok(()) };
        let mut writer = Writer::new(&mut encoder, &Crowd::default());
        let one = |value| [(Vec::new(), value)];
        let help = "Time of processors that this process has used, in seconds.";
        writer.counter("process_cpu_seconds", help, one(usage.cpu_seconds))?;
        let help = "Memory of this process that is in RAM, in bytes.";
        writer.gauge("process_resident_memory_bytes", help, one(number(usage.resident_bytes)))?;
        let help = "Address space of this process, in bytes.";
        writer.gauge("process_virtual_memory_bytes", help, one(number(usage.virtual_bytes)))?;
        writer.gauge("process_open_fds", "Open file descriptors.", one(number(usage.open_fds)))?;
        let help = "Open file descriptors that the system allows; +Inf where it sets no limit.";
        writer.gauge("process_max_fds", help, one(usage.max_fds.map_or(f64::INFINITY, number)))?;
        let help = "When this process was started, in seconds since 1970.";
        writer.gauge("process_start_time_seconds", help, one(usage.start_time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNITS: Units = Units { ticks_per_second: 100, page: 4096 };

    #[test]
    fn what_the_kernel_says() {
        let stat = "4711 (a ) b) S 1 4711 4711 0 -1 4194560 9 0 0 0 150 50 0 0 20 0 12 0 12345 900000 25 \
                    18446744073709551615 1 1 0 0 0 0 0";
        let usage = Usage::parse(stat, 1_700_000_000, UNITS).expect("read");
        let expected = Usage {
            cpu_seconds: 2.0,
            resident_bytes: 25 * 4096,
            virtual_bytes: 900_000,
            start_time: 1_700_000_123.45,
            ..Usage::default()
        };
        assert_eq!(usage, expected);
        for bad in ["", "4711 (a", "4711 (a) S 1 2", "1 (a) S x x x x x x x x x x x x x x x x x x x x x x"] {
            assert_eq!(Usage::parse(bad, 0, UNITS), None, "{bad:?}");
        }
        assert_eq!(boot_time("cpu  1 2\nbtime 1700000000\nprocesses 3\n"), Some(1_700_000_000));
        assert_eq!(boot_time("cpu  1 2\n"), None);
    }
}
