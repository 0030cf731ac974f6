// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// A walk over the wire format of onnx.ModelProto that enters only what it needs; field numbers are those of onnx.proto.
#include "tools/onnx_outline.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <iterator>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "absl/strings/numbers.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl.h"
#include "google/protobuf/wire_format_lite.h"
#include "lib/base/near_match.h"
#include "lib/base/regular_file.h"
#include "lib/base/status_macros.h"

namespace shoji::tools {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

constexpr int kModelGraph = 7;
constexpr int kGraphNode = 1;
constexpr int kGraphInitializer = 5;
constexpr int kNodeInput = 1;
constexpr int kNodeOutput = 2;
constexpr int kNodeName = 3;
constexpr int kNodeOpType = 4;
constexpr int kNodeAttribute = 5;
constexpr int kAttributeTensor = 5;
constexpr int kTensorName = 8;
constexpr int kTensorExternalData = 13;
constexpr int kTensorDataLocation = 14;
constexpr int kEntryKey = 1;
constexpr int kEntryValue = 2;
constexpr uint32_t kExternal = 1;

constexpr size_t kMaxNodes = 100'000;
constexpr uint32_t kMaxTextBytes = 65536;

constexpr std::array<std::string_view, 7> kLayers = {"Conv",          "Gemm",        "MatMul",       "QLinearConv",
                                                     "QLinearMatMul", "ConvInteger", "MatMulInteger"};

// Reads fields of one message through `field`, which consumes the field's value or returns false to have it skipped.
// False when the bytes are malformed.
using ReadField = std::function<bool(int number, WireFormatLite::WireType type, bool& malformed)>;

bool ReadMessage(CodedInputStream& in, const ReadField& field) {
  while (const uint32_t tag = in.ReadTag()) {
    bool malformed = false;
    const auto type = WireFormatLite::GetTagWireType(tag);
    const bool consumed = field(WireFormatLite::GetTagFieldNumber(tag), type, malformed);
    if (malformed || (!consumed && !WireFormatLite::SkipField(&in, tag))) {
      return false;
    }
  }
  return in.ConsumedEntireMessage();
}

bool ReadNested(CodedInputStream& in, const ReadField& field) {
  uint32_t length = 0;
  if (!in.ReadVarint32(&length)) {
    return false;
  }
  const auto limit = in.PushLimit(static_cast<int>(length));
  const bool good = ReadMessage(in, field) && in.BytesUntilLimit() == 0;
  in.PopLimit(limit);
  return good;
}

bool ReadText(CodedInputStream& in, std::string& out) {
  uint32_t length = 0;
  return in.ReadVarint32(&length) && length <= kMaxTextBytes && in.ReadString(&out, static_cast<int>(length));
}

constexpr auto kLengthDelimited = WireFormatLite::WIRETYPE_LENGTH_DELIMITED;

class Reader {
 public:
  explicit Reader(CodedInputStream& in) : in_(in) {}

  bool ReadModel() {
    bool has_graph = false;
    const bool good = ReadMessage(in_, [&](int number, auto type, bool& malformed) {
      if (number != kModelGraph || type != kLengthDelimited) {
        return false;
      }
      has_graph = true;
      malformed = !ReadNested(in_, [this](int n, auto t, bool& bad) { return ReadGraphField(n, t, bad); });
      return true;
    });
    return good && has_graph && nodes_.size() <= kMaxNodes;
  }

  OnnxOutline Finish() {
    for (const Node& node : nodes_) {
      const auto is_constant = [this](const std::string& name) { return constants_.contains(name); };
      const bool layer = std::find(kLayers.begin(), kLayers.end(), node.op_type) != kLayers.end();
      const bool folds = std::all_of(node.inputs.begin(), node.inputs.end(), is_constant);
      if (folds) {
        constants_.insert(node.outputs.begin(), node.outputs.end());
      }
      outline_.nodes.push_back({node.name.empty() && !node.outputs.empty() ? node.outputs.front() : node.name,
                                layer && !folds && std::any_of(node.inputs.begin(), node.inputs.end(), is_constant)});
    }
    outline_.external = std::move(initializers_);
    std::move(attributes_.begin(), attributes_.end(), std::back_inserter(outline_.external));
    return std::move(outline_);
  }

 private:
  struct Node {
    std::string name;
    std::string op_type;
    std::vector<std::string> inputs;
    std::vector<std::string> outputs;
  };

