#include <limpid/runtime/error.h>
#include <limpid/weights/excerpt.h>
#include <limpid/weights/little_endian.h>
#include <limpid/weights/pickle.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <unordered_map>
#include <utility>

namespace limpid {
namespace {

using Kind = PickleValue::Kind;

// A value takes at least one byte of the pickle; these bound what a large one can make us allocate.
constexpr std::size_t max_values = 2'000'000, max_depth = 256, max_operations = 20'000'000;

/// The stack machine of CPython's Lib/pickle.py; pickletools.py documents each opcode.
class Unpickler {
 public:
  Unpickler(std::span<const std::byte> bytes, std::span<const std::string_view> known, const std::string& file) : bytes_(bytes), known_(known), file_(file) {}

  Pickle read() {
    for (std::size_t operations = 0; operations < max_operations; ++operations) {
      opcode_at_ = position_;
      const auto opcode = static_cast<unsigned char>(take(1)[0]);
      if (opcode == '.') {
        const PickleId root = pop();
        return {std::move(values_), root, position_};
      }
      step(opcode);
      if (stack_.size() > max_values) refuse("needs more than ", max_values, " places of stack");
    }
    refuse("takes more than ", max_operations, " steps");
  }

 private:
  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... what) const {
    fail(ErrorCode::bad_file, file_, ": the pickle ", what..., " (at its byte ", opcode_at_, "). The file is damaged or no checkpoint; fetch or save it again.");
  }

  std::string_view take(std::uint64_t size) {
    if (size > bytes_.size() - position_) refuse("ends too early");
    const std::string_view piece(reinterpret_cast<const char*>(bytes_.data()) + position_, static_cast<std::size_t>(size));
    position_ += piece.size();
    return piece;
  }
  std::string_view line() {
    const std::string_view rest(reinterpret_cast<const char*>(bytes_.data()) + position_, bytes_.size() - position_);
    const auto end = rest.find('\n');
    if (end == std::string_view::npos) refuse("has a line without an end");
    position_ += end + 1;
    return rest.substr(0, end);
  }
  std::uint64_t number(std::size_t size) { return little_endian(std::as_bytes(std::span(take(size)))); }
  std::string_view counted(std::size_t size_of_count) { return take(number(size_of_count)); }

  PickleId add(PickleValue value) {
    if (values_.size() == max_values) refuse("holds more than ", max_values, " values");
    values_.push_back(std::move(value));
    return static_cast<PickleId>(values_.size() - 1);
  }
  void push(PickleValue value) { stack_.push_back(add(std::move(value))); }
  void push_integer(std::int64_t value, Kind kind = Kind::integer) { push({.kind = kind, .integer = value}); }
  void push_text(std::string_view text, Kind kind = Kind::text) { push({.kind = kind, .text = text}); }

  std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  PickleId pop() {
    if (stack_.size() == floor()) refuse("takes a value from an empty stack");
    const PickleId id = stack_.back();
    stack_.pop_back();
    return id;
  }
  PickleId top() const {
    if (stack_.size() == floor()) refuse("looks for a value on an empty stack");
    return stack_.back();
  }
  std::vector<PickleId> pop_last(std::size_t count) {
    if (stack_.size() - floor() < count) refuse("takes a value from an empty stack");
    std::vector<PickleId> items(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return items;
  }
  std::vector<PickleId> pop_mark() {
    if (marks_.empty()) refuse("has no mark where one belongs");
    auto items = pop_last(stack_.size() - marks_.back());
    marks_.pop_back();
    return items;
  }
  void push_items(Kind kind, std::vector<PickleId> items) { push({.kind = kind, .items = std::move(items)}); }

  /// Appends to the list or set on the stack's top, or pairs to the dict (or object made by a call) there.
  void extend(std::vector<PickleId> items, bool pairs) {
    PickleValue& target = values_[top()];
    const bool fits = pairs ? target.kind == Kind::dict || target.kind == Kind::call : target.kind == Kind::list || target.kind == Kind::set;
    if (!fits) refuse("puts items into something that holds none");
    if (pairs && items.size() % 2) refuse("has a key without a value");
    target.items.insert(target.items.end(), items.begin(), items.end());
  }

  void memoize(std::uint64_t index) {
    if (memo_.size() == max_values) refuse("remembers more than ", max_values, " values");
    memo_[index] = top();
  }
  void recall(std::uint64_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) refuse("recalls the value ", index, ", which it does not have");
    stack_.push_back(found->second);
  }

