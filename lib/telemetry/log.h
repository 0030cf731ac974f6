// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Structured log lines of the untrusted processes: an event and key=value fields, to standard error, as text or as JSON
// lines. Libraries return errors and do not log; whoever logs passes names, counts and codes, never a payload.
//   logger.Info("request", {{"method", "Infer"}, {"bytes", size}});
//   2026-11-20T20:18:14.123Z info shoji-server request method=Infer bytes=12345
#pragma once

#include <atomic>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/clock.h"
#include "lib/config/node.h"

namespace spdlog {
class logger;
}

namespace shoji::telemetry {

enum class LogLevel : uint8_t { kDebug, kInfo, kWarning, kError };
enum class LogFormat : uint8_t { kText, kJson };

struct LogOptions {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kText;
};

// Reads the optional key `log` of a configuration: {level: debug|info|warning|error, format: text|json}.
absl::StatusOr<LogOptions> ReadLogOptions(const config::Fields& top);

// One key=value of a line; it borrows its key and its text.
struct LogField {
  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  LogField(std::string_view k, const char* v) : key(k), value(std::string_view(v)) {}
  LogField(std::string_view k, const std::string& v) : key(k), value(std::string_view(v)) {}
  template <std::floating_point T>
  LogField(std::string_view k, T v) : key(k), value(static_cast<double>(v)) {}
  template <std::signed_integral T>
  LogField(std::string_view k, T v) : key(k), value(static_cast<int64_t>(v)) {}
  template <std::unsigned_integral T>
  LogField(std::string_view k, T v) : key(k), value(static_cast<uint64_t>(v)) {}

  std::string_view key;
  std::variant<std::string_view, int64_t, uint64_t, double> value;
};

// What a line says, before its level and time are put to it.
struct LogLine {
  SystemTime time;
  LogLevel level = LogLevel::kInfo;
  std::string_view process;
  std::string_view event;
  std::span<const LogField> fields;
};

// One line without its end. Values that hold blanks, quotes or control bytes are quoted and escaped, so that no value
// can forge a field or a line.
std::string FormatText(const LogLine& line);
std::string FormatJson(const LogLine& line);

// Lets one event through per interval and counts the others. Thread-safe.
class RateLimit {
 public:
  RateLimit(const Clock& clock, std::chrono::nanoseconds interval) : clock_(clock), interval_(interval) {}

  // The number of events held back since the last one let through; nullopt when this one is held back too.
  std::optional<uint64_t> Admit();

 private:
  const Clock& clock_;
  const std::chrono::nanoseconds interval_;
  absl::Mutex mu_;
  std::optional<SteadyTime> last_ ABSL_GUARDED_BY(mu_);
  uint64_t num_held_back_ ABSL_GUARDED_BY(mu_) = 0;
};

// Writes lines of one process. Thread-safe.
class Logger {
 public:
  // `process` names the program in every line.
  Logger(std::string process, const LogOptions& options, const Clock& clock);
  Logger(const Logger&) = delete;
  Logger& operator=(const Logger&) = delete;
  ~Logger();

  void Debug(std::string_view event, std::initializer_list<LogField> fields = {}) {
    Write(LogLevel::kDebug, event, {fields.begin(), fields.size()});
  }
  void Info(std::string_view event, std::initializer_list<LogField> fields = {}) {
    Write(LogLevel::kInfo, event, {fields.begin(), fields.size()});
  }
  void Warning(std::string_view event, std::initializer_list<LogField> fields = {}) {
    Write(LogLevel::kWarning, event, {fields.begin(), fields.size()});
  }
  void Error(std::string_view event, std::initializer_list<LogField> fields = {}) {
    Write(LogLevel::kError, event, {fields.begin(), fields.size()});
  }
  // A warning that may come often: at most one per interval of `limit`, with the number of those held back.
  void Warning(RateLimit& limit, std::string_view event, std::initializer_list<LogField> fields);

  void Write(LogLevel level, std::string_view event, std::span<const LogField> fields);

  // From now on.
  void SetLevel(LogLevel level) { level_ = level; }

 private:
  const std::string process_;
  const LogFormat format_;
  std::atomic<LogLevel> level_;
  const Clock& clock_;
  std::unique_ptr<spdlog::logger> logger_;
};

}  // namespace shoji::telemetry
