#include <limpid/runtime/attributes.h>

#include <sstream>
#include <type_traits>

namespace limpid {
namespace {

void put(std::ostream& out, const Axis& a) { out << a.kernel << 's' << a.stride << 'p' << a.begin << ',' << a.end << 'd' << a.dilation; }
void put(std::ostream& out, const WindowAxis& a) { out << a.size << '/' << a.stride << '/' << a.extent; }

/// 64 bits that stand for a table of any length (FNV-1a).
template <class T>
std::uint64_t digest(const std::vector<T>& table) {
  static_assert(std::has_unique_object_representations_v<T>);
  std::uint64_t hash = 14695981039346656037u;
  const auto* bytes = reinterpret_cast<const unsigned char*>(table.data());
  for (std::size_t i = 0; i < table.size() * sizeof(T); ++i) hash = (hash ^ bytes[i]) * 1099511628211u;
  return hash;
}

void put(std::ostream& out, const Regions& r) {
  if (r.defined()) out << r.rows << 'x' << r.columns << '#' << r.origins->size() << '.' << digest(*r.origins);
}

struct Printer {
  std::ostream& out;
  void operator()(const NoAttributes&) const {}
  void operator()(const ConstantAttributes& a) const { out << name_of(a.tensor.dtype()) << '@' << a.tensor.raw(); }
  void operator()(const Conv2dAttributes& a) const {
    put(out, a.rows);
    out << ' ';
    put(out, a.columns);
    out << " groups=" << a.groups << " activation=" << static_cast<int>(a.activation) << " in=" << a.in_rows << 'x' << a.in_columns;
  }
  void operator()(const PoolAttributes& a) const {
    put(out, a.rows);
    out << ' ';
    put(out, a.columns);
    out << " include_pad=" << a.count_include_pad << " in=" << a.in_rows << 'x' << a.in_columns;
  }
  void operator()(const BatchNormAttributes& a) const { out << "epsilon=" << a.epsilon; }
  void operator()(const ActivationAttributes& a) const { out << static_cast<int>(a.activation) << " rule=" << static_cast<int>(a.rule); }
  void operator()(const ScalarAttributes& a) const { out << a.value; }
  void operator()(const ShapeAttributes& a) const { out << a.shape; }
  void operator()(const SliceAttributes& a) const { out << a.begin << ':' << a.end; }
  void operator()(const InterpolateAttributes& a) const { out << a.rows << 'x' << a.columns << " mode=" << static_cast<int>(a.mode); }
  void operator()(const WindowAttributes& a) const {
    put(out, a.grid.channel);
    out << ' ';
    put(out, a.grid.row);
    out << ' ';
    put(out, a.grid.column);
    out << ' ';
    put(out, a.region);
  }
  void operator()(const FeatureAttributes& a) const { out << a.count; }
  void operator()(const AblationAttributes& a) const {
    out << a.count << " boxes=";
    if (a.boxes) out << digest(*a.boxes);
    out << ' ';
    put(out, a.region);
  }
  void operator()(const PatchAttributes& a) const {
    put(out, a.from);
    out << " to ";
    put(out, a.to);
    out << " outside=" << a.outside;
  }
};

}  // namespace

std::string to_string(const Attributes& attributes) {
  std::ostringstream out;
  out.precision(17);
  std::visit(Printer{out}, attributes);
  return out.str();
}

}  // namespace limpid
