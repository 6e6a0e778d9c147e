#include <limpid/attribution/quadrature.h>
#include <limpid/runtime/error.h>
#include <limpid/runtime/near_names.h>

#include <cmath>
#include <numbers>

namespace limpid {
namespace {

/// Nodes and weights of Gauss-Legendre on [-1, 1] by Newton's iteration on the Legendre polynomial, mapped to [0, 1]
/// (Press et al., Numerical Recipes, section 4.6).
Quadrature gauss_legendre(int n) {
  Quadrature q{std::vector<double>(static_cast<std::size_t>(n)), std::vector<double>(static_cast<std::size_t>(n))};
  for (int i = 0; i < n; ++i) {
    long double x = -std::cos(std::numbers::pi_v<long double> * (i + 0.75L) / (n + 0.5L)), slope = 1;
    for (int iteration = 0; iteration < 100; ++iteration) {
      long double p = 1, previous = 0;
      for (int k = 1; k <= n; ++k) {
        const long double next = ((2 * k - 1) * x * p - (k - 1) * previous) / k;
        previous = p;
        p = next;
      }
      slope = n * (x * p - previous) / (x * x - 1);
      const long double step = p / slope;
      x -= step;
      if (std::fabs(step) < 1e-18L) break;
    }
    q.nodes[static_cast<std::size_t>(i)] = static_cast<double>((1 + x) / 2);
    q.weights[static_cast<std::size_t>(i)] = static_cast<double>(1 / ((1 - x * x) * slope * slope));
  }
  return q;
}

/// n points evenly from `first` to `last`, all of weight 1/n.
Quadrature even(int n, double first, double last) {
  Quadrature q;
  for (int i = 0; i < n; ++i) {
    q.nodes.push_back(n == 1 ? first : first + (last - first) * i / (n - 1));
    q.weights.push_back(1.0 / n);
  }
  return q;
}

}  // namespace

std::span<const std::string> quadrature_rules() {
  static const std::string names[] = {"gausslegendre", "riemann_left", "riemann_right", "riemann_middle", "riemann_trapezoid", "trapezoid"};
  return names;
}

Quadrature quadrature(std::string_view rule, int n) {
  require(n >= 1 && n <= 1000000, "The number of steps is ", n, "; it must lie between 1 and a million.");
  if (rule == "gausslegendre") {
    require(n <= 10000, "The rule gausslegendre takes at most 10000 steps; it is exact long before.");
    return gauss_legendre(n);
  }
  if (rule == "riemann_left") return even(n, 0, 1 - 1.0 / n);
  if (rule == "riemann_right") return even(n, 1.0 / n, 1);
  if (rule == "riemann_middle") return even(n, 0.5 / n, 1 - 0.5 / n);
  if (rule == "riemann_trapezoid" || rule == "trapezoid") {
    require(n >= 2, "The rule ", rule, " needs at least 2 steps.");
    Quadrature q = even(n, 0, 1);
    if (rule == "trapezoid") q.weights.assign(q.weights.size(), 1.0 / (n - 1));
    q.weights.front() /= 2;
    q.weights.back() /= 2;
    return q;
  }
  fail(ErrorCode::invalid_argument, "There is no integration rule '", rule, "'.", did_you_mean(rule, quadrature_rules()));
}

}  // namespace limpid
