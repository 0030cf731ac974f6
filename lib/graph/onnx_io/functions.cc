// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

// Functions of a model (IR 8 and newer), as PyTorch's exporter by torch.export and onnxscript write them. Fields that
// the installed libonnx may be too old to know are read from what protobuf kept unparsed.

#include "lib/graph/onnx_io/functions.h"

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <map>
#include <memory>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/node_scope.h"
#include "lib/graph/onnx_io/onnx_file.h"
#include "lib/graph/onnx_io/tensor_proto.h"
#include "lib/graph/onnx_io/text.h"

namespace shoji::graph::onnx_io {
namespace {

using ::google::protobuf::RepeatedPtrField;

// Field numbers of onnx.proto since IR 9 and 10.
constexpr int kOverloadOfNode = 8;
constexpr int kOverloadOfFunction = 13;
constexpr int kDefaultsOfFunction = 11;  // attribute_proto

constexpr int kMaxPerNode = 1024;
constexpr size_t kMaxNameLength = 1024;
constexpr size_t kMaxDepth = 64;

using Nodes = RepeatedPtrField<::onnx::NodeProto>;
using FunctionKey = std::tuple<std::string, std::string, std::string>;  // domain, name, overload

// Calls visit(bytes) for each length-delimited field `number` of `message` that this libonnx does not know.
template <typename Visit>
void ForEachUnknown(const ::google::protobuf::Message& message, int number, Visit visit) {
  const ::google::protobuf::UnknownFieldSet& fields = message.GetReflection()->GetUnknownFields(message);
  for (int i = 0; i < fields.field_count(); ++i) {
    if (fields.field(i).number() == number &&
        fields.field(i).type() == ::google::protobuf::UnknownField::TYPE_LENGTH_DELIMITED) {
      visit(fields.field(i).length_delimited());
    }
  }
}

// A string field that a newer libonnx would know by number alone.
std::string TextField(const ::google::protobuf::Message& message, int number) {
  std::string out;
  const ::google::protobuf::FieldDescriptor* field = message.GetDescriptor()->FindFieldByNumber(number);
  if (field != nullptr) {
    return message.GetReflection()->GetString(message, field);
  }
  ForEachUnknown(message, number, [&out](const std::string& bytes) { out = bytes; });
  return out;
}

std::string DomainOf(const std::string& domain) { return domain == "ai.onnx" ? "" : domain; }

// The names that are taken.
class UniqueNames {
 public:
  bool Insert(const std::string& name) { return taken_.emplace(name, 2).second; }

  // `wanted`, or a variant of it that is not taken yet.
  std::string Unique(const std::string& wanted) {
    std::string name = wanted;
    while (!Insert(name)) {
      name = wanted + "_" + std::to_string(taken_[wanted]++);
    }
    return name;
  }

 private:
  std::unordered_map<std::string, int> taken_;  // and the number that its next variant gets
};

// Where the names of a function's body lead at one call.
struct CallScope {
  std::string prefix;
  std::unordered_map<std::string, std::string> values;
  std::unordered_set<std::string> formal_inputs;
  std::map<std::string, const ::onnx::AttributeProto*> attributes;
};

struct Function {
  const ::onnx::FunctionProto* proto = nullptr;
  std::string label;  // "function `domain.name`"
  std::vector<::onnx::AttributeProto> defaults;
  bool active = false;  // one of its calls is being replaced
};

class Inliner {
 public:
  Inliner(::onnx::ModelProto& model, LargeTensors& large, const InlineLimits& limits)
      : model_(model), large_(large), limits_(limits) {}

  absl::StatusOr<std::vector<InlinedCall>> Run() {
    RETURN_IF_ERROR(CollectFunctions());
    RETURN_IF_ERROR(CollectNames());
    RETURN_IF_ERROR(PlaceAll(*model_.mutable_graph()->mutable_node()));
    for (const ::onnx::FunctionProto& function : model_.functions()) {
      Forget(function.node());
    }
    model_.clear_functions();
    auto* imports = model_.mutable_opset_import();
    imports->erase(std::remove_if(imports->begin(), imports->end(),
                                  [this](const auto& import) { return domains_.contains(DomainOf(import.domain())); }),
                   imports->end());
    return std::move(calls_);
  }

