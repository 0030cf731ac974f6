// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/session.h"

#include <atomic>
#include <chrono>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/appraisal_file/appraisal_file.h"
#include "lib/attest/nonce_tree.h"
#include "lib/base/reason.h"
#include "tests/support/genuine_evidence.h"
#include "tests/unit/client/fake_server.h"

namespace shoji::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

image::Image SomePicture(uint8_t value = 42) {
  image::Image picture(2, 2, 3);
  for (uint8_t& pixel : picture.mutable_pixels()) {
    pixel = value;
  }
  return picture;
}

class SessionTest : public ::testing::Test {
 protected:
  Session::Options GoodOptions() {
    Session::Options options;
    options.model = "pets";
    options.appraisal = {SimulatedEvidence::kAllow, {server_.signer.public_key()}};
    options.warn = [this](const std::string& warning) { warnings_.push_back(warning); };
    options.clock = &clock_;
    options.wait = [this](milliseconds time) { clock_.Advance(time); };
    return options;
  }
  absl::StatusOr<std::unique_ptr<Session>> Create(Session::Options options) {
    return Session::Create(std::move(options), std::make_unique<FakeTransport>(server_));
  }
  std::unique_ptr<Session> GoodSession() {
    auto session = Create(GoodOptions());
    SHOJI_CHECK(session.ok());
    return *std::move(session);
  }
  absl::StatusOr<Answer> Infer(Session& session) {
    return session.Infer(SomePicture(), clock_.SteadyNow() + seconds(10));
  }
  // Creating a session fails, as a refusal, before anything but the evidence was asked for; returns the message.
  std::string RefusalOf(Session::Options options) {
    const auto session = Create(std::move(options));
    if (session.ok()) {
      return "accepted";
    }
    EXPECT_TRUE(IsRefusal(session.status())) << session.status();
    EXPECT_EQ(session.status().code(), absl::StatusCode::kPermissionDenied);
    EXPECT_EQ(server_.num_sessions, 0);
    return std::string(session.status().message());
  }

  FakeServer server_;
  FakeClock clock_;
  std::vector<std::string> warnings_;
};

TEST_F(SessionTest, AnswersAPictureAndReturnsWhatTheModelComputed) {
  const auto session = GoodSession();
  const absl::StatusOr<Answer> answer = Infer(*session);
  ASSERT_TRUE(answer.ok()) << answer.status();
  ASSERT_EQ(answer->outputs.size(), 1U);
  EXPECT_EQ(answer->outputs[0].shape(), Shape({1, 3}));
  EXPECT_THAT(answer->outputs[0].values<float>(), ElementsAre(42.F, 12.F, 1.F));
  EXPECT_THAT(answer->model->labels, ElementsAre("cat", "dog", "bird"));
}

TEST_F(SessionTest, SendsTensorsAsTheyAre) {
  const auto session = GoodSession();
  const std::vector<float> values = {1.5F, -2.F};
  std::vector<Tensor> inputs;
  inputs.push_back(Tensor::Of<float>(Shape({1, 2}), values));
  const absl::StatusOr<Answer> answer = session->Infer(inputs, clock_.SteadyNow() + seconds(1));
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_THAT(answer->outputs[0].values<float>(), ElementsAre(0.F, 8.F, 2.F));
}

TEST_F(SessionTest, RefusesTensorsOfAnotherShapeTypeOrNumberOrNotFiniteBeforeSending) {
  const auto session = GoodSession();
  std::vector<Tensor> inputs;
  EXPECT_THAT(session->Infer(inputs, clock_.SteadyNow() + seconds(1)).status().message(),
              HasSubstr("takes 1 tensor, not 0"));
  inputs.emplace_back(DataType::kFloat32, Shape({2, 1}));
  EXPECT_THAT(session->Infer(inputs, clock_.SteadyNow() + seconds(1)).status().message(),
              HasSubstr("float32 [1,2], not float32 [2,1]"));
  inputs[0] = Tensor(DataType::kUint8, Shape({1, 2}));
  EXPECT_EQ(session->Infer(inputs, clock_.SteadyNow() + seconds(1)).status().code(),
            absl::StatusCode::kInvalidArgument);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    inputs[0] = Tensor::Of<float>(Shape({1, 2}), std::vector<float>{1.F, bad});
    EXPECT_THAT(session->Infer(inputs, clock_.SteadyNow() + seconds(1)).status().message(),
                HasSubstr("value 1 of 2, counted from 0, is NaN or infinite"));
  }
  EXPECT_EQ(server_.num_infers(), 0);
}

