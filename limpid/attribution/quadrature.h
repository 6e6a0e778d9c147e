#pragma once
// Where on the path from baseline to input the gradient is taken, and with which weight.
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace limpid {

struct Quadrature {
  std::vector<double> nodes, weights;  // nodes in [0, 1]
};

/// `gausslegendre`, `riemann_left`, `riemann_right`, `riemann_middle` and `riemann_trapezoid` exactly as Captum has them (the weights of the
/// last sum to 1 - 1/n there), and `trapezoid`, the composite trapezoidal rule whose weights sum to one.
/// Throws invalid_argument for another rule (with near names), for n < 1 or above a million (gausslegendre: 10000) and, for the trapezoids, n < 2.
Quadrature quadrature(std::string_view rule, int n);

/// The names above.
std::span<const std::string> quadrature_rules();

}  // namespace limpid
