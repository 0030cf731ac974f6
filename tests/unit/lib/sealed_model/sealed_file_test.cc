// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// What a sealed file gives back, and everything that may be wrong with one.

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/base/status_macros.h"
#include "lib/sealed_model/layout.h"
#include "lib/sealed_model/open.h"
#include "lib/sealed_model/seal.h"
#include "tests/support/hex.h"
#include "tests/support/process.h"

namespace shoji::sealed_model {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr size_t kSealedChunk = kChunkSize + crypto::kAeadTagSize;

OwnerKey KeyOf(uint8_t byte) { return OwnerKey(crypto::SecretBytes::CopyOf(Bytes(OwnerKey::kSize, byte))); }

Bytes Noise(size_t size) {
  std::mt19937 random(5);  // NOLINT(cert-msc51-cpp): reproducible
  Bytes out(size);
  for (uint8_t& byte : out) {
    byte = static_cast<uint8_t>(random());
  }
  return out;
}

Terms SomeTerms() { return {.label = "m", .confidential = {}, .results = {}, .queries_per_release = 3}; }

class SealedFileTest : public ::testing::Test {
 protected:
  void SealNoise(size_t size) {
    plaintext_ = Noise(size);
    const absl::StatusOr<Receipt> receipt = SealModel(SomeTerms(), KeyOf(1), plaintext_, path_);
    ASSERT_TRUE(receipt.ok()) << receipt.status();
    receipt_ = *receipt;
    sealed_ = *ReadFile(path_, size_t{1} << 30);
    chunks_begin_ = sealed_.size() - size - NumChunks(size) * crypto::kAeadTagSize;
  }

  // What comes of opening `file` with the key of byte `key`: its plaintext, or the first error.
  absl::StatusOr<Bytes> Open(const Bytes& file, uint8_t key = 1) const {
    const std::string path = dir_.File("changed.sealed");
    EXPECT_TRUE(WriteFileAtomically(path, file).ok());
    absl::StatusOr<SealedFile> sealed = SealedFile::Open(path);
    RETURN_IF_ERROR(sealed.status());
    const absl::StatusOr<FileKey> file_key = sealed->KeyFrom(KeyOf(key));
    RETURN_IF_ERROR(file_key.status());
    const absl::StatusOr<std::unique_ptr<PlaintextReader>> reader =
        PlaintextReader::Create(*std::move(sealed), *file_key);
    RETURN_IF_ERROR(reader.status());
    Bytes out((*reader)->size());
    const absl::Status read = (*reader)->Read(out);
    RETURN_IF_ERROR(read);
    return out;
  }
  std::string ErrorOf(const Bytes& file, uint8_t key = 1) const {
    return std::string(Open(file, key).status().message());
  }
  Bytes Chunk(size_t index) const {
    const size_t begin = chunks_begin_ + index * kSealedChunk;
    const size_t end = std::min(begin + kSealedChunk, sealed_.size());
    return {sealed_.begin() + static_cast<std::ptrdiff_t>(begin), sealed_.begin() + static_cast<std::ptrdiff_t>(end)};
  }
  Bytes WithChunks(const std::vector<Bytes>& chunks) const {
    Bytes out(sealed_.begin(), sealed_.begin() + static_cast<std::ptrdiff_t>(chunks_begin_));
    for (const Bytes& chunk : chunks) {
      Append(out, chunk);
    }
    return out;
  }

