#include "clients/cli/table.hpp"

#include <algorithm>

namespace busway::cli {
namespace {

bool is_number(const std::string& cell) {
  return !cell.empty() && (cell[0] == '-' || (cell[0] >= '0' && cell[0] <= '9'));
}

}  // namespace

std::string Table::text() const {
  const std::size_t columns = rows_.front().size();
  std::vector<std::size_t> widths(columns, 0);
  std::vector<bool> right(columns,
                          rows_.size() > 1);  // a column of numbers has its head set to the right too
  for (std::size_t row = 0; row < rows_.size(); ++row) {
    for (std::size_t column = 0; column < columns; ++column) {
      widths[column] = std::max(widths[column], rows_[row][column].size());
      if (row > 0 && !is_number(rows_[row][column])) right[column] = false;
    }
  }
  std::string out;
  for (const auto& cells : rows_) {
    for (std::size_t column = 0; column < columns; ++column) {
      const bool last = column + 1 == columns;
      const std::string padding(widths[column] - cells[column].size(), ' ');
      if (right[column]) out += padding;
      out += cells[column];
      if (!right[column] && !last) out += padding;
      if (!last) out += "  ";
    }
    out += '\n';
  }
  return out;
}

}  // namespace busway::cli
