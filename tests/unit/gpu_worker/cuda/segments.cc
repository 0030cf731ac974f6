// Copyright 2026 The Shoji Authors
// SPDX-License-Identifier: Apache-2.0

#include "tests/unit/gpu_worker/cuda/segments.h"

#include <utility>

#include "tests/unit/lib/execution/graph_builder.h"

namespace shoji::accelerator::open_segment {
namespace {

using execution::GraphBuilder;
using graph::Op;
using graph::ValueId;

class Segments {
 public:
  // `make` gets a builder and gives the output.
  template <typename Make>
  void Add(const std::string& name, const Make& make) {
    GraphBuilder builder;
    builder.Output(make(builder));
    out_.push_back({name, std::move(builder.graph())});
  }
  std::vector<Segment> Take() { return std::move(out_); }

 private:
  std::vector<Segment> out_;
};

struct ConvForm {
  std::string name;
  Shape x;
  int64_t out_channels = 1;
  graph::ConvAttributes attributes;
};

int64_t Outputs(int64_t input, const graph::ConvAttributes& attributes, size_t axis) {
  const int64_t span = (attributes.kernel[axis] - 1) * attributes.dilations[axis] + 1;
  return (input + attributes.pads[axis] + attributes.pads[axis + 2] - span) / attributes.strides[axis] + 1;
}

ValueId Conv(GraphBuilder& b, ValueId x, int64_t out_channels, const graph::ConvAttributes& attributes) {
  const Shape in = b.shape(x);
  return b.Node(
      Op::kConv,
      {x, b.Weight(Shape({out_channels, in[1] / attributes.group, attributes.kernel[0], attributes.kernel[1]})),
       b.Weight(Shape({out_channels}))},
      Shape({in[0], out_channels, Outputs(in[2], attributes, 0), Outputs(in[3], attributes, 1)}), attributes);
}

void AddConvolutions(Segments& out) {
  const std::vector<ConvForm> forms = {
      {"3x3", Shape({1, 19, 13, 17}), 21, {{3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 1}},
      {"3x3 of few channels", Shape({1, 3, 33, 31}), 64, {{3, 3}, {2, 2}, {1, 1}, {0, 1, 1, 0}, 1}},
      {"7x7 stride 2", Shape({1, 3, 40, 44}), 16, {{7, 7}, {2, 2}, {1, 1}, {3, 3, 3, 3}, 1}},
      {"dilated", Shape({1, 8, 20, 21}), 12, {{3, 2}, {1, 2}, {3, 4}, {2, 1, 4, 3}, 1}},
      {"1x1", Shape({1, 70, 9, 7}), 130, {{1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}, 1}},
      {"1x1 stride 2", Shape({1, 16, 14, 14}), 24, {{1, 1}, {2, 2}, {1, 1}, {0, 0, 0, 0}, 1}},
      {"1x1 of one cell", Shape({1, 37, 1, 1}), 11, {{1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}, 1}},
      {"whole image", Shape({1, 6, 5, 4}), 9, {{5, 4}, {1, 1}, {1, 1}, {0, 0, 0, 0}, 1}},
      {"deep and small", Shape({1, 512, 7, 7}), 96, {{3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 1}},
      {"wide", Shape({1, 4, 120, 130}), 130, {{3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 1}},
      {"several images", Shape({3, 5, 9, 8}), 7, {{3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 1}},
      {"depthwise", Shape({1, 24, 15, 14}), 24, {{3, 3}, {2, 2}, {1, 1}, {0, 0, 1, 1}, 24}},
      {"depthwise 5x5 dilated", Shape({2, 10, 15, 14}), 20, {{5, 5}, {1, 1}, {2, 2}, {4, 4, 4, 4}, 10}},
      {"few groups", Shape({1, 48, 10, 11}), 60, {{3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 3}},
      {"groups and images", Shape({2, 32, 6, 7}), 44, {{1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}, 2}},
      {"many small groups", Shape({1, 32, 9, 9}), 64, {{3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 16}},
      {"padding wider than the kernel", Shape({1, 4, 3, 3}), 4, {{2, 2}, {1, 1}, {1, 1}, {3, 4, 2, 5}, 1}},
  };
  for (const ConvForm& form : forms) {
    out.Add("Conv, " + form.name,
            [&](GraphBuilder& b) { return Conv(b, b.Input(form.x), form.out_channels, form.attributes); });
  }
  out.Add("Conv with weights that are an input", [](GraphBuilder& b) {
    const ValueId x = b.Input(Shape({1, 4, 6, 6}));
    return b.Node(Op::kConv, {x, b.Input(Shape({10, 4, 3, 3}))}, Shape({1, 10, 4, 4}),
                  graph::ConvAttributes{{3, 3}, {1, 1}, {1, 1}, {0, 0, 0, 0}, 1});
  });
}

ValueId Act(GraphBuilder& b, Op op, ValueId x, float alpha = 0, float beta = 0) {
  return b.Node(op, {x}, b.shape(x), graph::FloatAttributes{alpha, beta});
}

void AddChains(Segments& out) {
  out.Add("Conv, residual, Relu", [](GraphBuilder& b) {
    const ValueId x = b.Input(Shape({1, 32, 8, 9}));
    const ValueId sum = b.Node(Op::kAdd, {b.Conv(x, 32, 3), x}, b.shape(x));
    return Act(b, Op::kRelu, sum);
  });
  out.Add("deep Conv in parts, residual, Clip", [](GraphBuilder& b) {
    const ValueId x = b.Input(Shape({1, 256, 7, 7}));
    const ValueId sum = b.Node(Op::kAdd, {x, b.Conv(x, 256, 3)}, b.shape(x));
    return Act(b, Op::kClip, sum, 0, 6);
  });
  out.Add("Conv, x * sigmoid(x)", [](GraphBuilder& b) {
    const ValueId y = b.Conv(b.Input(Shape({1, 8, 12, 12})), 16, 3);
    return b.Node(Op::kMul, {y, Act(b, Op::kSigmoid, y)}, b.shape(y));
  });
  out.Add("squeeze and excitation", [](GraphBuilder& b) {
    const ValueId x = Act(b, Op::kHardSwish, b.Conv(b.Input(Shape({1, 16, 10, 9})), 16, 3, 16));
    const ValueId mean = b.Node(Op::kGlobalAveragePool, {x}, Shape({1, 16, 1, 1}));
    const ValueId squeezed = Act(b, Op::kRelu, b.Conv(mean, 4, 1));
    const ValueId gate = Act(b, Op::kHardSigmoid, b.Conv(squeezed, 16, 1), 1.0F / 6, 0.5F);
    return b.Conv(b.Node(Op::kMul, {x, gate}, b.shape(x)), 8, 1);
  });
  out.Add("BatchNormalization of an input", [](GraphBuilder& b) {
    const ValueId x = b.Input(Shape({2, 6, 5, 5}));
    const Tensor variance = Tensor::Of<float>(Shape({6}), std::vector<float>{0.5F, 1, 2, 0.1F, 3, 4});
    const ValueId y =
        b.Node(Op::kBatchNorm,
               {x, b.Weight(Shape({6})), b.Weight(Shape({6})), b.Weight(Shape({6})), b.Constant(variance.Clone())},
               b.shape(x), graph::BatchNormAttributes{1e-3F});
    return Act(b, Op::kRelu, y);
  });
}

void AddProducts(Segments& out) {
  const auto gemm = [&out](const std::string& name, const Shape& a, const Shape& b_shape, const Shape& c,
                           const Shape& y, const graph::GemmAttributes& attributes) {
    out.Add("Gemm, " + name, [&](GraphBuilder& b) {
      const ValueId x = b.Input(a);
      return b.Node(Op::kGemm, {x, b.Weight(b_shape), b.Weight(c)}, y, attributes);
    });
  };
  gemm("one row", Shape({1, 300}), Shape({77, 300}), Shape({77}), Shape({1, 77}), {1, 1, false, true});
  gemm("one row, B plain", Shape({1, 300}), Shape({300, 78}), Shape({1, 78}), Shape({1, 78}), {0.5F, 2, false, false});
  gemm("rows", Shape({33, 130}), Shape({130, 70}), Shape({70}), Shape({33, 70}), {1, 1, false, false});
  gemm("rows, C of rows", Shape({33, 13}), Shape({70, 13}), Shape({33, 1}), Shape({33, 70}), {2, 0.5F, false, true});
  gemm("A transposed, C whole", Shape({40, 20}), Shape({40, 30}), Shape({20, 30}), Shape({20, 30}),
       {1, 3, true, false});
  gemm("C of one element", Shape({5, 20}), Shape({20, 6}), Shape({1}), Shape({5, 6}), {1, 3, false, false});
  const auto matmul = [&out](const std::string& name, const Shape& a, const Shape& b_shape, const Shape& y) {
    out.Add("MatMul, " + name, [&](GraphBuilder& b) {
      const ValueId x = b.Input(a);
      return Act(b, Op::kRelu, b.Node(Op::kMatMul, {x, b.Weight(b_shape)}, y));
    });
    out.Add("MatMul of two inputs, " + name, [&](GraphBuilder& b) {
      const ValueId x = b.Input(a);
      return b.Node(Op::kMatMul, {x, b.Input(b_shape)}, y);
    });
  };
  matmul("one row", Shape({1, 65}), Shape({65, 33}), Shape({1, 33}));
  matmul("vectors", Shape({65}), Shape({65}), Shape());
  matmul("batch", Shape({4, 9, 20}), Shape({4, 20, 11}), Shape({4, 9, 11}));
  matmul("broadcast batch", Shape({2, 3, 9, 20}), Shape({3, 20, 11}), Shape({2, 3, 9, 11}));
  matmul("batch times matrix", Shape({6, 17, 20}), Shape({20, 11}), Shape({6, 17, 11}));
  matmul("long sums", Shape({8, 4000}), Shape({4000, 8}), Shape({8, 8}));
}

void AddPools(Segments& out) {
  const auto pool = [&out](const std::string& name, Op op, const Shape& x, const Shape& y,
                           const graph::PoolAttributes& attributes) {
    out.Add(name, [&](GraphBuilder& b) { return b.Node(op, {b.Input(x)}, y, attributes); });
  };
  pool("MaxPool 2x2", Op::kMaxPool, Shape({1, 5, 8, 6}), Shape({1, 5, 4, 3}),
       {{2, 2}, {2, 2}, {1, 1}, {}, false, false});
  pool("MaxPool padded, dilated, ceil", Op::kMaxPool, Shape({2, 3, 10, 9}), Shape({2, 3, 5, 4}),
       {{3, 3}, {2, 2}, {1, 2}, {1, 1, 1, 1}, true, false});
  pool("AveragePool", Op::kAveragePool, Shape({1, 3, 9, 9}), Shape({1, 3, 5, 5}),
       {{3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, false, false});
  pool("AveragePool counting pads, ceil", Op::kAveragePool, Shape({1, 3, 10, 10}), Shape({1, 3, 6, 6}),
       {{3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, true, true});
  out.Add("GlobalAveragePool", [](GraphBuilder& b) {
    return b.Node(Op::kGlobalAveragePool, {b.Input(Shape({2, 9, 31, 17}))}, Shape({2, 9, 1, 1}));
  });
  out.Add("ReduceMean of outer axes", [](GraphBuilder& b) {
    return b.Node(Op::kReduceMean, {b.Input(Shape({5, 6, 7}))}, Shape({6}), graph::ReduceAttributes{{0, 2}, false});
  });
  out.Add("ReduceMax of a middle axis", [](GraphBuilder& b) {
    return b.Node(Op::kReduceMax, {b.Input(Shape({5, 6, 7}))}, Shape({5, 1, 7}), graph::ReduceAttributes{{1}, true});
  });
  out.Add("ReduceMean of everything", [](GraphBuilder& b) {
    return b.Node(Op::kReduceMean, {b.Input(Shape({50, 70}))}, Shape({1, 1}), graph::ReduceAttributes{{0, 1}, true});
  });
}

void AddElementwise(Segments& out) {
  for (const Op op :
       {Op::kRelu, Op::kLeakyRelu,       Op::kSigmoid,  Op::kHardSigmoid, Op::kHardSwish, Op::kTanh,      Op::kElu,
        Op::kSelu, Op::kThresholdedRelu, Op::kSoftplus, Op::kSoftsign,    Op::kErf,       Op::kAbs,       Op::kNeg,
        Op::kExp,  Op::kFloor,           Op::kCeil,     Op::kRound,       Op::kSign,      Op::kReciprocal}) {
    out.Add(graph::NameOf(op), [&](GraphBuilder& b) { return Act(b, op, b.Input(Shape({3, 50})), 0.3F, 0.7F); });
  }
  out.Add("Clip", [](GraphBuilder& b) { return Act(b, Op::kClip, b.Input(Shape({3, 50})), -0.3F, 0.7F); });
  out.Add("Log and Sqrt of an exponential", [](GraphBuilder& b) {
    return Act(b, Op::kSqrt, Act(b, Op::kAbs, Act(b, Op::kLog, Act(b, Op::kExp, b.Input(Shape({77}))))));
  });
  for (const Op op : {Op::kAdd, Op::kSub, Op::kMul, Op::kDiv, Op::kMax, Op::kMin, Op::kPRelu}) {
    out.Add(std::string(graph::NameOf(op)) + ", broadcast", [&](GraphBuilder& b) {
      const ValueId x = b.Input(Shape({2, 1, 6, 7}));
      return Act(b, Op::kRelu, b.Node(op, {x, b.Input(Shape({5, 1, 7}))}, Shape({2, 5, 6, 7})));
    });
  }
  out.Add("Pow", [](GraphBuilder& b) {
    const ValueId x = Act(b, Op::kAbs, b.Input(Shape({4, 9})));
    return b.Node(Op::kPow, {x, b.Weight(Shape({4, 9}))}, Shape({4, 9}));
  });
  out.Add("Softmax, last axis", [](GraphBuilder& b) {
    return b.Node(Op::kSoftmax, {b.Input(Shape({3, 1000}))}, Shape({3, 1000}), graph::AxisAttributes{1});
  });
  out.Add("Softmax, middle axis", [](GraphBuilder& b) {
    return b.Node(Op::kSoftmax, {b.Input(Shape({3, 10, 7}))}, Shape({3, 10, 7}), graph::AxisAttributes{1});
  });
  out.Add("LRN", [](GraphBuilder& b) {
    return b.Node(Op::kLrn, {b.Input(Shape({2, 9, 4, 5}))}, Shape({2, 9, 4, 5}),
                  graph::LrnAttributes{4, 0.1F, 0.6F, 2});
  });
  out.Add("fake quantization", [](GraphBuilder& b) {
    return b.Node(Op::kFakeQuantize, {b.Input(Shape({200}))}, Shape({200}),
                  graph::FakeQuantizeAttributes{0.01F, 100, 0, 255});
  });
}

void AddMovements(Segments& out) {
  out.Add("Transpose", [](GraphBuilder& b) {
    return b.Node(Op::kTranspose, {b.Input(Shape({2, 3, 4, 5}))}, Shape({5, 3, 2, 4}),
                  graph::TransposeAttributes{{3, 1, 0, 2}});
  });
  out.Add("Slice backwards", [](GraphBuilder& b) {
    return b.Node(Op::kSlice, {b.Input(Shape({6, 7}))}, Shape({2, 3}), graph::SliceAttributes{{5, 1}, {-3, 2}});
  });
  out.Add("Pad and crop", [](GraphBuilder& b) {
    return b.Node(Op::kPad, {b.Input(Shape({1, 4, 5}))}, Shape({1, 3, 8}),
                  graph::PadAttributes{{0, -1, 2}, {0, 0, 1}, -0.5F});
  });
  out.Add("Expand", [](GraphBuilder& b) {
    return b.Node(Op::kExpand, {b.Input(Shape({3, 1, 2}))}, Shape({4, 3, 5, 2}));
  });
  out.Add("Gather", [](GraphBuilder& b) {
    return b.Node(Op::kGather, {b.Input(Shape({3, 5, 2}))}, Shape({3, 4, 2}), graph::GatherAttributes{1, {4, 0, 0, 2}});
  });
  out.Add("Concat of layers, one twice, and of an input", [](GraphBuilder& b) {
    const ValueId x = b.Input(Shape({1, 4, 6, 5}));
    const ValueId y = Act(b, Op::kRelu, b.Conv(x, 3, 3));
    const ValueId z = b.Conv(y, 5, 1);
    const ValueId first = b.Node(Op::kConcat, {y, z, y}, Shape({1, 11, 6, 5}), graph::AxisAttributes{1});
    const ValueId second = b.Node(Op::kConcat, {x, first, z}, Shape({1, 20, 6, 5}), graph::AxisAttributes{1});
    return b.Conv(second, 2, 1);
  });
  out.Add("Concat along an inner axis", [](GraphBuilder& b) {
    const ValueId x = b.Input(Shape({3, 4, 2}));
    const ValueId y = Act(b, Op::kNeg, x);
    return b.Node(Op::kConcat, {y, b.Weight(Shape({3, 1, 2})), x}, Shape({3, 9, 2}), graph::AxisAttributes{1});
  });
  out.Add("Reshape between layers", [](GraphBuilder& b) {
    const ValueId y = b.Conv(b.Input(Shape({1, 2, 4, 6})), 3, 3);
    const ValueId flat = b.Node(Op::kReshape, {y}, Shape({1, 72}));
    return b.Node(Op::kGemm, {flat, b.Weight(Shape({10, 72}))}, Shape({1, 10}),
                  graph::GemmAttributes{1, 1, false, true});
  });
  out.Add("an output that is an input", [](GraphBuilder& b) {
    const ValueId x = b.Input(Shape({4}));
    b.Output(x);
    return Act(b, Op::kNeg, x);
  });
  out.Add("an output without elements", [](GraphBuilder& b) {
    const ValueId x = b.Input(Shape({2, 3}));
    b.Output(Act(b, Op::kNeg, x));
    return b.Node(Op::kSlice, {x}, Shape({0, 3}), graph::SliceAttributes{{0, 0}, {1, 1}});
  });
}

}  // namespace

std::vector<Segment> AllForms() {
  Segments out;
  AddConvolutions(out);
  AddChains(out);
  AddProducts(out);
  AddPools(out);
  AddElementwise(out);
  AddMovements(out);
  return out.Take();
}

}  // namespace shoji::accelerator::open_segment
