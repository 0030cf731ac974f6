// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/load/svg_chart.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

namespace shoji::client::load {
namespace {

constexpr double kWidth = 720;
constexpr double kHeight = 300;
constexpr double kLeft = 92;
constexpr double kRight = 40;
constexpr double kTop = 34;
constexpr double kBottom = 48;
constexpr size_t kMaxDots = 60;

std::string Fixed(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof(buffer), "%.1f", value);
  return buffer;
}

// From values to places on the page.
class Scale {
 public:
  Scale(const Axis& axis, double low, double high, double from, double to) : log_(axis.is_log), from_(from), to_(to) {
    if (!(low <= high)) {  // no values
      low = log_ ? 1e-3 : 0;
      high = 1;
    }
    if (log_) {
      low_ = std::floor(std::log10(low));
      high_ = std::max(std::ceil(std::log10(high) - 1e-9), low_ + 1);
    } else {
      low_ = low;
      high_ = high > low ? high : low + 1;
    }
  }
  double At(double value) const {
    const double v = log_ ? std::log10(value) : value;
    return from_ + (to_ - from_) * std::clamp((v - low_) / (high_ - low_), 0.0, 1.0);
  }
  std::vector<double> Ticks() const {
    std::vector<double> ticks;
    if (log_) {
      for (double decade = low_; decade <= high_ + 1e-9; ++decade) {
        ticks.push_back(std::pow(10, decade));
      }
      return ticks;
    }
    constexpr int kWanted = 6;
    const double raw = (high_ - low_) / kWanted;
    const double magnitude = std::pow(10, std::floor(std::log10(raw)));
    double step = magnitude;
    for (const double factor : {1.0, 2.0, 5.0, 10.0}) {
      step = factor * magnitude;
      if (step >= raw) {
        break;
      }
    }
    for (double tick = std::ceil(low_ / step - 1e-9) * step; tick <= high_ + 1e-9 * step; tick += step) {
      ticks.push_back(std::abs(tick) < step / 2 ? 0 : tick);
    }
    return ticks;
  }

 private:
  const bool log_;
  const double from_;
  const double to_;
  double low_ = 0;
  double high_ = 1;
};

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void Add(double value, bool is_log) {
    if (std::isfinite(value) && (!is_log || value > 0)) {
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
};

std::string Text(double x, double y, const std::string& anchor, const std::string& text, const std::string& more = "") {
  return "<text x=\"" + Fixed(x) + "\" y=\"" + Fixed(y) + "\" text-anchor=\"" + anchor + "\"" + more + ">" +
         HtmlText(text) + "</text>";
}

std::string Line(double x1, double y1, double x2, double y2, const std::string& css) {
  return "<line class=\"" + css + "\" x1=\"" + Fixed(x1) + "\" y1=\"" + Fixed(y1) + "\" x2=\"" + Fixed(x2) +
         "\" y2=\"" + Fixed(y2) + "\"/>";
}

std::string Rectangle(double x, double y, double width, double height, const std::string& css) {
  return "<rect class=\"" + css + "\" x=\"" + Fixed(x) + "\" y=\"" + Fixed(y) + "\" width=\"" +
         Fixed(std::max(width, 0.0)) + "\" height=\"" + Fixed(std::max(height, 0.0)) + "\"/>";
}

std::string Open(const std::string& id, double height) {
  return "<svg id=\"" + HtmlText(id) + "\" role=\"img\" viewBox=\"0 0 " + Fixed(kWidth) + " " + Fixed(height) + "\">";
}

std::string DrawAxes(const Axis& x, const Axis& y, const Scale& across, const Scale& up) {
  std::string out;
  for (const double tick : up.Ticks()) {
    out += Line(kLeft, up.At(tick), kWidth - kRight, up.At(tick), "grid");
    out += Text(kLeft - 8, up.At(tick) + 4, "end", y.label(tick));
  }
  for (const double tick : across.Ticks()) {
    out += Line(across.At(tick), kTop, across.At(tick), kHeight - kBottom, "grid");
    out += Text(across.At(tick), kHeight - kBottom + 18, "middle", x.label(tick));
  }
  out += Line(kLeft, kHeight - kBottom, kWidth - kRight, kHeight - kBottom, "axis");
  out += Line(kLeft, kTop, kLeft, kHeight - kBottom, "axis");
  out += Text((kLeft + kWidth - kRight) / 2, kHeight - 8, "middle", x.title);
  out += Text(14, (kTop + kHeight - kBottom) / 2, "middle", y.title,
              " transform=\"rotate(-90 14 " + Fixed((kTop + kHeight - kBottom) / 2) + ")\"");
  return out;
}

std::string Legend(const std::vector<std::string>& names) {
  constexpr double kPerLetter = 7.2;
  std::string out;
  double at = kLeft;
  for (size_t i = 0; i < names.size(); ++i) {
    out += Rectangle(at, 10, 12, 12, "f" + std::to_string(i));
    out += Text(at + 18, 20, "start", names[i]);
    at += 34 + kPerLetter * static_cast<double>(names[i].size());
  }
  return out;
}

}  // namespace

std::string HtmlText(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += static_cast<unsigned char>(c) < ' ' || c == 0x7f ? '?' : c;
    }
  }
  return out;
}

