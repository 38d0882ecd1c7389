#include "server/binary_session.h"

#include <algorithm>

#include "protocol/binary_reply.h"
#include "ringcached/version.h"
#include "server/admin.h"
#include "server/authentication.h"
#include "server/binary_batch.h"
#include "server/binary_execute.h"
#include "server/binary_stats.h"
#include "store/store_read.h"

namespace ringcached::server {

using protocol::BinaryCommand;
using protocol::BinaryRequest;
using protocol::BinaryResult;
using protocol::BinaryStatus;

BinarySession::BinarySession(WorkerContext& worker, const SaslExchange& sasl)
    : worker_(worker),
      sasl_required_(worker.server.authentication != nullptr &&
                     worker.server.authentication->required_by_binary()),
      sasl_(sasl) {}

Consumed BinarySession::on_data(Connection& connection, std::span<const char> data) {
  Output& output = connection.output();
  return converse(worker_, connection, data, [&](std::string_view input, unsigned share) {
    return step(connection, output, input, share);
  });
}

BinarySession::Step BinarySession::step(Connection& connection, Output& output, std::string_view input,
                                        unsigned share) {
  if (swallow_bytes_ > 0) return on_swallow(input);
  if (value_ != nullptr) return on_value(output, input);
  const Step batch = on_batch(output, input, share);
  return batch.requests > 0 ? batch : on_header(connection, output, input);
}

BinarySession::Step BinarySession::on_batch(Output& output, std::string_view input, unsigned share) {
  BinaryBatch& batch = *worker_.binary_batch;
  batch.plan(worker_, input, access(), share);
  if (batch.size() > 1) {
    worker_.store.prefetch_items(batch.size(), [&](std::size_t i) -> store::Key& { return batch.key(i); });
  }
  std::size_t used = 0;
  for (const BinaryBatch::Planned& planned : batch) {
    const std::string_view value = input.substr(used + planned.request_bytes, planned.request.value_bytes);
    execute_binary(worker_, output, planned.request, planned.key, value);
    worker_.latency.count(kind_of(planned.request.command));
    used += planned.request_bytes + planned.request.value_bytes;
  }
  return {.used = used, .requests = static_cast<unsigned>(batch.size())};
}

BinarySession::Step BinarySession::on_header(Connection& connection, Output& output, std::string_view input) {
  BinaryRequest request;
  const BinaryResult parsed = protocol::parse_binary(input, access(), request);
  switch (parsed.kind) {
    case BinaryResult::Kind::kNeedMore:
      return {.wait = true};
    case BinaryResult::Kind::kRequest:
      return on_request(connection, output, request, parsed.consumed, input.substr(parsed.consumed));
    case BinaryResult::Kind::kError:
      answer_binary_error(output, request.header, parsed.status);
      swallow_bytes_ = parsed.swallow;
      return {.used = parsed.consumed};
    case BinaryResult::Kind::kFatal:
      answer_binary_error(output, request.header, parsed.status);
      break;
    case BinaryResult::Kind::kClose:
      break;
  }
  return {.used = input.size(), .reject = true};
}

// What a batch leaves: values that have not all come, and what is not about an item.
BinarySession::Step BinarySession::on_request(Connection& connection, Output& output,
                                              const BinaryRequest& request, std::size_t request_bytes,
                                              std::string_view rest) {
  if (protocol::is_binary_storage(request.command)) {
    const Step value = begin_value(output, request, rest);
    return {.used = request_bytes + value.used, .wait = value.wait};
  }
  // Measured apart from the requests around it, which are short.
  worker_.latency.end_run();
  const Step step = on_administration(connection, output, request, request_bytes, rest);
  if (!step.later) worker_.latency.count(CommandKind::kOther);
  worker_.latency.end_run();
  return step;
}

BinarySession::Step BinarySession::on_administration(Connection& connection, Output& output,
                                                     const BinaryRequest& request, std::size_t request_bytes,
                                                     std::string_view rest) {
  switch (request.command) {
    case BinaryCommand::kNoop:
      answer_binary_success(output, request.header, 0);
      break;
    case BinaryCommand::kVersion:
      answer_binary_text(output, request.header, BinaryStatus::kOk, kProtocolVersion);
      break;
    case BinaryCommand::kStat:
      return on_stat(output, request, request_bytes);
    case BinaryCommand::kFlush:
      if (!flush_prepared(worker_)) return {.later = true};
      flush(output, request);
      break;
    case BinaryCommand::kQuit:
      if (!request.quiet) answer_binary_success(output, request.header, 0);
      return {.used = request_bytes, .close = true};
    case BinaryCommand::kSaslList:
    case BinaryCommand::kSaslAuth:
    case BinaryCommand::kSaslStep:
      return on_sasl(connection, output, request, request_bytes, rest);
    default:
      break;
  }
  return {.used = request_bytes};
}

// A message is looked at once all of it is there; until then nothing is consumed.
BinarySession::Step BinarySession::on_sasl(Connection& connection, Output& output,
                                           const BinaryRequest& request, std::size_t request_bytes,
                                           std::string_view rest) {
  if (!sasl_required_) {
    answer_binary_error(output, request.header, BinaryStatus::kUnknownCommand);
    swallow_bytes_ = request.value_bytes;
    return {.used = request_bytes};
  }
  if (request.command == BinaryCommand::kSaslList) {
    answer_binary_text(output, request.header, BinaryStatus::kOk, kSaslMechanisms);
    return {.used = request_bytes};
  }
  if (request.value_bytes > kSaslMessageBytesMax) {
    answer_sasl(output, request, sasl_.fail());
    swallow_bytes_ = request.value_bytes;
    return {.used = request_bytes};
  }
  if (rest.size() < request.value_bytes) return {.wait = true};
  const auto check = [&](std::string_view user, std::string_view password) {
    return worker_.server.authentication->accepts_sasl(connection.worker(), user, password);
  };
  const std::string_view message = rest.substr(0, request.value_bytes);
  answer_sasl(output, request,
              request.command == BinaryCommand::kSaslAuth ? sasl_.auth(request.key, message, check)
                                                          : sasl_.step(request.key, message, check));
  return {.used = request_bytes + message.size()};
}

void BinarySession::answer_sasl(Output& output, const BinaryRequest& request, SaslOutcome outcome) {
  if (outcome == SaslOutcome::kContinue) {
    return answer_binary_text(output, request.header, BinaryStatus::kAuthContinue, {});
  }
  worker_.counters.add(Count::kAuthCmds);
  if (outcome == SaslOutcome::kAuthenticated) {
    return answer_binary_text(output, request.header, BinaryStatus::kOk, "Authenticated");
  }
  worker_.counters.add(Count::kAuthErrors);
  answer_binary_error(output, request.header, BinaryStatus::kAuthError);
}

BinarySession::Step BinarySession::on_stat(Output& output, const BinaryRequest& request,
                                           std::size_t request_bytes) {
  std::unique_ptr<DumpSource> source = answer_binary_stat(worker_, output, request);
  if (source == nullptr) return {.used = request_bytes};
  worker_.successor = std::make_unique<DumpSession>(worker_, std::move(source),
                                                    std::make_unique<BinarySession>(worker_, sasl_));
  return {.used = request_bytes, .hand_over = true};
}

void BinarySession::flush(Output& output, const BinaryRequest& request) {
  if (!flush_allowed(worker_)) {
    return answer_binary_error(output, request.header, BinaryStatus::kAuthError);
  }
  flush_after(worker_, std::int64_t{request.exptime});
  if (!request.quiet) answer_binary_success(output, request.header, 0);
}

BinarySession::Step BinarySession::begin_value(Output& output, const BinaryRequest& request,
                                               std::string_view input) {
  value_ = std::make_unique<PendingValue>(
      worker_, request, binary_store_request(worker_, request, worker_.store.key(request.key)));
  if (value_->upload.begun() == store::StoreResult::kStored) return on_value(output, input);
  answer_binary_store(worker_, output, value_->command, value_->wanted, value_->upload.begun());
  end_value(request.value_bytes);
  return {};
}

BinarySession::Step BinarySession::on_value(Output& output, std::string_view input) {
  ValueUpload& upload = value_->upload;
  const std::size_t used = std::min<std::size_t>(input.size(), upload.remaining());
  if (!upload.write(input.substr(0, used))) {
    answer_binary_text(output, value_->command.header, BinaryStatus::kOutOfMemory,
                       protocol::kBinaryNoMemoryDuringRead);
    end_value(upload.remaining());
    return {};
  }
  if (upload.remaining() > 0) return {.used = used, .wait = true};
  answer_binary_store(worker_, output, value_->command, value_->wanted, upload.commit());
  end_value(0);
  return {.used = used};
}

void BinarySession::end_value(std::uint32_t swallow) {
  worker_.latency.count(kind_of(value_->command.command));
  value_.reset();
  swallow_bytes_ = swallow;
}

BinarySession::Step BinarySession::on_swallow(std::string_view input) {
  const std::size_t used = std::min<std::size_t>(swallow_bytes_, input.size());
  swallow_bytes_ -= static_cast<std::uint32_t>(used);
  return {.used = used, .requests = 0};
}

}  // namespace ringcached::server
