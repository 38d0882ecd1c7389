#include "protocol/meta.h"

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

#include "protocol/base64.h"
#include "protocol/reply.h"

namespace ringcached::protocol {
namespace {

using namespace std::string_literals;

struct Parsed {
  ParseResult result;
  MetaRequest request;
};

// `line` has no terminator; its views must outlive the result, so it is a literal or a constant.
Parsed parse(std::string_view line) {
  std::string_view words = line;
  const auto command = find_meta_command(next_word(words));
  REQUIRE(command);
  Parsed parsed;
  parsed.result = parse_meta(*command, words, line.size() + 2, parsed.request);
  CHECK(parsed.result.kind != ParseKind::kNeedMore);
  CHECK(parsed.result.consumed == line.size() + 2);
  CHECK_FALSE(parsed.result.noreply);
  return parsed;
}

struct FaultRow {
  std::string line;
  std::string_view reply;
  std::uint64_t swallow = 0;
};

void check_faults(const std::vector<FaultRow>& rows) {
  for (const FaultRow& row : rows) {
    CAPTURE(row.line);
    const Parsed parsed = parse(row.line);
    CHECK(parsed.result.kind == ParseKind::kError);
    CHECK(parsed.result.reply == row.reply);
    CHECK(parsed.result.swallow == row.swallow);
  }
}

void check_accepted(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) {
    CAPTURE(line);
    CHECK(parse(line).result.kind == ParseKind::kMeta);
  }
}

const std::string kLongestKey(kKeyBytesMax, 'k');
const std::string kOverlongKey(kKeyBytesMax + 1, 'k');

std::string decoded(const std::string& text) {
  std::string out(base64_decoded_bytes_max(text.size()), '#');
  const auto bytes = decode_base64(text, out.data());
  return bytes ? out.substr(0, *bytes) : "refused";
}
std::string encoded(const std::string& bytes) {
  std::string out(base64_encoded_bytes(bytes.size()), '#');
  CHECK(encode_base64(bytes, out.data()) == out.data() + out.size());
  return out;
}

}  // namespace

