#include "sim_client.h"

#include <algorithm>

namespace ringcached::testing {
namespace {

std::string random_bytes(Dice& dice, std::size_t count) {
  std::string bytes(count, ' ');
  for (char& byte : bytes) byte = static_cast<char>('a' + dice.below(16));
  return bytes;
}

}  // namespace

SimClientActor::SimClientActor(SimEngine& engine, Dice& dice, Protocol protocol)
    : engine_(engine), id_(engine.world.connect(engine.listeners[dice.below(2)])) {
  generate(dice, protocol);
}

void SimClientActor::generate(Dice& dice, Protocol protocol) {
  if (protocol == Protocol::kEcho) {
    to_send_ = expected_ = random_bytes(dice, dice.below(6000));
    return;
  }
  static constexpr unsigned kSizes[] = {1, 8, 40, 100, 300, 1500, 5000};
  bool quit = false;
  for (unsigned frames = dice.below(25); frames > 0; --frames) {
    const std::string whole = frame(random_bytes(dice, dice.below(kSizes[dice.below(7)])));
    to_send_ += whole;
    if (!quit) expected_ += whole;
    if (dice.one_in(12)) {
      to_send_ += frame("r");
      if (!quit) expected_ += std::string(kProducedPiece * kProducedPieces, 'z');
    }
    if (dice.one_in(60)) {
      to_send_ += frame("q");
      quit = true;
    }
  }
  // A frame that never becomes whole.
  if (dice.one_in(4)) to_send_ += frame(std::string(500, 'x')).substr(0, dice.below(400));
}

void SimClientActor::write_some(std::size_t bytes) {
  const std::size_t part = std::min(bytes, to_send_.size() - written_);
  engine_.world.client_write(id_, std::string_view(to_send_).substr(written_, part));
  written_ += part;
}

void SimClientActor::act(Dice& dice) {
  if (gone_) return;
  static constexpr unsigned kPieces[] = {1, 3, 50, 400, 3000};
  switch (dice.below(40)) {
    case 0:
      return engine_.world.client_stop_reading(id_);
    case 1:
    case 2:
      return engine_.world.client_resume_reading(id_);
    case 3:
      if (!dice.one_in(8)) return;
      gone_ = true;
      return dice.one_in(2) ? engine_.world.client_close(id_) : engine_.world.client_reset(id_);
    default:
      if (!half_closed_) write_some(1 + dice.below(kPieces[dice.below(5)]));
      check();
  }
}

void SimClientActor::finish() {
  if (gone_) return;
  write_some(to_send_.size());
  engine_.world.client_resume_reading(id_);
  engine_.world.client_half_close(id_);
  half_closed_ = true;
}

void SimClientActor::check() {
  received_ += engine_.world.client_take(id_);
  const bool refused = !received_.empty() && engine_.options.refusal_line.starts_with(received_);
  if (refused || failed_) return;
  if (received_.size() > expected_.size()) return fail("got more than was owed");
  if (!std::equal(received_.begin(), received_.end(), expected_.begin())) fail("got wrong bytes");
}

void SimClientActor::check_complete() {
  check();
  if (gone_ || failed_) return;
  if (engine_.world.client_saw_reset(id_)) {
    const bool refused = received_.size() <= 64 && engine_.options.refusal_line.starts_with(received_);
    const bool broken = engine_.world.injected("receive_error") + engine_.world.injected("send_error") > 0;
    if (!refused && !broken && expected_.size() == to_send_.size()) fail("was reset without a cause");
    return;
  }
  if (!engine_.world.client_saw_end(id_)) return fail("saw no end of stream");
  if (received_ == engine_.options.refusal_line) return;
  if (received_ != expected_) {
    fail("got " + std::to_string(received_.size()) + " of " + std::to_string(expected_.size()) + " bytes");
  }
}

void SimClientActor::fail(const std::string& what) {
  failed_ = true;
  engine_.failures.push_back("client " + std::to_string(id_) + " " + what);
}

}  // namespace ringcached::testing