  void push_global(std::string_view module, std::string_view name) {
    for (const auto known : known_)
      if (known.size() == module.size() + 1 + name.size() && known.starts_with(module) && known[module.size()] == '.' && known.ends_with(name))
        return push_text(known, Kind::global);
    const bool system = module == "posix" || module == "nt";  // where Python keeps the functions of os
    fail(ErrorCode::unsupported, file_, ": the pickle names ", excerpt(std::string(module) + "." + std::string(name)),
         system ? " (Python's " + excerpt("os." + std::string(name)) + ")" : "",
         ", which no state dict needs. It was not called, and the file is refused. Save model.state_dict() with torch.save, not the model or other objects.");
  }
  void call(PickleId callee, PickleId arguments) {
    if (values_[callee].kind != Kind::global) refuse("calls something that has no name");
    if (values_[arguments].kind != Kind::tuple) refuse("calls ", values_[callee].text, " without a tuple of arguments");
    push_items(Kind::call, {callee, arguments});
  }

  template <class T>
  T parse(std::string_view text) const {
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) refuse("has ", excerpt(text), " where a number belongs");
    return value;
  }
  void text_integer(std::string_view text) {
    if (text == "00" || text == "01") return push_integer(text == "01", Kind::boolean);
    if (text.ends_with('L')) text.remove_suffix(1);
    if (text.size() > 18) return push_text(text, Kind::wide);
    push_integer(parse<std::int64_t>(text));
  }
  void long_integer(std::string_view bytes) {  // two's complement
    if (bytes.size() > 8) return push_text(bytes, Kind::wide);
    const auto shift = 64 - 8 * static_cast<unsigned>(bytes.size());
    const auto value = little_endian(std::as_bytes(std::span(bytes)));
    push_integer(bytes.empty() ? 0 : static_cast<std::int64_t>(value << shift) >> shift);
  }
  void quoted(std::string_view text) {
    if (text.size() < 2 || (text[0] != '\'' && text[0] != '"') || text.back() != text[0]) refuse("has a string without quotes");
    plain(text.substr(1, text.size() - 2));
  }
  void plain(std::string_view text) {  // only protocols that torch.save cannot use write escapes
    if (text.find('\\') != std::string_view::npos) refuse("has a string with escapes, which are not read");
    push_text(text);
  }

