#include "server/lru_admin.h"

#include <algorithm>
#include <string>

#include "protocol/admin_lru.h"
#include "protocol/admin_slabs.h"
#include "protocol/reply.h"
#include "server/item_dump.h"
#include "server/reporting.h"

namespace ringcached::server {
namespace {

namespace reply = protocol::reply;
using protocol::CrawlerCommand;
using protocol::LruCommand;
using protocol::SlabsCommand;

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr unsigned kReferenceClassesMax = 63;

// Settings that answer OK because tools expect it, and change nothing: the log says so.
std::string_view keep_only(const WorkerContext& worker, std::string_view command, std::string_view reason) {
  if (worker.server.log.enabled(LogLevel::kInfo)) {
    worker.server.log.write(
        LogLevel::kInfo, std::string(command) + ": kept and shown, without effect: " + std::string(reason));
  }
  return reply::kOk;
}

constexpr std::string_view kQueuesReason = "eviction is S3-FIFO or, with --eviction lru, one queue";
constexpr std::string_view kPaceReason = "the reaper of expired items paces itself";

std::string_view reply_of(store::Store::PageMove move) {
  using PageMove = store::Store::PageMove;
  switch (move) {
    case PageMove::kMoved:
      return reply::kOk;
    case PageMove::kSame:
      return reply::kReassignSame;
    case PageMove::kBadClass:
      return reply::kReassignBadClass;
    case PageMove::kBusy:
      return reply::kReassignBusy;
    case PageMove::kNoSpare:
      break;
  }
  return reply::kReassignNoSpare;
}

std::string_view reassign(WorkerContext& worker, int from, int to) {
  const BackgroundFigures before = background_figures(worker);
  const store::Store::PageMove move = worker.store.move_page(worker.thread, from, to);
  report_pages_moved(worker, before);
  return reply_of(move);
}

store::SlabClassSet classes_of(const protocol::ClassList& list) {
  store::SlabClassSet classes;
  for (std::size_t i = 0; i < classes.size(); ++i) classes[i] = list.everything || list.ids[i];
  return classes;
}

std::string_view enable_crawler(WorkerContext& worker, bool enable) {
  const bool was = worker.server.live.crawler.exchange(enable, kRelaxed);
  return enable && was ? reply::kCrawlerStartFailed : reply::kOk;
}

std::string_view crawl(WorkerContext& worker, std::string_view list) {
  if (!worker.server.live.crawler.load(kRelaxed)) return reply::kCrawlerDisabled;
  const auto classes = protocol::parse_class_list(list, class_ids_max(worker));
  if (!classes.is_ok()) return classes.reply;
  if (classes.value.by_hash) return reply::kCrawlerUnknown;
  const unsigned workers = worker.server.network->workers();
  const bool begun = worker.server.crawler.begin_pass(classes_of(classes.value), workers, worker.now());
  return begun ? reply::kOk : reply::kCrawlerBusy;
}

struct DumpTexts {
  KeyDumpFormat format;
  std::string_view not_allowed, pipelined;
};
constexpr DumpTexts kMetadump = {KeyDumpFormat::kMetadump, reply::kMetadumpNotAllowed,
                                 reply::kPipelinedMetadump};
constexpr DumpTexts kMgdump = {KeyDumpFormat::kMgdump, reply::kKeyDumpNotAllowed, reply::kPipelinedMgdump};

std::string_view dump(WorkerContext& worker, const DumpTexts& texts, std::string_view list,
                      const Output& output, std::unique_ptr<ConnectionHandler>& successor) {
  if (!worker.server.live.crawler.load(kRelaxed)) return reply::kCrawlerDisabled;
  if (!worker.server.config.commands.dump_enabled) return texts.not_allowed;
  if (output.pending() > 0) return texts.pipelined;
  const auto classes = protocol::parse_class_list(list, class_ids_max(worker));
  if (!classes.is_ok()) return classes.reply;
  CrawlLease lease = worker.server.crawler.begin(worker.now());
  if (!lease) return reply::kCrawlerBusy;
  successor = std::make_unique<DumpSession>(
      worker, make_key_dump(worker, texts.format, classes_of(classes.value), std::move(lease)));
  return {};
}

}  // namespace

unsigned class_ids_max(const WorkerContext& worker) {
  return std::max(kReferenceClassesMax, worker.store.class_count());
}

std::string_view execute_lru(WorkerContext& worker, std::string_view arguments) {
  const auto parsed = protocol::parse_lru(arguments);
  if (!parsed.is_ok()) return parsed.reply;
  LiveSettings& live = worker.server.live;
  const LruCommand& command = parsed.value;
  switch (command.action) {
    case LruCommand::Action::kTune:
      live.hot_percent.store(command.hot_percent, kRelaxed);
      live.warm_percent.store(command.warm_percent, kRelaxed);
      live.hot_factor.store(command.hot_factor, kRelaxed);
      live.warm_factor.store(command.warm_factor, kRelaxed);
      return keep_only(worker, "lru tune", kQueuesReason);
    case LruCommand::Action::kMode:
      live.segmented.store(command.segmented, kRelaxed);
      return keep_only(worker, "lru mode", kQueuesReason);
    case LruCommand::Action::kTempTtl:
      live.temp_lru.store(command.temp_ttl >= 0, kRelaxed);
      if (command.temp_ttl >= 0) {
        live.temporary_ttl.store(static_cast<std::uint32_t>(command.temp_ttl), kRelaxed);
      }
      return keep_only(worker, "lru temp_ttl", kQueuesReason);
  }
  return reply::kError;
}

std::string_view execute_slabs(WorkerContext& worker, std::string_view arguments) {
  const auto parsed = protocol::parse_slabs(arguments, worker.server.config.store.slab_reassign);
  if (!parsed.is_ok()) return parsed.reply;
  LiveSettings& live = worker.server.live;
  const SlabsCommand& command = parsed.value;
  switch (command.action) {
    case SlabsCommand::Action::kReassign:
      return reassign(worker, command.from, command.to);
    case SlabsCommand::Action::kAutomove:
      live.automove.store(command.number, kRelaxed);
      worker.store.set_automove(command.number != 0);
      return reply::kOk;
    case SlabsCommand::Action::kRatio:
      live.automove_ratio.store(command.real, kRelaxed);
      worker.store.set_automove_ratio(command.real);
      return reply::kOk;
    case SlabsCommand::Action::kWindow:
      live.automove_window.store(command.number, kRelaxed);
      worker.store.set_automove_window(command.number);
      return reply::kOk;
    case SlabsCommand::Action::kFreeRatio:
      return reply::kOk;  // of the flash tier, which there is none of: nothing shows it
  }
  return reply::kError;
}

std::string_view execute_lru_crawler(WorkerContext& worker, std::string_view arguments, const Output& output,
                                     std::unique_ptr<ConnectionHandler>& successor) {
  const auto parsed = protocol::parse_lru_crawler(arguments);
  if (!parsed.is_ok()) return parsed.reply;
  const CrawlerCommand& command = parsed.value;
  using Action = CrawlerCommand::Action;
  switch (command.action) {
    case Action::kEnable:
    case Action::kDisable:
      return enable_crawler(worker, command.action == Action::kEnable);
    case Action::kSleep:
      worker.server.live.crawler_sleep_us.store(command.number, kRelaxed);
      return keep_only(worker, "lru_crawler sleep", kPaceReason);
    case Action::kTocrawl:
      worker.server.live.crawler_tocrawl.store(command.number, kRelaxed);
      return keep_only(worker, "lru_crawler tocrawl", kPaceReason);
    case Action::kCrawl:
      return crawl(worker, command.classes);
    case Action::kMetadump:
      return dump(worker, kMetadump, command.classes, output, successor);
    case Action::kMgdump:
      return dump(worker, kMgdump, command.classes, output, successor);
  }
  return reply::kError;
}

}  // namespace ringcached::server
