// Counters in Prometheus' text format. Thread safe (no state).
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace busway::cli {

/// Names may carry labels: `busway_topic_log_end{topic="orders",partition="0"}`. Characters that a metric
/// name may not have become '_'; names that do not begin with busway_ get that in front; names that end in
/// _total are counters, all others gauges. A value that is no number becomes the label `value` of
/// NAME_info 1. Source: Prometheus' exposition formats, text-based format 0.0.4.
std::string as_prometheus(const std::vector<std::pair<std::string, std::string>>& counters);

}  // namespace busway::cli
