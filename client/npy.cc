// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "client/npy.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/base/status_macros.h"

// Layout (NEP 1): magic, version u8 major u8 minor, header length (u16 in version 1, u32 later, little-endian), header,
// data. The header is a Python dictionary in a fixed spelling:
//   {'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 32, 32), }   padded with spaces, ended by a newline
namespace shoji::client {
namespace {

constexpr std::array<uint8_t, 6> kMagic = {0x93, 'N', 'U', 'M', 'P', 'Y'};
constexpr size_t kMaxHeader = 4096;

absl::Status Malformed(const std::string& what) { return absl::InvalidArgumentError("not a whole .npy file: " + what); }

// What follows "'key':" in the header, spaces skipped.
std::optional<std::string_view> ValueOf(std::string_view header, std::string_view key) {
  const std::string quoted = "'" + std::string(key) + "':";
  const size_t at = header.find(quoted);
  if (at == std::string_view::npos) {
    return std::nullopt;
  }
  std::string_view rest = header.substr(at + quoted.size());
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  return rest;
}

absl::StatusOr<Shape> ParseShape(std::string_view text) {
  const size_t end = text.find(')');
  if (text.empty() || text.front() != '(' || end == std::string_view::npos) {
    return Malformed("its header has no shape");
  }
  text = text.substr(1, end - 1);
  std::vector<int64_t> dims;
  while (true) {
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    if (text.empty()) {
      break;
    }
    int64_t dim = 0;
    const auto [next, error] = std::from_chars(text.data(), text.data() + text.size(), dim);
    if (error != std::errc() || dims.size() >= Shape::kMaxRank) {
      return Malformed("its shape makes no sense");
    }
    dims.push_back(dim);
    text.remove_prefix(static_cast<size_t>(next - text.data()));
    if (!text.empty() && text.front() != ',') {
      return Malformed("its shape makes no sense");
    }
    text.remove_prefix(text.empty() ? 0 : 1);
  }
  absl::StatusOr<Shape> shape = Shape::Create(std::move(dims));
  return shape.ok() ? shape : Malformed(std::string(shape.status().message()));
}

struct Parts {
  std::string_view header;
  ByteSpan data;
};

absl::StatusOr<Parts> Split(ByteSpan file) {
  if (!IsNpy(file) || file.size() < kMagic.size() + 4) {
    return Malformed("the file is cut short");
  }
  const uint8_t major = file[6];
  if (major < 1 || major > 3) {
    return absl::UnimplementedError(".npy format version " + std::to_string(major) + " is not supported");
  }
  const size_t length_size = major == 1 ? 2 : 4;
  ByteSpan rest = file.subspan(8);
  if (rest.size() < length_size) {
    return Malformed("the file is cut short");
  }
  size_t header_len = 0;
  for (size_t i = 0; i < length_size; ++i) {
    header_len |= size_t{rest[i]} << (8 * i);
  }
  rest = rest.subspan(length_size);
  if (header_len > rest.size() || header_len > kMaxHeader) {
    return Malformed("its header is cut short or too long");
  }
  return Parts{{reinterpret_cast<const char*>(rest.data()), header_len}, rest.subspan(header_len)};
}

}  // namespace

bool IsNpy(ByteSpan file) {
  return file.size() >= kMagic.size() && std::equal(kMagic.begin(), kMagic.end(), file.begin());
}

absl::StatusOr<Tensor> ParseNpy(ByteSpan file) {
  ASSIGN_OR_RETURN(const Parts parts, Split(file));
  const auto descr = ValueOf(parts.header, "descr");
  const auto order = ValueOf(parts.header, "fortran_order");
  const auto shape_text = ValueOf(parts.header, "shape");
  if (!descr.has_value() || !order.has_value() || !shape_text.has_value()) {
    return Malformed("its header lacks descr, fortran_order or shape");
  }
  if (!order->starts_with("False")) {
    return absl::UnimplementedError("the array is in Fortran order; save numpy.ascontiguousarray(a)");
  }
  const bool is_float = descr->starts_with("'<f4'");
  if (!is_float && !descr->starts_with("'|u1'")) {
    return absl::UnimplementedError("the array is neither float32 nor uint8; save a.astype('<f4')");
  }
  ASSIGN_OR_RETURN(Shape shape, ParseShape(*shape_text));
  const size_t expected = shape.num_elements() * (is_float ? 4 : 1);
  if (parts.data.size() != expected) {
    return Malformed("it has " + std::to_string(parts.data.size()) + " bytes of data where its shape " +
                     shape.ToString() + " needs " + std::to_string(expected));
  }
  Tensor out(DataType::kFloat32, std::move(shape));
  if (is_float) {
    std::copy(parts.data.begin(), parts.data.end(), out.mutable_bytes().begin());
  } else {
    std::copy(parts.data.begin(), parts.data.end(), out.mutable_values<float>().begin());
  }
  return out;
}

}  // namespace shoji::client
