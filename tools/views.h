#pragma once
// How `limpid explain` shows each method: one view of the panel.
#include "methods.h"

#include <limpid/attribution/visualization.h>

#include <optional>
#include <string>
#include <string_view>

struct ViewOptions {
  std::optional<limpid::Sign> sign;  // none: what suits the method
  double outlier_percent = 2;
  bool captum_colors = false;  // Captum's own colour maps instead of the dark ones
};

struct MethodView {
  limpid::PanelView view;
  bool all_zero = false;  // nothing of that sign to show
};

/// The picture of one method's attribution over `picture`, titled, with its colour bar.
MethodView view_of(std::string_view method, const limpid::Attribution& attribution, const limpid::Image& picture, const std::string& subtitle,
                   const ViewOptions& options);