TEST_F(SessionTest, RefusesAPictureForAModelWithoutPreprocessing) {
  FakeModel model = MakeFakeModel();
  model.preprocessing.clear();
  model.manifest.preprocessing_digest = digest::Sha256({});
  server_.Restart(model);
  const auto session = GoodSession();
  EXPECT_EQ(Infer(*session).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(SessionTest, ChoosesTheModelWhenThereIsOnlyOne) {
  Session::Options options = GoodOptions();
  options.model.clear();
  const auto session = Create(std::move(options));
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_EQ((*session)->model_name(), "pets");
}

TEST_F(SessionTest, RefusesTheServersChoiceWhenTheEnclaveServesSeveralModels) {
  // A front end that lists one model of two would choose which of them gets the picture.
  FakeModel model = MakeFakeModel();
  model.others = {model.manifest};
  model.others[0].name = "weather";
  server_.Restart(model);
  Session::Options options = GoodOptions();
  options.model = "";
  EXPECT_THAT(RefusalOf(options), HasSubstr("the enclave serves several models; name one of them"));
  EXPECT_TRUE(Create(GoodOptions()).ok());  // named, the same model is fine
}

TEST_F(SessionTest, AsksForANameWhenThereAreSeveralModels) {
  server_.on_models = [](std::vector<ModelDescription>& models) { models.push_back({"cars", {}, {}}); };
  Session::Options options = GoodOptions();
  options.model.clear();
  EXPECT_THAT(Create(std::move(options)).status().message(), HasSubstr("pets, cars"));
}

TEST_F(SessionTest, SaysThatAModelIsUnknownAndSuggestsNearNames) {
  Session::Options options = GoodOptions();
  options.model = "petz";
  const absl::Status status = Create(std::move(options)).status();
  EXPECT_EQ(ReasonOf(status), Reason::kUnknownModel);
  EXPECT_THAT(status.message(), HasSubstr("did you mean pets"));
}

TEST_F(SessionTest, WarnsOnceAndLoudlyThatSimulatedEvidenceProtectsNothing) {
  const auto session = GoodSession();
  server_.Restart(MakeFakeModel());
  ASSERT_TRUE(Infer(*session).ok());
  EXPECT_THAT(warnings_, ElementsAre(AllOf(HasSubstr("WARNING"), HasSubstr("SIMULATED"))));
}

TEST_F(SessionTest, RefusesSimulatedEvidenceUnlessAllowed) {
  Session::Options options = GoodOptions();
  options.appraisal = {};
  EXPECT_THAT(RefusalOf(std::move(options)), HasSubstr("--allow-simulated"));
}

TEST_F(SessionTest, RefusesEvidenceOfAnotherSigner) {
  const testing::SimulatedSigner other;
  Session::Options options = GoodOptions();
  options.appraisal.simulated_signers = {other.public_key()};
  EXPECT_THAT(RefusalOf(std::move(options)), HasSubstr("sign"));
}

TEST_F(SessionTest, NeedsASignerWhereSimulatedEvidenceIsAllowed) {
  Session::Options options = GoodOptions();
  options.appraisal.simulated_signers.clear();
  EXPECT_EQ(Create(std::move(options)).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(SessionTest, RefusesEvidenceForAnotherNonce) {
  const EvidenceReply old = server_.MakeEvidence(attest::Nonce{});
  server_.on_evidence = [&](EvidenceReply& reply) { reply = old; };
  EXPECT_THAT(RefusalOf(GoodOptions()), HasSubstr("report data"));
}

TEST_F(SessionTest, RefusesAnotherEnclavesEvidence) {
  FakeServer other;
  server_.on_evidence = [&](EvidenceReply& reply) { reply.evidence = other.MakeEvidence(attest::Nonce{}).evidence; };
  EXPECT_THAT(RefusalOf(GoodOptions()), HasSubstr("attestation refused"));
}

TEST_F(SessionTest, RefusesAManifestWithAnyByteForged) {
  const size_t size = server_.MakeEvidence(attest::Nonce{}).manifest.size();
  for (size_t i = 0; i < size; ++i) {
    server_.on_evidence = [i](EvidenceReply& reply) { reply.manifest[i] ^= 1; };
    EXPECT_THAT(RefusalOf(GoodOptions()), HasSubstr("attestation refused")) << i;
  }
}

TEST_F(SessionTest, RefusesEvidenceWithAnyByteForged) {
  for (size_t i = 0; i < attest::kSimulatedEvidenceBytes; ++i) {
    server_.on_evidence = [i](EvidenceReply& reply) { reply.evidence.data[i] ^= 1; };
    EXPECT_THAT(RefusalOf(GoodOptions()), HasSubstr("attestation refused")) << i;
  }
}

TEST_F(SessionTest, RefusesAManifestThatHasExpiredByItsOwnClock) {
  clock_.Advance(std::chrono::hours(48));
  EXPECT_THAT(RefusalOf(GoodOptions()), HasSubstr("expired"));
}

TEST_F(SessionTest, AttestsAnewOnceTheManifestHasExpiredByItsOwnClockWhateverTheServerSays) {
  const auto session = GoodSession();
  ASSERT_TRUE(Infer(*session).ok());
  clock_.Advance(std::chrono::hours(48));
  const absl::Status status = Infer(*session).status();
  EXPECT_TRUE(IsRefusal(status)) << status;
  EXPECT_THAT(status.message(), HasSubstr("expired")) << "the server would go on under its old key";
}

TEST_F(SessionTest, RefusesEvidenceOfATeeWithoutAPolicy) {
  server_.on_evidence = [](EvidenceReply& reply) { reply.evidence.kind = attest::EvidenceKind::kSgx; };
  EXPECT_THAT(RefusalOf(GoodOptions()),
              HasSubstr("step 'evidence kind': found sgx evidence; expected an appraisal policy"));
}

TEST_F(SessionTest, RefusesRecordedGenuineEvidenceSinceTheKeyIsNotBoundToIt) {
  const testing::GenuineEvidence genuine = testing::GenuineSnp();
  server_.on_evidence = [&](EvidenceReply& reply) { reply.evidence = genuine.Read(); };
  Session::Options options = GoodOptions();
  options.appraisal.policy = *appraisal_file::ParseAppraisalPolicy(genuine.policy, "/policy.yaml");
  EXPECT_THAT(RefusalOf(options), HasSubstr("refused at step 'report data'"));
}

TEST_F(SessionTest, AcceptsEvidenceThatItSharesWithOthersAndNoneWithoutItsPath) {
  const auto share = [this](EvidenceReply& reply, const attest::Nonce& nonce, size_t whose) {
    const attest::NonceTree tree = attest::BuildNonceTree(std::vector<attest::Nonce>{attest::Nonce{1}, nonce});
    reply = server_.MakeEvidence(tree.root);
    reply.nonce_path = tree.paths[whose];
  };
  server_.on_shared_evidence = [&](EvidenceReply& reply, const attest::Nonce& nonce) { share(reply, nonce, 1); };
  EXPECT_TRUE(Create(GoodOptions()).ok());
  server_.num_sessions = 0;
  server_.on_shared_evidence = [&](EvidenceReply& reply, const attest::Nonce& nonce) { share(reply, nonce, 0); };
  EXPECT_THAT(RefusalOf(GoodOptions()), HasSubstr("report data"));
  server_.on_shared_evidence = [&](EvidenceReply& reply, const attest::Nonce& nonce) {
    share(reply, nonce, 1);
    reply.nonce_path.reset();
  };
  EXPECT_THAT(RefusalOf(GoodOptions()), HasSubstr("report data"));
}

TEST_F(SessionTest, RefusesWhatThePolicyDoesNotAllowOfItsModelBeforeItAsksForAnythingElse) {
  int num_lists = 0;
  server_.on_models = [&](std::vector<ModelDescription>&) { ++num_lists; };
  Session::Options options = GoodOptions();
  attest::AppraisalPolicy& policy = options.appraisal.policy.emplace(
      *appraisal_file::ParseAppraisalPolicy(testing::GenuineSnp().policy, "/policy.yaml"));
  EXPECT_TRUE(Create(options).ok());
  EXPECT_EQ(num_lists, 1);
  server_.num_sessions = 0;
  policy.models = {{.name = "cars", .model_digests = {}, .plan_digests = {}, .nothing_opened_before = ""}};
  EXPECT_THAT(RefusalOf(options), HasSubstr("step 'model' of model 'pets'"));
  policy.models[0].name = "pets";
  policy.models[0].verification = attest::Verification::kRequired;
  EXPECT_THAT(RefusalOf(options), HasSubstr("step 'verification' of model 'pets'"));
  policy.models[0].model_digests.emplace_back();
  EXPECT_THAT(RefusalOf(options), HasSubstr("step 'model digest' of model 'pets'"));
  EXPECT_EQ(num_lists, 1);
}

TEST_F(SessionTest, RefusesToGoOnWhereAReloadNoLongerFitsThePolicy) {
  Session::Options options = GoodOptions();
  options.appraisal.policy =
      *appraisal_file::ParseAppraisalPolicy(testing::GenuineSnp().policy + "models: [{name: pets, plan_digests: [" +
                                                HexEncode(MakeFakeModel().manifest.plan_digest) + "]}]\n",
                                            "/policy.yaml");
  const auto session = Create(options);
  ASSERT_TRUE(session.ok()) << session.status();
  ASSERT_TRUE(Infer(**session).ok());
  FakeModel other = MakeFakeModel();
  other.manifest.plan_digest.fill(9);
  server_.Reload(other);
  const absl::Status status = Infer(**session).status();
  EXPECT_TRUE(IsRefusal(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("step 'plan digest'"));
}

TEST_F(SessionTest, RefusesADescriptionThatIsNotTheAttestedOne) {
  server_.on_models = [](std::vector<ModelDescription>& models) { models[0].labels[0] ^= 1; };
  EXPECT_THAT(RefusalOf(GoodOptions()), HasSubstr("otherwise than the attested manifest"));
  server_.on_models = [](std::vector<ModelDescription>& models) { models[0].preprocessing[1] ^= 1; };
  EXPECT_THAT(RefusalOf(GoodOptions()), HasSubstr("otherwise than the attested manifest"));
  server_.on_models = [](std::vector<ModelDescription>& models) { models.clear(); };
  EXPECT_THAT(RefusalOf(GoodOptions()), HasSubstr("does not describe"));
}

TEST_F(SessionTest, RefusesAnOpenedResultUnlessAllowed) {
  FakeModel model = MakeFakeModel();
  model.manifest.result_opened = true;
  server_.Restart(model);
  EXPECT_THAT(RefusalOf(GoodOptions()), HasSubstr("--allow-open-result"));
  Session::Options options = GoodOptions();
  options.expectations.opened_result = OpenedResult::kAllow;
  EXPECT_TRUE(Create(std::move(options)).ok());
}

TEST_F(SessionTest, RefusesAnotherModelOrPlanThanExpected) {
  Session::Options options = GoodOptions();
  options.expectations.model_digest.emplace().fill(7);
  options.expectations.plan_digest.emplace().fill(8);
  EXPECT_TRUE(Create(options).ok());
  server_.num_sessions = 0;
  options.expectations.plan_digest->fill(9);
  EXPECT_THAT(RefusalOf(options), HasSubstr("plan digest"));
  options.expectations.model_digest->fill(9);
  EXPECT_THAT(RefusalOf(options), HasSubstr("was asked for"));
}

TEST_F(SessionTest, RefusesAServerThatDoesNotHoldTheAttestedKey) {
  server_.on_session = [](SessionReply& reply) { reply.hello.ciphertext[3] ^= 1; };
  EXPECT_EQ(ReasonOf(Create(GoodOptions()).status()), Reason::kOpenFailed);
  server_.on_session = [](SessionReply& reply) { reply.session_id[3] ^= 1; };
  EXPECT_EQ(ReasonOf(Create(GoodOptions()).status()), Reason::kOpenFailed);
}

TEST_F(SessionTest, AttestsAnewByItselfWhenTheEnclaveWasRestarted) {
  const auto session = GoodSession();
  ASSERT_TRUE(Infer(*session).ok());
  server_.Restart(MakeFakeModel());
  const absl::StatusOr<Answer> answer = Infer(*session);
  EXPECT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(server_.num_evidence, 2);
}

TEST_F(SessionTest, AttestsAnewByItselfAfterAReloadAndFollowsTheNewPreprocessing) {
  const auto session = GoodSession();
  server_.Reload(MakeFakeModel(/*crop=*/3));
  const absl::StatusOr<Answer> answer = Infer(*session);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_THAT(answer->outputs[0].values<float>(), ElementsAre(42.F, 27.F, 1.F));
  EXPECT_EQ(session->model()->preprocessing->crop_width, 3U);
}

TEST_F(SessionTest, RefusesToGoOnWithAWeakerPolicy) {
  FakeModel model = MakeFakeModel();
  model.manifest.opened = {Opens("conv5")};
  server_.Restart(model);
  const auto session = GoodSession();
  FakeModel weaker = model;
  weaker.manifest.opened.push_back(Opens("conv2"));
  server_.Reload(weaker);
  const absl::Status status = Infer(*session).status();
  EXPECT_TRUE(IsRefusal(status)) << status;
  EXPECT_THAT(status.message(),
              HasSubstr("weakened since it was first accepted: it now opens the segment from 'conv2'"));
  EXPECT_TRUE(IsRefusal(Infer(*session).status()));
  EXPECT_TRUE(Create(GoodOptions()).ok());  // a caller that looks at it anew may accept it
  server_.Reload(model);
  EXPECT_TRUE(Infer(*session).ok());
}

TEST_F(SessionTest, RefusesToGoOnWithAnotherNetworkBehindTheSameOpenedNames) {
  FakeModel model = MakeFakeModel();
  model.manifest.opened = {Opens("conv5")};
  server_.Restart(model);
  const auto session = GoodSession();
  FakeModel other = model;
  other.manifest.model_digest[0] ^= 1;
  server_.Reload(other);
  EXPECT_TRUE(IsRefusal(Infer(*session).status()));
}

TEST_F(SessionTest, TellsOnceWhatThePolicyShowsAndToWhom) {
  FakeModel model = MakeFakeModel();
  model.manifest.opened = {Opens("conv5")};
  server_.Restart(model);
  Session::Options options = GoodOptions();
  std::vector<std::string> told;
  options.warn = [&](const std::string& text) { told.push_back(text); };
  const auto session = Create(std::move(options));
  ASSERT_TRUE(session.ok()) << session.status();
  ASSERT_EQ(told.size(), 2U);
  EXPECT_THAT(told[1], HasSubstr("to the accelerators of"));
}

TEST_F(SessionTest, RefusesToGoOnWhenMoreIsShownOrToMore) {
  FakeModel model = MakeFakeModel();
  model.manifest.opened = {Opens("conv5")};
  server_.Restart(model);
  Session::Options options = GoodOptions();
  options.expectations.opened_result = OpenedResult::kAllow;
  const auto session = Create(options);
  ASSERT_TRUE(session.ok()) << session.status();

  FakeModel result = model;
  result.manifest.result_opened = true;
  server_.Reload(result);
  EXPECT_THAT(Infer(**session).status().message(), HasSubstr("it now shows the answer"));
  FakeModel more_operators = model;
  more_operators.manifest.opened[0].operators.emplace_back("another");
  server_.Reload(more_operators);
  EXPECT_TRUE(IsRefusal(Infer(**session).status()));
  FakeModel more_tensors = model;
  more_tensors.manifest.opened[0].revealed.push_back({"skip", DataType::kFloat32, Shape({1, 4})});
  server_.Reload(more_tensors);
  EXPECT_TRUE(IsRefusal(Infer(**session).status()));
}

TEST_F(SessionTest, GoesOnWhenLessIsOpened) {
  FakeModel model = MakeFakeModel();
  model.manifest.opened = {Opens("conv5")};
  server_.Restart(model);
  const auto session = GoodSession();
  server_.Reload(MakeFakeModel());
  EXPECT_TRUE(Infer(*session).ok());
}

TEST_F(SessionTest, RetriesWhatPassesAndSealsEveryAttemptAnew) {
  const auto session = GoodSession();
  server_.FailInfer(1, ErrorOf(Reason::kOverloaded));
  server_.FailInfer(1, absl::UnavailableError("connection lost"));
  server_.FailInfer(1, ErrorOf(Reason::kNoAccelerator));
  server_.FailInfer(1, ErrorOf(Reason::kSequenceTooOld));
  EXPECT_TRUE(Infer(*session).ok());  // the fake aborts when it sees a sequence number twice
  EXPECT_EQ(server_.num_infers(), 5);
  EXPECT_EQ(server_.num_evidence, 1);
}

TEST_F(SessionTest, GivesUpAtTheDeadlineAndNamesTheLastError) {
  const auto session = GoodSession();
  server_.FailInfer(1000, absl::UnavailableError("connection refused"));
  const SteadyTime start = clock_.SteadyNow();
  const absl::Status status = Infer(*session).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(status.message(), HasSubstr("UNAVAILABLE: connection refused"));
  EXPECT_LE(clock_.SteadyNow() - start, seconds(10));
  EXPECT_LT(server_.num_infers(), 60);
}

TEST_F(SessionTest, SendsNothingWhenTheDeadlineHasPassed) {
  const auto session = GoodSession();
  const absl::StatusOr<Answer> answer = session->Infer(SomePicture(), clock_.SteadyNow());
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(server_.num_infers(), 0);
}

TEST_F(SessionTest, ReturnsWhatASecondAttemptCannotChange) {
  const auto session = GoodSession();
  int expected = 0;
  for (const Reason reason : {Reason::kReplayed, Reason::kOpenFailed, Reason::kWrongLength, Reason::kInternal,
                              Reason::kUnauthenticatedClient, Reason::kUnknownModel, Reason::kDeadline}) {
    server_.FailInfer(1, ErrorOf(reason));
    EXPECT_EQ(ReasonOf(Infer(*session).status()), reason);
    EXPECT_EQ(server_.num_infers(), ++expected);
  }
}

TEST_F(SessionTest, ReturnsTheEnclavesSealedErrorWithItsReason) {
  const auto session = GoodSession();
  server_.sealed_error = ErrorOf(Reason::kBadInput);
  const absl::Status status = Infer(*session).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(status), Reason::kBadInput);
}

TEST_F(SessionTest, RefusesEveryAnswerThatWasAltered) {
  const auto session = GoodSession();
  channel::SealedAnswer whole;
  server_.on_answer = [&](channel::SealedAnswer& answer) { whole = answer; };
  ASSERT_TRUE(Infer(*session).ok());
  for (size_t i = 0; i < whole.ciphertext.size(); ++i) {
    server_.on_answer = [i](channel::SealedAnswer& answer) { answer.ciphertext[i] ^= 0x10; };
    EXPECT_EQ(ReasonOf(Infer(*session).status()), Reason::kOpenFailed) << i;
    server_.on_answer = [i](channel::SealedAnswer& answer) { answer.ciphertext.resize(i); };
    EXPECT_EQ(ReasonOf(Infer(*session).status()), Reason::kOpenFailed) << i;
  }
  server_.on_answer = [](channel::SealedAnswer& answer) { answer.salt[0] ^= 1; };
  EXPECT_EQ(ReasonOf(Infer(*session).status()), Reason::kOpenFailed);
  server_.on_answer = nullptr;
  EXPECT_TRUE(Infer(*session).ok());
}

TEST_F(SessionTest, RefusesTheAnswerToAnEarlierRequest) {
  const auto session = GoodSession();
  channel::SealedAnswer earlier;
  server_.on_answer = [&](channel::SealedAnswer& answer) { earlier = answer; };
  ASSERT_TRUE(Infer(*session).ok());
  server_.on_answer = [&](channel::SealedAnswer& answer) { answer = earlier; };
  EXPECT_EQ(ReasonOf(Infer(*session).status()), Reason::kOpenFailed);
}

TEST_F(SessionTest, ServesManyThreadsWhileTheEnclaveRestarts) {
  const auto session = GoodSession();
  std::atomic<int> num_answered = 0;
  server_.before_infer = [&] {
    if (++num_answered % 50 == 0) {
      server_.Restart(MakeFakeModel());
    }
  };
  std::atomic<int> num_wrong = 0;
  {
    std::vector<std::jthread> threads;
    for (uint8_t t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (uint8_t i = 0; i < 50; ++i) {
          const auto value = static_cast<uint8_t>(t * 50 + i);
          const auto answer = session->Infer(SomePicture(value), clock_.SteadyNow() + std::chrono::hours(1));
          num_wrong += !answer.ok() || answer->outputs[0].values<float>()[0] != static_cast<float>(value) ? 1 : 0;
        }
      });
    }
  }
  EXPECT_EQ(num_wrong, 0);
  EXPECT_GT(server_.num_evidence, 2);
}

}  // namespace
}  // namespace shoji::client
