// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/service/enclave_metrics.h"

#include <chrono>
#include <string>

#include <gtest/gtest.h>

#include "lib/base/reason.h"

namespace shoji::enclave {
namespace {

using channel::Phase;

class RequestMetricsTest : public ::testing::Test {
 protected:
  // Of the histogram of `phase`.
  prometheus::ClientMetric::Histogram Phases(Phase phase) const {
    for (const prometheus::MetricFamily& family : exporter_->registry().Collect()) {
      for (const prometheus::ClientMetric& metric : family.metric) {
        if (family.name == "shoji_enclave_phase_duration_seconds" && metric.label.front().value == NameOf(phase)) {
          return metric.histogram;
        }
      }
    }
    ADD_FAILURE() << "no such phase";
    return {};
  }

  const std::unique_ptr<metrics::Exporter> exporter_ = *metrics::Exporter::Start({});
  RequestMetrics metrics_{*exporter_};
};

// Else whoever scrapes before and after a request reads off the sum what its own client is not told.
TEST_F(RequestMetricsTest, PhasesCountAsCoarselyAsClientsAreToldThem) {
  RunContext run(SteadyTime::max());
  run.phases[Phase::kCompute] = std::chrono::nanoseconds(1'234'567);
  run.phases[Phase::kVerify] = std::chrono::nanoseconds(3'001);
  metrics_.Answered(absl::OkStatus(), run, std::chrono::milliseconds(2));
  EXPECT_EQ(Phases(Phase::kCompute).sample_count, 1U);
  EXPECT_DOUBLE_EQ(Phases(Phase::kCompute).sample_sum, 1'280e-6);
  EXPECT_DOUBLE_EQ(Phases(Phase::kVerify).sample_sum, 0);
}

TEST_F(RequestMetricsTest, WhatWasRefusedHasNoPhases) {
  const RunContext run(SteadyTime::max());
  metrics_.Answered(ErrorOf(Reason::kReplayed), run, std::chrono::milliseconds(2));
  EXPECT_EQ(Phases(Phase::kCompute).sample_count, 0U);
}

}  // namespace
}  // namespace shoji::enclave
