// Status and Result<T>: operating errors as values.
//
// An operating error (a file that is not there, a port in use, a kernel that refuses) is a Status and must be
// looked at; a programmer error is an assertion (src/base/assert.h). No exceptions cross a public header.
#pragma once

#include <string>
#include <utility>
#include <variant>

namespace ringcached {

enum class StatusCode {
  kOk,
  kInvalidArgument,  // the caller's input is wrong; the message names the place and the remedy
  kNotFound,         // a file, user or address that does not exist
  kUnavailable,      // the kernel or the environment refuses: io_uring forbidden, limit reached, port taken
  kOutOfMemory,
  kInternal,  // an errno nobody expected; the message carries it
};

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  static Status ok() { return {}; }
  bool is_ok() const { return code_ == StatusCode::kOk; }
  explicit operator bool() const { return is_ok(); }
  StatusCode code() const { return code_; }
  // One line for a person: what failed, where, why, what to do. Empty when ok.
  const std::string& message() const { return message_; }

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

// A value or the Status that explains its absence.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}         // NOLINT: implicit by design
  Result(Status status) : state_(std::in_place_index<1>, std::move(status)) {}  // NOLINT: implicit by design

  bool is_ok() const { return state_.index() == 0; }
  explicit operator bool() const { return is_ok(); }
  // Precondition: is_ok().
  T& value() { return std::get<0>(state_); }
  const T& value() const { return std::get<0>(state_); }
  // Ok when there is a value.
  Status status() const { return is_ok() ? Status() : std::get<1>(state_); }

 private:
  std::variant<T, Status> state_;
};

}  // namespace ringcached
