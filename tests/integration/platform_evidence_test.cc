// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Evidence of a real enclave process: from the platform's files, which are fakes that sign nothing; shared by callers
// who wait together; and renewed with the key and the manifest.
#include <algorithm>
#include <atomic>
#include <deque>
#include <filesystem>
#include <set>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "absl/synchronization/notification.h"
#include "lib/attest/nonce_tree.h"
#include "lib/base/file.h"
#include "lib/base/reason.h"
#include "lib/crypto/random.h"
#include "lib/digest/sha2.h"
#include "lib/rpc/status.h"
#include "tests/support/cluster.h"
#include "tests/support/fake_gramine.h"
#include "tests/support/raw_client.h"
#include "tests/unit/lib/attest/attestation_vectors.h"

namespace shoji {
namespace {

using ::testing::AllOf;
using testing::AttestationVector;
using testing::AttestationVectorPath;
using testing::Cluster;
using testing::ClusterOptions;
using testing::FakeGramine;
using ::testing::HasSubstr;
using testing::RawClient;
using testing::WaitFor;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitizerBuild = true;
#else
constexpr bool kSanitizerBuild = false;
#endif

constexpr char kModel[] = "cifar10_resnet";
constexpr char kSgxQuote[] = "dcapqvl_sgx_quote_v3.bin";
constexpr char kTdxQuote[] = "dcapqvl_tdx_quote.bin";
constexpr char kSnpReport[] = "virtee_report_milan.bin";
constexpr size_t kTdxOffset = 0x238;
constexpr size_t kSnpOffset = 0x50;

ClusterOptions Options(const std::string& evidence = "", const std::string& enclave_yaml = "") {
  ClusterOptions options;
  options.models = {testing::BuiltInModel(testing::ReadyPolicy("enclave-only"))};
  options.num_accelerators = 0;
  options.evidence = evidence;
  options.enclave_yaml = enclave_yaml;
  return options;
}

std::unique_ptr<Cluster> StartCluster(const ClusterOptions& options) {
  auto cluster = Cluster::Start(options);
  EXPECT_TRUE(cluster.ok()) << cluster.status();
  return cluster.ok() ? *std::move(cluster) : nullptr;
}

// Whether `response` holds evidence of `kind` over its manifest and over `nonce`, or over the root that its path leads
// to from there.
bool IsBound(const v1::GetEvidenceResponse& response, const attest::Nonce& nonce, v1::EvidenceKind kind,
             size_t offset) {
  attest::Nonce bound = nonce;
  if (response.has_nonce_path()) {
    std::vector<ByteSpan> siblings;
    for (const std::string& sibling : response.nonce_path().siblings()) {
      siblings.push_back(AsBytes(sibling));
    }
    const auto path = attest::MakeNoncePath(response.nonce_path().index(), siblings);
    if (!path.ok()) {
      return false;
    }
    bound = attest::RootOf(nonce, *path);
  }
  const attest::ReportData wanted = attest::ReportDataFor(digest::Sha256(AsBytes(response.manifest())), bound);
  const std::string& data = response.evidence().data();
  return response.evidence().kind() == kind && data.size() >= offset + wanted.size() &&
         std::equal(wanted.begin(), wanted.end(), AsBytes(data).begin() + static_cast<ptrdiff_t>(offset));
}

void ExpectEvidence(const Cluster& cluster, v1::EvidenceKind kind, size_t offset) {
  RawClient client(cluster.address());
  const attest::Nonce nonce = crypto::RandomArray<32>();
  const auto response = client.GetEvidence(nonce, kModel);
  ASSERT_TRUE(response.ok()) << response.status() << cluster.Logs();
  EXPECT_TRUE(IsBound(*response, nonce, kind, offset));
  EXPECT_FALSE(response->has_nonce_path());
  EXPECT_FALSE(IsBound(*response, crypto::RandomArray<32>(), kind, offset));
}

std::string Gramine(const FakeGramine& gramine, const std::string& more = "") {
  return "{kind: gramine, path: \"" + gramine.path() + "\"" + more + "}";
}

// One call of GetEvidence that is under way.
class Call {
 public:
  Call(v1::AttestationService::Stub& stub, std::chrono::milliseconds timeout) {
    request_.set_nonce(ToString(nonce));
    context_.set_deadline(std::chrono::system_clock::now() + timeout);
    stub.async()->GetEvidence(&context_, &request_, &response, [this](const grpc::Status& result) {
      status = rpc::FromGrpcStatus(result);
      done.Notify();
    });
  }
  ~Call() { done.WaitForNotification(); }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  const attest::Nonce nonce = crypto::RandomArray<32>();
  v1::GetEvidenceResponse response;
  absl::Status status;
  absl::Notification done;

