// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/service/accelerator/accelerator_link.h"

#include <atomic>
#include <string>
#include <thread>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/rpc/tensor_proto.h"

namespace shoji::enclave {
namespace {

namespace pb = internal::v1;

// The stream and the accelerator behind it, by hand. Thread-safe.
class Peer final : public LinkOutlet {
 public:
  void MoreToSend() override {
    const absl::MutexLock lock(&mu_);
    ++num_wakes_;
  }
  void Break() override {
    const absl::MutexLock lock(&mu_);
    broken_ = true;
  }

  // What the link sends next, waiting for it.
  pb::AttachRequest Next(AcceleratorLink& link) {
    while (true) {
      int seen = 0;
      {
        const absl::MutexLock lock(&mu_);
        seen = num_wakes_;
      }
      if (std::optional<pb::AttachRequest> next = link.NextToSend(); next.has_value()) {
        return *std::move(next);
      }
      const absl::MutexLock lock(&mu_);
      const auto woken = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return num_wakes_ != seen; };
      mu_.Await(absl::Condition(&woken));
    }
  }
  bool IsBroken() {
    const absl::MutexLock lock(&mu_);
    return broken_;
  }
  void AwaitBroken() {
    const absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(&broken_));
  }

 private:
  absl::Mutex mu_;
  int num_wakes_ ABSL_GUARDED_BY(mu_) = 0;
  bool broken_ ABSL_GUARDED_BY(mu_) = false;
};

class AcceleratorLinkTest : public ::testing::Test {
 protected:
  AcceleratorLinkTest() {
    options_.chunk_bytes = 4;
    options_.upload_retry = std::chrono::nanoseconds(0);
    options_.on_event = [this](AcceleratorEvent event, absl::StatusCode /*code*/) {
      const absl::MutexLock lock(&mu_);
      ++num_events_[event];
    };
  }

  std::unique_ptr<AcceleratorLink> MakeLink() {
    return std::make_unique<AcceleratorLink>(options_, readiness_, clock_);
  }
  static digest::Sha256Digest DigestOf(const std::string& model) { return digest::Sha256(AsBytes(model)); }
  static void Register(AcceleratorLink& link, const std::string& model) {
    link.Register(DigestOf(model), std::make_shared<const Bytes>(ToBytes(model)), SubModelFormat::kOnnx);
  }
  int CountOf(AcceleratorEvent event) {
    const absl::MutexLock lock(&mu_);
    return num_events_[event];
  }

  // Takes a whole upload off the link; its id.
  static uint64_t TakeUpload(AcceleratorLink& link, const std::string& model) {
    const auto begin = link.NextToSend();
    EXPECT_TRUE(begin.has_value() && begin->has_upload_begin());
    EXPECT_EQ(begin->upload_begin().digest(), ToString(DigestOf(model)));
    EXPECT_EQ(begin->upload_begin().size(), model.size());
    std::string data;
    while (true) {
      const auto next = link.NextToSend();
      EXPECT_TRUE(next.has_value());
      EXPECT_EQ(next->id(), begin->id());
      if (next->has_upload_end()) {
        break;
      }
      EXPECT_LE(next->upload_chunk().data().size(), 4U);
      data += next->upload_chunk().data();
    }
    EXPECT_EQ(data, model);
    return begin->id();
  }
  static pb::AttachResponse Uploaded(uint64_t id) {
    pb::AttachResponse response;
    response.set_id(id);
    response.mutable_upload_reply();
    return response;
  }
  static pb::AttachResponse Failed(uint64_t id, uint32_t code = 8) {
    pb::AttachResponse response;
    response.set_id(id);
    response.mutable_failure()->set_code(code);
    return response;
  }
  static pb::AttachResponse Executed(uint64_t id, float value) {
    pb::AttachResponse response;
    response.set_id(id);
    rpc::WriteTensor(Tensor::Of<float>(Shape({1}), std::vector<float>{value}),
                     *response.mutable_execute_reply()->add_outputs());
    return response;
  }
  // A link that is connected to `peer_` and has uploaded "model".
  std::unique_ptr<AcceleratorLink> MakeReadyLink() {
    auto link = MakeLink();
    Register(*link, "model");
    link->Connected(peer_);
    EXPECT_TRUE(link->Received(Uploaded(TakeUpload(*link, "model"))).ok());
    EXPECT_TRUE(link->ready());
    return link;
  }
  absl::StatusOr<Outputs> Execute(AcceleratorLink& link, std::chrono::nanoseconds timeout = std::chrono::seconds(60)) {
    const Tensor input = Tensor::Of<float>(Shape({1}), std::vector<float>{1});
    const Tensor* inputs[] = {&input};
    return link.Execute(DigestOf("model"), inputs, clock_.SteadyNow() + timeout);
  }

