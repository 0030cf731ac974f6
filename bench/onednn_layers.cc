// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "bench/onednn_layers.h"

#include <oneapi/dnnl/dnnl.hpp>
#include <optional>
#include <random>

#include "lib/base/check.h"
#include "lib/base/status_macros.h"
#include "lib/kernels/onednn/linear.h"
#include "lib/kernels/onednn/movement.h"
#include "lib/kernels/onednn/primitive.h"

namespace shoji::bench {
namespace {

namespace onednn = kernels::onednn;
using kernels::ConvGeometry;

bool IsDense(const ConvGeometry& g) { return g.input[0] * g.input[1] == 1 && g.group == 1; }

class Float32Layer final : public OneDnnLayer {
 public:
  static absl::StatusOr<std::unique_ptr<OneDnnLayer>> Create(const ConvGeometry& g,
                                                             const std::vector<int8_t>& weights) {
    auto layer = std::unique_ptr<Float32Layer>(new Float32Layer());
    ASSIGN_OR_RETURN(layer->engine_, onednn::Engine::Create());
    ASSIGN_OR_RETURN(layer->stream_, onednn::Stream::Create(*layer->engine_));
    RETURN_IF_ERROR(layer->MakePrimitive(g));
    const onednn::Primitive& primitive = *layer->primitive_;
    std::vector<float> plain(weights.begin(), weights.end());
    layer->weights_.resize(primitive.inputs()[1].layout.size_bytes() / sizeof(float));
    ASSIGN_OR_RETURN(const onednn::Layout from, onednn::Layout::Plain(primitive.inputs()[1].layout.dims()));
    ASSIGN_OR_RETURN(const onednn::Primitive reorder,
                     onednn::MakeReorder(*layer->engine_, from, primitive.inputs()[1].layout));
    const float* input = plain.data();
    RETURN_IF_ERROR(onednn::RunOnce(*layer->engine_, reorder, {&input, 1}, layer->weights_.data()));
    layer->x_.resize(primitive.inputs()[0].layout.size_bytes() / sizeof(float));
    std::mt19937 generator(7);
    for (float& value : layer->x_) {
      value = static_cast<float>(generator() >> 24);
    }
    layer->bias_.resize(static_cast<size_t>(g.out_channels));
    layer->y_.resize(primitive.output().layout.size_bytes() / sizeof(float));
    layer->scratch_.resize(primitive.scratch_bytes());
    const std::vector<const float*> inputs = {layer->x_.data(), layer->weights_.data(), layer->bias_.data()};
    ASSIGN_OR_RETURN(layer->bound_, onednn::BoundPrimitive::Create(*layer->engine_, primitive, inputs, layer->y_.data(),
                                                                   layer->scratch_.data()));
    return layer;
  }

  const std::string& implementation() const override { return primitive_->implementation(); }
  void Run() override { SHOJI_CHECK(bound_->Run(*stream_).ok()); }

 private:
  Float32Layer() : threads_(1) {}

  absl::Status MakePrimitive(const ConvGeometry& g) {
    if (IsDense(g)) {
      kernels::GemmGeometry gemm;
      gemm.k = g.in_channels;
      gemm.n = g.out_channels;
      gemm.b = kernels::GemmGeometry::Operand::kTransposed;
      gemm.c_column_stride = 1;
      ASSIGN_OR_RETURN(primitive_, onednn::MakeInnerProduct(*engine_, gemm, onednn::Bias::kPresent, {}));
    } else {
      ASSIGN_OR_RETURN(primitive_, onednn::MakeConvolution(*engine_, g, onednn::Bias::kPresent, {}));
    }
    return absl::OkStatus();
  }

  onednn::ScopedThreads threads_;
  std::unique_ptr<onednn::Engine> engine_;
  std::unique_ptr<onednn::Stream> stream_;
  std::optional<onednn::Primitive> primitive_;
  std::vector<float> x_, weights_, bias_, y_;
  std::vector<uint8_t> scratch_;
  std::optional<onednn::BoundPrimitive> bound_;
};

class Int8Layer final : public OneDnnLayer {
 public:
  Int8Layer(const ConvGeometry& g, const std::vector<int8_t>& weights)
      : threads_(1), engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {
    if (IsDense(g)) {
      MakeInnerProduct(g, weights);
    } else {
      MakeConvolution(g, weights);
    }
    std::mt19937 generator(7);
    dnnl::memory& x = arguments_.at(DNNL_ARG_SRC);
    auto* bytes = static_cast<uint8_t*>(x.get_data_handle());
    for (size_t i = 0; i < x.get_desc().get_size(); ++i) {
      bytes[i] = static_cast<uint8_t>(generator() >> 24);
    }
  }

