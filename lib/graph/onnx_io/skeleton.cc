// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// The walk goes down only where tensors are that import may use:
//   ModelProto.graph / GraphProto.initializer, .node / NodeProto.attribute / AttributeProto.t
//   ModelProto.functions / FunctionProto.node / as above
// Everywhere else bytes are copied as they are. The length of a message that is walked is written after its content,
// in five bytes whatever its value, which protobuf reads like any other varint.

#include "lib/graph/onnx_io/skeleton.h"

#include <array>
#include <span>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/wire_reader.h"

namespace shoji::graph::onnx_io {
namespace {

// What protobuf may make of all that is copied: many times its bytes, where it is messages of two bytes each.
constexpr uint64_t kMaxSkeletonBytes = uint64_t{128} << 20;
// Added for each field, as protobuf may make an object of an empty one, and for one that is walked, a message.
constexpr uint64_t kFieldCharge = 32;
constexpr uint64_t kMessageCharge = 256;
// For each byte of numbers in a row, of tensor types, and of messages that may hold any other.
constexpr uint64_t kNumbersFactor = 8;
constexpr uint64_t kTypeFactor = 30;
constexpr uint64_t kAnyFactor = 80;

enum class Message : uint8_t { kModel, kGraph, kFunction, kNode, kAttribute, kSparseTensor, kTensor, kValueInfo };

struct Rule {
  enum class Kind : uint8_t { kWalk, kDrop, kData };
  Message in = Message::kModel;
  uint32_t field = 0;
  Kind kind = Kind::kWalk;
  Message walk = Message::kModel;  // kWalk
  DataForm form = DataForm::kRaw;  // kData
};

// Field numbers of onnx.proto; what is not listed is copied.
constexpr std::array kRules = {
    Rule{Message::kModel, 7, Rule::Kind::kWalk, Message::kGraph},
    Rule{Message::kModel, 6, Rule::Kind::kDrop},   // doc_string
    Rule{Message::kModel, 20, Rule::Kind::kDrop},  // training_info
    Rule{Message::kModel, 25, Rule::Kind::kWalk, Message::kFunction},
    Rule{Message::kGraph, 1, Rule::Kind::kWalk, Message::kNode},
    Rule{Message::kGraph, 5, Rule::Kind::kWalk, Message::kTensor},         // initializer
    Rule{Message::kGraph, 15, Rule::Kind::kWalk, Message::kSparseTensor},  // sparse_initializer, refused by name later
    Rule{Message::kGraph, 10, Rule::Kind::kDrop},                          // doc_string
    Rule{Message::kGraph, 11, Rule::Kind::kWalk, Message::kValueInfo},     // input
    Rule{Message::kGraph, 12, Rule::Kind::kWalk, Message::kValueInfo},     // output
    Rule{Message::kGraph, 13, Rule::Kind::kWalk, Message::kValueInfo},     // value_info
    Rule{Message::kGraph, 16, Rule::Kind::kDrop},                          // metadata_props
    Rule{Message::kFunction, 7, Rule::Kind::kWalk, Message::kNode},
    Rule{Message::kFunction, 8, Rule::Kind::kDrop},   // doc_string
    Rule{Message::kFunction, 12, Rule::Kind::kDrop},  // value_info
    Rule{Message::kFunction, 14, Rule::Kind::kDrop},  // metadata_props
    Rule{Message::kValueInfo, 3, Rule::Kind::kDrop},  // doc_string
    Rule{Message::kValueInfo, 4, Rule::Kind::kDrop},  // metadata_props
    Rule{Message::kNode, 5, Rule::Kind::kWalk, Message::kAttribute},
    Rule{Message::kNode, 6, Rule::Kind::kDrop},  // doc_string
    Rule{Message::kNode, 9, Rule::Kind::kDrop},  // metadata_props: PyTorch writes kilobytes of stack traces
    Rule{Message::kAttribute, 5, Rule::Kind::kWalk, Message::kTensor},
    Rule{Message::kAttribute, 13, Rule::Kind::kDrop},  // doc_string
    Rule{Message::kSparseTensor, 1, Rule::Kind::kWalk, Message::kTensor},
    Rule{Message::kSparseTensor, 2, Rule::Kind::kWalk, Message::kTensor},
    Rule{Message::kTensor, 4, Rule::Kind::kData, Message::kModel, DataForm::kFloats},
    Rule{Message::kTensor, 5, Rule::Kind::kData, Message::kModel, DataForm::kInt32s},
    Rule{Message::kTensor, 7, Rule::Kind::kData, Message::kModel, DataForm::kInt64s},
    Rule{Message::kTensor, 9, Rule::Kind::kData, Message::kModel, DataForm::kRaw},
    Rule{Message::kTensor, 10, Rule::Kind::kData, Message::kModel, DataForm::kDoubles},
    Rule{Message::kTensor, 12, Rule::Kind::kDrop},  // doc_string: takes the index of large data
    Rule{Message::kTensor, 16, Rule::Kind::kDrop},  // metadata_props
};
constexpr uint32_t kDocStringOfTensor = 12;

struct Cost {
  Message in = Message::kModel;
  uint32_t field = 0;
  uint64_t factor = 1;
};

// Of what is copied; what is not listed may hold anything.
constexpr std::array kCosts = {
    Cost{Message::kModel, 2},                         // producer_name
    Cost{Message::kModel, 3},                         // producer_version
    Cost{Message::kModel, 4},                         // domain
    Cost{Message::kModel, 8},                         // opset_import, two scalars
    Cost{Message::kModel, 14},                        // metadata_props, two strings
    Cost{Message::kGraph, 2},                         // name
    Cost{Message::kGraph, 14, kTypeFactor},           // quantization_annotation
    Cost{Message::kFunction, 1},                      // name
    Cost{Message::kFunction, 4},                      // input
    Cost{Message::kFunction, 5},                      // output
    Cost{Message::kFunction, 6},                      // attribute
    Cost{Message::kFunction, 9},                      // opset_import
    Cost{Message::kFunction, 10},                     // domain
    Cost{Message::kFunction, 13},                     // overload
    Cost{Message::kValueInfo, 1},                     // name
    Cost{Message::kValueInfo, 2, kTypeFactor},        // type
    Cost{Message::kNode, 1},                          // input
    Cost{Message::kNode, 2},                          // output
    Cost{Message::kNode, 3},                          // name
    Cost{Message::kNode, 4},                          // op_type
    Cost{Message::kNode, 7},                          // domain
    Cost{Message::kNode, 8},                          // overload
    Cost{Message::kAttribute, 1},                     // name
    Cost{Message::kAttribute, 4},                     // s
    Cost{Message::kAttribute, 7, kNumbersFactor},     // floats
    Cost{Message::kAttribute, 8, kNumbersFactor},     // ints
    Cost{Message::kAttribute, 9},                     // strings
    Cost{Message::kAttribute, 21},                    // ref_attr_name
    Cost{Message::kSparseTensor, 3, kNumbersFactor},  // dims
    Cost{Message::kTensor, 1, kNumbersFactor},        // dims
    Cost{Message::kTensor, 4, kNumbersFactor},        // small data
    Cost{Message::kTensor, 5, kNumbersFactor},
    Cost{Message::kTensor, 6},  // string_data
    Cost{Message::kTensor, 7, kNumbersFactor},
    Cost{Message::kTensor, 8},  // name
    Cost{Message::kTensor, 9},
    Cost{Message::kTensor, 10, kNumbersFactor},
    Cost{Message::kTensor, 11, kNumbersFactor},
    Cost{Message::kTensor, 13},  // external_data, two strings
};

uint64_t FactorOf(Message in, uint32_t field) {
  for (const Cost& cost : kCosts) {
    if (cost.in == in && cost.field == field) {
      return cost.factor;
    }
  }
  return kAnyFactor;
}

const Rule* FindRule(Message in, const WireTag& tag) {
  if (tag.type != WireType::kLengthDelimited) {
    return nullptr;
  }
  for (const Rule& rule : kRules) {
    if (rule.in == in && rule.field == tag.field) {
      return &rule;
    }
  }
  return nullptr;
}

// Of these a message may have one: protobuf would append the second to the first, or let it win.
bool HoldsData(const Rule& rule) {
  return rule.kind == Rule::Kind::kData || (rule.in == Message::kAttribute && rule.kind == Rule::Kind::kWalk);
}

class Walker {
 public:
  Walker(ByteSource& file, digest::Sha256Stream* digest, const SkeletonLimits& limits)
      : reader_(file, digest), limits_(limits) {}

