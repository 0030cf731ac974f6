// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What an enclave in this process says of where its time went.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "enclave_worker/core/enclave.h"
#include "lib/channel/initiator.h"
#include "lib/channel/payload.h"
#include "lib/crypto/random.h"
#include "lib/graph/onnx_import.h"
#include "tests/support/fake_clock.h"
#include "tests/support/onnx_builder.h"
#include "tests/unit/enclave_worker/core/model_surroundings.h"

namespace shoji::enclave {
namespace {

using channel::Phase;
using std::chrono::milliseconds;

constexpr char kModel[] = "m";

constexpr char kBatched[] = "batched";

// A millisecond passes between two looks at it, of which the thread runs for a part, at first for all of it.
// Thread-safe.
class SteppingClock final : public Clock {
 public:
  void RunFor(std::chrono::nanoseconds step) { run_step_ = step; }
  SteadyTime SteadyNow() const override { return SteadyTime(std::chrono::hours(1)) + milliseconds(1) * ++num_looks_; }
  SystemTime SystemNow() const override { return day_.SystemNow(); }
  std::chrono::nanoseconds ThreadTime() const override {
    return std::chrono::nanoseconds(run_ += run_step_.load().count());
  }

 private:
  const testing::FakeClock day_;
  std::atomic<std::chrono::nanoseconds> run_step_ = std::chrono::nanoseconds(milliseconds(1));
  mutable std::atomic<int64_t> num_looks_ = 0;
  mutable std::atomic<int64_t> run_ = 0;
};

class EnclavePhasesTest : public ::testing::Test {
 protected:
  EnclavePhasesTest() {
    testing::OnnxBuilder builder;
    builder.Input("x", {-1, 2}).Node("Relu", {"x"}, {"y"}).Named("relu").Output("y");
    Served served;
    for (const char* name : {kModel, kBatched}) {
      ModelSource source;
      source.name = name;
      source.model.graph = *graph::ImportOnnx(builder.Build());
      source.policy.model = name;
      source.policy.segments.emplace_back();
      source.batching.max_batch = name == kBatched ? 2 : 1;
      served.models.push_back(*Model::Create(std::move(source), surroundings_.context));
    }
    enclave_ = *Enclave::Create({&clock_, {}, "test", nullptr}, std::move(served));
  }

  std::unique_ptr<channel::Initiator> Connect() {
    const auto claim = enclave_->ClaimFor(crypto::RandomArray<32>());
    const auto manifest = *attest::DecodeManifest(claim.manifest);
    auto client = *channel::Initiator::Create(manifest.hpke_public_key, digest::Sha256(claim.manifest));
    const auto ack =
        enclave_->OpenSession(client->key_id(), client->manifest_digest(), client->enc(), client->sealed_hello());
    EXPECT_TRUE(ack.ok() && client->VerifyHello(ack->session_id, ack->sealed_hello).ok());
    return client;
  }
  // What the trailer of an answer says.
  channel::PhaseTimes Ask(channel::Initiator& client, const std::string& model = kModel) {
    const auto request = client.Seal(
        model, channel::BuildRequest(channel::RequestKind::kTensors, Bytes(8), channel::Trailer::kPhases).Expose());
    RunContext run(clock_.SteadyNow() + std::chrono::minutes(1));
    const auto answer = enclave_->Infer(*request, run);
    EXPECT_TRUE(answer.ok()) << answer.status();
    const auto plaintext = client.OpenResponse(request->sequence, model, *answer);
    EXPECT_TRUE(plaintext.ok()) << plaintext.status();
    return *channel::ParseAnswer(plaintext->Expose(), 8, channel::Trailer::kPhases)->phases;
  }

  // Of a request as Ask sends it.
  bool IsShort(const std::string& model) { return enclave_->IsShort(model, channel::SealedRequestSize(8)); }

  SteppingClock clock_;
  ModelSurroundings surroundings_{clock_};
  std::unique_ptr<Enclave> enclave_;
};

// Not that of the answer before, which may be another client's and of another model.
TEST_F(EnclavePhasesTest, TheTimeOfSealingIsThatOfTheAnswerItself) {
  EXPECT_GE(Ask(*Connect())[Phase::kSeal], milliseconds(1) - std::chrono::microseconds(64));
}

TEST_F(EnclavePhasesTest, OpeningAndComputingHaveTheirTimes) {
  const channel::PhaseTimes phases = Ask(*Connect());
  EXPECT_GT(phases[Phase::kOpen].count(), 0);
  EXPECT_GT(phases[Phase::kCompute].count(), 0);
  EXPECT_EQ(phases[Phase::kOffloadWait].count(), 0);
}

TEST_F(EnclavePhasesTest, AModelIsShortByWhatItsRequestsTakeOfAProcessor) {
  const auto client = Connect();
  const auto ask = [&](int times) {
    for (int i = 0; i < times; ++i) {
      Ask(*client);
    }
  };
  EXPECT_FALSE(IsShort(kModel));                // nobody knows yet
  clock_.RunFor(std::chrono::microseconds(1));  // and waits for a processor, which is not its fault
  ask(15);
  EXPECT_FALSE(IsShort(kModel));
  ask(25);
  EXPECT_TRUE(IsShort(kModel));
  clock_.RunFor(milliseconds(1));
  ask(1);
  EXPECT_TRUE(IsShort(kModel)) << "the machine may have paused";
  ask(20);
  EXPECT_FALSE(IsShort(kModel));
  clock_.RunFor(std::chrono::microseconds(1));
  ask(20);
  EXPECT_FALSE(IsShort(kModel));
  ask(180);
  EXPECT_TRUE(IsShort(kModel));
  EXPECT_FALSE(IsShort("another"));
  // Decrypting takes its time too.
  EXPECT_FALSE(enclave_->IsShort(kModel, size_t{64} << 20));
}

TEST_F(EnclavePhasesTest, AModelWhoseRequestsWaitForOthersIsNeverShort) {
  const auto client = Connect();
  clock_.RunFor(std::chrono::nanoseconds(100));
  for (int i = 0; i < 100; ++i) {
    Ask(*client, kBatched);
  }
  EXPECT_FALSE(IsShort(kBatched));
}

}  // namespace
}  // namespace shoji::enclave
