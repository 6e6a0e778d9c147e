// Sums are f32 and so is every value between operations; only what lies in memory has the pattern's type. The order after the convolution is
// that of cuDNN's precompiled engines: + addend, + bias, activation.
#include <limpid/cuda/driver/cudnn_graph.h>

#include <deque>

namespace limpid::cuda {
namespace {

cudnnDataType_t type_of(DType t) { return t == DType::bf16 ? CUDNN_DATA_BFLOAT16 : t == DType::f16 ? CUDNN_DATA_HALF : CUDNN_DATA_FLOAT; }

using Extents = std::array<std::int64_t, 4>;  // images, channels, rows, columns

class Builder {
 public:
  Builder(const ConvolutionPattern& p, const GraphDialect& dialect) : p_(p), dialect_(dialect) {
    x_ = {p.images, p.channels, p.rows, p.columns};
    y_ = {p.images, p.outputs, p.out_rows, p.out_columns};
    w_ = {p.outputs, p.channels / p.groups, p.vertical.kernel, p.horizontal.kernel};
  }

  OperationGraph build(const PlanTarget& target) {
    if (p_.backward) backward();
    else forward();
    OperationGraph g;
    g.graph = Descriptor(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    g.graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, static_cast<std::int64_t>(operations_.size()), operations_.data());
    if (target.handle) g.graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, target.handle);
    g.graph.finalize();
    g.parts.assign(std::make_move_iterator(parts_.begin()), std::make_move_iterator(parts_.end()));
    return g;
  }

 private:
  using Tensor = const Descriptor*;

  Descriptor& part(cudnnBackendDescriptorType_t type) { return parts_.emplace_back(type); }

