//! How the network is used, by what the settings say.

use crate::config::GraphSettings;
use crate::http::NetworkSettings;

pub fn network(graph: &GraphSettings) -> NetworkSettings {
    NetworkSettings {
        connect_timeout: graph.connect_timeout,
        request_timeout: graph.request_timeout,
        extra_ca: graph.extra_ca.clone(),
    }
}
