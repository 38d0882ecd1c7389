#include "net/kernel_features.h"

#include <liburing.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <fstream>
#include <memory>
#include <vector>

#include "net/ring_abi.h"

namespace ringcached::net {

namespace {

constexpr const char* kMinWaitName = "minimum wait";

// A ring with the flags of the real ones, as long as the probe runs.
class ProbeRing {
 public:
  ProbeRing() {
    io_uring_params params{};
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
                   IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL;
    params.cq_entries = 32;
    error_ = -io_uring_queue_init_params(8, &ring_, &params);
    if (error_ == 0) bits_ = params.features;
  }
  ~ProbeRing() {
    if (error_ == 0) io_uring_queue_exit(&ring_);
  }
  ProbeRing(const ProbeRing&) = delete;
  ProbeRing& operator=(const ProbeRing&) = delete;

  int error() const { return error_; }
  std::uint32_t bits() const { return bits_; }
  io_uring* native() { return &ring_; }
  int register_call(unsigned opcode, const void* argument, unsigned count) {
    return io_uring_register(static_cast<unsigned>(ring_.ring_fd), opcode, argument, count);
  }

 private:
  io_uring ring_{};
  int error_ = 0;
  std::uint32_t bits_ = 0;
};

// One page: a buffer ring of 4 in front, 4 buffers of 64 bytes in the second half.
class ProbeBuffers {
 public:
  static constexpr unsigned kCount = 4;
  static constexpr unsigned kBytes = 64;
  static constexpr std::size_t kBlockBytes = 4096;

  // 0 or a negated errno.
  int register_with(ProbeRing& ring, std::uint16_t group, std::uint16_t flags) {
    void* block = mmap(nullptr, kBlockBytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    if (block == MAP_FAILED) return -ENOMEM;
    block_.reset(static_cast<char*>(block));
    abi::BufferRingRegistration registration;
    registration.ring_address = reinterpret_cast<std::uint64_t>(block);
    registration.ring_entries = kCount;
    registration.group = group;
    registration.flags = flags;
    return ring.register_call(IORING_REGISTER_PBUF_RING, &registration, 1);
  }
  void unregister_from(ProbeRing& ring, std::uint16_t group) {
    abi::BufferRingRegistration registration;
    registration.group = group;
    ring.register_call(IORING_UNREGISTER_PBUF_RING, &registration, 1);
  }
  void lend_all() {
    auto* ring = reinterpret_cast<io_uring_buf_ring*>(block_.get());
    for (unsigned i = 0; i < kCount; ++i) {
      io_uring_buf_ring_add(ring, block_.get() + kBlockBytes / 2 + std::size_t{i} * kBytes, kBytes,
                            static_cast<unsigned short>(i), static_cast<int>(kCount - 1),
                            static_cast<int>(i));
    }
    io_uring_buf_ring_advance(ring, kCount);
  }

 private:
  struct Unmap {
    void operator()(char* block) const { munmap(block, kBlockBytes); }
  };
  std::unique_ptr<char, Unmap> block_;
};

// Arms one receive on a socket pair and looks whether it stays armed after the first bytes.
bool try_multishot_receive(ProbeRing& ring, std::string& note) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
    note = std::string("socketpair: ") + std::strerror(errno);
    return false;
  }
  ProbeBuffers buffers;
  int result = buffers.register_with(ring, 1, 0);
  std::uint32_t flags = 0;
  if (result == 0) {
    buffers.lend_all();
    io_uring_sqe* sqe = io_uring_get_sqe(ring.native());
    io_uring_prep_recv(sqe, pair[0], nullptr, 0, 0);
    sqe->ioprio |= IORING_RECV_MULTISHOT;
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = 1;
    io_uring_submit(ring.native());
    result = write(pair[1], "x", 1) == 1 ? 0 : -errno;
    __kernel_timespec limit{1, 0};
    io_uring_cqe* cqe = nullptr;
    if (result == 0) result = io_uring_wait_cqe_timeout(ring.native(), &cqe, &limit);
    if (result == 0) {
      result = cqe->res;
      flags = cqe->flags;
      io_uring_cqe_seen(ring.native(), cqe);
    }
    // The end of the stream ends the receive, so that the buffers may go.
    shutdown(pair[1], SHUT_WR);
    if ((flags & IORING_CQE_F_MORE) != 0 && io_uring_wait_cqe_timeout(ring.native(), &cqe, &limit) == 0) {
      io_uring_cqe_seen(ring.native(), cqe);
    }
    buffers.unregister_from(ring, 1);
  }
  close(pair[0]);
  close(pair[1]);
  if (result < 0) note = std::strerror(-result);
  return result == 1 && (flags & IORING_CQE_F_MORE) != 0;
}

// Sends nothing of note into a socket with little room: a send that fits must stay silent, one that does not
// must tell how much of it was taken.
bool try_silent_send(ProbeRing& ring, std::string& note) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
    note = std::string("socketpair: ") + std::strerror(errno);
    return false;
  }
  const std::vector<char> bytes(std::size_t{4} << 20);
  const auto completions_of = [&](std::size_t size, int& result) {
    io_uring_sqe* sqe = io_uring_get_sqe(ring.native());
    io_uring_prep_send(sqe, pair[0], bytes.data(), size, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_submit_and_get_events(ring.native());
    io_uring_cqe* cqe = nullptr;
    if (io_uring_peek_cqe(ring.native(), &cqe) != 0) return 0;
    result = cqe->res;
    io_uring_cqe_seen(ring.native(), cqe);
    return 1;
  };
  int result = 0;
  const bool silent = completions_of(1, result) == 0;
  const bool tells = completions_of(bytes.size(), result) == 1 && result > 0 &&
                     result < static_cast<int>(bytes.size()) && completions_of(bytes.size(), result) == 1 &&
                     result == -EAGAIN;
  close(pair[0]);
  close(pair[1]);
  if (!silent) note = "a whole send completed";
  if (!tells) note = "a send that did not fit was not told: " + std::to_string(result);
  return silent && tells;
}

