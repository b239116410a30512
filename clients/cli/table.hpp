// Columns of text, as wide as they must be.
#pragma once

#include <string>
#include <vector>

namespace busway::cli {

/// Numbers (cells that begin with a digit or a minus sign) are set to the right, other cells to the left. The
/// last column is not padded.
class Table {
 public:
  explicit Table(std::vector<std::string> head) { rows_.push_back(std::move(head)); }
  /// As many cells as the head has.
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace busway::cli