  const testing::TempDir dir_;
  const std::string path_ = dir_.File("m.sealed");
  Bytes plaintext_;
  Bytes sealed_;
  Receipt receipt_;
  size_t chunks_begin_ = 0;
};

TEST_F(SealedFileTest, GivesBackWhatWasSealedAtEverySizeAroundAChunk) {
  for (const size_t size : {size_t{1}, size_t{1000}, size_t{kChunkSize} - 1, size_t{kChunkSize}, size_t{kChunkSize} + 1,
                            3 * size_t{kChunkSize}, 3 * size_t{kChunkSize} + 17}) {
    SealNoise(size);
    const absl::StatusOr<Bytes> opened = Open(sealed_);
    ASSERT_TRUE(opened.ok()) << size << ": " << opened.status();
    EXPECT_TRUE(*opened == plaintext_) << size;
  }
}

TEST_F(SealedFileTest, TheReceiptNamesTheFileByItsDigest) {
  SealNoise(5000);
  EXPECT_EQ(receipt_.digest, digest::Sha256(sealed_));
  EXPECT_EQ(receipt_.size, sealed_.size());
  EXPECT_EQ(SealedFile::Open(path_)->digest(), receipt_.digest);
}

TEST_F(SealedFileTest, OneModelSealedTwiceSharesNoChunk) {
  SealNoise(5000);
  const Bytes first = Chunk(0);
  SealNoise(5000);
  const Bytes second = Chunk(0);
  size_t same = 0;
  for (size_t i = 0; i < first.size(); ++i) {
    same += first[i] == second[i] ? 1U : 0U;
  }
  EXPECT_LT(same, first.size() / 50);
}

TEST_F(SealedFileTest, OpensWhatAnotherImplementationSealed) {
  std::ifstream in(std::string(SHOJI_SOURCE_DIR) + "/tests/vectors/sealed_model.json");
  const nlohmann::json vector = nlohmann::json::parse(in);
  const auto hex = [&](const char* field) { return testing::FromHex(vector[field].get<std::string>()); };
  ASSERT_TRUE(WriteFileAtomically(path_, hex("sealed")).ok());
  absl::StatusOr<SealedFile> file = SealedFile::Open(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(HexEncode(file->digest()), vector["digest"].get<std::string>());
  EXPECT_EQ(HexEncode(file->header().owner_key_id), vector["owner_key_id"].get<std::string>());
  EXPECT_EQ(file->header().terms.confidential.nodes, std::vector<std::string>{"fc1"});
  EXPECT_EQ(file->header().terms.results.ToString(), "top-k:5");
  EXPECT_EQ(file->header().terms.queries_per_release, 1000U);
  const absl::StatusOr<FileKey> key = file->KeyFrom(OwnerKey(crypto::SecretBytes::CopyOf(hex("owner_key"))));
  ASSERT_TRUE(key.ok()) << key.status();
  EXPECT_EQ(HexEncode(key->Expose()), vector["file_key"].get<std::string>());
  const Header header = file->header();
  const auto reader = PlaintextReader::Create(*std::move(file), *key);
  ASSERT_TRUE(reader.ok());
  for (const Part& part : header.parts) {
    PartSource source(**reader, part.size);
    Bytes bytes(part.size);
    ASSERT_TRUE(source.Read(bytes).ok());
    EXPECT_EQ(ToString(bytes), vector[NameOf(part.kind)].get<std::string>());
    EXPECT_EQ(source.Read(bytes).code(), absl::StatusCode::kOutOfRange) << "a part ends where the next one starts";
  }
}

TEST_F(SealedFileTest, AnotherKeyIsToldApartByItsId) {
  SealNoise(100);
  const absl::Status status = Open(sealed_, 2).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("wrong key"), HasSubstr(HexEncode(IdOf(KeyOf(1)))),
                                                   HasSubstr(HexEncode(IdOf(KeyOf(2))))));
}

TEST_F(SealedFileTest, TheKeyOfAnotherFileOfTheSameOwnerOpensNothing) {
  SealNoise(100);
  const absl::StatusOr<Receipt> other = SealModel(SomeTerms(), KeyOf(1), plaintext_, dir_.File("other.sealed"));
  ASSERT_TRUE(other.ok());
  const FileKey key = SealedFile::Open(dir_.File("other.sealed"))->KeyFrom(KeyOf(1)).value();
  const absl::Status status = PlaintextReader::Create(*SealedFile::Open(path_), key).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(status.message()), HasSubstr("wrong key"));
}

TEST_F(SealedFileTest, EveryFlippedBitOfTheFrontIsRefused) {
  SealNoise(10);
  for (size_t bit = 0; bit < chunks_begin_ * 8; ++bit) {
    Bytes flipped = sealed_;
    flipped[bit / 8] = static_cast<uint8_t>(flipped[bit / 8] ^ 1U << bit % 8);
    EXPECT_FALSE(Open(flipped).ok()) << "bit " << bit;
  }
}

TEST_F(SealedFileTest, AHeaderThatIsWellFormedButAlteredIsRefusedAndCalledSo) {
  SealNoise(100);
  Header header = receipt_.header;
  header.terms.queries_per_release = 4;
  const Bytes encoded = EncodeHeader(header);
  ASSERT_EQ(encoded.size(), EncodeHeader(receipt_.header).size());
  Bytes changed = sealed_;
  std::copy(encoded.begin(), encoded.end(), changed.begin() + kPrefixSize);
  const absl::Status status = Open(changed).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("header was altered"));
}

