#include <limpid/cpu/packed_weights.h>

#include <map>
#include <mutex>

namespace limpid::cpu {
namespace {

struct Shelf {
  std::mutex mutex;
  std::multimap<const void*, std::weak_ptr<const PackedWeights>> packed;
};

}  // namespace

memory::format_tag plain_tag(std::size_t rank) {
  using Tag = memory::format_tag;
  constexpr Tag tags[] = {Tag::undef, Tag::a, Tag::ab, Tag::abc, Tag::abcd, Tag::abcde};
  require(rank < std::size(tags), "The cpu backend takes values of at most four extents a row.");
  return tags[rank];
}

std::shared_ptr<const PackedWeights> pack(const Tensor& source, const memory::dims& plain, const memory::desc& wanted, const std::string& arrangement,
                                          const std::function<Tensor(const Tensor&)>& arrange) {
  static Shelf shelf;
  const std::lock_guard lock(shelf.mutex);
  for (auto [it, end] = shelf.packed.equal_range(source.raw()); it != end;) {
    const auto found = it->second.lock();
    if (!found) {
      it = shelf.packed.erase(it);
      continue;
    }
    if (found->arrangement == arrangement && found->memory.get_desc() == wanted) return found;
    ++it;
  }
  Tensor floats = source.to(DType::f32);
  if (arrange) floats = arrange(floats);
  const memory::desc from(plain, memory::data_type::f32, plain_tag(plain.size()));
  auto fresh = std::make_shared<PackedWeights>();
  fresh->source = source;
  fresh->arrangement = arrangement;
  if (from == wanted) {  // nothing to do: the tensor's own storage serves
    fresh->memory = dnnl::memory(wanted, engine(), floats.raw());
    if (floats.raw() != source.raw()) {
      fresh->memory = dnnl::memory(wanted, engine());
      std::copy_n(floats.data<float>(), floats.numel(), static_cast<float*>(fresh->memory.get_data_handle()));
    }
  } else {
    dnnl::memory in(from, engine(), floats.raw());
    fresh->memory = dnnl::memory(wanted, engine());
    dnnl::stream stream(engine());
    dnnl::reorder(in, fresh->memory).execute(stream, in, fresh->memory);
    stream.wait();
  }
  shelf.packed.emplace(source.raw(), fresh);
  return fresh;
}

}  // namespace limpid::cpu