  void step(unsigned char opcode) {
    switch (opcode) {
      case 0x80:  // PROTO
        if (const auto protocol = number(1); protocol > 5) refuse("is of protocol ", protocol, "; 0 to 5 are known");
        break;
      case 0x95: number(8); break;  // FRAME

      case '(':
        if (marks_.size() == max_depth) refuse("nests deeper than ", max_depth, " levels");
        marks_.push_back(stack_.size());
        break;
      case '0':  // POP; of a mark if that comes last
        if (stack_.size() == floor()) pop_mark();
        else pop();
        break;
      case '1': pop_mark(); break;
      case '2': stack_.push_back(top()); break;

      case 'N': push({}); break;
      case 0x88: push_integer(1, Kind::boolean); break;
      case 0x89: push_integer(0, Kind::boolean); break;
      case 'J': push_integer(static_cast<std::int32_t>(number(4))); break;
      case 'K': push_integer(static_cast<std::int64_t>(number(1))); break;
      case 'M': push_integer(static_cast<std::int64_t>(number(2))); break;
      case 'I': text_integer(line()); break;
      case 'L': text_integer(line()); break;
      case 0x8a: long_integer(counted(1)); break;
      case 0x8b: long_integer(counted(4)); break;
      case 'F': push({.kind = Kind::real, .real = parse<double>(line())}); break;
      case 'G': push({.kind = Kind::real, .real = std::bit_cast<double>(__builtin_bswap64(number(8)))}); break;  // the one big-endian number

      case 'S': quoted(line()); break;
      case 'V': plain(line()); break;
      case 'U': case 0x8c: push_text(counted(1)); break;
      case 'T': case 'X': push_text(counted(4)); break;
      case 0x8d: push_text(counted(8)); break;
      case 'C': push_text(counted(1), Kind::bytes); break;
      case 'B': push_text(counted(4), Kind::bytes); break;
      case 0x8e: case 0x96: push_text(counted(8), Kind::bytes); break;

      case ')': push_items(Kind::tuple, {}); break;
      case 0x85: push_items(Kind::tuple, pop_last(1)); break;
      case 0x86: push_items(Kind::tuple, pop_last(2)); break;
      case 0x87: push_items(Kind::tuple, pop_last(3)); break;
      case 't': push_items(Kind::tuple, pop_mark()); break;
      case ']': push_items(Kind::list, {}); break;
      case 'l': push_items(Kind::list, pop_mark()); break;
      case 'a': extend(pop_last(1), false); break;
      case 'e': case 0x90: extend(pop_mark(), false); break;
      case 0x8f: push_items(Kind::set, {}); break;
      case 0x91: push_items(Kind::set, pop_mark()); break;
      case '}': push_items(Kind::dict, {}); break;
      default: step_object(opcode);
    }
  }

  void step_object(unsigned char opcode) {
    switch (opcode) {
      case 'd': {
        auto items = pop_mark();
        push_items(Kind::dict, {});
        extend(std::move(items), true);
        break;
      }
      case 's': extend(pop_last(2), true); break;
      case 'u': extend(pop_mark(), true); break;

      case 'p': memoize(parse<std::uint64_t>(line())); break;
      case 'q': memoize(number(1)); break;
      case 'r': memoize(number(4)); break;
      case 0x94: memoize(memo_.size()); break;
      case 'g': recall(parse<std::uint64_t>(line())); break;
      case 'h': recall(number(1)); break;
      case 'j': recall(number(4)); break;

      case 'c': {
        const auto module = line();
        push_global(module, line());
        break;
      }
      case 0x93: {  // STACK_GLOBAL
        const auto names = pop_last(2);
        if (values_[names[0]].kind != Kind::text || values_[names[1]].kind != Kind::text) refuse("names a global by something else than text");
        push_global(values_[names[0]].text, values_[names[1]].text);
        break;
      }
      case 'i': {  // INST: class by name, arguments from the mark
        const auto module = line();
        push_global(module, line());
        const PickleId callee = pop();
        call(callee, add({.kind = Kind::tuple, .items = pop_mark()}));
        break;
      }
      case 'o': {  // OBJ: class and arguments from the mark
        auto items = pop_mark();
        if (items.empty()) refuse("calls something that has no name");
        const PickleId callee = items.front();
        items.erase(items.begin());
        call(callee, add({.kind = Kind::tuple, .items = std::move(items)}));
        break;
      }
      case 'R': case 0x81: {  // REDUCE, NEWOBJ
        const auto items = pop_last(2);
        call(items[0], items[1]);
        break;
      }
      case 'b':  // BUILD: the object stays, its state goes
        pop();
        top();
        break;
      case 'Q': push_items(Kind::persistent, pop_last(1)); break;
      default: refuse("has the opcode ", static_cast<int>(opcode), ", which checkpoints do not use");
    }
  }

  std::span<const std::byte> bytes_;
  std::span<const std::string_view> known_;
  const std::string& file_;
  std::size_t position_ = 0, opcode_at_ = 0;
  std::vector<PickleValue> values_;
  std::vector<PickleId> stack_;
  std::vector<std::size_t> marks_;  // the stack's size at each mark
  std::unordered_map<std::uint64_t, PickleId> memo_;
};

}  // namespace

Pickle read_pickle(std::span<const std::byte> bytes, std::span<const std::string_view> known, const std::string& file) {
  return Unpickler(bytes, known, file).read();
}

}  // namespace limpid
