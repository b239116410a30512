// All figures, by what they measure. add_NAME_figures() is in figures_NAME.cpp.
#pragma once

#include <vector>

#include "bench/micro/figure.hpp"

namespace busway::bench {

using Figures = std::vector<Figure>;

/// The public API on topics in memory.
void add_bus_figures(Figures& figures);
/// The public API on logged topics.
void add_durable_figures(Figures& figures);

/// The ring's own hot paths, without client library and daemon: what the public API's figures are made of.
void add_ring_figures(Figures& figures);
/// Encoding, checksums, reading segments.
void add_log_figures(Figures& figures);
/// One partition's drain on one thread.
void add_drain_figures(Figures& figures);

}  // namespace busway::bench
