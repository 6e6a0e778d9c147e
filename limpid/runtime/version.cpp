#include <limpid/runtime/version.h>

namespace limpid {
std::string_view version() { return LIMPID_VERSION; }
}  // namespace limpid
