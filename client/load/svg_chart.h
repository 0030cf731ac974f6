// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Charts as SVG elements of an HTML page; colours are the page's, by class: s0, s1, ... for series, axis, grid.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace shoji::client::load {

// The five characters that mean something in HTML, and control bytes, replaced.
std::string HtmlText(const std::string& text);

struct Point {
  double x = 0;
  double y = 0;
};
struct Series {
  std::string name;
  std::vector<Point> points;  // by x
};
struct Axis {
  std::string title;
  bool is_log = false;                       // values of 0 or less are left out
  std::function<std::string(double)> label;  // of a tick
};

// Lines with a dot for every point where there are few.
std::string LineChart(const std::string& id, const Axis& x, const Axis& y, const std::vector<Series>& series);

// Bars from `left` to `right`.
struct Bar {
  double left = 0;
  double right = 0;
  double height = 0;
};
std::string BarChart(const std::string& id, const Axis& x, const Axis& y, const std::vector<Bar>& bars);

// One stacked row of parts for each name, with a legend of the parts.
struct Row {
  std::string name;
  std::vector<double> parts;
};
std::string StackedRows(const std::string& id, const Axis& x, const std::vector<std::string>& parts,
                        const std::vector<Row>& rows);

}  // namespace shoji::client::load
