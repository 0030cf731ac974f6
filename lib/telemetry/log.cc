// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/telemetry/log.h"

#include <array>
#include <cstdio>
#include <ctime>
#include <utility>
#include <vector>

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include "lib/base/status_macros.h"

namespace shoji::telemetry {
namespace {

constexpr std::pair<std::string_view, LogLevel> kLevels[] = {{"debug", LogLevel::kDebug},
                                                             {"info", LogLevel::kInfo},
                                                             {"warning", LogLevel::kWarning},
                                                             {"error", LogLevel::kError}};
constexpr std::pair<std::string_view, LogFormat> kFormats[] = {{"text", LogFormat::kText}, {"json", LogFormat::kJson}};

std::string_view NameOf(LogLevel level) { return kLevels[static_cast<size_t>(level)].first; }

// RFC 3339 in UTC with milliseconds.
std::string FormatTime(SystemTime time) {
  const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
  const std::time_t seconds = static_cast<std::time_t>(millis / 1000);
  std::tm utc = {};
  ::gmtime_r(&seconds, &utc);
  std::array<char, 32> text = {};
  const size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  std::array<char, 8> fraction = {};
  std::snprintf(fraction.data(), fraction.size(), ".%03dZ", static_cast<int>(millis % 1000));
  return std::string(text.data(), size) + fraction.data();
}

// `text` in double quotes as JSON writes it, with every byte outside printable ASCII escaped: valid JSON whatever it
// held.
std::string Quoted(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (byte >= 0x20 && byte < 0x7f) {
      out.push_back(c);
    } else {
      out += "\\u00";
      out += {kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  out.push_back('"');
  return out;
}

bool IsPlainWord(std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte >= 0x7f || c == '"' || c == '\\' || c == '=') {
      return false;
    }
  }
  return !text.empty();
}

std::string FormatDouble(double value) {
  std::array<char, 40> text = {};
  std::snprintf(text.data(), text.size(), "%.6g", value);
  return text.data();
}

enum class Quotes : uint8_t { kAlways, kWhenNeeded };

std::string FormatValue(const LogField& field, Quotes quotes) {
  if (const auto* text = std::get_if<std::string_view>(&field.value)) {
    return quotes == Quotes::kWhenNeeded && IsPlainWord(*text) ? std::string(*text) : Quoted(*text);
  }
  if (const auto* number = std::get_if<int64_t>(&field.value)) {
    return std::to_string(*number);
  }
  if (const auto* number = std::get_if<uint64_t>(&field.value)) {
    return std::to_string(*number);
  }
  const double number = std::get<double>(field.value);
  const bool is_json_number = number - number == 0;  // neither infinite nor NaN
  return is_json_number ? FormatDouble(number) : "null";
}

}  // namespace

absl::StatusOr<LogOptions> ReadLogOptions(const config::Fields& top) {
  LogOptions out;
  const std::optional<config::Node> node = top.Find("log");
  if (!node.has_value()) {
    return out;
  }
  ASSIGN_OR_RETURN(const config::Fields fields, node->Map({"level", "format"}));
  ASSIGN_OR_RETURN(out.level, fields.EnumOr<LogLevel>("level", out.level, kLevels));
  ASSIGN_OR_RETURN(out.format, fields.EnumOr<LogFormat>("format", out.format, kFormats));
  return out;
}

std::string FormatText(const LogLine& line) {
  std::string out = FormatTime(line.time);
  out.append(" ").append(NameOf(line.level)).append(" ").append(line.process).append(" ").append(line.event);
  for (const LogField& field : line.fields) {
    out.append(" ").append(field.key).append("=").append(FormatValue(field, Quotes::kWhenNeeded));
  }
  return out;
}

std::string FormatJson(const LogLine& line) {
  std::string out = "{\"time\":\"" + FormatTime(line.time) + "\",\"level\":" + Quoted(NameOf(line.level)) +
                    ",\"process\":" + Quoted(line.process) + ",\"event\":" + Quoted(line.event);
  for (const LogField& field : line.fields) {
    out.append(",").append(Quoted(field.key)).append(":").append(FormatValue(field, Quotes::kAlways));
  }
  return out + "}";
}

std::optional<uint64_t> RateLimit::Admit() {
  const absl::MutexLock lock(&mu_);
  const SteadyTime now = clock_.SteadyNow();
  if (last_.has_value() && now - *last_ < interval_) {
    ++num_held_back_;
    return std::nullopt;
  }
  last_ = now;
  return std::exchange(num_held_back_, 0);
}

Logger::Logger(std::string process, const LogOptions& options, const Clock& clock)
    : process_(std::move(process)), format_(options.format), level_(options.level), clock_(clock) {
  logger_ = std::make_unique<spdlog::logger>(process_, std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger_->set_pattern("%v");
  logger_->flush_on(spdlog::level::trace);
}

Logger::~Logger() = default;

void Logger::Warning(RateLimit& limit, std::string_view event, std::initializer_list<LogField> fields) {
  const std::optional<uint64_t> num_held_back = limit.Admit();
  if (!num_held_back.has_value()) {
    return;
  }
  std::vector<LogField> all(fields);
  if (*num_held_back > 0) {
    all.emplace_back("held_back", *num_held_back);
  }
  Write(LogLevel::kWarning, event, all);
}

void Logger::Write(LogLevel level, std::string_view event, std::span<const LogField> fields) {
  if (level < level_) {
    return;
  }
  const LogLine line{clock_.SystemNow(), level, process_, event, fields};
  const std::string text = format_ == LogFormat::kJson ? FormatJson(line) : FormatText(line);
  // As data, not as a format string.
  logger_->log(spdlog::level::critical, spdlog::string_view_t(text.data(), text.size()));
}

}  // namespace shoji::telemetry
