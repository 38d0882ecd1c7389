// CHECK is always on, DCHECK only in debug and sanitizer builds. Both are for programmer errors: an operating
// error (errno, bad input) is a Status. A failed check prints the expression and the place, then aborts.
#pragma once

namespace ringcached {

[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);

}  // namespace ringcached

#define RC_CHECK(expression)                     \
  (__builtin_expect(!!(expression), 1) ? (void)0 \
                                       : ::ringcached::assertion_failed(#expression, __FILE__, __LINE__))

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(RINGCACHED_DEBUG)
#define RC_DCHECK(expression) RC_CHECK(expression)
#else
#define RC_DCHECK(expression) ((void)sizeof(!!(expression)))
#endif