  RealClock clock_;
  ReadinessSignal readiness_;
  AcceleratorLink::Options options_;
  Peer peer_;
  absl::Mutex mu_;
  std::map<AcceleratorEvent, int> num_events_ ABSL_GUARDED_BY(mu_);
};

TEST_F(AcceleratorLinkTest, IsReadyOnlyWhenEverythingRegisteredIsAcknowledged) {
  const auto link = MakeLink();
  Register(*link, "first model");
  Register(*link, "second");
  EXPECT_FALSE(link->NextToSend().has_value());
  link->Connected(peer_);
  EXPECT_FALSE(link->ready());
  // In the order of digests, which is not that of registration.
  const bool first_is_first = DigestOf("first model") < DigestOf("second");
  const std::string one = first_is_first ? "first model" : "second";
  const std::string two = first_is_first ? "second" : "first model";
  const uint64_t one_id = TakeUpload(*link, one);
  const uint64_t two_id = TakeUpload(*link, two);
  EXPECT_FALSE(link->ready());
  ASSERT_TRUE(link->Received(Uploaded(two_id)).ok());
  EXPECT_FALSE(link->ready());
  EXPECT_TRUE(link->Serves(DigestOf(two)));
  EXPECT_FALSE(link->Serves(DigestOf(one)));
  const uint64_t generation = readiness_.generation();
  ASSERT_TRUE(link->Received(Uploaded(one_id)).ok());
  EXPECT_TRUE(link->ready());
  EXPECT_NE(readiness_.generation(), generation);
}

TEST_F(AcceleratorLinkTest, UploadsEverythingAgainAfterAReconnectUnderNewIds) {
  const auto link = MakeReadyLink();
  link->Disconnected(absl::StatusCode::kUnavailable);
  EXPECT_FALSE(link->ready());
  EXPECT_FALSE(link->NextToSend().has_value());
  link->Connected(peer_);
  EXPECT_FALSE(link->ready());
  const uint64_t id = TakeUpload(*link, "model");
  EXPECT_GT(id, 1U);
  ASSERT_TRUE(link->Received(Uploaded(id)).ok());
  EXPECT_TRUE(link->ready());
}

TEST_F(AcceleratorLinkTest, ExecuteReturnsWhatTheAcceleratorAnswers) {
  const auto link = MakeReadyLink();
  std::jthread accelerator([&] {
    const pb::AttachRequest request = peer_.Next(*link);
    EXPECT_EQ(request.execute().digest(), ToString(DigestOf("model")));
    EXPECT_GT(request.execute().timeout_micros(), 0U);
    EXPECT_EQ(link->num_in_flight(), 1U);
    EXPECT_TRUE(link->Received(Executed(request.id(), 7)).ok());
  });
  const auto outputs = Execute(*link);
  ASSERT_TRUE(outputs.ok()) << outputs.status();
  EXPECT_EQ((*outputs)[0].values<float>()[0], 7);
  EXPECT_EQ(link->num_in_flight(), 0U);
}

TEST_F(AcceleratorLinkTest, AnswersInAnyOrderReachTheirRequests) {
  const auto link = MakeReadyLink();
  std::vector<std::jthread> callers;
  std::atomic<int> num_right{0};
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back([&, i] {
      const Tensor input = Tensor::Of<float>(Shape({1}), std::vector<float>{static_cast<float>(i)});
      const Tensor* inputs[] = {&input};
      const auto outputs = link->Execute(DigestOf("model"), inputs, SteadyTime::max());
      num_right += outputs.ok() && (*outputs)[0].values<float>()[0] == static_cast<float>(i) ? 1 : 0;
    });
  }
  std::vector<pb::AttachResponse> answers;
  for (int i = 0; i < 8; ++i) {
    const pb::AttachRequest request = peer_.Next(*link);
    EXPECT_EQ(request.execute().timeout_micros(), 0U);
    const auto input = rpc::ParseTensor(request.execute().inputs(0), 100);
    answers.push_back(Executed(request.id(), input->values<float>()[0]));
  }
  for (auto answer = answers.rbegin(); answer != answers.rend(); ++answer) {
    EXPECT_TRUE(link->Received(*answer).ok());
  }
  callers.clear();
  EXPECT_EQ(num_right, 8);
}

