// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/onnx_io/onnx_file.h"

#include <onnx/checker.h>
#include <onnx/defs/schema.h>
#include <onnx/onnx_pb.h>
#include <onnx/shape_inference/implementation.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <exception>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <google/protobuf/io/coded_stream.h>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/skeleton.h"
#include "lib/graph/onnx_io/text.h"

namespace shoji::graph::onnx_io {
namespace {

// libonnx's messages run over several lines and may quote the file.
std::string OneLine(const char* what) {
  constexpr size_t kMaxShown = 400;
  std::string out;
  for (const char* c = what; *c != '\0' && out.size() < kMaxShown; ++c) {
    const bool space = static_cast<unsigned char>(*c) <= 0x20 || *c == 0x7f;
    if (!space) {
      out += *c;
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
  return out;
}

// Runs `step` and turns what it throws into INVALID_ARGUMENT.
template <typename F>
absl::Status WithoutExceptions(const char* who, F step) {
  try {
    step();
    return absl::OkStatus();
  } catch (const std::exception& e) {
    return absl::InvalidArgumentError(std::string(who) + ": " + OneLine(e.what()));
  } catch (...) {
    return absl::InvalidArgumentError(std::string(who) + " failed");
  }
}

// The dynamic dimensions of `type` become 1: import has seen to it that only the first can be.
void FixBatch(::onnx::TypeProto& type) {
  for (auto& dim : *type.mutable_tensor_type()->mutable_shape()->mutable_dim()) {
    if (dim.dim_value() < 1) {  // not there counts as 0
      dim.set_dim_value(1);
    }
  }
}

// Drops the shapes that the file declares, and fixes the batch.
void PrepareForInference(::onnx::GraphProto& graph) {
  graph.clear_value_info();
  for (auto& output : *graph.mutable_output()) {
    output.mutable_type()->mutable_tensor_type()->clear_shape();
  }
  std::unordered_set<std::string> initializers;
  for (const auto& initializer : graph.initializer()) {
    initializers.insert(initializer.name());
  }
  for (auto& input : *graph.mutable_input()) {
    if (!initializers.contains(input.name())) {
      FixBatch(*input.mutable_type());
    }
  }
}

template <typename F>
void ForEachTensor(google::protobuf::RepeatedPtrField<::onnx::NodeProto>& nodes, F& visit) {
  for (::onnx::NodeProto& node : nodes) {
    for (::onnx::AttributeProto& attribute : *node.mutable_attribute()) {
      if (attribute.has_t()) {
        visit(*attribute.mutable_t());
      }
    }
  }
}

// Those of subgraphs aside, which hold their data themselves.
template <typename F>
void ForEachTensor(::onnx::ModelProto& model, F visit) {
  for (::onnx::TensorProto& initializer : *model.mutable_graph()->mutable_initializer()) {
    visit(initializer);
  }
  ForEachTensor(*model.mutable_graph()->mutable_node(), visit);
  for (::onnx::FunctionProto& function : *model.mutable_functions()) {
    ForEachTensor(*function.mutable_node(), visit);
  }
}

// Messages within messages: a graph in a branch of an If lies three deeper than the one that the If is in.
constexpr int kMaxNesting = 100;

bool ParseNested(const std::string& bytes, int max_nesting, ::onnx::ModelProto& model) {
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(bytes.data()),
                                            static_cast<int>(bytes.size()));
  in.SetRecursionLimit(max_nesting);
  return model.ParseFromCodedStream(&in) && in.ConsumedEntireMessage();
}

absl::Status WhyNotParsed(const std::string& bytes) {
  // More than this would be a risk to the stack.
  constexpr int kToldApart = 1000;
  ::onnx::ModelProto model;
  if (ParseNested(bytes, kToldApart, model)) {
    return absl::UnimplementedError(
        "the ONNX file nests its graphs too deeply: at most some 30 may lie in one another (an If in a branch of an "
        "If, "
        "and so on); export the model by tracing");
  }
  return absl::InvalidArgumentError("not an ONNX file, or a truncated one: protobuf cannot parse it");
}

int64_t LibraryOpset() {
  const auto& versions = ::onnx::OpSchemaRegistry::DomainToVersionRange::Instance().Map();
  const auto found = versions.find("");
  return found == versions.end() ? 0 : found->second.second;
}

absl::Status CompareShape(const ::onnx::ValueInfoProto& info, const Shape& shape) {
  if (!info.type().has_tensor_type() || !info.type().tensor_type().has_shape()) {
    return absl::OkStatus();
  }
  const auto& dims = info.type().tensor_type().shape().dim();
  bool same = static_cast<size_t>(dims.size()) == shape.rank();
  for (int i = 0; same && i < dims.size(); ++i) {
    same = !dims[i].has_dim_value() || dims[i].dim_value() == shape[static_cast<size_t>(i)];
  }
  if (!same) {
    return absl::InvalidArgumentError("value " + Quoted(info.name()) + ": its node gives shape " + shape.ToString() +
                                      ", ONNX shape inference another");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<FileParts> ReadModel(ByteSource& file, digest::Sha256Stream* digest, const ImportOptions& options,
                                    ::onnx::ModelProto& model) {
  if (file.size() == 0) {
    return absl::InvalidArgumentError("the ONNX file is empty");
  }
  const SkeletonLimits limits = {static_cast<uint64_t>(options.max_tensor_bytes), options.max_nodes};
  ASSIGN_OR_RETURN(Skeleton skeleton, ReadSkeleton(file, digest, limits));
  if (!ParseNested(skeleton.model, kMaxNesting, model)) {
    return WhyNotParsed(skeleton.model);
  }
  FileParts parts;
  parts.num_nodes = skeleton.num_nodes;
  ForEachTensor(model, [&skeleton, &parts](::onnx::TensorProto& tensor) {
    size_t index = 0;
    const std::string& text = tensor.doc_string();
    if (std::from_chars(text.data(), text.data() + text.size(), index).ec == std::errc() &&
        index < skeleton.data.size()) {
      parts.large.Put(tensor, std::move(skeleton.data[index]));
    }
    tensor.clear_doc_string();
  });
  return parts;
}

void NameRuntimeOperators(::onnx::ModelProto& model) {
  constexpr int64_t kHasLayerNormalization = 17;
  constexpr const char* kRuntimeDomain = "com.microsoft";
  bool moved = false;
  for (::onnx::NodeProto& node : *model.mutable_graph()->mutable_node()) {
    const bool layer = node.op_type() == "LayerNormalization" && OpsetOf(model) < kHasLayerNormalization;
    if (node.domain().empty() && (layer || node.op_type() == "SimplifiedLayerNormalization")) {
      node.set_domain(kRuntimeDomain);
      moved = true;
    }
  }
  const auto& imports = model.opset_import();
  if (moved && std::none_of(imports.begin(), imports.end(),
                            [](const auto& import) { return import.domain() == kRuntimeDomain; })) {
    ::onnx::OperatorSetIdProto& import = *model.add_opset_import();
    import.set_domain(kRuntimeDomain);
    import.set_version(1);
  }
}

bool LibraryKnows(const ::onnx::ModelProto& model) { return OpsetOf(model) <= LibraryOpset(); }

std::string NewerThanLibrary(const ::onnx::ModelProto& model) {
  return "operator set " + std::to_string(OpsetOf(model)) + " is newer than the installed ONNX library knows (" +
         std::to_string(LibraryOpset()) + "): the model was checked by Shoji's own rules, not by the library's";
}

absl::Status RunChecker(::onnx::ModelProto& model, const LargeTensors& large) {
  constexpr int64_t kInitializersAlone = 4;  // the first IR that does not want initializers among the inputs
  model.set_ir_version(std::clamp<int64_t>(model.ir_version(), kInitializersAlone, ::onnx::Version::IR_VERSION));
  ForEachTensor(model, [&large](::onnx::TensorProto& tensor) {
    if (large.Find(tensor) != nullptr) {
      tensor.set_raw_data("?");
    }
  });
  // It wants a shape of every output, which some exporters leave unsaid, and does not look at it.
  for (::onnx::ValueInfoProto& output : *model.mutable_graph()->mutable_output()) {
    output.mutable_type()->mutable_tensor_type()->mutable_shape();
  }
  return WithoutExceptions("the ONNX checker refuses the file", [&model] { ::onnx::checker::check_model(model); });
}

absl::Status CrossCheckShapes(::onnx::ModelProto& model, const Graph& graph) {
  ::onnx::GraphProto& proto = *model.mutable_graph();
  PrepareForInference(proto);
  RETURN_IF_ERROR(WithoutExceptions("ONNX shape inference refuses the file", [&model] {
    const ::onnx::ShapeInferenceOptions options(true, 1, false);
    ::onnx::shape_inference::InferShapes(model, ::onnx::OpSchemaRegistry::Instance(), options);
  }));
  std::unordered_map<std::string, const Shape*> shapes;
  for (const Value& value : graph.values) {
    shapes.emplace(value.name, &value.shape);
  }
  for (const auto* infos : {&proto.value_info(), &proto.output()}) {
    for (const ::onnx::ValueInfoProto& info : *infos) {
      const auto found = shapes.find(info.name());
      if (found != shapes.end()) {
        RETURN_IF_ERROR(CompareShape(info, *found->second));
      }
    }
  }
  return absl::OkStatus();
}

int64_t OpsetOf(const ::onnx::ModelProto& model) {
  for (const auto& opset : model.opset_import()) {
    if (opset.domain().empty() || opset.domain() == "ai.onnx") {
      return opset.version();
    }
  }
  return 0;
}

}  // namespace shoji::graph::onnx_io
