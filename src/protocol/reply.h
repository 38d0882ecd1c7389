// Every line the text dialects answer with, and the writers of the few that carry numbers.
// Sources: protocol specification sections 3, 5, 6, 7, 9, 10, 12, 13. All lines include their CR LF,
// but for the return codes of the meta commands.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/short_copy.h"
#include "protocol/limits.h"

namespace ringcached::protocol {

namespace reply {

// Results of the classic commands.
inline constexpr std::string_view kCrlf = "\r\n";
inline constexpr std::string_view kEnd = "END\r\n";
inline constexpr std::string_view kStored = "STORED\r\n";
inline constexpr std::string_view kNotStored = "NOT_STORED\r\n";
inline constexpr std::string_view kExists = "EXISTS\r\n";
inline constexpr std::string_view kNotFound = "NOT_FOUND\r\n";
inline constexpr std::string_view kDeleted = "DELETED\r\n";
inline constexpr std::string_view kTouched = "TOUCHED\r\n";
inline constexpr std::string_view kOk = "OK\r\n";
inline constexpr std::string_view kReset = "RESET\r\n";
inline constexpr std::string_view kVersionPrefix = "VERSION ";

// Malformed requests.
inline constexpr std::string_view kError = "ERROR\r\n";
inline constexpr std::string_view kBadFormat = "CLIENT_ERROR bad command line format\r\n";
inline constexpr std::string_view kBadDataChunk = "CLIENT_ERROR bad data chunk\r\n";
inline constexpr std::string_view kInvalidExptime = "CLIENT_ERROR invalid exptime argument\r\n";
inline constexpr std::string_view kInvalidDelta = "CLIENT_ERROR invalid numeric delta argument\r\n";
inline constexpr std::string_view kNonNumericValue =
    "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n";
inline constexpr std::string_view kDeleteUsage =
    "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n";

// The server's own faults (section 3.3).
inline constexpr std::string_view kTooLarge = "SERVER_ERROR object too large for cache\r\n";
inline constexpr std::string_view kNoMemoryStoring = "SERVER_ERROR out of memory storing object\r\n";
inline constexpr std::string_view kNoMemoryDuringRead = "SERVER_ERROR Out of memory during read\r\n";
inline constexpr std::string_view kNoMemoryGet = "SERVER_ERROR out of memory writing get response\r\n";
inline constexpr std::string_view kNoMemoryRequest = "SERVER_ERROR out of memory reading request\r\n";
inline constexpr std::string_view kNoMemoryStats = "SERVER_ERROR out of memory writing stats\r\n";
inline constexpr std::string_view kNoMemory = "SERVER_ERROR out of memory\r\n";
inline constexpr std::string_view kNoMemoryNewItem = "SERVER_ERROR Out of memory allocating new item\r\n";
inline constexpr std::string_view kRefcountOverflow = "SERVER_ERROR refcount overflow during fetch\r\n";
inline constexpr std::string_view kOutputLineTooLong = "SERVER_ERROR output line too long\r\n";
inline constexpr std::string_view kUnhandledStorage = "SERVER_ERROR Unhandled storage type.\r\n";

// Connections and text authentication (sections 12 and 13).
inline constexpr std::string_view kTooManyConnections = "ERROR Too many open connections\r\n";
inline constexpr std::string_view kAuthFailure = "CLIENT_ERROR authentication failure\r\n";
inline constexpr std::string_view kUnauthenticated = "CLIENT_ERROR unauthenticated\r\n";
inline constexpr std::string_view kAuthBadToken = "CLIENT_ERROR bad authentication token format\r\n";
inline constexpr std::string_view kAuthBadTermination = "CLIENT_ERROR bad command line termination\r\n";
inline constexpr std::string_view kAuthTooLong = "CLIENT_ERROR auth token too long\r\n";

// Administration (section 7). The memlimit, slabs and crawler answers carry no ERROR word on purpose.
inline constexpr std::string_view kFlushNotAllowed = "CLIENT_ERROR flush_all not allowed\r\n";
inline constexpr std::string_view kMemlimitTooSmall =
    "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m\r\n";
inline constexpr std::string_view kMemlimitNotBytes =
    "MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes\r\n";
inline constexpr std::string_view kMemlimitFailed =
    "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust\r\n";
inline constexpr std::string_view kShutdownNotEnabled = "SERVER_ERROR: shutdown not enabled\r\n";
inline constexpr std::string_view kShutdownBadMode = "CLIENT_ERROR invalid shutdown mode\r\n";
inline constexpr std::string_view kReassignBusy = "BUSY currently processing reassign request\r\n";
inline constexpr std::string_view kReassignBadClass = "BADCLASS invalid src or dst class id\r\n";
inline constexpr std::string_view kReassignNoSpare = "NOSPARE source class has no spare pages\r\n";
inline constexpr std::string_view kReassignSame = "SAME src and dst class are identical\r\n";
inline constexpr std::string_view kReassignDisabled = "CLIENT_ERROR slab reassignment disabled\r\n";
inline constexpr std::string_view kAutomoveWindow = "CLIENT_ERROR automove window too low or too high\r\n";
inline constexpr std::string_view kLruPercents = "ERROR hot and warm pcts must not exceed 80\r\n";
inline constexpr std::string_view kLruFactors = "ERROR hot/warm age factors must be greater than 0\r\n";
inline constexpr std::string_view kCrawlerStartFailed = "ERROR failed to start lru crawler thread\r\n";
inline constexpr std::string_view kCrawlerStopFailed = "ERROR failed to stop lru crawler thread\r\n";
inline constexpr std::string_view kCrawlerSleep = "CLIENT_ERROR sleep must be one second or less\r\n";
inline constexpr std::string_view kCrawlerBusy = "BUSY currently processing crawler request\r\n";
inline constexpr std::string_view kCrawlerBadClass = "BADCLASS invalid class id\r\n";
inline constexpr std::string_view kCrawlerNotStarted = "NOTSTARTED no items to crawl\r\n";
inline constexpr std::string_view kCrawlerUnknown = "ERROR an unknown error happened\r\n";
inline constexpr std::string_view kCrawlerDisabled = "CLIENT_ERROR lru crawler disabled\r\n";
inline constexpr std::string_view kMetadumpNotAllowed = "ERROR metadump not allowed\r\n";
inline constexpr std::string_view kKeyDumpNotAllowed = "ERROR key dump not allowed\r\n";
// In place of the last line of a dump that is not complete.
inline constexpr std::string_view kDumpCutShort = "ERROR locked try again later\r\n";
inline constexpr std::string_view kMgdumpEnd = "EN\r\n";
inline constexpr std::string_view kDumpLocked = "ERROR locked try again later\r\n";
inline constexpr std::string_view kTlsNotEnabled = "Error TLS not enabled\r\n";

// Statistics (section 9).
inline constexpr std::string_view kStatsDetailUsage = "CLIENT_ERROR usage: stats detail on|off|dump\r\n";
inline constexpr std::string_view kStatsDetailNotAllowed = "CLIENT_ERROR stats detail not allowed\r\n";
inline constexpr std::string_view kCachedumpTooFew = "CLIENT_ERROR bad command line\r\n";
inline constexpr std::string_view kCachedumpIllegalClass = "CLIENT_ERROR Illegal slab id\r\n";
inline constexpr std::string_view kCachedumpNotAllowed = "CLIENT_ERROR stats cachedump not allowed\r\n";
inline constexpr std::string_view kStatsSizesDisabled = "STAT sizes_status disabled\r\n";

// Watch and dumps (sections 1.5 and 10).
inline constexpr std::string_view kPipelinedWatch = "ERROR cannot pipeline other commands before watch\r\n";
inline constexpr std::string_view kPipelinedMetadump =
    "ERROR cannot pipeline other commands before metadump\r\n";
inline constexpr std::string_view kPipelinedMgdump = "ERROR cannot pipeline other commands before mgdump\r\n";
inline constexpr std::string_view kWatchNotAllowed = "CLIENT_ERROR watch commands not allowed\r\n";
inline constexpr std::string_view kWatcherTooMany = "WATCHER_TOO_MANY log watcher limit reached\r\n";
inline constexpr std::string_view kWatcherFailed = "WATCHER_FAILED failed to add log watcher\r\n";

// Meta commands (section 6). The codes are followed by return flags (meta_reply.h), and so have no CR LF.
inline constexpr std::string_view kMetaHit = "HD";
inline constexpr std::string_view kMetaMiss = "EN";
inline constexpr std::string_view kMetaNotFound = "NF";
inline constexpr std::string_view kMetaNotStored = "NS";
inline constexpr std::string_view kMetaExists = "EX";
inline constexpr std::string_view kMetaValuePrefix = "VA ";
inline constexpr std::string_view kMetaDebugPrefix = "ME ";
inline constexpr std::string_view kMetaNoop = "MN\r\n";
inline constexpr std::string_view kMetaTooManyFlags = "CLIENT_ERROR options flags are too long\r\n";
inline constexpr std::string_view kMetaDuplicateFlag = "CLIENT_ERROR duplicate flag\r\n";
inline constexpr std::string_view kMetaInvalidFlag = "CLIENT_ERROR invalid flag\r\n";
inline constexpr std::string_view kMetaInvalidOrDuplicate = "CLIENT_ERROR invalid or duplicate flag\r\n";
inline constexpr std::string_view kMetaBadToken = "CLIENT_ERROR bad token in command line format\r\n";
inline constexpr std::string_view kMetaInvalidDelta = "CLIENT_ERROR invalid numeric delta value\r\n";
inline constexpr std::string_view kMetaInvalidInitial = "CLIENT_ERROR invalid numeric initial value\r\n";
inline constexpr std::string_view kMetaBadKey = "CLIENT_ERROR error decoding key\r\n";
inline constexpr std::string_view kMetaOpaqueTooLong = "CLIENT_ERROR opaque token too long\r\n";
inline constexpr std::string_view kMetaSetMode = "CLIENT_ERROR invalid mode for ms M token\r\n";
inline constexpr std::string_view kMetaArithmeticMode = "CLIENT_ERROR invalid mode for ma M token\r\n";

}  // namespace reply

// Decimal digits of the largest number of each width.
inline constexpr std::size_t kU32DigitsMax = 10;
inline constexpr std::size_t kU64DigitsMax = 20;
// "VALUE <key> <flags> <bytes>\r\n", and the same with " <cas>".
inline constexpr std::size_t kValueHeaderBytesMax =
    6 + kKeyBytesMax + 1 + kU32DigitsMax + 1 + kU32DigitsMax + 2;
inline constexpr std::size_t kValueHeaderCasBytesMax = kValueHeaderBytesMax + 1 + kU64DigitsMax;
// The answer of incr and decr: a number and CR LF.
inline constexpr std::size_t kNumberLineBytesMax = kU64DigitsMax + 2;

// The writers put their text at `out`, which has room for it (the maxima named above), and return its end.
inline char* write_text(char* out, std::string_view text) {
  // No text may have no address, which memcpy does not take.
  if (!text.empty()) std::memcpy(out, text.data(), text.size());
  return out + text.size();
}
// "00" to "99": two digits per division.
inline constexpr std::array<char, 200> kDigitPairs = [] {
  std::array<char, 200> pairs{};
  for (std::size_t i = 0; i < 100; ++i) {
    pairs[2 * i] = static_cast<char>('0' + i / 10);
    pairs[2 * i + 1] = static_cast<char>('0' + i % 10);
  }
  return pairs;
}();
char* write_digits(char* out, std::uint64_t value);
// Client flags are nearly always 0; small counters and short values are common.
inline char* write_u64(char* out, std::uint64_t value) {
  if (value < 10) {
    *out = static_cast<char>('0' + value);
    return out + 1;
  }
  if (value >= 100) return write_digits(out, value);
  std::memcpy(out, &kDigitPairs[2 * value], 2);
  return out + 2;
}
inline char* write_u32(char* out, std::uint32_t value) {
  return write_u64(out, value);
}
char* write_number_line(char* out, std::uint64_t value);
// `key` has at most kKeyBytesMax bytes; `bytes` is the length of the value without its CR LF.
inline char* write_value_header(char* out, std::string_view key, std::uint32_t client_flags,
                                std::uint32_t bytes, std::string_view end = reply::kCrlf) {
  out = write_text(out, "VALUE ");
  copy_short(out, key.data(), key.size());
  out += key.size();
  *out++ = ' ';
  out = write_u64(out, client_flags);
  *out++ = ' ';
  return write_text(write_u64(out, bytes), end);
}
inline char* write_value_header_cas(char* out, std::string_view key, std::uint32_t client_flags,
                                    std::uint32_t bytes, std::uint64_t cas) {
  out = write_value_header(out, key, client_flags, bytes, " ");
  return write_text(write_u64(out, cas), reply::kCrlf);
}

// Appends "STAT <name> <value>\r\n". Not for the hot path.
void append_stat(std::string& out, std::string_view name, std::string_view value);
void append_stat(std::string& out, std::string_view name, std::uint64_t value);

}  // namespace ringcached::protocol
