// The configuration file: TOML, strict. Every error names file, line and column, the cause and what to write.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/draft.h"

namespace ringcached::config {

// Larger files are refused: no configuration is that long, and a wrong path may name anything.
inline constexpr std::size_t kConfigFileBytesMax = std::size_t{1} << 20;

// Applies the file's settings to `draft`. On failure the draft may hold some of them and is to be dropped.
std::optional<Failure> read_config_file(const std::string& path, Draft& draft);

// The same for text already read; `name` stands for the file in messages.
std::optional<Failure> read_config_text(std::string_view text, const std::string& name, Draft& draft);

}  // namespace ringcached::config