TEST_SUITE("protocol meta") {
  TEST_CASE("command words") {
    CHECK(find_meta_command("mg") == MetaCommand::kGet);
    CHECK(find_meta_command("ms") == MetaCommand::kSet);
    CHECK(find_meta_command("md") == MetaCommand::kDelete);
    CHECK(find_meta_command("ma") == MetaCommand::kArithmetic);
    CHECK(find_meta_command("me") == MetaCommand::kDebug);
    CHECK(find_meta_command("mn") == MetaCommand::kNoop);
    for (const std::string word : {"", "m", "mx", "mgg", "MG", "xg"}) CHECK_FALSE(find_meta_command(word));
  }

  TEST_CASE("defaults") {
    const MetaRequest request = parse("mg foo").request;
    CHECK(request.command == MetaCommand::kGet);
    CHECK(request.key() == "foo");
    CHECK(request.key_word == "foo");
    CHECK_FALSE(request.is_binary_key());
    CHECK(request.order() == "");
    CHECK(request.opaque == "");
    CHECK(request.ttl == 0);
    CHECK(request.delta == 1);
    CHECK(request.initial == 0);
    CHECK(request.set_mode == MetaSetMode::kSet);
    CHECK(request.arithmetic_mode == MetaArithmeticMode::kIncrement);
  }

  TEST_CASE("flags keep their order and carry their numbers") {
    const MetaRequest request = parse("mg foo t T30  k Oabc N-1 R60 C5 E18446744073709551615 v q").request;
    CHECK(request.order() == "tTkONRCEvq");
    CHECK(request.ttl == 30);
    CHECK(request.vivify_ttl == -1);
    CHECK(request.recache_ttl == 60);
    CHECK(request.cas == 5);
    CHECK(request.new_cas == 18446744073709551615ULL);
    CHECK(request.opaque == "Oabc");
    for (const char letter : request.order()) CHECK(request.has(letter));
    for (const char letter : "bcfhlsuxDFIJLMP!\x80\xff"s) CHECK_FALSE(request.has(letter));
  }

  TEST_CASE("set") {
    const Parsed parsed = parse("ms foo 5 F7 T10 ME I c");
    CHECK(parsed.result.kind == ParseKind::kMeta);
    CHECK(parsed.request.command == MetaCommand::kSet);
    CHECK(parsed.request.value_bytes == 5);
    CHECK(parsed.request.client_flags == 7);
    CHECK(parsed.request.set_mode == MetaSetMode::kAdd);
    CHECK(parse("ms k 0 MS").request.set_mode == MetaSetMode::kSet);
    CHECK(parse("ms k 0 MA").request.set_mode == MetaSetMode::kAppend);
    CHECK(parse("ms k 0 MP").request.set_mode == MetaSetMode::kPrepend);
    CHECK(parse("ms k 0 MR").request.set_mode == MetaSetMode::kReplace);
    CHECK(parse("ms k 0 MREPLACE").request.set_mode == MetaSetMode::kReplace);
  }

  TEST_CASE("arithmetic") {
    const MetaRequest request = parse("ma n N0 J10 D18446744073709551615 MD v").request;
    CHECK(request.initial == 10);
    CHECK(request.delta == 18446744073709551615ULL);
    CHECK(request.arithmetic_mode == MetaArithmeticMode::kDecrement);
    CHECK(parse("ma n M-").request.arithmetic_mode == MetaArithmeticMode::kDecrement);
    CHECK(parse("ma n M+").request.arithmetic_mode == MetaArithmeticMode::kIncrement);
    CHECK(parse("ma n MI").request.arithmetic_mode == MetaArithmeticMode::kIncrement);
  }

  TEST_CASE("every letter is legal for every command, arguments nobody reads are ignored") {
    for (const std::string start : {"mg Zm9v", "ms Zm9v 1", "md Zm9v", "ma Zm9v"}) {
      check_accepted({start + " b c f h k l q s t u v x I L P", start + " C1 D1 E1 F1 J1 N1 R1 T1 O",
                      start + " vfoo kbar Pxyz L100 qq", start + " I x D1"});
    }
    check_accepted({"mg k Mz", "md k M", "mg k T-1", "mn", "mn x y", "me k", "me k x y"});
  }

  TEST_CASE("binary keys") {
    const MetaRequest request = parse("mg Zm9v b v k").request;
    CHECK(request.is_binary_key());
    CHECK(request.key() == "foo");
    CHECK(request.key_word == "Zm9v");
    const MetaRequest copy = request;
    CHECK(copy.key() == "foo");
    CHECK(parse("me Zm9v b").request.key() == "foo");
    CHECK(parse("me Zm9v").request.key() == "Zm9v");
    CHECK(parse("mg Zm9v").request.key() == "Zm9v");
    // Nothing is left over from the request before.
    MetaRequest reused = request;
    CHECK(parse_meta(MetaCommand::kGet, "bar", 8, reused).kind == ParseKind::kMeta);
    CHECK(reused.key() == "bar");
    CHECK(reused.order() == "");
  }

  TEST_CASE("keys") {
    for (const std::string command : {"mg", "md", "ma", "me", "ms"}) {
      CAPTURE(command);
      CHECK(parse(command).result.reply == reply::kBadFormat);
      CHECK(parse(command + "  ").result.reply == reply::kBadFormat);
    }
    check_accepted(
        {"mg " + kLongestKey, "ms " + kLongestKey + " 1", "ma " + kLongestKey, "me " + kLongestKey});
    check_faults({{"mg " + kOverlongKey, reply::kBadFormat},
                  {"md " + kOverlongKey, reply::kBadFormat},
                  {"me " + kOverlongKey, reply::kBadFormat},
                  {"ms " + kOverlongKey + " 3", reply::kBadFormat, 5},
                  {"ma " + kOverlongKey, reply::kMetaInvalidOrDuplicate}});
  }

  TEST_CASE("length of ms: nothing is swallowed when it is bad") {
    check_faults({{"ms k", reply::kBadFormat},
                  {"ms k x", reply::kBadFormat},
                  {"ms k -1", reply::kBadFormat},
                  {"ms k +1", reply::kBadFormat},
                  {"ms k T1 5", reply::kBadFormat},
                  {"ms k 2147483646", reply::kBadFormat},
                  {"ms k 18446744073709551616 q", reply::kBadFormat},
                  {"ms " + kOverlongKey + " x", reply::kBadFormat}});
  }

  TEST_CASE("more than 20 words") {
    std::string many;
    for (int i = 0; i < 19; ++i) many += " c";
    check_faults({{"mg k" + many, reply::kMetaTooManyFlags},
                  {"md k" + many, reply::kMetaTooManyFlags},
                  {"ma k" + many, reply::kMetaInvalidOrDuplicate},
                  {"ms k 3" + many.substr(2), reply::kMetaTooManyFlags, 5}});
    // One fewer is judged by its flags.
    check_faults({{"mg k" + many.substr(2), reply::kMetaDuplicateFlag},
                  {"ms k 3" + many.substr(4), reply::kMetaDuplicateFlag, 5}});
    check_accepted(
        {"mg k c f h k l q s t u v x I L P O T1 N1 R1", "ms k 3 c f h k l q s t u v x I L P O T1 N1"});
  }

  TEST_CASE("faults of flags, in their order") {
    for (const std::string start : {"mg k", "md k"}) {
      check_faults({{start + " c c", reply::kMetaDuplicateFlag},
                    {start + " T1 T2", reply::kMetaDuplicateFlag},
                    {start + " z", reply::kMetaInvalidFlag},
                    {start + " S", reply::kMetaInvalidFlag},
                    {start + " noreply", reply::kMetaInvalidFlag},
                    {start + " 5", reply::kMetaInvalidFlag},
                    {start + " !", reply::kMetaInvalidFlag},
                    {start + " ["s, reply::kMetaInvalidFlag},
                    {start + " \x7f", reply::kBadFormat},
                    {start + " \xff", reply::kBadFormat},
                    {start + " \0"s, reply::kMetaInvalidFlag},
                    {start + " c z c", reply::kMetaInvalidFlag},
                    {start + " c c z", reply::kMetaDuplicateFlag},
                    {start + " Tx z", reply::kMetaInvalidFlag},
                    {start + " Tx c c", reply::kMetaDuplicateFlag},
                    {start + " Tx Dx", reply::kMetaBadToken},
                    {start + " Dx Tx", reply::kMetaInvalidDelta}});
    }
  }

  TEST_CASE("bad arguments") {
    for (const std::string argument : {"", "x", "1x", "-", "99999999999999999999"}) {
      for (const std::string letter : {"T", "N", "R", "C", "E"}) {
        check_faults({{"mg k " + letter + argument, reply::kMetaBadToken}});
      }
      check_faults({{"mg k D" + argument, reply::kMetaInvalidDelta},
                    {"mg k J" + argument, reply::kMetaInvalidInitial},
                    {"mg k F" + argument, reply::kBadFormat},
                    {"ma k D" + argument, reply::kMetaInvalidOrDuplicate},
                    {"ma k J" + argument, reply::kMetaInvalidOrDuplicate},
                    {"ms k 3 T" + argument, reply::kMetaBadToken, 5}});
    }
    check_faults({{"ms k 3 F4294967296", reply::kBadFormat, 5},
                  {"ms k 3 F-1", reply::kBadFormat, 5},
                  {"mg k C-1", reply::kMetaBadToken},
                  {"mg k T2147483648", reply::kMetaBadToken},
                  {"mg Zm9 b", reply::kMetaBadKey},
                  {"md !!!! b", reply::kMetaBadKey},
                  {"me Zm9 b", reply::kMetaBadKey},
                  {"ms Zm9 3 b", reply::kMetaBadKey, 5},
                  {"ma Zm9 b", reply::kMetaInvalidOrDuplicate}});
  }

  TEST_CASE("opaque and mode come last") {
    const std::string longest = "O" + std::string(kOpaqueBytesMax - 1, 'x');
    check_accepted({"mg k " + longest, "ma k " + longest, "ms k 1 " + longest});
    for (const std::string start : {"mg k ", "md k ", "ma k "}) {
      check_faults({{start + longest + "x", reply::kMetaOpaqueTooLong}});
    }
    check_faults({{"ms k 3 " + longest + "x", reply::kMetaOpaqueTooLong, 5},
                  {"ms k 3 " + longest + "x Tx", reply::kMetaBadToken, 5},
                  {"ms k 3 M", reply::kMetaSetMode, 5},
                  {"ms k 3 Ms", reply::kMetaSetMode, 5},
                  {"ms k 3 MX", reply::kMetaSetMode, 5},
                  {"ms k 3 MX Tx", reply::kMetaBadToken, 5},
                  {"ma k M", reply::kMetaArithmeticMode},
                  {"ma k Mi", reply::kMetaArithmeticMode},
                  {"ma k MS", reply::kMetaArithmeticMode},
                  {"ma k MX z", reply::kMetaInvalidOrDuplicate}});
  }
}

TEST_SUITE("protocol base64") {
  TEST_CASE("the vectors of RFC 4648") {
    const std::pair<const char*, const char*> rows[] = {{"f", "Zg=="},         {"fo", "Zm8="},
                                                        {"foo", "Zm9v"},       {"foob", "Zm9vYg=="},
                                                        {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
    for (const auto& [bytes, text] : rows) {
      CHECK(encoded(bytes) == text);
      CHECK(decoded(text) == bytes);
    }
    CHECK(encoded("") == "");
  }

  TEST_CASE("refused") {
    for (const char* text :
         {"", "Z", "Zg", "Zg=", "=", "====", "Z===", "Zg==Zg==", "Zm9=v", "Zm 9", "Zm9\x80", "Zm-_"}) {
      CAPTURE(text);
      CHECK(decoded(text) == "refused");
    }
  }

  TEST_CASE("what is encoded decodes to itself") {
    std::mt19937_64 random(4648);
    for (std::size_t bytes = 1; bytes <= 200; ++bytes) {
      std::string original(bytes, '\0');
      for (char& byte : original) byte = static_cast<char>(random());
      CHECK(decoded(encoded(original)) == original);
    }
  }
}

}  // namespace ringcached::protocol