TEST_F(AcceleratorLinkTest, PendingRequestsFailAtOnceWhenTheStreamBreaks) {
  const auto link = MakeReadyLink();
  std::jthread accelerator([&] {
    peer_.Next(*link);
    link->Disconnected(absl::StatusCode::kUnavailable);
  });
  EXPECT_TRUE(absl::IsUnavailable(Execute(*link).status()));
  EXPECT_TRUE(absl::IsUnavailable(Execute(*link).status()));  // and so does whoever comes later
}

TEST_F(AcceleratorLinkTest, DestructionFailsPendingRequestsAndWaitsForThem) {
  auto link = MakeReadyLink();
  absl::Status status;
  std::jthread caller([&] { status = Execute(*link).status(); });
  peer_.Next(*link);
  link->Disconnected(absl::StatusCode::kCancelled);
  link.reset();
  caller.join();
  EXPECT_TRUE(absl::IsUnavailable(status));
}

TEST_F(AcceleratorLinkTest, ARequestThatTimesOutBeforeItIsSentIsNotSent) {
  const auto link = MakeReadyLink();
  EXPECT_TRUE(absl::IsDeadlineExceeded(Execute(*link, std::chrono::milliseconds(1)).status()));
  EXPECT_FALSE(link->NextToSend().has_value());
  EXPECT_TRUE(absl::IsDeadlineExceeded(Execute(*link, std::chrono::nanoseconds(-1)).status()));
}

TEST_F(AcceleratorLinkTest, TheLateAnswerOfATimedOutRequestIsDropped) {
  options_.max_unsolicited = 0;
  const auto link = MakeReadyLink();
  std::atomic<uint64_t> id = 0;
  std::jthread accelerator([&] { id = peer_.Next(*link).id(); });
  while (id == 0) {  // on a busy machine the time may be over before it is sent
    EXPECT_TRUE(absl::IsDeadlineExceeded(Execute(*link, std::chrono::milliseconds(100)).status()));
  }
  accelerator.join();
  EXPECT_TRUE(link->Received(Executed(id, 1)).ok());
  EXPECT_FALSE(link->Received(Executed(id, 1)).ok());  // a second one is unsolicited
}

TEST_F(AcceleratorLinkTest, AnAcceleratorThatNeverAnswersIsBrokenOff) {
  options_.max_abandoned = 2;
  const auto link = MakeReadyLink();
  std::atomic<int> num_taken = 0;
  std::jthread accelerator([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      num_taken += link->NextToSend().has_value() ? 1 : 0;
    }
  });
  while (!peer_.IsBroken()) {  // on a busy machine the time may be over before it is sent
    EXPECT_TRUE(absl::IsDeadlineExceeded(Execute(*link, std::chrono::milliseconds(20)).status()));
  }
  accelerator.request_stop();
  accelerator.join();
  EXPECT_EQ(num_taken, 3);
  EXPECT_EQ(CountOf(AcceleratorEvent::kMisbehaved), 1);
}

TEST_F(AcceleratorLinkTest, AFloodOfUnsolicitedAnswersBreaksTheStream) {
  options_.max_unsolicited = 3;
  const auto link = MakeReadyLink();
  for (uint64_t id = 1000; id < 1003; ++id) {
    EXPECT_TRUE(link->Received(Executed(id, 1)).ok());
  }
  EXPECT_TRUE(absl::IsInvalidArgument(link->Received(Executed(0, 1))));
  EXPECT_EQ(CountOf(AcceleratorEvent::kMisbehaved), 1);
}

