#include "server/text_session.h"

#include <algorithm>
#include <array>

#include "protocol/reply.h"
#include "server/admin.h"
#include "server/batch.h"
#include "server/meta.h"
#include "server/mutation.h"
#include "server/watch_session.h"
#include "store/store_read.h"

namespace ringcached::server {
namespace {

// Keys of one long retrieval line that are answered together: for latency of memory as in Batch, and between
// two groups the output may block and others get their turn.
constexpr std::size_t kKeysPerStep = 16;

Retrieval retrieval_of(const WorkerContext& worker, const protocol::Request& request) {
  using protocol::Command;
  Retrieval retrieval;
  retrieval.with_cas = request.command == Command::kGets || request.command == Command::kGats;
  retrieval.touch = request.command == Command::kGat || request.command == Command::kGats;
  if (retrieval.touch) {
    retrieval.expiry = worker.expiry(request.exptime);
  }
  return retrieval;
}

void append_stored(Output& output, const StorageOutcome& outcome) {
  output.append(outcome.fault.empty() ? storage_reply(outcome.result) : outcome.fault);
}

// Of what an idle connection may cost (net/connection.h).
static_assert(sizeof(TextSession) <= 64);

}  // namespace

Consumed TextSession::on_data(Connection& connection, std::span<const char> data) {
  Output& output = connection.output();
  return converse(worker_, connection, data, [&](std::string_view input, unsigned share) {
    return step(connection, output, input, share);
  });
}

TextSession::Step TextSession::step(Connection& connection, Output& output, std::string_view input,
                                    unsigned share) {
  switch (state_) {
    case State::kLine: {
      const Step batch = on_batch(output, input, share);
      return batch.requests > 0 ? batch : on_line(connection, output, input);
    }
    case State::kKeys:
      return on_keys(output, input);
    case State::kUpload:
      return on_upload(output, input);
    case State::kSwallow:
      return on_swallow(output, input);
  }
  return {.close = true};
}

bool TextSession::on_lookahead(std::span<const char> input) {
  planned_ahead_ = Lookahead::kNone;
  // A line that has begun to come is not looked at again.
  if (state_ != State::kLine || scan_.searched != 0) return true;
  planned_ahead_ = worker_.lookahead->add(worker_, this, {input.data(), input.size()});
  return !worker_.lookahead->full();
}

std::span<const Batch::Planned> TextSession::plan(std::string_view input, unsigned share) {
  const auto ahead = worker_.lookahead->take(planned_ahead_, this, input.data());
  if (!ahead.empty()) return ahead.first(std::min<std::size_t>(ahead.size(), share));
  Batch& batch = *worker_.batch;
  batch.clear();
  const auto planned = batch.plan(worker_, input, scan_, share);
  batch.prefetch_items(worker_);
  return planned;
}

// Usually the whole pipeline: everything there is to parse is parsed, and the memory it needs is asked for in
// three steps (bucket, item, or overflow bucket and then item), before the first request is executed.
TextSession::Step TextSession::on_batch(Output& output, std::string_view input, unsigned share) {
  std::span<const Batch::Planned> batch = plan(input, share);
  std::size_t used = 0;
  for (const Batch::Planned& planned : batch) {
    used += planned.line_bytes;
    used += execute(output, planned, input.substr(used));
  }
  return {.used = used, .requests = static_cast<unsigned>(batch.size())};
}

// `block`: the input behind the line. Returns what of it belongs to the request.
std::size_t TextSession::execute(Output& output, const Batch::Planned& planned, std::string_view block) {
  if (planned.is_plain_get) {
    worker_.latency.count(CommandKind::kGet);
    retrieve_whole(worker_, output, planned.key);
    return 0;
  }
  if (planned.meta != nullptr) {
    worker_.latency.count(kind_of(planned.meta->command));
    if (planned.meta->command == protocol::MetaCommand::kSet) {
      return store_whole(output, *planned.meta, planned.key, block);
    }
    execute_meta(worker_, *planned.meta, planned.key, output);
    return 0;
  }
  worker_.latency.count(kind_of(planned.request.command));
  if (protocol::is_storage(planned.request.command)) {
    return store_line(worker_, output, planned.request, planned.key, block);
  }
  retrieve(worker_, output, planned.key, retrieval_of(worker_, planned.request));
  output.append(protocol::reply::kEnd);
  return 0;
}

std::size_t TextSession::store_whole(Output& output, const protocol::MetaRequest& request,
                                     const store::Key& key, std::string_view block) {
  const StorageOutcome outcome = store_block(worker_, storing_of(worker_, request, key), block);
  append_meta_stored(worker_, request, outcome, output);
  return outcome.consumed;
}

TextSession::Step TextSession::on_line(Connection& connection, Output& output, std::string_view input) {
  protocol::Request request;
  protocol::MetaRequest meta;
  const protocol::ParseResult parsed = protocol::parse_text(input, scan_, request, meta);
  switch (parsed.kind) {
    case protocol::ParseKind::kRequest:
      return on_request(connection, output, request, input, parsed.consumed);
    case protocol::ParseKind::kMeta:
      return on_meta(output, meta, input, parsed.consumed);
    case protocol::ParseKind::kNeedMore:
      return {.used = parsed.consumed, .wait = true};
    case protocol::ParseKind::kError: {
      const std::string_view reply = parsed.noreply ? std::string_view() : parsed.reply;
      if (parsed.swallow > 0) {
        swallow(parsed.swallow, reply);
      } else {
        worker_.latency.count(CommandKind::kOther);
        output.append(reply);
      }
      return {.used = parsed.consumed};
    }
    case protocol::ParseKind::kClose:
      output.append(parsed.reply);
      return {.used = input.size(), .reject = true};
  }
  return {.close = true};
}

TextSession::Step TextSession::on_request(Connection& connection, Output& output,
                                          const protocol::Request& request, std::string_view input,
                                          std::size_t line_bytes) {
  using protocol::Command;
  switch (request.command) {
    case Command::kGet:
    case Command::kGets:
    case Command::kGat:
    case Command::kGats:
      return begin_retrieval(output, request, input, line_bytes);
    case Command::kSet:
    case Command::kAdd:
    case Command::kReplace:
    case Command::kAppend:
    case Command::kPrepend:
    case Command::kCas:
      return begin_storage(output, request, input, line_bytes);
    case Command::kDelete:
      execute_delete(worker_, request, output);
      break;
    case Command::kIncr:
    case Command::kDecr:
      execute_arithmetic(worker_, request, output);
      break;
    case Command::kTouch:
      execute_touch(worker_, request, output);
      break;
    default:
      return on_administration(connection, output, request, line_bytes);
  }
  worker_.latency.count(kind_of(request.command));
  return {.used = line_bytes};
}

// Measured apart from the requests around it, which are short.
TextSession::Step TextSession::on_administration(Connection& connection, Output& output,
                                                 const protocol::Request& request, std::size_t line_bytes) {
  worker_.latency.end_run();
  const Step step = administer(connection, output, request, line_bytes);
  if (!step.later) worker_.latency.count(CommandKind::kOther);
  worker_.latency.end_run();
  return step;
}

TextSession::Step TextSession::administer(Connection& connection, Output& output,
                                          const protocol::Request& request, std::size_t line_bytes) {
  using protocol::Command;
  switch (request.command) {
    case Command::kWatch:
      return {.used = line_bytes, .hand_over = begin_watch(worker_, output, request.arguments)};
    case Command::kQuit:
      return {.used = line_bytes, .close = true};
    default: {
      const AdminOutcome outcome = execute_admin(worker_, connection, request, output, worker_.successor);
      if (outcome == AdminOutcome::kLater) return {.later = true};
      return {.used = line_bytes,
              .close = outcome == AdminOutcome::kClose,
              .hand_over = outcome == AdminOutcome::kHandOver};
    }
  }
}

TextSession::Step TextSession::on_meta(Output& output, const protocol::MetaRequest& request,
                                       std::string_view input, std::size_t line_bytes) {
  const bool keyed = request.command != protocol::MetaCommand::kNoop;
  const store::Key key = keyed ? worker_.store.key(request.key()) : store::Key();
  if (request.command != protocol::MetaCommand::kSet) {
    execute_meta(worker_, request, key, output);
    worker_.latency.count(kind_of(request.command));
    return {.used = line_bytes};
  }
  const std::string_view block = input.substr(line_bytes);
  if (is_simple(request, block.size())) {
    worker_.latency.count(CommandKind::kMetaSet);
    return {.used = line_bytes + store_whole(output, request, key, block)};
  }
  auto upload =
      std::make_unique<TextUpload>(worker_, storing_of(worker_, request, key), CommandKind::kMetaSet);
  upload->meta = std::make_unique<KeptMetaLine>(input.substr(0, line_bytes));
  return begin_upload(output, std::move(upload), block, line_bytes);
}

TextSession::Step TextSession::begin_retrieval(Output& output, const protocol::Request& request,
                                               std::string_view input, std::size_t line_bytes) {
  const Retrieval retrieval = retrieval_of(worker_, request);
  retrieve(worker_, output, worker_.store.key(request.key), retrieval);
  if (request.arguments.empty()) {
    worker_.latency.count(kind_of(request.command));
    output.append(protocol::reply::kEnd);
    return {.used = line_bytes};
  }
  // The keys left are taken from the input one by one, so that a line of any length neither holds up the
  // other connections nor piles up output. They were checked by the parser.
  retrieval_ = retrieval;
  state_ = State::kKeys;
  return {.used = static_cast<std::size_t>(request.arguments.data() - input.data())};
}

// As on_batch: the keys of a group are looked up only once the memory of all of them has been asked for.
TextSession::Step TextSession::on_keys(Output& output, std::string_view input) {
  std::array<store::Key, kKeysPerStep> keys;
  std::size_t count = 0;
  std::size_t used = 0;
  bool line_ended = false;
  const Access access = retrieval_.touch ? Access::kWrite : Access::kRead;
  while (count < keys.size() && !line_ended) {
    while (input[used] == ' ') ++used;
    const std::size_t end = std::min(input.find_first_of(" \n", used), input.size());
    std::string_view key = input.substr(used, end - used);
    line_ended = input[end] == '\n';
    if (line_ended && key.ends_with('\r')) key.remove_suffix(1);
    used = line_ended ? end + 1 : end;
    if (key.empty()) continue;
    worker_.store.prefetch(key, keys[count++], access);
  }
  const std::span<const store::Key> group(keys.data(), count);
  worker_.store.prefetch_items(count, [&](std::size_t i) -> store::Key& { return keys[i]; });
  for (const store::Key& key : group) retrieve(worker_, output, key, retrieval_);
  if (line_ended) {
    worker_.latency.count(retrieval_.touch ? CommandKind::kGat : CommandKind::kGet);
    output.append(protocol::reply::kEnd);
    state_ = State::kLine;
  }
  return {.used = used};
}

TextSession::Step TextSession::begin_storage(Output& output, const protocol::Request& request,
                                             std::string_view input, std::size_t line_bytes) {
  const std::string_view block = input.substr(line_bytes);
  const store::Key key = worker_.store.key(request.key);
  const CommandKind kind = kind_of(request.command);
  if (is_simple(request, block.size())) {
    worker_.latency.count(kind);
    return {.used = line_bytes + store_line(worker_, output, request, key, block)};
  }
  worker_.count_prefix_set(key.bytes);
  auto upload = std::make_unique<TextUpload>(worker_, storing_of(worker_, request, key), kind);
  upload->noreply = request.noreply;
  return begin_upload(output, std::move(upload), block, line_bytes);
}

TextSession::Step TextSession::begin_upload(Output& output, std::unique_ptr<TextUpload> upload,
                                            std::string_view block, std::size_t line_bytes) {
  upload_ = std::move(upload);
  state_ = State::kUpload;
  // Also with no byte of the block at hand: a refused upload turns into swallowing at once.
  const Step rest = on_upload(output, block);
  return {.used = line_bytes + rest.used, .wait = rest.wait, .direct = rest.direct};
}

TextSession::Step TextSession::on_upload(Output& output, std::string_view input) {
  const StorageOutcome outcome = upload_->upload.on_bytes(input);
  if (outcome.finished) return end_upload(output, outcome);
  return {.used = outcome.consumed, .wait = true, .direct = upload_->upload.wants_direct()};
}

// Once begun in this way, a block is received to its end in this way.
Next TextSession::on_direct(Connection& connection) {
  return converse_direct(worker_, connection, [&]() -> Step {
    const StorageOutcome outcome = upload_->upload.progress();
    return outcome.finished ? end_upload(connection.output(), outcome) : Step{.direct = true};
  });
}

TextSession::Step TextSession::end_upload(Output& output, const StorageOutcome& outcome) {
  const std::unique_ptr<TextUpload> done = std::move(upload_);
  worker_.latency.count(done->kind);
  state_ = State::kLine;
  if (outcome.swallow > 0) {
    swallow(outcome.swallow, done->noreply ? std::string_view() : outcome.fault);
  } else if (done->meta != nullptr) {
    append_meta_stored(worker_, done->meta->request(), outcome, output);
  } else if (!done->noreply) {
    append_stored(output, outcome);
  }
  return {.used = outcome.consumed};
}

void TextSession::swallow(std::uint64_t bytes, std::string_view reply) {
  swallowed_ = std::make_unique<Swallowed>(Swallowed{bytes, reply});
  state_ = State::kSwallow;
}

TextSession::Step TextSession::on_swallow(Output& output, std::string_view input) {
  const std::size_t used = std::min<std::uint64_t>(swallowed_->bytes, input.size());
  swallowed_->bytes -= used;
  if (swallowed_->bytes > 0) return {.used = used, .wait = true};
  output.append(swallowed_->reply);
  swallowed_.reset();
  state_ = State::kLine;
  return {.used = used};
}

}  // namespace ringcached::server
