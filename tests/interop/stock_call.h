// SPDX-License-Identifier: Apache-2.0
//
// What the stock C++ peers have in common: the flags they are started with, and
// a look at whether a message came compressed, which gRPC lets only its own
// interoperability tests see.
#ifndef OUTPOST_TESTS_INTEROP_STOCK_CALL_H
#define OUTPOST_TESTS_INTEROP_STOCK_CALL_H

#include <fstream>
#include <grpcpp/grpcpp.h>
#include <iterator>
#include <map>
#include <string>

// libgrpc exports it, and no header declares it.
uint32_t grpc_call_test_only_get_message_flags(grpc_call *call);

// Its flags of a message that is compressed, and of one that was.
constexpr uint32_t kCompressed = 0x80000000u | 0x40000000u;

namespace grpc
{
namespace testing
{

// Both are friends of the contexts.
class InteropServerContextInspector
{
  public:
    static bool Compressed(const ServerContext &context)
    {
        return (grpc_call_test_only_get_message_flags(context.call_.call) & kCompressed) != 0;
    }
};

class InteropClientContextInspector
{
  public:
    static bool Compressed(const ClientContext &context)
    {
        return (grpc_call_test_only_get_message_flags(context.call_) & kCompressed) != 0;
    }
};

} // namespace testing
} // namespace grpc

// --name=value arguments.
inline std::map<std::string, std::string> read_flags(int argc, char **argv)
{
    std::map<std::string, std::string> flags;
    for (int i = 1; i < argc; i++) {
        std::string argument(argv[i]);
        size_t equals = argument.find('=');
        if (argument.rfind("--", 0) == 0 && equals != std::string::npos)
            flags[argument.substr(2, equals - 2)] = argument.substr(equals + 1);
    }
    return flags;
}

inline std::string read_file(const std::string &path)
{
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

#endif
