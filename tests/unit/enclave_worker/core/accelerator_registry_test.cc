// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "enclave_worker/core/accelerator_registry.h"

#include <optional>

#include <gtest/gtest.h>

namespace shoji::enclave {
namespace {

// Counts what it is told.
class CountingAccelerator final : public Accelerator {
 public:
  explicit CountingAccelerator(int& registered) : registered_(registered) {}
  const std::string& name() const override { return name_; }
  bool ready() const override { return true; }
  bool Serves(const digest::Sha256Digest& /*digest*/) const override { return true; }
  size_t num_in_flight() const override { return 0; }
  void Register(const digest::Sha256Digest& /*digest*/, std::shared_ptr<const Bytes> /*bytes*/,
                SubModelFormat format) override {
    ++registered_;
    format_ = format;
  }
  SubModelFormat format() const { return format_; }
  void Unregister(const digest::Sha256Digest& /*digest*/) override { --registered_; }
  absl::StatusOr<std::vector<Tensor>> Execute(const digest::Sha256Digest& /*digest*/,
                                              std::span<const Tensor* const> /*inputs*/,
                                              const enclave::Execution& /*execution*/) override {
    return absl::UnimplementedError("not asked for here");
  }

 private:
  const std::string name_ = "acc";
  int& registered_;
  SubModelFormat format_ = SubModelFormat::kOnnx;
};

TEST(AcceleratorRegistryTest, ASubModelThatTwoModelsShareStaysUntilBothAreGone) {
  int registered = 0;
  std::vector<AcceleratorRegistry::Member> members(1);
  members[0].identity.name = "acc";
  members[0].accelerator = std::make_unique<CountingAccelerator>(registered);
  AcceleratorRegistry registry(std::move(members));
  Accelerator* accelerator = registry.Find("acc");
  ASSERT_NE(accelerator, nullptr);
  EXPECT_EQ(registry.Find("other"), nullptr);
  const digest::Sha256Digest digest = {1};

  std::optional<AcceleratorRegistry::Registration> old_model(
      registry.Register(*accelerator, digest, nullptr, SubModelFormat::kOnnx));
  EXPECT_EQ(registered, 1);
  std::optional<AcceleratorRegistry::Registration> new_model(
      registry.Register(*accelerator, digest, nullptr, SubModelFormat::kOnnx));
  EXPECT_EQ(registered, 1);
  old_model.reset();
  EXPECT_EQ(registered, 1) << "the reloaded model still needs it";
  new_model.reset();
  EXPECT_EQ(registered, 0);
}

TEST(AcceleratorRegistryTest, PassesOnWhatASubModelIs) {
  int registered = 0;
  auto owned = std::make_unique<CountingAccelerator>(registered);
  CountingAccelerator& accelerator = *owned;
  std::vector<AcceleratorRegistry::Member> members(1);
  members[0].accelerator = std::move(owned);
  AcceleratorRegistry registry(std::move(members));
  const auto layer = registry.Register(accelerator, {1}, nullptr, SubModelFormat::kLinearLayer);
  EXPECT_EQ(accelerator.format(), SubModelFormat::kLinearLayer);
  const auto segment = registry.Register(accelerator, {2}, nullptr, SubModelFormat::kOnnx);
  EXPECT_EQ(accelerator.format(), SubModelFormat::kOnnx);
}

}  // namespace
}  // namespace shoji::enclave
