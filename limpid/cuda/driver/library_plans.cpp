// outside.h's convolution plans: cuDNN's, made for a device that is there.
#include <limpid/cuda/driver/cudnn_plans.h>
#include <limpid/cuda/driver/stream.h>
#include <limpid/runtime/error.h>

#include <map>
#include <mutex>

namespace limpid::cuda {
namespace {

class LibraryPlan : public ConvolutionPlan {
 public:
  explicit LibraryPlan(CudnnPlan made) : made_(std::move(made)) {}

  std::size_t workspace_bytes() const override { return made_.workspace_bytes; }
  DType bias_type() const override { return made_.dialect.bias_type; }
  std::string name() const override { return made_.name; }

  void run(Stream& stream, const ConvolutionArguments& a) const override {
    const cudnnHandle_t handle = stream.state().cudnn_handle();
    const ConvolutionPattern& p = made_.pattern;
    std::vector<std::int64_t> ids;
    std::vector<void*> pointers;
    const auto give = [&](Operand which, const void* pointer) {
      ids.push_back(static_cast<std::int64_t>(which));
      pointers.push_back(const_cast<void*>(pointer));
    };
    static const float zero = 0, six = 6;
    give(Operand::in, a.in);
    give(Operand::weight, a.weight);
    give(Operand::out, a.out);
    if (p.bias) give(Operand::bias, a.bias);
    if (p.addend) give(Operand::addend, a.addend);
    if (p.mask) give(Operand::mask, a.mask);
    if (p.mask && !p.backward) give(Operand::zero, &zero);
    if (p.mask && !p.backward && p.activation == Activation::relu6) give(Operand::six, &six);

    Descriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, ids);
    pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, static_cast<std::int64_t>(pointers.size()), pointers.data());
    pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, a.workspace);
    pack.finalize();
    check(cudnn().execute(handle, made_.plan.get(), pack.get()), "cudnnBackendExecute");
  }

 private:
  CudnnPlan made_;
};

/// Plans are made with a handle of their own, one maker at a time. Never destroyed: at the program's end the driver may be gone first.
struct Planner {
  std::mutex busy;
  cudnnHandle_t handle = nullptr;
};

Planner& planner(int device) {
  static std::mutex guard;
  static auto* const all = new std::map<int, Planner>;
  const std::lock_guard lock(guard);
  Planner& p = (*all)[device];
  use_device(device);
  if (!p.handle) check(cudnn().create(&p.handle), "cudnnCreate");
  return p;
}

}  // namespace

std::vector<std::unique_ptr<ConvolutionPlan>> library_plans(int device, const ConvolutionPattern& pattern, bool deterministic, std::size_t most) {
  Planner& p = planner(device);
  const std::lock_guard lock(p.busy);
  std::vector<std::unique_ptr<ConvolutionPlan>> plans;
  for (auto& made : cudnn_plans({p.handle, nullptr, library_identity(device)}, pattern, {deterministic, most})) plans.push_back(std::make_unique<LibraryPlan>(std::move(made)));
  return plans;
}

std::unique_ptr<ConvolutionPlan> library_plan(int device, const ConvolutionPattern& pattern, const std::string& name) {
  Planner& p = planner(device);
  const std::lock_guard lock(p.busy);
  CudnnPlan made;
  if (!cudnn_plan_by_name({p.handle, nullptr, library_identity(device)}, pattern, name, made)) return nullptr;
  return std::make_unique<LibraryPlan>(std::move(made));
}

std::string library_identity(int device) {
  use_device(device);
  const DeviceProperties& d = device_list()[static_cast<std::size_t>(device)];
  return "cudnn " + std::to_string(cudnn().get_version()) + " sm_" + std::to_string(d.major * 10 + d.minor) + " " + d.name;
}

}  // namespace limpid::cuda
