#include "server/binary_session.h"

#include <algorithm>

#include "protocol/binary_reply.h"
#include "ringcached/version.h"
#include "server/admin.h"
#include "server/binary_batch.h"
#include "server/binary_execute.h"
#include "server/binary_stats.h"

namespace ringcached::server {

using protocol::BinaryCommand;
using protocol::BinaryRequest;
using protocol::BinaryResult;
using protocol::BinaryStatus;

Consumed BinarySession::on_data(Connection& connection, std::span<const char> data) {
  Output& output = connection.output();
  const std::string_view input(data.data(), data.size());
  std::size_t used = 0;
  unsigned requests = 0;
  while (used < input.size()) {
    const Step done = step(output, input.substr(used), worker_.requests_per_turn - requests);
    used += done.used;
    if (done.close) return {used, Next::kClose};
    if (done.wait) return {used, Next::kReceive};
    if (connection.output_blocked()) return {used, Next::kBlocked};
    requests += done.requests;
    if (requests >= worker_.requests_per_turn) {
      if (connection.others_waiting()) return {used, Next::kYield};
      requests = 0;
    }
  }
  return {used, Next::kReceive};
}

BinarySession::Step BinarySession::step(Output& output, std::string_view input, unsigned share) {
  if (swallow_bytes_ > 0) return on_swallow(input);
  if (value_ != nullptr) return on_value(output, input);
  const Step batch = on_batch(output, input, share);
  return batch.requests > 0 ? batch : on_header(output, input);
}

BinarySession::Step BinarySession::on_batch(Output& output, std::string_view input, unsigned share) {
  BinaryBatch& batch = *worker_.binary_batch;
  batch.plan(worker_, input, access(), share);
  if (batch.size() > 1) {
    for (const BinaryBatch::Planned& planned : batch) worker_.store.prefetch_item(planned.key);
  }
  std::size_t used = 0;
  for (const BinaryBatch::Planned& planned : batch) {
    const std::string_view value = input.substr(used + planned.request_bytes, planned.request.value_bytes);
    execute_binary(worker_, output, planned.request, planned.key, value);
    used += planned.request_bytes + planned.request.value_bytes;
  }
  return {.used = used, .requests = static_cast<unsigned>(batch.size())};
}

BinarySession::Step BinarySession::on_header(Output& output, std::string_view input) {
  BinaryRequest request;
  const BinaryResult parsed = protocol::parse_binary(input, access(), request);
  switch (parsed.kind) {
    case BinaryResult::Kind::kNeedMore:
      return {.wait = true};
    case BinaryResult::Kind::kRequest:
      return on_request(output, request, parsed.consumed, input.substr(parsed.consumed));
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
  return {.used = input.size(), .close = true};
}

// What a batch leaves: values that have not all come, and what is not about an item.
BinarySession::Step BinarySession::on_request(Output& output, const BinaryRequest& request,
                                              std::size_t request_bytes, std::string_view rest) {
  switch (request.command) {
    case BinaryCommand::kNoop:
      answer_binary_success(output, request.header, 0);
      break;
    case BinaryCommand::kVersion:
      answer_binary_text(output, request.header, BinaryStatus::kOk, kProtocolVersion);
      break;
    case BinaryCommand::kStat:
      answer_binary_stat(worker_, output, request);
      break;
    case BinaryCommand::kFlush:
      flush(output, request);
      break;
    case BinaryCommand::kQuit:
      if (!request.quiet) answer_binary_success(output, request.header, 0);
      return {.used = request_bytes, .close = true};
    case BinaryCommand::kSaslList:
    case BinaryCommand::kSaslAuth:
    case BinaryCommand::kSaslStep:
      return on_sasl(output, request, request_bytes);
    default: {
      const Step value = begin_value(output, request, rest);
      return {.used = request_bytes + value.used, .wait = value.wait};
    }
  }
  return {.used = request_bytes};
}

// Without -S there is no such command, and credentials are dropped unread.
BinarySession::Step BinarySession::on_sasl(Output& output, const BinaryRequest& request,
                                           std::size_t request_bytes) {
  answer_binary_error(output, request.header, BinaryStatus::kUnknownCommand);
  swallow_bytes_ = request.value_bytes;
  return {.used = request_bytes};
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
  value_.reset();
  swallow_bytes_ = swallow;
}

BinarySession::Step BinarySession::on_swallow(std::string_view input) {
  const std::size_t used = std::min<std::size_t>(swallow_bytes_, input.size());
  swallow_bytes_ -= static_cast<std::uint32_t>(used);
  return {.used = used, .requests = 0};
}

}  // namespace ringcached::server