TEST_F(SealedFileTest, AnAlteredChunkIsNamed) {
  SealNoise(3 * kChunkSize);
  for (const size_t at : {size_t{0}, size_t{kChunkSize} / 2, kSealedChunk - 1}) {
    Bytes changed = sealed_;
    changed[chunks_begin_ + kSealedChunk + at] ^= 0x10;
    const absl::Status status = Open(changed).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(status.message()), HasSubstr("chunk 2 of 3 was altered"));
  }
}

TEST_F(SealedFileTest, ChunksInAnotherOrderAreToldFromAlteredOnes) {
  SealNoise(4 * kChunkSize);
  EXPECT_THAT(ErrorOf(WithChunks({Chunk(0), Chunk(2), Chunk(1), Chunk(3)})),
              AllOf(HasSubstr("out of order"), HasSubstr("chunk 2 of 4 is what was sealed as chunk 3")));
  EXPECT_THAT(ErrorOf(WithChunks({Chunk(3), Chunk(1), Chunk(2), Chunk(0)})),
              HasSubstr("chunk 1 of 4 is what was sealed as chunk 4"));
}

TEST_F(SealedFileTest, ADuplicatedChunkIsOutOfOrder) {
  SealNoise(3 * kChunkSize);
  EXPECT_THAT(ErrorOf(WithChunks({Chunk(0), Chunk(0), Chunk(2)})),
              HasSubstr("chunk 2 of 3 is what was sealed as chunk 1"));
}

TEST_F(SealedFileTest, ADroppedOrAddedChunkIsALengthThatDoesNotFit) {
  SealNoise(3 * kChunkSize);
  EXPECT_THAT(ErrorOf(WithChunks({Chunk(0), Chunk(2)})), HasSubstr("is truncated"));
  EXPECT_THAT(ErrorOf(WithChunks({Chunk(0), Chunk(1), Chunk(2), Chunk(2)})), HasSubstr("bytes after its end"));
}

TEST_F(SealedFileTest, AChunkOfAnotherFileUnderTheSameOwnersKeyIsRefused) {
  SealNoise(2 * kChunkSize);
  const Bytes foreign = Chunk(0);
  SealNoise(2 * kChunkSize);
  EXPECT_THAT(ErrorOf(WithChunks({foreign, Chunk(1)})), HasSubstr("chunk 1 of 2 was altered"));
}

TEST_F(SealedFileTest, EveryTruncationIsRefused) {
  SealNoise(40);
  for (size_t size = 0; size < sealed_.size(); ++size) {
    const Bytes cut(sealed_.begin(), sealed_.begin() + static_cast<std::ptrdiff_t>(size));
    const absl::Status status = Open(cut).status();
    EXPECT_FALSE(status.ok()) << size;
    if (size > kPrefixSize) {
      EXPECT_THAT(std::string(status.message()), HasSubstr("is truncated")) << size;
    }
  }
}

TEST_F(SealedFileTest, TrailingBytesAreRefused) {
  SealNoise(40);
  Bytes longer = sealed_;
  longer.push_back(0);
  EXPECT_THAT(ErrorOf(longer), HasSubstr("bytes after its end"));
}