bool try_incremental_buffers(ProbeRing& ring, std::string& note) {
  ProbeBuffers buffers;
  const int result = buffers.register_with(ring, 2, abi::kBufferRingIncremental);
  if (result < 0) {
    note = std::strerror(-result);
    return false;
  }
  buffers.unregister_from(ring, 2);
  return true;
}

bool try_registered_ring(ProbeRing& ring, std::string& note) {
  io_uring_rsrc_update update{};
  update.offset = UINT32_MAX;  // any free index
  update.data = static_cast<std::uint64_t>(ring.native()->ring_fd);
  const int result = ring.register_call(IORING_REGISTER_RING_FDS, &update, 1);
  if (result != 1) {
    note = std::strerror(-result);
    return false;
  }
  update.data = 0;
  ring.register_call(IORING_UNREGISTER_RING_FDS, &update, 1);
  return true;
}

bool try_query(std::string& note) {
  std::uint64_t answer[16] = {};
  abi::Query query;
  query.data_address = reinterpret_cast<std::uint64_t>(answer);
  query.data_bytes = sizeof(answer);
  const int result = io_uring_register(static_cast<unsigned>(-1), abi::kRegisterQuery, &query, 0);
  if (result < 0) note = std::strerror(-result);
  return result >= 0 && query.result >= 0;
}

bool has_operations(ProbeRing& ring, std::string& note) {
  struct Operation {
    int opcode;
    const char* name;
  };
  static constexpr Operation kNeeded[] = {
      {IORING_OP_ACCEPT, "accept"},
      {IORING_OP_RECV, "receive"},
      {IORING_OP_SEND, "send"},
      {IORING_OP_SENDMSG, "send message"},
      {IORING_OP_POLL_ADD, "poll"},
      {IORING_OP_READ, "read"},
      {IORING_OP_ASYNC_CANCEL, "cancel"},
      {IORING_OP_TIMEOUT, "timeout"},
      {IORING_OP_MSG_RING, "message ring"},
  };
  const std::unique_ptr<io_uring_probe, decltype(&io_uring_free_probe)> probe(
      io_uring_get_probe_ring(ring.native()), &io_uring_free_probe);
  for (const Operation& operation : kNeeded) {
    if (probe != nullptr && io_uring_opcode_supported(probe.get(), operation.opcode) != 0) continue;
    note += (note.empty() ? "missing: " : ", ") + std::string(operation.name);
  }
  return note.empty();
}

// One line of the table: what was found, and by which tier it counts.
struct Finding {
  IoLevel tier;
  const char* name;
  bool present;
  std::string note;
};