  const std::string& implementation() const override { return implementation_; }
  void Run() override {
    primitive_.execute(stream_, arguments_);
    stream_.wait();
  }

 private:
  using Desc = dnnl::memory::desc;
  using Type = dnnl::memory::data_type;
  static Desc Any(const dnnl::memory::dims& dims, Type type) { return Desc(dims, type, dnnl::memory::format_tag::any); }

  void MakeConvolution(const ConvGeometry& g, const std::vector<int8_t>& weights) {
    dnnl::memory::dims w = {g.out_channels / g.group, g.in_channels / g.group, g.window.kernel[0], g.window.kernel[1]};
    dnnl::memory::dims strides = {w[1] * w[2] * w[3], w[2] * w[3], w[3], 1};
    if (g.group > 1) {
      strides.insert(strides.begin(), w[0] * strides[0]);
      w.insert(w.begin(), g.group);
    }
    const dnnl::convolution_forward::desc desc(
        dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct,
        Any({1, g.in_channels, g.input[0], g.input[1]}, Type::u8), Any(w, Type::s8),
        Any({1, g.out_channels, g.output[0], g.output[1]}, Type::s32), {g.window.strides[0], g.window.strides[1]},
        {g.window.dilations[0] - 1, g.window.dilations[1] - 1}, {g.window.pads[0], g.window.pads[1]},
        {g.window.pads[2], g.window.pads[3]});
    const dnnl::convolution_forward::primitive_desc primitive(desc, engine_);
    primitive_ = dnnl::convolution_forward(primitive);
    Bind(primitive, Desc(w, Type::s8, strides), weights);
  }

  void MakeInnerProduct(const ConvGeometry& g, const std::vector<int8_t>& weights) {
    const dnnl::memory::dims w = {g.out_channels, g.in_channels};
    const dnnl::inner_product_forward::desc desc(dnnl::prop_kind::forward_inference, Any({1, g.in_channels}, Type::u8),
                                                 Any(w, Type::s8), Any({1, g.out_channels}, Type::s32));
    const dnnl::inner_product_forward::primitive_desc primitive(desc, engine_);
    primitive_ = dnnl::inner_product_forward(primitive);
    Bind(primitive, Desc(w, Type::s8, dnnl::memory::format_tag::ab), weights);
  }

  template <typename PrimitiveDesc>
  void Bind(const PrimitiveDesc& primitive, const Desc& plain, const std::vector<int8_t>& weights) {
    implementation_ = primitive.impl_info_str();
    std::vector<int8_t> copy = weights;  // oneDNN takes no pointer to const
    dnnl::memory from(plain, engine_, copy.data());
    dnnl::memory to(primitive.weights_desc(), engine_);
    dnnl::reorder(from, to).execute(stream_, from, to);
    stream_.wait();
    arguments_ = {{DNNL_ARG_SRC, dnnl::memory(primitive.src_desc(), engine_)},
                  {DNNL_ARG_WEIGHTS, to},
                  {DNNL_ARG_DST, dnnl::memory(primitive.dst_desc(), engine_)}};
  }

  onednn::ScopedThreads threads_;
  dnnl::engine engine_;
  dnnl::stream stream_;
  dnnl::primitive primitive_;
  std::unordered_map<int, dnnl::memory> arguments_;
  std::string implementation_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<OneDnnLayer>> OneDnnLayer::CreateFloat32(const ConvGeometry& geometry,
                                                                        const std::vector<int8_t>& weights) {
  return Float32Layer::Create(geometry, weights);
}

absl::StatusOr<std::unique_ptr<OneDnnLayer>> OneDnnLayer::CreateInt8(const ConvGeometry& geometry,
                                                                     const std::vector<int8_t>& weights) {
  try {
    return std::make_unique<Int8Layer>(geometry, weights);
  } catch (const dnnl::error& error) {
    return absl::UnimplementedError(std::string("oneDNN has no int8 layer here: ") + error.what());
  }
}

}  // namespace shoji::bench
