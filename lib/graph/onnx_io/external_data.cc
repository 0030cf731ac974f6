// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/onnx_io/external_data.h"

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "lib/base/byte_source.h"
#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/node_scope.h"
#include "lib/graph/onnx_io/skeleton.h"
#include "lib/graph/onnx_io/tensor_proto.h"
#include "lib/graph/onnx_io/text.h"

namespace shoji::graph::onnx_io {
namespace {

// Small enough to be in the cache still when it is digested.
constexpr size_t kBlockBytes = size_t{256} << 10;

// Where a tensor's data lies. "checksum" is not looked at: the model's digest covers the very bytes that are used.
struct Location {
  std::string file;
  uint64_t offset = 0;
  std::optional<uint64_t> length;
};

absl::Status InTensor(const std::string& where, const absl::Status& status) {
  return {status.code(), where + ": its external data: " + std::string(status.message())};
}

absl::StatusOr<uint64_t> ParseNumber(const std::string& key, std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    return absl::InvalidArgumentError("`" + key + "` must be a number, not " + Quoted(text));
  }
  return value;
}

absl::StatusOr<Location> ParseLocation(const ::onnx::TensorProto& tensor) {
  Location out;
  std::string seen;
  for (const ::onnx::StringStringEntryProto& entry : tensor.external_data()) {
    const std::string& key = entry.key();
    if (key != "location" && key != "offset" && key != "length") {
      continue;
    }
    if (seen.find(key) != std::string::npos) {
      return absl::InvalidArgumentError("`" + key + "` is given twice");
    }
    seen += key + " ";
    if (key == "location") {
      out.file = entry.value();
      continue;
    }
    ASSIGN_OR_RETURN(const uint64_t value, ParseNumber(key, entry.value()));
    if (key == "offset") {
      out.offset = value;
    } else {
      out.length = value;
    }
  }
  if (out.file.empty()) {
    return absl::InvalidArgumentError("no `location` is given");
  }
  return out;
}

class Reader {
 public:
  Reader(const ImportOptions& options, LargeTensors& large, digest::Sha256Stream* digest)
      : options_(options), left_(options.max_external_bytes), large_(large), digest_(digest) {}

  size_t num_read() const { return num_read_; }

  absl::Status ReadInto(::onnx::TensorProto& tensor, const std::string& where) {
    if (!IsExternal(tensor)) {
      return absl::OkStatus();
    }
    absl::StatusOr<Tensor> bytes = Read(tensor);
    if (!bytes.ok()) {
      return InTensor(where, bytes.status());
    }
    ++num_read_;
    tensor.clear_external_data();
    tensor.clear_data_location();
    if (bytes->size_bytes() <= kSmallDataBytes) {
      tensor.set_raw_data(bytes->bytes().data(), bytes->size_bytes());
    } else {
      large_.Put(tensor, {DataForm::kRaw, *std::move(bytes)});
    }
    return absl::OkStatus();
  }

 private:
  absl::StatusOr<Tensor> Read(const ::onnx::TensorProto& tensor) {
    ASSIGN_OR_RETURN(const Location location, ParseLocation(tensor));
    const uint64_t needed = RawBytesOf(tensor);
    if (location.length.value_or(needed) != needed) {
      return absl::InvalidArgumentError("`length` is " + std::to_string(*location.length) + " where its shape needs " +
                                        std::to_string(needed));
    }
    if (needed > left_) {
      return absl::ResourceExhaustedError("all external data exceeds the limit of " +
                                          std::to_string(options_.max_external_bytes) + " bytes");
    }
    left_ -= needed;
    RETURN_IF_ERROR(OpenFile(location.file));
    if (location.offset > file_->size() || needed > file_->size() - location.offset) {
      return absl::InvalidArgumentError(file_->path() + " has " + std::to_string(file_->size()) + " bytes, not the " +
                                        std::to_string(needed) + " from " + std::to_string(location.offset) +
                                        " on that the tensor claims");
    }
    ASSIGN_OR_RETURN(Shape shape, Shape::Create({static_cast<int64_t>(needed)}));
    Tensor out = Tensor::Uninitialized(DataType::kUint8, std::move(shape));
    RETURN_IF_ERROR(Fill(location.offset, out.mutable_bytes()));
    return out;
  }

  // Tensors in a row are mostly in one file; never more than one is open.
  absl::Status OpenFile(const std::string& name) {
    if (file_ == nullptr || name != file_name_) {
      file_.reset();
      ASSIGN_OR_RETURN(file_, options_.external_data(name));
      file_name_ = name;
    }
    return absl::OkStatus();
  }

  absl::Status Fill(uint64_t offset, std::span<uint8_t> out) {
    Bytes length;
    AppendUint64(length, out.size());
    Digest(length);
    while (!out.empty()) {
      const std::span<uint8_t> block = out.first(std::min(out.size(), kBlockBytes));
      RETURN_IF_ERROR(file_->ReadAt(offset, block));
      Digest(block);
      offset += block.size();
      out = out.subspan(block.size());
    }
    return absl::OkStatus();
  }

  void Digest(ByteSpan bytes) {
    if (digest_ != nullptr) {
      digest_->Update(bytes);
    }
  }

  const ImportOptions& options_;
  uint64_t left_;
  LargeTensors& large_;
  digest::Sha256Stream* const digest_;
  size_t num_read_ = 0;
  std::unique_ptr<PositionedSource> file_;
  std::string file_name_;
};

}  // namespace

absl::StatusOr<size_t> ReadExternalData(::onnx::ModelProto& model, const ImportOptions& options, LargeTensors& large,
                                        digest::Sha256Stream* digest) {
  Reader reader(options, large, digest);
  for (::onnx::TensorProto& initializer : *model.mutable_graph()->mutable_initializer()) {
    RETURN_IF_ERROR(reader.ReadInto(initializer, "initializer " + Quoted(initializer.name())));
  }
  for (::onnx::NodeProto& node : *model.mutable_graph()->mutable_node()) {
    for (::onnx::AttributeProto& attribute : *node.mutable_attribute()) {
      if (attribute.has_t()) {
        RETURN_IF_ERROR(
            reader.ReadInto(*attribute.mutable_t(), NodeLabel(node) + ", attribute " + Quoted(attribute.name())));
      }
    }
  }
  return reader.num_read();
}

}  // namespace shoji::graph::onnx_io