 private:
  grpc::ClientContext context_;
  v1::GetEvidenceRequest request_;
};

std::unique_ptr<v1::AttestationService::Stub> StubOf(const Cluster& cluster) {
  return v1::AttestationService::NewStub(grpc::CreateChannel(cluster.address(), grpc::InsecureChannelCredentials()));
}

TEST(PlatformEvidenceTest, GraminesFilesGiveSgxEvidence) {
  const FakeGramine gramine(AttestationVector(kSgxQuote));
  const std::unique_ptr<Cluster> cluster = StartCluster(Options(Gramine(gramine)));
  ASSERT_NE(cluster, nullptr);
  EXPECT_EQ(gramine.num_quotes(), 1) << "one at start";
  ExpectEvidence(*cluster, v1::SGX, FakeGramine::kReportDataOffset);
  EXPECT_THAT(cluster->Logs(), HasSubstr("evidence_source kind=sgx through=gramine"));
  EXPECT_THAT(cluster->Logs(), ::testing::Not(HasSubstr("simulated_evidence")));
}

// With the kernel's side preloaded into the enclave, under its own system call filter.
class PreloadedEvidenceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (kSanitizerBuild) {
      GTEST_SKIP() << "a sanitizer's runtime wants to be loaded first";
    }
    std::filesystem::create_directory(files_.File("tsm"));
    ASSERT_TRUE(WriteFileAtomically(files_.File("sev-guest"), {}).ok());
  }
  std::unique_ptr<Cluster> Start(const std::string& evidence, const std::string& quote, size_t offset,
                                 const std::string& provider) const {
    ClusterOptions options = Options(evidence);
    options.enclave_environment = {"LD_PRELOAD=" + std::string(SHOJI_BINARY_DIR) + "/testing/libfake_tee_preload.so",
                                   "SHOJI_FAKE_TSM=" + files_.File("tsm"),
                                   "SHOJI_FAKE_PROVIDER=" + provider,
                                   "SHOJI_FAKE_SEV_GUEST=" + files_.File("sev-guest"),
                                   "SHOJI_FAKE_QUOTE=" + AttestationVectorPath(quote),
                                   "SHOJI_FAKE_OFFSET=" + std::to_string(offset)};
    return StartCluster(options);
  }
  std::string Tsm() const { return "{kind: configfs-tsm, path: \"" + files_.File("tsm") + "\"}"; }

  const testing::TempDir files_;
};

TEST_F(PreloadedEvidenceTest, ConfigfsTsmGivesTdxEvidenceAndLeavesNoFolder) {
  const std::unique_ptr<Cluster> cluster = Start(Tsm(), kTdxQuote, kTdxOffset, "tdx_guest");
  ASSERT_NE(cluster, nullptr);
  ExpectEvidence(*cluster, v1::TDX, kTdxOffset);
  ExpectEvidence(*cluster, v1::TDX, kTdxOffset);
  EXPECT_THAT(cluster->Logs(), HasSubstr("evidence_source kind=tdx through=configfs-tsm"));
  EXPECT_TRUE(std::filesystem::is_empty(files_.File("tsm")));
}

TEST_F(PreloadedEvidenceTest, ConfigfsTsmGivesSevSnpEvidence) {
  const std::unique_ptr<Cluster> cluster = Start(Tsm(), kSnpReport, kSnpOffset, "sev_guest");
  ASSERT_NE(cluster, nullptr);
  ExpectEvidence(*cluster, v1::SEV_SNP, kSnpOffset);
}