std::string LineChart(const std::string& id, const Axis& x, const Axis& y, const std::vector<Series>& series) {
  Range across_range;
  Range up_range;
  for (const Series& one : series) {
    for (const Point& point : one.points) {
      across_range.Add(point.x, x.is_log);
      up_range.Add(point.y, y.is_log);
    }
  }
  if (!x.is_log && across_range.low == across_range.high) {  // a single level: in the middle
    across_range.low -= across_range.low / 2;
    across_range.high *= 1.5;
  }
  const Scale across(x, across_range.low, across_range.high, kLeft, kWidth - kRight);
  const Scale up(y, y.is_log ? up_range.low : std::min(0.0, up_range.low), up_range.high, kHeight - kBottom, kTop);
  std::string out = Open(id, kHeight) + DrawAxes(x, y, across, up);
  std::vector<std::string> names;
  for (size_t i = 0; i < series.size(); ++i) {
    names.push_back(series[i].name);
    const std::string number = std::to_string(i);
    std::string path;
    std::string dots;
    for (const Point& point : series[i].points) {
      if ((y.is_log && point.y <= 0) || (x.is_log && point.x <= 0)) {
        continue;
      }
      const std::string place = Fixed(across.At(point.x)) + "," + Fixed(up.At(point.y));
      path += (path.empty() ? "M" : " L") + place;
      dots += "<circle class=\"f" + number + "\" cx=\"" + Fixed(across.At(point.x)) + "\" cy=\"" +
              Fixed(up.At(point.y)) + "\" r=\"3.5\"><title>" +
              HtmlText(series[i].name + ": " + y.label(point.y) + " at " + x.label(point.x)) + "</title></circle>";
    }
    out += "<path class=\"s" + number + "\" d=\"" + path + "\"/>";
    out += series[i].points.size() <= kMaxDots ? dots : "";
  }
  return out + Legend(names) + "</svg>";
}

std::string BarChart(const std::string& id, const Axis& x, const Axis& y, const std::vector<Bar>& bars) {
  Range across_range;
  Range up_range;
  for (const Bar& bar : bars) {
    across_range.Add(bar.left, x.is_log);
    across_range.Add(bar.right, x.is_log);
    up_range.Add(bar.height, y.is_log);
  }
  const Scale across(x, across_range.low, across_range.high, kLeft, kWidth - kRight);
  const Scale up(y, 0, up_range.high, kHeight - kBottom, kTop);
  std::string out = Open(id, kHeight) + DrawAxes(x, y, across, up);
  for (const Bar& bar : bars) {
    const double left = across.At(bar.left);
    const double top = up.At(bar.height);
    out += Rectangle(left, top, across.At(bar.right) - left - 1, kHeight - kBottom - top, "f0");
  }
  return out + "</svg>";
}

std::string StackedRows(const std::string& id, const Axis& x, const std::vector<std::string>& parts,
                        const std::vector<Row>& rows) {
  constexpr double kRow = 30;
  constexpr double kNames = 110;
  double longest = 0;
  for (const Row& row : rows) {
    double sum = 0;
    for (const double part : row.parts) {
      sum += part;
    }
    longest = std::max(longest, sum);
  }
  const double bottom = kTop + kRow * static_cast<double>(rows.size());
  const Scale across(x, 0, longest, kNames, kWidth - kRight);
  std::string out = Open(id, bottom + kBottom);
  for (const double tick : across.Ticks()) {
    out += Line(across.At(tick), kTop, across.At(tick), bottom, "grid");
    out += Text(across.At(tick), bottom + 18, "middle", x.label(tick));
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    const double top = kTop + kRow * static_cast<double>(i) + 5;
    out += Text(kNames - 8, top + 15, "end", rows[i].name);
    double at = 0;
    for (size_t part = 0; part < rows[i].parts.size(); ++part) {
      const double next = at + rows[i].parts[part];
      out += Rectangle(across.At(at), top, across.At(next) - across.At(at), kRow - 10, "f" + std::to_string(part));
      at = next;
    }
  }
  out += Line(kNames, bottom, kWidth - kRight, bottom, "axis");
  out += Text((kNames + kWidth - kRight) / 2, bottom + kBottom - 8, "middle", x.title);
  return out + Legend(parts) + "</svg>";
}

}  // namespace shoji::client::load
