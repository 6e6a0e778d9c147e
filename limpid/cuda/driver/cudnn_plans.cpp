#include <limpid/cuda/driver/cudnn_plans.h>
#include <limpid/cuda/plan_cache.h>
#include <limpid/runtime/error.h>

#include <algorithm>
#include <set>
#include <sstream>

namespace limpid::cuda {
namespace {

/// Engines that would break the precision that was asked for: products of f32 in fewer bits, sums in less than f32, Winograd and Fourier
/// transforms of 16-bit values, and, where every run must give the same bits, an order of summation that changes.
bool acceptable(const Descriptor& engine, const ConvolutionPattern& p, bool deterministic) {
  const auto notes = engine.get_all<cudnnBackendNumericalNote_t>(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE);
  for (const auto note : notes) switch (note) {
      case CUDNN_NUMERICAL_NOTE_TENSOR_CORE:
      case CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS:
        if (p.type == DType::f32 && !p.tf32) return false;
        break;
      case CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION: return false;
      case CUDNN_NUMERICAL_NOTE_FFT:
      case CUDNN_NUMERICAL_NOTE_WINOGRAD:
      case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4:
      case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6:
      case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13:
        if (p.type != DType::f32) return false;
        break;
      case CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC:
        if (deterministic) return false;
        break;
      default: break;
    }
  return true;
}

bool compiled_at_run_time(const Descriptor& engine) {
  const auto notes = engine.get_all<cudnnBackendBehaviorNote_t>(CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE);
  return std::find(notes.begin(), notes.end(), CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION) != notes.end();
}

struct Knob {
  std::int64_t type, value;
};

std::vector<Knob> knobs_of(const Descriptor& config) {
  std::vector<Knob> knobs;
  for (const auto& choice : config.held(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, CUDNN_KNOB_TYPE_COUNTS))
    knobs.push_back({choice.get<cudnnBackendKnobType_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE), choice.get<std::int64_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64)});
  return knobs;
}

std::string name_plan(const GraphDialect& dialect, std::int64_t engine, const std::vector<Knob>& knobs) {
  std::ostringstream s;
  s << "cudnn engine " << engine << " bias " << name_of(dialect.bias_type) << " knobs";
  for (const auto& k : knobs) s << ' ' << k.type << '=' << k.value;
  return s.str();
}

bool parse_name(const std::string& name, GraphDialect& dialect, std::int64_t& engine, std::vector<Knob>& knobs) {
  std::istringstream s(name);
  std::string library, word_engine, word_bias, type, word_knobs, knob;
  if (!(s >> library >> word_engine >> engine >> word_bias >> type >> word_knobs) || library != "cudnn" || word_engine != "engine" || word_bias != "bias" || word_knobs != "knobs") return false;
  for (const DType t : {DType::f32, DType::bf16, DType::f16})
    if (name_of(t) == type) dialect.bias_type = t;
  if (name_of(dialect.bias_type) != type) return false;
  while (s >> knob) {
    Knob k;
    char equals = 0;
    std::istringstream both(knob);
    if (!(both >> k.type >> equals >> k.value) || equals != '=' || !both.eof()) return false;
    knobs.push_back(k);
  }
  return true;
}

std::vector<GraphDialect> dialects(const ConvolutionPattern& p) {
  if (!p.bias || p.type == DType::f32) return {{DType::f32}};
  return {{p.type}, {DType::f32}};  // a bias of the pictures' type has precompiled engines
}

void name_target(const PlanTarget& target, Descriptor& plan) {
  if (target.handle) plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, target.handle);
  else plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, target.description);
}

bool make(const PlanTarget& target, Descriptor& config, CudnnPlan& made) {
  made.plan = Descriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
  made.plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
  name_target(target, made.plan);
  const cudnnStatus_t status = cudnn().finalize(made.plan.get());
  // The last step, behind code generation and compilation, fails where there is no driver to load the code.
  made.loaded = !(status == CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER && target.description);
  return status == CUDNN_STATUS_SUCCESS || !made.loaded;
}

/// The plan as it was compiled by an earlier run; false where there is none that cuDNN takes.
bool recall(const PlanTarget& target, const std::string& key, Descriptor& plan) {
  const auto json = compiled_plan(key);
  if (!json) return false;
  plan = Descriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
  name_target(target, plan);
  return cudnn().set_attribute(plan.get(), CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, static_cast<std::int64_t>(json->size()), json->data()) == CUDNN_STATUS_SUCCESS && plan.try_finalize();
}

