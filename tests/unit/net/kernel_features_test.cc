#include "net/kernel_features.h"

#include <doctest/doctest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <iterator>
#include <string>

#include "ringcached/network.h"

using namespace ringcached;
using net::explain_setup_failure;
using net::Features;
using net::probe_features;
using net::SetupEnvironment;

namespace {

bool names(const Status& status, const char* text) {
  return status.message().find(text) != std::string::npos;
}

// What a process that may not call io_uring_setup is told: in a child, for the filter cannot be taken off
// again.
std::string reason_under_seccomp(int error) {
  int ends[2];
  if (pipe(ends) != 0) return "pipe";
  const pid_t child = fork();
  if (child == 0) {
    sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog filter{std::size(program), program};
    std::string reason = "no filter";
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0) {
      const Features features = probe_features();
      reason = features.available ? "available" : features.reason.message();
    }
    const ssize_t written = write(ends[1], reason.data(), reason.size());
    _exit(written == static_cast<ssize_t>(reason.size()) ? 0 : 1);
  }
  close(ends[1]);
  std::string text(1000, '\0');
  const ssize_t count = read(ends[0], text.data(), text.size());
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  return text;
}

}  // namespace

TEST_SUITE("features") {
  TEST_CASE("a refusal by sysctl names the sysctl and its value") {
    SetupEnvironment environment;
    environment.seccomp_filter = true;  // the sysctl is asked first
    environment.io_uring_disabled = 2;
    const Status everybody = explain_setup_failure(EPERM, environment);
    CHECK(everybody.code() == StatusCode::kUnavailable);
    CHECK(names(everybody, "kernel.io_uring_disabled is 2"));
    CHECK(names(everybody, "sysctl -w kernel.io_uring_disabled=0"));
    environment.io_uring_disabled = 1;
    const Status group = explain_setup_failure(EPERM, environment);
    CHECK(names(group, "kernel.io_uring_disabled is 1"));
    CHECK(names(group, "kernel.io_uring_group"));
    CHECK_FALSE(names(group, "seccomp"));
  }

  TEST_CASE("a refusal with the sysctl at 0 or absent is seccomp") {
    for (const int disabled : {-1, 0}) {
      SetupEnvironment environment;
      environment.io_uring_disabled = disabled;
      environment.seccomp_filter = true;
      const Status status = explain_setup_failure(EPERM, environment);
      CHECK(names(status, "a seccomp filter forbids it"));
      CHECK(names(status, "Docker"));
      CHECK(names(status, "io_uring_setup"));
      CHECK_FALSE(names(status, "io_uring_disabled"));
    }
  }

  TEST_CASE("no memory names the limit and its value, if there is one") {
    SetupEnvironment environment;
    environment.memlock_limit_bytes = std::uint64_t{8} << 20;
    const Status limited = explain_setup_failure(ENOMEM, environment);
    CHECK(limited.code() == StatusCode::kOutOfMemory);
    CHECK(names(limited, "RLIMIT_MEMLOCK (8 MiB)"));
    CHECK(names(limited, "LimitMEMLOCK=infinity"));
    environment.memlock_limit_bytes = UINT64_MAX;
    CHECK_FALSE(names(explain_setup_failure(ENOMEM, environment), "RLIMIT_MEMLOCK"));
  }

  TEST_CASE("an old kernel, a missing call, descriptors and the unexpected") {
    SetupEnvironment environment;
    environment.kernel_release = "5.10.0-test";
    CHECK(names(explain_setup_failure(EINVAL, environment), "5.10.0-test"));
    CHECK(names(explain_setup_failure(EINVAL, environment), "Linux 6.1"));
    CHECK(names(explain_setup_failure(ENOSYS, environment), "CONFIG_IO_URING"));
    CHECK(names(explain_setup_failure(EMFILE, environment), "RLIMIT_NOFILE"));
    CHECK(explain_setup_failure(EIO, environment).code() == StatusCode::kInternal);
  }

  TEST_CASE("the environment of this process is read") {
    const SetupEnvironment environment = net::read_setup_environment();
    CHECK(environment.io_uring_disabled >= -1);
    CHECK(environment.io_uring_disabled <= 2);
    CHECK_FALSE(environment.kernel_release.empty());
  }

  TEST_CASE("a process under a seccomp filter is told so" *
            doctest::skip(net::read_setup_environment().io_uring_disabled > 0)) {
    CHECK(reason_under_seccomp(EPERM).find("a seccomp filter forbids it") != std::string::npos);
    CHECK(reason_under_seccomp(ENOSYS).find("a seccomp filter hides it") != std::string::npos);
  }

  TEST_CASE("the probe and the public table agree") {
    const Features features = probe_features();
    const IoFeatures table = probe_io_features();
    CHECK(features.available == table.available);
    CHECK(features.level == table.level);
    CHECK(features.available == features.reason.is_ok());
    REQUIRE_FALSE(table.entries.empty());
    REQUIRE(table.entries.size() == features.entries.size());
    for (const IoFeatures::Entry& entry : table.entries) CHECK_FALSE(entry.name.empty());
    if (!features.available) MESSAGE("io_uring is not available here: ", features.reason.message());
  }

  TEST_CASE("the minimum wait is used only if it works") {
    const auto with = [](bool min_wait) {
      Features features;
      features.available = true;
      features.min_wait = min_wait;
      features.entries = {{"other", true, ""}, {"minimum wait", min_wait, "tier 6.12"}};
      return features;
    };
    Features right = with(true);
    CHECK(net::verify_min_wait(
              right,
              +[] {
                return Result(net::MinWaitFindings{2.0, 2.1, 20.1});
              })
              .is_ok());
    CHECK(right.min_wait);
    CHECK(right.entries[1].present);

    Features wrong = with(true);
    const Status cause = net::verify_min_wait(
        wrong, +[] {
          return Result(net::MinWaitFindings{100.0, 100.1, 100.2});
        });
    CHECK(names(cause, "does not work in this kernel"));
    CHECK(names(cause, "100.0 ms with a completion at hand"));
    CHECK_FALSE(wrong.min_wait);
    CHECK(wrong.entries[0].present);
    CHECK_FALSE(wrong.entries[1].present);
    CHECK(wrong.entries[1].note.find("WRONG") != std::string::npos);

    Features failing = with(true);
    const Status failure = net::verify_min_wait(
        failing, +[] { return Result<net::MinWaitFindings>(Status(StatusCode::kUnavailable, "no memory")); });
    CHECK(names(failure, "no memory"));
    CHECK_FALSE(failing.min_wait);

    Features without = with(false);
    CHECK(names(net::verify_min_wait(without), "needs Linux 6.12"));
    Features none;
    none.reason = Status(StatusCode::kUnavailable, "said before");
    CHECK(net::verify_min_wait(none).message() == "said before");
  }

  TEST_CASE("findings of the minimum wait: late is wrong, wherever it shows") {
    using net::MinWaitFindings;
    CHECK(MinWaitFindings{2.0, 2.0, 20.0}.right());
    CHECK(MinWaitFindings{2.4, 3.0, 35.0}.right());
    CHECK_FALSE(MinWaitFindings{100.1, 2.0, 20.0}.right());
    CHECK_FALSE(MinWaitFindings{2.0, 100.1, 20.0}.right());
    CHECK_FALSE(MinWaitFindings{2.0, 2.0, 100.1}.right());
  }

  TEST_CASE("a forced tier switches off what came later, and never adds" *
            doctest::skip(!probe_features().available)) {
    const Features automatic = probe_features();
    const Features base = probe_features(IoLevel::k6_1);
    const Features middle = probe_features(IoLevel::k6_12);
    CHECK(base.available);
    CHECK(base.level == IoLevel::k6_1);
    CHECK_FALSE(base.no_iowait);
    CHECK_FALSE(base.bundles);
    CHECK_FALSE(base.incremental_buffers);
    CHECK_FALSE(base.min_wait);
    CHECK(base.registered_ring == automatic.registered_ring);
    CHECK(middle.level <= IoLevel::k6_12);
    CHECK_FALSE(middle.no_iowait);
    CHECK(probe_features(IoLevel::k6_18).level == automatic.level);
    // What the kernel has does not change with the tier; only the notes say that it is not used.
    for (std::size_t i = 0; i < automatic.entries.size(); ++i) {
      CHECK(base.entries[i].present == automatic.entries[i].present);
    }
    if (automatic.level > IoLevel::k6_1) {
      CHECK(std::any_of(base.entries.begin(), base.entries.end(), [](const IoFeatures::Entry& entry) {
        return entry.note.find("not used at level 6.1") != std::string::npos;
      }));
    }
  }
}
