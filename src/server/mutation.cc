#include "server/mutation.h"

#include "protocol/reply.h"
#include "server/reporting.h"

namespace ringcached::server {
namespace {

void answer(const protocol::Request& request, Output& output, std::string_view reply) {
  if (!request.noreply) output.append(reply);
}

void answer_number(const protocol::Request& request, Output& output, std::uint64_t number) {
  if (request.noreply) return;
  char* start = output.room(protocol::kNumberLineBytesMax);
  const char* end = protocol::write_number_line(start, number);
  output.commit(static_cast<std::size_t>(end - start));
}

}  // namespace

void execute_delete(WorkerContext& worker, const protocol::Request& request, Output& output) {
  worker.count_prefix_delete(request.key);
  const auto result = worker.store.remove(worker.thread, worker.store.key(request.key), worker.now());
  const bool deleted = result == store::DeleteResult::kDeleted;
  report_removal(worker, request.key, deleted, EventVerb::kDelete);
  worker.counters.add(deleted ? Count::kDeleteHits : Count::kDeleteMisses);
  if (deleted) worker.counters.add(ClassCount::kDeleteHits, worker.thread.last_class());
  answer(request, output, deleted ? protocol::reply::kDeleted : protocol::reply::kNotFound);
}

void count_arithmetic(WorkerContext& worker, bool decrement) {
  worker.counters.add(decrement ? Count::kDecrHits : Count::kIncrHits);
  worker.counters.add(decrement ? ClassCount::kDecrHits : ClassCount::kIncrHits, worker.thread.last_class());
}

void execute_arithmetic(WorkerContext& worker, const protocol::Request& request, Output& output) {
  const bool decrement = request.command == protocol::Command::kDecr;
  std::uint64_t number = 0;
  const auto result =
      worker.store.arithmetic(worker.thread, worker.store.key(request.key),
                              {.decrement = decrement, .delta = request.number}, worker.now(), number);
  report_found(worker, request.key);
  switch (result) {
    case store::ArithmeticResult::kDone:
      count_arithmetic(worker, decrement);
      return answer_number(request, output, number);
    case store::ArithmeticResult::kNonNumeric:
      return answer(request, output, protocol::reply::kNonNumericValue);
    case store::ArithmeticResult::kNoMemory:
      return answer(request, output, protocol::reply::kNoMemory);
    case store::ArithmeticResult::kNotFound:
    case store::ArithmeticResult::kExists:
      worker.counters.add(decrement ? Count::kDecrMisses : Count::kIncrMisses);
      return answer(request, output, protocol::reply::kNotFound);
  }
}

void execute_touch(WorkerContext& worker, const protocol::Request& request, Output& output) {
  const CacheTime now = worker.now();
  const CacheTime expiry = worker.expiry(request.exptime);
  const bool hit = worker.store.touch(worker.thread, worker.store.key(request.key), expiry, now);
  report_found(worker, request.key);
  worker.counters.add(Count::kCmdTouch);
  worker.counters.add(hit ? Count::kTouchHits : Count::kTouchMisses);
  if (hit) worker.counters.add(ClassCount::kTouchHits, worker.thread.last_class());
  answer(request, output, hit ? protocol::reply::kTouched : protocol::reply::kNotFound);
}

}  // namespace ringcached::server
