//! What a server's `/metrics` tells of its process and its stores, out of the text format of OpenMetrics.

use serde::Serialize;

/// Numbers of the process that answered; what it does not tell is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Usage {
    /// Time of processors that it has used, in seconds.
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) resident_bytes: Option<f64>,
    pub(crate) open_fds: Option<f64>,
    pub(crate) started_at_seconds: Option<f64>,
    pub(crate) disk_free_bytes: Option<f64>,
    pub(crate) disk_size_bytes: Option<f64>,
    /// Of all its stores.
    pub(crate) store_bytes: Option<f64>,
    pub(crate) lag_events: Option<f64>,
    pub(crate) realtime_clients: Option<f64>,
    pub(crate) webhooks_failed: Option<f64>,
    /// By channel: attempts a second that its windows allow.
    pub(crate) allowed: Vec<(String, f64)>,
    pub(crate) version: Option<String>,
}

impl Usage {
    /// Reads the text. Lines that are not known are passed over.
    pub(crate) fn read(text: &str) -> Usage {
        let mut usage = Usage::default();
        for (name, labels, value) in text.lines().filter_map(sample) {
            let field = match name {
                "process_cpu_seconds_total" => &mut usage.cpu_seconds,
                "process_resident_memory_bytes" => &mut usage.resident_bytes,
                "process_open_fds" => &mut usage.open_fds,
                "process_start_time_seconds" => &mut usage.started_at_seconds,
                "palomar_disk_free_bytes" => &mut usage.disk_free_bytes,
                "palomar_disk_size_bytes" => &mut usage.disk_size_bytes,
                "palomar_store_size_bytes" => &mut usage.store_bytes,
                "palomar_projection_lag_events" => &mut usage.lag_events,
                "palomar_realtime_clients" => &mut usage.realtime_clients,
                "palomar_webhooks_failed" => &mut usage.webhooks_failed,
                "palomar_rate_allowed_per_second" => {
                    usage.allowed.extend(label(labels, "channel").map(|channel| (channel.to_owned(), value)));
                    continue;
                }
                "palomar_build_info" => {
                    usage.version = label(labels, "version").map(str::to_owned);
                    continue;
                }
                _ => continue,
            };
            // One of several stores or ways: together.
            *field = Some(field.unwrap_or(0.0) + value);
        }
        usage
    }

    /// What a channel's windows allow a second.
    pub(super) fn allowed(&self, channel: &str) -> Option<f64> {
        self.allowed.iter().find(|(name, _)| name == channel).map(|(_, allowed)| *allowed)
    }
}

/// A line's name, labels and value; nothing for comments.
fn sample(line: &str) -> Option<(&str, &str, f64)> {
    if line.starts_with('#') {
        return None;
    }
    let (name, labels, rest) = match line.split_once('{') {
        Some((name, rest)) => {
            let (labels, rest) = rest.rsplit_once('}')?;
            (name, labels, rest)
        }
        None => {
            let (name, rest) = line.split_once(' ')?;
            (name, "", rest)
        }
    };
    Some((name, labels, rest.split_whitespace().next()?.parse().ok()?))
}

/// A label's value. Ours are words without quotes in them.
fn label<'t>(labels: &'t str, name: &str) -> Option<&'t str> {
    labels.split(',').find_map(|label| {
        let (found, value) = label.split_once('=')?;
        (found == name).then(|| value.trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_is_read() {
        let usage = Usage::read(
            "# TYPE process_cpu_seconds counter\nprocess_cpu_seconds_total 12.5\n\
             process_resident_memory_bytes 1.5e8\npalomar_build_info{version=\"0.1.0\",commit=\"x\"} 1\n\
             palomar_store_size_bytes{store=\"queue\"} 10\npalomar_store_size_bytes{store=\"records\"} 20\n\
             palomar_rate_allowed_per_second{channel=\"shop\"} 80.0\nunknown{} what\nbroken\n# EOF\n",
        );
        assert_eq!(usage.cpu_seconds, Some(12.5));
        assert_eq!(usage.resident_bytes, Some(150_000_000.0));
        assert_eq!(usage.store_bytes, Some(30.0));
        assert_eq!(usage.version.as_deref(), Some("0.1.0"));
        assert_eq!(usage.allowed("shop"), Some(80.0));
        assert_eq!(usage.allowed("none"), None);
        assert_eq!(usage.disk_free_bytes, None);
    }
}
