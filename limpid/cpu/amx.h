#pragma once
// Convolutions on AMX's bf16 tiles, sums in f32: the network's, forward and as gradients of the picture, with what follows them done before a sum is
// rounded and leaves the registers. Pictures of bf16 with channels side by side (nhwc); or of f32 in blocks of 16 channels (nChw16c): a number is then
// the sum of three bf16, and a product the sum of the six products of those that f32 can tell from zero (Henry, Tang & Heinecke 2019, "Leveraging the
// bfloat16 artificial intelligence datatype for higher-precision computations"), as exact as f32 and
// up to twice as fast as its own arithmetic (one core; least at 64 channels).
#include <limpid/cpu/epilogue.h>
#include <limpid/runtime/dtype.h>

#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace limpid::cpu::amx {

/// bf16 numbers that a T is the sum of.
template <class T>
inline constexpr int parts_of = std::is_same_v<T, float> ? 3 : 1;

/// Whether processor and system let this process use bf16 tiles (the first call asks the system).
bool available();

struct Sizes { std::int64_t pictures, channels, in_rows, in_columns, outs, out_rows, out_columns; };

/// A convolution as sums of matrix products over shifted pictures. Point (y, x) of the result is (out_stride * v + phase) for v on a grid; tap t reads
/// the picture at in_stride * v + d[t]. Forward: one phase, in_stride the convolution's. Gradient of the picture: in_stride 1 and a phase for each
/// point of a stride, with the taps that meet it. Where more than the point itself is read, a group of pictures is first copied, with zeros beside its
/// columns and the pictures side by side: a row of the result is then one matrix, in which a tap is a shift, and taps above or below the picture are
/// left out. A picture's points in phase by in_stride are a plane each.
template <class T>
class Convolution {
 public:
  static constexpr int parts = parts_of<T>;
  /// y = conv(x, w): w [outs, channels, kh, kw]; both channel counts multiples of 32, here and below.
  static Convolution forward(const Sizes& sizes, const Axis& rows, const Axis& columns, int workers) { return {sizes, rows, columns, false, workers}; }
  /// dx of a convolution by w [channels, outs, kh, kw]: x of this one is dy, channels of dy in, channels of dx out.
  static Convolution backward(const Sizes& sizes, const Axis& rows, const Axis& columns, int workers) { return {sizes, rows, columns, true, workers}; }

  std::int64_t weight_count() const;
  /// w (plain f32, as forward and backward want it) in the order in which the tiles are read.
  void arrange(const float* w, float* to) const;
  /// Bytes of scratch memory.
  std::size_t scratch_bytes() const;

  void run(const T* x, const bfloat16* weights, T* y, void* scratch, const Epilogue<T>& epilogue) const;

 private:
  struct Tap { std::int64_t kernel_row, kernel_column, plane, row_shift, column; };  // of the kernel; of the copy: what point 0 of the result sees
  struct Part { std::int64_t row_phase, column_phase, rows, columns, weights; std::vector<Tap> taps; };
  Convolution(const Sizes& sizes, const Axis& rows, const Axis& columns, bool backward, int workers);
  void copy(const T* x, bfloat16* to, std::int64_t first, std::int64_t pictures, std::int64_t begin, std::int64_t end) const;
  void multiply(const bfloat16* a, std::int64_t first, std::int64_t pictures, std::int64_t first_block, std::int64_t last_block, const bfloat16* weights, T* y, const Epilogue<T>& e) const;
  void split(const T* x, bfloat16* to, std::int64_t begin, std::int64_t end) const;
  void multiply_in_place(const bfloat16* a, std::int64_t begin, std::int64_t end, std::int64_t readable, std::int64_t first_block, std::int64_t last_block, const bfloat16* weights, T* y,
                         bfloat16* tail, const Epilogue<T>& e) const;
  std::int64_t plane_points(std::int64_t pictures) const { return static_cast<std::int64_t>(planes_.size()) * plane_rows_ * plane_columns_ * pictures; }  // of all planes
  std::int64_t copy_points() const;
  std::int64_t own_points() const { return parts == 1 ? 32 : panel_ + 32; }  // of a worker: a panel and a tail
  std::int64_t point_step() const { return parts == 1 ? s_.outs : 16; }      // elements of y
  std::int64_t out_step() const { return parts == 1 ? 16 : 16 * s_.out_rows * s_.out_columns; }

  Sizes s_;
  bool backward_, copies_, by_outs_, one_line_;
  int workers_;
  std::int64_t kernel_rows_, kernel_columns_, in_row_stride_, in_column_stride_, out_row_stride_, out_column_stride_;
  std::int64_t plane_rows_, plane_columns_, before_, above_ = 0;  // of the copy; zeros before a row's first column, above the first row
  std::int64_t pitch_;                                // elements from point to point
  std::int64_t group_, together_, panel_;       // pictures of a copy, blocks of outs whose weights stay in L2, points of a picture that is not copied
  std::vector<std::pair<std::int64_t, std::int64_t>> planes_;
  std::vector<Part> parts_;
};

/// y [rows, outs] = x [rows, channels] w [channels, outs] of f32, by the same parts; channels and outs multiples of 32.
class Product {
 public:
  Product(std::int64_t channels, std::int64_t outs);
  std::int64_t weight_count() const { return parts_of<float> * channels_ * outs_; }
  /// w in the order in which the tiles are read.
  void arrange(const float* w, float* to) const;
  /// Bytes of scratch memory for a worker.
  std::size_t scratch_bytes() const { return static_cast<std::size_t>((panel_ + 32) * pitch_ * 2); }
  /// Share `share` of `shares` of the outs.
  void run(const float* x, std::int64_t rows, const bfloat16* weights, float* y, void* scratch, int share, int shares) const;

 private:
  std::int64_t channels_, outs_, pitch_, panel_;  // elements from row to row of a panel, its rows
};

}  // namespace limpid::cpu::amx