bool finish(const PlanTarget& target, Descriptor& config, CudnnPlan& made) {
  const bool kept = made.runtime_compiled && !target.identity.empty();
  const std::string key = target.identity + ' ' + to_string(made.pattern) + ' ' + made.name;
  if (!kept || !recall(target, key, made.plan)) {
    if (!make(target, config, made)) return false;
    if (kept && made.loaded) {
      const auto json = made.plan.get_all<char>(CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR);
      keep_compiled_plan(key, std::string(json.begin(), json.end()));
    }
  }
  if (made.loaded) made.workspace_bytes = static_cast<std::size_t>(made.plan.get<std::int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64));
  return true;
}
}  // namespace

namespace {

/// Calls visit(config, plan without its end) for each configuration that cuDNN offers, best guess first, until it returns false.
template <class F>
void for_each_config(const PlanTarget& target, const ConvolutionPattern& pattern, bool deterministic, F visit) {
  constexpr std::int64_t most_configs = 64;
  std::set<std::string> seen;
  for (const auto& dialect : dialects(pattern))
    for (const auto mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B, CUDNN_HEUR_MODE_FALLBACK}) {
      OperationGraph graph;
      Descriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
      try {
        graph = operation_graph(target, pattern, dialect);
        heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph.graph);
        heuristics.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, mode);
        if (target.description) heuristics.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, target.description);
      } catch (const Error& e) {
        if (e.code() != ErrorCode::unsupported) throw;
        break;
      }
      if (!heuristics.try_finalize()) continue;
      for (auto& config : heuristics.held(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, most_configs)) {
        auto engines = config.held(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR, 1);
        if (engines.empty() || !acceptable(engines[0], pattern, deterministic)) continue;
        CudnnPlan made;
        made.name = name_plan(dialect, engines[0].get<std::int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64), knobs_of(config));
        if (!seen.insert(made.name).second) continue;
        made.pattern = pattern;
        made.dialect = dialect;
        made.runtime_compiled = compiled_at_run_time(engines[0]);
        if (!visit(config, made)) return;
      }
    }
}

}  // namespace

std::vector<CudnnPlan> cudnn_plans(const PlanTarget& target, const ConvolutionPattern& pattern, const PlanWish& wish) {
  std::vector<CudnnPlan> plans;
  std::size_t compiled = 0;
  for_each_config(target, pattern, wish.deterministic, [&](Descriptor& config, CudnnPlan& made) {
    if (plans.size() >= wish.most) return false;
    if ((made.runtime_compiled && compiled >= wish.most_compiled) || !finish(target, config, made)) return true;
    if (made.runtime_compiled) ++compiled;
    made.graph = operation_graph(target, pattern, made.dialect);
    plans.push_back(std::move(made));
    return true;
  });
  return plans;
}

std::size_t compiled_plans_offered(const PlanTarget& target, const ConvolutionPattern& pattern, bool deterministic) {
  std::size_t offered = 0;
  for_each_config(target, pattern, deterministic, [&](Descriptor&, CudnnPlan& plan) {
    offered += plan.runtime_compiled;
    return true;
  });
  return offered;
}

bool cudnn_plan_by_name(const PlanTarget& target, const ConvolutionPattern& pattern, const std::string& name, CudnnPlan& made) {
  std::int64_t engine_index = 0;
  std::vector<Knob> knobs;
  GraphDialect dialect;
  if (!parse_name(name, dialect, engine_index, knobs)) return false;
  const auto known = dialects(pattern);
  if (std::find(known.begin(), known.end(), dialect) == known.end()) return false;
  try {
    made.graph = operation_graph(target, pattern, dialect);
    Descriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    engine.set(CUDNN_ATTR_ENGINE_OPERATION_GRAPH, made.graph.graph);
    engine.set(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, engine_index);
    if (target.description) engine.set(CUDNN_ATTR_ENGINE_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, target.description);
    if (!engine.try_finalize()) return false;
    std::vector<Descriptor> choices;
    std::vector<cudnnBackendDescriptor_t> handles;
    for (const auto& k : knobs) {
      Descriptor& choice = choices.emplace_back(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
      choice.set(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, static_cast<cudnnBackendKnobType_t>(k.type));
      choice.set(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, k.value);
      if (!choice.try_finalize()) return false;
      handles.push_back(choice.get());
    }
    Descriptor config(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    config.set(CUDNN_ATTR_ENGINECFG_ENGINE, engine);
    if (!handles.empty()) config.set(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR, static_cast<std::int64_t>(handles.size()), handles.data());
    if (!config.try_finalize()) return false;
    made.pattern = pattern;
    made.dialect = dialect;
    made.name = name;
    made.runtime_compiled = compiled_at_run_time(engine);
    return finish(target, config, made);
  } catch (const Error& e) {  // a damaged name, or that of another version
    if (e.code() == ErrorCode::out_of_memory) throw;
    return false;
  }
}

Descriptor described_device(const std::string& json) {
  Descriptor device(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
  device.set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, static_cast<std::int64_t>(json.size()), json.data());
  device.finalize();
  return device;
}

}  // namespace limpid::cuda
