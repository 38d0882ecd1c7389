#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace ringcached {

void assertion_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "ringcached: assertion failed: %s at %s:%d\n", expression, file, line);
  std::abort();
}

}  // namespace ringcached