  /// Channels side by side; id below zero: a value that is never stored.
  Tensor tensor(std::int64_t id, const Extents& e, cudnnDataType_t type, bool by_value = false) {
    Descriptor& t = part(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    const Extents strides = {e[1] * e[2] * e[3], 1, e[1] * e[3], e[1]};
    t.set(CUDNN_ATTR_TENSOR_DATA_TYPE, type);
    t.set(CUDNN_ATTR_TENSOR_DIMENSIONS, e);
    t.set(CUDNN_ATTR_TENSOR_STRIDES, strides);
    t.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, id < 0 ? next_value_++ : id);
    t.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, std::int64_t{16});
    if (id < 0) t.set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, true);
    if (by_value) t.set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, true);
    t.finalize();
    return &t;
  }
  Tensor memory(Operand which, const Extents& e, cudnnDataType_t type) { return tensor(static_cast<std::int64_t>(which), e, type); }
  Tensor constant(Operand which) { return tensor(static_cast<std::int64_t>(which), {1, 1, 1, 1}, CUDNN_DATA_FLOAT, true); }
  Tensor value(const Extents& e, cudnnDataType_t type = CUDNN_DATA_FLOAT) { return tensor(-1, e, type); }

  /// y = mode(x, b); b null for a mode of one argument.
  void pointwise(cudnnPointwiseMode_t mode, Tensor x, Tensor b, Tensor y, cudnnDataType_t computed_in = CUDNN_DATA_FLOAT, double upper = 0) {
    Descriptor& how = part(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    how.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, mode);
    how.set(CUDNN_ATTR_POINTWISE_MATH_PREC, computed_in);
    if (upper > 0) how.set(CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP, CUDNN_TYPE_DOUBLE, upper);
    how.finalize();
    Descriptor& op = part(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    op.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how);
    op.set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, *x);
    if (b) op.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, *b);
    op.set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, *y);
    op.finalize();
    operations_.push_back(op.get());
  }

  const Descriptor& convolution() {
    Descriptor& c = part(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    const Axis &v = p_.vertical, &h = p_.horizontal;
    using Pair = std::array<std::int64_t, 2>;
    c.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, std::int64_t{2});
    c.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT);
    c.set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, CUDNN_CROSS_CORRELATION);
    c.set(CUDNN_ATTR_CONVOLUTION_DILATIONS, Pair{v.dilation, h.dilation});
    c.set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, Pair{v.stride, h.stride});
    c.set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, Pair{v.begin, h.begin});
    c.set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, Pair{v.end, h.end});
    c.finalize();
    return c;
  }

  void forward() {
    const cudnnDataType_t type = type_of(p_.type);
    // What the last step writes is `out`; a step before it, a value.
    int steps = (p_.addend ? 1 : 0) + (p_.bias ? 1 : 0) + (p_.activation != Activation::none ? 1 : 0);
    const auto result = [&] { return steps-- == 0 ? memory(Operand::out, y_, type) : value(y_); };

    Tensor sum = result();
    Tensor x = memory(Operand::in, x_, type), w = memory(Operand::weight, w_, type);
    const Descriptor& c = convolution();
    Descriptor& op = part(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
    op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, c);
    op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, *x);
    op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, *w);
    op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, *sum);
    op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, 1.0f);
    op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, 0.0f);
    op.finalize();
    operations_.push_back(op.get());

    if (p_.addend) {
      Tensor to = result();
      pointwise(CUDNN_POINTWISE_ADD, sum, memory(Operand::addend, y_, type), to);
      sum = to;
    }
    if (p_.bias) {
      Tensor to = result();
      pointwise(CUDNN_POINTWISE_ADD, sum, memory(Operand::bias, {1, p_.outputs, 1, 1}, type_of(dialect_.bias_type)), to);
      sum = to;
    }
    if (p_.activation != Activation::none) {
      const bool clipped = p_.activation == Activation::relu6;
      Tensor to = result();
      pointwise(CUDNN_POINTWISE_RELU_FWD, sum, nullptr, to, CUDNN_DATA_FLOAT, clipped ? 6.0 : 0.0);
      if (p_.mask && !clipped) pointwise(CUDNN_POINTWISE_CMP_GT, to, constant(Operand::zero), memory(Operand::mask, y_, CUDNN_DATA_BOOLEAN));
      if (p_.mask && clipped) {
        Tensor above = value(y_, CUDNN_DATA_BOOLEAN), below = value(y_, CUDNN_DATA_BOOLEAN);
        pointwise(CUDNN_POINTWISE_CMP_GT, to, constant(Operand::zero), above);
        pointwise(CUDNN_POINTWISE_CMP_LT, to, constant(Operand::six), below);
        pointwise(CUDNN_POINTWISE_LOGICAL_AND, above, below, memory(Operand::mask, y_, CUDNN_DATA_BOOLEAN), CUDNN_DATA_BOOLEAN);
      }
    }
  }

  void backward() {
    const cudnnDataType_t type = type_of(p_.type);
    int steps = (p_.addend ? 1 : 0) + (p_.mask ? 1 : 0);
    const auto result = [&] { return steps-- == 0 ? memory(Operand::out, x_, type) : value(x_); };

    Tensor sum = result();
    Tensor dy = memory(Operand::in, y_, type), w = memory(Operand::weight, w_, type);
    const Descriptor& c = convolution();
    Descriptor& op = part(CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR);
    op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, c);
    op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, *dy);
    op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, *w);
    op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, *sum);
    op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_TYPE_FLOAT, 1.0f);
    op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, CUDNN_TYPE_FLOAT, 0.0f);
    op.finalize();
    operations_.push_back(op.get());

    if (p_.addend) {
      Tensor to = result();
      pointwise(CUDNN_POINTWISE_ADD, sum, memory(Operand::addend, x_, type), to);
      sum = to;
    }
    if (p_.mask) {
      Tensor to = result();
      pointwise(CUDNN_POINTWISE_MUL, sum, memory(Operand::mask, x_, CUDNN_DATA_BOOLEAN), to);
    }
  }

  const ConvolutionPattern& p_;
  GraphDialect dialect_;
  Extents x_, y_, w_;
  std::deque<Descriptor> parts_;
  std::vector<cudnnBackendDescriptor_t> operations_;
  std::int64_t next_value_ = 100;
};

}  // namespace

OperationGraph operation_graph(const PlanTarget& target, const ConvolutionPattern& pattern, const GraphDialect& dialect) { return Builder(pattern, dialect).build(target); }

}  // namespace limpid::cuda