std::vector<Finding> find_all(ProbeRing& ring) {
  std::vector<Finding> findings;
  auto bit = [&](IoLevel tier, const char* name, std::uint32_t mask) {
    findings.push_back({tier, name, (ring.bits() & mask) == mask, ""});
  };
  auto trial = [&](IoLevel tier, const char* name, auto&& attempt) {
    std::string note;
    const bool present = attempt(note);
    findings.push_back({tier, name, present, note});
  };
  findings.push_back({IoLevel::k6_1, "single issuer with deferred task work", true, ""});
  bit(IoLevel::k6_1, "no dropped completions", IORING_FEAT_NODROP);
  bit(IoLevel::k6_1, "waiting with a limit", IORING_FEAT_EXT_ARG);
  bit(IoLevel::k6_1, "arguments read at submission", IORING_FEAT_SUBMIT_STABLE);
  trial(IoLevel::k6_1, "operations", [&](std::string& note) { return has_operations(ring, note); });
  trial(IoLevel::k6_1, "registered ring descriptor",
        [&](std::string& note) { return try_registered_ring(ring, note); });
  trial(IoLevel::k6_1, "multishot receive into a buffer ring",
        [&](std::string& note) { return try_multishot_receive(ring, note); });
  trial(IoLevel::k6_1, "sends that complete only if they fail",
        [&](std::string& note) { return try_silent_send(ring, note); });
  bit(IoLevel::k6_12, "send and receive bundles", abi::kFeatureReceiveSendBundle);
  bit(IoLevel::k6_12, kMinWaitName, abi::kFeatureMinTimeout);
  trial(IoLevel::k6_12, "incremental buffers",
        [&](std::string& note) { return try_incremental_buffers(ring, note); });
  bit(IoLevel::k6_18, "sleep without iowait", abi::kFeatureNoIowait);
  trial(IoLevel::k6_18, "query", try_query);
  return findings;
}

bool tier_complete(const std::vector<Finding>& findings, IoLevel tier) {
  return std::all_of(findings.begin(), findings.end(),
                     [tier](const Finding& finding) { return finding.tier != tier || finding.present; });
}

IoLevel level_in_force(const std::vector<Finding>& findings, IoLevel highest) {
  IoLevel level = IoLevel::k6_1;
  for (const IoLevel tier : {IoLevel::k6_12, IoLevel::k6_18}) {
    if (highest != IoLevel::kAuto && tier > highest) break;
    if (!tier_complete(findings, tier)) break;
    level = tier;
  }
  return level;
}

std::string first_line_of(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string megabytes(std::uint64_t bytes) {
  return std::to_string(bytes >> 20) + " MiB";
}

}  // namespace

const char* level_name(IoLevel level) {
  switch (level) {
    case IoLevel::kAuto:
      return "auto";
    case IoLevel::k6_1:
      return "6.1";
    case IoLevel::k6_12:
      return "6.12";
    case IoLevel::k6_18:
      return "6.18";
  }
  return "unknown";
}

SetupEnvironment read_setup_environment() {
  SetupEnvironment environment;
  const std::string disabled = first_line_of("/proc/sys/kernel/io_uring_disabled");
  std::from_chars(disabled.data(), disabled.data() + disabled.size(), environment.io_uring_disabled);
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    // "Seccomp:\t2": 0 off, 1 strict, 2 filter
    if (line.rfind("Seccomp:", 0) == 0) environment.seccomp_filter = line.find('2') != std::string::npos;
  }
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    environment.memlock_limit_bytes = limit.rlim_cur;
  }
  utsname name{};
  if (uname(&name) == 0) environment.kernel_release = name.release;
  return environment;
}

