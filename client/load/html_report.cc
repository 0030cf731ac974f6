// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/load/html_report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "client/load/svg_chart.h"

namespace shoji::client::load {
namespace {

// The series colours are a palette that also the colour-blind can tell apart (Okabe and Ito, 2008).
constexpr char kHead[] = R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>shoji load</title>
<style>
:root { color-scheme: light dark; --back: #ffffff; --text: #1c2024; --soft: #60646c; --grid: #e4e6ea; --card: #f7f8fa; }
@media (prefers-color-scheme: dark) {
  :root { --back: #14171a; --text: #edeef0; --soft: #a0a6ae; --grid: #2c3138; --card: #1c2025; }
}
body { background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif; margin: 0 auto;
  max-width: 1080px; padding: 24px; }
h1 { font-size: 24px; margin: 0 0 4px; } h2 { font-size: 17px; margin: 28px 0 8px; }
p { margin: 4px 0; color: var(--soft); } .warning { color: #d55e00; font-weight: 600; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; font-size: 14px; }
th, td { padding: 5px 8px; text-align: right; border-bottom: 1px solid var(--grid); white-space: nowrap; }
th { color: var(--soft); font-weight: 500; } th:first-child, td:first-child { text-align: left; }
.scroll { overflow-x: auto; }
figure { background: var(--card); border-radius: 8px; margin: 0; padding: 12px; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--soft); font: 12px system-ui, sans-serif; }
.grid { stroke: var(--grid); } .axis { stroke: var(--soft); }
path { fill: none; stroke-width: 2; stroke-linejoin: round; }
.s0 { stroke: #0072b2; } .s1 { stroke: #e69f00; } .s2 { stroke: #d55e00; }
.f0 { fill: #0072b2; } .f1 { fill: #e69f00; } .f2 { fill: #d55e00; } .f3 { fill: #009e73; } .f4 { fill: #cc79a7; }
.f5 { fill: #56b4e9; } .f6 { fill: #999999; }
</style></head><body>
)";

double Millis(std::chrono::nanoseconds time) { return std::chrono::duration<double, std::milli>(time).count(); }

std::string Short(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof(buffer), "%.4g", value);
  return buffer;
}

std::string MillisLabel(double millis) {
  return TimeText(std::chrono::nanoseconds(static_cast<int64_t>(std::llround(millis * 1e6))));
}

std::string Cell(const std::string& text) { return "<td>" + HtmlText(text) + "</td>"; }

std::string Table(const std::vector<std::string>& head, const std::vector<std::vector<std::string>>& rows) {
  std::string out = "<div class=\"scroll\"><table><thead><tr>";
  for (const std::string& name : head) {
    out += "<th>" + HtmlText(name) + "</th>";
  }
  out += "</tr></thead><tbody>";
  for (const std::vector<std::string>& row : rows) {
    out += "<tr>";
    for (const std::string& text : row) {
      out += Cell(text);
    }
    out += "</tr>";
  }
  return out + "</tbody></table></div>\n";
}

std::string Levels(const std::vector<Measurement>& measurements) {
  std::vector<std::vector<std::string>> rows;
  for (const Measurement& m : measurements) {
    rows.push_back({LevelText(m), Short(m.achieved_rate()), std::to_string(m.answered), std::to_string(m.failed),
                    std::to_string(m.late), std::to_string(m.dropped), QuantileText(m.latency, 0.5),
                    QuantileText(m.latency, 0.9), QuantileText(m.latency, 0.95), QuantileText(m.latency, 0.99),
                    QuantileText(m.latency, 0.999), MaxText(m.latency)});
  }
  return "<h2>Latency of answers, from the intended sending time</h2>\n" +
         Table(
             {"load", "achieved/s", "answers", "errors", "late", "dropped", "p50", "p90", "p95", "p99", "p99.9", "max"},
             rows);
}

std::string Costs(const RunInfo& run, const std::vector<Measurement>& measurements) {
  std::vector<std::vector<std::string>> rows;
  const auto add = [&](const Measurement& m, const std::string& name, const Histogram& times) {
    rows.push_back({LevelText(m), name, std::to_string(times.count()), QuantileText(times, 0.5),
                    QuantileText(times, 0.99), MaxText(times)});
  };
  for (const Measurement& m : measurements) {
    add(m, "service time", m.service);
    for (const auto& [key, times] : m.errors) {
      add(m, "error " + key, times);
    }
    add(m, "attestation", m.attestation);
    add(m, "handshake", m.handshake);
    for (size_t i = 0; run.options.phases && i < channel::kNumPhases; ++i) {
      add(m, "phase " + std::string(NameOf(channel::kAllPhases[i])), m.phases[i]);
    }
  }
  return "<h2>Service time, errors, and what is apart from the steady state</h2>\n" +
         Table({"load", "of", "count", "p50", "p99", "max"}, rows);
}

std::string Figure(const std::string& title, const std::string& svg) {
  return "<h2>" + HtmlText(title) + "</h2>\n<figure>" + svg + "</figure>\n";
}

std::string OverLoad(const std::vector<Measurement>& measurements) {
  std::vector<Series> series = {{"p50", {}}, {"p99", {}}, {"p99.9", {}}};
  for (const Measurement& m : measurements) {
    if (m.answered > 0) {
      series[0].points.push_back({m.level, Millis(m.latency.Quantile(0.5))});
      series[1].points.push_back({m.level, Millis(m.latency.Quantile(0.99))});
      series[2].points.push_back({m.level, Millis(m.latency.Quantile(0.999))});
    }
  }
  const bool by_rate = !measurements.empty() && measurements.front().mode == Mode::kRate;
  return Figure(
      by_rate ? "Latency over rate" : "Latency over concurrency",
      LineChart("over-load", {by_rate ? "requests a second, as intended" : "requests in flight", false, Short},
                {"latency", true, MillisLabel}, series));
}

std::string OverTime(const std::vector<Measurement>& measurements) {
  std::vector<Series> series = {{"p50", {}}, {"p99", {}}, {"max", {}}};
  double begin = 0;
  for (const Measurement& m : measurements) {
    for (const Slice& slice : m.slices) {
      const double at = begin + Millis(slice.begin) / 1000;
      if (slice.answered > 0) {
        series[0].points.push_back({at, Millis(slice.p50)});
        series[1].points.push_back({at, Millis(slice.p99)});
        series[2].points.push_back({at, Millis(slice.max)});
      }
    }
    begin += Millis(m.took) / 1000;
  }
  return Figure("Latency over time",
                LineChart("over-time", {"seconds, of all levels one after the other", false, Short},
                          {"latency", true, MillisLabel}, series));
}

std::string Distribution(const Measurement& m) {
  constexpr int kBarsPerDecade = 24;
  std::vector<Bar> bars;
  for (const Histogram::Bucket& bucket : m.latency.Buckets()) {
    const double millis = std::max(Millis(bucket.upper), 1e-3);
    const double step = std::floor(std::log10(millis) * kBarsPerDecade);
    const double left = std::pow(10, step / kBarsPerDecade);
    if (bars.empty() || bars.back().left < left * (1 - 1e-9)) {
      bars.push_back({left, std::pow(10, (step + 1) / kBarsPerDecade), 0});
    }
    bars.back().height += static_cast<double>(bucket.count);
  }
  return Figure("Distribution of latency, " + LevelText(m),
                BarChart("distribution", {"latency", true, MillisLabel}, {"answers", false, Short}, bars));
}

std::string PhaseBars(const std::vector<Measurement>& measurements) {
  std::vector<std::string> parts;
  for (const channel::Phase phase : channel::kAllPhases) {
    parts.emplace_back(NameOf(phase));
  }
  std::vector<Row> rows;
  for (const Measurement& m : measurements) {
    Row& row = rows.emplace_back();
    row.name = LevelText(m);
    for (const Histogram& phase : m.phases) {
      row.parts.push_back(Millis(phase.Mean()));
    }
  }
  return Figure("Where the time goes in the enclave (means)",
                StackedRows("phases", {"time in the enclave", false, MillisLabel}, parts, rows));
}

}  // namespace

std::string HtmlReport(const RunInfo& run, const std::vector<Measurement>& measurements) {
  std::string out = kHead;
  out += "<h1>shoji load</h1>\n<p>" + HtmlText(run.server) + ", model " + HtmlText(run.model) + ", " +
         HtmlText(run.evidence) + " evidence, " + HtmlText(run.started) + ", " + HtmlText(run.version) + "</p>\n<p>" +
         std::to_string(run.options.connections) + (run.options.connections == 1 ? " connection" : " connections") +
         (run.options.session_per_request ? ", a session for each request" : "") + ", time-out " +
         TimeText(run.options.timeout) + "; quantiles are at most " + Short(100 * Histogram::kError) +
         " % above the exact ones</p>\n";
  for (const Measurement& m : measurements) {
    for (const std::string& doubt : DoubtsAbout(m)) {
      out += "<p class=\"warning\">" + HtmlText(doubt) + "</p>\n";
    }
  }
  out += Levels(measurements);
  if (!measurements.empty()) {
    out += OverLoad(measurements) + OverTime(measurements) + Distribution(measurements.back());
  }
  if (run.options.phases) {
    out += PhaseBars(measurements);
  }
  if (!run.options.slos.empty()) {
    std::vector<std::vector<std::string>> rows;
    for (const Measurement& m : measurements) {
      for (const Slo& slo : run.options.slos) {
        rows.push_back({LevelText(m), slo.text, m.Keeps(slo) ? "kept" : "BROKEN"});
      }
    }
    out += "<h2>Objectives</h2>\n" + Table({"load", "objective", ""}, rows);
  }
  return out + Costs(run, measurements) + "</body></html>\n";
}

}  // namespace shoji::client::load
