// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/load/measurement.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "lib/base/reason.h"

namespace shoji::client::load {
namespace {

double Seconds(std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); }

// Two neighbours as one. Quantiles do not add up; that of the worse half is what an operator looks for.
Slice Join(const Slice& first, const Slice& second) {
  return {.begin = first.begin,
          .answered = first.answered + second.answered,
          .errors = first.errors + second.errors,
          .p50 = std::max(first.p50, second.p50),
          .p99 = std::max(first.p99, second.p99),
          .max = std::max(first.max, second.max)};
}

}  // namespace

double Measurement::achieved_rate() const {
  return took.count() == 0 ? 0 : static_cast<double>(answered) / Seconds(took);
}

double Measurement::error_share() const {
  return requests() == 0 ? 0 : static_cast<double>(failed + dropped) / static_cast<double>(requests());
}

bool Measurement::Keeps(const Slo& slo) const {
  switch (slo.what) {
    case Slo::What::kQuantile:
      return answered > 0 && Seconds(latency.Quantile(slo.quantile)) <= slo.bound;
    case Slo::What::kMax:
      return answered > 0 && Seconds(latency.max()) <= slo.bound;
    case Slo::What::kErrors:
      return requests() > 0 && error_share() <= slo.bound;
    case Slo::What::kRate:
      return achieved_rate() >= slo.bound;
  }
  return false;
}

std::string LevelNumber(double level) {
  char digits[32];
  std::snprintf(digits, sizeof(digits), "%.12g", level);  // fewer than a double has: 0.1 + 0.2 is 0.3
  return digits;
}

std::string ErrorKey(const absl::Status& status) {
  const Reason reason = ReasonOf(status);
  std::string key = absl::StatusCodeToString(status.code());
  return reason == Reason::kUnspecified ? key : key + " (" + std::string(NameOf(reason)) + ")";
}

Recorder::Recorder(Mode mode, double level, std::ofstream* raw) : raw_(raw) {
  measured_.mode = mode;
  measured_.level = level;
  measured_.slice_length = std::chrono::milliseconds(250);
}

void Recorder::Begin(SteadyTime begin) {
  const absl::MutexLock lock(&mu_);
  begin_ = begin;
}

const char* Recorder::RawHeader() { return "level,intended_us,sent_us,done_us,handshake_us,status\n"; }

void Recorder::CloseSlice() {
  slice_.p50 = in_slice_.Quantile(0.5);
  slice_.p99 = in_slice_.Quantile(0.99);
  slice_.max = in_slice_.max();
  measured_.slices.push_back(slice_);
  in_slice_.Clear();
  slice_ = {.begin = slice_.begin + measured_.slice_length};
  if (measured_.slices.size() < kMaxSlices || measured_.slices.size() % 2 != 0) {
    return;
  }
  std::vector<Slice> joined;
  for (size_t i = 0; i < measured_.slices.size(); i += 2) {
    joined.push_back(Join(measured_.slices[i], measured_.slices[i + 1]));
  }
  measured_.slices = std::move(joined);
  measured_.slice_length *= 2;
}

void Recorder::AdvanceTo(SteadyTime now) {
  while (now - begin_ >= slice_.begin + measured_.slice_length) {
    CloseSlice();
  }
}

void Recorder::Record(const Sample& sample) {
  const std::chrono::nanoseconds latency = sample.done - sample.intended;
  const std::chrono::nanoseconds lag = sample.sent - sample.intended;
  const absl::MutexLock lock(&mu_);
  AdvanceTo(sample.done);
  measured_.lag.Record(lag);
  measured_.late += lag > Measurement::kLate ? 1U : 0U;
  if (sample.handshake.count() > 0) {
    measured_.handshake.Record(sample.handshake);
  }
  if (sample.status.ok()) {
    ++measured_.answered;
    ++slice_.answered;
    measured_.latency.Record(latency);
    measured_.service.Record(sample.done - sample.sent);
    in_slice_.Record(latency);
    for (size_t i = 0; sample.phases.has_value() && i < channel::kNumPhases; ++i) {
      measured_.phases[i].Record(sample.phases->times[i]);
    }
  } else {
    ++measured_.failed;
    ++slice_.errors;
    measured_.errors[ErrorKey(sample.status)].Record(latency);
  }
  if (raw_ != nullptr) {
    const auto micros = [](std::chrono::nanoseconds time) { return time.count() / 1000; };
    *raw_ << LevelNumber(measured_.level) << ',' << micros(sample.intended - begin_) << ','
          << micros(sample.sent - begin_) << ',' << micros(sample.done - begin_) << ',' << micros(sample.handshake)
          << ',' << (sample.status.ok() ? "OK" : ErrorKey(sample.status)) << '\n';
  }
}

void Recorder::Dropped(SteadyTime intended, SteadyTime now) {
  const absl::MutexLock lock(&mu_);
  AdvanceTo(now);
  ++measured_.dropped;
  ++slice_.errors;
  if (raw_ != nullptr) {
    *raw_ << LevelNumber(measured_.level) << ',' << (intended - begin_).count() / 1000 << ",,,,DROPPED\n";
  }
}

void Recorder::Attested(std::chrono::nanoseconds took) {
  const absl::MutexLock lock(&mu_);
  measured_.attestation.Record(took);
}

void Recorder::Opened(std::chrono::nanoseconds took, bool again) {
  const absl::MutexLock lock(&mu_);
  measured_.handshake.Record(took);
  measured_.reopened += again ? 1U : 0U;
}

Recorder::Progress Recorder::progress() const {
  const absl::MutexLock lock(&mu_);
  return {measured_.answered, measured_.failed + measured_.dropped, measured_.latency.Quantile(0.99)};
}

Measurement Recorder::Finish(SteadyTime end, std::chrono::nanoseconds cpu) {
  const absl::MutexLock lock(&mu_);
  AdvanceTo(end);
  if (slice_.answered + slice_.errors > 0) {
    CloseSlice();
  }
  measured_.took = end - begin_;
  measured_.cpu = cpu;
  return std::move(measured_);
}

}  // namespace shoji::client::load