TEST_F(AcceleratorLinkTest, ADuplicateAnswerCountsAsUnsolicitedAndHarmsNoOther) {
  options_.max_unsolicited = 1;
  const auto link = MakeReadyLink();
  std::jthread accelerator([&] {
    const uint64_t id = peer_.Next(*link).id();
    EXPECT_TRUE(link->Received(Executed(id, 1)).ok());
    EXPECT_TRUE(link->Received(Executed(id, 2)).ok());
  });
  const auto outputs = Execute(*link);
  ASSERT_TRUE(outputs.ok());
  EXPECT_EQ((*outputs)[0].values<float>()[0], 1);
}

TEST_F(AcceleratorLinkTest, MalformedAnswersFailTheirRequestAsInvalid) {
  const auto link = MakeReadyLink();
  pb::AttachResponse no_kind;
  pb::AttachResponse wrong_kind;
  wrong_kind.mutable_upload_reply();
  pb::AttachResponse bad_tensor = Executed(1, 1);
  bad_tensor.mutable_execute_reply()->mutable_outputs(0)->set_dims(0, int64_t{1} << 60);
  for (pb::AttachResponse answer : {no_kind, wrong_kind, bad_tensor, Failed(1, 0), Failed(1, 99)}) {
    std::jthread accelerator([&] {
      answer.set_id(peer_.Next(*link).id());
      EXPECT_TRUE(link->Received(answer).ok());
    });
    EXPECT_TRUE(absl::IsInvalidArgument(Execute(*link).status())) << answer.DebugString();
  }
  EXPECT_EQ(CountOf(AcceleratorEvent::kMalformed), 5);
  EXPECT_TRUE(link->ready());
}

TEST_F(AcceleratorLinkTest, RefusesMoreInFlightThanItsLimitAtOnce) {
  options_.max_in_flight = 1;
  const auto link = MakeReadyLink();
  std::jthread caller([&] { EXPECT_TRUE(Execute(*link).ok()); });
  const uint64_t id = peer_.Next(*link).id();
  EXPECT_TRUE(absl::IsResourceExhausted(Execute(*link).status()));
  EXPECT_TRUE(link->Received(Executed(id, 1)).ok());
}

TEST_F(AcceleratorLinkTest, RefusesAModelThatIsNotRegistered) {
  const auto link = MakeReadyLink();
  EXPECT_TRUE(absl::IsUnavailable(link->Execute(DigestOf("other"), {}, SteadyTime::max()).status()));
}

TEST_F(AcceleratorLinkTest, ARefusedUploadIsTriedAgainAndOtherModelsStayInUse) {
  const auto link = MakeReadyLink();
  Register(*link, "another");
  ASSERT_TRUE(link->Received(Failed(TakeUpload(*link, "another"))).ok());
  EXPECT_FALSE(link->ready());
  EXPECT_TRUE(link->Serves(DigestOf("model")));
  EXPECT_FALSE(link->NextToSend().has_value());
  EXPECT_EQ(CountOf(AcceleratorEvent::kUploadRefused), 1);
  link->RetryRefused();
  ASSERT_TRUE(link->Received(Uploaded(TakeUpload(*link, "another"))).ok());
  EXPECT_TRUE(link->ready());
}

TEST_F(AcceleratorLinkTest, AnUploadRefusedUnderWayIsEndedAtOnce) {
  const auto link = MakeLink();
  Register(*link, "a long model");
  link->Connected(peer_);
  const uint64_t id = link->NextToSend()->id();
  ASSERT_TRUE(link->Received(Failed(id)).ok());
  const auto end = link->NextToSend();
  ASSERT_TRUE(end.has_value());
  EXPECT_TRUE(end->has_upload_end());
  EXPECT_EQ(end->id(), id);
  EXPECT_FALSE(link->NextToSend().has_value());
}

TEST_F(AcceleratorLinkTest, AnUploadAcknowledgedBeforeItIsSentIsNotBelieved) {
  const auto link = MakeLink();
  Register(*link, "a long model");
  link->Connected(peer_);
  const uint64_t id = link->NextToSend()->id();
  ASSERT_TRUE(link->Received(Uploaded(id)).ok());
  EXPECT_FALSE(link->ready());
  EXPECT_EQ(CountOf(AcceleratorEvent::kUploadRefused), 1);
}

