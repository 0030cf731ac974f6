// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "lib/graph/onnx_io/tensor_proto.h"

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/status_macros.h"
#include "lib/graph/onnx_io/half.h"

namespace shoji::graph::onnx_io {
namespace {

static_assert(std::endian::native == std::endian::little, "raw_data and float_data are little-endian");

// A type that import reads.
struct ElementType {
  int32_t onnx = 0;
  DataType type = DataType::kFloat32;       // in a graph
  size_t raw_size = 0;                      // of a value in raw data
  DataForm typed_form = DataForm::kFloats;  // the other field that may hold the values
};

constexpr ElementType kElementTypes[] = {
    {::onnx::TensorProto::FLOAT, DataType::kFloat32, 4, DataForm::kFloats},
    {::onnx::TensorProto::FLOAT16, DataType::kFloat32, 2, DataForm::kInt32s},
    {::onnx::TensorProto::BFLOAT16, DataType::kFloat32, 2, DataForm::kInt32s},
    {::onnx::TensorProto::DOUBLE, DataType::kFloat32, 8, DataForm::kDoubles},
    {::onnx::TensorProto::UINT8, DataType::kUint8, 1, DataForm::kInt32s},
    {::onnx::TensorProto::BOOL, DataType::kUint8, 1, DataForm::kInt32s},
    {::onnx::TensorProto::INT8, DataType::kInt8, 1, DataForm::kInt32s},
    {::onnx::TensorProto::INT32, DataType::kInt32, 4, DataForm::kInt32s},
    {::onnx::TensorProto::INT64, DataType::kInt64, 8, DataForm::kInt64s},
};

const ElementType* FindType(int32_t onnx_type) {
  const auto* found = std::find_if(std::begin(kElementTypes), std::end(kElementTypes),
                                   [onnx_type](const ElementType& element) { return element.onnx == onnx_type; });
  return found == std::end(kElementTypes) ? nullptr : found;
}

size_t TypedCount(const ::onnx::TensorProto& proto, DataForm form) {
  switch (form) {
    case DataForm::kFloats:
      return static_cast<size_t>(proto.float_data_size());
    case DataForm::kInt32s:
      return static_cast<size_t>(proto.int32_data_size());
    case DataForm::kInt64s:
      return static_cast<size_t>(proto.int64_data_size());
    case DataForm::kDoubles:
      return static_cast<size_t>(proto.double_data_size());
    case DataForm::kRaw:
      break;
  }
  return 0;
}

bool IsVarints(DataForm form) { return form == DataForm::kInt32s || form == DataForm::kInt64s; }

// How many values large data holds; SIZE_MAX when the last one does not end.
size_t LargeCount(const LargeData& data) {
  const ByteSpan bytes = data.bytes.bytes();
  switch (data.form) {
    case DataForm::kFloats:
      return bytes.size() % sizeof(float) == 0 ? bytes.size() / sizeof(float) : SIZE_MAX;
    case DataForm::kDoubles:
      return bytes.size() % sizeof(double) == 0 ? bytes.size() / sizeof(double) : SIZE_MAX;
    default:
      return bytes.back() >= 0x80 ? SIZE_MAX
                                  : static_cast<size_t>(std::count_if(bytes.begin(), bytes.end(),
                                                                      [](uint8_t byte) { return byte < 0x80; }));
  }
}

absl::Status WrongRawSize(const std::string& where, size_t bytes, size_t wanted) {
  return absl::InvalidArgumentError(where + ": raw_data has " + std::to_string(bytes) +
                                    " bytes where its shape needs " + std::to_string(wanted));
}

absl::Status WrongCount(const std::string& where, size_t count, size_t wanted) {
  return absl::InvalidArgumentError(where + ": the tensor holds " + std::to_string(count) +
                                    " values where its shape needs " + std::to_string(wanted));
}

absl::Status WrongField(const std::string& where) {
  return absl::InvalidArgumentError(where + ": its data is in a field for values of another type");
}

absl::Status CheckLarge(const LargeData& data, const std::string& where, const ElementType& type, size_t count) {
  if (data.form == DataForm::kRaw) {
    const size_t bytes = data.bytes.size_bytes();
    return bytes == count * type.raw_size ? absl::OkStatus() : WrongRawSize(where, bytes, count * type.raw_size);
  }
  if (data.form != type.typed_form) {
    return WrongField(where);
  }
  const size_t held = LargeCount(data);
  if (held == SIZE_MAX) {
    return absl::InvalidArgumentError(where + ": its data ends within a value");
  }
  return held == count ? absl::OkStatus() : WrongCount(where, held, count);
}

absl::Status CheckData(const ::onnx::TensorProto& proto, const LargeTensors& large, const std::string& where,
                       const ElementType& type, size_t count) {
  const size_t typed = static_cast<size_t>(proto.float_data_size()) + static_cast<size_t>(proto.int32_data_size()) +
                       static_cast<size_t>(proto.int64_data_size()) + static_cast<size_t>(proto.double_data_size()) +
                       static_cast<size_t>(proto.uint64_data_size()) + static_cast<size_t>(proto.string_data_size());
  const bool raw = !proto.raw_data().empty();
  const LargeData* data = large.Find(proto);
  const int holders = (typed != 0 ? 1 : 0) + (raw ? 1 : 0) + (data != nullptr ? 1 : 0) + (IsExternal(proto) ? 1 : 0);
  if (holders > 1) {
    return absl::InvalidArgumentError(where + ": the tensor holds its data twice");
  }
  if (IsExternal(proto)) {
    return absl::OkStatus();
  }
  if (data != nullptr) {
    return CheckLarge(*data, where, type, count);
  }
  if (raw) {
    return proto.raw_data().size() == count * type.raw_size
               ? absl::OkStatus()
               : WrongRawSize(where, proto.raw_data().size(), count * type.raw_size);
  }
  if (typed != TypedCount(proto, type.typed_form)) {
    return WrongField(where);
  }
  return typed == count ? absl::OkStatus() : WrongCount(where, typed, count);
}

Shape ShapeOf(const ::onnx::TensorProto& proto) { return *Shape::Create({proto.dims().begin(), proto.dims().end()}); }

// The next of the varints in `bytes`, which are known to end.
uint64_t NextVarint(ByteSpan& bytes) {
  uint64_t value = 0;
  unsigned shift = 0;
  bool more = true;
  while (more) {
    value |= shift < 64 ? static_cast<uint64_t>(bytes.front() & 0x7f) << shift : 0;
    more = bytes.front() >= 0x80;
    bytes = bytes.subspan(1);
    shift += 7;
  }
  return value;
}

template <typename T, typename Next>
void Fill(Tensor& out, Next next) {
  const std::span<T> values = out.mutable_values<T>();
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<T>(next(i));
  }
}

// Writes what `next` gives, one value after the other, as values of `onnx_type`; 16-bit floats come as their bits.
template <typename Next>
void FillIntegers(int32_t onnx_type, Tensor& out, Next next) {
  switch (out.type()) {
    case DataType::kFloat32:
      if (onnx_type == ::onnx::TensorProto::FLOAT16) {
        return Fill<float>(out, [&next](size_t i) { return FromFloat16(static_cast<uint16_t>(next(i))); });
      }
      return Fill<float>(out, [&next](size_t i) { return FromBfloat16(static_cast<uint16_t>(next(i))); });
    case DataType::kInt64:
      return Fill<int64_t>(out, next);
    case DataType::kInt32:
      return Fill<int32_t>(out, next);
    case DataType::kUint8:
      return Fill<uint8_t>(out, next);
    case DataType::kInt8:
      return Fill<int8_t>(out, next);
  }
}

template <typename T>
T LoadAt(ByteSpan bytes, size_t index) {
  T value{};
  std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof(T));
  return value;
}