Status explain_setup_failure(int error, const SetupEnvironment& environment) {
  const std::string prefix = "io_uring is not available: ";
  switch (error) {
    case EPERM:
    case EACCES:
      if (environment.io_uring_disabled == 2) {
        return {StatusCode::kUnavailable,
                prefix +
                    "the sysctl kernel.io_uring_disabled is 2, which forbids it to everybody; "
                    "set it to 0 (sysctl -w kernel.io_uring_disabled=0)"};
      }
      if (environment.io_uring_disabled == 1) {
        return {StatusCode::kUnavailable,
                prefix +
                    "the sysctl kernel.io_uring_disabled is 1, which allows it only to the group in "
                    "kernel.io_uring_group and to CAP_SYS_ADMIN; set it to 0 or join that group"};
      }
      return {StatusCode::kUnavailable,
              prefix +
                  (environment.seccomp_filter ? "a seccomp filter forbids it"
                                              : "permission denied, probably by seccomp") +
                  " (Docker's and Podman's default profiles do); allow io_uring_setup, io_uring_enter and "
                  "io_uring_register in the profile (for Docker: --security-opt seccomp=FILE)"};
    case ENOSYS:
      return {StatusCode::kUnavailable, prefix + "this kernel (" + environment.kernel_release +
                                            ") does not have it, or a seccomp filter hides it; Linux 6.1 or "
                                            "later built with CONFIG_IO_URING is "
                                            "needed"};
    case EINVAL:
      return {StatusCode::kUnavailable, prefix + "this kernel (" + environment.kernel_release +
                                            ") is too old; Linux 6.1 or later is needed"};
    case ENOMEM:
      if (environment.memlock_limit_bytes == UINT64_MAX) {
        return {StatusCode::kOutOfMemory,
                prefix + "no memory for the rings; use fewer workers or smaller rings"};
      }
      return {StatusCode::kOutOfMemory, prefix + "no memory for the rings: the limit RLIMIT_MEMLOCK (" +
                                            megabytes(environment.memlock_limit_bytes) +
                                            ") is used up; raise it (LimitMEMLOCK=infinity in the unit, "
                                            "ulimit -l, docker --ulimit memlock=-1), or "
                                            "use fewer workers"};
    case EMFILE:
    case ENFILE:
      return {StatusCode::kUnavailable,
              prefix + "too many open descriptors; raise the limit RLIMIT_NOFILE (ulimit -n)"};
    default:
      return {StatusCode::kInternal, prefix + std::strerror(error)};
  }
}

Features probe_features(IoLevel highest) {
  Features features;
  ProbeRing ring;
  if (ring.error() != 0) {
    features.reason = explain_setup_failure(ring.error(), read_setup_environment());
    features.entries.push_back({"io_uring", false, features.reason.message()});
    return features;
  }
  const std::vector<Finding> findings = find_all(ring);
  features.available = tier_complete(findings, IoLevel::k6_1);
  features.level = level_in_force(findings, highest);
  auto in_force = [&](const char* name) {
    return std::any_of(findings.begin(), findings.end(), [&](const Finding& finding) {
      return finding.present && finding.tier <= features.level && std::strcmp(finding.name, name) == 0;
    });
  };
  features.registered_ring = in_force("registered ring descriptor");
  features.bundles = in_force("send and receive bundles");
  features.min_wait = in_force(kMinWaitName);
  features.incremental_buffers = in_force("incremental buffers");
  features.no_iowait = in_force("sleep without iowait");

  std::string missing;
  for (const Finding& finding : findings) {
    std::string note = std::string("tier ") + level_name(finding.tier);
    if (!finding.note.empty()) note += ": " + finding.note;
    if (finding.present && finding.tier > features.level)
      note += ", not used at level " + std::string(level_name(features.level));
    if (!finding.present && finding.tier == IoLevel::k6_1)
      missing += (missing.empty() ? "" : ", ") + std::string(finding.name);
    features.entries.push_back({finding.name, finding.present, std::move(note)});
  }
  if (!features.available) {
    features.reason = Status(StatusCode::kUnavailable,
                             "io_uring of this kernel (" + read_setup_environment().kernel_release +
                                 ") is too old; Linux 6.1 or later is needed (missing: " + missing + ")");
  }
  return features;
}

Status verify_min_wait(Features& features, MinWaitTrial trial) {
  if (!features.available) return features.reason;
  if (!features.min_wait) {
    return {StatusCode::kUnavailable, "io_uring's minimum wait needs Linux 6.12 or later, and level 6.12 (" +
                                          std::string("in use: ") + level_name(features.level) + ")"};
  }
  const Result<MinWaitFindings> findings = trial();
  const std::string found = findings ? findings.value().text() : findings.status().message();
  features.min_wait = findings && findings.value().right();
  const auto entry = std::ranges::find(features.entries, kMinWaitName, &IoFeatures::Entry::name);
  if (entry != features.entries.end()) {
    entry->present = features.min_wait;
    entry->note += ": " + found;
  }
  if (features.min_wait) return {};
  return {StatusCode::kUnavailable, "io_uring's minimum wait does not work in this kernel (" +
                                        read_setup_environment().kernel_release + "): " + found};
}

}  // namespace ringcached::net

namespace ringcached {

IoFeatures probe_io_features(IoLevel highest) {
  net::Features found = net::probe_features(highest);
  static_cast<void>(net::verify_min_wait(found));  // its entry tells
  IoFeatures features;
  features.available = found.available;
  features.reason = std::move(found.reason);
  features.level = found.level;
  features.entries = std::move(found.entries);
  return features;
}

}  // namespace ringcached
