// This program's own symbol table: the names of kernels, and where each thread's `__shared__` variables lie. (They are `static
// thread_local` variables of functions in limpid::cuda, and nothing else there may be.)
#include "internal.h"

#include <cxxabi.h>
#include <elf.h>
#include <link.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string_view>

namespace limpid::cuda::on_host {

constinit thread_local char anchor = 0;

namespace {

using Header = ElfW(Ehdr);
using Section = ElfW(Shdr);
using Symbol = ElfW(Sym);

std::string demangled(const char* name) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> text(abi::__cxa_demangle(name, nullptr, nullptr, &status), &std::free);
  return status == 0 ? text.get() : name;
}

struct Symbols {
  std::string bytes;  // of the program's file
  std::vector<std::pair<std::uintptr_t, const char*>> functions;  // mangled names by address
  std::vector<SharedVariable> shared;                             // by mangled name

  /// The mangled name, or null.
  const char* name(const void* function) const {
    const auto it = std::lower_bound(functions.begin(), functions.end(), std::pair{reinterpret_cast<std::uintptr_t>(function), static_cast<const char*>(nullptr)});
    return it != functions.end() && it->first == reinterpret_cast<std::uintptr_t>(function) ? it->second : nullptr;
  }

  Symbols() {
    std::ifstream file("/proc/self/exe", std::ios::binary | std::ios::ate);
    bytes.resize(static_cast<std::size_t>(file.tellg()));
    file.seekg(0).read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    const auto at = [&]<class T>(std::size_t offset, T) {
      T value;
      std::memcpy(&value, bytes.data() + offset, sizeof value);
      return value;
    };
    std::uintptr_t base = 0;  // where the program lies; the first object is the program
    dl_iterate_phdr([](dl_phdr_info* info, std::size_t, void* result) { return *static_cast<std::uintptr_t*>(result) = info->dlpi_addr, 1; }, &base);
    const auto header = at(0, Header{});
    const auto section = [&](std::size_t i) { return at(header.e_shoff + i * header.e_shentsize, Section{}); };
    std::ptrdiff_t anchor_value = -1;
    for (std::size_t s = 0; s < header.e_shnum; ++s) {
      const Section table = section(s);
      if (table.sh_type != SHT_SYMTAB) continue;
      const std::size_t names = section(table.sh_link).sh_offset;
      for (std::size_t i = 0; i < table.sh_size / sizeof(Symbol); ++i) {
        const auto symbol = at(table.sh_offset + i * sizeof(Symbol), Symbol{});
        const auto type = symbol.st_info & 0xf;
        const char* name = bytes.data() + names + symbol.st_name;
        if (type == STT_FUNC && symbol.st_value) functions.emplace_back(base + symbol.st_value, name);
        if (type != STT_TLS || symbol.st_shndx == SHN_UNDEF) continue;
        const std::string_view view = name;
        const auto value = static_cast<std::ptrdiff_t>(symbol.st_value);
        if (view == "_ZN6limpid4cuda7on_host6anchorE") anchor_value = value;
        if (view.starts_with("_ZZN6limpid4cuda") && !view.starts_with("_ZZN6limpid4cuda7on_host")) shared.push_back({name, value, symbol.st_size});
      }
    }
    if (anchor_value < 0) {
      std::fprintf(stderr, "CUDA on the host: this program has no symbol table, so shared memory cannot be found; do not strip it.\n");
      std::abort();
    }
    for (auto& variable : shared) variable.offset -= anchor_value;
    std::sort(functions.begin(), functions.end());
  }
};

const Symbols& symbols() {
  static const Symbols all;
  return all;
}

}  // namespace

std::string function_name(const void* function) {
  const char* mangled = symbols().name(function);
  if (!mangled) return text("kernel at ", function);
  std::string name = demangled(mangled);
  for (const std::string_view gone : {"limpid::cuda::", "(anonymous namespace)::", "limpid::"})
    for (std::size_t at; (at = name.find(gone)) != std::string::npos;) name.erase(at, gone.size());
  if (const auto open = name.rfind('('); open != std::string::npos) name.resize(open);  // the parameters say little
  if (name.starts_with("void ")) name.erase(0, 5);
  return name;
}

const std::vector<SharedVariable>& shared_variables() { return symbols().shared; }

std::size_t shared_bytes(const void* kernel) {
  const char* mangled = symbols().name(kernel);
  if (!mangled) return 0;
  const std::string prefix = "_ZZ" + std::string(mangled + 2) + "E";
  std::size_t bytes = 0;
  for (const auto& variable : shared_variables())
    if (variable.name.starts_with(prefix)) bytes += variable.bytes;
  return bytes;
}

}  // namespace limpid::cuda::on_host
