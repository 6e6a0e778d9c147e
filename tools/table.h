#pragma once
// Rows of text under a heading, each column as wide as its widest cell.
#include "console.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

class Table {
 public:
  explicit Table(std::vector<std::string> heading) { add(std::move(heading)); }

  void add(std::vector<std::string> cells) {
    widths_.resize(std::max(widths_.size(), cells.size()));
    for (std::size_t i = 0; i < cells.size(); ++i) {
      cells[i] = printable(cells[i]);
      widths_[i] = std::max(widths_[i], columns_of(cells[i]));
    }
    rows_.push_back(std::move(cells));
  }

  std::string text() const {
    std::string out;
    for (const auto& row : rows_) {
      for (std::size_t i = 0; i < row.size(); ++i) out += i + 1 < row.size() ? padded(row[i], widths_[i] + 2) : row[i];
      out += '\n';
    }
    return out;
  }

 private:
  std::vector<std::vector<std::string>> rows_;
  std::vector<std::size_t> widths_;
};