TEST_F(AcceleratorLinkTest, UnregisteringUnloadsAndSaysNothingMoreOfTheModel) {
  const auto link = MakeReadyLink();
  link->Unregister(DigestOf("model"));
  const auto unload = link->NextToSend();
  ASSERT_TRUE(unload.has_value());
  EXPECT_EQ(unload->unload().digest(), ToString(DigestOf("model")));
  pb::AttachResponse done;
  done.set_id(unload->id());
  done.mutable_unload_reply();
  EXPECT_TRUE(link->Received(done).ok());
  EXPECT_FALSE(link->Serves(DigestOf("model")));
  EXPECT_TRUE(link->ready());
  link->Disconnected(absl::StatusCode::kUnavailable);
  link->Connected(peer_);
  EXPECT_FALSE(link->NextToSend().has_value());
  link->Unregister(DigestOf("unknown"));
}

TEST_F(AcceleratorLinkTest, AModelUnregisteredDuringItsUploadIsUnloadedAfterIt) {
  const auto link = MakeLink();
  Register(*link, "model");
  link->Connected(peer_);
  const uint64_t id = TakeUpload(*link, "model");
  link->Unregister(DigestOf("model"));
  EXPECT_TRUE(link->ready());
  ASSERT_TRUE(link->Received(Uploaded(id)).ok());
  const auto unload = link->NextToSend();
  ASSERT_TRUE(unload.has_value());
  EXPECT_TRUE(unload->has_unload());
  EXPECT_FALSE(link->Serves(DigestOf("model")));
}

TEST_F(AcceleratorLinkTest, AModelUnregisteredAndRegisteredAgainKeepsItsUpload) {
  const auto link = MakeLink();
  Register(*link, "model");
  link->Connected(peer_);
  const uint64_t id = TakeUpload(*link, "model");
  link->Unregister(DigestOf("model"));
  Register(*link, "model");
  ASSERT_TRUE(link->Received(Uploaded(id)).ok());
  EXPECT_TRUE(link->Serves(DigestOf("model")));
  EXPECT_FALSE(link->NextToSend().has_value());
}

TEST_F(AcceleratorLinkTest, AnUnloadIsSentBeforeTheModelIsUploadedAgain) {
  const auto link = MakeReadyLink();
  link->Unregister(DigestOf("model"));
  Register(*link, "model");
  EXPECT_TRUE(link->NextToSend()->has_unload());
  TakeUpload(*link, "model");
}

TEST_F(AcceleratorLinkTest, UploadsAndExecutionsTakeTurns) {
  const auto link = MakeReadyLink();
  Register(*link, "another model");
  std::vector<std::jthread> callers;
  for (int i = 0; i < 2; ++i) {
    callers.emplace_back([&] { EXPECT_TRUE(absl::IsUnavailable(Execute(*link).status())); });
  }
  while (link->num_in_flight() < 2) {
    std::this_thread::yield();
  }
  std::string kinds;
  for (int i = 0; i < 5; ++i) {
    kinds += peer_.Next(*link).has_execute() ? 'e' : 'u';
  }
  EXPECT_THAT(kinds, ::testing::AnyOf("eueuu", "ueueu"));
  link->Disconnected(absl::StatusCode::kUnavailable);
}

TEST_F(AcceleratorLinkTest, AnUploadSaysWhatTheSubModelIsAgainAfterAReconnectToo) {
  const auto link = MakeLink();
  link->Register(DigestOf("layer"), std::make_shared<const Bytes>(ToBytes("layer")), SubModelFormat::kLinearLayer);
  for (int stream = 0; stream < 2; ++stream) {
    link->Connected(peer_);
    const auto begin = link->NextToSend();
    ASSERT_TRUE(begin.has_value() && begin->has_upload_begin());
    EXPECT_EQ(begin->upload_begin().format(), pb::LINEAR_LAYER);
    link->Disconnected(absl::StatusCode::kUnavailable);
  }
}

TEST_F(AcceleratorLinkTest, AnOpenSegmentIsUploadedAsOnnx) {
  const auto link = MakeLink();
  Register(*link, "model");
  link->Connected(peer_);
  const auto begin = link->NextToSend();
  ASSERT_TRUE(begin.has_value() && begin->has_upload_begin());
  EXPECT_EQ(begin->upload_begin().format(), pb::ONNX);
}

}  // namespace
}  // namespace shoji::enclave
