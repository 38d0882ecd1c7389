#include "server/authentication.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

namespace ringcached::server {
namespace {

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "localhost";
  return name.data();
}

}  // namespace

Result<Authentication> Authentication::open(const config::Config& config, Log& log) {
  Authentication result;
  if (!config.text_password_file.empty()) {
    auto file = PasswordFile::open(PasswordFile::Kind::kText, config.text_password_file, log);
    if (!file) return file.status();
    result.text_ = std::move(file.value());
  }
  if (!config.sasl_password_file.empty()) {
    auto file = PasswordFile::open(PasswordFile::Kind::kSasl, config.sasl_password_file, log);
    if (!file) return file.status();
    result.sasl_ = std::move(file.value());
    result.sasl_realm_ = "@" + host_name();
  }
  return result;
}

void Authentication::set_workers(unsigned workers) {
  if (text_) text_->set_readers(workers);
  if (sasl_) sasl_->set_readers(workers);
}

bool Authentication::accepts_text(unsigned worker, std::string_view user, std::string_view password) const {
  return text_ != nullptr && text_->match(worker, user, password);
}

bool Authentication::accepts_sasl(unsigned worker, std::string_view user, std::string_view password) const {
  if (sasl_ == nullptr) return false;
  if (user.find('@') != std::string_view::npos) return sasl_->match(worker, user, password);
  std::array<char, kCredentialBytesMax> full;
  if (user.size() + sasl_realm_.size() > full.size()) return false;
  char* const end =
      std::copy(sasl_realm_.begin(), sasl_realm_.end(), std::copy(user.begin(), user.end(), full.begin()));
  return sasl_->match(worker, {full.data(), static_cast<std::size_t>(end - full.data())}, password);
}

void Authentication::reload() {
  if (text_) text_->reload();
  if (sasl_) sasl_->reload();
}

void Authentication::reload_if_changed() {
  if (sasl_) sasl_->reload_if_changed();
}

}  // namespace ringcached::server