TEST_F(PreloadedEvidenceTest, TheSevGuestDeviceGivesSevSnpEvidence) {
  const std::unique_ptr<Cluster> cluster =
      Start("{kind: sev-guest, path: \"" + files_.File("sev-guest") + "\"}", kSnpReport, kSnpOffset, "");
  ASSERT_NE(cluster, nullptr);
  ExpectEvidence(*cluster, v1::SEV_SNP, kSnpOffset);
  EXPECT_THAT(cluster->Logs(), HasSubstr("evidence_source kind=sev-snp through=sev-guest"));
}

// What an enclave says that does not start.
testing::CommandResult RunEnclave(const testing::TempDir& files, const std::string& evidence) {
  EXPECT_TRUE(WriteFileAtomically(files.File("policy.yaml"), AsBytes(testing::ReadyPolicy("enclave-only"))).ok());
  const std::string config = "listen: {address: \"unix:e.sock\"}\nevidence: " + evidence +
                             "\nmodels: [{name: cifar10_resnet, file: \"" + testing::BuiltInModel("").onnx +
                             "\", policy: policy.yaml}]\n";
  EXPECT_TRUE(WriteFileAtomically(files.File("enclave.yaml"), AsBytes(config)).ok());
  return testing::RunCommand({testing::BinDir() + "/shoji-enclave", "--config", files.File("enclave.yaml")});
}

TEST(EvidenceStartTest, AMachineThatOffersNothingIsSaidSoAndNothingIsSimulatedInstead) {
  if (std::filesystem::exists("/dev/attestation") || std::filesystem::exists("/sys/kernel/config/tsm/report") ||
      std::filesystem::exists("/dev/sev-guest")) {
    GTEST_SKIP() << "this machine can attest";
  }
  const testing::TempDir files;
  const testing::CommandResult result = RunEnclave(files, "{kind: auto}");
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, AllOf(HasSubstr("this machine offers no way to attest"), HasSubstr("gramine: "),
                                HasSubstr("configfs-tsm: "), HasSubstr("sev-guest: ")));
  EXPECT_THAT(result.err, ::testing::Not(HasSubstr("simulated")));
}

TEST(EvidenceStartTest, APlatformThatMakesNoGoodQuoteIsFoundOutAtStart) {
  // A folder of ordinary files: its quote is always over the same report data.
  const testing::TempDir files;
  ASSERT_TRUE(WriteFileAtomically(files.File("attestation_type"), AsBytes("dcap")).ok());
  ASSERT_TRUE(WriteFileAtomically(files.File("user_report_data"), {}).ok());
  ASSERT_TRUE(WriteFileAtomically(files.File("quote"), AttestationVector(kSgxQuote)).ok());
  const testing::CommandResult result = RunEnclave(files, "{kind: gramine, path: \"" + files.path() + "\"}");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("evidence: no quote can be made through gramine: gave up after"),
                                HasSubstr("evidence for another request")));
}

class SlowQuotesTest : public ::testing::Test {
 protected:
  // `limits` is YAML for the evidence's map.
  void Start(const std::string& limits) {
    ClusterOptions options = Options(Gramine(gramine_, limits));
    options.server_yaml = "limits: {in_flight: 512, queue: 512}\n";
    cluster_ = StartCluster(options);
    ASSERT_NE(cluster_, nullptr);
    stub_ = StubOf(*cluster_);
  }
  void HoldQuotes() { is_held_ = true; }
  void TearDown() override {
    Release();
    cluster_ = nullptr;
  }
  void Hold() {
    if (is_held_) {
      is_in_quote_ = true;
      go_on_.WaitForNotification();
    }
  }
  void Release() {
    if (is_held_.exchange(false)) {
      go_on_.Notify();
    }
  }

  std::atomic<bool> is_held_ = false;  // quotes wait for Release
  std::atomic<bool> is_in_quote_ = false;
  absl::Notification go_on_;
  FakeGramine gramine_{AttestationVector(kSgxQuote), [this] { Hold(); }};
  std::unique_ptr<Cluster> cluster_;
  std::unique_ptr<v1::AttestationService::Stub> stub_;
};