  bool ReadGraphField(int number, WireFormatLite::WireType type, bool& malformed) {
    if (type != kLengthDelimited) {
      return false;
    }
    if (number == kGraphNode && nodes_.size() <= kMaxNodes) {
      Node& node = nodes_.emplace_back();
      malformed = !ReadNested(in_, [&](int n, auto t, bool& bad) { return ReadNodeField(n, t, node, bad); });
      return true;
    }
    if (number == kGraphInitializer) {
      std::string name;
      malformed = !ReadTensor(name, initializers_);
      constants_.insert(std::move(name));
      return true;
    }
    return false;
  }

  bool ReadNodeField(int number, WireFormatLite::WireType type, Node& node, bool& malformed) {
    if (type != kLengthDelimited) {
      return false;
    }
    switch (number) {
      case kNodeInput:
        malformed = !ReadText(in_, node.inputs.emplace_back());
        return true;
      case kNodeOutput:
        malformed = !ReadText(in_, node.outputs.emplace_back());
        return true;
      case kNodeName:
        malformed = !ReadText(in_, node.name);
        return true;
      case kNodeOpType:
        malformed = !ReadText(in_, node.op_type);
        return true;
      case kNodeAttribute:
        malformed = !ReadNested(in_, [this](int n, auto t, bool& bad) {
          std::string name;
          const bool tensor = n == kAttributeTensor && t == kLengthDelimited;
          bad = tensor && !ReadTensor(name, attributes_);
          return tensor;
        });
        return true;
      default:
        return false;
    }
  }

  bool ReadTensor(std::string& name, std::vector<ExternalTensor>& external) {
    ExternalTensor place;
    bool is_external = false;
    const bool good = ReadNested(in_, [&](int number, auto type, bool& malformed) {
      if (number == kTensorName && type == kLengthDelimited) {
        malformed = !ReadText(in_, name);
        return true;
      }
      if (number == kTensorExternalData && type == kLengthDelimited) {
        malformed = !ReadPlace(place);
        return true;
      }
      if (number == kTensorDataLocation && type == WireFormatLite::WIRETYPE_VARINT) {
        uint32_t location = 0;
        malformed = !in_.ReadVarint32(&location);
        is_external = location == kExternal;
        return true;
      }
      return false;
    });
    if (is_external) {
      external.push_back(std::move(place));
    }
    return good;
  }

  // One entry of a tensor's external_data.
  bool ReadPlace(ExternalTensor& place) {
    std::string key;
    std::string value;
    const bool good = ReadNested(in_, [&](int number, auto type, bool& malformed) {
      if (type != kLengthDelimited || (number != kEntryKey && number != kEntryValue)) {
        return false;
      }
      malformed = !ReadText(in_, number == kEntryKey ? key : value);
      return true;
    });
    if (!good || (key != "offset" && key != "length")) {
      place.file = key == "location" ? value : place.file;
      return good;
    }
    uint64_t number = 0;
    const bool is_number = absl::SimpleAtoi(value, &number);
    if (key == "offset") {
      place.offset = number;
    } else {
      place.length = number;
    }
    return is_number;
  }

  CodedInputStream& in_;
  OnnxOutline outline_;
  std::vector<ExternalTensor> initializers_;
  std::vector<ExternalTensor> attributes_;
  std::vector<Node> nodes_;
  std::unordered_set<std::string> constants_;
};

}  // namespace

absl::StatusOr<OnnxOutline> ReadOnnxOutline(const std::string& path) {
  const FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) {
    return ErrnoError(errno, "cannot open " + path);
  }
  google::protobuf::io::FileInputStream file(fd.get());
  CodedInputStream in(&file);
  Reader reader(in);
  if (!reader.ReadModel()) {
    return absl::InvalidArgumentError(path + " is no ONNX model, or a truncated one");
  }
  return reader.Finish();
}

absl::Status CheckNode(const OnnxOutline& outline, const std::string& name) {
  std::vector<std::string> names;
  names.reserve(outline.nodes.size());
  for (const OutlineNode& node : outline.nodes) {
    if (node.name == name) {
      return absl::OkStatus();
    }
    names.push_back(node.name);
  }
  return absl::NotFoundError("the model has no node `" + name + "`" + DidYouMean(name, names));
}

absl::StatusOr<std::string> FirstOfLastLayers(const OnnxOutline& outline, uint64_t count) {
  std::vector<std::string> layers;
  for (const OutlineNode& node : outline.nodes) {
    if (node.has_weights) {
      layers.push_back(node.name);
    }
  }
  if (count < 1 || count > layers.size()) {
    return absl::InvalidArgumentError("the last " + std::to_string(count) + " layers: the model has " +
                                      std::to_string(layers.size()) + " layers with weights");
  }
  return layers[layers.size() - count];
}

}  // namespace shoji::tools