 private:
  absl::Status CollectFunctions();
  absl::Status CheckFunction(const Function& function) const;
  absl::Status CheckBody(const Function& function, const Nodes& nodes) const;
  absl::Status CollectNames();
  Function* FindCalled(const ::onnx::NodeProto& node);

  // Replaces the calls among `nodes`; the others keep their places in memory, by which large tensors are known.
  absl::Status PlaceAll(Nodes& nodes);
  absl::Status Place(std::unique_ptr<::onnx::NodeProto> node, Nodes& out);
  absl::Status PlaceSubgraphs(::onnx::NodeProto& node);
  absl::Status Expand(const ::onnx::NodeProto& call, Function& function, Nodes& out);
  absl::Status PlaceOutputs(const ::onnx::NodeProto& call, const Function& function, CallScope& scope, Nodes& out);
  absl::StatusOr<CallScope> MakeScope(const ::onnx::NodeProto& call, const Function& function);
  absl::Status CopyNode(const ::onnx::NodeProto& from, const Function& function, CallScope& scope,
                        ::onnx::NodeProto& to);
  absl::Status CopyAttributes(const ::onnx::NodeProto& from, const Function& function, CallScope& scope,
                              ::onnx::NodeProto& to);
  absl::Status CopyGraph(const ::onnx::GraphProto& from, const Function& function, CallScope& scope,
                         ::onnx::GraphProto& to);
  absl::Status CopyTensor(const ::onnx::TensorProto& from, const Function& function, ::onnx::TensorProto& to);

  // The node is about to go: what of it lies apart goes first, as another proto may take its place in memory.
  void Forget(const Nodes& nodes);
  void Forget(const ::onnx::NodeProto& node);

  std::string ValueName(CallScope& scope, const std::string& name);
  absl::Status Charge(const Function& function, uint64_t bytes);