TEST_F(SlowQuotesTest, ManyCallersShareFewQuotesAndEachPathIsRight) {
  constexpr int kCalls = 200;
  Start(", quotes_per_second: 4");
  HoldQuotes();
  std::deque<Call> calls;
  for (int i = 0; i < kCalls; ++i) {
    calls.emplace_back(*stub_, std::chrono::seconds(60));
  }
  ASSERT_TRUE(WaitFor([&] { return is_in_quote_.load(); }));
  Release();
  std::set<std::string> quotes;
  int num_alone = 0;
  for (Call& call : calls) {
    call.done.WaitForNotification();
    ASSERT_TRUE(call.status.ok()) << call.status;
    EXPECT_TRUE(IsBound(call.response, call.nonce, v1::SGX, FakeGramine::kReportDataOffset));
    num_alone += call.response.has_nonce_path() ? 0 : 1;
    quotes.insert(call.response.evidence().data());
  }
  const int num_made = gramine_.num_quotes() - 1;  // without the one at start
  EXPECT_EQ(static_cast<int>(quotes.size()), num_made);
  EXPECT_LE(num_made, kCalls / 20);
  EXPECT_LE(num_alone, num_made);
  std::printf("%d calls, %d quotes\n", kCalls, num_made);
}

TEST_F(SlowQuotesTest, RequestsAreAnsweredWhileManyWaitForAQuote) {
  Start("");
  RawClient client(cluster_->address());
  ASSERT_TRUE(client.Attest(kModel).ok());
  HoldQuotes();
  std::deque<Call> calls;
  for (int i = 0; i < 64; ++i) {
    calls.emplace_back(*stub_, std::chrono::seconds(60));
  }
  ASSERT_TRUE(WaitFor([&] { return is_in_quote_.load(); }));
  for (int i = 0; i < 10; ++i) {
    const absl::Status status = client.Roundtrip(channel::RequestKind::kPicture, Bytes(size_t{3} * 32 * 32, 7), kModel);
    EXPECT_TRUE(status.ok()) << status;
  }
  EXPECT_FALSE(calls.front().done.HasBeenNotified());
  Release();
}

TEST_F(SlowQuotesTest, ACallerTooManyIsRefusedAndToldWhenToRetry) {
  Start(", queue: 1");
  HoldQuotes();
  Call held(*stub_, std::chrono::seconds(60));
  ASSERT_TRUE(WaitFor([&] { return is_in_quote_.load(); }));
  Call refused(*stub_, std::chrono::seconds(60));
  refused.done.WaitForNotification();
  EXPECT_EQ(ReasonOf(refused.status), Reason::kOverloaded) << refused.status;
  EXPECT_GE(rpc::RetryAfterOf(refused.status), std::chrono::milliseconds(100));
  Release();
  held.done.WaitForNotification();
  EXPECT_TRUE(held.status.ok()) << held.status;
}

TEST_F(SlowQuotesTest, ACallerWhoseDeadlinePassesMakesRoomForAnother) {
  Start(", queue: 1");
  HoldQuotes();
  Call impatient(*stub_, std::chrono::milliseconds(500));
  ASSERT_TRUE(WaitFor([&] { return is_in_quote_.load() || impatient.done.HasBeenNotified(); }));
  impatient.done.WaitForNotification();
  EXPECT_EQ(impatient.status.code(), absl::StatusCode::kDeadlineExceeded) << impatient.status;
  Release();
  // The quote that nobody waits for any more ends, and the enclave is as it was.
  absl::Status last;
  EXPECT_TRUE(WaitFor([&] {
    Call next(*stub_, std::chrono::seconds(20));
    next.done.WaitForNotification();
    last = next.status;
    return last.ok();
  })) << last;
}

TEST(SharedEvidenceTest, ClientsThatAttestTogetherAcceptTheQuoteTheyShare) {
  constexpr int kSessions = 16;
  // One quote for each of them would take 30 s, and they give up after 10.
  const std::unique_ptr<Cluster> cluster =
      StartCluster(Options("{kind: simulated, key: simulated.key, quotes_per_second: 0.5}"));
  ASSERT_NE(cluster, nullptr);
  std::vector<std::jthread> threads;
  for (int i = 0; i < kSessions; ++i) {
    threads.emplace_back([&] {
      const auto session = cluster->OpenSession(kModel);
      EXPECT_TRUE(session.ok()) << session.status();
    });
  }
}

}  // namespace
}  // namespace shoji
