// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/sealed_model/header.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "lib/attest/serialize.h"
#include "lib/base/check.h"
#include "lib/base/status_macros.h"
#include "shoji/v1/sealed_model.pb.h"

namespace shoji::sealed_model {
namespace {

constexpr uint32_t kFormatVersion = 1;
constexpr size_t kMaxNameBytes = 1024;
constexpr size_t kMaxListedNodes = 20000;

using Extent = ConfidentialNodes::Extent;

absl::Status Malformed(const std::string& what) {
  return absl::InvalidArgumentError("the sealed model's header is malformed: " + what);
}

absl::Status CheckNodes(const ConfidentialNodes& confidential) {
  const std::vector<std::string>& nodes = confidential.nodes;
  const size_t least = confidential.extent == Extent::kAll ? 0 : 1;
  const size_t most = confidential.extent == Extent::kListed ? kMaxListedNodes : least;
  if (nodes.size() < least || nodes.size() > most) {
    return Malformed(std::to_string(nodes.size()) + " confidential nodes are named where " + std::to_string(least) +
                     (most == least ? "" : " to " + std::to_string(most)) + " belong");
  }
  for (const std::string& name : nodes) {
    if (name.empty() || name.size() > kMaxNameBytes) {
      return Malformed("a confidential node's name has " + std::to_string(name.size()) + " bytes");
    }
  }
  return absl::OkStatus();
}

// Below the model's folder: what an unsealed model may name.
bool IsBelow(const std::string& name) {
  if (name.find('\0') != std::string::npos) {
    return false;
  }
  std::string_view left = name;
  while (true) {
    const size_t slash = left.find('/');
    const std::string_view component = left.substr(0, slash);
    if (component.empty() || component == "..") {
      return false;
    }
    if (slash == std::string_view::npos) {
      return true;
    }
    left.remove_prefix(slash + 1);
  }
}

absl::Status CheckName(const Part& part) {
  if (part.kind != PartKind::kExternalData) {
    return part.name.empty() ? absl::OkStatus() : Malformed("a name of a part that has none");
  }
  if (part.name.size() > kMaxNameBytes) {
    return Malformed("the name of external data has " + std::to_string(part.name.size()) + " bytes");
  }
  return IsBelow(part.name) ? absl::OkStatus()
                            : Malformed("external data under a path that does not lead below the model's folder");
}

absl::Status CheckParts(const std::vector<Part>& parts) {
  const size_t model = !parts.empty() && parts.front().kind == PartKind::kRanges ? 1 : 0;
  if (model >= parts.size() || parts[model].kind != PartKind::kModel) {
    return Malformed("the model must be the first part, behind ranges at most");
  }
  if (parts.size() - model - 1 > kMaxExternalParts) {
    return Malformed("more than " + std::to_string(kMaxExternalParts) + " files of external data");
  }
  std::set<std::string> names;
  uint64_t left = kMaxPlaintextBytes;
  for (size_t i = 0; i < parts.size(); ++i) {
    const Part& part = parts[i];
    RETURN_IF_ERROR(CheckName(part));
    if (i > model && part.kind != PartKind::kExternalData) {
      return Malformed("two parts of one kind, or a part behind the model that is no external data");
    }
    if (i > model && !names.insert(part.name).second) {
      return Malformed("two files of external data under one name");
    }
    if (part.size == 0 || part.size > left) {
      return Malformed("a part of " + std::to_string(part.size) + " bytes");
    }
    left -= part.size;
  }
  return absl::OkStatus();
}

absl::StatusOr<ConfidentialNodes> FromProto(const v1::ConfidentialNodes& in) {
  ConfidentialNodes out;
  switch (in.extent()) {
    case v1::ConfidentialNodes::ALL:
    case v1::ConfidentialNodes::FROM:
    case v1::ConfidentialNodes::AFTER:
    case v1::ConfidentialNodes::LISTED:
      out.extent = static_cast<Extent>(in.extent());
      break;
    default:
      return absl::FailedPreconditionError("the sealed model's confidential nodes are given in an unknown way");
  }
  out.nodes.assign(in.nodes().begin(), in.nodes().end());
  return out;
}

absl::StatusOr<Part> FromProto(const v1::SealedPart& in) {
  switch (in.kind()) {
    case v1::SealedPart::MODEL:
    case v1::SealedPart::RANGES:
    case v1::SealedPart::EXTERNAL_DATA:
      return Part{static_cast<PartKind>(in.kind()), in.size(), in.name()};
    default:
      return absl::FailedPreconditionError("the sealed model has a part of an unknown kind");
  }
}

// Whether `message` holds a field that this version does not know; it might be a demand.
bool HasUnknownFields(const google::protobuf::Message& message) {
  return !message.GetReflection()->GetUnknownFields(message).empty();
}

bool HasUnknownFields(const v1::SealedModelHeader& proto) {
  const google::protobuf::Message& message = proto;
  return HasUnknownFields(message) ||
         HasUnknownFields(static_cast<const google::protobuf::Message&>(proto.results())) ||
         HasUnknownFields(static_cast<const google::protobuf::Message&>(proto.confidential())) ||
         std::any_of(proto.parts().begin(), proto.parts().end(), [](const v1::SealedPart& part) {
           return HasUnknownFields(static_cast<const google::protobuf::Message&>(part));
         });
}

template <typename Array>
absl::StatusOr<Array> Fixed(const std::string& bytes, const char* field) {
  Array out = {};
  if (bytes.size() != out.size()) {
    return Malformed(std::string(field) + " has " + std::to_string(bytes.size()) + " bytes instead of " +
                     std::to_string(out.size()));
  }
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}

}  // namespace

const char* NameOf(PartKind kind) {
  switch (kind) {
    case PartKind::kModel:
      return "model";
    case PartKind::kRanges:
      return "ranges";
    case PartKind::kExternalData:
      return "external data";
  }
  return "?";
}

std::string Describe(const ConfidentialNodes& nodes) {
  switch (nodes.extent) {
    case Extent::kAll:
      break;
    case Extent::kFrom:
      return "from `" + nodes.nodes.front() + "` on";
    case Extent::kAfter:
      return "all after `" + nodes.nodes.front() + "`";
    case Extent::kListed: {
      std::string out;
      for (const std::string& name : nodes.nodes) {
        out += (out.empty() ? "`" : ", `") + name + "`";
      }
      return out;
    }
  }
  return "the whole model";
}

uint64_t Header::plaintext_size() const {
  uint64_t size = 0;
  for (const Part& part : parts) {
    size += part.size;
  }
  return size;
}

absl::Status CheckHeader(const Header& header) {
  if (header.terms.label.size() > kMaxNameBytes) {
    return Malformed("a label of " + std::to_string(header.terms.label.size()) + " bytes");
  }
  if (header.terms.queries_per_release == 0) {
    return Malformed("a budget of no queries; one release must allow at least 1");
  }
  RETURN_IF_ERROR(CheckNodes(header.terms.confidential));
  return CheckParts(header.parts);
}

Bytes EncodeHeader(const Header& header) {
  SHOJI_CHECK(CheckHeader(header).ok());
  v1::SealedModelHeader proto;
  proto.set_format_version(kFormatVersion);
  proto.set_label(header.terms.label);
  proto.set_owner_key_id(ToString(header.owner_key_id));
  proto.set_salt(ToString(header.salt));
  proto.mutable_confidential()->set_extent(
      static_cast<v1::ConfidentialNodes::Extent>(header.terms.confidential.extent));
  for (const std::string& name : header.terms.confidential.nodes) {
    proto.mutable_confidential()->add_nodes(name);
  }
  attest::ToProto(header.terms.results, *proto.mutable_results());
  proto.set_queries_per_release(header.terms.queries_per_release);
  for (const Part& part : header.parts) {
    v1::SealedPart& out = *proto.add_parts();
    out.set_kind(static_cast<v1::SealedPart::Kind>(part.kind));
    out.set_size(part.size);
    out.set_name(part.name);
  }
  return attest::SerializeDeterministically(proto);
}

absl::StatusOr<Header> ParseHeader(ByteSpan bytes) {
  if (bytes.size() > kMaxHeaderBytes) {
    return Malformed("larger than 1 MiB");
  }
  v1::SealedModelHeader proto;
  if (!proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return Malformed("not a SealedModelHeader message");
  }
  if (proto.format_version() != kFormatVersion) {
    return absl::FailedPreconditionError("the sealed model is of format version " +
                                         std::to_string(proto.format_version()) + ", this software knows version " +
                                         std::to_string(kFormatVersion));
  }
  if (HasUnknownFields(proto)) {
    return absl::FailedPreconditionError("the sealed model's header makes demands that this software does not know");
  }
  Header out;
  out.terms.label = proto.label();
  ASSIGN_OR_RETURN(out.owner_key_id, Fixed<OwnerKeyId>(proto.owner_key_id(), "owner_key_id"));
  ASSIGN_OR_RETURN(out.salt, Fixed<Salt>(proto.salt(), "salt"));
  ASSIGN_OR_RETURN(out.terms.confidential, FromProto(proto.confidential()));
  ASSIGN_OR_RETURN(out.terms.results, attest::FromProto(proto.results()));
  out.terms.queries_per_release = proto.queries_per_release();
  for (const v1::SealedPart& part : proto.parts()) {
    ASSIGN_OR_RETURN(out.parts.emplace_back(), FromProto(part));
  }
  RETURN_IF_ERROR(CheckHeader(out));
  return out;
}

}  // namespace shoji::sealed_model