  ::onnx::ModelProto& model_;
  LargeTensors& large_;
  const InlineLimits limits_;
  std::map<FunctionKey, Function> functions_;
  std::unordered_set<std::string> domains_;
  UniqueNames value_names_;
  UniqueNames node_names_;
  std::vector<InlinedCall> calls_;
  size_t depth_ = 0;
  size_t num_calls_ = 0;
  size_t num_nodes_ = 0;
  uint64_t bytes_ = 0;
};

absl::Status Inliner::CollectFunctions() {
  for (const ::onnx::FunctionProto& proto : model_.functions()) {
    Function function;
    function.proto = &proto;
    const std::string overload = TextField(proto, kOverloadOfFunction);
    const std::string domain = DomainOf(proto.domain());
    function.label = "function " + Quoted((domain.empty() ? "" : domain + ".") + proto.name() +
                                          (overload.empty() ? "" : ":" + overload));
    bool parsed = true;
    ForEachUnknown(proto, kDefaultsOfFunction, [&function, &parsed](const std::string& bytes) {
      parsed = function.defaults.emplace_back().ParseFromString(bytes) && parsed;
    });
    if (!parsed) {
      return absl::InvalidArgumentError(function.label + ": a default of its attributes is malformed");
    }
    RETURN_IF_ERROR(CheckFunction(function));
    const std::string label = function.label;
    if (!functions_.emplace(FunctionKey(domain, proto.name(), overload), std::move(function)).second) {
      return absl::InvalidArgumentError(label + ": defined twice");
    }
    domains_.insert(domain);
  }
  return absl::OkStatus();
}

absl::Status Inliner::CheckFunction(const Function& function) const {
  const ::onnx::FunctionProto& proto = *function.proto;
  if (proto.name().empty()) {
    return absl::InvalidArgumentError("a function without a name");
  }
  if (DomainOf(proto.domain()).empty()) {
    return absl::UnimplementedError(function.label +
                                    ": a function of the default domain, which has operators of its own, is not "
                                    "supported");
  }
  if (proto.input_size() > kMaxPerNode || proto.output_size() > kMaxPerNode || proto.attribute_size() > kMaxPerNode ||
      function.defaults.size() > kMaxPerNode) {
    return absl::ResourceExhaustedError(function.label + ": more than 1024 inputs, outputs or attributes");
  }
  for (const ::onnx::OperatorSetIdProto& import : proto.opset_import()) {
    if (DomainOf(import.domain()).empty() && import.version() != OpsetOf(model_)) {
      return absl::UnimplementedError(
          function.label + ": it is written for operator set " + std::to_string(import.version()) + ", the model for " +
          std::to_string(OpsetOf(model_)) + "; only functions of the model's own operator set are supported");
    }
  }
  return CheckBody(function, proto.node());
}

// Before anything is copied many times over.
absl::Status Inliner::CheckBody(const Function& function, const Nodes& nodes) const {
  for (const ::onnx::NodeProto& node : nodes) {
    if (node.input_size() > kMaxPerNode || node.output_size() > kMaxPerNode || node.attribute_size() > kMaxPerNode) {
      return absl::ResourceExhaustedError(function.label + ", " + NodeLabel(node) +
                                          ": more than 1024 inputs, outputs or attributes");
    }
  }
  return absl::OkStatus();
}

absl::Status Inliner::CollectNames() {
  const ::onnx::GraphProto& graph = model_.graph();
  for (const auto& input : graph.input()) {
    value_names_.Insert(input.name());
  }
  for (const auto& initializer : graph.initializer()) {
    value_names_.Insert(initializer.name());
  }
  for (const ::onnx::NodeProto& node : graph.node()) {
    if (!NodeName(node).empty() && !node_names_.Insert(NodeName(node))) {
      return absl::InvalidArgumentError(NodeLabel(node) + ": two nodes have this name");
    }
    for (const std::string& output : node.output()) {
      value_names_.Insert(output);
    }
  }
  return absl::OkStatus();
}

Function* Inliner::FindCalled(const ::onnx::NodeProto& node) {
  const std::string domain = DomainOf(node.domain());
  if (!domains_.contains(domain)) {
    return nullptr;
  }
  const auto found = functions_.find(FunctionKey(domain, node.op_type(), TextField(node, kOverloadOfNode)));
  return found == functions_.end() ? nullptr : &found->second;
}

absl::Status Inliner::PlaceAll(Nodes& nodes) {
  std::vector<::onnx::NodeProto*> raw(static_cast<size_t>(nodes.size()));
  nodes.ExtractSubrange(0, nodes.size(), raw.data());
  std::vector<std::unique_ptr<::onnx::NodeProto>> old;
  old.reserve(raw.size());
  for (::onnx::NodeProto* node : raw) {
    old.emplace_back(node);
  }
  for (std::unique_ptr<::onnx::NodeProto>& node : old) {
    RETURN_IF_ERROR(Place(std::move(node), nodes));
  }
  return absl::OkStatus();
}

absl::Status Inliner::Place(std::unique_ptr<::onnx::NodeProto> node, Nodes& out) {
  Function* function = FindCalled(*node);
  if (function == nullptr) {
    ++num_nodes_;
    RETURN_IF_ERROR(PlaceSubgraphs(*node));
    out.AddAllocated(node.release());
    return absl::OkStatus();
  }
  const auto first = static_cast<size_t>(out.size());
  RETURN_IF_ERROR(Expand(*node, *function, out));
  if (depth_ == 0 && &out == model_.mutable_graph()->mutable_node()) {
    calls_.push_back({NodeName(*node), first, static_cast<size_t>(out.size())});
  }
  Forget(*node);
  return absl::OkStatus();
}

void Inliner::Forget(const Nodes& nodes) {
  for (const ::onnx::NodeProto& node : nodes) {
    Forget(node);
  }
}

void Inliner::Forget(const ::onnx::NodeProto& node) {
  for (const ::onnx::AttributeProto& attribute : node.attribute()) {
    large_.Forget(attribute.t());
    Forget(attribute.g().node());
  }
}

absl::Status Inliner::PlaceSubgraphs(::onnx::NodeProto& node) {
  for (::onnx::AttributeProto& attribute : *node.mutable_attribute()) {
    if (attribute.has_g()) {
      RETURN_IF_ERROR(PlaceAll(*attribute.mutable_g()->mutable_node()));
    }
  }
  return absl::OkStatus();
}

absl::Status Inliner::Expand(const ::onnx::NodeProto& call, Function& function, Nodes& out) {
  if (function.active) {
    return absl::InvalidArgumentError(NodeLabel(call) + ": " + function.label + " calls itself");
  }
  if (depth_ >= kMaxDepth) {
    return absl::ResourceExhaustedError(NodeLabel(call) + ": " + function.label + " is called more than " +
                                        std::to_string(kMaxDepth) + " functions deep");
  }
  ++num_calls_;
  ASSIGN_OR_RETURN(CallScope scope, MakeScope(call, function));
  function.active = true;
  ++depth_;
  for (const ::onnx::NodeProto& body : function.proto->node()) {
    auto node = std::make_unique<::onnx::NodeProto>();
    RETURN_IF_ERROR(CopyNode(body, function, scope, *node));
    RETURN_IF_ERROR(Charge(function, node->SpaceUsedLong()));
    RETURN_IF_ERROR(Place(std::move(node), out));
  }
  RETURN_IF_ERROR(PlaceOutputs(call, function, scope, out));
  --depth_;
  function.active = false;
  return absl::OkStatus();
}

// Outputs that are inputs, or another output again, need a node of their own.
absl::Status Inliner::PlaceOutputs(const ::onnx::NodeProto& call, const Function& function, CallScope& scope,
                                   Nodes& out) {
  for (int i = 0; i < std::min(call.output_size(), function.proto->output_size()); ++i) {
    const std::string from = ValueName(scope, function.proto->output(i));
    if (call.output(i).empty() || from == call.output(i)) {
      continue;
    }
    if (from.empty()) {
      return absl::InvalidArgumentError(NodeLabel(call) + ": " + function.label + " gives back its input " +
                                        Quoted(function.proto->output(i)) + ", which the call leaves out");
    }
    auto node = std::make_unique<::onnx::NodeProto>();
    node->set_op_type("Identity");
    node->set_name(node_names_.Unique(scope.prefix + "/output" + std::to_string(i)));
    node->add_input(from);
    node->add_output(call.output(i));
    RETURN_IF_ERROR(Charge(function, node->SpaceUsedLong()));
    RETURN_IF_ERROR(Place(std::move(node), out));
  }
  return absl::OkStatus();
}

absl::StatusOr<CallScope> Inliner::MakeScope(const ::onnx::NodeProto& call, const Function& function) {
  const ::onnx::FunctionProto& proto = *function.proto;
  const std::string where = NodeLabel(call) + ": " + function.label;
  if (call.input_size() > proto.input_size() || call.output_size() > proto.output_size()) {
    return absl::InvalidArgumentError(where + " has " + std::to_string(proto.input_size()) + " inputs and " +
                                      std::to_string(proto.output_size()) + " outputs, the call more");
  }
  CallScope scope;
  scope.prefix = NodeName(call).empty() ? call.op_type() : NodeName(call);
  for (int i = 0; i < proto.input_size(); ++i) {
    if (!scope.formal_inputs.insert(proto.input(i)).second) {
      return absl::InvalidArgumentError(where + " has two inputs called " + Quoted(proto.input(i)));
    }
    scope.values.emplace(proto.input(i), i < call.input_size() ? call.input(i) : "");
  }
  for (int i = 0; i < std::min(call.output_size(), proto.output_size()); ++i) {
    if (!call.output(i).empty()) {
      scope.values.emplace(proto.output(i), call.output(i));  // not where an input or an earlier output has the name
    }
  }
  std::unordered_set<std::string> declared(proto.attribute().begin(), proto.attribute().end());
  for (const ::onnx::AttributeProto& attribute : function.defaults) {
    declared.insert(attribute.name());
    scope.attributes[attribute.name()] = &attribute;
  }
  for (const ::onnx::AttributeProto& attribute : call.attribute()) {
    if (!declared.contains(attribute.name())) {
      return absl::InvalidArgumentError(where + " has no attribute " + Quoted(attribute.name()));
    }
    scope.attributes[attribute.name()] = &attribute;
  }
  return scope;
}

absl::Status Inliner::CopyNode(const ::onnx::NodeProto& from, const Function& function, CallScope& scope,
                               ::onnx::NodeProto& to) {
  to.set_op_type(from.op_type());
  to.set_domain(from.domain());
  to.mutable_unknown_fields()->MergeFrom(from.unknown_fields());  // the overload
  to.set_name(node_names_.Unique(scope.prefix + "/" + NodeName(from)));
  for (const std::string& input : from.input()) {
    to.add_input(ValueName(scope, input));
  }
  for (const std::string& output : from.output()) {
    if (scope.formal_inputs.contains(output)) {
      return absl::InvalidArgumentError(function.label + ", " + NodeLabel(from) + ": makes " + Quoted(output) +
                                        ", an input of the function");
    }
    to.add_output(ValueName(scope, output));
  }
  if (to.name().size() > kMaxNameLength) {
    return absl::ResourceExhaustedError(function.label + ", " + NodeLabel(from) + ": its name at the call " +
                                        Quoted(scope.prefix) + " exceeds 1024 bytes");
  }
  return CopyAttributes(from, function, scope, to);
}

absl::Status Inliner::CopyAttributes(const ::onnx::NodeProto& from, const Function& function, CallScope& scope,
                                     ::onnx::NodeProto& to) {
  for (const ::onnx::AttributeProto& attribute : from.attribute()) {
    const ::onnx::AttributeProto* value = &attribute;
    if (!attribute.ref_attr_name().empty()) {
      const auto found = scope.attributes.find(attribute.ref_attr_name());
      if (found == scope.attributes.end()) {
        continue;  // as if it were not given here either
      }
      value = found->second;
    }
    ::onnx::AttributeProto& copy = *to.add_attribute();
    if (value->has_t()) {
      RETURN_IF_ERROR(CopyTensor(value->t(), function, *copy.mutable_t()));
      copy.set_type(value->type());
    } else if (value == &attribute && value->has_g()) {
      RETURN_IF_ERROR(CopyGraph(value->g(), function, scope, *copy.mutable_g()));
      copy.set_type(value->type());
    } else {
      copy = *value;
    }
    copy.set_name(attribute.name());
  }
  return absl::OkStatus();
}

// A branch of an If in a function: its names are known in no other place, and those it does not make are the
// function's.
absl::Status Inliner::CopyGraph(const ::onnx::GraphProto& from, const Function& function, CallScope& scope,
                                ::onnx::GraphProto& to) {
  RETURN_IF_ERROR(CheckBody(function, from.node()));
  to.set_name(from.name());
  for (const ::onnx::TensorProto& initializer : from.initializer()) {
    ::onnx::TensorProto& copy = *to.add_initializer();
    RETURN_IF_ERROR(CopyTensor(initializer, function, copy));
    copy.set_name(ValueName(scope, initializer.name()));
  }
  for (const ::onnx::NodeProto& node : from.node()) {
    RETURN_IF_ERROR(CopyNode(node, function, scope, *to.add_node()));
  }
  for (const auto& [infos, copies] :
       {std::pair(&from.input(), to.mutable_input()), std::pair(&from.output(), to.mutable_output())}) {
    for (const ::onnx::ValueInfoProto& info : *infos) {
      ::onnx::ValueInfoProto& copy = *copies->Add();
      copy = info;
      copy.set_name(ValueName(scope, info.name()));
    }
  }
  return absl::OkStatus();
}

absl::Status Inliner::CopyTensor(const ::onnx::TensorProto& from, const Function& function, ::onnx::TensorProto& to) {
  if (IsExternal(from)) {
    return absl::UnimplementedError(function.label + ": external data inside a function is not supported");
  }
  RETURN_IF_ERROR(Charge(function, from.SpaceUsedLong()));
  to = from;
  if (const LargeData* data = large_.Find(from); data != nullptr) {
    RETURN_IF_ERROR(Charge(function, data->bytes.size_bytes()));
    large_.Put(to, {data->form, data->bytes.Clone()});
  }
  return absl::OkStatus();
}

std::string Inliner::ValueName(CallScope& scope, const std::string& name) {
  if (name.empty()) {
    return name;
  }
  const auto found = scope.values.find(name);
  if (found != scope.values.end()) {
    return found->second;
  }
  return scope.values.emplace(name, value_names_.Unique(scope.prefix + "/" + name)).first->second;
}

absl::Status Inliner::Charge(const Function& function, uint64_t bytes) {
  bytes_ += bytes;
  if (num_nodes_ >= limits_.max_nodes || num_calls_ > limits_.max_nodes) {
    return absl::ResourceExhaustedError(function.label + ": replacing the model's calls of functions by their nodes " +
                                        "makes more than " + std::to_string(limits_.max_nodes) +
                                        " nodes, which is the limit");
  }
  if (bytes_ > limits_.max_bytes) {
    return absl::ResourceExhaustedError(function.label + ": the copies of the functions that the model calls exceed " +
                                        "the limit of " + std::to_string(limits_.max_bytes) + " bytes");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<InlinedCall>> InlineFunctions(::onnx::ModelProto& model, LargeTensors& large,
                                                         const InlineLimits& limits) {
  return Inliner(model, large, limits).Run();
}

}  // namespace shoji::graph::onnx_io
