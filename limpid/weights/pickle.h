#pragma once
// Python's pickles (protocols 0 to 5) as data: what a pickle builds is described, nothing is built and nothing is called.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace limpid {

using PickleId = std::uint32_t;  // an index of Pickle::values

struct PickleValue {
  enum class Kind : std::uint8_t {
    none,
    boolean,     // integer: 0 or 1
    integer,     // integer
    wide,        // an integer beyond 64 bits
    real,        // real
    text,        // text; Python 2's byte strings too
    bytes,       // text
    tuple,       // items
    list,        // items
    set,         // items
    dict,        // items: key, value, key, value, ...; a key may come again, the last one counts
    global,      // text: "module.name", one of the names that the reader knows
    persistent,  // items[0]: a tuple by which the writer finds what lies outside the pickle
    call,        // items[0]: the global; items[1]: the tuple of its arguments; then keys and values that were set on the result
  };
  Kind kind = Kind::none;
  std::int64_t integer = 0;
  double real = 0;
  std::string_view text;  // a piece of the pickle
  std::vector<PickleId> items;
};

/// Values refer to one another by index, so a value that holds itself is no danger, unless one follows it without end.
struct Pickle {
  std::vector<PickleValue> values;
  PickleId root = 0;
  std::size_t size = 0;  // the bytes up to and with the end mark; more may lie behind

  const PickleValue& operator[](PickleId id) const { return values[id]; }
};

/// Reads one pickle from the begin of `bytes`, which must outlive the result. `known` are the only globals it may name; the views go into the
/// result. State that is set on an object (BUILD) is dropped. `file` stands for the file in messages. Throws unsupported for another global,
/// by its name; bad_file for a damaged pickle or one beyond the limits (2 000 000 values, memo entries and stack places each, marks nested 256 deep).
Pickle read_pickle(std::span<const std::byte> bytes, std::span<const std::string_view> known, const std::string& file);

}  // namespace limpid