// `raw` has the size that type and shape need.
Tensor FromRaw(ByteSpan raw, int32_t onnx_type, Shape shape) {
  Tensor out = Tensor::Uninitialized(FindType(onnx_type)->type, std::move(shape));
  if (onnx_type == ::onnx::TensorProto::FLOAT16 || onnx_type == ::onnx::TensorProto::BFLOAT16) {
    FillIntegers(onnx_type, out, [raw](size_t i) { return LoadAt<uint16_t>(raw, i); });
  } else if (onnx_type == ::onnx::TensorProto::DOUBLE) {
    Fill<float>(out, [raw](size_t i) { return LoadAt<double>(raw, i); });
  } else if (!raw.empty()) {
    std::memcpy(out.mutable_bytes().data(), raw.data(), raw.size());
  }
  return out;
}

template <typename T>
ByteSpan BytesOf(const T* values, int count) {
  return {reinterpret_cast<const uint8_t*>(values), static_cast<size_t>(count) * sizeof(T)};
}

// For a tensor that holds its data itself.
Tensor ToTensor(const ::onnx::TensorProto& proto) {
  const ElementType& type = *FindType(proto.data_type());
  if (!proto.raw_data().empty()) {
    return FromRaw({reinterpret_cast<const uint8_t*>(proto.raw_data().data()), proto.raw_data().size()}, type.onnx,
                   ShapeOf(proto));
  }
  if (type.typed_form == DataForm::kFloats) {
    return FromRaw(BytesOf(proto.float_data().data(), proto.float_data_size()), type.onnx, ShapeOf(proto));
  }
  if (type.typed_form == DataForm::kDoubles) {
    return FromRaw(BytesOf(proto.double_data().data(), proto.double_data_size()), type.onnx, ShapeOf(proto));
  }
  Tensor out = Tensor::Uninitialized(type.type, ShapeOf(proto));
  if (type.typed_form == DataForm::kInt64s) {
    FillIntegers(type.onnx, out, [&proto](size_t i) { return proto.int64_data(static_cast<int>(i)); });
  } else {
    FillIntegers(type.onnx, out, [&proto](size_t i) { return proto.int32_data(static_cast<int>(i)); });
  }
  return out;
}

}  // namespace

