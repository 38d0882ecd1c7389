#include "server/item_dump.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "protocol/base64.h"
#include "protocol/reply.h"
#include "protocol/uri.h"

namespace ringcached::server {
namespace {

namespace reply = protocol::reply;

// What one piece of output should not exceed by much.
constexpr std::size_t kPieceBytes = std::size_t{64} << 10;
// A key in the longest form it can take, and the words and numbers around it.
constexpr std::size_t kLineBytesMax = protocol::kUriBytesPerByteMax * protocol::kKeyBytesMax + 256;
static_assert(kLineBytesMax <= Output::kRoomBytesMax);
constexpr std::size_t kSizeStepBytes = 32;

// Writes one line into room that was asked for.
class LineWriter {
 public:
  explicit LineWriter(Output& output) : output_(output), start_(output.room(kLineBytesMax)), end_(start_) {}

  LineWriter& text(std::string_view text) {
    std::memcpy(end_, text.data(), text.size());
    end_ += text.size();
    return *this;
  }
  LineWriter& number(std::uint64_t number) {
    end_ = protocol::write_u64(end_, number);
    return *this;
  }
  LineWriter& uri(std::string_view key) {
    end_ = protocol::write_uri_encoded(end_, key);
    return *this;
  }
  LineWriter& base64(std::string_view key) {
    end_ = protocol::encode_base64(key, end_);
    return *this;
  }
  std::size_t bytes() const { return static_cast<std::size_t>(end_ - start_); }
  void finish() { output_.commit(bytes()); }

 private:
  Output& output_;
  char* start_;
  char* end_;
};

std::size_t charged_bytes(const WorkerContext& worker, const store::ScannedItem& item) {
  return store::item_bytes(item.key.size(), item.info.value_bytes, item.info.client_flags,
                           worker.server.config.store.cas_enabled);
}

std::uint64_t unix_time(const WorkerContext& worker, CacheTime time) {
  return static_cast<std::uint64_t>(worker.server.clock.wall_base() + time);
}

// Ends in a blank and a line feed, as the reference has it.
void write_meta_line(LineWriter& line, const WorkerContext& worker, const store::ScannedItem& item) {
  const store::ItemInfo& info = item.info;
  line.text("key=").uri(item.key).text(" exp=");
  if (info.expiry == 0) {
    line.text("-1");
  } else {
    line.number(unix_time(worker, info.expiry));
  }
  line.text(" la=").number(unix_time(worker, info.last_access)).text(" cas=").number(info.cas);
  line.text(info.fetched ? " fetch=yes cls=" : " fetch=no cls=").number(info.slab_class);
  line.text(" size=").number(charged_bytes(worker, item)).text(" flags=").number(info.client_flags);
  line.text(" \n");
}

void write_mg_line(LineWriter& line, const store::ScannedItem& item) {
  line.text("mg ");
  if (item.info.binary_key) {
    line.base64(item.key).text(" b\r\n");
  } else {
    line.text(item.key).text(reply::kCrlf);
  }
}

class KeyDump final : public DumpSource {
 public:
  KeyDump(WorkerContext& worker, KeyDumpFormat format, const store::SlabClassSet& classes, CrawlLease lease)
      : worker_(worker), format_(format), classes_(classes), lease_(std::move(lease)), scan_(worker) {}

  bool produce(Output& output) override {
    if (!lease_.renew(worker_.now())) {
      output.append(reply::kDumpCutShort);
      return false;
    }
    if (!begun_) output.append(reply::kOk);
    begun_ = true;
    std::size_t bytes = 0;
    const bool more = scan_.step([&](const store::ScannedItem& item) {
      if (classes_[item.info.slab_class]) bytes += write(output, item);
      return bytes < kPieceBytes;
    });
    if (!more) output.append(format_ == KeyDumpFormat::kMetadump ? reply::kEnd : reply::kMgdumpEnd);
    return more;
  }

 private:
  std::size_t write(Output& output, const store::ScannedItem& item) const {
    LineWriter line(output);
    if (format_ == KeyDumpFormat::kMetadump) {
      write_meta_line(line, worker_, item);
    } else {
      write_mg_line(line, item);
    }
    line.finish();
    return line.bytes();
  }

  WorkerContext& worker_;
  KeyDumpFormat format_;
  store::SlabClassSet classes_;
  CrawlLease lease_;
  ItemScan scan_;
  bool begun_ = false;
};

class CacheDump final : public DumpSource {
 public:
  CacheDump(WorkerContext& worker, unsigned slab_class, std::uint32_t items_max)
      : worker_(worker), slab_class_(slab_class), items_max_(items_max), scan_(worker) {}

  bool produce(Output& output) override {
    std::size_t bytes = 0;
    const bool more = scan_.step([&](const store::ScannedItem& item) {
      if (wanted(item)) bytes += write(output, item);
      return !full_ && bytes < kPieceBytes;
    });
    if (more && !full_) return true;
    output.append(reply::kEnd);
    return false;
  }

 private:
  // A binary key could break the line.
  bool wanted(const store::ScannedItem& item) const {
    return !full_ && item.info.slab_class == slab_class_ && !item.info.binary_key;
  }

  std::size_t write(Output& output, const store::ScannedItem& item) {
    LineWriter line(output);
    line.text("ITEM ").text(item.key).text(" [").number(item.info.value_bytes).text(" b; ");
    line.number(item.info.expiry == 0 ? 0 : unix_time(worker_, item.info.expiry)).text(" s]\r\n");
    if (bytes_ + line.bytes() + reply::kEnd.size() > kCachedumpBytesMax) {
      full_ = true;
      return 0;
    }
    line.finish();
    bytes_ += line.bytes();
    full_ = ++items_ == items_max_;
    return line.bytes();
  }

  WorkerContext& worker_;
  unsigned slab_class_;
  std::uint32_t items_max_;
  ItemScan scan_;
  std::uint32_t items_ = 0;
  std::size_t bytes_ = 0;
  bool full_ = false;
};

class SizesDump final : public DumpSource {
 public:
  explicit SizesDump(WorkerContext& worker) : histogram_(worker) {}

  bool produce(Output& output) override {
    if (histogram_.step()) return true;
    std::string lines;
    for (const auto& [size, count] : histogram_.counts()) {
      protocol::append_stat(lines, std::to_string(size), count);
    }
    output.append(lines);
    output.append(reply::kEnd);
    return false;
  }

 private:
  SizeHistogram histogram_;
};

}  // namespace

bool SizeHistogram::step() {
  return scan_.step([this](const store::ScannedItem& item) {
    ++counts_[(charged_bytes(worker_, item) + kSizeStepBytes - 1) / kSizeStepBytes * kSizeStepBytes];
    return true;
  });
}

std::unique_ptr<DumpSource> make_key_dump(WorkerContext& worker, KeyDumpFormat format,
                                          const store::SlabClassSet& classes, CrawlLease lease) {
  return std::make_unique<KeyDump>(worker, format, classes, std::move(lease));
}

std::unique_ptr<DumpSource> make_cachedump(WorkerContext& worker, unsigned slab_class,
                                           std::uint32_t items_max) {
  return std::make_unique<CacheDump>(worker, slab_class, items_max);
}

std::unique_ptr<DumpSource> make_sizes_dump(WorkerContext& worker) {
  return std::make_unique<SizesDump>(worker);
}

}  // namespace ringcached::server