  absl::StatusOr<Skeleton> Walk() {
    RETURN_IF_ERROR(WalkMessage(Message::kModel, reader_.size()));
    return std::move(out_);
  }

 private:
  absl::Status WalkMessage(Message message, uint64_t end);
  absl::Status WalkLengthDelimited(Message message, uint32_t field, const Rule* rule, uint64_t length);
  absl::Status WalkChild(const Rule& rule, uint64_t length);
  absl::Status CopyNumber(const WireTag& tag, uint64_t end);
  absl::Status KeepData(DataForm form, uint64_t length);
  // RESOURCE_EXHAUSTED unless `bytes` more may be copied.
  absl::Status Charge(uint64_t bytes);

  void PutVarint(uint64_t value);
  void PutTag(uint32_t field, WireType type) { PutVarint(uint64_t{field} << 3 | static_cast<uint64_t>(type)); }

  WireReader reader_;
  const SkeletonLimits limits_;
  Skeleton out_;
  uint64_t charged_ = 0;
};

void Walker::PutVarint(uint64_t value) {
  for (; value >= 0x80; value >>= 7) {
    out_.model += static_cast<char>(value | 0x80);
  }
  out_.model += static_cast<char>(value);
}

absl::Status Walker::Charge(uint64_t bytes) {
  charged_ += bytes + kFieldCharge;
  if (charged_ > kMaxSkeletonBytes) {
    return absl::ResourceExhaustedError("the ONNX file would take more than " +
                                        std::to_string(kMaxSkeletonBytes >> 20) +
                                        " MiB of memory for what is not weights");
  }
  return absl::OkStatus();
}

absl::Status Walker::WalkMessage(Message message, uint64_t end) {
  bool has_data = false;
  while (reader_.position() < end) {
    ASSIGN_OR_RETURN(const WireTag tag, reader_.ReadTag(end));
    if (tag.type != WireType::kLengthDelimited) {
      RETURN_IF_ERROR(CopyNumber(tag, end));
      continue;
    }
    const Rule* rule = FindRule(message, tag);
    ASSIGN_OR_RETURN(const uint64_t length, reader_.ReadLength(end));
    if (rule != nullptr && length > 0 && HoldsData(*rule)) {
      if (has_data) {
        return absl::InvalidArgumentError("the ONNX file has a tensor that holds its data twice, at byte " +
                                          std::to_string(reader_.position()));
      }
      has_data = true;
    }
    RETURN_IF_ERROR(WalkLengthDelimited(message, tag.field, rule, length));
  }
  return absl::OkStatus();
}

absl::Status Walker::CopyNumber(const WireTag& tag, uint64_t end) {
  RETURN_IF_ERROR(Charge(sizeof(uint64_t)));
  PutTag(tag.field, tag.type);
  if (tag.type == WireType::kVarint) {
    ASSIGN_OR_RETURN(const uint64_t value, reader_.ReadVarint(end));
    PutVarint(value);
    return absl::OkStatus();
  }
  const size_t size = tag.type == WireType::kFixed32 ? 4 : 8;
  if (size > end - reader_.position()) {
    return reader_.Malformed("a number that does not end");
  }
  return reader_.Append(out_.model, size);
}

absl::Status Walker::WalkLengthDelimited(Message message, uint32_t field, const Rule* rule, uint64_t length) {
  if (rule != nullptr && rule->kind == Rule::Kind::kDrop) {
    return reader_.Skip(length);
  }
  if (rule != nullptr && rule->kind == Rule::Kind::kData && length > kSmallDataBytes) {
    return KeepData(rule->form, length);
  }
  if (message == Message::kGraph && rule != nullptr && rule->walk == Message::kNode &&
      ++out_.num_nodes > limits_.max_nodes + 1) {
    return reader_.Skip(length);
  }
  if (rule != nullptr && rule->kind == Rule::Kind::kWalk) {
    PutTag(field, WireType::kLengthDelimited);
    return WalkChild(*rule, length);
  }
  // No overflow: the length is within the file's.
  RETURN_IF_ERROR(Charge(length > kMaxSkeletonBytes ? length : length * FactorOf(message, field)));
  PutTag(field, WireType::kLengthDelimited);
  PutVarint(length);
  return reader_.Append(out_.model, static_cast<size_t>(length));
}

absl::Status Walker::WalkChild(const Rule& rule, uint64_t length) {
  constexpr size_t kLengthBytes = 5;
  RETURN_IF_ERROR(Charge(kMessageCharge));
  const size_t length_at = out_.model.size();
  out_.model.append(kLengthBytes, '\0');
  RETURN_IF_ERROR(WalkMessage(rule.walk, reader_.position() + length));
  uint64_t written = out_.model.size() - length_at - kLengthBytes;
  for (size_t i = 0; i < kLengthBytes; ++i, written >>= 7) {
    out_.model[length_at + i] = static_cast<char>((written & 0x7f) | (i + 1 < kLengthBytes ? 0x80 : 0));
  }
  return absl::OkStatus();
}

absl::Status Walker::KeepData(DataForm form, uint64_t length) {
  if (length > limits_.max_data_bytes) {
    return absl::ResourceExhaustedError("the ONNX file has a tensor of " + std::to_string(length) +
                                        " bytes; the limit is " + std::to_string(limits_.max_data_bytes));
  }
  RETURN_IF_ERROR(Charge(sizeof(LargeData)));
  ASSIGN_OR_RETURN(Shape shape, Shape::Create({static_cast<int64_t>(length)}));
  LargeData& data = out_.data.emplace_back();
  data.form = form;
  data.bytes = Tensor::Uninitialized(DataType::kUint8, std::move(shape));
  const std::string index = std::to_string(out_.data.size() - 1);
  PutTag(kDocStringOfTensor, WireType::kLengthDelimited);
  PutVarint(index.size());
  out_.model += index;
  return reader_.Read(data.bytes.mutable_bytes());
}

}  // namespace

absl::StatusOr<Skeleton> ReadSkeleton(ByteSource& file, digest::Sha256Stream* digest, const SkeletonLimits& limits) {
  return Walker(file, digest, limits).Walk();
}

}  // namespace shoji::graph::onnx_io
