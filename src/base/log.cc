#include "base/log.h"

#include <unistd.h>

namespace ringcached {

void Log::write(LogLevel level, std::string_view line) const {
  if (!enabled(level)) return;
  std::string text = "ringcached: ";
  text.append(line);
  text.push_back('\n');
  // A log that cannot be written has nowhere to say so.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

std::string escaped(std::string_view bytes, std::size_t bytes_max) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string text;
  for (const char c : bytes.substr(0, bytes_max)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && byte != '\\') {
      text.push_back(c);
    } else {
      text.append({'\\', 'x', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  if (bytes.size() > bytes_max) text.append("...");
  return text;
}

}  // namespace ringcached
