//! What is counted of clients that follow events.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::samples::{Labels, label};
use crate::events::{Dropped, Transport};

#[derive(Clone)]
pub(crate) struct Realtime {
    clients: Family<Labels, Gauge>,
    events: Family<Labels, Counter>,
    dropped: Family<Labels, Counter>,
}

impl Realtime {
    pub(super) fn register(registry: &mut Registry) -> Realtime {
        let realtime =
            Realtime { clients: Family::default(), events: Family::default(), dropped: Family::default() };
        registry.register("realtime_clients", "Clients that follow events", realtime.clients.clone());
        registry.register("realtime_events", "Events that were given to clients", realtime.events.clone());
        let help = "Clients that were dropped, by why";
        registry.register("realtime_dropped", help, realtime.dropped.clone());
        // From 0: what was not there before it grew has no rate.
        for transport in Transport::ALL {
            realtime.clients(transport, 0);
            realtime.told(transport, 0);
        }
        for why in Dropped::ALL {
            drop(realtime.dropped.get_or_create(&vec![label("reason", why.as_str())]));
        }
        realtime
    }

    pub(crate) fn clients(&self, transport: Transport, more: i64) {
        self.clients.get_or_create(&of(transport)).inc_by(more);
    }

    pub(crate) fn told(&self, transport: Transport, events: usize) {
        self.events.get_or_create(&of(transport)).inc_by(events as u64);
    }

    pub(crate) fn dropped(&self, why: Dropped) {
        self.dropped.get_or_create(&vec![label("reason", why.as_str())]).inc();
    }
}

fn of(transport: Transport) -> Labels {
    vec![label("transport", transport.as_str())]
}