std::string TypeName(int32_t onnx_type) {
  return ::onnx::TensorProto::DataType_IsValid(onnx_type)
             ? ::onnx::TensorProto::DataType_Name(static_cast<::onnx::TensorProto::DataType>(onnx_type))
             : "number " + std::to_string(onnx_type);
}

bool BecomesFloat32(int32_t onnx_type) {
  const ElementType* type = FindType(onnx_type);
  return type != nullptr && type->type == DataType::kFloat32;
}

bool IsQuantizedType(int32_t onnx_type) {
  return onnx_type == ::onnx::TensorProto::UINT8 || onnx_type == ::onnx::TensorProto::INT8;
}

bool IsExternal(const ::onnx::TensorProto& proto) {
  return proto.data_location() == ::onnx::TensorProto::EXTERNAL || proto.external_data_size() != 0;
}

size_t RawBytesOf(const ::onnx::TensorProto& proto) {
  return ShapeOf(proto).num_elements() * FindType(proto.data_type())->raw_size;
}

absl::Status CheckTensorProto(const ::onnx::TensorProto& proto, const LargeTensors& large, const std::string& where,
                              const ImportOptions& options) {
  if (IsExternal(proto) && options.external_data == nullptr) {
    return absl::UnimplementedError(where + ": data in an external file is not supported; save the model as one file");
  }
  if (proto.has_segment()) {
    return absl::UnimplementedError(where + ": segmented tensors are not supported");
  }
  const ElementType* type = FindType(proto.data_type());
  if (type == nullptr) {
    return absl::UnimplementedError(where + ": tensors of type " + TypeName(proto.data_type()) + " are not supported");
  }
  const absl::StatusOr<Shape> shape = Shape::Create({proto.dims().begin(), proto.dims().end()});
  if (!shape.ok()) {
    return absl::InvalidArgumentError(where + ": " + std::string(shape.status().message()));
  }
  if (shape->num_elements() >
      static_cast<uint64_t>(options.max_tensor_bytes) / std::max(SizeOf(type->type), type->raw_size)) {
    return absl::ResourceExhaustedError(where + ": shape " + shape->ToString() + " exceeds the limit of " +
                                        std::to_string(options.max_tensor_bytes) + " bytes for a tensor");
  }
  return CheckData(proto, large, where, *type, shape->num_elements());
}

Tensor TakeTensor(const ::onnx::TensorProto& proto, LargeTensors& large) {
  if (large.Find(proto) == nullptr) {
    return ToTensor(proto);
  }
  LargeData data = large.Take(proto);
  const ElementType& type = *FindType(proto.data_type());
  if (IsVarints(data.form)) {
    Tensor out = Tensor::Uninitialized(type.type, ShapeOf(proto));
    ByteSpan rest = data.bytes.bytes();
    FillIntegers(type.onnx, out, [&rest](size_t) { return NextVarint(rest); });
    return out;
  }
  if (type.raw_size == SizeOf(type.type) && type.onnx != ::onnx::TensorProto::DOUBLE) {
    return std::move(data.bytes).Reinterpret(type.type, ShapeOf(proto));
  }
  return FromRaw(data.bytes.bytes(), type.onnx, ShapeOf(proto));
}

}  // namespace shoji::graph::onnx_io
