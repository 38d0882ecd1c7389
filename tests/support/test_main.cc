// The main of every doctest program, with a TAP reporter so that `meson test` counts cases, not programs.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <mutex>
#include <ostream>
#include <string>

namespace {

struct TapReporter : doctest::IReporter {
  explicit TapReporter(const doctest::ContextOptions& options) : out(*options.cout) {}

  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override { out << "TAP version 13\n"; }
  void test_run_end(const doctest::TestRunStats&) override { out << "1.." << count << "\n"; }
  void test_case_start(const doctest::TestCaseData& data) override {
    current = &data;
    diagnosis.clear();
  }
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats& stats) override {
    out << (stats.failure_flags ? "not ok " : "ok ") << ++count << " - " << name(*current) << "\n"
        << diagnosis;
    out.flush();
  }
  void test_case_exception(const doctest::TestCaseException& exception) override {
    diagnosis += std::string("# exception: ") + exception.error_string.c_str() + "\n";
  }
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData& data) override {
    if (!data.m_failed) return;
    const std::lock_guard guard(mutex);
    diagnosis += std::string("# ") + data.m_file + ":" + std::to_string(data.m_line) + " " + data.m_expr +
                 " => " + one_line(data.m_decomp.c_str()) + "\n";
  }
  void log_message(const doctest::MessageData& data) override {
    const std::lock_guard guard(mutex);
    diagnosis += "# " + one_line(data.m_string.c_str()) + "\n";
  }
  void test_case_skipped(const doctest::TestCaseData& data) override {
    if (data.m_skip) out << "ok " << ++count << " - " << name(data) << " # SKIP marked skip()\n";
  }

  static std::string name(const doctest::TestCaseData& data) {
    return std::string(data.m_test_suite) + ": " + data.m_name;
  }
  static std::string one_line(std::string text) {
    for (char& c : text) {
      if (c == '\n') c = ' ';
    }
    return text;
  }

  std::ostream& out;
  std::mutex mutex;
  const doctest::TestCaseData* current = nullptr;
  std::string diagnosis;
  int count = 0;
};

REGISTER_REPORTER("tap", 1, TapReporter);

}  // namespace

int main(int argc, char** argv) {
  doctest::Context context(argc, argv);
  return context.run();
}
