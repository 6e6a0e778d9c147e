#include <limpid/cuda/convolution_pattern.h>

#include <sstream>

namespace limpid::cuda {

std::string to_string(const ConvolutionPattern& p) {
  std::ostringstream s;
  const Axis &v = p.vertical, &h = p.horizontal;
  s << (p.backward ? "backward" : "forward") << " n" << p.images << " c" << p.channels << ' ' << p.rows << 'x' << p.columns << " -> k" << p.outputs << ' ' << p.out_rows << 'x' << p.out_columns << ' '
    << v.kernel << 'x' << h.kernel << " s" << v.stride << 'x' << h.stride << " p" << v.begin << ',' << v.end << ',' << h.begin << ',' << h.end << " d" << v.dilation << 'x' << h.dilation << " g" << p.groups
    << ' ' << (p.tf32 ? "tf32" : name_of(p.type)) << (p.bias ? " bias" : "") << (p.addend ? " add" : "")
    << (p.activation == Activation::relu ? " relu" : p.activation == Activation::relu6 ? " relu6" : "") << (p.mask ? " mask" : "");
  return s.str();
}

}  // namespace limpid::cuda
