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
                QuantileText(times, 0.5).c_str(), QuantileText(times, 0.9).c_str(), QuantileText(times, 0.99).c_str(),
                MaxText(times).c_str());
}

// Null where nothing was measured: 0 would be the best of all.
Json SecondsJson(const Histogram& times, std::chrono::nanoseconds value) {
  return times.count() == 0 ? Json(nullptr) : Json(Seconds(value));
}

Json TimesJson(const Histogram& times) {
  Json out = {
      {"count", times.count()}, {"min", SecondsJson(times, times.min())}, {"mean", SecondsJson(times, times.Mean())}};
  for (const auto& [name, q] : kQuantiles) {
    out[name] = SecondsJson(times, times.Quantile(q));
  }
  out["max"] = SecondsJson(times, times.max());
  return out;
}

// A field of a table of comma-separated values, in milliseconds; empty where nothing was measured.
std::string MillisField(const Histogram& times, std::chrono::nanoseconds value) {
  return times.count() == 0 ? "," : Format(",%.4f", Millis(value));
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

std::string QuantileText(const Histogram& times, double q) {
  return times.count() == 0 ? "-" : TimeText(times.Quantile(q));
}

std::string MaxText(const Histogram& times) { return times.count() == 0 ? "-" : TimeText(times.max()); }

std::string LevelText(const Measurement& measurement) {
  return LevelNumber(measurement.level) + (measurement.mode == Mode::kRate ? "/s" : " in flight");
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
                     "): the server, this machine, or --max-in-flight and --connections, did not keep up");
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
      out += Format(" %9s", QuantileText(m.latency, q).c_str());
    }
    out += Format(" %9s\n", MaxText(m.latency).c_str());
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
      const auto seconds = [&slice](std::chrono::nanoseconds value) {
        return slice.answered == 0 ? Json(nullptr) : Json(Seconds(value));
      };
      slices.push_back({{"begin", Seconds(slice.begin)},
                        {"answered", slice.answered},
                        {"errors", slice.errors},
                        {"p50", seconds(slice.p50)},
                        {"p99", seconds(slice.p99)},
                        {"max", seconds(slice.max)}});
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
                         {"duration", Seconds(run.options.duration)},
                         {"warmup", Seconds(run.options.warmup)},
                         {"requests", run.options.requests == 0 ? Json(nullptr) : Json(run.options.requests)},
                         {"arrival", run.options.arrival == Arrival::kPoisson ? "poisson" : "constant"},
                         {"seed", run.options.seed},
                         {"max_in_flight", run.options.max_in_flight},
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
    out += Format("%s,%s,%.3f,%llu,%llu,%llu,%llu", m.mode == Mode::kRate ? "rate" : "concurrency",
                  LevelNumber(m.level).c_str(), m.achieved_rate(), static_cast<unsigned long long>(m.answered),
                  static_cast<unsigned long long>(m.failed), static_cast<unsigned long long>(m.late),
                  static_cast<unsigned long long>(m.dropped));
    for (const auto& [name, q] : kQuantiles) {
      out += MillisField(m.latency, m.latency.Quantile(q));
    }
    out += MillisField(m.latency, m.latency.max()) + MillisField(m.service, m.service.Quantile(0.5)) +
           MillisField(m.service, m.service.Quantile(0.99)) + MillisField(m.handshake, m.handshake.Quantile(0.5)) +
           Format(",%.4f\n", CpuShare(m));
  }
  return out;
}

}  // namespace shoji::client::load
