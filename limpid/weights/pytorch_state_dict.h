#pragma once
// The state dict inside what was pickled: bare, wrapped in a training checkpoint, or with the prefixes of wrapped modules.
#include <limpid/weights/pickle.h>
#include <limpid/weights/pytorch_tensors.h>

#include <map>
#include <string>
#include <vector>

namespace limpid {

struct StateDict {
  std::map<std::string, PickleId> tensors;
  std::vector<std::string> notes;  // what was unwrapped, renamed or left out
};

/// Looks under 'state_dict', 'model_state_dict' and 'model', then in the pickle's root, then under the one other key that leads to tensors,
/// at most four levels deep. Strips 'module.' (DataParallel), '_orig_mod.' (torch.compile) and 'model.' (Lightning) where all names begin so.
/// Throws bad_file when there are no tensors or more than 100 000; unsupported when several state dicts stand side by side.
StateDict find_state_dict(const Pickle& pickle, const PytorchTensors& tensors, const std::string& file);

/// "'a', 'b', 'c' and 12 more"
std::string list_names(const std::vector<std::string>& names);

}  // namespace limpid
