// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/load/text_report.h"

#include <cstdarg>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "client/printable.h"

namespace shoji::client::load {
namespace {

using Json = nlohmann::ordered_json;

double Seconds(std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); }
double Millis(std::chrono::nanoseconds time) { return 1000 * Seconds(time); }

[[gnu::format(printf, 1, 2)]] std::string Format(const char* format, ...) {
  char buffer[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(buffer, sizeof(buffer), format, arguments);
  va_end(arguments);
  return buffer;
}

std::string TimesLine(const std::string& name, const Histogram& times) {
  return Format("  %-34s %8llu  %10s %10s %10s %10s\n", name.c_str(), static_cast<unsigned long long>(times.count()),
                TimeText(times.Quantile(0.5)).c_str(), TimeText(times.Quantile(0.9)).c_str(),
                TimeText(times.Quantile(0.99)).c_str(), TimeText(times.max()).c_str());
}

Json TimesJson(const Histogram& times) {
  Json out = {{"count", times.count()}, {"min", Seconds(times.min())}, {"mean", Seconds(times.Mean())}};
  for (const auto& [name, q] : kQuantiles) {
    out[name] = Seconds(times.Quantile(q));
  }
  out["max"] = Seconds(times.max());
  return out;
}

// Of one processor.
double CpuShare(const Measurement& measurement) {
  return measurement.took.count() == 0 ? 0 : Seconds(measurement.cpu) / Seconds(measurement.took);
}

double CpuMicrosPerRequest(const Measurement& measurement) {
  const uint64_t sent = measurement.answered + measurement.failed;
  return sent == 0 ? 0 : 1e6 * Seconds(measurement.cpu) / static_cast<double>(sent);
}

}  // namespace

std::string TimeText(std::chrono::nanoseconds time) {
  const double seconds = Seconds(time);
  if (seconds >= 1) {
    return Format("%.3g s", seconds);
  }
  return seconds >= 0.001 ? Format("%.3g ms", seconds * 1e3) : Format("%.3g us", seconds * 1e6);
}

std::string LevelText(const Measurement& measurement) {
  return measurement.mode == Mode::kRate ? Format("%g/s", measurement.level)
                                         : Format("%g in flight", measurement.level);
}

std::vector<std::string> DoubtsAbout(const Measurement& measurement) {
  // Beyond these the generator may have measured itself.
  constexpr double kMaxCpuShare = 0.8;
  constexpr std::chrono::milliseconds kMaxLag(5);
  std::vector<std::string> doubts;
  const std::string level = LevelText(measurement);
  const unsigned processors = std::max(std::thread::hardware_concurrency(), 1U);
  if (CpuShare(measurement) > kMaxCpuShare * processors) {
    doubts.push_back(level + ": the generator used " + Format("%.0f %%", 100 * CpuShare(measurement) / processors) +
                     " of this machine's processors: it may have measured itself");
  }
  if (measurement.mode == Mode::kRate && measurement.lag.Quantile(0.99) > kMaxLag) {
    doubts.push_back(level + ": requests went out late (p99 " + TimeText(measurement.lag.Quantile(0.99)) +
                     "): the server, or --max-in-flight and --connections, did not keep up");
  }
  if (measurement.mode == Mode::kRate && measurement.achieved_rate() < 0.95 * measurement.level) {
    doubts.push_back(level + Format(": only %.1f answers a second were achieved", measurement.achieved_rate()));
  }
  return doubts;
}

std::string TextReport(const RunInfo& run, const std::vector<Measurement>& measurements) {
  std::string out = Format("%-14s %10s %9s %8s %8s %8s  %9s %9s %9s %9s %9s %9s\n", "load", "achieved/s", "answers",
                           "errors", "late", "dropped", "p50", "p90", "p95", "p99", "p99.9", "max");
  for (const Measurement& m : measurements) {
    out += Format("%-14s %10.1f %9llu %8llu %8llu %8llu ", LevelText(m).c_str(), m.achieved_rate(),
                  static_cast<unsigned long long>(m.answered), static_cast<unsigned long long>(m.failed),
                  static_cast<unsigned long long>(m.late), static_cast<unsigned long long>(m.dropped));
    for (const auto& [name, q] : kQuantiles) {
      out += Format(" %9s", TimeText(m.latency.Quantile(q)).c_str());
    }
    out += Format(" %9s\n", TimeText(m.latency.max()).c_str());
  }
  out += Format("\n  %-34s %8s  %10s %10s %10s %10s\n", "", "count", "p50", "p90", "p99", "max");
  for (const Measurement& m : measurements) {
    out += LevelText(m) + "\n";
    out += TimesLine("service time (from the sending)", m.service);
    for (const auto& [key, times] : m.errors) {
      out += TimesLine("error " + Printable(key), times);
    }
    out += TimesLine("attestation", m.attestation);
    out += TimesLine("handshake", m.handshake);
    if (m.reopened > 0) {
      out += Format(m.reopened == 1 ? "  %llu session ended and was opened anew\n"
                                    : "  %llu sessions ended and were opened anew\n",
                    static_cast<unsigned long long>(m.reopened));
    }
    for (size_t i = 0; run.options.phases && i < channel::kNumPhases; ++i) {
      out += TimesLine("phase " + std::string(NameOf(channel::kAllPhases[i])), m.phases[i]);
    }
    out += Format("  generator: %.0f %% of a processor, %.0f us of it a request", 100 * CpuShare(m),
                  CpuMicrosPerRequest(m));
    out +=
        m.mode == Mode::kRate ? "; sent " + TimeText(m.lag.Quantile(0.99)) + " after the intended time at p99\n" : "\n";
  }
  for (const Measurement& m : measurements) {
    for (const std::string& doubt : DoubtsAbout(m)) {
      out += "WARNING: " + doubt + "\n";
    }
  }
  return out;
}

std::string JsonReport(const RunInfo& run, const std::vector<Measurement>& measurements) {
  Json levels = Json::array();
  for (const Measurement& m : measurements) {
    Json level;
    level["mode"] = m.mode == Mode::kRate ? "rate" : "concurrency";
    level["level"] = m.level;
    level["seconds"] = Seconds(m.took);
    level["requested_rate"] = m.mode == Mode::kRate ? Json(m.level) : Json(nullptr);
    level["achieved_rate"] = m.achieved_rate();
    level["answered"] = m.answered;
    level["failed"] = m.failed;
    level["late"] = m.late;
    level["dropped"] = m.dropped;
    level["sessions_reopened"] = m.reopened;
    level["latency"] = TimesJson(m.latency);
    level["service_time"] = TimesJson(m.service);
    level["send_lag"] = TimesJson(m.lag);
    level["attestation"] = TimesJson(m.attestation);
    level["handshake"] = TimesJson(m.handshake);
    level["errors"] = Json::object();
    for (const auto& [key, times] : m.errors) {
      level["errors"][key] = TimesJson(times);
    }
    if (run.options.phases) {
      for (size_t i = 0; i < channel::kNumPhases; ++i) {
        level["phases"][std::string(NameOf(channel::kAllPhases[i]))] = TimesJson(m.phases[i]);
      }
    }
    level["generator"] = {{"cpu_share", CpuShare(m)}, {"cpu_us_per_request", CpuMicrosPerRequest(m)}};
    Json slices = Json::array();
    for (const Slice& slice : m.slices) {
      slices.push_back({{"begin", Seconds(slice.begin)},
                        {"answered", slice.answered},
                        {"errors", slice.errors},
                        {"p50", Seconds(slice.p50)},
                        {"p99", Seconds(slice.p99)},
                        {"max", Seconds(slice.max)}});
    }
    level["slice_seconds"] = Seconds(m.slice_length);
    level["slices"] = std::move(slices);
    level["doubts"] = DoubtsAbout(m);
    levels.push_back(std::move(level));
  }
  Json slos = Json::object();
  for (const Slo& slo : run.options.slos) {
    bool kept = true;
    for (const Measurement& m : measurements) {
      kept = kept && m.Keeps(slo);
    }
    slos[slo.text] = kept;
  }
  const Json document = {{"server", run.server},
                         {"model", run.model},
                         {"evidence", run.evidence},
                         {"version", run.version},
                         {"started", run.started},
                         {"connections", run.options.connections},
                         {"timeout", Seconds(run.options.timeout)},
                         {"session_per_request", run.options.session_per_request},
                         {"histogram_error", Histogram::kError},
                         {"levels", std::move(levels)},
                         {"slos", std::move(slos)}};
  return document.dump(2, ' ', true, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string CsvReport(const std::vector<Measurement>& measurements) {
  std::string out =
      "mode,level,achieved_rate,answered,failed,late,dropped,p50_ms,p90_ms,p95_ms,p99_ms,p99.9_ms,max_ms,"
      "service_p50_ms,service_p99_ms,handshake_p50_ms,generator_cpu_share\n";
  for (const Measurement& m : measurements) {
    out += Format("%s,%g,%.3f,%llu,%llu,%llu,%llu", m.mode == Mode::kRate ? "rate" : "concurrency", m.level,
                  m.achieved_rate(), static_cast<unsigned long long>(m.answered),
                  static_cast<unsigned long long>(m.failed), static_cast<unsigned long long>(m.late),
                  static_cast<unsigned long long>(m.dropped));
    for (const auto& [name, q] : kQuantiles) {
      out += Format(",%.4f", Millis(m.latency.Quantile(q)));
    }
    out += Format(",%.4f,%.4f,%.4f,%.4f,%.4f\n", Millis(m.latency.max()), Millis(m.service.Quantile(0.5)),
                  Millis(m.service.Quantile(0.99)), Millis(m.handshake.Quantile(0.5)), CpuShare(m));
  }
  return out;
}

}  // namespace shoji::client::load