TEST_F(SealedFileTest, AnOrdinaryFileIsToldFromASealedOne) {
  SealNoise(40);
  EXPECT_TRUE(SealedFile::IsSealed(path_).value());
  ASSERT_TRUE(WriteFileAtomically(dir_.File("plain"), AsBytes("no sealed model")).ok());
  EXPECT_FALSE(SealedFile::IsSealed(dir_.File("plain")).value());
  ASSERT_TRUE(WriteFileAtomically(dir_.File("empty"), {}).ok());
  EXPECT_FALSE(SealedFile::IsSealed(dir_.File("empty")).value());
  EXPECT_THAT(std::string(SealedFile::Open(dir_.File("plain")).status().message()), HasSubstr("is not a sealed model"));
  EXPECT_EQ(SealedFile::Open(dir_.File("absent")).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(SealedFileTest, AHeaderThatClaimsMoreThanTheFileHoldsAllocatesNothingForIt) {
  SealNoise(40);
  Header header = receipt_.header;
  header.parts[0].size = kMaxPlaintextBytes;
  const Bytes encoded = EncodeHeader(header);
  Bytes changed(kMagic.begin(), kMagic.end());
  AppendLengthPrefixed(changed, ByteSpan(encoded));
  changed.resize(changed.size() + 200);
  EXPECT_THAT(ErrorOf(changed), HasSubstr("is truncated"));
}

TEST_F(SealedFileTest, ASourceThatEndsEarlyLeavesNoFile) {
  class ShortSource final : public ByteSource {
   public:
    uint64_t size() const override { return 100; }
    absl::Status Read(std::span<uint8_t> /*out*/) override { return absl::OutOfRangeError("the source has no more"); }
  };
  ShortSource source;
  const std::array<Content, 1> contents = {Content{PartKind::kModel, source}};
  EXPECT_EQ(Seal(SomeTerms(), KeyOf(1), contents, path_).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_FALSE(std::ifstream(path_).good());
  EXPECT_FALSE(std::ifstream(path_ + ".part").good());
}

TEST_F(SealedFileTest, RefusesToSealWithoutABudgetOrAModel) {
  Terms terms = SomeTerms();
  terms.queries_per_release = 0;
  EXPECT_FALSE(SealModel(terms, KeyOf(1), Noise(10), path_).ok());
  EXPECT_FALSE(SealModel(SomeTerms(), KeyOf(1), {}, path_).ok());
  EXPECT_FALSE(std::ifstream(path_).good());
}

TEST_F(SealedFileTest, CheckAllChunksReadsToTheEnd) {
  SealNoise(3 * kChunkSize + 5);
  const FileKey key = SealedFile::Open(path_)->KeyFrom(KeyOf(1)).value();
  EXPECT_TRUE(CheckAllChunks(**PlaintextReader::Create(*SealedFile::Open(path_), key)).ok());
  sealed_.back() ^= 1;
  ASSERT_TRUE(WriteFileAtomically(path_, sealed_).ok());
  EXPECT_EQ(CheckAllChunks(**PlaintextReader::Create(*SealedFile::Open(path_), key)).code(),
            absl::StatusCode::kDataLoss);
}

// A source of 128 MiB that takes no memory itself.
class Zeros final : public ByteSource {
 public:
  static constexpr uint64_t kSize = uint64_t{128} << 20;
  uint64_t size() const override { return kSize; }
  absl::Status Read(std::span<uint8_t> out) override {
    std::ranges::fill(out, uint8_t{0});
    return absl::OkStatus();
  }
};

TEST_F(SealedFileTest, SealsAndChecksAnySizeInConstantMemory) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers keep what was freed";
#endif
  const auto peak_kib = [] {
    rusage usage = {};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
  };
  const auto before = peak_kib();
  Zeros source;
  const std::array<Content, 1> contents = {Content{PartKind::kModel, source}};
  ASSERT_TRUE(Seal(SomeTerms(), KeyOf(1), contents, path_).ok());
  const FileKey key = SealedFile::Open(path_)->KeyFrom(KeyOf(1)).value();
  ASSERT_TRUE(CheckAllChunks(**PlaintextReader::Create(*SealedFile::Open(path_), key)).ok());
  EXPECT_LT(peak_kib() - before, 24 << 10);
}

// A model and two files of external data, of which the second begins in the middle of a chunk.
class ExternalPartsTest : public SealedFileTest {
 protected:
  void SetUp() override {
    SpanSource model(model_);
    SpanSource first(first_);
    SpanSource second(second_);
    const absl::StatusOr<Receipt> receipt =
        Seal(SomeTerms(), KeyOf(1),
             std::array{Content{PartKind::kModel, model}, Content{PartKind::kExternalData, first, "a.bin"},
                        Content{PartKind::kExternalData, second, "b.bin"}},
             path_);
    ASSERT_TRUE(receipt.ok()) << receipt.status();
    sealed_ = *ReadFile(path_, size_t{1} << 30);
    const size_t size = model_.size() + first_.size() + second_.size();
    chunks_begin_ = sealed_.size() - size - NumChunks(size) * crypto::kAeadTagSize;
    plaintext_ = model_;
    Append(plaintext_, first_);
    Append(plaintext_, second_);
  }
  absl::StatusOr<std::unique_ptr<PlaintextReader>> ReaderOf(const Bytes& file) const {
    const std::string path = dir_.File("changed.sealed");
    EXPECT_TRUE(WriteFileAtomically(path, file).ok());
    absl::StatusOr<SealedFile> sealed = SealedFile::Open(path);
    RETURN_IF_ERROR(sealed.status());
    const absl::StatusOr<FileKey> file_key = sealed->KeyFrom(KeyOf(1));
    RETURN_IF_ERROR(file_key.status());
    return PlaintextReader::Create(*std::move(sealed), *file_key);
  }

  const Bytes model_ = Noise(1000);
  const Bytes first_ = Noise(size_t{kChunkSize} + 5000);
  const Bytes second_ = Noise(2 * size_t{kChunkSize} + 77);
};

TEST_F(ExternalPartsTest, AnyPieceIsReadInAnyOrderWithoutMovingWhereReadingGoesOn) {
  const auto reader = ReaderOf(sealed_);
  ASSERT_TRUE(reader.ok()) << reader.status();
  Bytes start(500);
  ASSERT_TRUE((*reader)->Read(start).ok());
  PartPieces first(**reader, 1);
  PartPieces second(**reader, 2);
  EXPECT_EQ(second.size(), second_.size());
  EXPECT_THAT(second.path(), HasSubstr("external data `b.bin`"));
  for (const size_t at : {size_t{2} << 20, size_t{0}, size_t{kChunkSize} - 6000, size_t{17}}) {
    Bytes piece(std::min(second_.size() - at, size_t{kChunkSize} + 3));
    ASSERT_TRUE(second.ReadAt(at, piece).ok()) << at;
    EXPECT_TRUE(std::equal(piece.begin(), piece.end(), second_.begin() + static_cast<std::ptrdiff_t>(at))) << at;
    Bytes byte(1);
    ASSERT_TRUE(first.ReadAt(first_.size() - 1, byte).ok());
    EXPECT_EQ(byte[0], first_.back());
  }
  Bytes rest(500);
  ASSERT_TRUE((*reader)->Read(rest).ok());
  EXPECT_TRUE(std::equal(rest.begin(), rest.end(), model_.begin() + 500));
}

TEST_F(ExternalPartsTest, NoPieceReachesIntoAnotherPart) {
  const auto reader = ReaderOf(sealed_);
  ASSERT_TRUE(reader.ok()) << reader.status();
  PartPieces first(**reader, 1);
  Bytes piece(2);
  EXPECT_EQ(first.ReadAt(first_.size() - 1, piece).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(first.ReadAt(UINT64_MAX, piece).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ((*reader)->ReadAt(plaintext_.size(), piece).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ((*reader)->ReadAt(UINT64_MAX - 1, piece).code(), absl::StatusCode::kOutOfRange);
}

TEST_F(ExternalPartsTest, APieceOfAnAlteredOrMovedChunkIsNotGivenOut) {
  Bytes altered = sealed_;
  altered[chunks_begin_ + 2 * kSealedChunk + 100] ^= 1;
  Bytes piece(10);
  const auto reader = ReaderOf(altered);
  ASSERT_TRUE(reader.ok()) << reader.status();
  PartPieces second(**reader, 2);
  EXPECT_THAT(std::string(second.ReadAt(kChunkSize, piece).message()), HasSubstr("chunk 3 of 4 was altered"));
  EXPECT_TRUE(second.ReadAt(second_.size() - 10, piece).ok()) << "the chunks beside it are whole";
  EXPECT_FALSE(second.ReadAt(kChunkSize, piece).ok()) << "still";
  const auto moved = ReaderOf(WithChunks({Chunk(0), Chunk(2), Chunk(1), Chunk(3)}));
  ASSERT_TRUE(moved.ok()) << moved.status();
  PartPieces swapped(**moved, 1);
  EXPECT_THAT(std::string(swapped.ReadAt(kChunkSize, piece).message()), HasSubstr("chunks are out of order"));
}

TEST_F(ExternalPartsTest, FilesThatChangedNamesOrSizesAreNotThoseThatWereSealed) {
  const std::string text = ToString(sealed_);
  const size_t a = text.find("a.bin");
  const size_t b = text.find("b.bin");
  ASSERT_NE(a, std::string::npos);
  ASSERT_NE(b, std::string::npos);
  Bytes renamed = sealed_;
  std::swap(renamed[a], renamed[b]);
  EXPECT_THAT(ErrorOf(renamed), HasSubstr("its header was altered"));
  Bytes truncated = sealed_;
  truncated.resize(truncated.size() - second_.size());
  EXPECT_THAT(ErrorOf(truncated), HasSubstr("is truncated"));
}

}  // namespace
}  // namespace shoji::sealed_model
