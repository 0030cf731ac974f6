// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "gpu_worker/executable.h"

#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/bytes.h"
#include "lib/base/status_macros.h"
#include "lib/rpc/tensor_proto.h"
#include "lib/tensor/shape.h"

namespace shoji::accelerator {
namespace {

namespace pb = internal::v1;

class OpenSegment final : public Executable {
 public:
  explicit OpenSegment(std::unique_ptr<Model> model) : model_(std::move(model)) {}

  absl::Status Run(pb::Execute execute, size_t max_bytes, const StopCheck& stop, pb::ExecuteReply& reply) override {
    ASSIGN_OR_RETURN(const size_t batch, BatchOf(execute));
    if (static_cast<size_t>(execute.inputs_size()) % batch != 0) {
      return absl::InvalidArgumentError(std::to_string(execute.inputs_size()) + " inputs are not those of " +
                                        std::to_string(batch) + " requests");
    }
    std::vector<Tensor> inputs;
    inputs.reserve(static_cast<size_t>(execute.inputs_size()));
    for (const pb::Tensor& input : execute.inputs()) {
      ASSIGN_OR_RETURN(Tensor tensor, rpc::ParseTensor(input, max_bytes));
      inputs.push_back(std::move(tensor));
    }
    execute.Clear();  // the copies above are all that a run needs
    ASSIGN_OR_RETURN(const std::vector<Tensor> outputs, model_->RunBatch(std::move(inputs), batch, stop));
    for (const Tensor& output : outputs) {
      rpc::WriteTensor(output, *reply.add_outputs());
    }
    return absl::OkStatus();
  }

  uint64_t memory_bytes() const override { return model_->memory_bytes(); }

 private:
  const std::unique_ptr<Model> model_;
};

// Copies nothing: the kernel reads the message that came and writes the one that goes.
class MaskedLayer final : public Executable {
 public:
  explicit MaskedLayer(std::unique_ptr<LinearModel> model) : model_(std::move(model)) {}

  absl::Status Run(pb::Execute execute, size_t /*max_bytes*/, const StopCheck& stop, pb::ExecuteReply& reply) override {
    ASSIGN_OR_RETURN(const size_t batch, BatchOf(execute));
    if (static_cast<size_t>(execute.inputs_size()) != batch) {
      return absl::InvalidArgumentError("a linear layer takes one input a request, not " +
                                        std::to_string(execute.inputs_size()) + " for " + std::to_string(batch));
    }
    for (const pb::Tensor& input : execute.inputs()) {
      RETURN_IF_ERROR(CheckInput(input));
    }
    std::vector<LinearModel::BatchRun> runs;
    for (const pb::Tensor& input : execute.inputs()) {
      std::string& data = *NewOutput(reply).mutable_data();
      runs.push_back({AsBytes(input.data()), {reinterpret_cast<uint8_t*>(data.data()), data.size()}});
    }
    return model_->RunBatch(runs, stop);
  }

  uint64_t memory_bytes() const override { return model_->memory_bytes(); }

 private:
  absl::Status CheckInput(const pb::Tensor& input) const {
    const Shape& expected = model_->input_shape();
    const bool matches =
        input.data_type() == v1::UINT8 &&
        std::equal(input.dims().begin(), input.dims().end(), expected.dims().begin(), expected.dims().end()) &&
        input.data().size() == expected.num_elements();
    return matches ? absl::OkStatus()
                   : absl::InvalidArgumentError("the linear layer takes a tensor uint8" + expected.ToString());
  }

  pb::Tensor& NewOutput(pb::ExecuteReply& reply) const {
    const Shape& shape = model_->output_shape();
    pb::Tensor& output = *reply.add_outputs();
    output.set_data_type(v1::UINT8);
    output.mutable_dims()->Assign(shape.dims().begin(), shape.dims().end());
    output.mutable_data()->resize(shape.num_elements());
    return output;
  }

  const std::unique_ptr<LinearModel> model_;
};

}  // namespace

absl::StatusOr<size_t> BatchOf(const pb::Execute& execute) {
  if (execute.batch() > kMaxBatch) {
    return absl::InvalidArgumentError("an execution for " + std::to_string(execute.batch()) + " requests; at most " +
                                      std::to_string(kMaxBatch) + " go together");
  }
  return std::max<size_t>(1, execute.batch());
}

absl::StatusOr<std::unique_ptr<Executable>> LoadExecutable(Backend& backend, pb::SubModelFormat format,
                                                           ByteSource& upload) {
  switch (format) {
    case pb::ONNX: {
      ASSIGN_OR_RETURN(std::unique_ptr<Model> model, backend.Load(upload));
      return std::make_unique<OpenSegment>(std::move(model));
    }
    case pb::LINEAR_LAYER: {
      Bytes bytes(static_cast<size_t>(upload.size()));
      RETURN_IF_ERROR(upload.Read(bytes));
      ASSIGN_OR_RETURN(const RingLayer layer, ParseRingLayer(bytes));
      ASSIGN_OR_RETURN(std::unique_ptr<LinearModel> model, backend.LoadLinear(layer));
      return std::make_unique<MaskedLayer>(std::move(model));
    }
    default:
      return absl::InvalidArgumentError("a sub-model of an unknown format");
  }
}

}  // namespace shoji::accelerator
