#include "bench/dialects.h"

#include "bench/binary_dialect.h"
#include "bench/classic_dialect.h"

namespace ringcached::bench {
namespace {

template <typename T>
std::unique_ptr<Dialect> make() {
  return std::make_unique<T>();
}

constexpr struct {
  const char* name;
  std::unique_ptr<Dialect> (*make)();
} kDialects[] = {
    {"classic", make<ClassicDialect>}, {"binary", make<BinaryDialect>}, {"meta", make<MetaDialect>}};

}  // namespace

std::vector<std::string> dialect_names() {
  std::vector<std::string> names;
  for (const auto& dialect : kDialects) names.emplace_back(dialect.name);
  return names;
}

std::unique_ptr<Dialect> make_dialect(const std::string& name) {
  for (const auto& dialect : kDialects) {
    if (name == dialect.name) return dialect.make();
  }
  return nullptr;
}

}  // namespace ringcached::bench
